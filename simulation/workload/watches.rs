//! Watches: from now, from past and from future revisions, with and without a snapshot first, dropped and resumed where they were, read
//! slowly; and some that stay to the end of the world.

use std::{sync::atomic::Ordering, time::Duration};

use rand::RngExt;
use ringfence_client::{Error, Event, EventKind, WatchItem, WatchOptions, Watcher};

use super::{
    draw,
    hand::{Counted, Hand},
    reads::seen,
};
use crate::history::{OpenWatch, Seen, Told, Version};

/// A worker that watches.
pub(super) async fn watcher(mut hand: Hand) {
    let mut resume: Option<Wish> = None;
    // After so many others it opens a watch that stays.
    let mut before_the_last = hand.chance(0.4).then(|| draw::count(&mut hand.rng, 1, 6));
    while !hand.stopped() {
        let wish = match resume.take() {
            Some(wish) => wish,
            None => wish(&mut hand),
        };
        let enduring = before_the_last == Some(1);
        before_the_last = before_the_last.map(|number| number.saturating_sub(1));
        let slow_ms = if hand.chance(0.25) { hand.time(10.0, 15_000.0).as_millis() as f64 } else { 0.0 };
        let next = watch(&mut hand, &wish, enduring, slow_ms).await;
        // Dropped, and taken up where it was.
        if next > 0 && hand.chance(0.7) {
            resume = Some(Wish { from: next, snapshot: false, ..wish });
        }
        let pause = hand.time(1.0, 3_000.0);
        hand.stop().sleep(pause).await;
    }
}

/// What to watch.
#[derive(Clone, Debug)]
struct Wish {
    prefix: String,
    from: u64,
    snapshot: bool,
    progress: Option<Duration>,
}

fn wish(hand: &mut Hand) -> Wish {
    let prefix = match hand.below(6) {
        0 => hand.key(),
        1 => String::new(),
        2 => "l/".to_owned(),
        3 => "s/".to_owned(),
        _ => "k/".to_owned(),
    };
    let seen = hand.seen();
    let (from, snapshot) = match hand.below(9) {
        0..3 => (0, false),
        3..5 => (0, true),
        5..7 => (seen.saturating_sub(draw::count(&mut hand.rng, 1, 500)).max(1), false),
        // Perhaps forgotten by now.
        7 => (hand.rng.random_range(1..=seen.max(1)), false),
        _ => (seen + draw::count(&mut hand.rng, 1, 30), false),
    };
    let progress = hand.chance(0.6).then(|| hand.time(100.0, 3_000.0));
    Wish { prefix, from, snapshot, progress }
}

/// Watches for a while, or to the end. Gives the revision from which to go on, 0 if none is known.
async fn watch(hand: &mut Hand, wish: &Wish, enduring: bool, slow_ms: f64) -> u64 {
    let mut options = WatchOptions::prefix(&wish.prefix);
    if wish.from > 0 {
        options = options.from_revision(wish.from);
    }
    if wish.snapshot {
        options = options.snapshot();
    }
    if let Some(progress) = wish.progress {
        options = options.progress(progress);
    }
    let client = match hand.any_server() {
        Some(server) if hand.chance(0.5) => hand.at(server),
        _ => hand.client(),
    };
    let open = hand.recorder().watch(hand.me(), &wish.prefix, wish.from, wish.snapshot);
    let watcher = match client.watch(options).await {
        Ok(watcher) => watcher,
        Err(error) => {
            open.told(failed(&error));
            return 0;
        }
    };
    let mut reading = Reading { watcher, open, snapshot: Vec::new() };
    if enduring {
        to_the_end(hand, &mut reading).await;
        return 0;
    }
    let life = hand.time(100.0, 30_000.0);
    let until = tokio::time::Instant::now() + life;
    loop {
        let left = until.saturating_duration_since(tokio::time::Instant::now());
        let next = hand.common.stop.or(tokio::time::timeout(left, reading.next())).await;
        match next {
            Some(Ok(true)) => {}
            Some(Ok(false)) => return 0,
            Some(Err(_)) | None => return reading.watcher.next_revision(),
        }
        if slow_ms > 0.0 {
            let pause = hand.time(slow_ms / 10.0, slow_ms);
            hand.stop().sleep(pause).await;
        }
    }
}

/// Reads on until the world is still and all of it was told.
async fn to_the_end(hand: &Hand, reading: &mut Reading) {
    let common = hand.common.clone();
    let _counted = Counted::new(&common.enduring);
    loop {
        let last = common.last_revision.load(Ordering::Relaxed);
        if last > 0 && reading.watcher.next_revision() > last {
            reading.open.stayed_to_the_end();
            return;
        }
        // The last revision is told at some time, so look again now and then.
        let next = tokio::time::timeout(Duration::from_millis(500), reading.next());
        if let Some(Ok(false)) | None = common.over.or(next).await {
            return;
        }
    }
}

/// A watch that is read and recorded.
struct Reading {
    watcher: Watcher,
    open: OpenWatch,
    /// The parts of a snapshot so far.
    snapshot: Vec<Seen>,
}

impl Reading {
    /// Records what comes next. False if the watch is over. Cancel safe.
    async fn next(&mut self) -> bool {
        match self.watcher.next().await {
            Some(Ok(item)) => {
                self.take(item);
                true
            }
            Some(Err(error)) => {
                self.open.told(failed(&error));
                false
            }
            None => false,
        }
    }

    fn take(&mut self, item: WatchItem) {
        match item {
            WatchItem::Snapshot { first, complete, revision, kvs } => {
                if first {
                    self.snapshot.clear();
                }
                self.snapshot.extend(kvs.iter().map(seen));
                if complete {
                    let found = std::mem::take(&mut self.snapshot);
                    self.open.told(Told::Snapshot { revision, found });
                }
            }
            WatchItem::Events(events) => self.open.told(Told::Events(events.iter().map(version).collect())),
            WatchItem::Progress(revision) => self.open.told(Told::Progress { revision }),
            other => self.open.told(Told::Failed(format!("an item of an unknown kind: {other:?}"))),
        }
    }
}

fn version(event: &Event) -> Version {
    let Seen { key, value, mod_revision } = seen(&event.kv);
    Version { revision: mod_revision, key, value: (event.kind == EventKind::Put).then_some(value) }
}

fn failed(error: &Error) -> Told {
    match error {
        Error::Compacted { compacted } | Error::TooSlow { compacted, .. } => Told::Compacted { oldest: compacted + 1 },
        error => Told::Failed(error.kind().to_owned()),
    }
}
