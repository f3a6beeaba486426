//! What every command works with: the client, and where results go.

use std::time::Duration;

use ringfence_client::{Client, ClientBuilder, ClusterStatus, Error, Freshness};

use crate::args::{Global, ReadArgs, tls::TlsArgs};
use crate::cluster::reachable;
use crate::endpoints::Endpoints;
use crate::exit;
use crate::failure::Failure;
use crate::next_step::next_step;
use crate::output::Output;

/// The result of a command: its exit code, or why it failed.
pub type Done = Result<u8, Failure>;

/// Longest look at a cluster that didn't answer, to say why. A member takes a second to ask the others.
const LOOK_TIME_MAX: Duration = Duration::from_secs(2);
const NO_LEADER_STEP: &str = "bring a majority of the members back: `ringfence cluster status` shows which are missing; \
                              reads with --stale are answered meanwhile";

/// The client, and where results go.
pub struct Context {
    /// Not connected until the first request.
    pub client: Client,
    /// Where results go.
    pub output: Output,
    /// As they were given, for commands that are started; with the scheme that is used.
    pub endpoints: Endpoints,
    /// As it was given, for the same.
    pub tls: TlsArgs,
    /// As it was given.
    timeout: Duration,
    /// What the client was made of.
    builder: ClientBuilder,
}

impl Context {
    /// Makes the client. Must be called within the runtime.
    pub fn new(global: &Global) -> Result<Self, Failure> {
        let tls = global.tls.options()?;
        let endpoints = if tls.is_some() { global.endpoints.with_tls() } else { global.endpoints.clone() };
        let mut builder = Client::builder(endpoints.0.iter().cloned())
            .deadline(global.timeout)
            .connect_timeout(global.timeout.min(Duration::from_secs(2)));
        if let Some(tls) = tls {
            builder = builder.tls(tls);
        } else if endpoints.0.iter().any(|endpoint| endpoint.starts_with("https:")) {
            return Err(Failure::usage(
                "an endpoint with https needs --cacert or RINGFENCE_CACERT, the CAs of the members' certificates",
            ));
        }
        Ok(Self {
            client: builder.clone().build()?,
            output: Output::new(global.json),
            endpoints,
            tls: global.tls.clone(),
            timeout: global.timeout,
            builder,
        })
    }

    /// A client like [`Context::client`], with connections of its own.
    pub fn another_client(&self) -> Result<Client, Failure> {
        Ok(self.builder.clone().build()?)
    }

    /// The client for a read that is to be so fresh. Reads of keys say it in their own options.
    pub fn reading(&self, read: ReadArgs) -> Client {
        self.client.with_freshness(freshness(read))
    }

    /// Adds to a failure for want of an answer what the cluster lacks, or else who was asked.
    pub async fn explain(&self, mut failure: Failure) -> Failure {
        // Who doesn't trust the members, or isn't trusted, learns no more by asking again.
        if !matches!(failure.code, exit::UNAVAILABLE | exit::UNKNOWN) || failure.reason == "UNTRUSTED" {
            return failure;
        }
        let client = self.client.with_deadline(self.timeout.min(LOOK_TIME_MAX));
        match client.cluster().status(false).await {
            Ok(status) if status.leader.is_none() || !has_majority(&status) => {
                // One that was cut off may still take itself for the leader.
                let lacks = if has_majority(&status) { "leader" } else { "majority" };
                failure.message += &format!(" (the cluster has no {lacks}, {})", reachable(&status));
                if failure.code == exit::UNAVAILABLE {
                    failure.next = NO_LEADER_STEP.to_owned();
                }
            }
            Ok(_) => {}
            Err(_) if self.endpoints.0.iter().all(|endpoint| failure.message.contains(endpoint)) => {}
            Err(_) => failure.message += &format!(" (asked {})", self.endpoints.0.join(", ")),
        }
        failure
    }
}

fn has_majority(status: &ClusterStatus) -> bool {
    let voters = status.members.iter().filter(|member| member.member.voter);
    let (reachable, missing): (Vec<_>, Vec<_>) = voters.partition(|member| member.reachable);
    reachable.len() > missing.len()
}

/// How fresh a read was asked to be.
pub fn freshness(read: ReadArgs) -> Freshness {
    match (read.stale, read.min_revision) {
        (_, Some(min_revision)) => Freshness::Stale { min_revision },
        (true, None) => Freshness::Stale { min_revision: 0 },
        (false, None) => Freshness::Linearizable,
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::Unavailable { .. } | Error::Timeout { .. } | Error::Untrusted { .. } => exit::UNAVAILABLE,
            Error::Unknown { .. } | Error::AnswerLost { .. } => exit::UNKNOWN,
            Error::SessionLost { .. } | Error::NotHeld { .. } => exit::NO,
            Error::LockHeld { .. } => exit::NOT_GRANTED,
            Error::InvalidArgument { .. } => exit::USAGE,
            Error::Compacted { .. } | Error::TooSlow { .. } | Error::Refused { .. } => exit::REFUSED,
            _ => exit::INTERNAL,
        };
        let message = match &error {
            Error::Refused { message, .. } => message.clone(),
            other => other.to_string(),
        };
        Self::new(code, &error.kind().to_uppercase(), message).next(next_step(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_error_has_its_exit_code() {
        let message = || "m".to_owned();
        let refused =
            Error::Refused { reason: "KEY_IS_CLAIM".to_owned(), message: message(), metadata: Default::default() };
        let cases = [
            (Error::Unavailable { message: message() }, exit::UNAVAILABLE, "UNAVAILABLE"),
            (Error::Timeout { message: message() }, exit::UNAVAILABLE, "TIMEOUT"),
            (Error::Untrusted { message: message() }, exit::UNAVAILABLE, "UNTRUSTED"),
            (Error::Unknown { message: message() }, exit::UNKNOWN, "UNKNOWN"),
            (Error::SessionLost { session: 1 }, exit::NO, "SESSION_LOST"),
            (Error::NotHeld { token: 1, message: message() }, exit::NO, "NOT_HELD"),
            (Error::LockHeld { message: message() }, exit::NOT_GRANTED, "LOCK_HELD"),
            (Error::Compacted { compacted: 1 }, exit::REFUSED, "COMPACTED"),
            (Error::InvalidArgument { message: message() }, exit::USAGE, "INVALID_ARGUMENT"),
            (refused, exit::REFUSED, "KEY_IS_CLAIM"),
        ];
        for (error, code, reason) in cases {
            let failure = Failure::from(error);
            assert_eq!((failure.code, failure.reason.as_str()), (code, reason));
        }
    }

    #[test]
    fn a_minimum_means_stale() {
        let read = |stale, min_revision| freshness(ReadArgs { stale, min_revision });
        assert_eq!(read(false, None), Freshness::Linearizable);
        assert_eq!(read(true, None), Freshness::Stale { min_revision: 0 });
        assert_eq!(read(false, Some(7)), Freshness::Stale { min_revision: 7 });
    }
}
