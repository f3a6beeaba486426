//! The layout of a snapshot file.
//!
//! Eight bytes of magic, then frames. A frame is the length of its data (4 bytes, big-endian), a checksum over its number and its data (4
//! bytes), and the data: zstd. The first frame holds a header, each further one some records, each behind its length. The last
//! frame is empty; after it the file ends. A file that was cut off, changed anywhere or put together from two is refused.

use std::io::{self, Read, Write};

use bytes::{Buf, Bytes};
use prost::Message;
use ringfence_core::{State, snapshot::Record};
use ringfence_proto::storage as pb;

use crate::raft::{
    codec,
    types::{LogId, SnapshotMeta},
};

/// Version of this layout.
pub const FORMAT: u32 = 1;

const MAGIC: &[u8; 8] = b"RFSNAP\r\n";
/// Bytes of records that a frame gathers before it is closed: enough to compress well.
const FRAME_BYTES: usize = 256 << 10;
/// Bytes of records in a frame at most: the gathered ones and one of the largest, a remembered reply. A frame that says
/// that it is larger is damaged, and is refused before memory is taken for it.
const FRAME_BYTES_MAX: usize = 64 << 20;
/// zstd's level: the fastest, since the log waits for no one but disks are small.
const LEVEL: i32 = 1;

/// Writes a snapshot.
///
/// # Errors
/// What the disk says.
pub fn write(out: &mut dyn Write, cluster: u64, meta: &SnapshotMeta, state: &State) -> io::Result<()> {
    out.write_all(MAGIC)?;
    let header = pb::SnapshotHeader {
        format: FORMAT,
        cluster,
        last: meta.last_log_id.as_ref().map(codec::raft::log_id_to),
        membership: Some(codec::raft::stored_membership_to(&meta.last_membership)),
    };
    let mut frames = Frames { out, number: 0 };
    frames.write(&header.encode_to_vec())?;
    let mut gathered = Vec::with_capacity(FRAME_BYTES);
    for record in state.records() {
        let message = codec::record_to(&record);
        gathered.reserve(message.encoded_len() + 10);
        message.encode_length_delimited(&mut gathered).map_err(io::Error::other)?;
        if gathered.len() >= FRAME_BYTES {
            frames.write(&gathered)?;
            gathered.clear();
        }
    }
    if !gathered.is_empty() {
        frames.write(&gathered)?;
    }
    frames.end()
}

struct Frames<'a> {
    out: &'a mut dyn Write,
    number: u64,
}

impl Frames<'_> {
    fn write(&mut self, raw: &[u8]) -> io::Result<()> {
        let data = zstd::bulk::compress(raw, LEVEL)?;
        self.put(&data)
    }

    fn end(&mut self) -> io::Result<()> {
        self.put(&[])
    }

    fn put(&mut self, data: &[u8]) -> io::Result<()> {
        let length = u32::try_from(data.len()).map_err(|_| io::Error::other("a frame passes 4 GiB"))?;
        self.out.write_all(&length.to_be_bytes())?;
        self.out.write_all(&checksum(self.number, data).to_be_bytes())?;
        self.out.write_all(data)?;
        self.number += 1;
        Ok(())
    }
}

fn checksum(number: u64, data: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_be_bytes());
    hasher.update(data);
    hasher.finalize()
}

/// Reads a whole snapshot, and refuses it unless all of it is right.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] or [`io::ErrorKind::UnexpectedEof`] if the file can't be right; else what the disk says.
pub fn read(input: &mut dyn Read, cluster: u64) -> io::Result<(SnapshotMeta, State)> {
    let mut magic = [0; MAGIC.len()];
    input.read_exact(&mut magic)?;
    if &magic != MAGIC {
        return Err(damaged("it doesn't begin like a snapshot"));
    }
    let mut reader = Reader { input, number: 0, frame: Bytes::new(), ended: false, error: None };
    let header = reader.next_frame()?.ok_or_else(|| damaged("it has no header"))?;
    let header: pb::SnapshotHeader = codec::decode("snapshot header", &header)?;
    let meta = meta_from(header, cluster)?;
    let state = State::restore(std::iter::from_fn(|| reader.next_record()));
    // The reader's error is the cause of what the state then finds missing.
    if let Some(error) = reader.error.take() {
        return Err(error);
    }
    let state = state.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    reader.expect_end()?;
    Ok((meta, state))
}

fn meta_from(header: pb::SnapshotHeader, cluster: u64) -> io::Result<SnapshotMeta> {
    if header.format != FORMAT {
        return Err(damaged(&format!("it is of format {}, and this version reads {FORMAT}", header.format)));
    }
    if header.cluster != cluster {
        return Err(damaged(&format!("it is of another cluster, {:016x}", header.cluster)));
    }
    let last: Option<LogId> = header.last.as_ref().map(codec::raft::log_id_from);
    let membership = header.membership.ok_or_else(|| damaged("it doesn't name the members"))?;
    Ok(SnapshotMeta { last_log_id: last, last_membership: codec::raft::stored_membership_from(membership)? })
}

struct Reader<'a> {
    input: &'a mut dyn Read,
    number: u64,
    frame: Bytes,
    ended: bool,
    error: Option<io::Error>,
}

impl Reader<'_> {
    fn next_frame(&mut self) -> io::Result<Option<Bytes>> {
        let mut word = [0; 4];
        self.input.read_exact(&mut word)?;
        let length = u32::from_be_bytes(word) as usize;
        self.input.read_exact(&mut word)?;
        if length > FRAME_BYTES_MAX {
            return Err(damaged(&format!("frame {} is too long", self.number)));
        }
        let mut data = vec![0; length];
        self.input.read_exact(&mut data)?;
        if u32::from_be_bytes(word) != checksum(self.number, &data) {
            return Err(damaged(&format!("the checksum of frame {} doesn't match", self.number)));
        }
        self.number += 1;
        if data.is_empty() {
            self.ended = true;
            return Ok(None);
        }
        let raw = zstd::bulk::decompress(&data, FRAME_BYTES_MAX)
            .map_err(|error| damaged(&format!("frame {}: {error}", self.number - 1)))?;
        Ok(Some(raw.into()))
    }

    fn next_record(&mut self) -> Option<Record> {
        match self.try_next_record() {
            Ok(record) => record,
            Err(error) => {
                self.error = Some(error);
                None
            }
        }
    }

    fn try_next_record(&mut self) -> io::Result<Option<Record>> {
        if self.error.is_some() || self.ended {
            return Ok(None);
        }
        while !self.frame.has_remaining() {
            match self.next_frame()? {
                Some(frame) => self.frame = frame,
                None => return Ok(None),
            }
        }
        let message = pb::StateRecord::decode_length_delimited(&mut self.frame)
            .map_err(|error| damaged(&format!("frame {}: {error}", self.number - 1)))?;
        Ok(Some(codec::record_from(message)?))
    }

    fn expect_end(&mut self) -> io::Result<()> {
        while !self.ended {
            if self.frame.has_remaining() || self.next_frame()?.is_some() {
                return Err(damaged("records follow the last one"));
            }
        }
        if self.input.read(&mut [0])? != 0 {
            return Err(damaged("bytes follow its end"));
        }
        Ok(())
    }
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}
