//! What an error of the client means for the history: surely not done, or not known.

use ringfence_client::Error;

use crate::history::Ended;

/// Of a write that is sent once, or with a number: the client itself tells the unknown ones apart.
pub(super) fn write(error: &Error) -> Ended {
    match error {
        Error::Unavailable { .. }
        | Error::SessionLost { .. }
        | Error::LockHeld { .. }
        | Error::NotHeld { .. }
        | Error::Compacted { .. }
        | Error::Refused { .. }
        | Error::InvalidArgument { .. } => refused(error),
        _ => Ended::Unknown,
    }
}

/// Of a call that the client repeats since twice is the same as once: what it is refused with is the last attempt's answer. So it
/// counts only if no attempt was left without an answer.
pub(super) fn repeated(error: &Error, all_answered: bool) -> Ended {
    match error {
        Error::Unavailable { .. } => refused(error),
        _ if all_answered => write(error),
        _ => Ended::Unknown,
    }
}

/// Of a call that the client takes up again in the background if it fails: only the refusal of the cluster ends it.
pub(super) fn pursued(error: &Error, all_answered: bool) -> Ended {
    match error {
        Error::NotHeld { .. } | Error::Refused { .. } if all_answered => refused(error),
        _ => Ended::Unknown,
    }
}

/// Of a read, which has no effect.
pub(super) fn read(error: &Error) -> Ended {
    match error {
        Error::Timeout { .. } | Error::Unknown { .. } | Error::Protocol { .. } => Ended::Unknown,
        _ => refused(error),
    }
}

fn refused(error: &Error) -> Ended {
    Ended::Refused(error.kind().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_surely_was_not_done_is_refused() {
        let message = String::new;
        let surely = Error::Unavailable { message: message() };
        assert_eq!(write(&surely), Ended::Refused("unavailable".into()));
        assert_eq!(repeated(&surely, false), Ended::Refused("unavailable".into()));
        assert_eq!(pursued(&surely, true), Ended::Unknown, "it goes on in the background");
        for unsure in [
            Error::Unknown { message: message() },
            Error::Timeout { message: message() },
            Error::Protocol { message: message() },
            Error::AnswerLost { revision: 1, succeeded: true },
            Error::Closed,
        ] {
            assert_eq!(write(&unsure), Ended::Unknown);
            assert_eq!(repeated(&unsure, true), Ended::Unknown);
            assert_eq!(pursued(&unsure, true), Ended::Unknown);
        }
    }

    #[test]
    fn a_refusal_after_a_lost_answer_is_the_last_attempt_s_alone() {
        let held = Error::LockHeld { message: String::new() };
        assert_eq!(repeated(&held, true), Ended::Refused("lock_held".into()));
        assert_eq!(repeated(&held, false), Ended::Unknown);
        let gone = Error::NotHeld { token: 3, message: String::new() };
        assert_eq!(pursued(&gone, true), Ended::Refused("not_held".into()));
        assert_eq!(pursued(&gone, false), Ended::Unknown);
    }
}
