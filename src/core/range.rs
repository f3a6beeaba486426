//! Range reads: keys of an interval or children of a path, at the newest revision or at an earlier one.

use std::ops::ControlFlow;

use bytes::Bytes;

use crate::command::{Revision, Span};
use crate::keyspace::{Keyspace, Stored, after};
use crate::limits::RANGE_BYTES_MAX;
use crate::outcome::KeyView;
use crate::query::{LargerThan, Page, Query, Range, RangeAnswer, Select};
use crate::refusal::Refusal;
use crate::span::Interval;
use crate::state::State;

/// What an answer may still hold of bytes. An answer with all of its budget takes any one entry.
#[derive(Debug)]
pub(crate) struct Budget(pub usize);

impl Query for Range {
    type Answer = RangeAnswer;

    fn answer(&self, state: &State) -> Result<RangeAnswer, Refusal> {
        self.check()?;
        let at = revision(&state.keyspace, self.revision)?;
        Ok(read(&state.keyspace, self, at, true, &mut Budget(RANGE_BYTES_MAX)))
    }
}

impl Query for Page {
    type Answer = RangeAnswer;

    fn answer(&self, state: &State) -> Result<RangeAnswer, Refusal> {
        self.range.check()?;
        let at = revision(&state.keyspace, self.range.revision)?;
        let mut budget = Budget(self.bytes_max.min(RANGE_BYTES_MAX));
        Ok(read(&state.keyspace, &self.range, at, false, &mut budget))
    }
}

impl Query for LargerThan {
    type Answer = bool;

    fn answer(&self, state: &State) -> Result<bool, Refusal> {
        let within = match &self.select {
            Select::Span(span) => Interval::from(span),
            Select::Children(path) => Interval::prefix(&below(path)),
        };
        Ok(state.keyspace.scan(&within).nth(self.keys).is_some())
    }
}

/// Where to read: `None` for the newest revision.
fn revision(keyspace: &Keyspace, requested: Revision) -> Result<Option<Revision>, Refusal> {
    match requested {
        0 => Ok(None),
        requested if requested > keyspace.revision => {
            Err(Refusal::RevisionFuture { requested, newest: keyspace.revision })
        }
        requested if requested < keyspace.compacted => {
            Err(Refusal::RevisionCompacted { requested, compacted: keyspace.compacted })
        }
        requested if requested == keyspace.revision => Ok(None),
        requested => Ok(Some(requested)),
    }
}

/// Answers a range that was checked, from the newest revision or from one that is being made.
pub(crate) fn read_newest(keyspace: &Keyspace, range: &Range, budget: &mut Budget) -> RangeAnswer {
    read(keyspace, range, None, true, budget)
}

/// `counts`: what doesn't fit is counted, too.
fn read(
    keyspace: &Keyspace,
    range: &Range,
    revision: Option<Revision>,
    counts: bool,
    budget: &mut Budget,
) -> RangeAnswer {
    let mut filling = Filling { range, budget, counts, answer: RangeAnswer::default() };
    match (&range.select, revision) {
        (Select::Span(Span::Prefix(prefix)), None) if range.count_only && prefix.is_empty() => {
            filling.answer.count = keyspace.len() as u64;
        }
        // By far the most frequent one.
        (Select::Span(Span::Key(key)), None) => {
            if let Some(version) = keyspace.get(key) {
                let _ = filling.add(&Entry::Key(version));
            }
        }
        (Select::Span(span), None) => {
            let mut found = keyspace.scan(&Interval::from(span));
            let _ = if range.descending {
                found.rev().try_for_each(|version| filling.add(&Entry::Key(version)))
            } else {
                found.try_for_each(|version| filling.add(&Entry::Key(version)))
            };
        }
        (Select::Span(span), Some(revision)) => {
            let mut rest = Interval::from(span);
            while let Some(version) = next_at(keyspace, &mut rest, revision, range.descending) {
                if filling.add(&Entry::Key(version)).is_break() {
                    break;
                }
            }
        }
        (Select::Children(path), _) => {
            let mut found = children(keyspace, path, revision);
            if range.descending {
                found.reverse();
            }
            let _ = found.iter().try_for_each(|child| filling.add(child));
        }
    }
    filling.answer
}

/// The next key of an interval at an earlier revision; takes it off the interval.
fn next_at<'a>(
    keyspace: &'a Keyspace,
    rest: &mut Interval,
    revision: Revision,
    descending: bool,
) -> Option<&'a Stored> {
    if descending {
        let found = keyspace.last_at(rest, revision)?;
        rest.end = Some(found.own_key());
        Some(found)
    } else {
        let found = keyspace.first_at(rest, revision)?;
        rest.start = after(found.key());
        Some(found)
    }
}

/// One entry of an answer.
enum Entry<'a> {
    Key(&'a Stored),
    /// A path that isn't a key, but under which keys are.
    Path(Bytes),
}

impl Entry<'_> {
    fn key(&self) -> &[u8] {
        match self {
            Entry::Key(version) => version.key(),
            Entry::Path(path) => path,
        }
    }

    fn view(&self, keys_only: bool) -> KeyView {
        match self {
            Entry::Key(version) => version.view(!keys_only),
            Entry::Path(path) => KeyView {
                key: path.clone(),
                value: Bytes::new(),
                create_revision: 0,
                mod_revision: 0,
                version: 0,
                session: None,
                wall_ms: 0,
                claim: false,
            },
        }
    }
}

/// An answer while it is filled.
struct Filling<'a> {
    range: &'a Range,
    budget: &'a mut Budget,
    counts: bool,
    answer: RangeAnswer,
}

impl Filling<'_> {
    /// Breaks when nothing of what follows changes the answer.
    fn add(&mut self, entry: &Entry<'_>) -> ControlFlow<()> {
        let Self { range, budget, counts, answer } = self;
        answer.count += 1;
        if range.count_only || answer.more {
            return ControlFlow::Continue(());
        }
        let bytes = match entry {
            Entry::Key(version) if !range.keys_only => version.size(),
            _ => entry.key().len(),
        };
        // A page of its own holds any one entry.
        let fits = bytes <= budget.0 || (!*counts && answer.keys.is_empty());
        if answer.keys.len() == range.limit || !fits {
            answer.more = true;
            return if *counts { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
        }
        budget.0 = budget.0.saturating_sub(bytes);
        answer.keys.push(entry.view(range.keys_only));
        ControlFlow::Continue(())
    }
}

/// What all keys below a path begin with.
fn below(path: &Bytes) -> Bytes {
    if path.is_empty() { Bytes::new() } else { [&path[..], b"/"].concat().into() }
}

/// The direct children of a path, in order: the keys `<path>/<name>`, and as paths those that only have keys below them.
///
/// The empty path has what keys begin with: `a` for `a/b`, and `/a` for `/a/b`.
fn children<'a>(keyspace: &'a Keyspace, path: &Bytes, revision: Option<Revision>) -> Vec<Entry<'a>> {
    let prefix = below(path);
    let mut rest = Interval::prefix(&prefix);
    let mut found = Vec::new();
    loop {
        let next = match revision {
            None => keyspace.scan(&rest).next(),
            Some(revision) => keyspace.first_at(&rest, revision),
        };
        let Some(version) = next else { break };
        let Some(child) = parent_below(version.key(), prefix.len()) else {
            rest.start = after(version.key());
            found.push(Entry::Key(version));
            continue;
        };
        // What follows "/" in the order of bytes: all keys below the child are passed over.
        rest.start = [&child[..], b"0"].concat().into();
        let is_key = match revision {
            None => keyspace.get(&child).is_some(),
            Some(revision) => keyspace.get_at(&child, revision).is_some(),
        };
        if !is_key {
            found.push(Entry::Path(child));
        }
    }
    // Not sorted yet where "a-b" is between "a" and "a/b".
    found.sort_by(|one, other| one.key().cmp(other.key()));
    found
}

/// The path with one name after the prefix, if the key is below that.
fn parent_below(key: &[u8], prefix: usize) -> Option<Bytes> {
    let leading = usize::from(prefix == 0 && key.starts_with(b"/"));
    let from = prefix + leading;
    let slash = key.get(from..)?.iter().position(|&byte| byte == b'/')?;
    Some(Bytes::copy_from_slice(&key[..from + slash]))
}
