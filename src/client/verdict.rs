//! What a failed attempt means: surely not done, perhaps done, or a final answer.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::time::Duration;

#[cfg(not(madsim))]
use ringfence_link::DialError;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::error::Error;
use crate::types::{SessionId, Token};

/// What a call is about, for errors that name it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) session: SessionId,
    pub(crate) token: Token,
}

/// The meaning of a failed attempt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Surely not done: may be repeated, whatever it is.
    NotDone(Trouble),
    /// Perhaps done.
    Unknown(Trouble),
    /// Answered. Repeating changes nothing.
    Final(Error),
}

/// Why an attempt failed that wasn't answered for good.
#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct Trouble {
    pub(crate) message: String,
    /// The member itself failed, so another one should be asked.
    pub(crate) member_failed: bool,
    /// The member is well and knows no leader.
    pub(crate) no_leader: bool,
    /// The leader's client address, where it was named.
    pub(crate) leader: Option<String>,
    /// Don't ask again before.
    pub(crate) retry_after: Option<Duration>,
    /// Certificates, or TLS on one side alone, keep this client from the member, until somebody does something about it.
    pub(crate) untrusted: bool,
}

impl Trouble {
    /// The member failed.
    pub(crate) fn member(message: impl Into<String>) -> Self {
        Self { message: message.into(), member_failed: true, ..Self::default() }
    }
}

/// Of an attempt whose time is over; the same whether the transport noticed first or the call itself.
pub(crate) const NO_ANSWER: &str = "no answer in time";

/// Judges a status.
pub(crate) fn judge(status: &Status, subject: Subject) -> Verdict {
    let info = status.get_details_error_info().filter(|info| info.domain == ringfence_proto::ERROR_DOMAIN);
    match info {
        Some(info) => judge_reason(status, info.reason, info.metadata.into_iter().collect(), subject),
        None => judge_code(status),
    }
}

fn judge_reason(status: &Status, reason: String, metadata: BTreeMap<String, String>, subject: Subject) -> Verdict {
    let message = status.message().to_owned();
    let number = |key: &str| metadata.get(key).and_then(|text| text.parse::<u64>().ok());
    let trouble = |no_leader, member_failed| Trouble {
        message: message.clone(),
        member_failed,
        no_leader,
        leader: metadata.get("leader").cloned(),
        retry_after: number("retry_after_ms").map(Duration::from_millis),
        untrusted: false,
    };
    match reason.as_str() {
        "NO_LEADER" | "NOT_LEADER" => Verdict::NotDone(trouble(true, false)),
        "OVERLOADED" => Verdict::NotDone(trouble(false, false)),
        "STOPPING" => Verdict::NotDone(trouble(false, true)),
        "OUTCOME_UNKNOWN" | "READ_TIMEOUT" => Verdict::Unknown(trouble(false, false)),
        "SESSION_UNKNOWN" | "SESSION_EXPIRED" => Verdict::Final(Error::SessionLost { session: subject.session }),
        "LOCK_HELD" => Verdict::Final(Error::LockHeld { message }),
        "TOKEN_STALE" | "NOT_OWNER" | "CLAIM_LOST" => Verdict::Final(Error::NotHeld { token: subject.token, message }),
        "REVISION_COMPACTED" => Verdict::Final(Error::Compacted { compacted: number("compacted").unwrap_or_default() }),
        "REPLY_NOT_KEPT" => Verdict::Final(Error::AnswerLost {
            revision: number("revision").unwrap_or_default(),
            succeeded: metadata.get("succeeded").is_some_and(|succeeded| succeeded == "true"),
        }),
        "WAIT_TIMEOUT" => Verdict::Final(Error::Timeout { message }),
        "INTERNAL" => Verdict::Final(Error::Protocol { message }),
        _ => Verdict::Final(Error::Refused { reason, message, metadata }),
    }
}

fn judge_code(status: &Status) -> Verdict {
    let connected = !never_connected(status);
    if wants_tls(status) {
        let message = "the server requires TLS, and this client has none: give it the CA of the servers".to_owned();
        return Verdict::NotDone(Trouble { untrusted: true, ..Trouble::member(message) });
    }
    let message = words(status, connected);
    let trouble = Trouble { untrusted: is_untrusted(status), ..Trouble::member(message.clone()) };
    if !connected {
        return Verdict::NotDone(trouble);
    }
    match status.code() {
        Code::Unimplemented => Verdict::Final(Error::Protocol { message }),
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::FailedPrecondition
        | Code::OutOfRange => Verdict::Final(Error::Refused {
            reason: code_name(status.code()).to_owned(),
            message,
            metadata: BTreeMap::new(),
        }),
        _ => Verdict::Unknown(trouble),
    }
}

/// What the transport says, for people. It tends to say the same at each link of a chain of sources: the last one, which
/// knows what happened, is enough.
pub(crate) fn words(status: &Status, connected: bool) -> String {
    let cause = status.source().map(|source| root(source).to_string());
    let timed_out = status.code() == Code::DeadlineExceeded || status.message() == TIMEOUT_EXPIRED;
    match cause {
        _ if timed_out => NO_ANSWER.to_owned(),
        Some(cause) if !connected => format!("no connection: {cause}"),
        None if !connected => "no connection".to_owned(),
        Some(cause) if !status.message().contains(&cause) => format!("{}: {cause}", status.message()),
        _ => status.message().to_owned(),
    }
}

/// What tonic says of a call whose time is over, under the code of a cancelled one.
const TIMEOUT_EXPIRED: &str = "Timeout expired";

/// The request was never sent, since no connection could be made, or it broke before.
#[cfg(not(madsim))]
fn never_connected(status: &Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        let unreachable = |error: &DialError| matches!(error, DialError::Unreachable { .. });
        let never = error.is::<tonic::ConnectError>() || error.is::<crate::pipeline::NeverSent>();
        if never || error.downcast_ref().is_some_and(unreachable) {
            return true;
        }
        source = error.source();
    }
    false
}

/// The simulated transport names no source, and has only these two words for it.
#[cfg(madsim)]
fn never_connected(status: &Status) -> bool {
    status.code() == Code::Unavailable && matches!(status.message(), "connection refused" | "transport error")
}

/// TLS kept the connection from being made.
#[cfg(not(madsim))]
fn is_untrusted(status: &Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        if let Some(failure) = error.downcast_ref::<ringfence_tls::ConnectFailure>() {
            return matches!(failure, ringfence_tls::ConnectFailure::Untrusted(_));
        }
        source = error.source();
    }
    false
}

/// The server said in place of its first answer that it takes TLS alone: nothing that was sent on this connection was looked at.
#[cfg(not(madsim))]
fn wants_tls(status: &Status) -> bool {
    // What a call answers has no source: this is the transport's.
    status.source().is_some_and(|source| root(source).to_string().contains(ringfence_tls::TLS_ALONE))
}

/// There is no TLS in simulation.
#[cfg(madsim)]
fn wants_tls(_status: &Status) -> bool {
    false
}

/// There is no TLS in simulation.
#[cfg(madsim)]
fn is_untrusted(_status: &Status) -> bool {
    false
}

/// Whether certificates alone keep a client from all members that it asks, round by round. One member with a bad certificate is no reason
/// to give up, and neither is one that is down.
#[derive(Debug, Default)]
pub(crate) struct Distrust {
    asked: u32,
    untrusted: u32,
    last: String,
}

impl Distrust {
    /// A member was asked in vain.
    pub(crate) fn note(&mut self, address: &str, trouble: &Trouble) {
        self.asked += 1;
        if trouble.untrusted {
            self.untrusted += 1;
            self.last = format!("{address}: {}", trouble.message);
        }
    }

    /// All were asked: the error, if none of them is trusted, or trusts this client. The next round begins.
    pub(crate) fn of_all(&mut self) -> Option<Error> {
        let round = std::mem::take(self);
        (round.asked > 0 && round.asked == round.untrusted).then_some(Error::Untrusted { message: round.last })
    }
}

fn root<'a>(mut error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    while let Some(source) = error.source() {
        error = source;
    }
    error
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::Unauthenticated => "UNAUTHENTICATED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::OutOfRange => "OUT_OF_RANGE",
        _ => "UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::ErrorDetails;

    fn status(code: Code, reason: &str, metadata: &[(&str, &str)]) -> Status {
        let metadata: std::collections::HashMap<String, String> =
            metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let details = ErrorDetails::with_error_info(reason, ringfence_proto::ERROR_DOMAIN, metadata);
        Status::with_error_details(code, "said so", details)
    }

    fn subject() -> Subject {
        Subject { session: 7, token: 9 }
    }

    #[test]
    fn no_leader_is_surely_not_done_and_may_name_one() {
        let status = status(Code::Unavailable, "NO_LEADER", &[("leader", "n2:7601"), ("retry_after_ms", "50")]);
        let Verdict::NotDone(trouble) = judge(&status, subject()) else {
            panic!("{status:?}");
        };
        assert!(trouble.no_leader && !trouble.member_failed);
        assert_eq!(trouble.leader.as_deref(), Some("n2:7601"));
        assert_eq!(trouble.retry_after, Some(Duration::from_millis(50)));
    }

    #[test]
    fn a_broken_connection_leaves_the_outcome_unknown() {
        for code in [Code::Unavailable, Code::Unknown, Code::Cancelled, Code::Internal] {
            let verdict = judge(&Status::new(code, "broken"), subject());
            assert!(matches!(verdict, Verdict::Unknown(_)), "{code:?}: {verdict:?}");
        }
        let verdict = judge(&status(Code::Unavailable, "OUTCOME_UNKNOWN", &[]), subject());
        assert!(matches!(verdict, Verdict::Unknown(_)));
    }

    #[test]
    fn what_the_transport_repeats_is_said_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("{0}")]
        struct Link(&'static str, #[source] Option<Box<Link>>);
        let chain = |links: &[&'static str]| {
            let link = |inner: Option<Box<Link>>, words: &&'static str| Some(Box::new(Link(words, inner)));
            links.iter().rev().fold(None, link).map(|outer| -> Box<dyn std::error::Error + Send + Sync> { outer })
        };
        let told = |code, message: &str, links: &[&'static str]| {
            let mut status = Status::new(code, message);
            if let Some(source) = chain(links) {
                status.set_source(std::sync::Arc::from(source));
            }
            match judge(&status, subject()) {
                Verdict::Unknown(trouble) => Error::Timeout { message: trouble.message }.to_string(),
                other => panic!("{other:?}"),
            }
        };
        let expired = told(Code::Cancelled, "Timeout expired", &["Timeout expired"]);
        assert_eq!(expired, "out of time, try again or allow more: no answer in time");
        assert_eq!(told(Code::DeadlineExceeded, "deadline", &[]), expired);
        let broken = told(Code::Unknown, "transport error", &["transport error", "connection error", "broken pipe"]);
        assert_eq!(broken, "out of time, try again or allow more: transport error: broken pipe");
        let nested = told(Code::Unknown, "h2: broken pipe", &["h2: broken pipe", "broken pipe"]);
        assert_eq!(nested, "out of time, try again or allow more: h2: broken pipe");
    }

    #[test]
    fn refusals_become_what_the_caller_can_do() {
        let expect = |reason: &str, metadata: &[(&str, &str)], error: Error| {
            let verdict = judge(&status(Code::FailedPrecondition, reason, metadata), subject());
            assert_eq!(verdict, Verdict::Final(error), "{reason}");
        };
        expect("SESSION_EXPIRED", &[], Error::SessionLost { session: 7 });
        expect("LOCK_HELD", &[], Error::LockHeld { message: "said so".into() });
        expect("TOKEN_STALE", &[], Error::NotHeld { token: 9, message: "said so".into() });
        expect("REVISION_COMPACTED", &[("compacted", "12")], Error::Compacted { compacted: 12 });
        expect(
            "REPLY_NOT_KEPT",
            &[("revision", "8"), ("succeeded", "true")],
            Error::AnswerLost { revision: 8, succeeded: true },
        );
        expect("WAIT_TIMEOUT", &[], Error::Timeout { message: "said so".into() });
        expect(
            "LIMIT_EXCEEDED",
            &[("limit", "5")],
            Error::Refused {
                reason: "LIMIT_EXCEEDED".into(),
                message: "said so".into(),
                metadata: BTreeMap::from([("limit".into(), "5".into())]),
            },
        );
    }

    #[test]
    fn only_certificates_at_all_members_end_a_call() {
        let untrusted = Trouble { untrusted: true, ..Trouble::member("not signed") };
        let mut distrust = Distrust::default();
        assert_eq!(distrust.of_all(), None, "nobody was asked");
        distrust.note("a", &untrusted);
        distrust.note("b", &Trouble::member("down"));
        assert_eq!(distrust.of_all(), None, "the one that is down may come back");
        distrust.note("a", &untrusted);
        assert_eq!(distrust.of_all(), Some(Error::Untrusted { message: "a: not signed".into() }));
        assert_eq!(distrust.of_all(), None, "a new round");
    }
}
