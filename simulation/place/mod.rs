//! Where the workload works: in the simulated world, or against real processes. It is the same work; the few things that differ are here.

#[cfg(not(madsim))]
mod real;
#[cfg(madsim)]
mod simulated;

#[cfg(not(madsim))]
pub use real::{Ground, JoinHandle, World};
#[cfg(madsim)]
pub use simulated::{JoinHandle, World};

#[cfg(not(madsim))]
pub(crate) use real::{abandon, forgettable, looked_at, marked};
#[cfg(madsim)]
pub(crate) use simulated::{abandon, forgettable, looked_at, marked};
