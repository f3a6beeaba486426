//! Lanes: one for each kind of write, with a queue, a budget and runners of its own, so that a flood of one kind never holds up
//! the others.
//!
//! Bulkheads, as ships have them: the name and the idea are those of Nygard's "Release It!". Within a lane writes keep their order;
//! between lanes there is none, and none is needed: what must come after something else is asked when that is answered.

use parking_lot::Mutex;
use ringfence_core::{Command, Request};

use super::queue::{Budget, Queue};

/// Entries of one lane on the way at the same time, at most.
pub const RUNNERS_MAX: usize = 4;

/// What a write is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Keeps leases, or gives them back: renewals, sessions that are closed.
    Lease,
    /// Locks and elections: claims, and everything that is done with them. A claim and its release stay in order.
    Claim,
    /// Keys; and sessions that are opened, since nobody relies on them yet.
    Data,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Lease, Self::Claim, Self::Data];

    /// Of requests that go together: the kind that may wait longest.
    pub fn of(requests: &[Request]) -> Self {
        requests.iter().map(|request| Self::of_command(&request.command)).max().unwrap_or(Self::Data)
    }

    fn of_command(command: &Command) -> Self {
        match command {
            Command::RenewSessions { .. } | Command::CloseSession { .. } => Self::Lease,
            Command::Claim(_) | Command::Release { .. } | Command::ForceRelease { .. } | Command::Proclaim { .. } => {
                Self::Claim
            }
            Command::Txn(_) | Command::Compact { .. } | Command::OpenSession { .. } | Command::RaiseLevel { .. } => {
                Self::Data
            }
        }
    }

    /// What may wait on one member. Requests: more than ten thousand clients with one write each; beyond it a client is better told to come
    /// later than kept. Bytes: a flood of large values can't take the memory, and claims and renewals are small.
    pub(super) fn budget(self) -> Budget {
        let bytes = match self {
            Self::Lease | Self::Claim => 16 << 20,
            Self::Data => 64 << 20,
        };
        Budget { requests: 16_384, bytes }
    }
}

/// The writes of one kind that wait, and how many runners send them.
pub struct Lane {
    /// What waits.
    pub queue: Queue,
    runners: Mutex<usize>,
}

impl Lane {
    fn new(budget: Budget) -> Self {
        Self { queue: Queue::new(budget), runners: Mutex::default() }
    }

    /// Counts one runner more, if it has something to do.
    pub fn begin_runner(&self) -> bool {
        let mut runners = self.runners.lock();
        let wanted = self.wants_runner(*runners);
        *runners += usize::from(wanted);
        wanted
    }

    /// Counts one runner less, unless it has something to do. Under the lock, so that a write that comes now either is seen here or finds room
    /// for a runner of its own.
    pub fn end_runner(&self) -> bool {
        let mut runners = self.runners.lock();
        let ends = !self.wants_runner(*runners - 1);
        *runners -= usize::from(ends);
        ends
    }

    /// Counts one runner less, whatever there is to do: it has to wait for something that the others needn't wait for.
    pub fn leave_runner(&self) {
        *self.runners.lock() -= 1;
    }

    /// Whether there is something to do beside so many others. What comes while an entry is on the way leaves together when that has arrived,
    /// since each entry costs a sync on every member; only what fills an entry by itself doesn't wait.
    fn wants_runner(&self, others: usize) -> bool {
        match others {
            0 => !self.queue.is_empty(),
            others => others < RUNNERS_MAX && self.queue.fills_an_entry(),
        }
    }
}

/// The lanes of one proposer.
pub struct Lanes([Lane; 3]);

impl Default for Lanes {
    fn default() -> Self {
        Self(Kind::ALL.map(|kind| Lane::new(kind.budget())))
    }
}

impl Lanes {
    /// The lane of this kind.
    pub fn of(&self, kind: Kind) -> &Lane {
        let [lease, claim, data] = &self.0;
        match kind {
            Kind::Lease => lease,
            Kind::Claim => claim,
            Kind::Data => data,
        }
    }
}
