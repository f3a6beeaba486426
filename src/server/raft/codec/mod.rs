//! The core's words as protobuf, and back.
//!
//! The same messages stand in the log, in snapshots and in what one member passes on to another. Encoding can't fail. Decoding
//! trusts nothing: it answers [`DecodeError`], and never guesses a case that it doesn't know.
//!
//! What is decoded of snapshots and replies owns its bytes: a slice of the message would keep a whole buffer of the network alive for as
//! long as the state keeps one small key. Requests are slices of the entry that they stand in, which lives as long as they: of what they
//! say, the state copies what it keeps.

use bytes::Bytes;
use prost::Message;
use ringfence_core::{Entry, Refusal, Reply};
use ringfence_proto::storage as pb;

mod command;
pub mod raft;
mod record;
mod refusal;
mod reply;

pub use command::{request_from, request_to};
pub use record::{record_from, record_to};

/// What was read can't be what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not protobuf of this type.
    #[error("not a {what}: {error}")]
    Protobuf {
        /// The message's type.
        what: &'static str,
        /// What prost says.
        error: prost::DecodeError,
    },
    /// A field that is always written isn't there, or says something that this version doesn't know.
    #[error("{0} is missing or of a newer version")]
    Missing(&'static str),
    /// A number that can't be one.
    #[error("{0} is out of range")]
    Range(&'static str),
}

impl From<DecodeError> for std::io::Error {
    fn from(error: DecodeError) -> Self {
        Self::new(std::io::ErrorKind::InvalidData, error)
    }
}

/// Reads one message.
///
/// # Errors
/// If the bytes aren't one.
pub fn decode<M: Message + Default>(what: &'static str, bytes: &[u8]) -> Result<M, DecodeError> {
    M::decode(bytes).map_err(|error| DecodeError::Protobuf { what, error })
}

/// An entry as it stands in the log.
pub fn entry_to(entry: &Entry) -> Bytes {
    let message = pb::Entry {
        clock_ms: entry.clock_ms,
        wall_ms: entry.wall_ms,
        requests: entry.requests.iter().map(request_to).collect(),
    };
    message.encode_to_vec().into()
}

/// An entry from the log.
///
/// # Errors
/// If the bytes aren't one.
pub fn entry_from(bytes: &Bytes) -> Result<Entry, DecodeError> {
    let message =
        pb::Entry::decode(bytes.clone()).map_err(|error| DecodeError::Protobuf { what: "log entry", error })?;
    Ok(Entry { clock_ms: message.clock_ms, wall_ms: message.wall_ms, requests: all(message.requests, request_from)? })
}

/// The answer to one request.
pub fn result_to(result: &Result<Reply, Refusal>) -> pb::Result {
    let result = match result {
        Ok(reply) => pb::result::Result::Reply(reply::reply_to(reply)),
        Err(refusal) => pb::result::Result::Refusal(refusal::refusal_to(refusal)),
    };
    pb::Result { result: Some(result) }
}

/// The answer to one request.
///
/// # Errors
/// If the message isn't one.
pub fn result_from(result: pb::Result) -> Result<Result<Reply, Refusal>, DecodeError> {
    match result.result.ok_or(DecodeError::Missing("result"))? {
        pb::result::Result::Reply(reply) => reply::reply_from(reply).map(Ok),
        pb::result::Result::Refusal(refusal) => refusal::refusal_from(refusal).map(Err),
    }
}

/// All of a list, in as much room as they need. Collected in place they would keep that of the messages, which is several times more, for
/// as long as the entry stands in the log's cache.
fn all<M, T>(messages: Vec<M>, from: impl Fn(M) -> Result<T, DecodeError>) -> Result<Vec<T>, DecodeError> {
    let mut all = Vec::with_capacity(messages.len());
    for message in messages {
        all.push(from(message)?);
    }
    Ok(all)
}

/// A copy that shares nothing with the message that it came in.
fn own(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

#[cfg(test)]
pub(in crate::raft) mod tests;
