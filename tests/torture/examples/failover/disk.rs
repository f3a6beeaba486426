//! How long the disk itself takes meanwhile: a file beside the servers' data, of which a page is written and synced all the time.
//!
//! A disk that is shared with others stalls now and then, for a tenth of a second or more, and no server can acknowledge anything then: without this one
//! couldn't tell it from what the loss of a leader costs.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

/// Between two syncs, so that they aren't what the servers wait for.
const REST: Duration = Duration::from_millis(2);
const PAGE: [u8; 4096] = [0x5a; 4096];
/// Shorter ones are what a sync takes.
const NOTED: Duration = Duration::from_millis(5);

/// Until the value goes.
#[derive(Default)]
pub struct Disk {
    /// When syncs began, and ended.
    slow: Arc<Mutex<Vec<(Instant, Instant)>>>,
    over: Arc<AtomicBool>,
}

impl Disk {
    /// Writes a file of its own, without a name, in this directory.
    pub fn watch(directory: &Path) -> Result<Self> {
        let file = tempfile::tempfile_in(directory)?;
        file.write_all_at(&PAGE, 0)?;
        file.sync_all()?;
        let disk = Self::default();
        let (slow, over) = (disk.slow.clone(), disk.over.clone());
        thread::Builder::new().name("disk".to_owned()).spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let begun = Instant::now();
                // What fails here fails at the servers, too, which say so.
                if sync(&file).is_err() {
                    return;
                }
                let ended = Instant::now();
                if ended - begun >= NOTED {
                    slow.lock().unwrap_or_else(PoisonError::into_inner).push((begun, ended));
                }
                thread::sleep(REST);
            }
        })?;
        Ok(disk)
    }

    /// How long syncs took of this time, as far as they were slow.
    pub fn slow_within(&self, from: Instant, to: Instant) -> Duration {
        let slow = self.slow.lock().unwrap_or_else(PoisonError::into_inner);
        slow.iter().map(|(begun, ended)| (*ended).min(to).saturating_duration_since((*begun).max(from))).sum()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn sync(file: &File) -> io::Result<()> {
    file.write_all_at(&PAGE, 0)?;
    file.sync_data()
}
