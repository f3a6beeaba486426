//! No two clients were ever sure of the same exclusive lock at the same time: from the first moment at which a client
//! found itself its owner to the last one, no other client did.

use std::collections::BTreeMap;

use super::{History, Moment, Verdict, broken};

/// A client's time as an owner: what it was sure of at both ends it was sure of in between, since validity never comes back.
#[derive(Clone, Copy, Debug)]
struct Hold {
    client: u32,
    token: u64,
    first: Moment,
    last: Moment,
}

impl std::fmt::Display for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Hold { client, token, first, last } = self;
        write!(f, "client {client} with token {token}, from moment {first} to {last}")
    }
}

/// Checks all beliefs of `history`, lock by lock.
///
/// # Errors
/// The first two holds that overlap.
pub fn check(history: &History) -> Verdict {
    let mut holds: BTreeMap<(&str, u64, u32), Hold> = BTreeMap::new();
    for belief in &history.beliefs {
        let (client, token, at) = (belief.client, belief.token, belief.at);
        let hold = holds.entry((&belief.lock, token, client)).or_insert(Hold { client, token, first: at, last: at });
        hold.first = hold.first.min(at);
        hold.last = hold.last.max(at);
    }
    let mut locks: BTreeMap<&str, Vec<Hold>> = BTreeMap::new();
    for ((lock, ..), hold) in holds {
        locks.entry(lock).or_default().push(hold);
    }
    for (lock, mut holds) in locks {
        holds.sort_by_key(|hold| hold.first);
        for pair in holds.windows(2) {
            let [before, after] = pair else { continue };
            if after.first <= before.last {
                broken!("two were sure of lock {lock} at once: {before} and {after}");
            }
            if after.token <= before.token {
                broken!("lock {lock} went back to an older owner: {before}, and then {after}");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Belief;
    use super::*;

    fn verdict(beliefs: &[(u32, u64, u64)]) -> Verdict {
        let beliefs =
            beliefs.iter().map(|&(client, token, at)| Belief { client, lock: "l".into(), token, at }).collect();
        check(&History { calls: vec![], beliefs })
    }

    #[test]
    fn takes_one_after_the_other() {
        verdict(&[(1, 5, 0), (1, 5, 3), (2, 6, 4), (1, 8, 6), (2, 6, 5)]).unwrap();
    }

    #[test]
    fn rejects_two_at_once() {
        verdict(&[(1, 5, 0), (2, 6, 2), (1, 5, 3)]).unwrap_err();
    }

    #[test]
    fn rejects_one_within_the_other() {
        verdict(&[(1, 5, 0), (2, 6, 2), (2, 6, 3), (1, 5, 9)]).unwrap_err();
    }

    #[test]
    fn rejects_two_with_one_token() {
        verdict(&[(1, 5, 0), (2, 5, 2), (1, 5, 3)]).unwrap_err();
    }

    #[test]
    fn rejects_an_owner_that_comes_back() {
        verdict(&[(1, 5, 0), (2, 6, 2), (1, 4, 3)]).unwrap_err();
    }
}
