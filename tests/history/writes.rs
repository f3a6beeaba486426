//! Every acknowledged write is there, at the revision that was acknowledged; no refused write is there; nothing is there
//! that nobody wrote; and a write that was answered before another was sent has the smaller revision.

use std::collections::BTreeMap;

use super::{Action, Call, Ended, History, Verdict, Version, broken};

/// Checks all puts of `history` against `versions`, which must hold every version of every key that was written, since
/// the start. Values must be unique.
///
/// # Errors
/// The first write for which it doesn't hold.
pub fn check(history: &History, versions: &[Version]) -> Verdict {
    let mut stored: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for version in versions {
        if let Some(value) = &version.value
            && let Some(before) = stored.insert((&version.key, value), version.revision)
        {
            broken!(
                "{} = {value} was written once and is stored twice, at {before} and {}",
                version.key,
                version.revision
            );
        }
    }
    let mut asked = BTreeMap::new();
    for call in &history.calls {
        if let Some(write) = written(call)
            && let Some(other) = asked.insert(write, call)
        {
            broken!("the test is wrong: two calls write the same value: {other:?} and {call:?}");
        }
    }
    for (write, call) in &asked {
        match (&call.ended, stored.get(write)) {
            (Ended::Ok(revision), Some(at)) if revision == at => {}
            (Ended::Ok(revision), at) => {
                broken!("acknowledged at {revision}, but stored at {at:?}: {call:?}")
            }
            (Ended::Refused(_), Some(at)) => broken!("refused, but stored at {at}: {call:?}"),
            (Ended::Refused(_), None) | (Ended::Unknown, _) => {}
        }
    }
    for (write, revision) in &stored {
        let Some(call) = asked.get(write) else {
            broken!("nobody wrote {} = {}, which is stored at {revision}", write.0, write.1)
        };
        if call.start >= call.end {
            broken!("a call ended before it began: {call:?}");
        }
    }
    real_time(history)
}

fn written(call: &Call) -> Option<(&str, &str)> {
    match &call.action {
        Action::Put { key, value } | Action::FencedPut { key, value, .. } => Some((key, value)),
        Action::Acquire { .. } | Action::Release { .. } => None,
    }
}

/// If one acknowledged write ended before another started, its revision is smaller.
fn real_time(history: &History) -> Verdict {
    let mut done: Vec<(&Call, u64)> = history
        .calls
        .iter()
        .filter(|call| written(call).is_some())
        .filter_map(|call| if let Ended::Ok(revision) = call.ended { Some((call, revision)) } else { None })
        .collect();
    done.sort_by_key(|(call, _)| call.end);
    // In order of their starts, each write is compared with the greatest revision among all that ended before.
    let mut starts = done.clone();
    starts.sort_by_key(|(call, _)| call.start);
    let mut ended = done.into_iter().peekable();
    let mut newest: Option<(&Call, u64)> = None;
    for (call, revision) in starts {
        while let Some(before) = ended.next_if(|(before, _)| before.end < call.start) {
            if newest.is_none_or(|(_, greatest)| before.1 > greatest) {
                newest = Some(before);
            }
        }
        if let Some((before, greatest)) = newest
            && greatest >= revision
        {
            broken!("answered first with revision {greatest}: {before:?}; sent afterwards, got {revision}: {call:?}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(start: u64, end: u64, value: &str, ended: Ended) -> Call {
        Call { client: 1, start, end, action: Action::Put { key: "k".into(), value: value.into() }, ended }
    }

    fn stored(revision: u64, value: &str) -> Version {
        Version { revision, key: "k".into(), value: Some(value.into()) }
    }

    fn verdict(calls: Vec<Call>, versions: &[Version]) -> Verdict {
        check(&History { calls, beliefs: vec![] }, versions)
    }

    #[test]
    fn takes_what_can_have_been() {
        let calls = vec![
            put(0, 1, "a", Ended::Ok(1)),
            put(2, 5, "b", Ended::Ok(3)),
            put(3, 4, "c", Ended::Ok(2)),
            put(6, 7, "d", Ended::Unknown),
            put(8, 9, "e", Ended::Unknown),
            put(10, 11, "f", Ended::Refused("NO_LEADER".into())),
        ];
        let deleted = Version { revision: 5, key: "k".into(), value: None };
        verdict(calls, &[stored(1, "a"), stored(2, "c"), stored(3, "b"), stored(4, "d"), deleted]).unwrap();
    }

    #[test]
    fn rejects_a_lost_write() {
        verdict(vec![put(0, 1, "a", Ended::Ok(1))], &[]).unwrap_err();
    }

    #[test]
    fn rejects_a_write_at_another_revision() {
        verdict(vec![put(0, 1, "a", Ended::Ok(1))], &[stored(2, "a")]).unwrap_err();
    }

    #[test]
    fn rejects_a_write_done_twice() {
        verdict(vec![put(0, 1, "a", Ended::Ok(1))], &[stored(1, "a"), stored(2, "a")]).unwrap_err();
    }

    #[test]
    fn rejects_a_refused_write_that_is_there() {
        verdict(vec![put(0, 1, "a", Ended::Refused("x".into()))], &[stored(1, "a")]).unwrap_err();
    }

    #[test]
    fn rejects_a_write_that_nobody_made() {
        verdict(vec![], &[stored(1, "a")]).unwrap_err();
    }

    #[test]
    fn rejects_an_order_against_real_time() {
        let calls = vec![put(0, 1, "a", Ended::Ok(2)), put(2, 3, "b", Ended::Ok(1))];
        verdict(calls, &[stored(1, "b"), stored(2, "a")]).unwrap_err();
    }
}
