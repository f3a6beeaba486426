//! Every acknowledged write is in the log as it was applied, and what is there at the end is what the log made.

use std::collections::BTreeMap;

use super::Findings;
use super::facts::{Facts, say};
use crate::history::{Action, Answer, Call, Ended};

pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings) {
    for call in &facts.history.calls {
        if let (Ended::Ok(Answer::Wrote { revision }), Some(missing)) = (&call.ended, missing(facts, call)) {
            findings.broken(call.end, format!("lost: revision {revision} doesn't have {missing}; {}", say(call)));
        }
    }
    last(facts, findings);
}

/// Something that the call was told is written, and isn't.
fn missing(facts: &Facts<'_>, call: &Call) -> Option<String> {
    let Ended::Ok(Answer::Wrote { revision }) = &call.ended else { return None };
    let writes: Vec<(&str, Option<&str>)> = match &call.action {
        Action::Put { key, value, .. } | Action::Swap { key, value, .. } | Action::FencedPut { key, value, .. } => {
            vec![(key, Some(value))]
        }
        Action::Delete { key } => vec![(key, None)],
        Action::PutAll { pairs } => pairs.iter().map(|(key, value)| (key.as_str(), Some(value.as_str()))).collect(),
        _ => return None,
    };
    let stands = |key: &str, value: Option<&str>| {
        let versions = facts.by_key.get(key).map(Vec::as_slice).unwrap_or_default();
        versions.iter().any(|version| version.revision == *revision && version.value.as_deref() == value)
    };
    let lost = writes.into_iter().find(|(key, value)| !stands(key, *value));
    lost.map(|(key, value)| format!("{key} = {value:?}"))
}

fn last(facts: &Facts<'_>, findings: &mut Findings) {
    let history = facts.history;
    let until = facts.last_revision();
    if history.last.is_empty() && history.liveness.iter().any(|tried| tried.done.is_none()) {
        findings.unknown("the keyspace couldn't be read at the end");
        return;
    }
    let mut read: BTreeMap<&str, (&str, u64)> = BTreeMap::new();
    for seen in &history.last {
        read.insert(&seen.key, (&seen.value, seen.mod_revision));
    }
    for key in facts.by_key.keys() {
        let (made, found) = (facts.value_at(key, until), read.remove(key));
        if made != found {
            findings.broken(history.end, format!("the log left {key} = {made:?}, and at the end there is {found:?}"));
        }
    }
    for (key, found) in read {
        findings.broken(history.end, format!("at the end there is {key} = {found:?}, which the log never made"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::hand::*;
    use super::check;
    use crate::history::*;

    fn written() -> History {
        let mut history = calls(vec![
            call(1, 10, 20, put("a", "x"), wrote(1)),
            call(
                1,
                30,
                40,
                Action::PutAll { pairs: vec![("a".into(), "y".into()), ("b".into(), "z".into())] },
                wrote(2),
            ),
            call(1, 50, 60, delete("a"), wrote(3)),
            call(2, 50, 60, put("c", "maybe"), Ended::Unknown),
        ]);
        let second = [version(2, "a", Some("y")), version(2, "b", Some("z"))];
        let first = changes(&[version(1, "a", Some("x"))]);
        log(&mut history, vec![(15, first), (35, changes(&second)), (55, changes(&[version(3, "a", None)]))]);
        history.last = vec![seen("b", "z", 2)];
        history
    }

    #[test]
    fn what_was_acknowledged_and_stays_is_accepted() {
        accepts(check, &written());
        let mut early = written();
        (early.last, early.last_revision) = (vec![seen("a", "y", 2), seen("b", "z", 2)], 2);
        accepts(check, &early);
    }

    #[test]
    fn a_lost_write_is_rejected() {
        let mut history = written();
        history.entries.remove(&1);
        rejects(check, &history, "revision 1");
        let mut history = written();
        history.entries.get_mut(&2).unwrap().changes.pop();
        rejects(check, &history, "b = Some");
        let mut history = written();
        history.entries.remove(&3);
        rejects(check, &history, "a = None");
    }

    #[test]
    fn another_keyspace_at_the_end_is_rejected() {
        for last in
            [vec![], vec![seen("b", "y", 2)], vec![seen("b", "z", 2), seen("d", "?", 9)], vec![seen("b", "z", 1)]]
        {
            let history = History { last, ..written() };
            rejects(check, &history, "at the end");
        }
    }
}
