//! In the simulated world, which sees all that happens inside of servers and clients.

use ringfence_client::{Lock, Session};

use crate::history::{Mode, Recorder};
pub use crate::world::World;

/// Of work on a client's machine.
pub type JoinHandle<T> = madsim::task::JoinHandle<T>;

/// Leaves a session as a machine does that is gone. True if that can be done here.
pub(crate) fn abandon(session: &Session) -> bool {
    session.abandon();
    true
}

/// The newest revision up to this one that may be forgotten: any.
pub(crate) fn forgettable(_: &World, revision: u64) -> u64 {
    revision
}

/// Somebody looks at a session. The world is told of renewals themselves.
pub(crate) fn looked_at(_: &Recorder, _: &Session) {}

/// A claim that tells how it shares its name: the log does that here.
pub(crate) fn marked(lock: Lock, _: Mode) -> Lock {
    lock
}
