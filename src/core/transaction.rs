//! Transactions: compare, then do one list of operations or the other, all in one revision or not at all.
//!
//! All that can refuse is found by [`plan`] before anything is written. That works because no key is written
//! twice: what a plan finds out about a key still holds when its operation comes.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, Bytes, BytesMut};

use crate::check::{SEQUENTIAL_DIGITS, check_limit, duplicate};
use crate::command::{Compare, Op, Put, Relation, SessionId, Target, Txn};
use crate::keyspace::{Stored, Written, name as readable};
use crate::limits::{DELETE_KEYS_MAX, RANGE_BYTES_MAX, SESSION_KEYS_MAX};
use crate::outcome::{OpReply, Reply, TxnReply};
use crate::query::Range;
use crate::range::{Budget, read_newest};
use crate::refusal::Refusal;
use crate::span::Interval;
use crate::state::State;
use crate::step::Step;

/// What each part of the digest says, beside those of [`Step`] itself.
const TAG_SEQUENTIAL: u8 = 40;

/// A list of operations that can be done.
#[derive(Debug)]
struct Plan<'a> {
    ops: Vec<Planned<'a>>,
    /// The last sequential number, once all is done.
    sequential: u64,
    /// What is left of the answer's bytes for ranges.
    budget: Budget,
}

#[derive(Debug)]
enum Planned<'a> {
    Put { put: &'a Put, key: Bytes, before: Option<Stored> },
    Delete { keys: Vec<Bytes>, prev: bool },
    Range(&'a Range),
}

/// What a plan knows after some of its operations.
struct Planning<'a> {
    state: &'a State,
    sequential: u64,
    list: &'a [Op],
    /// Keys that are put, and intervals that are deleted: a sequential key must not be among them. Gathered for the first such key.
    written: Option<(BTreeSet<&'a Bytes>, Vec<Interval>)>,
    /// How many keys of each session come and go.
    bonds: BTreeMap<SessionId, i64>,
    deleted: usize,
    /// Bytes of the versions before that the answer will hold.
    prev_bytes: u64,
}

impl Step<'_> {
    pub fn txn(&mut self, txn: &Txn) -> Result<Reply, Refusal> {
        let succeeded = txn.compare.iter().all(|compare| self.state.satisfies(compare));
        let plan = plan(self.state, if succeeded { &txn.then } else { &txn.otherwise })?;
        let Plan { ops, sequential, mut budget } = plan;
        if sequential != self.state.sequential {
            self.state.sequential = sequential;
            self.digest.tag(TAG_SEQUENTIAL).number(sequential);
        }
        let mut draft = self.draft();
        let mut results = Vec::with_capacity(ops.len());
        for op in ops {
            results.push(match op {
                Planned::Put { put, key, before } => {
                    let written = Written { key: &key, value: &put.value, session: put.session, claim: false };
                    self.put_over(&mut draft, &written, before.as_ref());
                    let prev = before.filter(|_| put.prev).map(|before| before.view(true));
                    // A copy of its own: the reply may be remembered, and the request's key keeps its whole entry in memory.
                    let key = draft.last_key().unwrap_or(key);
                    OpReply::Put { key, prev }
                }
                Planned::Delete { keys, prev } => {
                    let gone: Vec<_> = keys.iter().filter_map(|key| self.delete(&mut draft, key)).collect();
                    let deleted = gone.len() as u64;
                    let prev = if prev { gone.iter().map(|gone| gone.view(true)).collect() } else { Vec::new() };
                    OpReply::Delete { deleted, prev }
                }
                Planned::Range(range) => OpReply::Range(read_newest(&self.state.keyspace, range, &mut budget)),
            });
        }
        let revision = self.commit(draft);
        Ok(Reply::Txn(TxnReply { succeeded, revision, results }))
    }
}

/// Finds out whether all of a list can be done.
fn plan<'a>(state: &State, list: &'a [Op]) -> Result<Plan<'a>, Refusal> {
    let mut planning = Planning {
        state,
        sequential: state.sequential,
        list,
        written: None,
        bonds: BTreeMap::new(),
        deleted: 0,
        prev_bytes: 0,
    };
    let mut ops = Vec::with_capacity(list.len());
    for op in list {
        ops.push(match op {
            Op::Put(put) => {
                let (key, before) = planning.put(put)?;
                Planned::Put { put, key, before }
            }
            Op::Delete { span, prev } => {
                Planned::Delete { keys: planning.delete(&Interval::from(span), *prev)?, prev: *prev }
            }
            Op::Range(range) => Planned::Range(range),
        });
    }
    planning.check_bonds()?;
    let prev_bytes = usize::try_from(planning.prev_bytes).unwrap_or(usize::MAX);
    check_limit("bytes of previous versions", prev_bytes, RANGE_BYTES_MAX)?;
    Ok(Plan { ops, sequential: planning.sequential, budget: Budget(RANGE_BYTES_MAX - prev_bytes) })
}

fn deleted(op: &Op) -> Option<Interval> {
    match op {
        Op::Delete { span, .. } => Some(Interval::from(span)),
        Op::Put(_) | Op::Range(_) => None,
    }
}

fn plainly_put(op: &Op) -> Option<&Bytes> {
    match op {
        Op::Put(put) if !put.sequential => Some(&put.key),
        Op::Put(_) | Op::Delete { .. } | Op::Range(_) => None,
    }
}

impl Planning<'_> {
    /// Gives the key that will be written, and the version that will be replaced.
    fn put(&mut self, put: &Put) -> Result<(Bytes, Option<Stored>), Refusal> {
        if let Some(session) = put.session {
            self.state.sessions.alive(session, self.state.clock_ms)?;
        }
        let key = if put.sequential { self.next_sequential(&put.key)? } else { put.key.clone() };
        let before = self.state.keyspace.get(&key).cloned();
        if let Some(before) = &before {
            refuse_claim(before)?;
            self.count_bond(before.session(), -1);
            self.prev_bytes += if put.prev { before.size() as u64 } else { 0 };
        }
        self.count_bond(put.session, 1);
        Ok((key, before))
    }

    /// The next number, whatever stands at the key: it isn't looked for a free one, since the counter alone makes keys differ.
    fn next_sequential(&mut self, prefix: &[u8]) -> Result<Bytes, Refusal> {
        let spent = || Refusal::LimitExceeded { what: "sequential puts".to_owned(), limit: u64::MAX, actual: u64::MAX };
        self.sequential = self.sequential.checked_add(1).ok_or_else(spent)?;
        let mut key = BytesMut::with_capacity(prefix.len() + SEQUENTIAL_DIGITS);
        key.put_slice(prefix);
        key.put_slice(format!("{:0digits$}", self.sequential, digits = SEQUENTIAL_DIGITS).as_bytes());
        let key = key.freeze();
        let list = self.list;
        let (puts, deletes) = self.written.get_or_insert_with(|| {
            (list.iter().filter_map(plainly_put).collect(), list.iter().filter_map(deleted).collect())
        });
        if puts.contains(&key) || deletes.iter().any(|interval| interval.contains(&key)) {
            return Err(duplicate(&key));
        }
        Ok(key)
    }

    /// Gives the keys that will go.
    fn delete(&mut self, interval: &Interval, prev: bool) -> Result<Vec<Bytes>, Refusal> {
        let mut keys = Vec::new();
        for before in self.state.keyspace.scan(interval) {
            refuse_claim(before)?;
            self.deleted += 1;
            check_limit("deleted keys", self.deleted, DELETE_KEYS_MAX)?;
            self.count_bond(before.session(), -1);
            self.prev_bytes += if prev { before.size() as u64 } else { 0 };
            keys.push(before.own_key());
        }
        Ok(keys)
    }

    fn count_bond(&mut self, session: Option<SessionId>, change: i64) {
        if let Some(session) = session {
            *self.bonds.entry(session).or_insert(0) += change;
        }
    }

    fn check_bonds(&self) -> Result<(), Refusal> {
        for (id, change) in self.bonds.iter().filter(|(_, change)| **change > 0) {
            let keys = self.state.sessions.get(*id).map_or(0, |session| session.keys.len());
            check_limit("session keys", keys.saturating_add_signed(*change as isize), SESSION_KEYS_MAX)?;
        }
        Ok(())
    }
}

fn refuse_claim(before: &Stored) -> Result<(), Refusal> {
    if before.is_claim() { Err(Refusal::KeyIsClaim(readable(before.key()))) } else { Ok(()) }
}

impl State {
    fn satisfies(&self, compare: &Compare) -> bool {
        let version = self.keyspace.get(&compare.key);
        let number = |of: fn(&Stored) -> u64| version.map_or(0, of);
        let relation = compare.relation;
        match &compare.target {
            Target::Value(value) => match version {
                Some(version) => holds(relation, &version.value(), &&value[..]),
                None => relation == Relation::NotEqual,
            },
            Target::CreateRevision(revision) => holds(relation, &number(Stored::create_revision), revision),
            Target::ModRevision(revision) => holds(relation, &number(Stored::mod_revision), revision),
            Target::Version(count) => holds(relation, &number(Stored::version), count),
            Target::Session(id) => holds(relation, &number(|version| version.session().map_or(0, |id| id.0)), id),
            Target::Holds(token) => {
                #[cfg(madsim)]
                if !self.is_owner(&compare.key, *token) {
                    ringfence_probes::hit(ringfence_probes::marks::FENCED_WRITE_REFUSED);
                }
                self.is_owner(&compare.key, *token)
            }
        }
    }
}

fn holds<T: Ord>(relation: Relation, target: &T, operand: &T) -> bool {
    match relation {
        Relation::Equal => target == operand,
        Relation::NotEqual => target != operand,
        Relation::Less => target < operand,
        Relation::Greater => target > operand,
    }
}
