//! Where the log is kept. (Skeleton.)
pub mod memory;
