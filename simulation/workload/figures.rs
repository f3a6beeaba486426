//! How many operations of each kind there were, and how they ended.

use std::collections::BTreeMap;

use crate::history::{Action, Ended, History, Read, Told};

/// Operations of one kind, by their ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figure {
    /// Done.
    pub done: u64,
    /// Surely not done.
    pub refused: u64,
    /// Done or not done.
    pub unknown: u64,
}

/// Counts a history's operations by kind. What watchers were told counts as done, one by one.
#[must_use]
pub fn figures(history: &History) -> BTreeMap<&'static str, Figure> {
    let mut figures: BTreeMap<&'static str, Figure> = BTreeMap::new();
    for call in &history.calls {
        let figure = figures.entry(kind(&call.action)).or_default();
        match call.ended {
            Ended::Ok(_) => figure.done += 1,
            Ended::Refused(_) => figure.refused += 1,
            Ended::Unknown => figure.unknown += 1,
        }
    }
    for watch in &history.watches {
        let told = watch.told.iter().map(|(_, told)| told);
        figures.entry("watch").or_default().done += 1;
        for told in told {
            match told {
                Told::Snapshot { .. } => figures.entry("watch: snapshot").or_default().done += 1,
                Told::Events(events) => figures.entry("watch: event").or_default().done += events.len() as u64,
                Told::Progress { .. } => figures.entry("watch: progress").or_default().done += 1,
                Told::Compacted { .. } => figures.entry("watch: compacted").or_default().refused += 1,
                Told::Failed(_) => figures.entry("watch: failed").or_default().refused += 1,
            }
        }
    }
    if !history.beliefs.is_empty() {
        figures.entry("belief").or_default().done += history.beliefs.len() as u64;
    }
    figures
}

/// An action's kind, in words.
#[must_use]
pub fn kind(action: &Action) -> &'static str {
    match action {
        Action::Put { session: 0, .. } => "put",
        Action::Put { .. } => "put, numbered",
        Action::Swap { .. } => "swap",
        Action::Delete { .. } => "delete",
        Action::PutAll { .. } => "put all",
        Action::FencedPut { .. } => "fenced put",
        Action::Get { read: Read::Linearizable, .. } => "get",
        Action::Get { read: Read::Stale { .. }, .. } => "get, stale",
        Action::List { read: Read::Linearizable, .. } => "list",
        Action::List { read: Read::Stale { .. }, .. } => "list, stale",
        Action::OpenSession { .. } => "open session",
        Action::CloseSession { .. } => "close session",
        Action::Acquire { only_if_free: true, .. } => "try to acquire",
        Action::Acquire { .. } => "acquire",
        Action::Release { .. } => "release",
        Action::Describe { .. } => "describe",
        Action::Proclaim { .. } => "proclaim",
        Action::Compact { .. } => "compact",
        Action::Admin { .. } => "admin",
        Action::Register { .. } => "register",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Answer, Call};

    #[test]
    fn calls_count_by_kind_and_by_end() {
        let call = |action, ended| Call { client: 1, start: 0, end: 1, action, ended };
        let put = |session| Action::Put { key: "k".into(), value: "v".into(), session };
        let history = History {
            calls: vec![
                call(put(0), Ended::Ok(Answer::Wrote { revision: 1 })),
                call(put(0), Ended::Unknown),
                call(put(9), Ended::Refused("limit".into())),
            ],
            ..History::default()
        };
        let figures = figures(&history);
        assert_eq!(figures["put"], Figure { done: 1, refused: 0, unknown: 1 });
        assert_eq!(figures["put, numbered"], Figure { done: 0, refused: 1, unknown: 0 });
        assert_eq!(figures.len(), 2);
    }
}
