//! Room on the disk, and what a node does before there is none.
//!
//! A write that finds no room ends the log until it is opened again (the engine can't tell what of it is on the disk). So a reserve is
//! kept back: with less room than that, this node takes no more entries and no snapshots, doesn't stand for election, and gives up leading,
//! while votes and marks, which are small, still find their place. It goes on by itself once there is a quarter more room than the reserve.
//! See [`super::standing`].

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use openraft_rt::AsyncRuntime;
use tokio::sync::Notify;

use super::{
    DataPlace,
    runtime::{self, Runtime},
    standing::Standing,
};
use crate::stopping::Stopping;

/// How often room is looked for, whatever is written.
const LOOK: Duration = Duration::from_millis(500);

/// How much room there is on a node's disk. Clones are the same room.
#[derive(Clone)]
pub struct Room {
    inner: Arc<Inner>,
}

struct Inner {
    place: DataPlace,
    /// Bytes that are kept back.
    reserve: u64,
    /// Bytes free at the last look.
    free: AtomicU64,
    full: AtomicBool,
    /// Bytes of entries since the last look.
    appended: AtomicU64,
    look: Notify,
    changed: Notify,
}

/// What a look found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// There is less than the reserve now.
    Full,
    /// There is room again.
    Room,
}

impl Room {
    /// Of this place, with so many bytes kept back. Looks at once; blocks for that.
    ///
    /// # Errors
    /// If the file system doesn't say.
    pub fn new(place: DataPlace, reserve: u64) -> io::Result<Self> {
        let free = free_bytes(&place)?;
        let inner = Inner {
            place,
            reserve,
            free: AtomicU64::new(free),
            full: AtomicBool::new(free < reserve),
            appended: AtomicU64::new(0),
            look: Notify::new(),
            changed: Notify::new(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// There is less than the reserve.
    pub fn is_full(&self) -> bool {
        self.inner.full.load(Ordering::Acquire)
    }

    /// Bytes that were free at the last look.
    pub fn free_bytes(&self) -> u64 {
        self.inner.free.load(Ordering::Acquire)
    }

    /// A file of so many bytes leaves the reserve untouched, as far as the last look tells.
    pub fn holds(&self, bytes: u64) -> bool {
        self.free_bytes() >= self.inner.reserve.saturating_add(bytes)
    }

    /// Entries were appended. After a quarter of the reserve there is a look, and no waiting for the next.
    pub fn appended(&self, bytes: u64) {
        let most = self.inner.reserve / 4;
        let before = self.inner.appended.fetch_add(bytes, Ordering::AcqRel);
        if before < most && before + bytes >= most {
            self.inner.look.notify_one();
        }
    }

    /// Something can be found out: a simulated disk may have no bounds.
    pub fn is_bounded(&self) -> bool {
        self.free_bytes() < u64::MAX
    }

    /// Waits until [`Room::is_full`] has changed; enlist before asking it. Cancel safe.
    pub fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.inner.changed.notified()
    }

    /// Looks now: there is less than the reserve.
    pub async fn is_used_up(&self) -> bool {
        self.ask().await.is_some_and(|free| free < self.inner.reserve)
    }

    /// Looks, and says what that changed.
    async fn look(&self) -> Option<Turn> {
        self.inner.appended.store(0, Ordering::Release);
        self.found(self.ask().await?)
    }

    /// Bytes that are free now, if the file system says.
    async fn ask(&self) -> Option<u64> {
        let place = self.inner.place.clone();
        let asked = runtime::blocking(move || free_bytes(&place)).await.ok()?;
        asked.inspect_err(|error| tracing::warn!(%error, "the room on the disk isn't known")).ok()
    }

    fn found(&self, free: u64) -> Option<Turn> {
        let inner = &self.inner;
        inner.free.store(free, Ordering::Release);
        let full = free < if self.is_full() { enough(inner.reserve) } else { inner.reserve };
        if inner.full.swap(full, Ordering::AcqRel) == full {
            return None;
        }
        inner.changed.notify_waiters();
        Some(if full { Turn::Full } else { Turn::Room })
    }

    /// Looks, and has the node act on it, until it stops.
    pub async fn watch(self, standing: Standing, stopping: Stopping) {
        let reserve = self.inner.reserve;
        let mut turn = self.is_full().then_some(Turn::Full);
        loop {
            let free = self.free_bytes();
            match turn {
                Some(Turn::Full) => {
                    tracing::error!(
                        free,
                        reserve,
                        "the disk is full: no more entries are taken, and leadership is given up, until there is room"
                    );
                    standing.review();
                }
                Some(Turn::Room) => {
                    tracing::info!(free, "there is room on the disk again");
                    standing.review();
                    // One may have been put off. Only a stopped raft refuses.
                    let _ = standing.raft().trigger().snapshot().await;
                }
                None => {}
            }
            if self.is_full() {
                standing.give_up_leading().await;
            }
            tokio::select! {
                biased;
                () = stopping.wait() => return,
                () = self.inner.look.notified() => {}
                () = Runtime::sleep(LOOK) => {}
            }
            turn = self.look().await;
        }
    }
}

/// Bytes that must be free for a disk that was full to have room again.
pub fn enough(reserve: u64) -> u64 {
    reserve.saturating_add(reserve / 4)
}

/// Bytes that are free where the data are, for this user. Blocks.
///
/// # Errors
/// If the file system doesn't say.
pub fn free_bytes(place: &DataPlace) -> io::Result<u64> {
    match place {
        DataPlace::Directory(path) => free_at(path.clone()),
        DataPlace::Memory(disk) => Ok(disk.room()),
    }
}

/// As [`free_bytes`], of the nearest directory above that is there.
fn free_at(mut path: PathBuf) -> io::Result<u64> {
    while !path.exists() && path.pop() {}
    if path.as_os_str().is_empty() {
        path.push(".");
    }
    let system = rustix::fs::statvfs(&path)?;
    Ok(system.f_bavail.saturating_mul(system.f_frsize))
}

#[cfg(all(test, not(madsim)))]
mod tests {
    use super::*;
    use crate::raft::MemoryDisk;

    fn room(free: u64) -> (MemoryDisk, Room) {
        let disk = MemoryDisk::new();
        disk.set_room(free);
        let room = Room::new(DataPlace::Memory(disk.clone()), 100).expect("room");
        (disk, room)
    }

    #[tokio::test]
    async fn it_is_full_below_the_reserve_and_not_before_a_quarter_more_is_free() {
        let (disk, room) = room(100);
        assert!(!room.is_full());
        for (free, turn) in [
            (99, Some(Turn::Full)),
            (0, None),
            (124, None),
            (125, Some(Turn::Room)),
            (100, None),
            (99, Some(Turn::Full)),
        ] {
            disk.set_room(free);
            assert_eq!(room.look().await, turn, "{free}");
        }
    }

    #[tokio::test]
    async fn a_file_must_leave_the_reserve() {
        let (disk, room) = room(150);
        assert!(room.holds(50));
        assert!(!room.holds(51));
        disk.set_room(120);
        room.look().await;
        assert!(!room.holds(50));
        assert!(!room.holds(u64::MAX));
    }

    #[tokio::test]
    async fn a_quarter_of_the_reserve_is_worth_a_look() {
        let (_disk, room) = room(1000);
        room.appended(24);
        let looked = room.inner.look.notified();
        let mut looked = std::pin::pin!(looked);
        assert!(futures::poll!(looked.as_mut()).is_pending());
        room.appended(1);
        assert!(futures::poll!(looked).is_ready());
    }

    #[test]
    fn a_directory_that_is_not_there_yet_has_room() {
        let temporary = tempfile::tempdir().expect("a directory");
        assert!(free_at(temporary.path().join("a/b/c")).expect("free") > 0);
        assert!(free_at(PathBuf::from("not-there-at-all")).expect("free") > 0);
    }
}
