//! The gRPC services of `ringfence.v1`.
//!
//! A service checks and converts what it is asked, passes it down (writes to the proposer, reads to the reader, watches to the
//! hub), and converts the answer. It holds no state of its own, and services don't talk to each other.

pub mod backup;
pub mod cluster;
pub mod convert;
pub mod convert_request;
pub mod election;
pub mod errors;
pub mod headers;
pub mod kv;
pub mod lock;
pub mod parts;
#[cfg(not(madsim))]
pub mod pipeline;
pub mod session;
#[cfg(test)]
mod tests;
mod waiting;
#[cfg(test)]
mod waiting_tests;
pub mod watch;
mod withdrawals;
