//! The log, as it is told to those who follow all keys from the first revision on: one follower at each server. What one is told all must be told.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ringfence_client::{Client, Error, Event, EventKind, WatchItem, WatchOptions, Watcher};
use ringfence_simulation::{
    checkers::Broken,
    history::{Time, Version},
    place::Ground,
};

use crate::field::Field;

/// Between two attempts to follow.
const AGAIN_AFTER: Duration = Duration::from_millis(200);
/// How often a follower is told that nothing happened.
const PROGRESS: Duration = Duration::from_millis(500);
/// What differs is told so often.
const DIFFERENT_MAX: usize = 10;

/// A change, with what a claim is known by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The change.
    pub version: Version,
    /// It is a claim's key, and was made by this session; 0 else, and of deletions.
    pub claimed_by: u64,
    /// It made the key.
    pub first: bool,
}

/// By revision: when somebody was told of it first, and the changes, in order of their keys.
pub type ByRevision = BTreeMap<u64, (Time, Vec<Change>)>;

/// What followers were told; a clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Scroll {
    book: Arc<Mutex<Book>>,
}

#[derive(Debug, Default)]
struct Book {
    told: ByRevision,
    /// All up to this one was told to somebody.
    whole: u64,
    /// Moments at which somebody was told that there is this revision.
    heard: Vec<(Time, u64)>,
    different: Vec<Broken>,
}

impl Scroll {
    /// All that was told.
    #[must_use]
    pub fn told(&self) -> ByRevision {
        self.book().told.clone()
    }

    /// All up to this revision was told to somebody.
    #[must_use]
    pub fn whole(&self) -> u64 {
        self.book().whole
    }

    /// Moments at which somebody was told that there is this revision.
    #[must_use]
    pub fn heard(&self) -> Vec<(Time, u64)> {
        self.book().heard.clone()
    }

    /// Where followers were told different things, or left something out.
    #[must_use]
    pub fn different(&self) -> Vec<Broken> {
        self.book().different.clone()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn different(&mut self, at: Time, what: String) {
        if self.different.len() < DIFFERENT_MAX {
            self.different.push(Broken { checker: "same log for all", at, what });
        }
    }

    /// A follower who knew all up to `before` is told of one revision.
    fn revision(&mut self, at: Time, who: u64, before: u64, changes: Vec<Change>) {
        let Some(revision) = changes.first().map(|change| change.version.revision) else { return };
        if revision != before + 1 {
            self.different(at, format!("follower {who} was told of revision {revision} after {before}"));
        }
        let (_, first) = self.told.entry(revision).or_insert_with(|| (at, changes.clone()));
        if *first != changes {
            let what =
                format!("follower {who} was told that revision {revision} is {changes:?}, and another {first:?}");
            self.different(at, what);
        }
        self.heard.push((at, revision));
        self.reached(revision);
    }

    /// A follower who knew all up to `before` is told that this is all up to a revision.
    fn progress(&mut self, at: Time, who: u64, before: u64, revision: u64) {
        if revision > before {
            let what =
                format!("follower {who} was told of progress to revision {revision}, and of nothing after {before}");
            self.different(at, what);
        }
    }

    fn reached(&mut self, revision: u64) {
        // Followers begin at the first revision, and each goes on where it or another was.
        if revision == self.whole + 1 {
            self.whole = revision;
        }
    }
}

/// Follows everything, from a server's side on, for as long as it is polled. On the watcher's machine.
pub async fn follow(field: Arc<Field>, scroll: Scroll, id: u64) {
    let Ok(client) = Client::builder([field.endpoint(id)]).deadline(Duration::from_secs(3)).build() else { return };
    let mut knows = 0;
    loop {
        let options = WatchOptions::prefix("").from_revision(knows + 1).progress(PROGRESS);
        match client.watch(options).await {
            Ok(watcher) => read(&field, &scroll, id, watcher, &mut knows).await,
            Err(error) => compacted(&error, &scroll, &mut knows),
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

async fn read(field: &Field, scroll: &Scroll, who: u64, mut watcher: Watcher, knows: &mut u64) {
    while let Some(item) = watcher.next().await {
        let now = field.recorder.now();
        match item {
            Ok(WatchItem::Events(events)) => {
                let mut book = scroll.book();
                for events in events.chunk_by(|one, other| one.kv.mod_revision == other.kv.mod_revision) {
                    let mut changes: Vec<Change> = events.iter().map(change).collect();
                    changes.sort();
                    let revision = changes.first().map_or(*knows, |change| change.version.revision);
                    book.revision(now, who, *knows, changes);
                    *knows = revision;
                }
                field.told(book.whole);
            }
            Ok(WatchItem::Progress(revision)) => scroll.book().progress(now, who, *knows, revision),
            Ok(other) => scroll.book().different(now, format!("follower {who} was told something unasked: {other:?}")),
            Err(error) => return compacted(&error, scroll, knows),
        }
    }
}

/// What it needed next is forgotten: others were told, and it goes on from there.
fn compacted(error: &Error, scroll: &Scroll, knows: &mut u64) {
    if let Error::Compacted { .. } | Error::TooSlow { .. } = error {
        *knows = scroll.whole().max(*knows);
    }
}

fn change(event: &Event) -> Change {
    let kv = &event.kv;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let put = event.kind == EventKind::Put;
    Change {
        version: Version { revision: kv.mod_revision, key: text(&kv.key), value: put.then(|| text(&kv.value)) },
        claimed_by: kv.session.filter(|_| put && kv.claim).unwrap_or_default(),
        first: put && kv.create_revision == kv.mod_revision,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(revision: u64, value: &str) -> Vec<Change> {
        let version = Version { revision, key: "k".into(), value: Some(value.into()) };
        vec![Change { version, claimed_by: 0, first: false }]
    }

    #[test]
    fn followers_that_are_told_the_same_agree() {
        let mut book = Book::default();
        book.revision(1, 1, 0, put(1, "a"));
        book.revision(2, 1, 1, put(2, "b"));
        book.progress(3, 1, 2, 2);
        book.revision(4, 2, 0, put(1, "a"));
        assert_eq!(book.different, []);
        assert_eq!(book.whole, 2);
        assert_eq!(book.told[&1].0, 1);
    }

    #[test]
    fn another_change_a_gap_and_hasty_progress_differ() {
        let wrong = |tell: fn(&mut Book)| {
            let mut book = Book::default();
            book.revision(1, 1, 0, put(1, "a"));
            tell(&mut book);
            book.different.first().map(|broken| broken.what.clone()).unwrap_or_default()
        };
        assert!(wrong(|book| book.revision(2, 2, 0, put(1, "b"))).contains("another"));
        assert!(wrong(|book| book.revision(2, 1, 1, put(3, "b"))).contains("after 1"));
        assert!(wrong(|book| book.progress(2, 1, 1, 2)).contains("progress to revision 2"));
    }
}
