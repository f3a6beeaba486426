//! All of a data directory, checked without a server: whose it is, the log, the marks, the snapshots.
//!
//! Nothing in the directory is changed. sled writes when it opens, so the log is copied, and the copy is opened. Damage doesn't
//! end the check: everything that can be read is.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use prost::Message;
use ringfence_core::query::Stats;
use ringfence_proto::storage as pb;

use super::{
    StartError, codec, disk,
    engine::{LogEngine, Mark, disk::DiskEngine},
    log_store::record,
    snapshots::{SUFFIX, format},
};

/// Bytes of records that are read at a time.
const READ_BYTES_MAX: usize = 4 << 20;
/// What to do about a damaged log, or damaged marks.
pub const REPLACE: &str = "replace this member: take it out of the cluster, and add one with an empty directory under a new node id; it gets \
                       everything from the others. Where there are none, restore a backup";
/// What to do about a damaged snapshot where another one is whole.
const SPARE: &str = "the server starts from the snapshot before it and the log after that, and removes it with the next snapshot; look at \
                     the disk";

/// Why nothing could be checked. The message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It isn't a data directory.
    #[error("{path} is not the data directory of a member: {what}; name the directory that data_dir names", path = .path.display())]
    NotData {
        /// What was to be checked.
        path: PathBuf,
        /// What it lacks.
        what: String,
    },
    /// A server has it open.
    #[error(transparent)]
    InUse(StartError),
    /// It can't be read, or the log can't be copied.
    #[error("{path}: {error}; check that it may be read, and that there is room for the copy (TMPDIR names another place)", path = .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system answered.
        error: io::Error,
    },
}

/// Something that can't be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// What is wrong there, with the index or the byte.
    pub what: String,
    /// What to do.
    pub next: &'static str,
}

/// A snapshot that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// The last entry in it.
    pub index: u64,
    /// Its revision.
    pub revision: u64,
    /// Its keys.
    pub keys: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The cluster's id; 0 if that can't be read.
    pub cluster: u64,
    /// The node's id; 0 if that can't be read.
    pub node: u64,
    /// Bytes of the log that were copied.
    pub copied_bytes: u64,
    /// Entries in the log.
    pub entries: u64,
    /// The last entry in the log, or in what was purged; 0 if there is none.
    pub last_index: u64,
    /// The term of the vote.
    pub term: u64,
    /// The last entry that was purged.
    pub purged_index: u64,
    /// Whole snapshots, oldest first.
    pub snapshots: Vec<Snapshot>,
    /// What is damaged.
    pub damage: Vec<Damage>,
}

/// What stands before the log's database.
const TAIL: &str = "log.tail";

/// Checks a data directory. The log is copied under `copies`. Blocks.
///
/// # Errors
/// See [`CheckError`]. Damage is none: it is in the report.
///
/// # Panics
/// sled does at some kinds of damage. Call it in a process of its own.
pub fn check(directory: &Path, copies: &Path) -> Result<Report, CheckError> {
    let _lock = lock(directory)?;
    let mut report = Report::default();
    let log = directory.join("log");
    if !log.is_dir() {
        return Err(CheckError::NotData { path: directory.to_owned(), what: "it has no log".to_owned() });
    }
    if directory.join(disk::RESTORING).exists() {
        let what = "a restore into this directory was cut off".to_owned();
        let next = "empty the directory, and restore again";
        report.damage.push(Damage { file: directory.join(disk::RESTORING), what, next });
    }
    let copy = copies.join("log");
    report.copied_bytes = copy_all(&log, &copy)?;
    for name in [TAIL, "log.synced"] {
        let beside = directory.join(name);
        if beside.exists() {
            report.copied_bytes += copy_file(&beside, &copies.join(name))?;
        }
    }
    if let Err(error) = check_log(&copy, &mut report) {
        let (what, tail) = (said(&error, &copy, &log), directory.join(TAIL));
        let file = if what.contains(&tail.display().to_string()) { tail } else { log.join("db") };
        report.damage.push(Damage { file, what, next: REPLACE });
    }
    check_snapshots(directory, &mut report)?;
    Ok(report)
}

/// What an error says, with the place that was copied instead of the copy's.
fn said(error: &io::Error, copy: &Path, log: &Path) -> String {
    error.to_string().replace(&copy.display().to_string(), &log.display().to_string())
}

/// Held while the directory is checked, so that no server starts in it. Never makes the file.
fn lock(directory: &Path) -> Result<File, CheckError> {
    let path = directory.join("lock");
    let file = File::open(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            CheckError::NotData { path: directory.to_owned(), what: "no server has ever opened it".to_owned() }
        }
        _ => CheckError::Io { path: path.clone(), error },
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(CheckError::InUse(StartError::InUse { path: directory.to_owned() })),
        Err(TryLockError::Error(error)) => Err(CheckError::Io { path, error }),
    }
}

fn copy_all(from: &Path, to: &Path) -> Result<u64, CheckError> {
    let at = |error| CheckError::Io { path: from.to_owned(), error };
    fs::create_dir_all(to).map_err(at)?;
    let mut bytes = 0;
    for entry in fs::read_dir(from).map_err(at)? {
        let entry = entry.map_err(at)?;
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        bytes += if path.is_dir() { copy_all(&path, &copy)? } else { copy_file(&path, &copy)? };
    }
    Ok(bytes)
}

fn copy_file(from: &Path, to: &Path) -> Result<u64, CheckError> {
    fs::copy(from, to).map_err(|error| CheckError::Io { path: from.to_owned(), error })
}

/// The marks, then each record: its checksum, its place, and that none is missing.
fn check_log(copy: &Path, report: &mut Report) -> io::Result<()> {
    let engine = DiskEngine::open(copy, 0)?;
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let identity: pb::Identity =
        mark(&engine, Mark::Identity)?.ok_or_else(|| invalid("the mark identity is missing".to_owned()))?;
    if identity.format > disk::FORMAT {
        let (found, newest) = (identity.format, disk::FORMAT);
        return Err(invalid(format!("it is of format {found}, and this version reads up to {newest}")));
    }
    (report.cluster, report.node) = (identity.cluster, identity.node);
    if let Some(vote) = mark::<pb::Vote>(&engine, Mark::Vote)? {
        report.term = codec::raft::vote_from(Some(&vote))?.leader_id.term;
    }
    let purged = mark::<pb::LogId>(&engine, Mark::Purged)?.map(|purged| purged.index);
    report.purged_index = purged.unwrap_or(0);
    report.last_index = report.purged_index;
    let committed = mark::<pb::LogId>(&engine, Mark::Committed)?.map(|committed| committed.index);
    let first = purged.map_or(0, |purged| purged + 1);
    if let Some((_, last)) = engine.bounds()? {
        check_records(&engine, first, last, report)?;
    }
    if committed.is_some_and(|committed| committed > report.last_index) {
        let (committed, last) = (committed.unwrap_or(0), report.last_index);
        return Err(invalid(format!("entry {committed} is said to be committed, and the log ends at {last}")));
    }
    Ok(())
}

fn check_records(engine: &DiskEngine, first: u64, last: u64, report: &mut Report) -> io::Result<()> {
    let mut next = first;
    let mut term = 0;
    while next <= last {
        let records = engine.read(next..last + 1, READ_BYTES_MAX)?;
        let found = records.first().map(|(index, _)| *index);
        if found != Some(next) {
            return Err(missing(next));
        }
        for (index, bytes) in &records {
            if *index != next {
                return Err(missing(next));
            }
            let entry = record::open_entry(*index, bytes)?;
            if entry.log_id.leader_id.term < term {
                let what = format!("tree log, index {index}: its term is lower than that of the entry before it");
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            term = entry.log_id.leader_id.term;
            report.entries += 1;
            report.last_index = *index;
            next += 1;
        }
    }
    Ok(())
}

fn missing(index: u64) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("tree log, index {index}: the record is missing"))
}

fn mark<M: Message + Default>(engine: &DiskEngine, mark: Mark) -> io::Result<Option<M>> {
    engine.mark(mark)?.map(|value| record::open_mark(mark, &value)).transpose()
}

/// Each snapshot, and that one of those that are whole covers what was purged from the log.
fn check_snapshots(directory: &Path, report: &mut Report) -> Result<(), CheckError> {
    let place = directory.join("snapshots");
    let at = |error| CheckError::Io { path: place.clone(), error };
    let mut names = Vec::new();
    if place.is_dir() {
        for entry in fs::read_dir(&place).map_err(at)? {
            names.extend(entry.map_err(at)?.file_name().into_string().ok().filter(|name| name.ends_with(SUFFIX)));
        }
    }
    names.sort();
    let mut damaged = Vec::new();
    for name in names {
        let file = place.join(&name);
        match check_snapshot(&file, report.cluster) {
            Ok(snapshot) => report.snapshots.push(Snapshot { name, ..snapshot }),
            Err(error) => damaged.push((file, error.to_string())),
        }
    }
    let covered = report.snapshots.iter().map(|snapshot| snapshot.index).max().unwrap_or(0);
    let next = if covered >= report.purged_index { SPARE } else { REPLACE };
    report.damage.extend(damaged.into_iter().map(|(file, what)| Damage { file, what, next }));
    if covered < report.purged_index {
        let what = format!("no whole snapshot covers the log's purged entries up to {}", report.purged_index);
        report.damage.push(Damage { file: place, what, next: REPLACE });
    }
    Ok(())
}

fn check_snapshot(file: &Path, cluster: u64) -> io::Result<Snapshot> {
    let input = File::open(file)?;
    let bytes = input.metadata()?.len();
    let (found, meta, state) = format::read_any(&mut io::BufReader::new(input))?;
    if cluster != 0 && found != cluster {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it is of another cluster, {found:016x}")));
    }
    let stats = state.read(&Stats).map_err(io::Error::other)?;
    let index = meta.last_log_id.map_or(0, |last| last.index);
    Ok(Snapshot { name: String::new(), index, revision: stats.revision, keys: stats.keys, bytes })
}
