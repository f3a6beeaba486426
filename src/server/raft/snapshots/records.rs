//! The state's records in frames: the larger part of a snapshot, and of a backup.

use std::{
    io::{self, Read, Write},
    iter,
};

use bytes::{Buf, Bytes};
use prost::Message;
use ringfence_core::{State, snapshot::Record};
use ringfence_proto::{
    frames::{FrameReader, FrameWriter},
    storage as pb,
};

use crate::raft::codec;

/// Bytes of records that a frame gathers before it is closed: enough to compress well.
const FRAME_BYTES: usize = 256 << 10;

/// What one frame holds.
pub struct Gathered {
    /// Records, each behind its length.
    pub raw: Vec<u8>,
    /// How many.
    pub records: u64,
}

/// The state's records, gathered for one frame after the other.
pub fn gathered(state: &State) -> impl Iterator<Item = Gathered> + Send + '_ {
    let mut all = state.records();
    iter::from_fn(move || {
        let (mut raw, mut records) = (Vec::with_capacity(FRAME_BYTES), 0);
        for record in all.by_ref() {
            raw.extend_from_slice(&codec::record_to(&record).encode_length_delimited_to_vec());
            records += 1;
            if raw.len() >= FRAME_BYTES {
                break;
            }
        }
        (records > 0).then_some(Gathered { raw, records })
    })
}

/// Writes all records, and the end of the file.
///
/// # Errors
/// What the disk says.
pub fn write<W: Write>(frames: &mut FrameWriter<W>, state: &State) -> io::Result<()> {
    for gathered in gathered(state) {
        frames.write(&gathered.raw)?;
    }
    frames.end()
}

/// Reads all records to the end of the file, and the state that they say.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] or [`io::ErrorKind::UnexpectedEof`] if they can't be right; else what the disk says.
pub fn read<R: Read>(frames: &mut FrameReader<R>) -> io::Result<State> {
    let mut frame = Bytes::new();
    restore(|| {
        while !frame.has_remaining() {
            match frames.next_frame()? {
                Some(next) => frame = next,
                None => return Ok(None),
            }
        }
        let record = pb::StateRecord::decode_length_delimited(&mut frame);
        record.map(Some).map_err(|error| frames.damaged(&error.to_string()))
    })
    .and_then(|state| {
        if frame.has_remaining() {
            return Err(frames.damaged("records follow the last one"));
        }
        frames.expect_end()?;
        Ok(state)
    })
}

/// The state that these records say.
///
/// # Errors
/// As [`read`].
pub fn restore(mut next: impl FnMut() -> io::Result<Option<pb::StateRecord>>) -> io::Result<State> {
    let mut error = None;
    let records = iter::from_fn(|| {
        let record: io::Result<Option<Record>> =
            next().and_then(|message| Ok(message.map(codec::record_from).transpose()?));
        record.unwrap_or_else(|failed| {
            error = Some(failed);
            None
        })
    });
    // After its last record the state asks for one more, to be told that there is none.
    let state = State::restore(records.fuse());
    // What failed here is the cause of what the state then finds missing.
    match error {
        Some(error) => Err(error),
        None => state.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error)),
    }
}
