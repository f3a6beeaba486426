//! Which watches a key concerns, found without asking every watch.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use ringfence_core::Span;

use std::sync::Arc;

use super::feed::Feed;

/// The key is in the span.
pub fn contains(span: &Span, key: &[u8]) -> bool {
    match span {
        Span::Key(only) => only == key,
        Span::Between { start, end } => start.as_ref() <= key && key < end.as_ref(),
        Span::Prefix(prefix) => key.starts_with(prefix),
    }
}

/// The feeds by what they watch. A key looks up the watches of just this key, one prefix for each length that is watched, and
/// asks only the ranges one by one.
#[derive(Default)]
pub struct Index {
    keys: HashMap<Bytes, Vec<Arc<Feed>>>,
    prefixes: HashMap<Bytes, Vec<Arc<Feed>>>,
    /// Lengths of the prefixes, and how many feeds have each.
    lengths: BTreeMap<usize, usize>,
    ranges: Vec<Arc<Feed>>,
    /// All, in the order in which they came.
    all: BTreeMap<u64, Arc<Feed>>,
}

impl Index {
    /// Adds a feed under its span.
    pub fn add(&mut self, feed: &Arc<Feed>) {
        let own = feed.clone();
        match feed.span() {
            Span::Key(key) => self.keys.entry(key.clone()).or_default().push(own),
            Span::Prefix(prefix) => {
                self.prefixes.entry(prefix.clone()).or_default().push(own);
                *self.lengths.entry(prefix.len()).or_default() += 1;
            }
            Span::Between { .. } => self.ranges.push(own),
        }
        self.all.insert(feed.id(), feed.clone());
    }

    /// Removes it.
    pub fn remove(&mut self, feed: &Feed) {
        if self.all.remove(&feed.id()).is_none() {
            return;
        }
        match feed.span() {
            Span::Key(key) => remove(&mut self.keys, key, feed.id()),
            Span::Prefix(prefix) => {
                remove(&mut self.prefixes, prefix, feed.id());
                if let Some(count) = self.lengths.get_mut(&prefix.len()) {
                    *count -= 1;
                    if *count == 0 {
                        self.lengths.remove(&prefix.len());
                    }
                }
            }
            Span::Between { .. } => self.ranges.retain(|other| other.id() != feed.id()),
        }
    }

    /// Calls with each feed that this key concerns, in an order that depends on nothing but the order of adding.
    pub fn concerned(&self, key: &[u8], mut call: impl FnMut(&Arc<Feed>)) {
        self.keys.get(key).into_iter().flatten().for_each(&mut call);
        for prefix in self.lengths.keys().map_while(|&length| key.get(..length)) {
            self.prefixes.get(prefix).into_iter().flatten().for_each(&mut call);
        }
        self.ranges.iter().filter(|feed| contains(feed.span(), key)).for_each(&mut call);
    }

    /// All feeds, in the order of adding.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Feed>> {
        self.all.values()
    }

    /// How many feeds there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }
}

fn remove(map: &mut HashMap<Bytes, Vec<Arc<Feed>>>, key: &Bytes, id: u64) {
    if let Some(feeds) = map.get_mut(key) {
        feeds.retain(|other| other.id() != id);
        if feeds.is_empty() {
            map.remove(key);
        }
    }
}
