//! Each acknowledged write is there exactly once, one that was refused isn't, and one without an answer at most once.

use std::collections::BTreeMap;

use super::Findings;
use super::facts::{Facts, say};
use crate::history::{Action, Answer, Call, Ended, Version};

/// Versions by their values, which are unique.
type ByValue<'a> = BTreeMap<&'a str, Vec<&'a Version>>;

pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings) {
    let mut by_value = ByValue::new();
    for (_, version) in &facts.versions {
        if let Some(value) = &version.value {
            by_value.entry(value).or_default().push(version);
        }
    }
    let mut asked: BTreeMap<&str, &str> = BTreeMap::new();
    for call in &facts.history.calls {
        let writes = writes(call);
        if let Some(what) = wrong(call, &writes, &by_value) {
            findings.broken(call.end, format!("{what}: {}", say(call)));
        }
        asked.extend(writes.iter().map(|(key, value)| (*value, *key)));
    }
    from_nowhere(facts, &asked, findings);
    deletions(facts, findings);
}

fn writes(call: &Call) -> Vec<(&str, &str)> {
    match &call.action {
        Action::Put { key, value, .. } | Action::Swap { key, value, .. } | Action::FencedPut { key, value, .. } => {
            vec![(key, value)]
        }
        Action::PutAll { pairs } => pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect(),
        _ => Vec::new(),
    }
}

fn wrong(call: &Call, writes: &[(&str, &str)], by_value: &ByValue<'_>) -> Option<String> {
    let mut made = Vec::new();
    for (key, value) in writes {
        let versions = by_value.get(value).map(Vec::as_slice).unwrap_or_default();
        if versions.len() > 1 {
            let revisions: Vec<u64> = versions.iter().map(|version| version.revision).collect();
            return Some(format!("done more than once, in revisions {revisions:?}"));
        }
        if let Some(version) = versions.iter().find(|version| version.key != *key) {
            return Some(format!("it was written to {}", version.key));
        }
        made.push(versions.first().map(|version| version.revision));
    }
    if made.windows(2).any(|pair| pair[0] != pair[1]) {
        return Some(format!("done in parts, in revisions {made:?}"));
    }
    let made = *made.first()?;
    match (&call.ended, made) {
        (Ended::Ok(Answer::Wrote { revision }), made) if made != Some(*revision) => {
            Some(format!("acknowledged with revision {revision}, and done in {made:?}"))
        }
        (Ended::Ok(Answer::Unchanged { .. }) | Ended::Refused(_), Some(made)) => {
            Some(format!("not done, it was said, and done in revision {made}"))
        }
        _ => None,
    }
}

/// Only calls write to the keys that calls write to.
fn from_nowhere(facts: &Facts<'_>, asked: &BTreeMap<&str, &str>, findings: &mut Findings) {
    let keys: std::collections::BTreeSet<&str> = asked.values().copied().collect();
    for (index, version) in &facts.versions {
        if let Some(value) = version.value.as_deref()
            && keys.contains(version.key.as_str())
            && !asked.contains_key(value)
        {
            findings.broken(facts.shown_at(*index), format!("nobody asked for {version:?}"));
        }
    }
}

/// Each deletion was somebody's, and no two calls share one.
fn deletions(facts: &Facts<'_>, findings: &mut Findings) {
    let mut asked: BTreeMap<&str, (Vec<u64>, usize)> = BTreeMap::new();
    for call in &facts.history.calls {
        let Action::Delete { key } = &call.action else { continue };
        let (done, unsure) = asked.entry(key).or_default();
        match &call.ended {
            Ended::Ok(Answer::Wrote { revision }) if done.contains(revision) => {
                findings.broken(call.end, format!("two calls were told of one deletion: {}", say(call)));
            }
            Ended::Ok(Answer::Wrote { revision }) => done.push(*revision),
            Ended::Unknown => *unsure += 1,
            _ => {}
        }
    }
    for (key, (done, mut unsure)) in asked {
        for version in facts.by_key.get(key).into_iter().flatten().filter(|version| version.value.is_none()) {
            if !done.contains(&version.revision) {
                if unsure == 0 {
                    let at = facts.made_in.get(&version.revision).map_or(0, |index| facts.shown_at(*index));
                    findings
                        .broken(at, format!("nobody asked for the deletion of {key} in revision {}", version.revision));
                    break;
                }
                unsure -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::hand::*;
    use super::check;
    use crate::history::*;

    fn one(action: Action, ended: Ended, made: &[Version]) -> History {
        let mut history = calls(vec![call(1, 10, 20, action, ended)]);
        log(&mut history, made.iter().map(|version| (15, changes(std::slice::from_ref(version)))).collect());
        history
    }

    fn both() -> Action {
        Action::PutAll { pairs: vec![("a".into(), "x".into()), ("b".into(), "y".into())] }
    }

    #[test]
    fn one_effect_is_accepted() {
        let x = version(1, "a", Some("x"));
        accepts(check, &one(put("a", "x"), wrote(1), std::slice::from_ref(&x)));
        accepts(check, &one(put("a", "x"), Ended::Unknown, std::slice::from_ref(&x)));
        accepts(check, &one(put("a", "x"), Ended::Unknown, &[]));
        accepts(check, &one(swap("a", None, "x"), unchanged(3), &[]));
        accepts(check, &one(put("a", "x"), refused(), &[]));
        accepts(check, &one(both(), Ended::Unknown, &[]));
        accepts(check, &one(delete("a"), Ended::Unknown, &[version(1, "a", None)]));
        accepts(check, &one(put("a", "x"), wrote(1), &[x, version(2, "lock/1", Some("value of a claim"))]));
    }

    #[test]
    fn two_effects_are_rejected() {
        let twice = [version(1, "a", Some("x")), version(2, "a", Some("x"))];
        rejects(check, &one(put("a", "x"), wrote(1), &twice), "more than once");
        rejects(check, &one(put("a", "x"), Ended::Unknown, &twice), "more than once");
        rejects(check, &one(delete("a"), wrote(1), &[version(1, "a", None), version(2, "a", None)]), "nobody asked");
        rejects(
            check,
            &one(delete("a"), Ended::Unknown, &[version(1, "a", None), version(2, "a", None)]),
            "nobody asked",
        );
        let mut shared = one(delete("a"), wrote(1), &[version(1, "a", None)]);
        shared.calls.push(call(2, 11, 21, delete("a"), wrote(1)));
        rejects(check, &shared, "two calls");
    }

    #[test]
    fn an_effect_that_was_denied_is_rejected() {
        let x = [version(1, "a", Some("x"))];
        rejects(check, &one(put("a", "x"), refused(), &x), "not done");
        rejects(check, &one(swap("a", None, "x"), unchanged(0), &x), "not done");
        rejects(check, &one(put("a", "x"), wrote(7), &x), "revision 7");
        rejects(check, &one(put("a", "x"), wrote(1), &[]), "acknowledged");
    }

    #[test]
    fn parts_and_strangers_are_rejected() {
        rejects(check, &one(both(), Ended::Unknown, &[version(1, "a", Some("x"))]), "in parts");
        let two = [version(1, "a", Some("x")), version(2, "b", Some("y"))];
        rejects(check, &one(both(), wrote(1), &two), "in parts");
        rejects(check, &one(put("a", "x"), wrote(1), &[version(1, "b", Some("x"))]), "written to b");
        let strange = [version(1, "a", Some("x")), version(2, "a", Some("?"))];
        rejects(check, &one(put("a", "x"), wrote(1), &strange), "nobody asked");
    }
}
