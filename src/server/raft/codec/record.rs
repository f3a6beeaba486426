//! Records of a snapshot.

use ringfence_core::{
    SessionId,
    snapshot::{Claim, Header, Record, Remembered, Session, Trailer, Version},
};
use ringfence_proto::storage as pb;

use super::{
    DecodeError,
    command::{mode_from, mode_to, session_from},
    own, result_from, result_to,
};

/// A record as a message.
pub fn record_to(record: &Record) -> pb::StateRecord {
    use pb::state_record::Record as Message;
    let record = match record {
        Record::Header(header) => Message::Header(pb::StateHeader {
            format: header.format,
            revision: header.revision,
            compacted: header.compacted,
            clock_ms: header.clock_ms,
            sequential: header.sequential,
            hash: header.hash,
            level: header.level,
        }),
        Record::Version(version) => Message::Version(pb::StateVersion {
            key: version.key.clone(),
            value: version.value.clone(),
            create_revision: version.create_revision,
            mod_revision: version.mod_revision,
            version: version.version,
            session: version.session.map_or(0, |id| id.0),
            wall_ms: version.wall_ms,
            claim: version.claim,
            deleted: version.deleted,
        }),
        Record::Session(session) => Message::Session(pb::StateSession {
            id: session.id.0,
            owner: session.owner.clone(),
            ttl_ms: session.ttl_ms,
            deadline_ms: session.deadline_ms,
            opened_wall_ms: session.opened_wall_ms,
            sequence: session.sequence,
        }),
        Record::Remembered(remembered) => Message::Remembered(pb::StateRemembered {
            session: remembered.session.0,
            sequence: remembered.sequence,
            command: remembered.command,
            result: Some(result_to(&remembered.result)),
        }),
        Record::Claim(claim) => Message::Claim(pb::StateClaim {
            name: claim.name.clone(),
            session: claim.session.0,
            suffix: claim.suffix.clone(),
            token: claim.token,
            mode: Some(mode_to(claim.mode)),
            attempt: claim.attempt,
            claimed_wall_ms: claim.claimed_wall_ms,
            granted_wall_ms: claim.granted_wall_ms,
        }),
        Record::Trailer(trailer) => Message::Trailer(pb::StateTrailer { records: trailer.records }),
    };
    pb::StateRecord { record: Some(record) }
}

/// A record from a message.
///
/// # Errors
/// If the message isn't one.
pub fn record_from(message: pb::StateRecord) -> Result<Record, DecodeError> {
    use pb::state_record::Record as Message;
    Ok(match message.record.ok_or(DecodeError::Missing("snapshot record"))? {
        Message::Header(header) => Record::Header(Header {
            format: header.format,
            revision: header.revision,
            compacted: header.compacted,
            clock_ms: header.clock_ms,
            sequential: header.sequential,
            hash: header.hash,
            level: header.level,
        }),
        Message::Version(version) => Record::Version(Version {
            key: own(&version.key),
            value: own(&version.value),
            create_revision: version.create_revision,
            mod_revision: version.mod_revision,
            version: version.version,
            session: session_from(version.session),
            wall_ms: version.wall_ms,
            claim: version.claim,
            deleted: version.deleted,
        }),
        Message::Session(session) => Record::Session(Session {
            id: SessionId(session.id),
            owner: session.owner,
            ttl_ms: session.ttl_ms,
            deadline_ms: session.deadline_ms,
            opened_wall_ms: session.opened_wall_ms,
            sequence: session.sequence,
        }),
        Message::Remembered(remembered) => Record::Remembered(Remembered {
            session: SessionId(remembered.session),
            sequence: remembered.sequence,
            command: remembered.command,
            result: result_from(remembered.result.ok_or(DecodeError::Missing("remembered result"))?)?,
        }),
        Message::Claim(claim) => Record::Claim(Claim {
            name: own(&claim.name),
            session: SessionId(claim.session),
            suffix: own(&claim.suffix),
            token: claim.token,
            mode: mode_from(claim.mode)?,
            attempt: claim.attempt,
            claimed_wall_ms: claim.claimed_wall_ms,
            granted_wall_ms: claim.granted_wall_ms,
        }),
        Message::Trailer(trailer) => Record::Trailer(Trailer { records: trailer.records }),
    })
}
