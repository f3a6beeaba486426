//! What a power cut can leave: all that was synced, and of the rest whatever a disk may have written on its own.
//!
//! - `fsync` and `fdatasync` of a file make its bytes and its length durable; `sync_file_range` makes nothing durable.
//! - A sector of 512 bytes is written whole or not at all, and has the contents that it had at some moment since the last sync. Sectors are
//!   independent of each other: they reach the disk in any order, also those of one write.
//! - A length that grew may be there without the bytes; they read as zeros then.
//! - A name is there for certain, or gone for certain, only after an `fsync` of its directory. A rename happens whole or not at all.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ffi::OsString,
    fmt,
};

use bytes::Bytes;
use rand::{RngExt, rngs::SmallRng};

use crate::recording::{Node, Op, ROOT, Record, Tree};

/// What a disk writes at once.
const SECTOR_BYTES: u64 = 512;

/// Which of the changes to names that weren't synced have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// None.
    Lost,
    /// All.
    Kept,
    /// The first so many of each directory, drawn.
    Prefix,
    /// Any, drawn.
    Some,
}

/// Which of the writes that weren't synced have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// None.
    Lost,
    /// All.
    Kept,
    /// One alone, drawn.
    One,
    /// All but one, drawn.
    AllButOne,
    /// All up to one, of which some sectors are missing.
    Torn,
    /// Each sector is as it was at a moment of its own.
    Sectors,
}

/// Which image of those that a cut can leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Of the names.
    pub names: Names,
    /// Of the writes.
    pub writes: Writes,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = match self.names {
            Names::Lost => "no names",
            Names::Kept => "all names",
            Names::Prefix => "the first names",
            Names::Some => "some names",
        };
        let writes = match self.writes {
            Writes::Lost => "no writes",
            Writes::Kept => "all writes",
            Writes::One => "one write",
            Writes::AllButOne => "all writes but one",
            Writes::Torn => "writes up to a torn one",
            Writes::Sectors => "sectors of any moment",
        };
        write!(f, "what was synced, and of the rest {names} and {writes}")
    }
}

impl Kind {
    /// One of them. Those that lose most come most often.
    pub fn draw(rng: &mut SmallRng) -> Self {
        let names = match rng.random_range(0..8) {
            0..3 => Names::Lost,
            3..6 => Names::Kept,
            6 => Names::Prefix,
            _ => Names::Some,
        };
        let writes = match rng.random_range(0..12) {
            0..2 => Writes::Lost,
            2 => Writes::Kept,
            3..5 => Writes::One,
            5..7 => Writes::AllButOne,
            7..9 => Writes::Torn,
            _ => Writes::Sectors,
        };
        Self { names, writes }
    }
}

/// A change of a file's bytes.
#[derive(Clone)]
enum Change {
    Write { offset: u64, bytes: Bytes },
    Cut { length: u64 },
}

/// A change of a directory's names.
#[derive(Clone)]
enum NameChange {
    Add { name: OsString, node: Node, is_directory: bool },
    Rename { from: OsString, to: OsString, node: Node, is_directory: bool },
    Remove { name: OsString },
}

/// A disk at one moment of a recording: what is durable, and what isn't yet.
pub struct Disk<'a> {
    ops: &'a [Op],
    at: usize,
    durable: Tree,
    /// In their order; the number says which of all.
    changes: HashMap<Node, Vec<(usize, Change)>>,
    names: HashMap<Node, Vec<NameChange>>,
}

impl<'a> Disk<'a> {
    /// At the beginning of a recording.
    pub fn new(record: &'a Record) -> Self {
        Self { ops: &record.ops, at: 0, durable: record.before.clone(), changes: HashMap::new(), names: HashMap::new() }
    }

    /// Goes on until so many operations are done.
    pub fn advance(&mut self, to: usize) {
        while self.at < to.min(self.ops.len()) {
            let op = &self.ops[self.at];
            self.take(op);
            self.at += 1;
        }
    }

    fn take(&mut self, op: &Op) {
        match op.clone() {
            Op::Made { directory, name, node, is_directory } => {
                if is_directory {
                    self.durable.directories.entry(node).or_default();
                } else {
                    self.durable.files.entry(node).or_default();
                }
                self.names.entry(directory).or_default().push(NameChange::Add { name, node, is_directory });
            }
            Op::Renamed { directory, from, to, node, is_directory } => {
                let change = NameChange::Rename { from, to, node, is_directory };
                self.names.entry(directory).or_default().push(change);
            }
            Op::Removed { directory, name } => {
                self.names.entry(directory).or_default().push(NameChange::Remove { name });
            }
            Op::Written { node, offset, bytes } => {
                self.changes.entry(node).or_default().push((self.at, Change::Write { offset, bytes }));
            }
            Op::Cut { node, length } => {
                self.changes.entry(node).or_default().push((self.at, Change::Cut { length }));
            }
            Op::Synced { node } => self.sync(node),
            Op::RangeSynced { .. } | Op::Note(_) => {}
        }
    }

    fn sync(&mut self, node: Node) {
        if let Some(names) = self.durable.directories.get_mut(&node) {
            for change in self.names.remove(&node).into_iter().flatten() {
                rename(names, change);
            }
        }
        if let Some(file) = self.durable.files.get_mut(&node) {
            for (_, change) in self.changes.remove(&node).into_iter().flatten() {
                apply(file, &change);
            }
        }
    }

    /// An image of this kind.
    pub fn image(&self, kind: Kind, rng: &mut SmallRng) -> Tree {
        let mut tree = Tree { directories: self.durable.directories.clone(), files: HashMap::new() };
        let mut changed: Vec<_> = self.names.iter().collect();
        changed.sort_by_key(|(node, _)| **node);
        for (directory, changes) in changed {
            let first = rng.random_range(0..=changes.len());
            let names = tree.directories.entry(*directory).or_default();
            for (number, change) in changes.iter().enumerate() {
                let happened = match kind.names {
                    Names::Lost => false,
                    Names::Kept => true,
                    Names::Prefix => number < first,
                    Names::Some => rng.random(),
                };
                if happened {
                    rename(names, change.clone());
                }
            }
        }
        let chosen = Chosen::draw(kind.writes, &self.changes, rng);
        for node in reachable(&tree) {
            let mut file = self.durable.files.get(&node).cloned().unwrap_or_default();
            if let Some(changes) = self.changes.get(&node) {
                chosen.apply(&mut file, changes, rng);
            }
            tree.files.insert(node, file);
        }
        tree
    }
}

/// Files that have a name, in order.
fn reachable(tree: &Tree) -> Vec<Node> {
    let (mut files, mut open, mut seen) = (Vec::new(), vec![ROOT], HashSet::new());
    while let Some(directory) = open.pop() {
        if !seen.insert(directory) {
            continue;
        }
        for (node, is_directory) in tree.directories.get(&directory).into_iter().flat_map(BTreeMap::values) {
            if *is_directory { open.push(*node) } else { files.push(*node) }
        }
    }
    files.sort_unstable();
    files
}

fn rename(names: &mut BTreeMap<OsString, (Node, bool)>, change: NameChange) {
    match change {
        NameChange::Add { name, node, is_directory } => {
            names.insert(name, (node, is_directory));
        }
        NameChange::Rename { from, to, node, is_directory } => {
            names.remove(&from);
            names.insert(to, (node, is_directory));
        }
        NameChange::Remove { name } => {
            names.remove(&name);
        }
    }
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).expect("files are shorter than memory")
}

fn apply(file: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { offset, bytes } => put(file, position(*offset), bytes),
        Change::Cut { length } => file.resize(position(*length), 0),
    }
}

fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if file.len() < at + bytes.len() {
        file.resize(at + bytes.len(), 0);
    }
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Which writes have happened, drawn for all files at once.
struct Chosen {
    writes: Writes,
    /// Number of the one write that the kind is about.
    one: usize,
}

impl Chosen {
    fn draw(writes: Writes, changes: &HashMap<Node, Vec<(usize, Change)>>, rng: &mut SmallRng) -> Self {
        let mut all: Vec<usize> = changes.values().flatten().map(|(number, _)| *number).collect();
        all.sort_unstable();
        let one = if all.is_empty() { 0 } else { all[rng.random_range(0..all.len())] };
        Self { writes, one }
    }

    /// Whether the change of this number happened, where that is a question of whole changes.
    fn happened(&self, number: usize) -> bool {
        match self.writes {
            Writes::Lost => false,
            Writes::Kept => true,
            Writes::One => number == self.one,
            Writes::AllButOne => number != self.one,
            Writes::Torn | Writes::Sectors => number <= self.one,
        }
    }

    fn apply(&self, file: &mut Vec<u8>, changes: &[(usize, Change)], rng: &mut SmallRng) {
        let mut length = file.len() as u64;
        let mut run = Vec::new();
        for (number, change) in changes {
            match change {
                Change::Write { offset, bytes } => {
                    length = length.max(offset + bytes.len() as u64);
                    run.push((*number, *offset, bytes));
                }
                Change::Cut { length: cut } => {
                    self.apply_writes(file, &run, rng);
                    run.clear();
                    if self.happened(*number) {
                        apply(file, change);
                    }
                    length = *cut;
                }
            }
        }
        self.apply_writes(file, &run, rng);
        // The length may have grown, and the bytes not have been written.
        if self.writes != Writes::Lost && length > file.len() as u64 && rng.random() {
            file.resize(position(length), 0);
        }
    }

    /// Writes between which nothing was cut. Of each sector, those up to some moment have happened.
    fn apply_writes(&self, file: &mut Vec<u8>, writes: &[(usize, u64, &Bytes)], rng: &mut SmallRng) {
        // A wish for each write; a sector has all writes up to the last that is wished for.
        let mut sectors: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (place, (_, offset, bytes)) in writes.iter().enumerate() {
            if self.writes == Writes::Lost {
                break;
            }
            for sector in offset / SECTOR_BYTES..(offset + bytes.len() as u64).div_ceil(SECTOR_BYTES) {
                sectors.entry(sector).or_default().push(place);
            }
        }
        let torn_share: f64 = rng.random();
        for (sector, touching) in sectors {
            let happened = touching.iter().rposition(|place| self.happened(writes[*place].0)).map_or(0, |at| at + 1);
            let count = match self.writes {
                Writes::Sectors => match rng.random_range(0..4) {
                    0 => 0,
                    1 => rng.random_range(0..=touching.len()),
                    _ => touching.len(),
                },
                Writes::Torn if happened > 0 && writes[touching[happened - 1]].0 == self.one => {
                    happened - usize::from(rng.random_bool(torn_share))
                }
                _ => happened,
            };
            for place in &touching[..count] {
                let (_, offset, bytes) = writes[*place];
                let begin = offset.max(sector * SECTOR_BYTES);
                let end = (offset + bytes.len() as u64).min((sector + 1) * SECTOR_BYTES);
                put(file, position(begin), &bytes[position(begin - offset)..position(end - offset)]);
            }
        }
    }
}
