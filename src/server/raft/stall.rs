//! A disk that stalls: what is written to it neither fails nor ends, for seconds.
//!
//! A leader can go on for a while over such a disk, since entries are committed once the others have them. But raft does nothing else while a
//! vote is being saved, so whatever change of leaders comes next finds this node deaf until the disk goes on; and one more member that
//! fails leaves nobody who can sync. So this node gives up leading while the others' disks work, and doesn't stand for election until its own
//! was quick again for a while. Whoever asks it meanwhile is sent on: see [`super::standing`].
//!
//! The log's writer counts its batches, and the looks at that count measure time: a process that was itself halted between two looks
//! doesn't blame the disk for it.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use openraft_rt::AsyncRuntime;
use tokio::sync::Notify;

use super::{runtime::Runtime, standing::Standing};
use crate::stopping::Stopping;

/// Looks within the time after which a batch has stalled.
const LOOKS: u32 = 6;
/// A batch that was under way at no more looks than this was quick.
const QUICK_LOOKS: u32 = LOOKS / 2;
/// Looks in a row, all batches being quick, after which the disk is steady again: four times what makes a stall, about two elections, so that
/// a disk with the hiccups doesn't take part in each of them.
const STEADY_LOOKS: u32 = 4 * LOOKS;
/// So many times from look to look it is asked whether leadership can be given up now: clients wait for it.
const PARTS: u32 = 10;

/// Whether a node's disk takes what the log's writer gives it. Clones are the same.
#[derive(Clone, Default)]
pub struct Stall {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Batches that were begun, and batches that were ended, together: odd while one is under way.
    batches: AtomicU64,
    /// A batch is under way for too long.
    stalled: AtomicBool,
    /// The others go on without this disk.
    aside: AtomicBool,
    /// The disk has stalled, and was not quick for long enough since.
    unsteady: AtomicBool,
    /// How many of raft's own calls wait for the disk: raft does nothing else then.
    waiting: AtomicUsize,
    changed: Notify,
}

/// What a look found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// The disk has stalled.
    Stalled,
    /// It is quick again, and stays so.
    Steady,
}

/// How far a node's log goes, and how far it is applied.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reach {
    /// Index of its last entry, on disk or not.
    pub last: u64,
    /// Index of the last entry that is applied, and so is on the disks of a majority.
    pub applied: u64,
}

/// What was seen so far.
#[derive(Debug, Default)]
struct Looks {
    /// The count at the last look.
    batches: u64,
    /// Looks in a row at which the same batch was under way.
    under_way: u32,
    /// The log's last entry when that began, or a multiple of [`LOOKS`] ago.
    last: u64,
    /// From then on until now a majority took it without this disk: the others' are quick.
    others_go_on: bool,
    /// Looks in a row without a slow batch.
    quick: u32,
    /// The most looks at which one batch was under way, since the disk was steady.
    longest: u32,
}

/// Raft waits for the disk, until this is dropped.
pub struct Waiting<'a>(&'a Stall);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.inner.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Reach {
    /// Nothing waits to be committed.
    pub fn is_settled(self) -> bool {
        self.applied >= self.last
    }
}

impl Looks {
    fn add(&mut self, batches: u64, reach: Reach) {
        let same = std::mem::replace(&mut self.batches, batches) == batches;
        self.under_way = match batches % 2 {
            0 => 0,
            _ if same => self.under_way.saturating_add(1),
            _ => 1,
        };
        if self.under_way % LOOKS == 1 {
            self.others_go_on = self.under_way > 1 && reach.applied >= self.last;
            self.last = reach.last;
        }
        self.quick = if self.under_way > QUICK_LOOKS { 0 } else { self.quick.saturating_add(1) };
        self.longest = self.longest.max(self.under_way);
    }
}

impl Stall {
    /// The log's writer begins a batch. By that one alone, as [`Stall::ended`].
    pub fn begun(&self) {
        self.inner.batches.fetch_add(1, Ordering::AcqRel);
    }

    /// The batch is on the disk, or has failed.
    pub fn ended(&self) {
        self.inner.batches.fetch_add(1, Ordering::AcqRel);
    }

    /// Raft itself waits for the disk, as long as what this gives is kept.
    pub fn wait(&self) -> Waiting<'_> {
        self.inner.waiting.fetch_add(1, Ordering::SeqCst);
        if self.is_stalled() {
            self.inner.changed.notify_waiters();
        }
        Waiting(self)
    }

    /// A batch is under way.
    #[cfg(all(test, not(madsim)))]
    pub fn is_under_way(&self) -> bool {
        self.inner.batches.load(Ordering::Acquire) % 2 == 1
    }

    /// A batch is under way for too long.
    pub fn is_stalled(&self) -> bool {
        self.inner.stalled.load(Ordering::SeqCst)
    }

    /// The disk stalls and the others' don't: this node doesn't lead meanwhile.
    pub fn is_aside(&self) -> bool {
        self.inner.aside.load(Ordering::Acquire)
    }

    /// The disk stalls, or did a moment ago.
    pub fn is_unsteady(&self) -> bool {
        self.inner.unsteady.load(Ordering::Acquire)
    }

    /// Waits until [`Stall::is_stalled`] or [`Stall::is_aside`] has changed, or may have; enlist before asking. Cancel safe.
    pub fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.inner.changed.notified()
    }

    /// Waits until the disk stalls and raft itself waits for it: nothing is applied on this node until it goes on. Cancel safe.
    pub async fn holds_raft_up(&self) {
        loop {
            let mut changed = pin!(self.changed());
            changed.as_mut().enable();
            if self.is_stalled() && self.inner.waiting.load(Ordering::SeqCst) > 0 {
                return;
            }
            changed.await;
        }
    }

    /// Looks, and says what that changed.
    fn look(&self, looks: &mut Looks, reach: Reach) -> Option<Turn> {
        looks.add(self.inner.batches.load(Ordering::Acquire), reach);
        // It was begun somewhere before the first of the looks that saw it.
        let stalled = looks.under_way > LOOKS;
        let unsteady = stalled || (self.is_unsteady() && looks.quick < STEADY_LOOKS);
        let was_unsteady = self.inner.unsteady.swap(unsteady, Ordering::AcqRel);
        let aside = stalled && looks.others_go_on;
        let was_aside = self.inner.aside.swap(aside, Ordering::AcqRel);
        if self.inner.stalled.swap(stalled, Ordering::SeqCst) != stalled || was_aside != aside {
            self.inner.changed.notify_waiters();
        }
        match (was_unsteady, unsteady) {
            (false, true) => Some(Turn::Stalled),
            (true, false) => Some(Turn::Steady),
            _ => None,
        }
    }

    /// Looks, and has the node act on it, until it stops. `limit`: how long a batch may be under way.
    ///
    /// The limit is the shortest election time-out. So long does a candidate wait for an answer to its request for a vote, which comes after a
    /// sync: with a slower disk a node can't take part in elections. And a change of leaders takes about as long, so that
    /// a shorter stall is better sat out.
    pub async fn watch(self, limit: Duration, standing: Standing, stopping: Stopping) {
        let pause = limit / LOOKS;
        let mut looks = Looks::default();
        loop {
            let parts = if self.is_aside() { PARTS } else { 1 };
            for _ in 0..parts {
                tokio::select! {
                    biased;
                    () = stopping.wait() => return,
                    () = Runtime::sleep(pause / parts) => {}
                }
                // Nothing more is proposed here. Whoever waits for an answer of this node has it before raft waits for the next vote to be saved.
                if self.is_aside() && standing.reach().is_settled() {
                    standing.give_up_leading().await;
                }
            }
            let turn = self.look(&mut looks, standing.reach());
            let ms = |looks: u32| u64::try_from((pause * looks).as_millis()).unwrap_or(u64::MAX);
            match turn {
                Some(Turn::Stalled) => {
                    tracing::warn!(
                        under_way_ms = ms(looks.under_way - 1),
                        others_go_on = looks.others_go_on,
                        "the disk stalls: a write to the log doesn't end. This node doesn't stand for election until it is quick again, and doesn't lead while the others go on; look at the disk, and at what else uses it"
                    );
                    standing.stalled();
                }
                Some(Turn::Steady) => {
                    let longest_ms = ms(std::mem::take(&mut looks.longest));
                    tracing::info!(longest_ms, "the disk doesn't stall any more");
                    standing.review();
                }
                None if !self.is_unsteady() => looks.longest = 0,
                None => {}
            }
        }
    }
}

#[cfg(all(test, not(madsim)))]
mod tests {
    use super::*;

    struct Disk {
        stall: Stall,
        looks: Looks,
    }

    impl Disk {
        fn new() -> Self {
            Self { stall: Stall::default(), looks: Looks::default() }
        }

        /// What so many looks say.
        fn looked(&mut self, times: u32) -> Vec<Turn> {
            self.looked_at(times, Reach::default())
        }

        /// As [`Disk::looked`], while the log reaches so far.
        fn looked_at(&mut self, times: u32, reach: Reach) -> Vec<Turn> {
            (0..times).filter_map(|_| self.stall.look(&mut self.looks, reach)).collect()
        }

        fn batch(&self) {
            self.stall.begun();
            self.stall.ended();
        }
    }

    #[test]
    fn a_batch_that_does_not_end_is_a_stall_once_it_has_lasted() {
        let mut disk = Disk::new();
        disk.stall.begun();
        assert_eq!(disk.looked(LOOKS), []);
        assert!(!disk.stall.is_stalled());
        assert_eq!(disk.looked(1), [Turn::Stalled]);
        assert!(disk.stall.is_stalled() && disk.stall.is_unsteady());
        assert_eq!(disk.looked(100), [], "it is said once");
    }

    #[test]
    fn it_steps_aside_where_the_others_have_taken_meanwhile_what_it_has_not() {
        let mut disk = Disk::new();
        disk.stall.begun();
        disk.looked_at(1, Reach { last: 7, applied: 6 });
        // More comes, and what there was is committed.
        disk.looked_at(LOOKS - 1, Reach { last: 9, applied: 7 });
        assert!(!disk.stall.is_aside());
        assert_eq!(disk.looked_at(1, Reach { last: 9, applied: 7 }), [Turn::Stalled]);
        assert!(disk.stall.is_aside());
        disk.stall.ended();
        disk.looked_at(1, Reach { last: 9, applied: 9 });
        assert!(!disk.stall.is_aside());
    }

    #[test]
    fn it_goes_on_leading_while_all_stall_and_steps_aside_once_the_others_do_not() {
        let mut disk = Disk::new();
        disk.stall.begun();
        let all = Reach { last: 7, applied: 6 };
        assert_eq!(disk.looked_at(LOOKS + 1, all), [Turn::Stalled]);
        assert!(disk.stall.is_stalled() && !disk.stall.is_aside());
        // They were as slow: not worth a change of leaders.
        disk.looked_at(LOOKS - 1, all);
        disk.looked_at(LOOKS - 1, Reach { last: 7, applied: 7 });
        assert!(disk.stall.is_stalled());
        disk.looked_at(1, Reach { last: 7, applied: 7 });
        assert!(disk.stall.is_aside());
    }

    #[test]
    fn many_batches_are_no_stall_however_busy_the_disk_is() {
        let mut disk = Disk::new();
        for _ in 0..100 {
            disk.stall.begun();
            // Another one is under way at each look.
            assert_eq!(disk.looked(1), []);
            disk.stall.ended();
        }
        for _ in 0..100 {
            disk.stall.begun();
            assert_eq!(disk.looked(LOOKS), [], "as slow as it may be");
            disk.stall.ended();
        }
    }

    #[test]
    fn the_stall_ends_with_its_batch_and_the_disk_is_steady_later() {
        let mut disk = Disk::new();
        disk.stall.begun();
        disk.looked(LOOKS + 1);
        disk.stall.ended();
        assert_eq!(disk.looked(1), []);
        assert!(!disk.stall.is_stalled() && disk.stall.is_unsteady());
        // Nothing is written, or quick batches are.
        assert_eq!(disk.looked(STEADY_LOOKS / 2), []);
        disk.batch();
        assert_eq!(disk.looked(STEADY_LOOKS / 2 - 2), []);
        assert_eq!(disk.looked(1), [Turn::Steady]);
        assert!(!disk.stall.is_unsteady());
    }

    #[test]
    fn slow_batches_put_off_that_it_is_steady_and_nothing_more_is_said() {
        let mut disk = Disk::new();
        disk.stall.begun();
        disk.looked(LOOKS + 1);
        disk.stall.ended();
        for _ in 0..10 {
            // The first looks at a batch can't tell whether it is slow.
            assert_eq!(disk.looked(STEADY_LOOKS - QUICK_LOOKS - 1), []);
            disk.stall.begun();
            assert_eq!(disk.looked(QUICK_LOOKS + 1), []);
            disk.stall.ended();
        }
        disk.stall.begun();
        assert_eq!(disk.looked(LOOKS + 1), [], "another stall");
        assert!(disk.stall.is_stalled());
        disk.stall.ended();
        assert_eq!(disk.looked(STEADY_LOOKS), [Turn::Steady]);
    }

    #[tokio::test]
    async fn raft_is_held_up_while_it_waits_for_a_stalled_disk() {
        let mut disk = Disk::new();
        let stall = disk.stall.clone();
        let mut held_up = pin!(stall.holds_raft_up());
        assert!(futures::poll!(held_up.as_mut()).is_pending());
        disk.stall.begun();
        let waiting = stall.wait();
        assert!(futures::poll!(held_up.as_mut()).is_pending(), "it doesn't stall");
        disk.looked(LOOKS + 1);
        assert!(futures::poll!(held_up).is_ready());
        drop(waiting);

        let mut held_up = pin!(stall.holds_raft_up());
        assert!(futures::poll!(held_up.as_mut()).is_pending(), "raft does something else");
        let _waiting = stall.wait();
        assert!(futures::poll!(held_up).is_ready());
    }

    #[tokio::test]
    async fn whoever_waits_hears_of_its_beginning_and_of_its_end() {
        let mut disk = Disk::new();
        let stall = disk.stall.clone();
        for begins in [true, false] {
            let mut changed = pin!(stall.changed());
            assert!(futures::poll!(changed.as_mut()).is_pending());
            match begins {
                true => stall.begun(),
                false => stall.ended(),
            }
            disk.looked(LOOKS + 1);
            assert!(futures::poll!(changed).is_ready(), "{begins}");
        }
    }
}
