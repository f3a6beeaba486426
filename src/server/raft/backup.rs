//! Backup files: the layout of [`ringfence_proto::backup`], with a state in it.

use std::io::{self, Read};

use prost::Message;
use ringfence_core::{State, query::Stats};
use ringfence_proto::{
    backup::{BackupReader, FORMAT, MAGIC},
    frames::FrameWriter,
    storage::BackupHeader,
};

use super::snapshots::records;
pub use super::snapshots::records::{Gathered, gathered};

/// Who makes a backup, and when.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The cluster's id.
    pub cluster: u64,
    /// Its name.
    pub cluster_name: String,
    /// The member.
    pub node: u64,
    /// The wall clock, for people.
    pub taken_wall_ms: u64,
}

/// Begins a backup of this state. What is gathered of it is to follow, and the end.
///
/// # Errors
/// If it can't be compressed.
pub fn begin(origin: Origin, state: &State) -> io::Result<FrameWriter<Vec<u8>>> {
    let stats = state.read(&Stats).map_err(io::Error::other)?;
    let header = BackupHeader {
        format: FORMAT,
        cluster: origin.cluster,
        cluster_name: origin.cluster_name,
        node: origin.node,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: stats.revision,
        taken_wall_ms: origin.taken_wall_ms,
        keys: stats.keys,
        sessions: stats.sessions,
        queues: stats.queues,
    };
    let mut frames = FrameWriter::new(Vec::new(), MAGIC)?;
    frames.write(&header.encode_to_vec())?;
    Ok(frames)
}

/// Reads a whole backup, and refuses it unless all of it is right.
///
/// # Errors
/// [`io::ErrorKind::Unsupported`] for a format that isn't known here; [`io::ErrorKind::InvalidData`] or
/// [`io::ErrorKind::UnexpectedEof`] if it can't be right; else what the disk says.
pub fn read(input: impl Read) -> io::Result<(BackupHeader, State)> {
    let mut reader = BackupReader::new(input)?;
    let state = records::restore(|| reader.next_record())?;
    reader.expect_end()?;
    let header = reader.header().clone();
    let stats = state.read(&Stats).map_err(io::Error::other)?;
    let said = (header.revision, header.keys, header.sessions, header.queues);
    if said != (stats.revision, stats.keys, stats.sessions, stats.queues) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its header says otherwise than its records"));
    }
    Ok((header, state))
}

#[cfg(all(test, not(madsim)))]
#[path = "backup_tests.rs"]
mod tests;
