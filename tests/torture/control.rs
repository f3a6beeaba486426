//! What a server's process is told of its disk and its wall clock, by way of a preloaded library (`shim`): syncs that take longer or fail, and a wall
//! clock that steps.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result};

/// The variable in which the library finds the file.
pub const VARIABLE: &str = "TORTURE_CONTROL";
/// The library's file, beside this program.
const LIBRARY: &str = "libringfence_torture_shim.so";

/// What is wanted of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Each sync takes so much longer, in microseconds.
    pub delay_us: i64,
    /// Syncs fail.
    pub fails: bool,
    /// The wall clock is ahead by so many milliseconds.
    pub ahead_ms: i64,
}

/// One server's file.
#[derive(Debug)]
pub struct Control {
    file: PathBuf,
    wanted: Mutex<Wanted>,
}

/// Where the library is, if it was built.
#[must_use]
pub fn library() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let places = own.ancestors().skip(1).take(2).map(|directory: &Path| directory.join(LIBRARY));
    places.into_iter().find(|library| library.is_file())
}

impl Control {
    /// A file that wants nothing.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn make(file: PathBuf) -> Result<Self> {
        let control = Self { file, wanted: Mutex::default() };
        control.change(|_| {})?;
        Ok(control)
    }

    /// Where it is.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Changes what is wanted.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn change(&self, change: impl FnOnce(&mut Wanted)) -> Result<()> {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut wanted);
        // In place: the library has the file open, and reads all of it at once.
        let mut bytes = Vec::new();
        for number in [wanted.delay_us, i64::from(wanted.fails), wanted.ahead_ms] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let write = || -> std::io::Result<()> {
            use std::os::unix::fs::FileExt;
            let file = fs::File::options().create(true).truncate(false).write(true).open(&self.file)?;
            file.write_all_at(&bytes, 0)
        };
        write().with_context(|| format!("write {}", self.file.display()))
    }
}
