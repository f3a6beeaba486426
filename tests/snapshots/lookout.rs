//! Knows when snapshots are written. A member writes each to a file of a temporary name, and gives it its own name when it is synced: so looking at the
//! names, every few milliseconds, tells the beginning and the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use ringfence_cluster::Cluster;

use super::findings::Span;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(2);
/// In a member's data directory.
const FOLDER: &str = "snapshots";
const UNFINISHED: &str = ".tmp";
const WHOLE: &str = ".snapshot";

/// Looks at the directories of all members until it is ended, or the value goes.
pub struct Lookout {
    seen: Arc<Mutex<Seen>>,
    over: Arc<AtomicBool>,
    looking: Option<JoinHandle<()>>,
}

/// What was seen.
#[derive(Debug, Default)]
struct Seen {
    written: Vec<Span>,
    given_up: usize,
    under_way: bool,
}

/// A member's directory, as it was at the last look.
#[derive(Debug, Default)]
struct Directory {
    looked: Duration,
    /// With the last look before each was there.
    unfinished: BTreeMap<String, Duration>,
    whole: BTreeSet<String>,
}

impl Directory {
    /// Looks anew: which snapshots stand now that didn't, each from the look before it was seen to this one, and how many were given up.
    fn look(&mut self, now: Duration, names: Vec<String>) -> (Vec<Span>, usize) {
        let unfinished: BTreeSet<&String> = names.iter().filter(|name| name.ends_with(UNFINISHED)).collect();
        let whole: BTreeSet<String> = names.iter().filter(|name| name.ends_with(WHOLE)).cloned().collect();
        let gone = self.unfinished.extract_if(.., |name, _| !unfinished.contains(name));
        let mut ended: Vec<Span> = gone.map(|(_, from)| Span { from, to: now }).collect();
        for name in unfinished {
            self.unfinished.entry(name.clone()).or_insert(self.looked);
        }
        let stand = whole.difference(&self.whole).count();
        let given_up = ended.len().saturating_sub(stand);
        ended.truncate(stand);
        // Written between two looks.
        ended.resize(stand, Span { from: self.looked, to: now });
        (self.looked, self.whole) = (now, whole);
        (ended, given_up)
    }
}

impl Lookout {
    /// Begins to look. Times are since `begun`.
    ///
    /// # Errors
    /// If a directory can't be read, or there is no thread.
    pub fn start(cluster: &Cluster, begun: Instant) -> io::Result<Self> {
        let paths: Vec<PathBuf> = cluster.nodes().iter().map(|node| node.data().join(FOLDER)).collect();
        let mut directories = Vec::new();
        for path in paths {
            let mut directory = Directory::default();
            let names = names(&path).map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
            directory.look(begun.elapsed(), names);
            directories.push((path, directory));
        }
        let (seen, over) = (Arc::<Mutex<Seen>>::default(), Arc::<AtomicBool>::default());
        let (tell, is_over) = (seen.clone(), over.clone());
        let look = move || {
            while !is_over.load(Ordering::Relaxed) {
                let mut under_way = false;
                for (path, directory) in &mut directories {
                    // It is there as long as the cluster is.
                    let Ok(names) = names(path) else { continue };
                    let (written, given_up) = directory.look(begun.elapsed(), names);
                    under_way |= !directory.unfinished.is_empty();
                    let mut seen = lock(&tell);
                    seen.written.extend(written);
                    seen.given_up += given_up;
                }
                lock(&tell).under_way = under_way;
                thread::sleep(PAUSE);
            }
        };
        let looking = thread::Builder::new().name("lookout".to_owned()).spawn(look)?;
        Ok(Self { seen, over, looking: Some(looking) })
    }

    /// All that were written so far.
    pub fn written(&self) -> Vec<Span> {
        lock(&self.seen).written.clone()
    }

    /// One is being written.
    pub fn sees_one(&self) -> bool {
        lock(&self.seen).under_way
    }

    /// All that were written, and how many were begun and given up.
    pub fn end(self) -> (Vec<Span>, usize) {
        let mut seen = lock(&self.seen);
        (std::mem::take(&mut seen.written), seen.given_up)
    }
}

impl Drop for Lookout {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(looking) = self.looking.take() {
            // It fails only if it panicked, which was told by then.
            drop(looking.join());
        }
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn names(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        names.extend(entry?.file_name().into_string().ok());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_snapshot_is_under_way_from_the_look_before_it_was_seen_until_it_stands() {
        let mut directory = Directory::default();
        let mut look =
            |at, names: &[&str]| directory.look(ms(at), names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(
            look(10, &["1.snapshot"]),
            (vec![Span { from: ms(0), to: ms(10) }], 0),
            "those that were there before"
        );
        assert_eq!(look(12, &["1.snapshot"]), (Vec::new(), 0));
        assert_eq!(look(14, &["1.snapshot", "7.tmp"]), (Vec::new(), 0));
        assert_eq!(look(16, &["1.snapshot", "7.tmp"]), (Vec::new(), 0));
        let written = vec![Span { from: ms(12), to: ms(18) }];
        assert_eq!(look(18, &["1.snapshot", "2.snapshot"]), (written, 0));
        let between_looks = vec![Span { from: ms(18), to: ms(20) }];
        assert_eq!(look(20, &["2.snapshot", "3.snapshot", "8.tmp"]), (between_looks, 0));
        assert_eq!(look(22, &["2.snapshot", "3.snapshot"]), (Vec::new(), 1), "it was given up");
    }
}
