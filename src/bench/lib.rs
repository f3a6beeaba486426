//! Clients at work, and how long what they do takes. Knows no system: a worker is any future that begins and ends operations on its
//! [`Meter`], so that Ringfence and what it is compared with are measured by the very same code.
//!
//! In a *closed loop* each client begins its next operation when the last has ended, which asks how much a system can do. At a *rate*
//! operations begin at equal distances whether earlier ones have ended or not, and count from the moment when they were to begin, which
//! asks how long users wait: a system that stalls is not asked less meanwhile (Gil Tene's *coordinated omission*).

mod drive;
mod fan_out;
mod meter;
mod report;
pub mod workload;

pub use drive::{Plan, drive};
pub use fan_out::{Numbers, fan_out};
pub use meter::Meter;
pub use report::{Progress, Report};
