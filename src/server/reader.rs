//! Reads: how fresh the applied state must be before a question is put to it.
//!
//! A linearizable read needs an index that covers everything acknowledged before the read came: the leader gives it after
//! a quorum has confirmed that it still leads, and the read goes on once this node has applied so much. Reads that come
//! while rounds are under way share the next one, so that many readers cost no more than a few rounds; where most of those who were answered
//! ask again at once, the next one waits for them ([`crate::crowd`]).

mod long;

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use ringfence_core::Revision;
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, sleep, timeout},
};

use crate::{
    crowd::Crowd,
    limits::RETRY_AFTER_MS,
    proposer::{Consensus, Link, Proposer},
    raft::ReadIndexError,
    replica::Replica,
    stopping::Stopping,
};

pub use self::long::{Held, LongReads};

/// How long a read waits: for a leader, for a quorum, and for this node to catch up, together.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// Rounds on the way at the same time: with one alone a read would wait for two of them.
const ROUNDS_MAX: usize = 4;
/// How long a round waits for those who were just answered. They come from one connection each, on a machine that may be busy with them.
const CROWD_PATIENCE: Duration = Duration::from_millis(3);
/// How long is waited after a failure before asking again, unless the leader changes sooner.
const BACK_OFF: Duration = Duration::from_millis(25);
/// Reads that may wait for a round on this member: as many as [writes](crate::proposer), for the same reason.
const WAITING_MAX: usize = 16_384;

/// Why a read can't be answered as fresh as it was asked for. Reads change nothing: ask again, here or elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No leader with a quorum was found in time.
    #[error("no leader with a majority behind it was found in time")]
    NoLeader,
    /// This node did not catch up in time, or can't while its disk stalls.
    #[error("this member has applied up to {applied}, and {wanted} was asked for")]
    Behind {
        /// The revision, or the log index, that was to be reached.
        wanted: u64,
        /// What is reached.
        applied: u64,
    },
    /// Too many reads wait here already: ask again after this time.
    #[error("too many reads wait on this member")]
    Overloaded {
        /// When to ask again, in milliseconds.
        retry_after_ms: u64,
    },
    /// This node stops.
    #[error("this member is stopping")]
    Stopping,
}

/// The door for reads. Clones are the same door.
#[derive(Clone)]
pub struct Reader {
    inner: Arc<Inner>,
}

struct Inner {
    replica: Arc<Replica>,
    stopping: Stopping,
    link: Link,
    rounds: Mutex<Rounds>,
    /// As many take part in the next round as it waits for.
    assembled: Notify,
    long: LongReads,
}

#[derive(Default)]
struct Rounds {
    /// Who takes part in the next round.
    waiting: Vec<oneshot::Sender<Result<u64, ReadError>>>,
    running: usize,
    /// Who takes part in those that run.
    in_rounds: usize,
    crowd: Crowd,
    /// So many must take part in the next round, which waits for them.
    wanted: Option<usize>,
}

impl Rounds {
    /// Whether another one begins beside those that run. Not while one is to carry all who were answered.
    fn may_begin(&self) -> bool {
        let max = if self.crowd.wanted(Instant::now()).is_some() { 1 } else { ROUNDS_MAX };
        self.running < max
    }
}

impl Reader {
    /// A reader over the same node as this proposer.
    pub fn new(replica: Arc<Replica>, proposer: &Proposer, stopping: Stopping) -> Self {
        let link = proposer.link();
        let rounds = Mutex::new(Rounds { crowd: Crowd::with(CROWD_PATIENCE), ..Rounds::default() });
        let (assembled, long) = (Notify::new(), LongReads::default());
        Self { inner: Arc::new(Inner { replica, stopping, link, rounds, assembled, long }) }
    }

    /// Waits until the state of this node holds everything that was acknowledged, on whatever member, before this call. At most
    /// [`PATIENCE`]. Cancel safe.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn linearizable(&self) -> Result<(), ReadError> {
        if self.inner.rounds.lock().waiting.len() >= WAITING_MAX {
            return Err(ReadError::Overloaded { retry_after_ms: RETRY_AFTER_MS });
        }
        self.confirmed().await
    }

    /// As [`Reader::linearizable`], however many wait.
    async fn confirmed(&self) -> Result<(), ReadError> {
        let began = Instant::now();
        let index = self.index().await?;
        let left = PATIENCE.saturating_sub(began.elapsed());
        self.bounded(left, self.inner.replica.wait_applied(index))
            .await?
            .ok_or_else(|| ReadError::Behind { wanted: index, applied: self.inner.replica.applied() })
    }

    /// Waits until the state of this node has this revision. At most [`PATIENCE`]. Cancel safe.
    ///
    /// # Errors
    /// [`ReadError::Behind`], [`ReadError::Stopping`].
    pub async fn at_least(&self, revision: Revision) -> Result<(), ReadError> {
        #[cfg(madsim)]
        if revision > self.inner.replica.revision() {
            ringfence_probes::hit(ringfence_probes::marks::STALE_READ_WAITED);
            if ringfence_probes::on(ringfence_probes::Bug::StaleBehindMinRevision) {
                return Ok(());
            }
        }
        self.bounded(PATIENCE, self.inner.replica.wait_revision(revision))
            .await?
            .ok_or_else(|| ReadError::Behind { wanted: revision, applied: self.inner.replica.revision() })
    }

    /// The budgets of long reads.
    pub fn long(&self) -> &LongReads {
        &self.inner.long
    }

    /// A read index, for another member that asks because this one leads.
    ///
    /// # Errors
    /// [`ReadError::NoLeader`] at once if this node doesn't lead.
    pub(crate) async fn index_here(&self) -> Result<u64, ReadError> {
        match self.inner.link.get() {
            Some(node) if node.leadership().is_me => self.index().await,
            Some(_) => Err(ReadError::NoLeader),
            None => Err(ReadError::Stopping),
        }
    }

    /// `None`: the time is over, or nothing comes before a stalled disk goes on: better ask elsewhere.
    async fn bounded(&self, patience: Duration, wait: impl Future<Output = ()>) -> Result<Option<()>, ReadError> {
        let mut wait = std::pin::pin!(wait);
        tokio::select! {
            biased;
            done = timeout(patience, &mut wait) => Ok(done.ok()),
            () = self.inner.stopping.wait() => Err(ReadError::Stopping),
            () = held_up(&self.inner.link) => Ok(None),
        }
    }

    /// Takes part in a round that begins after now.
    async fn index(&self) -> Result<u64, ReadError> {
        let (answer, receiver) = oneshot::channel();
        let start = {
            let mut rounds = self.inner.rounds.lock();
            rounds.waiting.push(answer);
            if rounds.wanted.is_some_and(|wanted| rounds.waiting.len() >= wanted) {
                self.inner.assembled.notify_one();
            }
            let start = rounds.may_begin();
            rounds.running += usize::from(start);
            start
        };
        if start {
            tokio::spawn(run(self.inner.clone()));
        }
        receiver.await.unwrap_or(Err(ReadError::Stopping))
    }
}

async fn held_up(link: &Link) {
    match link.get() {
        Some(node) => node.held_up().await,
        None => std::future::pending().await,
    }
}

/// Rounds, one after the other, as long as somebody waits.
async fn run(inner: Arc<Inner>) {
    loop {
        inner.assemble().await;
        let Some(waiting) = inner.rounds.lock().next() else { return };
        let index = tokio::select! {
            biased;
            index = round(&inner) => index,
            () = inner.stopping.wait() => Err(ReadError::Stopping),
        };
        inner.rounds.lock().ended(waiting.len());
        for answer in waiting {
            let _ = answer.send(index.clone());
        }
    }
}

impl Rounds {
    /// Who takes part in the next round; `None` if nobody does, or another one will carry them.
    fn next(&mut self) -> Option<Vec<oneshot::Sender<Result<u64, ReadError>>>> {
        let others_do = self.running > 1 && self.wanted.is_some();
        self.waiting.retain(|answer| !answer.is_closed());
        if self.waiting.is_empty() || others_do {
            self.running -= 1;
            return None;
        }
        self.in_rounds += self.waiting.len();
        Some(std::mem::take(&mut self.waiting))
    }

    /// A round has ended in which so many took part, who are answered now.
    fn ended(&mut self, answered: usize) {
        self.in_rounds -= answered;
        match self.wanted {
            // They were in a round of their own.
            Some(_) => self.crowd.held_up(Instant::now()),
            None => self.crowd.answered(answered, self.waiting.len() + self.in_rounds, Instant::now()),
        }
    }
}

impl Inner {
    /// Waits for those who were answered just now to ask again, where that pays: see [`Crowd`]. One round at a time does.
    async fn assemble(&self) {
        let mut first = true;
        loop {
            let left = {
                let (mut rounds, now) = (self.rounds.lock(), Instant::now());
                let Some((wanted, until)) =
                    rounds.crowd.wanted(now).filter(|(wanted, _)| rounds.waiting.len() < *wanted)
                else {
                    rounds.wanted = rounds.wanted.filter(|_| first);
                    return;
                };
                if first && rounds.wanted.is_some() {
                    return;
                }
                rounds.wanted = Some(wanted);
                until - now
            };
            first = false;
            // Time that is over is nothing to be told of, and rounds that ended meanwhile may have given more.
            let _ = timeout(left, self.assembled.notified()).await;
        }
    }
}

/// Asks whoever leads, until it answers or the patience is over.
async fn round(inner: &Inner) -> Result<u64, ReadError> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let Some(node) = inner.link.get() else {
            return Err(if inner.stopping.is_stopping() { ReadError::Stopping } else { ReadError::NoLeader });
        };
        let left = give_up.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ReadError::NoLeader);
        }
        let seen = node.leadership();
        if seen.cut_off {
            return Err(ReadError::NoLeader);
        }
        #[cfg(madsim)]
        if seen.is_me && ringfence_probes::on(ringfence_probes::Bug::LocalReadOnFormerLeader) {
            return Ok(inner.replica.applied());
        }
        match ask(&node, left).await {
            Some(answer) => return answer,
            None => {
                let wait = if seen.leader.is_some() { BACK_OFF } else { left };
                let _ = timeout(wait.min(left), node.leadership_changed(&seen)).await;
            }
        }
    }
}

/// `None`: ask again.
async fn ask(node: &Arc<dyn Consensus>, left: Duration) -> Option<Result<u64, ReadError>> {
    let seen = node.leadership();
    if seen.is_me {
        return match node.read_index().await {
            Ok(index) => Some(Ok(index)),
            Err(ReadIndexError::Stopped) => Some(Err(ReadError::Stopping)),
            Err(ReadIndexError::NotLeader { .. } | ReadIndexError::NoQuorum) => {
                #[cfg(madsim)]
                ringfence_probes::hit(ringfence_probes::marks::READ_ON_FORMER_LEADER);
                None
            }
        };
    }
    node.forward_read_index(seen.leader?, left).await.ok().map(Ok)
}

/// Watches whether this member is still in touch with a leader that has a majority, for those who wait for something to
/// happen and would never learn on a member that was cut off.
///
/// Nobody is asked while nobody waits.
#[derive(Clone)]
pub struct Touch {
    reader: Reader,
    followers: Arc<Mutex<Followers>>,
}

#[derive(Default)]
struct Followers {
    waiting: Vec<oneshot::Sender<()>>,
    running: bool,
}

/// How often is asked.
const TOUCH_EVERY: Duration = Duration::from_secs(2);

impl Touch {
    /// Asks through this reader.
    pub fn new(reader: Reader) -> Self {
        Self { reader, followers: Arc::default() }
    }

    /// Resolves once a linearizable read was not possible on this member for its whole [`PATIENCE`], or the server stops. Cancel safe.
    pub async fn lost(&self) {
        let (told, receiver) = oneshot::channel();
        let start = {
            let mut followers = self.followers.lock();
            followers.waiting.push(told);
            !std::mem::replace(&mut followers.running, true)
        };
        if start {
            tokio::spawn(self.clone().run());
        }
        let _ = receiver.await;
    }

    async fn run(self) {
        loop {
            tokio::select! {
                biased;
                () = self.reader.inner.stopping.wait() => {}
                () = sleep(TOUCH_EVERY) => {}
            }
            let lost = self.reader.confirmed().await.is_err();
            let mut followers = self.followers.lock();
            followers.waiting.retain(|told| !told.is_closed());
            if lost {
                for told in followers.waiting.drain(..) {
                    let _ = told.send(());
                }
            }
            if followers.waiting.is_empty() {
                followers.running = false;
                return;
            }
        }
    }
}
