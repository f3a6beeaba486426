//! The gRPC services as the .proto files say them, without the client crate: what any language's generated code sees.

use std::time::Duration;

use ringfence_proto::v1::{
    Claim, ClusterStatusRequest, DeleteRequest, ElectionCampaignRequest, HistoryRequest, LockAcquireRequest,
    LockDescribeRequest, LockDescribeResponse, LockReleaseRequest, LockTryAcquireRequest, LockValidateRequest,
    MemberStatus, PutRequest, PutResponse, RangeRequest, RangeResponse, SessionDescribeRequest, SessionOpenRequest,
    TxnOp, cluster_client::ClusterClient, election_client::ElectionClient, kv_client::KvClient,
    lock_client::LockClient, pipeline_client::PipelineClient, session_client::SessionClient, txn_op,
    watch_client::WatchClient,
};
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt;

use crate::history::Version;

/// All services of one node, on one connection.
#[derive(Clone, Debug)]
pub struct Raw {
    /// The connection.
    pub channel: Channel,
    /// Keys.
    pub kv: KvClient<Channel>,
    /// Sessions.
    pub session: SessionClient<Channel>,
    /// Locks.
    pub lock: LockClient<Channel>,
    /// Elections.
    pub election: ElectionClient<Channel>,
    /// Watches.
    pub watch: WatchClient<Channel>,
    /// Members.
    pub cluster: ClusterClient<Channel>,
    /// Calls of the others on one stream.
    pub pipeline: PipelineClient<Channel>,
}

impl Raw {
    /// Connects to a node's client address, `host:port`, with the first call.
    ///
    /// # Panics
    /// If the address isn't one.
    #[must_use]
    pub fn at(address: &str) -> Self {
        let channel = Endpoint::from_shared(format!("http://{address}"))
            .expect("an address")
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(40))
            .connect_lazy();
        Self::on(channel)
    }

    /// The services on a connection.
    #[must_use]
    pub fn on(channel: Channel) -> Self {
        // What the tests send may be too large for a server; what a server sends must be within gRPC's customary bound.
        Self {
            kv: KvClient::new(channel.clone()),
            session: SessionClient::new(channel.clone()),
            lock: LockClient::new(channel.clone()),
            election: ElectionClient::new(channel.clone()),
            watch: WatchClient::new(channel.clone()),
            cluster: ClusterClient::new(channel.clone()),
            pipeline: PipelineClient::new(channel.clone()),
            channel,
        }
    }

    /// Writes one key.
    ///
    /// # Errors
    /// The server's status.
    pub async fn put(&mut self, key: &str, value: &str) -> Result<PutResponse, Status> {
        Ok(self.kv.put(put(key, value)).await?.into_inner())
    }

    /// Reads one key, linearizably.
    ///
    /// # Errors
    /// The server's status.
    pub async fn get(&mut self, key: &str) -> Result<Option<String>, Status> {
        let request = RangeRequest { key: bytes(key), ..Default::default() };
        let mut kvs = self.kv.range(request).await?.into_inner().kvs;
        Ok(kvs.pop().map(|kv| text(&kv.value)))
    }

    /// Reads all keys that begin with `prefix`, linearizably.
    ///
    /// # Errors
    /// The server's status.
    pub async fn list(&mut self, prefix: &str) -> Result<RangeResponse, Status> {
        let request = RangeRequest { key: bytes(prefix), prefix: true, ..Default::default() };
        Ok(self.kv.range(request).await?.into_inner())
    }

    /// All versions of a key, oldest first.
    ///
    /// # Errors
    /// The server's status.
    ///
    /// # Panics
    /// If there are more than one answer holds: a test that writes so much must compare otherwise.
    pub async fn versions(&mut self, key: &str) -> Result<Vec<Version>, Status> {
        let request = HistoryRequest { key: bytes(key), ..Default::default() };
        let answer = self.kv.history(request).await?.into_inner();
        assert!(!answer.more && answer.compacted_revision == 0, "the history of {key} is not whole");
        let version = |version: ringfence_proto::v1::KeyVersion| {
            let kv = version.kv.unwrap_or_default();
            let value = (!version.deleted).then(|| text(&kv.value));
            Version { revision: kv.mod_revision, key: text(&kv.key), value }
        };
        Ok(answer.versions.into_iter().rev().map(version).collect())
    }

    /// The values of a key that history still has, newest first.
    ///
    /// # Panics
    /// If the node refuses.
    pub async fn versions_since_compaction(&mut self, key: &str) -> Vec<String> {
        let request = HistoryRequest { key: bytes(key), ..Default::default() };
        let answer = self.kv.history(request).await.expect("a history").into_inner();
        answer.versions.into_iter().map(|version| text(&version.kv.unwrap_or_default().value)).collect()
    }

    /// Opens a session.
    ///
    /// # Errors
    /// The server's status.
    pub async fn open(&mut self, ttl_ms: u64) -> Result<u64, Status> {
        let request = SessionOpenRequest { ttl_ms, owner: "a test".to_owned() };
        Ok(self.session.open(request).await?.into_inner().session_id)
    }

    /// Takes a free exclusive lock.
    ///
    /// # Errors
    /// The server's status.
    ///
    /// # Panics
    /// If the answer has no claim.
    pub async fn try_lock(&mut self, name: &str, session_id: u64) -> Result<Claim, Status> {
        let request = LockTryAcquireRequest { name: bytes(name), session_id, ..Default::default() };
        Ok(self.lock.try_acquire(request).await?.into_inner().claim.expect("a grant has a claim"))
    }

    /// Owners and waiters of a lock.
    ///
    /// # Errors
    /// The server's status.
    pub async fn queue(&mut self, name: &str) -> Result<LockDescribeResponse, Status> {
        let request = LockDescribeRequest { name: bytes(name), ..Default::default() };
        Ok(self.lock.describe(request).await?.into_inner())
    }

    /// Whether the token is a current owner.
    ///
    /// # Errors
    /// The server's status.
    pub async fn owns(&mut self, name: &str, token: u64) -> Result<bool, Status> {
        let request = LockValidateRequest { name: bytes(name), token, ..Default::default() };
        Ok(self.lock.validate(request).await?.into_inner().owner)
    }

    /// The node's own account of itself.
    ///
    /// # Errors
    /// The server's status.
    pub async fn status(&mut self) -> Result<MemberStatus, Status> {
        let answer = self.cluster.status(ClusterStatusRequest { local: true }).await?.into_inner();
        answer.members.into_iter().next().ok_or_else(|| Status::internal("a local status without a member"))
    }
}

/// A put of one key.
#[must_use]
pub fn put(key: &str, value: &str) -> PutRequest {
    PutRequest { key: bytes(key), value: bytes(value), ..Default::default() }
}

/// A read of all keys that begin so.
#[must_use]
pub fn prefix(key: &str) -> RangeRequest {
    RangeRequest { key: bytes(key), prefix: true, ..Default::default() }
}

/// A read of one key.
#[must_use]
pub fn get(key: &str) -> RangeRequest {
    RangeRequest { key: bytes(key), ..Default::default() }
}

/// A deletion of one key.
#[must_use]
pub fn delete(key: &str) -> DeleteRequest {
    DeleteRequest { key: bytes(key), ..Default::default() }
}

/// A put as an operation of a transaction.
#[must_use]
pub fn then_put(put: PutRequest) -> TxnOp {
    TxnOp { op: Some(txn_op::Op::Put(put)) }
}

/// A wait for an exclusive lock.
#[must_use]
pub fn acquire(name: &str, session_id: u64) -> LockAcquireRequest {
    LockAcquireRequest { name: bytes(name), session_id, ..Default::default() }
}

/// An attempt at an exclusive lock.
#[must_use]
pub fn try_acquire(name: &str, session_id: u64) -> LockTryAcquireRequest {
    LockTryAcquireRequest { name: bytes(name), session_id, ..Default::default() }
}

/// Gives back a lock.
#[must_use]
pub fn release(name: &str, session_id: u64, token: u64) -> LockReleaseRequest {
    LockReleaseRequest { name: bytes(name), session_id, token, ..Default::default() }
}

/// A candidacy.
#[must_use]
pub fn campaign(name: &str, session_id: u64) -> ElectionCampaignRequest {
    ElectionCampaignRequest { name: bytes(name), session_id, ..Default::default() }
}

/// A question about a session.
#[must_use]
pub fn describe(session_id: u64) -> SessionDescribeRequest {
    SessionDescribeRequest { session_id, ..Default::default() }
}

/// Text as bytes.
#[must_use]
pub fn bytes(text: &str) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(text.as_bytes())
}

/// Bytes as text.
#[must_use]
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Code and reason of a refusal.
///
/// # Panics
/// If the call was not refused, or without an `ErrorInfo` of the service's domain.
pub fn refusal<T: std::fmt::Debug>(result: Result<T, Status>) -> (Code, String) {
    let status = result.expect_err("a refusal");
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("no ErrorInfo with {status:?}"));
    assert_eq!(info.domain, ringfence_proto::ERROR_DOMAIN, "{status:?}");
    assert!(!status.message().is_empty(), "a refusal without words: {status:?}");
    (status.code(), info.reason)
}
