//! Range reads: keys of an interval or children of a path, at the newest revision or at an earlier one.

use bytes::Bytes;

use crate::command::{Revision, Span};
use crate::keyspace::{Keyspace, after, view};
use crate::limits::RANGE_BYTES_MAX;
use crate::outcome::KeyView;
use crate::query::{Query, Range, RangeAnswer, Select};
use crate::refusal::Refusal;
use crate::snapshot::Version;
use crate::span::Interval;
use crate::state::State;

/// What an answer may still hold of bytes. An answer with all of its budget takes any one entry.
#[derive(Debug)]
pub(crate) struct Budget(pub usize);

impl Query for Range {
    type Answer = RangeAnswer;

    fn answer(&self, state: &State) -> Result<RangeAnswer, Refusal> {
        self.check()?;
        let keyspace = &state.keyspace;
        let mut budget = Budget(RANGE_BYTES_MAX);
        match self.revision {
            0 => Ok(read_newest(keyspace, self, &mut budget)),
            requested if requested > keyspace.revision => {
                Err(Refusal::RevisionFuture { requested, newest: keyspace.revision })
            }
            requested if requested < keyspace.compacted => {
                Err(Refusal::RevisionCompacted { requested, compacted: keyspace.compacted })
            }
            requested if requested == keyspace.revision => Ok(read_newest(keyspace, self, &mut budget)),
            requested => Ok(read(keyspace, self, Some(requested), &mut budget)),
        }
    }
}

/// Answers a range that was checked, from the newest revision or from one that is being made.
pub(crate) fn read_newest(keyspace: &Keyspace, range: &Range, budget: &mut Budget) -> RangeAnswer {
    read(keyspace, range, None, budget)
}

fn read(keyspace: &Keyspace, range: &Range, revision: Option<Revision>, budget: &mut Budget) -> RangeAnswer {
    let mut page = Page { range, budget, answer: RangeAnswer::default() };
    match (&range.select, revision) {
        (Select::Span(Span::Prefix(prefix)), None) if range.count_only && prefix.is_empty() => {
            page.answer.count = keyspace.len() as u64;
        }
        // By far the most frequent one.
        (Select::Span(Span::Key(key)), None) => {
            if let Some(version) = keyspace.get(key) {
                page.add(&Entry::Key(version));
            }
        }
        (Select::Span(span), None) => {
            let found = keyspace.scan(&Interval::from(span));
            if range.descending {
                found.rev().for_each(|version| page.add(&Entry::Key(version)));
            } else {
                found.for_each(|version| page.add(&Entry::Key(version)));
            }
        }
        (Select::Span(span), Some(revision)) => {
            let mut rest = Interval::from(span);
            while let Some(version) = next_at(keyspace, &mut rest, revision, range.descending) {
                page.add(&Entry::Key(version));
            }
        }
        (Select::Children(path), _) => {
            let mut found = children(keyspace, path, revision);
            if range.descending {
                found.reverse();
            }
            found.iter().for_each(|child| page.add(child));
        }
    }
    page.answer
}

/// The next key of an interval at an earlier revision; takes it off the interval.
fn next_at<'a>(
    keyspace: &'a Keyspace,
    rest: &mut Interval,
    revision: Revision,
    descending: bool,
) -> Option<&'a Version> {
    if descending {
        let found = keyspace.last_at(rest, revision)?;
        rest.end = Some(found.key.clone());
        Some(found)
    } else {
        let found = keyspace.first_at(rest, revision)?;
        rest.start = after(&found.key);
        Some(found)
    }
}

/// One entry of an answer.
enum Entry<'a> {
    Key(&'a Version),
    /// A path that isn't a key, but under which keys are.
    Path(Bytes),
}

impl Entry<'_> {
    fn key(&self) -> &Bytes {
        match self {
            Entry::Key(version) => &version.key,
            Entry::Path(path) => path,
        }
    }

    fn view(&self, keys_only: bool) -> KeyView {
        match self {
            Entry::Key(version) => view(version, !keys_only),
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
struct Page<'a> {
    range: &'a Range,
    budget: &'a mut Budget,
    answer: RangeAnswer,
}

impl Page<'_> {
    fn add(&mut self, entry: &Entry<'_>) {
        let Self { range, budget, answer } = self;
        answer.count += 1;
        if range.count_only || answer.more {
            return;
        }
        let bytes = match entry {
            Entry::Key(version) if !range.keys_only => version.key.len() + version.value.len(),
            _ => entry.key().len(),
        };
        if answer.keys.len() == range.limit || bytes > budget.0 {
            answer.more = true;
            return;
        }
        budget.0 -= bytes;
        answer.keys.push(entry.view(range.keys_only));
    }
}

/// The direct children of a path, in order: the keys `<path>/<name>`, and as paths those that only have keys below them.
///
/// The empty path has what keys begin with: `a` for `a/b`, and `/a` for `/a/b`.
fn children<'a>(keyspace: &'a Keyspace, path: &Bytes, revision: Option<Revision>) -> Vec<Entry<'a>> {
    let prefix: Bytes = if path.is_empty() { Bytes::new() } else { [&path[..], b"/"].concat().into() };
    let mut rest = Interval::prefix(&prefix);
    let mut found = Vec::new();
    loop {
        let next = match revision {
            None => keyspace.scan(&rest).next(),
            Some(revision) => keyspace.first_at(&rest, revision),
        };
        let Some(version) = next else { break };
        let Some(child) = parent_below(&version.key, prefix.len()) else {
            rest.start = after(&version.key);
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
fn parent_below(key: &Bytes, prefix: usize) -> Option<Bytes> {
    let leading = usize::from(prefix == 0 && key.starts_with(b"/"));
    let from = prefix + leading;
    let slash = key.get(from..)?.iter().position(|&byte| byte == b'/')?;
    Some(key.slice(..from + slash))
}
