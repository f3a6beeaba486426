//! Claims that this program makes and holds: for `lock run`, `lock acquire` and `elect run` alike.
//!
//! A lock and an election are the same queue of claims, and the owner of a claim learns the same things about it; only the words for
//! people differ, see [`Noun`].

use std::time::Duration;

use nix::sys::signal::Signal;
use ringfence_client::{Claim, Error, LockGuard, LockMode, Loss, Session, SessionOptions};

use crate::args::RunArgs;
use crate::context::{Context, Done};
use crate::exit;
use crate::failure::Failure;
use crate::output::{Output, escape};
use crate::run::{self, Ended};
use crate::signals::{Signals, exit_code};

/// After so long a wait people are told whom they wait for.
const PATIENCE: Duration = Duration::from_secs(1);
/// Bytes of a session's description.
const OWNER_BYTES_MAX: usize = 256;

/// Characters of a command in a session's description.
const PURPOSE_CHARS_MAX: usize = 60;

/// What is held, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noun {
    /// A lock.
    Lock,
    /// The leadership of an election.
    Leadership,
}

impl Noun {
    fn words(self, name: &str) -> String {
        let name = escape(name.as_bytes());
        match self {
            Self::Lock => format!("the lock `{name}`"),
            Self::Leadership => format!("the leadership of `{name}`"),
        }
    }

    fn lost_reason(self) -> &'static str {
        match self {
            Self::Lock => "LOCK_LOST",
            Self::Leadership => "LEADERSHIP_LOST",
        }
    }
}

/// What to claim.
pub struct Request<'a> {
    pub noun: Noun,
    pub name: &'a str,
    pub mode: LockMode,
    pub value: &'a [u8],
    pub ttl: Duration,
    /// Zero: only if it is free. `None`: as long as it takes.
    pub wait: Option<Duration>,
    /// What it is for, in the session's description.
    pub purpose: String,
}

/// A claim that was granted, with a session of its own.
pub struct Held {
    noun: Noun,
    name: String,
    session: Session,
    guard: LockGuard,
}

/// Claims, and waits for the grant. A signal ends the wait and withdraws the claim.
pub async fn acquire(context: &Context, signals: &mut Signals, request: &Request<'_>) -> Result<Held, Failure> {
    let options = SessionOptions::new().ttl(request.ttl).owner(owner(&request.purpose));
    let session = tokio::select! {
        biased;
        signal = signals.next_end() => return Err(interrupted(request, signal)),
        session = context.client.open_session(options) => session?,
    };
    match granted(context, signals, request, &session).await {
        Ok(guard) => Ok(Held { noun: request.noun, name: request.name.to_owned(), session, guard }),
        Err(failure) => {
            // The claim goes with its session, at latest when that expires.
            let _ = session.close().await;
            Err(failure)
        }
    }
}

async fn granted(
    context: &Context,
    signals: &mut Signals,
    request: &Request<'_>,
    session: &Session,
) -> Result<LockGuard, Failure> {
    let lock = context.client.lock(request.name).mode(request.mode).value(request.value).session(session);
    let granting = async {
        match request.wait {
            Some(Duration::ZERO) => lock.try_acquire().await,
            Some(wait) => lock.wait(wait).acquire().await,
            None => lock.acquire().await,
        }
    };
    let telling = async {
        tokio::time::sleep(PATIENCE).await;
        tell_wait(context, request, session).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        result = granting => result.map_err(|error| not_granted(request, error)),
        signal = signals.next_end() => Err(interrupted(request, signal)),
        () = telling => Err(Failure::new(exit::INTERNAL, "INTERNAL", "the wait ended without a result")),
    }
}

async fn tell_wait(context: &Context, request: &Request<'_>, session: &Session) {
    let what = request.noun.words(request.name);
    let line = match context.client.locks().describe(request.name, 0).await {
        Ok(queue) => {
            let ahead = queue.waiters.iter().take_while(|claim| claim.session != session.id()).count();
            let holder = queue.owners.first().map_or_else(
                || "nobody".to_owned(),
                |owner| format!("{} (token {})", escape(owner.session_owner.as_bytes()), owner.token),
            );
            format!("waiting for {what}, held by {holder}, {ahead} ahead in the queue")
        }
        Err(error) => format!("waiting for {what}; {error}"),
    };
    context.output.progress(&line);
}

fn not_granted(request: &Request<'_>, error: Error) -> Failure {
    let what = request.noun.words(request.name);
    let look = "`ringfence lock show NAME` shows who holds it and who waits; --wait waits longer";
    match error {
        Error::Timeout { .. } => {
            let wait = humantime::format_duration(request.wait.unwrap_or_default());
            Failure::new(exit::NOT_GRANTED, "WAIT_TIMEOUT", format!("{what} was not granted within {wait}")).next(look)
        }
        Error::LockHeld { message } => {
            Failure::new(exit::NOT_GRANTED, "LOCK_HELD", format!("{what} is not free: {message}")).next(look)
        }
        Error::SessionLost { .. } | Error::NotHeld { .. } => {
            let message = format!("the claim to {what} was lost while it waited: {error}");
            Failure::new(exit::LOST, "CLAIM_LOST", message).next("try again")
        }
        other => other.into(),
    }
}

fn interrupted(request: &Request<'_>, signal: Signal) -> Failure {
    let message = format!("{signal} while waiting for {}; the claim is withdrawn", request.noun.words(request.name));
    Failure::new(exit_code(signal as i32), "INTERRUPTED", message)
        .next("run it again to wait again, at the end of the queue")
}

/// Host, process and purpose, cut to what a session's description takes.
fn owner(purpose: &str) -> String {
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    let text = escape(format!("{host} ringfence[{}]: {purpose}", std::process::id()).as_bytes());
    let end = (0..=OWNER_BYTES_MAX.min(text.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    text.get(..end).unwrap_or_default().to_owned()
}

impl Held {
    /// The claim.
    pub fn claim(&self) -> &Claim {
        self.guard.claim()
    }

    /// Waits until it is lost. Cancel safe.
    pub async fn lost(&self) -> Loss {
        self.guard.lost().await
    }

    /// The failure that tells of a loss.
    pub fn loss(&self, loss: Loss) -> Failure {
        let why = match loss {
            Loss::Lapsed => "no renewal was acknowledged in time",
            Loss::Expired => "its session ended in the cluster",
            Loss::Revoked => "its claim was taken away, by a forced release or with its session",
            _ => "it was given up",
        };
        let message = format!("{} was lost: {why}", self.noun.words(&self.name));
        Failure::new(exit::LOST, self.noun.lost_reason(), message)
            .next("whoever has it now has a higher token; give tokens to what it protects")
    }

    /// Gives it up.
    ///
    /// # Errors
    /// That it was lost before. If the cluster can't be told, people are, since it goes with its session then.
    pub async fn give_up(self, output: Output) -> Result<(), Failure> {
        let Self { noun, name, session, guard } = self;
        // When its TTL has passed there is nothing left to give up.
        let ttl = session.ttl();
        let given = tokio::time::timeout(ttl, release(guard, &session)).await;
        match given.unwrap_or_else(|_| Err(Error::Timeout { message: "release".to_owned() })) {
            Ok(()) => Ok(()),
            Err(Error::NotHeld { .. } | Error::SessionLost { .. }) => {
                let message = format!("{} was lost before it was given up", noun.words(&name));
                Err(Failure::new(exit::LOST, noun.lost_reason(), message)
                    .next("what was done last may have met another owner; give tokens to what it protects"))
            }
            Err(error) => {
                output.progress(&format!("ringfence: {} goes when its TTL has passed: {error}", noun.words(&name)));
                Ok(())
            }
        }
    }

    /// Leaves it to its TTL: nobody renews it, nobody gives it up.
    pub fn leave(self) {
        // Their destructors would give it up.
        std::mem::forget(self.guard);
        std::mem::forget(self.session);
    }
}

async fn release(guard: LockGuard, session: &Session) -> Result<(), Error> {
    let released = guard.release().await;
    // What was taken away from a session leaves it behind. Where the cluster can't be told of the one, it can't be
    // told of the other.
    let closed = match &released {
        Ok(()) | Err(Error::NotHeld { .. }) => session.close().await,
        Err(_) => Ok(()),
    };
    released.and(closed)
}

/// Runs a command while, and only while, the claim is held. The exit code is the command's.
pub async fn run_command(context: &Context, request: &Request<'_>, args: &RunArgs, variable: &str) -> Done {
    let mut signals = Signals::new()?;
    let held = acquire(context, &mut signals, request).await?;
    let mut environment = vec![
        (variable, request.name.to_owned()),
        ("RINGFENCE_TOKEN", held.claim().token.to_string()),
        ("RINGFENCE_SESSION", crate::output::session_hex(held.claim().session)),
        ("RINGFENCE_ENDPOINTS", context.endpoints.0.join(",")),
    ];
    environment.extend(context.tls.environment());
    match run::run(args, &environment, &mut signals, held.lost()).await {
        Ok(Ended::Exited(code)) => held.give_up(context.output).await.map(|()| code),
        Ok(Ended::Lost(loss)) => {
            let failure = held.loss(loss);
            // After a release by force the session lives on.
            if loss == Loss::Revoked {
                let _ = held.give_up(context.output).await;
            }
            Err(failure)
        }
        Err(failure) => {
            let _ = held.give_up(context.output).await;
            Err(failure)
        }
    }
}

/// The command as people wrote it, cut to what fits into a table.
pub fn purpose(args: &RunArgs) -> String {
    let words: Vec<_> = args.command.iter().map(|word| word.to_string_lossy()).collect();
    let text = words.join(" ");
    match text.char_indices().nth(PURPOSE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_of_sessions_are_cut_to_their_limit() {
        assert!(owner("./job.sh").ends_with("]: ./job.sh"));
        let long = owner(&"ä".repeat(400));
        assert!(long.len() <= OWNER_BYTES_MAX && long.len() >= OWNER_BYTES_MAX - 1);
    }
}
