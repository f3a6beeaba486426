//! How a record and a mark stand on disk: a checksum, then protobuf.

use std::io;

use bytes::Bytes;

use crate::raft::{codec, engine::Mark, types::LogEntry};

/// Bytes of the checksum before the rest.
const CHECKSUM_BYTES: usize = 4;

/// An entry as a record. The checksum covers the index too: a record in another's place is damage.
pub fn seal_entry(entry: &LogEntry) -> Bytes {
    seal(&entry.log_id.index.to_be_bytes(), &codec::raft::record_bytes(entry))
}

/// The entry in a record.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] naming the index, if it isn't what was written.
pub fn open_entry(index: u64, record: &Bytes) -> io::Result<LogEntry> {
    let damaged = |what: String| io::Error::new(io::ErrorKind::InvalidData, format!("tree log, index {index}: {what}"));
    let payload =
        unseal(&index.to_be_bytes(), record).ok_or_else(|| damaged("the checksum doesn't match".to_owned()))?;
    let message = codec::decode("log record", payload).map_err(|error| damaged(error.to_string()))?;
    let entry = codec::raft::record_from(message).map_err(|error| damaged(error.to_string()))?;
    if entry.log_id.index != index {
        return Err(damaged(format!("the record says that it is index {}", entry.log_id.index)));
    }
    Ok(entry)
}

/// A mark's value.
pub fn seal_mark(mark: Mark, value: &[u8]) -> Bytes {
    seal(mark.name().as_bytes(), value)
}

/// What a mark's value says.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] naming the mark, if it isn't what was written.
pub fn open_mark<M: prost::Message + Default>(mark: Mark, value: &[u8]) -> io::Result<M> {
    let damaged = |what: String| io::Error::new(io::ErrorKind::InvalidData, format!("mark {}: {what}", mark.name()));
    let payload =
        unseal(mark.name().as_bytes(), value).ok_or_else(|| damaged("the checksum doesn't match".to_owned()))?;
    codec::decode("mark", payload).map_err(|error| damaged(error.to_string()))
}

fn seal(place: &[u8], payload: &[u8]) -> Bytes {
    let mut sealed = Vec::with_capacity(CHECKSUM_BYTES + payload.len());
    sealed.extend_from_slice(&checksum(place, payload).to_be_bytes());
    sealed.extend_from_slice(payload);
    sealed.into()
}

fn unseal<'a>(place: &[u8], sealed: &'a [u8]) -> Option<&'a [u8]> {
    let (sum, payload) = sealed.split_first_chunk::<CHECKSUM_BYTES>()?;
    (u32::from_be_bytes(*sum) == checksum(place, payload)).then_some(payload)
}

fn checksum(place: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(place);
    hasher.update(payload);
    hasher.finalize()
}
