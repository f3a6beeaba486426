//! The tokens of a lock only grow: who was granted a lock after somebody else had been told of his grant has the greater
//! token. No token is ever two clients'.

use std::collections::BTreeMap;

use super::{Action, Call, Ended, History, Verdict, broken};

/// Checks all acquisitions of `history`, lock by lock.
///
/// # Errors
/// The first two grants for which it doesn't hold.
pub fn check(history: &History) -> Verdict {
    let mut locks: BTreeMap<&str, Vec<(&Call, u64)>> = BTreeMap::new();
    for call in &history.calls {
        if let (Action::Acquire { lock }, Ended::Ok(token)) = (&call.action, &call.ended) {
            locks.entry(lock).or_default().push((call, *token));
        }
    }
    let mut owners: BTreeMap<u64, &Call> = BTreeMap::new();
    for (lock, grants) in locks {
        for (call, token) in &grants {
            if *token == 0 {
                broken!("token 0 of lock {lock}: {call:?}");
            }
            if let Some(other) = owners.insert(*token, call)
                && (other.client != call.client || other.action != call.action)
            {
                broken!("token {token} was granted twice: {other:?} and {call:?}");
            }
        }
        growing(lock, grants)?;
    }
    Ok(())
}

fn growing(lock: &str, mut grants: Vec<(&Call, u64)>) -> Verdict {
    grants.sort_by_key(|(call, _)| call.start);
    let mut ends = grants.clone();
    ends.sort_by_key(|(call, _)| call.end);
    let mut ended = ends.into_iter().peekable();
    let mut newest: Option<(&Call, u64)> = None;
    for (call, token) in grants {
        while let Some(before) = ended.next_if(|(before, _)| before.end < call.start) {
            if newest.is_none_or(|(_, greatest)| before.1 > greatest) {
                newest = Some(before);
            }
        }
        if let Some((before, greatest)) = newest
            // The same claim asked for again has the same token.
            && (greatest > token || (greatest == token && before.client != call.client))
        {
            broken!("lock {lock} gave {greatest} first: {before:?}; and {token} afterwards: {call:?}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(client: u32, lock: &str, start: u64, end: u64, token: u64) -> Call {
        Call { client, start, end, action: Action::Acquire { lock: lock.into() }, ended: Ended::Ok(token) }
    }

    fn verdict(calls: Vec<Call>) -> Verdict {
        check(&History { calls, beliefs: vec![] })
    }

    #[test]
    fn takes_growing_tokens() {
        verdict(vec![
            grant(1, "a", 0, 1, 5),
            grant(2, "b", 2, 3, 4),
            grant(2, "a", 2, 8, 9),
            // Answered first, though granted later: both were on their way at once.
            grant(3, "a", 4, 7, 11),
            grant(3, "a", 9, 10, 11),
        ])
        .unwrap();
    }

    #[test]
    fn rejects_a_token_that_went_back() {
        verdict(vec![grant(1, "a", 0, 1, 5), grant(2, "a", 2, 3, 4)]).unwrap_err();
    }

    #[test]
    fn rejects_a_token_of_two_clients() {
        verdict(vec![grant(1, "a", 0, 1, 5), grant(2, "a", 2, 3, 5)]).unwrap_err();
        verdict(vec![grant(1, "a", 0, 3, 5), grant(2, "a", 1, 2, 5)]).unwrap_err();
    }

    #[test]
    fn rejects_a_token_of_two_locks() {
        verdict(vec![grant(1, "a", 0, 1, 5), grant(1, "b", 2, 3, 5)]).unwrap_err();
    }

    #[test]
    fn rejects_token_zero() {
        verdict(vec![grant(1, "a", 0, 1, 0)]).unwrap_err();
    }
}
