//! Everything that reads bytes from outside, as functions that take any bytes: for fuzzers (`scripts/fuzz`), and for the test that goes
//! on trying what fuzzers have found. None may panic, whatever it is given; what it makes of it must hold together.
//!
//! Compiled for tests and with the feature `fuzzing` alone.

use std::path::Path;

use prost::Message;
use ringfence_core::{Command, Entry, Request, State};
use ringfence_proto::v1;
use tonic::Status;

pub use crate::raft::inlets::{backups, log_records, peer_messages, snapshots};
use crate::{
    api::convert_request as convert,
    config::{Settings, Values},
    limits::MESSAGE_BYTES_MAX,
    raft::{codec, inlets::survives_a_snapshot},
};

/// An inlet, and what it is called.
pub type Inlet = (&'static str, fn(&[u8]));

/// All of them.
pub const ALL: &[Inlet] = &[
    ("client_requests", client_requests),
    ("configuration", configuration),
    #[cfg(not(madsim))]
    ("links", links),
    ("log_entries", log_entries),
    ("log_records", log_records),
    ("peer_messages", peer_messages),
    ("snapshots", snapshots),
    ("backups", backups),
];

/// Messages, each with its length before it, as far as there are any.
pub(crate) fn messages<M: Message + Default>(mut bytes: &[u8]) -> impl Iterator<Item = M> {
    std::iter::from_fn(move || if bytes.is_empty() { None } else { M::decode_length_delimited(&mut bytes).ok() })
}

/// Entries as they stand in the log, applied one after another.
pub fn log_entries(bytes: &[u8]) {
    let mut state = State::default();
    for message in messages::<ringfence_proto::storage::Entry>(bytes) {
        if let Ok(entry) = codec::entry_from(&message.encode_to_vec().into()) {
            apply(&mut state, &entry);
        }
    }
    survives_a_snapshot(&state);
}

/// What clients ask: the first byte of each message says which kind it is.
pub fn client_requests(bytes: &[u8]) {
    let mut state = State::default();
    let (mut bytes, mut clock_ms) = (bytes, 0);
    while let Some((kind, rest)) = bytes.split_first() {
        bytes = rest;
        let Ok(Ok(request)) = request(*kind, &mut bytes) else { continue };
        clock_ms += 1;
        apply(&mut state, &Entry { clock_ms, wall_ms: clock_ms, requests: vec![request] });
    }
    survives_a_snapshot(&state);
}

fn request(kind: u8, bytes: &mut &[u8]) -> Result<Result<Request, Status>, prost::DecodeError> {
    fn next<M: Message + Default>(bytes: &mut &[u8]) -> Result<M, prost::DecodeError> {
        M::decode_length_delimited(bytes)
    }
    let one = |op| Command::Txn(ringfence_core::Txn { then: vec![op], ..ringfence_core::Txn::default() });
    Ok(match kind % 6 {
        0 => {
            let mut message: v1::PutRequest = next(bytes)?;
            let id = message.request_id.take();
            convert::request_id(id).and_then(|id| convert::checked(one(convert::put(message)?), id))
        }
        1 => {
            let mut message: v1::DeleteRequest = next(bytes)?;
            let id = message.request_id.take();
            convert::request_id(id).and_then(|id| convert::checked(one(convert::delete(message)?), id))
        }
        2 => {
            let mut message: v1::TxnRequest = next(bytes)?;
            let id = message.request_id.take();
            convert::request_id(id).and_then(|id| convert::checked(Command::Txn(convert::txn(message)?), id))
        }
        3 => {
            let message: v1::RangeRequest = next(bytes)?;
            convert::range(message).and_then(|range| convert::checked(one(ringfence_core::Op::Range(range)), None))
        }
        4 => {
            let mut message: v1::LockAcquireRequest = next(bytes)?;
            // Without a number the server draws one, which would be another each time.
            message.attempt = message.attempt.max(1);
            convert::claim(message, true).and_then(|claim| convert::checked(Command::Claim(claim), None))
        }
        _ => {
            let message: v1::SessionOpenRequest = next(bytes)?;
            // The server draws the id; here it is the first ones, so that other messages can name them.
            let id = ringfence_core::SessionId(1 + u64::from(kind) / 6);
            convert::checked(Command::OpenSession { id, ttl_ms: message.ttl_ms, owner: message.owner }, None)
        }
    })
}

/// What comes on a link, in two pieces: the first byte says on which kind and from whom, the second where it is cut.
#[cfg(not(madsim))]
pub fn links(bytes: &[u8]) {
    use ringfence_link::Frames;
    use ringfence_proto::peer;
    use tokio_util::codec::Decoder;

    fn read<M: Message + Default>(pieces: [&[u8]; 2]) {
        let (mut frames, mut read) = (Frames::<M, M>::new(MESSAGE_BYTES_MAX), bytes::BytesMut::new());
        for piece in pieces {
            read.extend_from_slice(piece);
            while let Ok(Some(_)) = frames.decode(&mut read) {}
        }
    }
    let [kind, cut, bytes @ ..] = bytes else { return };
    let (first, second) = bytes.split_at(bytes.len().min(usize::from(*cut)));
    match kind % 6 {
        0 => read::<peer::AppendRequest>([first, second]),
        1 => read::<peer::LinkAnswer>([first, second]),
        2 => read::<peer::LinkAsk>([first, second]),
        3 => read::<peer::LinkReply>([first, second]),
        4 => read::<v1::PipelineRequest>([first, second]),
        _ => read::<v1::WatchRequest>([first, second]),
    }
}

/// A configuration file.
pub fn configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut values = Values::default();
    if values.add_file(Path::new("ringfence.toml"), text).is_ok() {
        let _ = Settings::from_values(&values);
    }
}

fn apply(state: &mut State, entry: &Entry) {
    let outcome = state.apply(entry);
    assert_eq!(outcome.replies.len(), entry.requests.len(), "one reply a request");
    assert_eq!(state.verify_invariants(), Ok(()));
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What fuzzers started from, and what they found.
    #[test]
    fn nothing_that_fuzzers_kept_does_harm() {
        let corpora = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/corpus"));
        for (name, inlet) in ALL {
            let files = fs::read_dir(corpora.join(name)).unwrap_or_else(|error| panic!("corpus of {name}: {error}"));
            let mut tried = 0;
            for file in files {
                inlet(&fs::read(file.unwrap().path()).unwrap());
                tried += 1;
            }
            assert!(tried > 0, "{name} has a corpus");
        }
    }

    #[test]
    fn each_corpus_belongs_to_an_inlet() {
        let corpora = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/corpus"));
        for directory in fs::read_dir(corpora).unwrap() {
            let name = directory.unwrap().file_name().into_string().unwrap();
            assert!(ALL.iter().any(|(inlet, _)| *inlet == name), "nothing takes {name}");
        }
    }
}
