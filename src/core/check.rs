//! What can be checked of a command or a query without a state: sizes, counts, ranges, names.

use bytes::Bytes;

use crate::command::{Claim, Command, Compare, Mode, Op, Put, SessionId, Span, Target, Txn, Which};
use crate::limits::{
    CLAIM_VALUE_BYTES_MAX, KEY_BYTES_MAX, NAME_BYTES_MAX, OWNER_BYTES_MAX, PERMITS_MAX, RANGE_ENTRIES_MAX,
    RENEWALS_MAX, REQUEST_BYTES_MAX, SUFFIX_BYTES_MAX, TTL_MS_MAX, TTL_MS_MIN, TXN_OPS_MAX, VALUE_BYTES_MAX,
};
use crate::query::{Range, Select};
use crate::refusal::Refusal;
use crate::span::Interval;

/// Digits that a sequential put appends: enough for any 64-bit number, so that keys sort as numbers do.
pub(crate) const SEQUENTIAL_DIGITS: usize = 20;

impl Command {
    /// Checks what can be checked without a state: sizes, counts, ranges, names. `apply` checks the same again.
    ///
    /// # Errors
    /// The [`Refusal`] that `apply` would answer.
    pub fn check(&self) -> Result<(), Refusal> {
        match self {
            Self::Txn(txn) => check_txn(txn),
            Self::Compact { revision: 0 } => Err(Refusal::InvalidArgument("revisions begin at 1".to_owned())),
            Self::Compact { .. } | Self::RaiseLevel { .. } => Ok(()),
            Self::OpenSession { id, ttl_ms, owner } => {
                check_session(*id)?;
                if !(TTL_MS_MIN..=TTL_MS_MAX).contains(ttl_ms) {
                    return Err(Refusal::TtlOutOfRange { min_ms: TTL_MS_MIN, max_ms: TTL_MS_MAX, actual_ms: *ttl_ms });
                }
                check_limit("owner bytes", owner.len(), OWNER_BYTES_MAX)
            }
            Self::RenewSessions { ids } => check_limit("sessions to renew", ids.len(), RENEWALS_MAX),
            Self::CloseSession { id } => check_session(*id),
            Self::Claim(claim) => check_claim(claim),
            Self::Release { name, session, which } => {
                check_name(name)?;
                check_session(*session)?;
                match which {
                    Which::Token(_) => Ok(()),
                    Which::Suffix(suffix) | Which::Attempt { suffix, .. } => check_suffix(suffix),
                }
            }
            Self::ForceRelease { name, .. } => check_name(name),
            Self::Proclaim { name, session, value, .. } => {
                check_name(name)?;
                check_session(*session)?;
                check_limit("claim value bytes", value.len(), CLAIM_VALUE_BYTES_MAX)
            }
        }
    }
}

impl Range {
    /// Checks what can be checked without a state.
    ///
    /// # Errors
    /// The [`Refusal`] that reading would answer.
    pub fn check(&self) -> Result<(), Refusal> {
        match &self.select {
            Select::Span(span) => check_span(span)?,
            Select::Children(path) => check_limit("path bytes", path.len(), KEY_BYTES_MAX)?,
        }
        if self.limit == 0 {
            return Err(Refusal::InvalidArgument("a range needs a limit of at least 1".to_owned()));
        }
        check_limit("range entries", self.limit, RANGE_ENTRIES_MAX)
    }
}

/// A count or a size against its limit.
pub(crate) fn check_limit(what: &str, actual: usize, limit: usize) -> Result<(), Refusal> {
    if actual <= limit {
        return Ok(());
    }
    Err(Refusal::LimitExceeded { what: what.to_owned(), limit: limit as u64, actual: actual as u64 })
}

pub(crate) fn check_key(key: &[u8]) -> Result<(), Refusal> {
    if key.is_empty() {
        return Err(Refusal::InvalidKey("it is empty".to_owned()));
    }
    check_limit("key bytes", key.len(), KEY_BYTES_MAX)
}

fn check_session(id: SessionId) -> Result<(), Refusal> {
    if id.0 == 0 || id.0 > i64::MAX as u64 {
        return Err(Refusal::InvalidArgument(format!("{} is no session id: those are 1 to 2^63 - 1", id.0)));
    }
    Ok(())
}

/// Names are for people, and parts of keys: readable, and unambiguous where a claim's own part follows.
pub(crate) fn check_name(name: &[u8]) -> Result<(), Refusal> {
    let refuse = |why: &str| Err(Refusal::InvalidName(why.to_owned()));
    check_limit("name bytes", name.len(), NAME_BYTES_MAX)?;
    match std::str::from_utf8(name) {
        Err(_) => refuse("it is not UTF-8"),
        Ok("") => refuse("it is empty"),
        Ok(text) if text.chars().any(char::is_control) => refuse("it has control characters"),
        Ok(text) if text.starts_with('/') || text.ends_with('/') => refuse("it begins or ends with /"),
        Ok(_) => Ok(()),
    }
}

fn check_suffix(suffix: &[u8]) -> Result<(), Refusal> {
    check_limit("suffix bytes", suffix.len(), SUFFIX_BYTES_MAX)?;
    if suffix.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte)) {
        return Ok(());
    }
    Err(Refusal::InvalidName("a suffix has letters, digits, dot, underscore and hyphen only".to_owned()))
}

fn check_claim(claim: &Claim) -> Result<(), Refusal> {
    check_name(&claim.name)?;
    check_suffix(&claim.suffix)?;
    check_session(claim.session)?;
    check_limit("claim value bytes", claim.value.len(), CLAIM_VALUE_BYTES_MAX)?;
    match claim.mode {
        Mode::Semaphore(0) => Err(Refusal::InvalidArgument("a semaphore needs at least one permit".to_owned())),
        Mode::Semaphore(permits) => check_limit("permits", permits as usize, PERMITS_MAX as usize),
        Mode::Exclusive | Mode::Shared => Ok(()),
    }
}

fn check_span(span: &Span) -> Result<(), Refusal> {
    match span {
        Span::Key(key) => check_key(key),
        Span::Between { start, end } => {
            check_limit("key bytes", start.len().max(end.len()), KEY_BYTES_MAX)?;
            if start >= end {
                return Err(Refusal::InvalidRange("its end is not above its start".to_owned()));
            }
            Ok(())
        }
        Span::Prefix(prefix) => check_limit("key bytes", prefix.len(), KEY_BYTES_MAX),
    }
}

fn check_txn(txn: &Txn) -> Result<(), Refusal> {
    for count in [txn.compare.len(), txn.then.len(), txn.otherwise.len()] {
        check_limit("comparisons or operations", count, TXN_OPS_MAX)?;
    }
    let mut bytes = 0;
    for compare in &txn.compare {
        bytes += check_compare(compare)?;
    }
    for list in [&txn.then, &txn.otherwise] {
        for op in list {
            bytes += check_op(op)?;
        }
        check_distinct(list)?;
    }
    check_limit("request bytes", bytes, REQUEST_BYTES_MAX)
}

/// Gives the bytes of key and value.
fn check_compare(compare: &Compare) -> Result<usize, Refusal> {
    match &compare.target {
        Target::Holds(_) => check_name(&compare.key)?,
        _ => check_key(&compare.key)?,
    }
    let Target::Value(value) = &compare.target else {
        return Ok(compare.key.len());
    };
    check_limit("value bytes", value.len(), VALUE_BYTES_MAX)?;
    Ok(compare.key.len() + value.len())
}

/// Gives the bytes of keys and value.
fn check_op(op: &Op) -> Result<usize, Refusal> {
    match op {
        Op::Put(put) => {
            check_put(put)?;
            Ok(put.key.len() + put.value.len())
        }
        Op::Delete { span, .. } => {
            check_span(span)?;
            Ok(span_bytes(span))
        }
        Op::Range(range) => {
            range.check()?;
            if range.revision != 0 {
                return Err(Refusal::InvalidArgument("a transaction reads the newest revision only".to_owned()));
            }
            Ok(match &range.select {
                Select::Span(span) => span_bytes(span),
                Select::Children(path) => path.len(),
            })
        }
    }
}

fn check_put(put: &Put) -> Result<(), Refusal> {
    check_key(&put.key)?;
    if put.sequential {
        check_limit("key bytes", put.key.len() + SEQUENTIAL_DIGITS, KEY_BYTES_MAX)?;
    }
    check_limit("value bytes", put.value.len(), VALUE_BYTES_MAX)?;
    put.session.map_or(Ok(()), check_session)
}

fn span_bytes(span: &Span) -> usize {
    match span {
        Span::Key(key) | Span::Prefix(key) => key.len(),
        Span::Between { start, end } => start.len() + end.len(),
    }
}

/// No key is written twice. Sequential keys aren't known yet, and are checked when they are.
fn check_distinct(list: &[Op]) -> Result<(), Refusal> {
    if list.len() < 2 {
        return Ok(());
    }
    let mut spans: Vec<Interval> = list
        .iter()
        .filter_map(|op| match op {
            Op::Delete { span, .. } => Some(Interval::from(span)),
            Op::Put(put) if !put.sequential => Some(Interval::from(&Span::Key(put.key.clone()))),
            Op::Put(_) | Op::Range(_) => None,
        })
        .collect();
    spans.sort_by(|one, other| one.start.cmp(&other.start));
    for pair in spans.windows(2) {
        if let [one, next] = pair
            && one.contains(&next.start)
        {
            return Err(duplicate(&next.start));
        }
    }
    Ok(())
}

/// Two operations write this key.
pub(crate) fn duplicate(key: &Bytes) -> Refusal {
    Refusal::DuplicateKey(String::from_utf8_lossy(key).into_owned())
}
