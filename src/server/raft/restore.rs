//! A data directory out of a backup: that of the first member of a new cluster.
//!
//! The directory says what it would say if its member had founded a cluster alone and its log had been purged up to a snapshot: a
//! snapshot of the restored state at the first index, with this member as the only voter; the log, empty behind it; the vote with which
//! it led then. So the member needs nothing of its own to start, and all others join it as they join any cluster: empty, as learners,
//! and are promoted. No second member can be made of the same backup, and so none that has other ideas of what was agreed on.
//!
//! A restore that was cut off leaves a marker, with which no server starts.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, BufReader},
    path::{Path, PathBuf},
    sync::Arc,
};

use prost::Message;
use ringfence_core::{State, backup::BadJump, query::Stats};
use ringfence_proto::storage::{self as pb, BackupHeader};

use super::{
    Member, StartError, backup, codec, disk,
    engine::{LogEngine, Mark, Write, disk::DiskEngine},
    log_store::record,
    snapshots::{Snapshots, files::RealFiles},
    types::{Addresses, LeaderId, LogId, Membership, SnapshotMeta, StoredMembership, Vote},
};

/// Term and index of what the new cluster begins with: those of the first entry after founding.
const FIRST: u64 = 1;

/// Why nothing is restored. The message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The backup can't be read.
    #[error("{file}: {error}; check that it exists and may be read", file = .file.display())]
    File {
        /// The backup.
        file: PathBuf,
        /// What the system answered.
        error: io::Error,
    },
    /// The backup isn't whole.
    #[error("{file} is no whole backup: {error}; take another copy, or an earlier backup", file = .file.display())]
    Damaged {
        /// The backup.
        file: PathBuf,
        /// What is wrong with it.
        error: io::Error,
    },
    /// The backup is of a format that this version doesn't know.
    #[error("{file}: {error}; restore it with the version that wrote it, or a newer one", file = .file.display())]
    Format {
        /// The backup.
        file: PathBuf,
        /// Which format it is of.
        error: io::Error,
    },
    /// The backup is of a cluster with this very name.
    #[error(
        "the backup is of the cluster {0:?} itself; name the new one otherwise, for example {0}-2: members of the old one that \
         still run, or come back, would take it for their own"
    )]
    SameCluster(String),
    /// The revision can't jump so.
    #[error("{0}; give another --revision-jump")]
    Jump(#[from] BadJump),
    /// The directory holds something.
    #[error("{path} is not empty; name a directory that is, or isn't there yet", path = .0.display())]
    NotEmpty(PathBuf),
    /// The directory can't be written.
    #[error("{path}: {error}; remove what was begun there, and try again", path = .path.display())]
    Io {
        /// What was to be written.
        path: PathBuf,
        /// What the system answered.
        error: io::Error,
    },
    /// The directory can't be used.
    #[error(transparent)]
    Disk(#[from] StartError),
}

/// The cluster that is founded.
#[derive(Clone, Debug)]
pub struct Founding {
    /// Its id.
    pub cluster: u64,
    /// Its name.
    pub cluster_name: String,
    /// Its first member.
    pub founder: Member,
    /// How far the revision jumps ahead of the backup's.
    pub revision_jump: u64,
}

/// What was restored.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The backup's header.
    pub backup: BackupHeader,
    /// The revision that the new cluster begins with.
    pub revision: u64,
    /// Its keys, claims included.
    pub keys: u64,
    /// Its sessions.
    pub sessions: u64,
}

/// Makes the data directory of the founder. Blocks.
///
/// # Errors
/// See [`RestoreError`].
pub fn restore(file: &Path, directory: &Path, founding: &Founding) -> Result<Restored, RestoreError> {
    let (header, state) = read(file)?;
    if header.cluster == founding.cluster {
        return Err(RestoreError::SameCluster(founding.cluster_name.clone()));
    }
    let state = state.restored_from_backup(founding.revision_jump)?;
    let at = |error| RestoreError::Io { path: directory.to_owned(), error };
    fs::create_dir_all(directory).map_err(at)?;
    if fs::read_dir(directory).map_err(at)?.next().is_some() {
        return Err(RestoreError::NotEmpty(directory.to_owned()));
    }
    let marker = directory.join(disk::RESTORING);
    File::create_new(&marker).and_then(|marker| marker.sync_all()).map_err(at)?;
    sync(directory).map_err(at)?;
    let lock = disk::lock(directory)?;
    write(directory, founding, &state).map_err(at)?;
    fs::remove_file(&marker).and_then(|()| sync(directory)).map_err(at)?;
    drop(lock);
    let stats = state.read(&Stats).unwrap_or_default();
    Ok(Restored { backup: header, revision: stats.revision, keys: stats.keys, sessions: stats.sessions })
}

fn read(file: &Path) -> Result<(BackupHeader, State), RestoreError> {
    let path = || file.to_owned();
    let input = File::open(file).map_err(|error| RestoreError::File { file: path(), error })?;
    backup::read(BufReader::new(input)).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => RestoreError::Damaged { file: path(), error },
        io::ErrorKind::Unsupported => RestoreError::Format { file: path(), error },
        _ => RestoreError::File { file: path(), error },
    })
}

fn write(directory: &Path, founding: &Founding, state: &State) -> io::Result<()> {
    let Founding { cluster, founder, .. } = founding;
    let first = LogId { leader_id: LeaderId { term: FIRST, node_id: founder.id }, index: FIRST };
    let addresses = Addresses { client: founder.client_address.clone(), peer: founder.peer_address.clone() };
    let voters = vec![BTreeSet::from([founder.id])];
    let members = Membership::new(voters, BTreeMap::from([(founder.id, addresses)])).map_err(io::Error::other)?;
    let meta = SnapshotMeta { last_log_id: Some(first), last_membership: StoredMembership::new(Some(first), members) };
    let open = || -> io::Result<Snapshots> {
        let files = RealFiles::open(&directory.join("snapshots"))?;
        Ok(Snapshots::open(Arc::new(files), *cluster)?.0)
    };
    open()?.write(&meta, state)?;
    // What a start will find is looked at before it is relied on.
    let found = open()?.current().map(|(found, _)| found);
    if found.as_ref() != Some(&meta) {
        return Err(io::Error::other("the snapshot that was written can't be read back"));
    }
    let engine = DiskEngine::open(&directory.join("log"), 0)?;
    let identity = pb::Identity { format: disk::FORMAT, cluster: *cluster, node: founder.id };
    let place = codec::raft::log_id_to(&first).encode_to_vec();
    let vote = codec::raft::vote_to(&Vote::new_committed(FIRST, founder.id)).encode_to_vec();
    let marks = [
        (Mark::Identity, identity.encode_to_vec()),
        (Mark::Vote, vote),
        (Mark::Committed, place.clone()),
        (Mark::Purged, place),
    ];
    let marks = marks.map(|(mark, value)| Write::Mark { mark, value: record::seal_mark(mark, &value) });
    engine.write(&marks)?;
    engine.sync()
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
