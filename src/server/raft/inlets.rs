//! See [`crate::inlets`]: what raft reads from disks and from members.

use bytes::Bytes;
use prost::Message;
use ringfence_core::{State, query::Stats};
use ringfence_proto::{
    backup::{self as backups_layout, inspect},
    frames::FrameWriter,
    peer, storage as pb,
};

use super::{
    backup, codec,
    log_store::record,
    network::convert,
    snapshots::{format, records},
};
use crate::inlets::messages;

/// Records of the log, as they stand there and as they are under their checksums.
pub fn log_records(bytes: &[u8]) {
    let _ = record::open_entry(0, &Bytes::copy_from_slice(bytes));
    for message in messages::<pb::LogRecord>(bytes) {
        let Ok(entry) = codec::raft::record_from(message) else { continue };
        let sealed = record::seal_entry(&entry);
        let opened = record::open_entry(entry.log_id.index, &sealed);
        assert_eq!(opened.ok().as_ref(), Some(&entry), "what was read can be written and read again");
    }
}

/// What members say to each other: the first byte says which kind it is.
pub fn peer_messages(bytes: &[u8]) {
    fn read<M: Message + Default>(bytes: &[u8]) -> Option<M> {
        M::decode(bytes).ok()
    }
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 8 {
        0 => drop(read(bytes).map(convert::append_request_from)),
        1 => drop(read(bytes).map(|message| convert::append_response_from(&message))),
        2 => drop(read(bytes).map(|message| convert::stream_response_from(&message))),
        3 => drop(read(bytes).map(|message| convert::vote_response_from(&message))),
        4 => drop(read(bytes).map(convert::transfer_response_from)),
        5 => drop(read(bytes).map(convert::admin_response_from)),
        6 => {
            let requests = read::<peer::ProposeRequest>(bytes).map(|message| message.requests);
            requests.into_iter().flatten().for_each(|request| drop(codec::request_from(request)));
        }
        _ => {
            let results = read::<peer::ProposeReplies>(bytes).map(|message| message.results);
            results.into_iter().flatten().for_each(|result| drop(codec::result_from(result)));
        }
    }
}

/// Snapshot files: the bytes as a file, and as the records of one, whose frames are right.
pub fn snapshots(bytes: &[u8]) {
    let _ = format::read_any(&mut &bytes[..]);
    let header = pb::SnapshotHeader {
        format: format::FORMAT,
        membership: Some(pb::StoredMembership { membership: Some(pb::Membership::default()), log_id: None }),
        ..pb::SnapshotHeader::default()
    };
    let file = framed(format::MAGIC, &header.encode_to_vec(), bytes);
    if let Ok((_, _, state)) = format::read_any(&mut &file[..]) {
        survives_a_snapshot(&state);
    }
}

/// Backup files, in the same two ways.
pub fn backups(bytes: &[u8]) {
    let _ = (backup::read(bytes), inspect(bytes));
    let header = pb::BackupHeader { format: backups_layout::FORMAT, ..pb::BackupHeader::default() };
    let file = framed(backups_layout::MAGIC, &header.encode_to_vec(), bytes);
    let _ = inspect(&file[..]);
    if let Ok((_, state)) = backup::read(&file[..])
        && let Ok(restored) = state.restored_from_backup(1000)
    {
        survives_a_snapshot(&restored);
    }
}

fn framed(magic: &[u8; 8], header: &[u8], records: &[u8]) -> Vec<u8> {
    let written = FrameWriter::new(Vec::new(), magic).and_then(|mut frames| {
        frames.write(header)?;
        frames.write(records)?;
        frames.end()?;
        Ok(std::mem::take(frames.out()))
    });
    written.unwrap_or_default()
}

/// A state that was built from anything comes back from its own snapshot.
pub fn survives_a_snapshot(state: &State) {
    let mut written: Vec<pb::StateRecord> = Vec::new();
    for gathered in records::gathered(state) {
        written.extend(messages::<pb::StateRecord>(&gathered.raw));
    }
    let mut written = written.into_iter();
    let read = records::restore(|| Ok(written.next()));
    match read {
        Ok(read) => assert_eq!(read.read(&Stats), state.read(&Stats), "the same state"),
        Err(error) => panic!("a snapshot of its own is refused: {error}"),
    }
}
