//! Writes that wait to be proposed, and how they are gathered into one entry.
//!
//! A *group* is what one call brought: its requests stay together, in their order. Groups leave in the order in which they
//! came; one that was surely not done goes back to the front.

use std::{collections::VecDeque, time::Duration};

use parking_lot::Mutex;
use ringfence_core::{Command, Op, Refusal, Reply, Request, Span, Txn};
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, timeout},
};

use super::WriteError;
use crate::crowd::Crowd;

/// Requests of one entry. Larger ones are hardly cheaper by the request, and whatever else is urgent waits behind those that are on
/// the way.
pub const ENTRY_REQUESTS_MAX: usize = 128;
/// Bytes of one entry, unless a single group has more: a few milliseconds of a network of 1 Gbit/s, far below an
/// election's time-out.
pub const ENTRY_BYTES_MAX: usize = 1 << 20;
/// What may wait at the same time.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Requests.
    pub requests: usize,
    /// Bytes of requests.
    pub bytes: usize,
}

/// What a group is answered: one reply for each request.
pub type Replies = Vec<Result<Reply, Refusal>>;

/// What one call brought.
pub struct Group {
    /// In order.
    pub requests: Vec<Request>,
    /// About how many bytes they are.
    pub bytes: usize,
    /// Another member forwarded them because this one leads: they go no further from here.
    pub here_only: bool,
    /// A second application of them would change nothing, so an unknown outcome is answered by doing it again.
    pub repeatable: bool,
    /// An attempt may have been done: from then on nobody can say that nothing was.
    pub maybe_done: bool,
    /// Until then a leader is looked for.
    pub deadline: Instant,
    /// Who waits.
    pub answer: oneshot::Sender<Result<Replies, WriteError>>,
}

impl Group {
    /// A group that may be tried for `patience` from now on.
    pub fn new(
        requests: Vec<Request>,
        here_only: bool,
        patience: Duration,
        answer: oneshot::Sender<Result<Replies, WriteError>>,
    ) -> Self {
        Self {
            bytes: requests.iter().map(weight).sum(),
            repeatable: !here_only && requests.iter().all(repeatable),
            requests,
            here_only,
            maybe_done: false,
            deadline: Instant::now() + patience,
            answer,
        }
    }

    /// Answers it. Nobody may be waiting any more. If an attempt may have been done, an answer that speaks of the last one
    /// alone becomes [`WriteError::Unknown`].
    pub fn answer(self, answer: Result<Replies, WriteError>) {
        let last_alone = match &answer {
            Ok(replies) => replies.iter().any(|reply| reply.as_ref().is_err_and(forgotten)),
            Err(WriteError::NoLeader | WriteError::Stopping | WriteError::Overloaded { .. }) => true,
            Err(WriteError::Unknown) => false,
        };
        let answer = if self.maybe_done && last_alone { Err(WriteError::Unknown) } else { answer };
        let _ = self.answer.send(answer);
    }
}

/// A refusal that an attempt gets although one before it was done: what was remembered of that is gone.
fn forgotten(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::SessionUnknown(_) | Refusal::SessionExpired(_) | Refusal::SequenceTooOld { .. })
}

/// Doing it twice gives what doing it once gives, in state and in reply.
fn repeatable(request: &Request) -> bool {
    request.id.is_some()
        || matches!(request.command, Command::OpenSession { .. } | Command::RenewSessions { .. } | Command::Claim(_))
}

/// About how many bytes a request is, in memory and on the wire.
pub fn weight(request: &Request) -> usize {
    const FIXED: usize = 48;
    let command = match &request.command {
        Command::Txn(txn) => txn_weight(txn),
        Command::RenewSessions { ids } => 8 * ids.len(),
        Command::OpenSession { owner, .. } => owner.len(),
        Command::Claim(claim) => claim.name.len() + claim.suffix.len() + claim.value.len(),
        Command::Release { name, .. } | Command::ForceRelease { name, .. } => name.len(),
        Command::Proclaim { name, value, .. } => name.len() + value.len(),
        Command::Compact { .. } | Command::CloseSession { .. } | Command::RaiseLevel { .. } => 0,
    };
    FIXED + command
}

fn txn_weight(txn: &Txn) -> usize {
    const FIXED: usize = 32;
    let compare: usize = txn
        .compare
        .iter()
        .map(|compare| {
            let operand = match &compare.target {
                ringfence_core::Target::Value(value) => value.len(),
                _ => 0,
            };
            FIXED + compare.key.len() + operand
        })
        .sum();
    let ops: usize = txn
        .then
        .iter()
        .chain(&txn.otherwise)
        .map(|op| {
            let size = match op {
                Op::Put(put) => put.key.len() + put.value.len(),
                Op::Delete { span, .. } => span_weight(span),
                Op::Range(_) => 64,
            };
            FIXED + size
        })
        .sum();
    compare + ops
}

fn span_weight(span: &Span) -> usize {
    match span {
        Span::Key(key) | Span::Prefix(key) => key.len(),
        Span::Between { start, end } => start.len() + end.len(),
    }
}

/// The groups that wait.
pub struct Queue {
    budget: Budget,
    waiting: Mutex<Waiting>,
    /// As many wait as somebody waits for.
    assembled: Notify,
}

#[derive(Default)]
struct Waiting {
    groups: VecDeque<Group>,
    requests: usize,
    bytes: usize,
    crowd: Crowd,
    /// Requests that somebody waits for.
    wanted: Option<usize>,
}

impl Waiting {
    fn take(&mut self, group: &Group) {
        self.requests -= group.requests.len();
        self.bytes -= group.bytes;
    }

    fn add(&mut self, group: &Group) {
        self.requests += group.requests.len();
        self.bytes += group.bytes;
    }
}

impl Queue {
    /// An empty one.
    pub fn new(budget: Budget) -> Self {
        Self { budget, waiting: Mutex::default(), assembled: Notify::new() }
    }

    /// Puts a group at the end, or gives it back if too much waits. What other members forwarded is always taken: each of
    /// them has only a few batches on the way.
    ///
    /// # Errors
    /// The group, if it isn't taken.
    pub fn push(&self, group: Group) -> Result<(), Group> {
        let mut waiting = self.waiting.lock();
        let full = waiting.requests + group.requests.len() > self.budget.requests
            || waiting.bytes + group.bytes > self.budget.bytes;
        if full && !group.here_only && !waiting.groups.is_empty() {
            return Err(group);
        }
        waiting.add(&group);
        waiting.groups.push_back(group);
        if waiting.wanted.is_some_and(|wanted| waiting.requests >= wanted) {
            waiting.wanted = None;
            self.assembled.notify_one();
        }
        Ok(())
    }

    /// Puts groups that were surely not done back to the front, in their order.
    pub fn put_back(&self, groups: Vec<Group>) {
        let mut waiting = self.waiting.lock();
        for group in groups.into_iter().rev() {
            waiting.add(&group);
            waiting.groups.push_front(group);
        }
    }

    /// Notes that so many requests are about to be answered.
    pub fn answered(&self, requests: usize) {
        let mut waiting = self.waiting.lock();
        let others = waiting.requests;
        waiting.crowd.answered(requests, others, Instant::now());
    }

    /// Waits for those who were answered just now to come back, where that pays: see [`Crowd`]. Cancel safe.
    pub async fn assemble(&self) {
        let left = {
            let (mut waiting, now) = (self.waiting.lock(), Instant::now());
            let Some((wanted, until)) = waiting.crowd.wanted(now) else { return };
            let wanted = wanted.min(ENTRY_REQUESTS_MAX);
            if waiting.requests >= wanted {
                return;
            }
            waiting.wanted = Some(wanted);
            until - now
        };
        // Whoever comes first sees to the next entry; time that is over, too, is nothing to be told of.
        let _ = timeout(left, self.assembled.notified()).await;
        self.waiting.lock().wanted = None;
    }

    /// Takes as many groups as fit into one entry, one at least if any waits.
    pub fn gather(&self) -> Vec<Group> {
        let mut waiting = self.waiting.lock();
        let mut groups = Vec::new();
        let (mut requests, mut bytes) = (0, 0);
        while let Some(next) = waiting.groups.front() {
            let fits = requests + next.requests.len() <= ENTRY_REQUESTS_MAX && bytes + next.bytes <= ENTRY_BYTES_MAX;
            if !fits && !groups.is_empty() {
                break;
            }
            requests += next.requests.len();
            bytes += next.bytes;
            if let Some(group) = waiting.groups.pop_front() {
                waiting.take(&group);
                groups.push(group);
            }
        }
        groups
    }

    /// Takes out the groups that match, in their order.
    pub fn take_where(&self, matches: impl Fn(&Group) -> bool) -> Vec<Group> {
        let mut waiting = self.waiting.lock();
        if !waiting.groups.iter().any(&matches) {
            return Vec::new();
        }
        let (out, stay): (Vec<_>, Vec<_>) = std::mem::take(&mut waiting.groups).into_iter().partition(matches);
        waiting.groups = stay.into();
        for group in &out {
            waiting.take(group);
        }
        out
    }

    /// When the first of the waiting groups gives up.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.waiting.lock().groups.iter().map(|group| group.deadline).min()
    }

    /// One entry can't hold more than what waits.
    pub fn fills_an_entry(&self) -> bool {
        let waiting = self.waiting.lock();
        waiting.requests >= ENTRY_REQUESTS_MAX || waiting.bytes >= ENTRY_BYTES_MAX
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.lock().groups.is_empty()
    }
}
