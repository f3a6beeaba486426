//! The layout of a snapshot file.
//!
//! It stands in [frames](ringfence_proto::frames). The first one holds a header, each further one some [`records`]. A file that
//! was cut off, changed anywhere or put together from two is refused.

use std::io::{self, Read, Write};

use prost::Message;
use ringfence_core::State;
use ringfence_proto::{
    frames::{FrameReader, FrameWriter},
    storage as pb,
};

use super::records;
use crate::raft::{
    codec,
    types::{LogId, SnapshotMeta},
};

/// Version of this layout.
pub const FORMAT: u32 = 1;

/// With what such a file begins.
pub const MAGIC: &[u8; 8] = b"RFSNAP\r\n";

/// Writes a snapshot.
///
/// # Errors
/// What the disk says.
pub fn write(out: &mut dyn Write, cluster: u64, meta: &SnapshotMeta, state: &State) -> io::Result<()> {
    let header = pb::SnapshotHeader {
        format: FORMAT,
        cluster,
        last: meta.last_log_id.as_ref().map(codec::raft::log_id_to),
        membership: Some(codec::raft::stored_membership_to(&meta.last_membership)),
    };
    let mut frames = FrameWriter::new(out, MAGIC)?;
    frames.write(&header.encode_to_vec())?;
    records::write(&mut frames, state)
}

/// Reads a whole snapshot, and refuses it unless all of it is right.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] or [`io::ErrorKind::UnexpectedEof`] if the file can't be right, [`io::ErrorKind::Unsupported`] if
/// it is of a newer version; else what the disk says.
pub fn read(input: &mut dyn Read, cluster: u64) -> io::Result<(SnapshotMeta, State)> {
    let (header, mut frames) = open(input)?;
    if header.cluster != cluster {
        return Err(damaged(&format!("it is of another cluster, {:016x}", header.cluster)));
    }
    Ok((meta_from(header)?, records::read(&mut frames)?))
}

/// The same for whatever cluster, which is named first.
///
/// # Errors
/// As [`read`].
#[cfg(not(madsim))]
pub fn read_any(input: &mut dyn Read) -> io::Result<(u64, SnapshotMeta, State)> {
    let (header, mut frames) = open(input)?;
    Ok((header.cluster, meta_from(header)?, records::read(&mut frames)?))
}

fn open(input: &mut dyn Read) -> io::Result<(pb::SnapshotHeader, FrameReader<&mut dyn Read>)> {
    let mut frames = FrameReader::new(input, MAGIC, "snapshot")?;
    let header = frames.next_frame()?.ok_or_else(|| frames.damaged("it has no header"))?;
    let header: pb::SnapshotHeader = codec::decode("snapshot header", &header)?;
    if header.format != FORMAT {
        let what = format!("it is of format {}, and this version reads format {FORMAT}", header.format);
        return Err(io::Error::new(io::ErrorKind::Unsupported, what));
    }
    Ok((header, frames))
}

fn meta_from(header: pb::SnapshotHeader) -> io::Result<SnapshotMeta> {
    let last: Option<LogId> = header.last.as_ref().map(codec::raft::log_id_from);
    let membership = header.membership.ok_or_else(|| damaged("it doesn't name the members"))?;
    Ok(SnapshotMeta { last_log_id: last, last_membership: codec::raft::stored_membership_from(membership)? })
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}
