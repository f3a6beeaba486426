//! One process, known for certain.
//!
//! A process id alone is no name: it is given out again once its process is gone. Together with the moment that the
//! process was started, and the boot that this moment counts from, it is one. A signal goes through a handle that was
//! opened first and checked afterwards, so that no other process can be hit, however long the file with the id lay about.

use std::{fmt, fs, io, path::Path, str::FromStr, time::Duration};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::error::ClusterError;

/// How often a wait for a process looks again.
const POLL: Duration = Duration::from_millis(5);

/// A process that was started once, whether it still runs or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pid: i32,
    /// Clock ticks from boot to the start of the process.
    started: u64,
    boot: String,
}

/// What a process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It runs, or could.
    Running,
    /// It is stopped by a signal until it is resumed.
    Paused,
    /// It is gone, or has ended and waits for its parent to notice.
    Gone,
}

impl Process {
    /// The process that has this id now; `None` if there is none.
    pub fn of(pid: u32) -> Option<Self> {
        let pid = i32::try_from(pid).ok()?;
        let (_, started) = stat(pid)?;
        Some(Self { pid, started, boot: boot() })
    }

    /// The process id.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// What it is doing now.
    pub fn condition(&self) -> Condition {
        match stat(self.pid) {
            Some((_, started)) if started != self.started || boot() != self.boot => Condition::Gone,
            Some(('Z' | 'X', _)) | None => Condition::Gone,
            Some(('T' | 't', _)) => Condition::Paused,
            Some(_) => Condition::Running,
        }
    }

    /// Sends a signal. Answers whether the process was there to receive it.
    ///
    /// # Errors
    /// Where the system refuses, for example because the process is somebody else's.
    pub fn signal(&self, signal: Signal) -> io::Result<bool> {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return Ok(false);
        };
        let handle = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(rustix::io::Errno::SRCH) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        // The handle is fixed on a process from here on: if that is ours, no other can take its place.
        if self.condition() == Condition::Gone {
            return Ok(false);
        }
        match pidfd_send_signal(&handle, signal) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until this is its condition; answers whether it is. Cancel safe.
    pub async fn is_within(&self, condition: Condition, limit: Duration) -> bool {
        let reached = async {
            while self.condition() != condition {
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(limit, reached).await.is_ok()
    }

    /// Writes the process down.
    ///
    /// # Errors
    /// Where the file can't be written.
    pub fn save(&self, file: &Path) -> Result<(), ClusterError> {
        fs::write(file, format!("{self}\n")).map_err(|error| ClusterError::io("write", file, error))
    }

    /// The process written down in a file; `None` if there is no such file, or it isn't one of ours.
    pub fn load(file: &Path) -> Option<Self> {
        fs::read_to_string(file).ok()?.parse().ok()
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.pid, self.started, self.boot)
    }
}

impl FromStr for Process {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.split_whitespace();
        let mut next = || words.next().ok_or(());
        let pid = next()?.parse().map_err(|_| ())?;
        let started = next()?.parse().map_err(|_| ())?;
        Ok(Self { pid, started, boot: next()?.to_owned() })
    }
}

/// State letter and start of a process, from the kernel's own table.
fn stat(pid: i32) -> Option<(char, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, and may itself hold blanks and parentheses.
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let started = fields.nth(18)?.parse().ok()?;
    Some((state, started))
}

/// Names the time since the machine was last started. Empty where the kernel doesn't say.
fn boot() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    match id.trim() {
        "" => "unknown".to_owned(),
        id => id.to_owned(),
    }
}
