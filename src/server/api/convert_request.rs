//! What clients ask, as commands and queries of the core. The way back is [`super::convert`].
//!
//! Everything that can be known to be wrong without a state is refused here, before anything is proposed: what the
//! wire can say and the core can't (a session id of 0, an unknown mode, two ways to name a range), and, through
//! [`Command::check`], all limits.

use std::time::Duration;

use bytes::Bytes;
use ringfence_core::{
    Claim, Command, Compare, Mode, Op, Put, Refusal, Relation, Request, RequestId, Revision, SessionId, Span, Target,
    Txn,
    command::ATTEMPT_DRAWN,
    limits,
    query::{Range, Select},
};
use ringfence_proto::v1;
use tonic::Status;

use super::errors::{invalid, refused};

/// Longest wait that a request may name: a day, as the longest TTL. A wait of 0 has no bound of its own.
pub const WAIT_MS_MAX: u64 = limits::TTL_MS_MAX;

/// How fresh an answer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It sees every write acknowledged before it was asked for.
    Linearizable,
    /// Whatever is applied here, but at least this revision.
    AtLeast(Revision),
}

/// How fresh a read must be. `min_revision` says nothing in a linearizable read.
///
/// # Errors
/// INVALID_ARGUMENT for a number that names no consistency.
pub fn freshness(consistency: i32, min_revision: Revision) -> Result<Freshness, Status> {
    match v1::Consistency::try_from(consistency) {
        Ok(v1::Consistency::Linearizable) => Ok(Freshness::Linearizable),
        Ok(v1::Consistency::Stale) => Ok(Freshness::AtLeast(min_revision)),
        Err(_) => Err(invalid(format!("consistency {consistency} is not known: 0 is linearizable, 1 is stale"))),
    }
}

/// A command with its number, checked against all limits.
///
/// # Errors
/// The refusal that applying it would surely give; see [`refused`].
pub fn checked(command: Command, id: Option<RequestId>) -> Result<Request, Status> {
    command.check().map_err(refused)?;
    Ok(Request { id, command })
}

/// A session that must be named.
///
/// # Errors
/// INVALID_ARGUMENT for 0 and for what doesn't fit into 63 bits.
pub fn session_id(id: u64) -> Result<SessionId, Status> {
    match id {
        0 => Err(invalid("session_id is required")),
        _ => some_session_id(id),
    }
}

/// A session that may be named: 0 is none.
///
/// # Errors
/// INVALID_ARGUMENT for what doesn't fit into 63 bits.
pub fn session_id_or_none(id: u64) -> Result<Option<SessionId>, Status> {
    match id {
        0 => Ok(None),
        _ => some_session_id(id).map(Some),
    }
}

fn some_session_id(id: u64) -> Result<SessionId, Status> {
    if id > i64::MAX as u64 {
        return Err(invalid(format!("session_id {id} is none: ids are 1 to 2^63 - 1")));
    }
    Ok(SessionId(id))
}

/// The number of a write within its session, if the client gave one.
///
/// # Errors
/// INVALID_ARGUMENT for a bad session id or a sequence of 0.
pub fn request_id(id: Option<v1::RequestId>) -> Result<Option<RequestId>, Status> {
    let Some(id) = id else { return Ok(None) };
    if id.sequence == 0 {
        return Err(invalid("request_id.sequence must be at least 1"));
    }
    Ok(Some(RequestId { session: session_id(id.session_id)?, sequence: id.sequence }))
}

/// A mode with its permits.
///
/// # Errors
/// INVALID_ARGUMENT for a number that names no mode, for a semaphore without permits and for permits without a semaphore;
/// LIMIT_EXCEEDED for too many permits.
pub fn mode(mode: i32, permits: u32) -> Result<Mode, Status> {
    let known = v1::LockMode::try_from(mode)
        .map_err(|_| invalid(format!("mode {mode} is not known: 0 is exclusive, 1 is shared, 2 is a semaphore")))?;
    match (known, permits) {
        (v1::LockMode::Exclusive, 0) => Ok(Mode::Exclusive),
        (v1::LockMode::Shared, 0) => Ok(Mode::Shared),
        (v1::LockMode::Semaphore, 0) => Err(invalid("permits must be at least 1 for a semaphore")),
        (v1::LockMode::Semaphore, permits) if permits > limits::PERMITS_MAX => Err(refused(Refusal::LimitExceeded {
            what: "number of permits".to_owned(),
            limit: limits::PERMITS_MAX.into(),
            actual: permits.into(),
        })),
        (v1::LockMode::Semaphore, permits) => Ok(Mode::Semaphore(permits)),
        _ => Err(invalid("permits must be 0 except for a semaphore")),
    }
}

/// The size of a page: 0 asks for the largest.
///
/// # Errors
/// LIMIT_EXCEEDED if it is over `most`.
pub fn page(limit: u32, most: usize) -> Result<usize, Status> {
    match limit as usize {
        0 => Ok(most),
        limit if limit > most => {
            Err(refused(Refusal::LimitExceeded { what: "limit".to_owned(), limit: most as u64, actual: limit as u64 }))
        }
        limit => Ok(limit),
    }
}

/// A bound on waiting: 0 is none.
///
/// # Errors
/// LIMIT_EXCEEDED over [`WAIT_MS_MAX`].
pub fn wait(wait_ms: u64) -> Result<Option<Duration>, Status> {
    match wait_ms {
        0 => Ok(None),
        wait_ms if wait_ms > WAIT_MS_MAX => {
            Err(refused(Refusal::LimitExceeded { what: "wait_ms".to_owned(), limit: WAIT_MS_MAX, actual: wait_ms }))
        }
        wait_ms => Ok(Some(Duration::from_millis(wait_ms))),
    }
}

/// The number of an attempt at a claim. A client that doesn't number its attempts gets one without an order.
pub fn attempt(number: u64) -> u64 {
    match number {
        0 => rand::random::<u64>() | ATTEMPT_DRAWN,
        number => number & !ATTEMPT_DRAWN,
    }
}

/// The claim that is asked for; how long it may wait is another matter.
///
/// # Errors
/// As [`session_id`] and [`mode`].
pub fn claim(request: v1::LockAcquireRequest, only_if_free: bool) -> Result<Claim, Status> {
    Ok(Claim {
        session: session_id(request.session_id)?,
        mode: mode(request.mode, request.permits)?,
        name: request.name,
        suffix: request.suffix,
        value: request.value,
        attempt: attempt(request.attempt),
        only_if_free,
    })
}

/// A set of keys, as requests name it: one key, a range, or a prefix.
///
/// # Errors
/// INVALID_RANGE if it is named in two ways, is empty or inverted, or names no key at all.
pub fn span(key: Bytes, range_end: Bytes, prefix: bool) -> Result<Span, Status> {
    let bad = |why: &str| Err(refused(Refusal::InvalidRange(why.to_owned())));
    match (prefix, range_end.is_empty()) {
        (true, false) => bad("prefix and range_end exclude each other"),
        (true, true) => Ok(Span::Prefix(key)),
        (false, _) if key.is_empty() => bad("key is required, except with prefix"),
        (false, true) => Ok(Span::Key(key)),
        (false, false) if range_end <= key => bad("range_end must be above key"),
        (false, false) => Ok(Span::Between { start: key, end: range_end }),
    }
}

/// A range read.
///
/// # Errors
/// INVALID_RANGE as [`span`], LIMIT_EXCEEDED for a limit over 10000.
pub fn range(request: v1::RangeRequest) -> Result<Range, Status> {
    let select = if request.children {
        if request.prefix || !request.range_end.is_empty() {
            return Err(refused(Refusal::InvalidRange("children excludes prefix and range_end".to_owned())));
        }
        Select::Children(request.key)
    } else {
        Select::Span(span(request.key, request.range_end, request.prefix)?)
    };
    Ok(Range {
        select,
        limit: page(request.limit, limits::RANGE_ENTRIES_MAX)?,
        keys_only: request.keys_only,
        count_only: request.count_only,
        revision: request.revision,
        descending: request.descending,
    })
}

/// A put, as an operation.
///
/// # Errors
/// INVALID_ARGUMENT for a bad session id.
pub fn put(request: v1::PutRequest) -> Result<Op, Status> {
    Ok(Op::Put(Put {
        key: request.key,
        value: request.value,
        session: session_id_or_none(request.session_id)?,
        sequential: request.sequential,
        prev: request.prev_kv,
    }))
}

/// A deletion, as an operation.
///
/// # Errors
/// INVALID_RANGE as [`span`], and for an empty prefix: deleting everything must be said otherwise than by leaving
/// something out.
pub fn delete(request: v1::DeleteRequest) -> Result<Op, Status> {
    if request.prefix && request.key.is_empty() {
        return Err(refused(Refusal::InvalidRange("the prefix of a deletion must not be empty".to_owned())));
    }
    let span = span(request.key, request.range_end, request.prefix)?;
    Ok(Op::Delete { span, prev: request.prev_kv })
}

/// A transaction.
///
/// # Errors
/// INVALID_ARGUMENT for an operation or comparison that says nothing, or an operation with a request id of its own; and
/// what its parts are refused with.
pub fn txn(request: v1::TxnRequest) -> Result<Txn, Status> {
    // Counted before anything is converted, so that a huge list costs nothing.
    for (what, count) in [
        ("number of comparisons", request.compare.len()),
        ("number of operations in then", request.then.len()),
        ("number of operations in else", request.r#else.len()),
    ] {
        if count > limits::TXN_OPS_MAX {
            let (limit, actual) = (limits::TXN_OPS_MAX as u64, count as u64);
            return Err(refused(Refusal::LimitExceeded { what: what.to_owned(), limit, actual }));
        }
    }
    Ok(Txn {
        compare: request.compare.into_iter().map(compare).collect::<Result<_, _>>()?,
        then: request.then.into_iter().map(op).collect::<Result<_, _>>()?,
        otherwise: request.r#else.into_iter().map(op).collect::<Result<_, _>>()?,
    })
}

fn op(op: v1::TxnOp) -> Result<Op, Status> {
    use v1::txn_op;
    let with_id = || invalid("request_id must not be set inside a transaction: the transaction has one");
    match op.op {
        Some(txn_op::Op::Range(request)) => Ok(Op::Range(range(request)?)),
        Some(txn_op::Op::Put(request)) if request.request_id.is_some() => Err(with_id()),
        Some(txn_op::Op::Put(request)) => put(request),
        Some(txn_op::Op::Delete(request)) if request.request_id.is_some() => Err(with_id()),
        Some(txn_op::Op::Delete(request)) => delete(request),
        None => Err(invalid("an operation of the transaction is empty, or of a kind that this server doesn't know")),
    }
}

fn compare(compare: v1::Compare) -> Result<Compare, Status> {
    use v1::compare::{Op, Target as Wire};
    let relation = match Op::try_from(compare.op) {
        Ok(Op::Equal) => Relation::Equal,
        Ok(Op::NotEqual) => Relation::NotEqual,
        Ok(Op::Less) => Relation::Less,
        Ok(Op::Greater) => Relation::Greater,
        Err(_) => return Err(invalid(format!("comparison {} is not known", compare.op))),
    };
    let target = match compare.target {
        Some(Wire::Value(value)) => Target::Value(value),
        Some(Wire::CreateRevision(revision)) => Target::CreateRevision(revision),
        Some(Wire::ModRevision(revision)) => Target::ModRevision(revision),
        Some(Wire::Version(version)) => Target::Version(version),
        Some(Wire::SessionId(session)) => Target::Session(session),
        Some(Wire::Holds(token)) => Target::Holds(token),
        None => {
            return Err(invalid("a comparison has no target, or one that this server doesn't know"));
        }
    };
    Ok(Compare { key: compare.key, relation, target })
}
