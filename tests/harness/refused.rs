//! Holding refusals against what was promised, and the state against what it was.

use std::fmt::Debug;

use ringfence_proto::v1::{KeyValue, LockListRequest, LockSummary, SessionListRequest};
use tonic::{Code, Response, Status};

use super::raw::{Raw, refusal};

/// Checks one refusal, whatever the call answers when it succeeds.
///
/// # Panics
/// If it is another, or none.
#[track_caller]
pub fn refused<T: Debug>(what: &str, result: Result<Response<T>, Status>, code: Code, reason: &str) {
    let told = refusal(result.inspect_err(|status| {
        assert!(status.message().len() < 2000, "{what}: a refusal must not repeat the whole input");
    }));
    assert_eq!(told, (code, reason.to_owned()), "{what}");
}

/// Checks that a request is called wrong in itself.
///
/// # Panics
/// If it is another refusal, or none.
#[track_caller]
pub fn invalid<T: Debug>(what: &str, result: Result<Response<T>, Status>, reason: &str) {
    refused(what, result, Code::InvalidArgument, reason);
}

/// All that a client can see of the state.
#[derive(Debug, PartialEq)]
pub struct Everything {
    /// The revision.
    pub revision: u64,
    /// The keys.
    pub keys: Vec<KeyValue>,
    /// The locks.
    pub locks: Vec<LockSummary>,
    /// The sessions: id, TTL, number of keys.
    pub sessions: Vec<(u64, u64, u64)>,
}

/// Reads all of it.
///
/// # Panics
/// If the node refuses.
pub async fn everything(node: &mut Raw) -> Everything {
    let all = node.list("").await.unwrap();
    let locks = node.lock.list(LockListRequest::default()).await.unwrap().into_inner().locks;
    let sessions = node.session.list(SessionListRequest::default()).await.unwrap().into_inner().sessions;
    let sessions: Vec<_> = sessions.into_iter().map(|info| (info.session_id, info.ttl_ms, info.keys)).collect();
    Everything { revision: all.header.unwrap().revision, keys: all.kvs, locks, sessions }
}
