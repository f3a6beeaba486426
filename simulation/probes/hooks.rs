//! What happens inside the servers and clients of a world, told to it as it happens.

use std::{cell::RefCell, rc::Rc, time::Duration};

/// A message of raft, or a client's call, that is about to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it is: `append`, `stream` (appends in order), `vote`, `snapshot`, `transfer`, `forward`, `knock`, `call`, `reset` (the end of a call that was
    /// given up).
    pub kind: &'static str,
    /// 1 if a server sends it, 0 for a client; which one is known by where it happens.
    pub from: u64,
    /// The server that is to get it; 0 where the sender doesn't know.
    pub to: u64,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// It arrives.
    #[default]
    Deliver,
    /// It arrives so much later; later ones may overtake it.
    Delay(Duration),
    /// It arrives twice, the second time so much later.
    Twice(Duration),
    /// It never arrives; the sender learns that at once.
    Lose,
    /// It arrives and is done, and its answer never comes.
    LoseAnswer,
    /// It never arrives, and the sender waits until its own deadline.
    Hang,
}

/// Something to which a fault may be tied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Happening {
    /// A vote was written, and is not yet synced.
    VoteWritten,
    /// Entries were written, and are not yet synced.
    EntriesWritten,
    /// Entries were synced, and nobody was told yet.
    EntriesSynced,
    /// A lock was granted.
    Granted,
    /// A snapshot was half received.
    SnapshotHalfReceived,
    /// A snapshot was received and is about to be installed.
    SnapshotReceived,
    /// A change of members was proposed.
    MembersProposed,
    /// A change of voters is half done: the leader that makes it has applied the configuration with both groups.
    VotersHalfChanged,
    /// This node became leader.
    Led,
}

/// The world that listens.
pub trait World {
    /// Something happened on the current node.
    fn happened(&self, happening: Happening);
    /// A message is about to leave the current node.
    fn fate(&self, message: Message) -> Fate;
    /// How fast the current node's clock runs, in parts per million more than true time (negative: slower).
    fn drift_ppm(&self) -> i64;
    /// What the current node's clock has measured since the world began, in nanoseconds.
    fn local_ns(&self) -> u64;
    /// A renewal of these sessions was acknowledged to the client that runs on the current node, which had sent it at this moment of true
    /// time (nanoseconds since the world began).
    fn renewed(&self, session: u64, ttl: Duration, sent_ns: u64);
    /// The current node is about to answer that it votes for this candidate in this term of raft.
    fn voted(&self, term: u64, candidate: u64);
}

thread_local! {
    static WORLD: RefCell<Option<Rc<dyn World>>> = const { RefCell::new(None) };
}

/// Puts a world in its place on this thread, or takes it away.
pub fn listen(world: Option<Rc<dyn World>>) {
    WORLD.set(world);
}

fn ask<T: Default>(question: impl FnOnce(&dyn World) -> T) -> T {
    // Cloned, so that the world may be replaced while it answers.
    let world = WORLD.with_borrow(Clone::clone);
    world.map(|world| question(&*world)).unwrap_or_default()
}

/// See [`World::happened`].
pub fn happened(happening: Happening) {
    ask(|world| world.happened(happening));
}

/// See [`World::fate`].
#[must_use]
pub fn fate(message: Message) -> Fate {
    ask(|world| world.fate(message))
}

/// See [`World::drift_ppm`]; 0 without a world.
#[must_use]
pub fn drift_ppm() -> i64 {
    ask(|world| world.drift_ppm())
}

/// See [`World::local_ns`]; 0 without a world.
#[must_use]
pub fn local_ns() -> u64 {
    ask(|world| world.local_ns())
}

/// What the current node's clock measures in this much of true time.
#[must_use]
pub fn drifted(time: Duration) -> Duration {
    let nanoseconds = i128::try_from(time.as_nanos()).unwrap_or(i128::MAX);
    let more = nanoseconds.saturating_mul(i128::from(drift_ppm())) / 1_000_000;
    Duration::from_nanos(u64::try_from(nanoseconds.saturating_add(more)).unwrap_or(0))
}

/// See [`World::renewed`].
pub fn renewed(session: u64, ttl: Duration, sent_ns: u64) {
    ask(|world| world.renewed(session, ttl, sent_ns));
}

/// See [`World::voted`].
pub fn voted(term: u64, candidate: u64) {
    ask(|world| world.voted(term, candidate));
}
