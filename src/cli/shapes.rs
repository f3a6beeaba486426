//! The JSON shape of what several commands print. docs/cli.md lists the fields; they are never renamed.

use ringfence_client::{Claim, DeleteResult, KeyValue, LockMode, OpResult, PutResult, RangeResult, TxnResult};
use serde_json::Value;

use crate::output::{Object, escape, session_hex, session_or_dash, session_or_null};

/// One version of one key.
pub fn key(kv: &KeyValue) -> Object {
    key_fields(Object::new(), kv)
}

/// Adds the fields of one version of one key.
pub fn key_fields(object: Object, kv: &KeyValue) -> Object {
    object
        .bytes("key", &kv.key)
        .bytes("value", &kv.value)
        .field("create_revision", kv.create_revision)
        .field("mod_revision", kv.mod_revision)
        .field("version", kv.version)
        .field("session", session_or_null(kv.session.unwrap_or(0)))
        .field("modified_wall_ms", kv.modified_wall_ms)
        .field("claim", kv.claim)
}

/// The version before, null if there was none.
pub fn prev(prev: Option<&KeyValue>) -> Value {
    prev.map_or(Value::Null, |kv| key(kv).into())
}

/// A claim of a lock or an election.
pub fn claim(claim: &Claim) -> Object {
    claim_fields(Object::new(), claim)
}

/// Adds the fields of a claim.
pub fn claim_fields(object: Object, claim: &Claim) -> Object {
    let permits = if let LockMode::Semaphore(permits) = claim.mode { Some(permits) } else { None };
    object
        .bytes("name", &claim.name)
        .field("token", claim.token)
        .field("session", session_hex(claim.session))
        .field("session_owner", claim.session_owner.as_str())
        .field("mode", mode(claim.mode))
        .field("permits", permits)
        .field("owner", claim.owner)
        .bytes("value", &claim.value)
        .field("claimed_wall_ms", claim.claimed_wall_ms)
        .field("granted_wall_ms", (claim.granted_wall_ms > 0).then_some(claim.granted_wall_ms))
        .field("mod_revision", claim.mod_revision)
        .bytes("key", &claim.key)
}

/// A mode's name.
pub fn mode(mode: LockMode) -> &'static str {
    match mode {
        LockMode::Exclusive => "exclusive",
        LockMode::Shared => "shared",
        LockMode::Semaphore(_) => "semaphore",
        _ => "other",
    }
}

/// Answer to a put.
pub fn put(result: &PutResult, with_prev: bool) -> Object {
    let object = Object::new().bytes("key", &result.key).field("revision", result.revision);
    if with_prev { object.field("prev", prev(result.prev.as_ref())) } else { object }
}

/// Answer to a deletion.
pub fn delete(result: &DeleteResult, with_prev: bool) -> Object {
    let object = Object::new().field("deleted", result.deleted).field("revision", result.revision);
    if with_prev { object.list("prev", result.prev.iter().map(key)) } else { object }
}

fn range(result: &RangeResult) -> Object {
    Object::new().list("kvs", result.kvs.iter().map(key)).field("count", result.count).field("more", result.more)
}

/// Answer to a transaction.
pub fn txn(result: &TxnResult) -> Object {
    let results = result.results.iter().map(|result| match result {
        OpResult::Put(result) => Object::new().field("put", put(result, true)),
        OpResult::Delete(result) => Object::new().field("delete", delete(result, true)),
        OpResult::Range(result) => Object::new().field("range", range(result)),
        _ => Object::new(),
    });
    Object::new().field("succeeded", result.succeeded).field("revision", result.revision).list("results", results)
}

/// The titles of [`key_row`].
pub const KEY_HEADER: &[&str] = &["KEY", "REVISION", "VERSION", "SESSION", "VALUE"];

/// A key as a row of a table.
pub fn key_row(kv: &KeyValue) -> Vec<String> {
    // A child that only has deeper keys is no key itself, and has no numbers.
    let number = |number: u64| {
        if kv.version == 0 { "-".to_owned() } else { number.to_string() }
    };
    vec![
        escape(&kv.key),
        number(kv.mod_revision),
        number(kv.version),
        session_or_dash(kv.session.unwrap_or(0)),
        escape(&kv.value),
    ]
}
