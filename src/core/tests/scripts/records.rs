//! From a snapshot's records to lines that people read.

use ringfence_core::snapshot::Record;

use crate::output::{bond, line, text};

pub fn records(records: &[Record]) -> String {
    let mut out = String::new();
    for record in records {
        line(&mut out, &record_line(record));
    }
    out
}

fn record_line(record: &Record) -> String {
    match record {
        Record::Header(header) => format!(
            "header: format {}, revision {}, compacted {}, clock {}, sequential {}, level {}",
            header.format, header.revision, header.compacted, header.clock_ms, header.sequential, header.level
        ),
        Record::Version(version) if version.deleted => {
            format!("version: {} deleted in {}", text(&version.key), version.mod_revision)
        }
        Record::Version(version) => format!(
            "version: {} = {} in {}, created {}, version {}{}{}",
            text(&version.key),
            text(&version.value),
            version.mod_revision,
            version.create_revision,
            version.version,
            bond(version.session),
            if version.claim { ", claim" } else { "" }
        ),
        Record::Session(session) => format!(
            "session: {} of {}, TTL {}, deadline {}, opened at {}, sequence {}",
            session.id.0, session.owner, session.ttl_ms, session.deadline_ms, session.opened_wall_ms, session.sequence
        ),
        Record::Remembered(remembered) => {
            let result = if remembered.result.is_ok() { "a reply" } else { "a refusal" };
            format!("remembered: {result} to {} of session {}", remembered.sequence, remembered.session.0)
        }
        Record::Claim(claim) => format!(
            "claim: {}, token {}, session {}, suffix {}, {:?}, attempt {}, granted at {}",
            text(&claim.name),
            claim.token,
            claim.session.0,
            text(&claim.suffix),
            claim.mode,
            claim.attempt,
            claim.granted_wall_ms
        ),
        Record::Trailer(trailer) => format!("trailer: after {} records", trailer.records),
    }
}
