//! To its users each key is a register: there is an order of all calls about it, in accord with real time, in which each answer is right.
//!
//! Revisions play no part in it. A transaction over several keys is taken apart by key. A call without an answer may take effect at any time after its
//! start, or never; if somebody saw its value, it did, before that call ended. Stale reads say nothing here.

use std::collections::{BTreeMap, BTreeSet};

use super::Findings;
use super::facts::{Facts, say};
use super::search::{Model, Order, Timed, search};
use crate::history::{Action, Answer, Call, Ended, Read, Time};

/// For one key.
const STEPS_MAX: u64 = 1_000_000;

/// A value: 0 is none, 1 any that nobody speaks of.
type Value = u32;
const NONE: Value = 0;
const OTHER: Value = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Write(Value),
    /// Writes if the first is there.
    Swap(Value, Value),
    /// There is another one.
    IsNot(Value),
    Is(Value),
    Delete,
}

/// What calls without an answer may do: the effect, and when such calls began, in order.
struct Loose {
    effect: Op,
    starts: Vec<Time>,
}

struct Key {
    loose: Vec<Loose>,
}

/// The value, and how many of each kind of loose effects were used.
type State = (Value, Vec<u32>);

impl Model for Key {
    type State = State;
    type Op = Op;

    fn step(&self, (value, used): &State, op: &Op) -> Option<State> {
        Some((effect(*value, *op)?, used.clone()))
    }

    fn reads_only(&self, op: &Op) -> bool {
        matches!(op, Op::Is(_) | Op::IsNot(_))
    }

    fn by_itself(&self, (value, used): &State, until: Time) -> Vec<State> {
        let mut states = Vec::new();
        for (kind, loose) in self.loose.iter().enumerate() {
            let begun = loose.starts.partition_point(|start| *start <= until);
            if let Some(after) = effect(*value, loose.effect).filter(|after| after != value)
                && (used[kind] as usize) < begun
            {
                let mut used = used.clone();
                used[kind] += 1;
                states.push((after, used));
            }
        }
        states
    }
}

fn effect(value: Value, op: Op) -> Option<Value> {
    match op {
        Op::Write(new) => Some(new),
        Op::Swap(expected, new) => (value == expected).then_some(new),
        Op::IsNot(expected) => (value != expected).then_some(value),
        Op::Is(expected) => (value == expected).then_some(value),
        Op::Delete => (value != NONE).then_some(NONE),
    }
}

pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings) {
    let calls = &facts.history.calls;
    let seen = seen_by(calls);
    let spoken: BTreeSet<&str> = calls.iter().filter_map(expected).collect();
    let mut values: BTreeMap<&str, Value> = BTreeMap::new();
    let mut number = |value: &'_ str| -> Value {
        // Only what somebody saw or expected needs a number of its own.
        let Some((known, _)) = seen.get_key_value(value) else {
            let Some(known) = spoken.get(value) else { return OTHER };
            let next = u32::try_from(values.len()).unwrap_or(u32::MAX - 2) + 2;
            return *values.entry(known).or_insert(next);
        };
        let next = u32::try_from(values.len()).unwrap_or(u32::MAX - 2) + 2;
        *values.entry(known).or_insert(next)
    };
    let mut keys = BTreeMap::new();
    for call in calls {
        for key in written(call) {
            keys.entry(key).or_insert_with(Gathered::default);
        }
        if let Action::Get { key, .. } = &call.action {
            keys.entry(key.as_str()).or_insert_with(Gathered::default);
        }
    }
    for call in calls {
        gather(call, &seen, &mut number, &mut keys);
    }
    for (key, gathered) in keys {
        gathered.check(key, findings);
    }
}

/// The calls about one key.
#[derive(Default)]
struct Gathered<'a> {
    calls: Vec<(Timed<Op>, &'a Call)>,
    loose: Vec<Loose>,
}

impl<'a> Gathered<'a> {
    fn must(&mut self, call: &'a Call, end: Time, op: Op) {
        self.calls.push((Timed { start: call.start, end, op }, call));
    }

    fn may(&mut self, start: Time, effect: Op) {
        match self.loose.iter_mut().find(|loose| loose.effect == effect) {
            Some(loose) => loose.starts.push(start),
            None => self.loose.push(Loose { effect, starts: vec![start] }),
        }
    }

    fn check(mut self, key: &str, findings: &mut Findings) {
        self.calls.sort_by_key(|(timed, _)| timed.start);
        self.loose.iter_mut().for_each(|loose| loose.starts.sort_unstable());
        let (timed, calls): (Vec<_>, Vec<_>) = self.calls.into_iter().unzip();
        let initial = (NONE, vec![0; self.loose.len()]);
        match search(&Key { loose: self.loose }, &timed, initial, STEPS_MAX) {
            Order::Legal => {}
            Order::TooLong => findings.unknown(format!("{key}: no order in {STEPS_MAX} steps")),
            Order::None { stuck, .. } => {
                let call = calls[stuck];
                findings.broken(call.end, format!("{key}: no order of the calls explains {}", say(call)));
            }
        }
    }
}

/// The value that a comparison spoke of.
fn expected(call: &Call) -> Option<&str> {
    match &call.action {
        Action::Swap { expected, .. } => expected.as_deref(),
        _ => None,
    }
}

/// Which values somebody saw, and when that was certain first.
fn seen_by(calls: &[Call]) -> BTreeMap<&str, Time> {
    let mut seen: BTreeMap<&str, Time> = BTreeMap::new();
    let mut note = |value, end: Time| {
        let first = seen.entry(value).or_insert(end);
        *first = end.min(*first);
    };
    for call in calls {
        match (&call.action, &call.ended) {
            (
                Action::Get { read: Read::Linearizable, .. } | Action::List { read: Read::Linearizable, .. },
                Ended::Ok(Answer::Read { found, .. }),
            ) => found.iter().for_each(|seen| note(seen.value.as_str(), call.end)),
            (Action::Swap { expected: Some(expected), .. }, Ended::Ok(Answer::Wrote { .. })) => {
                note(expected, call.end)
            }
            _ => {}
        }
    }
    seen
}

fn written(call: &Call) -> Vec<&str> {
    match &call.action {
        Action::Put { key, .. } | Action::Swap { key, .. } | Action::Delete { key } | Action::FencedPut { key, .. } => {
            vec![key]
        }
        Action::PutAll { pairs } => pairs.iter().map(|(key, _)| key.as_str()).collect(),
        _ => Vec::new(),
    }
}

fn gather<'a>(
    call: &'a Call,
    seen: &BTreeMap<&'a str, Time>,
    number: &mut impl FnMut(&str) -> Value,
    keys: &mut BTreeMap<&'a str, Gathered<'a>>,
) {
    let changed = match &call.ended {
        Ended::Refused(_) => return,
        Ended::Ok(answer) => Some(!matches!(answer, Answer::Unchanged { .. })),
        Ended::Unknown => None,
    };
    let mut write = |key: &'a str, op: Op, refuted: Option<Op>, surely: Option<Time>| {
        let Some(gathered) = keys.get_mut(key) else { return };
        match (changed, surely) {
            (Some(true), _) => gathered.must(call, call.end, op),
            (Some(false), _) => refuted.into_iter().for_each(|op| gathered.must(call, call.end, op)),
            // Somebody saw it: so it was done, before that was over.
            (None, Some(end)) => gathered.must(call, end, op),
            (None, None) => gathered.may(call.start, op),
        }
    };
    match &call.action {
        Action::Put { key, value, .. } | Action::FencedPut { key, value, .. } => {
            write(key, Op::Write(number(value)), None, seen.get(value.as_str()).copied());
        }
        Action::Swap { key, expected, value } => {
            let expected = expected.as_deref().map_or(NONE, &mut *number);
            let op = Op::Swap(expected, number(value));
            write(key, op, Some(Op::IsNot(expected)), seen.get(value.as_str()).copied());
        }
        Action::Delete { key } => write(key, Op::Delete, Some(Op::Is(NONE)), None),
        Action::PutAll { pairs } => {
            // Who saw one of them saw all of them done.
            let surely = pairs.iter().filter_map(|(_, value)| seen.get(value.as_str())).min().copied();
            for (key, value) in pairs {
                write(key, Op::Write(number(value)), None, surely);
            }
        }
        Action::Get { key, read: Read::Linearizable } => {
            if let Ended::Ok(Answer::Read { found, .. }) = &call.ended
                && let Some(gathered) = keys.get_mut(key.as_str())
            {
                gathered.must(call, call.end, Op::Is(found.first().map_or(NONE, |seen| number(&seen.value))));
            }
        }
        Action::List { prefix, read: Read::Linearizable } => {
            if let Ended::Ok(Answer::Read { found, .. }) = &call.ended {
                let found: BTreeMap<&str, &str> = found.iter().map(|seen| (&*seen.key, &*seen.value)).collect();
                let under = keys.range_mut(prefix.as_str()..).take_while(|(key, _)| key.starts_with(prefix));
                for (key, gathered) in under {
                    gathered.must(call, call.end, Op::Is(found.get(key).map_or(NONE, |value| number(value))));
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::hand::*;
    use super::check;
    use crate::history::{Action, Ended, Seen};

    fn x() -> [Seen; 1] {
        [seen("k", "x", 0)]
    }
    fn y() -> [Seen; 1] {
        [seen("k", "y", 0)]
    }

    #[test]
    fn calls_at_once_may_take_any_order() {
        accepts(
            check,
            &calls(vec![
                call(1, 10, 40, put("k", "x"), wrote(0)),
                call(2, 10, 40, put("k", "y"), wrote(0)),
                call(3, 20, 30, get("k"), read(&y(), 0)),
                call(3, 50, 60, get("k"), read(&x(), 0)),
                call(3, 50, 60, swap("k", Some("y"), "z"), unchanged(0)),
                call(3, 70, 80, delete("k"), wrote(0)),
                call(3, 85, 90, delete("k"), unchanged(0)),
                call(1, 91, 95, swap("k", None, "a"), wrote(0)),
            ]),
        );
    }

    #[test]
    fn a_call_without_an_answer_may_be_done_late_or_never() {
        let lost = || call(1, 10, 20, put("k", "x"), Ended::Unknown);
        let later = |first: &[Seen], second: &[Seen]| {
            calls(vec![lost(), call(2, 30, 40, get("k"), read(first, 0)), call(2, 50, 60, get("k"), read(second, 0))])
        };
        accepts(check, &later(&[], &[]));
        accepts(check, &later(&[], &x()));
        accepts(check, &later(&x(), &x()));
        rejects(check, &later(&x(), &[]), "no order");
        // One that nobody ever saw may still be what made others fail.
        let hidden =
            vec![lost(), call(2, 30, 40, swap("k", None, "y"), unchanged(0)), call(2, 50, 60, delete("k"), wrote(0))];
        accepts(check, &calls(hidden));
        let gone = vec![
            call(2, 1, 9, put("k", "x"), wrote(0)),
            call(1, 10, 20, delete("k"), Ended::Unknown),
            call(2, 30, 40, get("k"), read(&x(), 0)),
            call(2, 50, 60, get("k"), read(&[], 0)),
        ];
        accepts(check, &calls(gone));
    }

    #[test]
    fn a_value_that_comes_back_is_rejected() {
        let history = calls(vec![
            call(1, 10, 20, put("k", "x"), wrote(0)),
            call(1, 30, 40, put("k", "y"), wrote(0)),
            call(2, 50, 60, get("k"), read(&x(), 0)),
        ]);
        rejects(check, &history, "client 2");
        // An unanswered write is done once, not twice.
        rejects(
            check,
            &calls(vec![
                call(1, 10, 20, put("k", "x"), Ended::Unknown),
                call(2, 30, 40, get("k"), read(&x(), 0)),
                call(2, 50, 60, put("k", "y"), wrote(0)),
                call(2, 70, 80, get("k"), read(&x(), 0)),
            ]),
            "no order",
        );
    }

    #[test]
    fn a_lost_or_early_or_refused_write_is_rejected() {
        let lost = calls(vec![call(1, 10, 20, put("k", "x"), wrote(0)), call(2, 30, 40, get("k"), read(&[], 0))]);
        rejects(check, &lost, "no order");
        let early = calls(vec![call(2, 10, 20, get("k"), read(&x(), 0)), call(1, 30, 40, put("k", "x"), wrote(0))]);
        rejects(check, &early, "no order");
        let denied = calls(vec![call(1, 10, 20, put("k", "x"), refused()), call(2, 30, 40, get("k"), read(&x(), 0))]);
        rejects(check, &denied, "no order");
        let back = calls(vec![
            call(1, 10, 90, put("k", "x"), wrote(0)),
            call(2, 20, 30, get("k"), read(&x(), 0)),
            call(3, 40, 50, get("k"), read(&[], 0)),
        ]);
        rejects(check, &back, "client 3");
    }

    #[test]
    fn comparisons_that_lie_are_rejected() {
        let first = || call(1, 10, 20, put("k", "x"), wrote(0));
        let then = |action, ended| calls(vec![first(), call(2, 30, 40, action, ended)]);
        rejects(check, &then(swap("k", Some("x"), "y"), unchanged(0)), "no order");
        rejects(check, &then(swap("k", None, "y"), wrote(0)), "no order");
        rejects(check, &then(delete("k"), unchanged(0)), "no order");
        let two = vec![
            first(),
            call(2, 30, 60, swap("k", Some("x"), "y"), wrote(0)),
            call(3, 30, 60, swap("k", Some("x"), "z"), wrote(0)),
        ];
        rejects(check, &calls(two), "no order");
    }

    #[test]
    fn who_sees_a_part_of_a_transaction_saw_it_done() {
        let both = Action::PutAll { pairs: vec![("k".into(), "x".into()), ("l".into(), "v".into())] };
        let seen_then = |found: &[Seen]| {
            calls(vec![
                call(1, 10, 20, both.clone(), Ended::Unknown),
                call(2, 30, 40, get("k"), read(&x(), 0)),
                call(2, 50, 60, get("l"), read(found, 0)),
            ])
        };
        accepts(check, &seen_then(&[seen("l", "v", 0)]));
        rejects(check, &seen_then(&[]), "l: no order");
    }

    #[test]
    fn a_long_history_with_many_at_once_is_decided() {
        let mut all = Vec::new();
        for round in 0..500u64 {
            for client in 1..=8u64 {
                let value = format!("{round}-{client}");
                let ended = if client == 8 { Ended::Unknown } else { wrote(0) };
                all.push(call(client as u32, round * 100 + client, round * 100 + 60 - client, put("k", &value), ended));
            }
            let last = format!("{round}-{}", round % 7 + 1);
            all.push(call(9, round * 100 + 70, round * 100 + 80, get("k"), read(&[seen("k", &last, 0)], 0)));
        }
        accepts(check, &calls(all));
    }
}
