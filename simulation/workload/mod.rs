//! What the clients of a world do: the real clients, on machines of their own, and every call written into the history.
//!
//! One file a kind of work: locks, elections, sessions, keys, reads, watches. How much there is of each is drawn from
//! the seed ([`Weights`]). What the clients were answered is judged in `ended`: a call counts as refused only if the client says that it
//! surely wasn't done.
//!
//! What the history's readers must know of it:
//!
//! - Keys `k/…` are everybody's, keys `f/<lock>` are written under a fence, keys `s/<session>/…` are bound to their session and go with it.
//!   Locks are `l/…`, elections `e/…`; their claims are keys as well.
//! - The suffix of a claim is the client's to draw, and isn't known: it is empty in the history. So is the session (0) where the
//!   client opens one for the lock or the candidacy, unless the answer told it.
//! - A guard, a latch, a session that is dropped is released or closed in the background: a call that is recorded as unknown. So is an
//!   acquisition that was given up or ran out of time: it stood in the queue for a while, may have been granted, and is withdrawn.
//! - The time of a candidate's claim counts from the begin of its candidacy, or from its leadership before: a latch stands
//!   again by itself.
//!
//! The same workers work in the simulated world and against real processes; what they ask of the one or the other is in [`crate::place`].

pub mod draw;
pub mod figures;
pub mod weights;

mod elections;
mod ended;
mod hand;
mod keys;
mod last;
mod liveness;
mod locks;
mod reads;
mod register;
mod sessions;
mod start;
mod stop;
#[cfg(all(test, madsim))]
mod tests;
mod watches;

pub use figures::{Figure, figures};
pub use last::final_read;
#[cfg(madsim)]
pub(crate) use last::whole_keyspace;
pub use liveness::{liveness, liveness_at};
pub use start::{Workload, start};
pub use stop::Stop;
pub use weights::{Sharing, Weights};
