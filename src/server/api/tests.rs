//! What is refused before it is proposed, and what statuses carry.

use bytes::Bytes;
use ringfence_core::{Command, Mode, Op, Refusal, Relation, SessionId, Span, Target, Txn, limits, query::Select};
use ringfence_proto::{ERROR_DOMAIN, v1};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{
    convert_request::{self as request, Freshness},
    errors,
};
use crate::{proposer::WriteError, raft::AdminError, reader::ReadError};

#[track_caller]
fn reason(status: &Status) -> (Code, String) {
    let info = status.get_details_error_info().expect("a reason");
    assert_eq!(info.domain, ERROR_DOMAIN);
    (status.code(), info.reason)
}

#[track_caller]
fn invalid<T: std::fmt::Debug>(result: Result<T, Status>, wanted: &str) {
    assert_eq!(reason(&result.unwrap_err()), (Code::InvalidArgument, wanted.to_owned()));
}

fn metadata(status: &Status, key: &str) -> String {
    status.get_details_error_info().unwrap().metadata.get(key).cloned().unwrap_or_default()
}

#[test]
fn a_refusal_keeps_its_reason_and_its_numbers() {
    let status = errors::refused(Refusal::LimitExceeded { what: "value bytes".to_owned(), limit: 5, actual: 6 });
    assert_eq!(reason(&status), (Code::InvalidArgument, "LIMIT_EXCEEDED".to_owned()));
    assert_eq!((metadata(&status, "limit"), metadata(&status, "actual")), ("5".to_owned(), "6".to_owned()));
    assert_eq!(status.message(), "value bytes is 6, and 5 is the limit");

    let status = errors::refused(Refusal::RevisionCompacted { requested: 3, compacted: 7 });
    assert_eq!(reason(&status), (Code::OutOfRange, "REVISION_COMPACTED".to_owned()));
    assert_eq!(metadata(&status, "compacted"), "7");

    let status = errors::refused(Refusal::ReplyNotKept { revision: 6, succeeded: true });
    assert_eq!(reason(&status), (Code::FailedPrecondition, "REPLY_NOT_KEPT".to_owned()));
    assert_eq!((metadata(&status, "revision"), metadata(&status, "succeeded")), ("6".to_owned(), "true".to_owned()));

    let status = errors::refused(Refusal::LockHeld { owner: SessionId(8), token: 9 });
    assert_eq!(reason(&status), (Code::FailedPrecondition, "LOCK_HELD".to_owned()));
    assert_eq!(metadata(&status, "token"), "9");
}

#[test]
fn a_session_that_is_the_subject_is_not_found() {
    let unknown = Refusal::SessionUnknown(SessionId(1));
    assert_eq!(reason(&errors::refused(unknown.clone())), (Code::FailedPrecondition, "SESSION_UNKNOWN".to_owned()));
    assert_eq!(reason(&errors::refused_subject(unknown)), (Code::NotFound, "SESSION_UNKNOWN".to_owned()));
}

#[test]
fn faults_say_whether_anything_was_done() {
    let reasons = [
        (errors::write_error(WriteError::NoLeader), Code::Unavailable, "NO_LEADER"),
        (errors::write_error(WriteError::Unknown), Code::Unavailable, "OUTCOME_UNKNOWN"),
        (errors::write_error(WriteError::Overloaded { retry_after_ms: 70 }), Code::ResourceExhausted, "OVERLOADED"),
        (errors::write_error(WriteError::Stopping), Code::Unavailable, "STOPPING"),
        (errors::read_error(ReadError::NoLeader), Code::Unavailable, "NO_LEADER"),
        (errors::read_error(ReadError::Behind { wanted: 2, applied: 1 }), Code::Unavailable, "READ_TIMEOUT"),
        (errors::read_error(ReadError::Stopping), Code::Unavailable, "STOPPING"),
        (errors::admin_error(AdminError::NotLeader { leader: None }), Code::Unavailable, "NO_LEADER"),
        (errors::admin_error(AdminError::MemberUnknown(1)), Code::NotFound, "MEMBER_UNKNOWN"),
        (errors::admin_error(AdminError::NotAVoter(1)), Code::FailedPrecondition, "NOT_A_VOTER"),
        (errors::admin_error(AdminError::Busy), Code::Unavailable, "MEMBERS_CHANGING"),
        (errors::admin_error(AdminError::Unknown("x".to_owned())), Code::Unavailable, "OUTCOME_UNKNOWN"),
    ];
    for (status, code, wanted) in reasons {
        assert_eq!(reason(&status), (code, wanted.to_owned()));
    }
    let risk = AdminError::QuorumAtRisk { id: 3, reachable: 1, needed: 2, silent: vec![2, 5] };
    let risk = errors::admin_error(risk);
    assert_eq!(reason(&risk), (Code::FailedPrecondition, "QUORUM_AT_RISK".to_owned()));
    let told = ["reachable", "needed", "silent"].map(|key| metadata(&risk, key));
    assert_eq!(told, ["1", "2", "2,5"]);
    assert_eq!(metadata(&errors::write_error(WriteError::Overloaded { retry_after_ms: 70 }), "retry_after_ms"), "70");
}

#[test]
fn sessions_and_numbers_must_be_possible() {
    assert_eq!(request::session_id(7).unwrap(), SessionId(7));
    invalid(request::session_id(0), "INVALID_ARGUMENT");
    invalid(request::session_id(1 << 63), "INVALID_ARGUMENT");
    assert_eq!(request::session_id_or_none(0).unwrap(), None);
    invalid(request::session_id_or_none(u64::MAX), "INVALID_ARGUMENT");
    assert!(request::request_id(None).unwrap().is_none());
    let id = |session_id, sequence| request::request_id(Some(v1::RequestId { session_id, sequence }));
    assert_eq!(id(1, 2).unwrap().unwrap().sequence, 2);
    invalid(id(1, 0), "INVALID_ARGUMENT");
    invalid(id(0, 1), "INVALID_ARGUMENT");
}

#[test]
fn modes_and_permits_belong_together() {
    let mode = |mode: v1::LockMode, permits| request::mode(mode.into(), permits);
    assert_eq!(mode(v1::LockMode::Exclusive, 0).unwrap(), Mode::Exclusive);
    assert_eq!(mode(v1::LockMode::Semaphore, 3).unwrap(), Mode::Semaphore(3));
    invalid(mode(v1::LockMode::Semaphore, 0), "INVALID_ARGUMENT");
    invalid(mode(v1::LockMode::Semaphore, limits::PERMITS_MAX + 1), "LIMIT_EXCEEDED");
    invalid(mode(v1::LockMode::Shared, 1), "INVALID_ARGUMENT");
    invalid(request::mode(9, 0), "INVALID_ARGUMENT");
}

#[test]
fn pages_waits_and_freshness() {
    assert_eq!(request::page(0, 10).unwrap(), 10);
    assert_eq!(request::page(10, 10).unwrap(), 10);
    invalid(request::page(11, 10), "LIMIT_EXCEEDED");
    assert!(request::wait(0).unwrap().is_none());
    invalid(request::wait(86_400_001), "LIMIT_EXCEEDED");
    assert_eq!(request::freshness(0, 5).unwrap(), Freshness::Linearizable);
    assert_eq!(request::freshness(1, 5).unwrap(), Freshness::AtLeast(5));
    invalid(request::freshness(2, 0), "INVALID_ARGUMENT");
}

#[test]
fn a_span_is_named_in_one_way() {
    let span = |key: &'static str, end: &'static str, prefix| request::span(key.into(), end.into(), prefix);
    assert_eq!(span("a", "", false).unwrap(), Span::Key("a".into()));
    assert_eq!(span("", "", true).unwrap(), Span::Prefix(Bytes::new()));
    assert_eq!(span("a", "b", false).unwrap(), Span::Between { start: "a".into(), end: "b".into() });
    for (key, end, prefix) in
        [("", "", false), ("", "b", false), ("b", "a", false), ("a", "a", false), ("a", "b", true)]
    {
        invalid(span(key, end, prefix), "INVALID_RANGE");
    }
    invalid(request::delete(v1::DeleteRequest { prefix: true, ..Default::default() }), "INVALID_RANGE");
    let children = v1::RangeRequest { key: "a".into(), children: true, ..Default::default() };
    assert_eq!(request::range(children.clone()).unwrap().select, Select::Children("a".into()));
    invalid(request::range(v1::RangeRequest { prefix: true, ..children }), "INVALID_RANGE");
}

#[test]
fn a_transaction_is_converted_whole() {
    let compare = v1::Compare {
        op: v1::compare::Op::Less.into(),
        key: "k".into(),
        target: Some(v1::compare::Target::Version(3)),
    };
    let put = v1::PutRequest { key: "k".into(), value: "v".into(), ..Default::default() };
    let op = |put| v1::TxnOp { op: Some(v1::txn_op::Op::Put(put)) };
    let txn = v1::TxnRequest { compare: vec![compare.clone()], then: vec![op(put.clone())], ..Default::default() };
    let converted = request::txn(txn.clone()).unwrap();
    assert_eq!((converted.compare[0].relation, &converted.compare[0].target), (Relation::Less, &Target::Version(3)));
    assert!(matches!(&converted.then[0], Op::Put(put) if put.value == "v"));

    let many = vec![compare.clone(); limits::TXN_OPS_MAX + 1];
    invalid(request::txn(v1::TxnRequest { compare: many, ..txn.clone() }), "LIMIT_EXCEEDED");
    let nothing = v1::Compare { target: None, ..compare };
    invalid(request::txn(v1::TxnRequest { compare: vec![nothing], ..txn.clone() }), "INVALID_ARGUMENT");
    invalid(request::txn(v1::TxnRequest { then: vec![v1::TxnOp { op: None }], ..txn.clone() }), "INVALID_ARGUMENT");
    let numbered = v1::PutRequest { request_id: Some(v1::RequestId { session_id: 1, sequence: 1 }), ..put };
    invalid(request::txn(v1::TxnRequest { r#else: vec![op(numbered)], ..txn }), "INVALID_ARGUMENT");
}

#[test]
fn limits_are_checked_before_anything_is_proposed() {
    let put = |key: Vec<u8>, value: Vec<u8>| {
        let put = v1::PutRequest { key: key.into(), value: value.into(), ..Default::default() };
        let txn = Txn { then: vec![request::put(put)?], ..Txn::default() };
        request::checked(Command::Txn(txn), None)
    };
    assert!(put(vec![b'k'; limits::KEY_BYTES_MAX], vec![0; limits::VALUE_BYTES_MAX]).is_ok());
    invalid(put(vec![b'k'; limits::KEY_BYTES_MAX + 1], Vec::new()), "LIMIT_EXCEEDED");
    invalid(put(vec![b'k'], vec![0; limits::VALUE_BYTES_MAX + 1]), "LIMIT_EXCEEDED");
    invalid(put(Vec::new(), Vec::new()), "INVALID_KEY");
}
