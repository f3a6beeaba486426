//! Real processes, in networks and on disks of their own, with everything going wrong that can be made to.
//!
//! What the simulated world can't show is shown here: threads, sockets, HTTP/2, sled, signals, full file systems. The clients' work, the schedules of
//! faults, the checkers and the report are the [simulation's](ringfence_simulation); what is of this crate is what does faults to processes, and what
//! reads the log from outside, where no replica tells what it applies.
//!
//! In the order in which to read:
//!
//! - [`plan`]: what a seed is: faults that the simulated world would have, as far as they can be done here.
//! - [`round`]: a cluster from its first start to the verdict.
//! - [`servers`], [`machines`]: processes, and the machines on which clients work.
//! - [`net`], [`firewall`], [`disks`], [`control`]: networks, cuts and losses, small file systems, slow and failing syncs, wall clocks.
//! - [`faults`], [`hands`]: what goes wrong, and how what overlaps is kept apart.
//! - [`watcher`], [`scroll`], [`mod@log`]: what is seen from outside, and what the log must have been.
//! - [`field`]: all of that as the workload wants it.
//! - [`keep`], [`clean`]: what stays of a run, and what goes.
//!
//! Nothing here is deterministic: a seed has the same faults and the same work each time, and meets another course of events.
#![cfg(not(madsim))]

pub mod clean;
pub mod control;
pub mod disks;
pub mod faults;
pub mod field;
pub mod firewall;
pub mod hands;
pub mod keep;
pub mod log;
pub mod machines;
pub mod net;
pub mod plan;
pub mod round;
pub mod scroll;
pub mod servers;
pub mod watcher;
