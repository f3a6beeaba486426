//! The one thread that writes to the engine.
//!
//! It takes everything that is queued, writes it as one batch, syncs once and then tells all who wait: group commit. While it
//! syncs, the next batch gathers. In a simulation it is a task, and a sync takes simulated time.

use std::{io, ops::Range, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::raft::{
    engine::{LogEngine, Mark, Settled, Write},
    failure::Failure,
    stall::Stall,
    types::Flushed,
    upkeep::Growth,
};

/// Tells who waits.
pub type Done = tokio::sync::oneshot::Sender<io::Result<()>>;

/// Records that one round removes after a purge, so that appends never wait for a long one.
const REMOVALS_PER_ROUND: u64 = 64;

/// Something to be written.
pub enum Job {
    /// Entries at the end of the log.
    Append {
        /// How far the log before them is committed, if that is to be marked. Nobody waits for it.
        committed: Option<Bytes>,
        /// With consecutive indexes.
        records: Vec<(u64, Bytes)>,
        /// Called when they are durable.
        flushed: Flushed,
    },
    /// A mark that must be durable.
    Mark {
        /// Which.
        mark: Mark,
        /// Its value.
        value: Bytes,
        /// Told when it is durable.
        done: Done,
    },
    /// Removes this entry and all after it.
    Truncate {
        /// The first that goes.
        from: u64,
        /// Told when that is durable.
        done: Done,
    },
    /// Removes this entry and all before it, after the mark is durable.
    Purge {
        /// The last that goes.
        upto: u64,
        /// The mark's value.
        value: Bytes,
        /// Told when the mark is durable.
        done: Done,
    },
    /// Syncs, whatever there is.
    Sync {
        /// Told when everything before is durable.
        done: Done,
    },
}

/// Who waits for a batch.
enum Waiter {
    Append(Flushed),
    Other(Done),
}

/// What goes to the disk at once.
struct Batch {
    writes: Vec<Write>,
    waiters: Vec<Waiter>,
    /// Index of its last entry, if it has entries.
    last: Option<u64>,
}

#[cfg(madsim)]
impl Batch {
    fn has_vote(&self) -> bool {
        self.writes.iter().any(|write| matches!(write, Write::Mark { mark: Mark::Vote, .. }))
    }
}

/// Writes jobs to the engine.
pub struct Worker {
    engine: Arc<dyn LogEngine>,
    failure: Arc<Failure>,
    /// Told when a batch is begun and ended.
    stall: Stall,
    /// Called with the last index that became durable.
    durable: Arc<dyn Fn(u64) + Send + Sync>,
    /// Purged entries that are still on the disk.
    removing: Range<u64>,
    /// The engine has more to settle.
    unsettled: bool,
    /// Told what the engine has placed.
    growth: Arc<Growth>,
}

impl Worker {
    /// `first`: index of the first record in the engine, or where it would be.
    pub fn new(
        engine: Arc<dyn LogEngine>,
        failure: Arc<Failure>,
        stall: Stall,
        growth: Arc<Growth>,
        first: u64,
        durable: Arc<dyn Fn(u64) + Send + Sync>,
    ) -> Self {
        Self { engine, failure, stall, durable, removing: first..first, unsettled: false, growth }
    }

    /// Does these jobs, and tells who waits for them.
    #[cfg(not(madsim))]
    pub fn run(&mut self, jobs: Vec<Job>) {
        let batch = self.begin(jobs);
        self.stall.begun();
        let result = self.write(&batch.writes, !batch.waiters.is_empty());
        self.stall.ended();
        self.finish(batch, &result);
        self.settle();
    }

    /// As in reality, but the sync takes simulated time, in which the power may go.
    #[cfg(madsim)]
    pub async fn run(&mut self, jobs: Vec<Job>) {
        use ringfence_probes::hooks::{Happening, happened};
        let batch = self.begin(jobs);
        self.stall.begun();
        let mut result = self.write(&batch.writes, false);
        let (votes, entries) = (batch.has_vote(), batch.last.is_some());
        if result.is_ok() && !batch.waiters.is_empty() {
            for (happening, is_so) in [(Happening::VoteWritten, votes), (Happening::EntriesWritten, entries)] {
                if is_so {
                    happened(happening);
                }
            }
            let sync_time = self.engine.sync_time();
            if !sync_time.is_zero() {
                tokio::time::sleep(sync_time).await;
            }
            result = self.write(&[], true);
            if result.is_ok() && entries {
                happened(Happening::EntriesSynced);
                // Whoever cuts the power now has a chance to do it before anybody is told.
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                }
            }
        }
        self.stall.ended();
        self.finish(batch, &result);
        self.settle();
    }

    fn begin(&mut self, jobs: Vec<Job>) -> Batch {
        let mut writes = Vec::new();
        let mut waiters = Vec::new();
        let mut last = None;
        for job in jobs {
            last = self.gather(job, &mut writes, &mut waiters).or(last);
        }
        Batch { writes, waiters, last }
    }

    fn finish(&mut self, batch: Batch, result: &io::Result<()>) {
        if let (Ok(()), Some(last)) = (result, batch.last) {
            (self.durable)(last);
        }
        for waiter in batch.waiters {
            let result = result.as_ref().copied().map_err(|error| io::Error::new(error.kind(), error.to_string()));
            match waiter {
                Waiter::Append(flushed) => flushed.io_completed(result),
                // Whoever asked may have gone.
                Waiter::Other(done) => drop(done.send(result)),
            }
        }
        if result.is_ok() {
            self.remove_some();
        }
    }

    /// There is something to do without a job, and it can be done: after a failure nothing is written any more.
    pub fn has_more(&self) -> bool {
        (self.unsettled || !self.removing.is_empty()) && self.failure.message().is_none()
    }

    fn gather(&mut self, job: Job, writes: &mut Vec<Write>, waiters: &mut Vec<Waiter>) -> Option<u64> {
        let mut last = None;
        match job {
            Job::Append { committed, records, flushed } => {
                writes.extend(committed.map(|value| Write::Mark { mark: Mark::Committed, value }));
                last = records.last().map(|(index, _)| *index);
                writes.extend(records.into_iter().map(|(index, record)| Write::Append { index, record }));
                #[cfg(madsim)]
                if ringfence_probes::on(ringfence_probes::Bug::AppendBeforeSync) {
                    flushed.io_completed(Ok(()));
                    return last;
                }
                waiters.push(Waiter::Append(flushed));
            }
            Job::Mark { mark, value, done } => {
                writes.push(Write::Mark { mark, value });
                #[cfg(madsim)]
                if mark == Mark::Vote && ringfence_probes::on(ringfence_probes::Bug::VoteBeforeSync) {
                    drop(done.send(Ok(())));
                    return last;
                }
                waiters.push(Waiter::Other(done));
            }
            Job::Truncate { from, done } => {
                writes.push(Write::Truncate { from });
                waiters.push(Waiter::Other(done));
            }
            Job::Purge { upto, value, done } => {
                writes.push(Write::Mark { mark: Mark::Purged, value });
                self.removing.end = self.removing.end.max(upto.saturating_add(1));
                waiters.push(Waiter::Other(done));
            }
            Job::Sync { done } => waiters.push(Waiter::Other(done)),
        }
        last
    }

    fn write(&self, writes: &[Write], sync: bool) -> io::Result<()> {
        if let Some(message) = self.failure.message() {
            return Err(io::Error::other(message));
        }
        let result = self.engine.write(writes).and_then(|()| if sync { self.engine.sync() } else { Ok(()) });
        #[cfg(madsim)]
        if result.is_err() {
            ringfence_probes::hit(ringfence_probes::marks::DISK_FAILED);
            if sync && ringfence_probes::on(ringfence_probes::Bug::SyncErrorIgnored) {
                return Ok(());
            }
        }
        if let Err(error) = &result {
            self.failure.set_by_disk("the log can't be written", error);
        }
        result
    }

    /// What nobody waits for.
    fn settle(&mut self) {
        if self.failure.message().is_some() {
            return;
        }
        self.stall.begun();
        let settled = self.engine.settle();
        self.stall.ended();
        match settled {
            Ok(Settled { more, placed_bytes }) => {
                self.unsettled = more;
                self.growth.placed(placed_bytes);
            }
            Err(error) => self.failure.set_by_disk("the log can't be written", &error),
        }
    }

    fn remove_some(&mut self) {
        if self.removing.is_empty() {
            return;
        }
        let end = self.removing.end.min(self.removing.start.saturating_add(REMOVALS_PER_ROUND));
        let indexes = self.removing.start..end;
        self.removing.start = end;
        // An error is kept in the failure, which ends the node. A real engine removes nothing before it is told to sync.
        self.stall.begun();
        let _ = self.write(&[Write::Remove { indexes }], cfg!(not(madsim)));
        self.stall.ended();
    }
}

/// The way to the worker.
pub enum Storage {
    /// A thread of its own.
    #[cfg(not(madsim))]
    Thread {
        /// Absent once it was closed.
        jobs: Mutex<Option<std::sync::mpsc::Sender<Job>>>,
        /// Absent once it was joined.
        thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    },
    /// A task. Absent once it was closed.
    #[cfg(madsim)]
    Task(Mutex<Option<tokio::sync::mpsc::UnboundedSender<Job>>>),
}

#[cfg(not(madsim))]
impl Storage {
    /// Starts the worker.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub fn start(mut worker: Worker) -> io::Result<Self> {
        let (jobs, queue) = std::sync::mpsc::channel::<Job>();
        let work = move || {
            loop {
                let first = if worker.has_more() {
                    match queue.try_recv() {
                        Ok(job) => Some(job),
                        Err(std::sync::mpsc::TryRecvError::Empty) => None,
                        Err(std::sync::mpsc::TryRecvError::Disconnected) => return,
                    }
                } else {
                    match queue.recv() {
                        Ok(job) => Some(job),
                        Err(std::sync::mpsc::RecvError) => return,
                    }
                };
                worker.run(first.into_iter().chain(queue.try_iter()).collect());
            }
        };
        let thread = std::thread::Builder::new().name("storage".to_owned()).spawn(work)?;
        Ok(Self::Thread { jobs: Mutex::new(Some(jobs)), thread: Mutex::new(Some(thread)) })
    }

    /// Queues a job. After [`Storage::close`] it is dropped, and whoever waits for it learns that.
    pub fn submit(&self, job: Job) {
        let Self::Thread { jobs, .. } = self;
        if let Some(jobs) = jobs.lock().as_ref() {
            // The thread ends only when it is closed.
            let _ = jobs.send(job);
        }
    }

    /// Does what is queued and ends the worker, which lets go of the engine. Blocks for as long as that takes.
    pub fn close(&self) {
        let Self::Thread { jobs, thread } = self;
        jobs.lock().take();
        if let Some(thread) = thread.lock().take() {
            let _ = thread.join();
        }
    }
}

#[cfg(madsim)]
impl Storage {
    /// Starts the worker.
    ///
    /// # Errors
    /// None.
    pub fn start(mut worker: Worker) -> io::Result<Self> {
        let (jobs, mut queue) = tokio::sync::mpsc::unbounded_channel::<Job>();
        tokio::spawn(async move {
            while let Some(first) = queue.recv().await {
                let mut jobs = vec![first];
                while let Ok(next) = queue.try_recv() {
                    jobs.push(next);
                }
                worker.run(jobs).await;
                while worker.has_more() && queue.is_empty() {
                    worker.run(Vec::new()).await;
                }
            }
        });
        Ok(Self::Task(Mutex::new(Some(jobs))))
    }

    /// Queues a job. After [`Storage::close`] it is dropped, and whoever waits for it learns that.
    pub fn submit(&self, job: Job) {
        let Self::Task(jobs) = self;
        if let Some(jobs) = jobs.lock().as_ref() {
            // The task ends only when it is closed.
            let _ = jobs.send(job);
        }
    }

    /// Does what is queued and ends the worker, which lets go of the engine.
    pub fn close(&self) {
        let Self::Task(jobs) = self;
        jobs.lock().take();
    }
}

#[cfg(all(test, not(madsim)))]
mod tests {
    use super::*;
    use crate::raft::MemoryDisk;

    #[test]
    fn a_worker_that_has_failed_has_nothing_more_to_do() {
        let (disk, failure) = (MemoryDisk::new(), Arc::new(Failure::default()));
        let stall = Stall::default();
        let mut worker =
            Worker::new(Arc::new(disk.open()), failure.clone(), stall, Arc::default(), 1, Arc::new(|_| {}));
        let (done, mut told) = tokio::sync::oneshot::channel();
        worker.run(vec![Job::Purge { upto: 1000, value: Bytes::new(), done }]);
        assert!(told.try_recv().expect("an answer").is_ok());
        assert!(worker.has_more());
        disk.crash();
        worker.run(Vec::new());
        assert!(failure.message().is_some());
        // It would never wait for a job again.
        assert!(!worker.has_more());
    }

    #[test]
    fn a_batch_is_under_way_from_its_writes_to_the_end_of_its_sync() {
        let (disk, stall) = (MemoryDisk::new(), Stall::default());
        let worker =
            Worker::new(Arc::new(disk.open()), Arc::default(), stall.clone(), Arc::default(), 1, Arc::new(|_| {}));
        let storage = Storage::start(worker).expect("a thread");
        assert!(!stall.is_under_way());
        disk.hold_syncs(true);
        let (done, told) = tokio::sync::oneshot::channel();
        storage.submit(Job::Sync { done });
        // Far beyond what it takes.
        let give_up = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while !stall.is_under_way() {
            assert!(std::time::Instant::now() < give_up, "it never begins");
            std::thread::yield_now();
        }
        disk.hold_syncs(false);
        assert!(told.blocking_recv().expect("an answer").is_ok());
        assert!(!stall.is_under_way());
        storage.close();
    }
}
