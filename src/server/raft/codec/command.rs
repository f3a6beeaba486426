//! Requests and commands.

use ringfence_core::{
    Claim, Command, Compare, Mode, Op, Put, Relation, Request, RequestId, SessionId, Span, Target, Txn, Which,
    query::{Range, Select},
};
use ringfence_proto::storage as pb;

use super::{DecodeError, all};

/// A request as a message.
pub fn request_to(request: &Request) -> pb::Request {
    pb::Request {
        id: request.id.map(|id| pb::RequestId { session: id.session.0, sequence: id.sequence }),
        command: Some(command_to(&request.command)),
    }
}

/// A request from a message.
///
/// # Errors
/// If the message isn't one.
pub fn request_from(message: pb::Request) -> Result<Request, DecodeError> {
    Ok(Request {
        id: message.id.map(|id| RequestId { session: SessionId(id.session), sequence: id.sequence }),
        command: command_from(message.command.ok_or(DecodeError::Missing("command"))?)?,
    })
}

fn command_to(command: &Command) -> pb::request::Command {
    use pb::request::Command as Message;
    match command {
        Command::Txn(txn) => Message::Txn(txn_to(txn)),
        Command::Compact { revision } => Message::Compact(pb::Compact { revision: *revision }),
        Command::OpenSession { id, ttl_ms, owner } => {
            Message::OpenSession(pb::OpenSession { id: id.0, ttl_ms: *ttl_ms, owner: owner.clone() })
        }
        Command::RenewSessions { ids } => {
            Message::RenewSessions(pb::RenewSessions { ids: ids.iter().map(|id| id.0).collect() })
        }
        Command::CloseSession { id } => Message::CloseSession(pb::CloseSession { id: id.0 }),
        Command::Claim(claim) => Message::Claim(pb::Claim {
            name: claim.name.clone(),
            session: claim.session.0,
            suffix: claim.suffix.clone(),
            mode: Some(mode_to(claim.mode)),
            value: claim.value.clone(),
            attempt: claim.attempt,
            only_if_free: claim.only_if_free,
        }),
        Command::Release { name, session, which } => {
            Message::Release(pb::Release { name: name.clone(), session: session.0, which: Some(which_to(which)) })
        }
        Command::ForceRelease { name, token } => {
            Message::ForceRelease(pb::ForceRelease { name: name.clone(), token: *token })
        }
        Command::Proclaim { name, session, token, value } => Message::Proclaim(pb::Proclaim {
            name: name.clone(),
            session: session.0,
            token: *token,
            value: value.clone(),
        }),
        Command::RaiseLevel { level } => Message::RaiseLevel(pb::RaiseLevel { level: *level }),
    }
}

fn command_from(message: pb::request::Command) -> Result<Command, DecodeError> {
    use pb::request::Command as Message;
    Ok(match message {
        Message::Txn(txn) => Command::Txn(txn_from(txn)?),
        Message::Compact(compact) => Command::Compact { revision: compact.revision },
        Message::OpenSession(open) => {
            Command::OpenSession { id: SessionId(open.id), ttl_ms: open.ttl_ms, owner: open.owner }
        }
        Message::RenewSessions(renew) => Command::RenewSessions { ids: renew.ids.into_iter().map(SessionId).collect() },
        Message::CloseSession(close) => Command::CloseSession { id: SessionId(close.id) },
        Message::Claim(claim) => Command::Claim(Claim {
            name: claim.name,
            session: SessionId(claim.session),
            suffix: claim.suffix,
            mode: mode_from(claim.mode)?,
            value: claim.value,
            attempt: claim.attempt,
            only_if_free: claim.only_if_free,
        }),
        Message::Release(release) => Command::Release {
            name: release.name,
            session: SessionId(release.session),
            which: which_from(release.which.ok_or(DecodeError::Missing("which claim"))?),
        },
        Message::ForceRelease(force) => Command::ForceRelease { name: force.name, token: force.token },
        Message::Proclaim(proclaim) => Command::Proclaim {
            name: proclaim.name,
            session: SessionId(proclaim.session),
            token: proclaim.token,
            value: proclaim.value,
        },
        Message::RaiseLevel(raise) => Command::RaiseLevel { level: raise.level },
    })
}

pub(super) fn mode_to(mode: Mode) -> pb::Mode {
    let (kind, permits) = match mode {
        Mode::Exclusive => (pb::mode::Kind::Exclusive, 0),
        Mode::Shared => (pb::mode::Kind::Shared, 0),
        Mode::Semaphore(permits) => (pb::mode::Kind::Semaphore, permits),
    };
    pb::Mode { kind: kind.into(), permits }
}

pub(super) fn mode_from(message: Option<pb::Mode>) -> Result<Mode, DecodeError> {
    let message = message.ok_or(DecodeError::Missing("mode"))?;
    match message.kind() {
        pb::mode::Kind::Exclusive => Ok(Mode::Exclusive),
        pb::mode::Kind::Shared => Ok(Mode::Shared),
        pb::mode::Kind::Semaphore => Ok(Mode::Semaphore(message.permits)),
        pb::mode::Kind::Unspecified => Err(DecodeError::Missing("mode")),
    }
}

fn which_to(which: &Which) -> pb::release::Which {
    match which {
        Which::Token(token) => pb::release::Which::Token(*token),
        Which::Suffix(suffix) => pb::release::Which::Suffix(suffix.clone()),
        Which::Attempt { suffix, attempt } => {
            pb::release::Which::Attempt(pb::Attempt { suffix: suffix.clone(), attempt: *attempt })
        }
    }
}

fn which_from(message: pb::release::Which) -> Which {
    match message {
        pb::release::Which::Token(token) => Which::Token(token),
        pb::release::Which::Suffix(suffix) => Which::Suffix(suffix),
        pb::release::Which::Attempt(attempt) => Which::Attempt { suffix: attempt.suffix, attempt: attempt.attempt },
    }
}

fn txn_to(txn: &Txn) -> pb::Txn {
    pb::Txn {
        compare: txn.compare.iter().map(compare_to).collect(),
        then: txn.then.iter().map(op_to).collect(),
        otherwise: txn.otherwise.iter().map(op_to).collect(),
    }
}

fn txn_from(message: pb::Txn) -> Result<Txn, DecodeError> {
    Ok(Txn {
        compare: all(message.compare, compare_from)?,
        then: all(message.then, op_from)?,
        otherwise: all(message.otherwise, op_from)?,
    })
}

fn compare_to(compare: &Compare) -> pb::Compare {
    use pb::compare::{Relation as R, Target as T};
    let relation = match compare.relation {
        Relation::Equal => R::Equal,
        Relation::NotEqual => R::NotEqual,
        Relation::Less => R::Less,
        Relation::Greater => R::Greater,
    };
    let target = match &compare.target {
        Target::Value(value) => T::Value(value.clone()),
        Target::CreateRevision(revision) => T::CreateRevision(*revision),
        Target::ModRevision(revision) => T::ModRevision(*revision),
        Target::Version(version) => T::Version(*version),
        Target::Session(session) => T::Session(*session),
        Target::Holds(token) => T::Holds(*token),
    };
    pb::Compare { key: compare.key.clone(), relation: relation.into(), target: Some(target) }
}

fn compare_from(message: pb::Compare) -> Result<Compare, DecodeError> {
    use pb::compare::{Relation as R, Target as T};
    let relation = match message.relation() {
        R::Equal => Relation::Equal,
        R::NotEqual => Relation::NotEqual,
        R::Less => Relation::Less,
        R::Greater => Relation::Greater,
        R::Unspecified => return Err(DecodeError::Missing("relation")),
    };
    let target = match message.target.ok_or(DecodeError::Missing("target"))? {
        T::Value(value) => Target::Value(value),
        T::CreateRevision(revision) => Target::CreateRevision(revision),
        T::ModRevision(revision) => Target::ModRevision(revision),
        T::Version(version) => Target::Version(version),
        T::Session(session) => Target::Session(session),
        T::Holds(token) => Target::Holds(token),
    };
    Ok(Compare { key: message.key, relation, target })
}

fn op_to(op: &Op) -> pb::Op {
    let op = match op {
        Op::Put(put) => pb::op::Op::Put(pb::Put {
            key: put.key.clone(),
            value: put.value.clone(),
            session: put.session.map_or(0, |id| id.0),
            sequential: put.sequential,
            prev: put.prev,
        }),
        Op::Delete { span, prev } => pb::op::Op::Delete(pb::Delete { span: Some(span_to(span)), prev: *prev }),
        Op::Range(range) => pb::op::Op::Range(range_to(range)),
    };
    pb::Op { op: Some(op) }
}

fn op_from(message: pb::Op) -> Result<Op, DecodeError> {
    Ok(match message.op.ok_or(DecodeError::Missing("operation"))? {
        pb::op::Op::Put(put) => Op::Put(Put {
            key: put.key,
            value: put.value,
            session: session_from(put.session),
            sequential: put.sequential,
            prev: put.prev,
        }),
        pb::op::Op::Delete(delete) => Op::Delete { span: span_from(delete.span)?, prev: delete.prev },
        pb::op::Op::Range(range) => Op::Range(range_from(range)?),
    })
}

/// Ids begin with 1; 0 says that there is none.
pub(super) fn session_from(id: u64) -> Option<SessionId> {
    (id != 0).then_some(SessionId(id))
}

fn span_to(span: &Span) -> pb::Span {
    let span = match span {
        Span::Key(key) => pb::span::Span::Key(key.clone()),
        Span::Between { start, end } => pb::span::Span::Between(pb::Between { start: start.clone(), end: end.clone() }),
        Span::Prefix(prefix) => pb::span::Span::Prefix(prefix.clone()),
    };
    pb::Span { span: Some(span) }
}

fn span_from(message: Option<pb::Span>) -> Result<Span, DecodeError> {
    Ok(match message.and_then(|span| span.span).ok_or(DecodeError::Missing("span"))? {
        pb::span::Span::Key(key) => Span::Key(key),
        pb::span::Span::Between(between) => Span::Between { start: between.start, end: between.end },
        pb::span::Span::Prefix(prefix) => Span::Prefix(prefix),
    })
}

fn range_to(range: &Range) -> pb::Range {
    let select = match &range.select {
        Select::Span(span) => pb::range::Select::Span(span_to(span)),
        Select::Children(path) => pb::range::Select::Children(path.clone()),
    };
    pb::Range {
        select: Some(select),
        limit: range.limit as u64,
        keys_only: range.keys_only,
        count_only: range.count_only,
        revision: range.revision,
        descending: range.descending,
    }
}

fn range_from(message: pb::Range) -> Result<Range, DecodeError> {
    let select = match message.select.ok_or(DecodeError::Missing("selection"))? {
        pb::range::Select::Span(span) => Select::Span(span_from(Some(span))?),
        pb::range::Select::Children(path) => Select::Children(path),
    };
    Ok(Range {
        select,
        limit: usize::try_from(message.limit).map_err(|_| DecodeError::Range("limit"))?,
        keys_only: message.keys_only,
        count_only: message.count_only,
        revision: message.revision,
        descending: message.descending,
    })
}
