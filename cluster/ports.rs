//! Ports that stay free while a node is down.
//!
//! A port that the system hands out on request may be given to somebody else's outgoing connection while its node is
//! killed and not yet restarted. So ports are taken from below the range for outgoing connections, and each is
//! reserved among all processes that use this crate by a locked file, for as long as the cluster lives.

use std::{
    fs::{self, File},
    net::TcpListener,
};

use crate::error::ClusterError;

/// Below 32768, where Linux begins to hand out ports, and above the usual servers'.
const FIRST: u16 = 20_000;
const LAST: u16 = 31_999;

/// A port that nobody else who uses this crate takes while this value lives.
#[derive(Debug)]
pub struct ReservedPort {
    number: u16,
    _lock: File,
}

impl ReservedPort {
    /// The port's number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

/// Reserves this many free ports of the loopback address.
///
/// # Errors
/// If there are not enough, or the directory for the locked files can't be used.
pub fn reserve(count: usize) -> Result<Vec<ReservedPort>, ClusterError> {
    let directory = std::env::temp_dir().join("ringfence-ports");
    fs::create_dir_all(&directory).map_err(|error| ClusterError::io("create", &directory, error))?;
    let mut reserved = Vec::with_capacity(count);
    // Processes start looking at different places, so that they seldom meet.
    let span = LAST - FIRST + 1;
    let start = (std::process::id().wrapping_mul(97) % u32::from(span)) as u16;
    for step in 0..span {
        if reserved.len() == count {
            break;
        }
        let number = FIRST + (start + step) % span;
        let path = directory.join(number.to_string());
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| ClusterError::io("open", &path, error))?;
        if lock.try_lock().is_ok() && is_free(number) {
            reserved.push(ReservedPort { number, _lock: lock });
        }
    }
    if reserved.len() < count {
        return Err(ClusterError::NoPorts { first: FIRST, last: LAST });
    }
    Ok(reserved)
}

/// Reserves one.
///
/// # Errors
/// As [`reserve`].
pub fn reserve_one() -> Result<ReservedPort, ClusterError> {
    reserve(1)?.pop().ok_or(ClusterError::NoPorts { first: FIRST, last: LAST })
}

/// Nobody listens on this port of the loopback address.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}
