//! A watcher saw every change of its range once, in order of revisions, no revision in two parts, and nothing else.

use std::collections::BTreeSet;

use super::{Verdict, Version, broken};

/// Checks what a watcher got, message by message, against `versions`: all changes in the watch's range from its first
/// revision to `until`, the last one that it was to see.
///
/// # Errors
/// The first event that is missing, doubled, out of order, split or wrong.
pub fn check(messages: &[Vec<Version>], versions: &[Version], until: u64) -> Verdict {
    let mut last = 0;
    let mut seen = BTreeSet::new();
    for message in messages {
        if let Some(first) = message.first()
            && first.revision <= last
        {
            broken!("a message begins with {first:?}, after one that ended with revision {last}");
        }
        for event in message {
            if event.revision < last {
                broken!("out of order, after revision {last}: {event:?}");
            }
            last = event.revision;
            if !seen.insert(event.clone()) {
                broken!("seen twice: {event:?}");
            }
        }
    }
    let expected: BTreeSet<Version> = versions.iter().filter(|version| version.revision <= until).cloned().collect();
    seen.retain(|version| version.revision <= until);
    if let Some(missing) = expected.difference(&seen).next() {
        broken!("never seen: {missing:?}");
    }
    if let Some(invented) = seen.difference(&expected).next() {
        broken!("seen, but it never was: {invented:?}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(revision: u64, key: &str) -> Version {
        Version { revision, key: key.into(), value: Some(format!("{key}{revision}")) }
    }

    fn all() -> Vec<Version> {
        vec![at(1, "a"), at(2, "a"), at(2, "b"), at(3, "a")]
    }

    #[test]
    fn takes_everything_once() {
        check(&[vec![at(1, "a")], vec![at(2, "b"), at(2, "a"), at(3, "a")]], &all(), 3).unwrap();
        check(&[vec![at(1, "a")], vec![at(2, "b"), at(2, "a"), at(3, "a")]], &all(), 2).unwrap();
    }

    #[test]
    fn rejects_a_gap() {
        check(&[vec![at(1, "a")], vec![at(3, "a")]], &all(), 3).unwrap_err();
        check(&[vec![at(1, "a"), at(2, "a"), at(3, "a")]], &all(), 3).unwrap_err();
    }

    #[test]
    fn rejects_a_missing_end() {
        check(&[vec![at(1, "a"), at(2, "a"), at(2, "b")]], &all(), 3).unwrap_err();
    }

    #[test]
    fn rejects_a_double() {
        check(&[vec![at(1, "a")], vec![at(1, "a")], vec![at(2, "a"), at(2, "b"), at(3, "a")]], &all(), 3).unwrap_err();
        check(&[vec![at(1, "a"), at(1, "a"), at(2, "a"), at(2, "b"), at(3, "a")]], &all(), 3).unwrap_err();
    }

    #[test]
    fn rejects_a_wrong_order() {
        check(&[vec![at(2, "a"), at(2, "b"), at(1, "a"), at(3, "a")]], &all(), 3).unwrap_err();
    }

    #[test]
    fn rejects_a_split_revision() {
        check(&[vec![at(1, "a"), at(2, "a")], vec![at(2, "b"), at(3, "a")]], &all(), 3).unwrap_err();
    }

    #[test]
    fn rejects_what_never_was() {
        check(&[vec![at(1, "a"), at(1, "z"), at(2, "a"), at(2, "b"), at(3, "a")]], &all(), 3).unwrap_err();
    }

    #[test]
    fn rejects_another_value() {
        let wrong = Version { value: None, ..at(3, "a") };
        check(&[vec![at(1, "a"), at(2, "a"), at(2, "b"), wrong]], &all(), 3).unwrap_err();
    }
}
