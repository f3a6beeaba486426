//! The search for a legal order of calls: Wing & Gong's, with Lowe's memory of what was tried ("Testing and verifying concurrent objects", 1993;
//! "Testing for linearizability", 2017).
//!
//! Calls are taken one by one, each while all calls that ended before its start were taken, until all are or nothing fits; then the last
//! choice is taken back. A pair of *which calls were taken* and *which state that led to* is tried once. Three things keep it short:
//! a call that changes nothing and fits now is taken at once, since it can't fit better later; among the others the one that ended first is tried
//! first; and effects that nobody waited for (of calls without an answer, of expiry) are part of the model, not of the calls.
//!
//! Of the crates for this, `todc-utils` knows no calls without an answer; `stateright` has one, as a part of a model checker that comes with it, for
//! histories that fit its actors.

use std::collections::HashSet;
use std::hash::Hash;

use crate::history::Time;

/// A call that must have its place in the order.
#[derive(Clone, Debug)]
pub(super) struct Timed<O> {
    pub start: Time,
    pub end: Time,
    pub op: O,
}

/// What calls do to an object.
pub(super) trait Model {
    type State: Clone + Eq + Hash;
    type Op;

    /// The state after the call, if it can be answered so in this state.
    fn step(&self, state: &Self::State, op: &Self::Op) -> Option<Self::State>;

    /// The call never changes anything.
    fn reads_only(&self, op: &Self::Op) -> bool;

    /// States to which it may go by itself, by things that began by this moment.
    fn by_itself(&self, state: &Self::State, until: Time) -> Vec<Self::State>;
}

/// What came out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Order<S> {
    /// There is a legal order.
    Legal,
    /// There is none. The call that could not be placed in the attempt that came farthest, and the state there.
    None { stuck: usize, state: S },
    /// Given up.
    TooLong,
}

/// Calls in order of their starts, with those that were taken unlinked.
struct Left {
    next: Vec<usize>,
    before: Vec<usize>,
    taken: Vec<u64>,
    count: usize,
}

impl Left {
    /// Calls stand at their number plus one, the head at 0; past the last is the head again.
    fn all(count: usize) -> Self {
        let next = (0..=count).map(|at| if at == count { 0 } else { at + 1 }).collect();
        let before = (0..=count).map(|at| if at == 0 { count } else { at - 1 }).collect();
        Self { next, before, taken: vec![0; count / 64 + 1], count }
    }

    fn take(&mut self, call: usize) {
        let (before, next) = (self.before[call + 1], self.next[call + 1]);
        self.next[before] = next;
        self.before[next] = before;
        self.taken[call / 64] |= 1 << (call % 64);
        self.count -= 1;
    }

    /// Undoes the last [`Self::take`].
    fn put_back(&mut self, call: usize) {
        let (before, next) = (self.before[call + 1], self.next[call + 1]);
        self.next[before] = call + 1;
        self.before[next] = call + 1;
        self.taken[call / 64] &= !(1 << (call % 64));
        self.count += 1;
    }
}

/// A place in the search.
struct Place<S> {
    /// Calls taken on the way here from the place before.
    taken: Vec<usize>,
    /// What is to be tried from here, the best last.
    choices: Vec<(Option<usize>, S)>,
}

/// Searches, in at most so many steps. `calls` must be in order of their starts.
pub(super) fn search<M: Model>(
    model: &M,
    calls: &[Timed<M::Op>],
    initial: M::State,
    steps_max: u64,
) -> Order<M::State> {
    let mut search =
        Search { model, calls, left: Left::all(calls.len()), seen: HashSet::new(), farthest: None, steps: steps_max };
    search.run(initial)
}

struct Search<'a, M: Model> {
    model: &'a M,
    calls: &'a [Timed<M::Op>],
    left: Left,
    seen: HashSet<(usize, Box<[u64]>, M::State)>,
    /// How many calls were left, the first of them that ended, and the state.
    farthest: Option<(usize, usize, M::State)>,
    steps: u64,
}

impl<M: Model> Search<'_, M> {
    fn run(&mut self, initial: M::State) -> Order<M::State> {
        let mut places = Vec::new();
        places.extend(self.enter(None, initial));
        while self.left.count > 0 {
            if self.steps == 0 {
                return Order::TooLong;
            }
            let Some(place) = places.last_mut() else {
                return match self.farthest.take() {
                    Some((_, stuck, state)) => Order::None { stuck, state },
                    None => Order::TooLong,
                };
            };
            match place.choices.pop() {
                Some((call, state)) => places.extend(self.enter(call, state)),
                None => {
                    let place = places.pop();
                    place.iter().flat_map(|place| place.taken.iter().rev()).for_each(|call| self.left.put_back(*call));
                }
            }
        }
        Order::Legal
    }

    /// Goes one step on, and looks what can be done from there; `None` if that was tried before.
    fn enter(&mut self, call: Option<usize>, state: M::State) -> Option<Place<M::State>> {
        let mut taken = Vec::new();
        if let Some(call) = call {
            self.left.take(call);
            taken.push(call);
        }
        let (choices, reach, until) = loop {
            let (until, first) = self.until();
            let open = self.open(until);
            let reads = open.iter().filter(|call| self.model.reads_only(&self.calls[**call].op));
            let fits: Vec<usize> =
                reads.filter(|call| self.model.step(&state, &self.calls[**call].op).is_some()).copied().collect();
            if fits.is_empty() {
                self.note(first, &state);
                break (open, self.reach(until), until);
            }
            for call in fits {
                self.left.take(call);
                taken.push(call);
            }
        };
        if self.left.count > 0 && !self.news(reach, &state) {
            taken.iter().rev().for_each(|call| self.left.put_back(*call));
            return None;
        }
        let choices = self.choices(choices, &state, until);
        Some(Place { taken, choices })
    }

    /// Everything taken next must have begun by the end of the first call that ended; and which that is.
    fn until(&self) -> (Time, usize) {
        let (mut until, mut first, mut at) = (Time::MAX, 0, self.left.next[0]);
        while at != 0 && self.calls[at - 1].start <= until {
            if self.calls[at - 1].end < until {
                (until, first) = (self.calls[at - 1].end, at - 1);
            }
            at = self.left.next[at];
        }
        (until, first)
    }

    fn open(&self, until: Time) -> Vec<usize> {
        let mut open = Vec::new();
        let mut at = self.left.next[0];
        while at != 0 && self.calls[at - 1].start <= until {
            open.push(at - 1);
            at = self.left.next[at];
        }
        open
    }

    /// Calls from here on began too late to have been taken.
    fn reach(&self, until: Time) -> usize {
        self.calls.partition_point(|call| call.start <= until)
    }

    fn news(&mut self, reach: usize, state: &M::State) -> bool {
        self.steps = self.steps.saturating_sub(1);
        let head = self.left.next[0].saturating_sub(1) / 64;
        let words = self.left.taken.get(head..(reach / 64 + 1).min(self.left.taken.len())).unwrap_or_default();
        self.seen.insert((head, words.into(), state.clone()))
    }

    fn choices(&mut self, open: Vec<usize>, state: &M::State, until: Time) -> Vec<(Option<usize>, M::State)> {
        let mut calls: Vec<usize> =
            open.into_iter().filter(|call| !self.model.reads_only(&self.calls[*call].op)).collect();
        calls.sort_by_key(|call| std::cmp::Reverse(self.calls[*call].end));
        self.steps = self.steps.saturating_sub(calls.len() as u64);
        let alone = self.model.by_itself(state, until).into_iter().map(|state| (None, state));
        let called =
            calls.into_iter().filter_map(|call| Some((Some(call), self.model.step(state, &self.calls[call].op)?)));
        alone.chain(called).collect()
    }

    fn note(&mut self, first: usize, state: &M::State) {
        let left = self.left.count;
        if left > 0 && self.farthest.as_ref().is_none_or(|(fewest, ..)| left < *fewest) {
            self.farthest = Some((left, first, state.clone()));
        }
    }
}
