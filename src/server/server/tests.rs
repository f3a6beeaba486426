//! One whole server over real sockets and a real disk, as clients in any language see it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use ringfence_core::{levels::LEVEL_NEWEST, query::Stats};
use ringfence_proto::{
    ERROR_DOMAIN,
    v1::{
        self, cluster_client::ClusterClient, election_client::ElectionClient, kv_client::KvClient,
        lock_client::LockClient, session_client::SessionClient, watch_client::WatchClient,
    },
};
use tempfile::TempDir;
use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt;

use super::*;
use crate::raft::DataPlace;

/// A port on which nobody listens now.
fn free() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// Starts a server of the version that understands this level. Whoever takes a free port first has it, so that others are tried.
async fn start_version(directory: &TempDir, level: u32) -> Result<Server, StartError> {
    loop {
        let data = DataPlace::Directory(directory.path().join("data"));
        let settings = Settings { level, ..Settings::new("smoke", 1, free(), free(), data) };
        match Server::start(settings).await {
            Err(StartError::Listen { .. } | StartError::Node(raft::StartError::Listen { .. })) => {}
            started => return started,
        }
    }
}

async fn start(directory: &TempDir) -> (Server, Channel) {
    let server = start_version(directory, LEVEL_NEWEST).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(server.ready().await.is_me);
    let channel = Channel::from_shared(format!("http://{}", server.address())).unwrap().connect().await.unwrap();
    (server, channel)
}

/// Code and reason of a status, which must carry our domain.
fn reason(status: &Status) -> (Code, String) {
    let info = status.get_details_error_info().expect("every status of the service has its reason");
    assert_eq!(info.domain, ERROR_DOMAIN);
    (status.code(), info.reason)
}

fn put(key: &'static str, value: &'static str) -> v1::PutRequest {
    v1::PutRequest { key: key.into(), value: value.into(), ..Default::default() }
}

fn get(key: &'static str) -> v1::RangeRequest {
    v1::RangeRequest { key: key.into(), ..Default::default() }
}

#[tokio::test]
async fn keys_are_written_read_and_kept_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let (server, channel) = start(&directory).await;
    let mut kv = KvClient::new(channel.clone());
    let first = kv.put(put("a", "1")).await.unwrap().into_inner().header.unwrap();
    assert_eq!((first.revision, first.node_id, first.cluster_id), (1, 1, Settings::cluster_id_of("smoke")));
    kv.put(put("a", "2")).await.unwrap();
    let read = kv.range(get("a")).await.unwrap().into_inner();
    assert_eq!((read.kvs[0].value.as_ref(), read.kvs[0].version, read.count), (&b"2"[..], 2, 1));

    let compare = v1::Compare { key: "a".into(), target: Some(v1::compare::Target::Version(2)), ..Default::default() };
    let op = |op| v1::TxnOp { op: Some(op) };
    let txn = v1::TxnRequest {
        compare: vec![compare],
        then: vec![op(v1::txn_op::Op::Put(put("b", "3"))), op(v1::txn_op::Op::Range(get("b")))],
        ..Default::default()
    };
    let done = kv.txn(txn).await.unwrap().into_inner();
    assert!(done.succeeded);
    assert_eq!((done.responses.len(), done.header.unwrap().revision), (2, 3));
    let history = kv.history(v1::HistoryRequest { key: "a".into(), ..Default::default() }).await.unwrap().into_inner();
    assert_eq!(history.versions.len(), 2);
    let deleted = kv.delete(v1::DeleteRequest { key: "b".into(), prev_kv: true, ..Default::default() }).await.unwrap();
    assert_eq!(deleted.into_inner().prev_kvs.len(), 1);
    kv.compact(v1::CompactRequest { revision: 2 }).await.unwrap();
    let old = kv.range(v1::RangeRequest { revision: 1, ..get("a") }).await.unwrap_err();
    assert_eq!(reason(&old), (Code::OutOfRange, "REVISION_COMPACTED".to_owned()));
    server.stop().await;
    drop((server, kv, channel));

    let (server, channel) = start(&directory).await;
    let read = KvClient::new(channel).range(get("a")).await.unwrap().into_inner();
    assert_eq!((read.kvs[0].value.as_ref(), read.header.unwrap().revision), (&b"2"[..], 4));
    server.stop().await;
}

#[tokio::test]
async fn a_version_that_understands_less_than_the_cluster_uses_does_not_start() {
    let directory = tempfile::tempdir().unwrap();
    let (server, channel) = start(&directory).await;
    let level = || server.replica().read(&Stats).unwrap().level;
    while level() < LEVEL_NEWEST {
        // Whatever raises it comes into the log before one of these.
        KvClient::new(channel.clone()).put(put("a", "1")).await.unwrap();
    }
    server.stop().await;
    drop((server, channel));

    let message = match start_version(&directory, LEVEL_NEWEST - 1).await {
        Err(error) => error.to_string(),
        Ok(server) => server.failed().await.message,
    };
    let expected = format!("uses feature level {LEVEL_NEWEST}, and this version understands {}", LEVEL_NEWEST - 1);
    assert!(message.contains(&expected), "{message}");
}

#[tokio::test]
async fn a_lock_is_taken_validated_and_given_back() {
    let directory = tempfile::tempdir().unwrap();
    let (server, channel) = start(&directory).await;
    let (mut sessions, mut locks) = (SessionClient::new(channel.clone()), LockClient::new(channel.clone()));
    let open = v1::SessionOpenRequest { ttl_ms: 60_000, owner: "smoke".to_owned() };
    let session_id = sessions.open(open).await.unwrap().into_inner().session_id;
    let acquire = v1::LockAcquireRequest { name: "l".into(), session_id, ..Default::default() };
    let claim = locks.acquire(acquire.clone()).await.unwrap().into_inner().claim.unwrap();
    assert!(claim.owner && claim.token > 0);

    let other = v1::SessionOpenRequest { ttl_ms: 60_000, owner: "other".to_owned() };
    let other = sessions.open(other).await.unwrap().into_inner().session_id;
    let held = v1::LockTryAcquireRequest { name: "l".into(), session_id: other, ..Default::default() };
    assert_eq!(reason(&locks.try_acquire(held).await.unwrap_err()), (Code::FailedPrecondition, "LOCK_HELD".to_owned()));
    let waiting = {
        let mut locks = locks.clone();
        let acquire = v1::LockAcquireRequest { session_id: other, ..acquire };
        tokio::spawn(async move { locks.acquire(acquire).await })
    };
    let release = v1::LockReleaseRequest { name: "l".into(), session_id, token: claim.token, ..Default::default() };
    locks.release(release.clone()).await.unwrap();
    let next = waiting.await.unwrap().unwrap().into_inner().claim.unwrap();
    assert!(next.owner && next.session_id == other);
    assert_eq!(reason(&locks.release(release).await.unwrap_err()).1, "TOKEN_STALE");
    let validate = v1::LockValidateRequest { name: "l".into(), token: claim.token, ..Default::default() };
    let validated = locks.validate(validate).await.unwrap().into_inner();
    assert!(!validated.owner && validated.current_token == next.token);
    server.stop().await;
}

#[tokio::test]
async fn an_impossible_name_is_refused_by_whoever_is_asked_about_it() {
    let directory = tempfile::tempdir().unwrap();
    let (server, channel) = start(&directory).await;
    let (mut elections, mut locks) = (ElectionClient::new(channel.clone()), LockClient::new(channel));
    let name = || bytes::Bytes::from("a\nb");
    let observe = v1::ElectionObserveRequest { name: name() };
    let leader = v1::ElectionLeaderRequest { name: name(), ..Default::default() };
    let validate = v1::LockValidateRequest { name: name(), token: 1, ..Default::default() };
    let describe = v1::LockDescribeRequest { name: name(), ..Default::default() };
    let refused = [
        elections.observe(observe).await.map(drop).unwrap_err(),
        elections.leader(leader).await.map(drop).unwrap_err(),
        locks.validate(validate).await.map(drop).unwrap_err(),
        locks.describe(describe).await.map(drop).unwrap_err(),
    ];
    for status in refused {
        assert_eq!(reason(&status), (Code::InvalidArgument, "INVALID_NAME".to_owned()));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_description_has_at_most_a_page_of_owners() {
    let directory = tempfile::tempdir().unwrap();
    let (server, channel) = start(&directory).await;
    let (mut sessions, mut locks) = (SessionClient::new(channel.clone()), LockClient::new(channel));
    let open = v1::SessionOpenRequest { ttl_ms: 60_000, owner: "readers".to_owned() };
    let session_id = sessions.open(open).await.unwrap().into_inner().session_id;
    for reader in 0..3 {
        let mut acquire = v1::LockAcquireRequest { name: "l".into(), session_id, ..Default::default() };
        (acquire.suffix, acquire.mode) = (format!("{reader}").into(), v1::LockMode::Shared.into());
        locks.acquire(acquire).await.unwrap();
    }
    let describe = v1::LockDescribeRequest { name: "l".into(), limit: 2, ..Default::default() };
    let described = locks.describe(describe).await.unwrap().into_inner();
    assert_eq!((described.owners.len(), described.owner_count, described.waiting), (2, 3, 0));
    server.stop().await;
}

#[tokio::test]
async fn members_are_told_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let (server, channel) = start(&directory).await;
    let mut cluster = ClusterClient::new(channel);
    let status = cluster.status(v1::ClusterStatusRequest::default()).await.unwrap().into_inner();
    assert_eq!((status.leader, status.members.len()), (1, 1));
    assert!(status.members[0].reachable);
    let add = |node_id, peer_address: &str| v1::ClusterAddLearnerRequest {
        node_id,
        client_address: "localhost:1".to_owned(),
        peer_address: peer_address.to_owned(),
    };
    let bad = cluster.add_learner(add(2, "nowhere")).await.unwrap_err();
    assert_eq!(reason(&bad), (Code::InvalidArgument, "INVALID_ADDRESS".to_owned()));
    let bad = cluster.add_learner(add(0, "localhost:2")).await.unwrap_err();
    assert_eq!(reason(&bad), (Code::InvalidArgument, "INVALID_ARGUMENT".to_owned()));
    let bad = cluster.add_learner(add(1, "localhost:2")).await.unwrap_err();
    assert_eq!(reason(&bad), (Code::AlreadyExists, "MEMBER_EXISTS".to_owned()));
    let bad = cluster.remove(v1::ClusterRemoveRequest { node_id: 1, force: true }).await.unwrap_err();
    assert_eq!(reason(&bad), (Code::FailedPrecondition, "LAST_VOTER".to_owned()));
    let bad = cluster.promote(v1::ClusterPromoteRequest { node_id: 9, force: false }).await.unwrap_err();
    assert_eq!(reason(&bad), (Code::NotFound, "MEMBER_UNKNOWN".to_owned()));

    // A learner that nobody can reach is a member all the same, and told as such.
    let members = cluster.add_learner(add(2, &free().to_string())).await.unwrap().into_inner().members;
    assert_eq!(
        members.iter().map(|member| (member.node_id, member.voter)).collect::<Vec<_>>(),
        [(1, true), (2, false)]
    );
    let status = cluster.status(v1::ClusterStatusRequest::default()).await.unwrap().into_inner();
    assert!(!status.members[1].reachable && !status.members[1].error.is_empty());
    // Its vote would put a quorum out of reach.
    let bad = cluster.promote(v1::ClusterPromoteRequest { node_id: 2, force: false }).await.unwrap_err();
    assert_eq!(reason(&bad), (Code::FailedPrecondition, "LEARNER_LAGS".to_owned()));
    let members =
        cluster.remove(v1::ClusterRemoveRequest { node_id: 2, force: false }).await.unwrap().into_inner().members;
    assert_eq!(members.len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn health_and_reflection_are_served() {
    use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let directory = tempfile::tempdir().unwrap();
    let (server, channel) = start(&directory).await;
    let mut health = HealthClient::new(channel.clone());
    for service in ["", "ringfence.v1.Kv", "ringfence.v1.Watch"] {
        // The first report may still be on its way, so that the status is followed until it is there.
        let request = HealthCheckRequest { service: service.to_owned() };
        let mut told = health.watch(request).await.unwrap().into_inner();
        while told.message().await.unwrap().unwrap().status() != ServingStatus::Serving {}
    }
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = ServerReflectionClient::new(channel)
        .server_reflection_info(futures::stream::iter([request]))
        .await
        .unwrap()
        .into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) = answers.message().await.unwrap().unwrap().message_response
    else {
        panic!("no list")
    };
    assert!(list.service.iter().any(|service| service.name == "ringfence.v1.Lock"), "{list:?}");
    assert!(list.service.iter().all(|service| !service.name.contains("peer")), "{list:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_taken_port_is_told_and_the_data_are_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let data = directory.path().join("data");
    let settings = Settings::new("smoke", 1, taken.local_addr().unwrap(), free(), DataPlace::Directory(data.clone()));
    let Err(error) = Server::start(settings).await else { panic!("started") };
    assert!(error.to_string().contains("another process may have it"), "{error}");
    assert!(!data.exists());
}

#[tokio::test]
async fn open_streams_end_when_the_server_stops() {
    let directory = tempfile::tempdir().unwrap();
    let (server, channel) = start(&directory).await;
    let create = v1::WatchCreate { watch_id: 1, key: "k".into(), ..Default::default() };
    let create = v1::WatchRequest { request: Some(v1::watch_request::Request::Create(create)) };
    // The request side stays open, as with a client that goes on watching.
    let requests = futures::StreamExt::chain(futures::stream::iter([create]), futures::stream::pending());
    let mut watch = WatchClient::new(channel).watch(requests).await.unwrap().into_inner();
    assert!(watch.message().await.unwrap().is_some());
    server.stop().await;
    // The last message says why; then the stream is over, in whatever way.
    let mut said = None;
    while let Ok(Some(message)) = watch.message().await {
        said = message.response;
    }
    let Some(v1::watch_response::Response::Canceled(canceled)) = said else { panic!("{said:?}") };
    assert_eq!(canceled.reason(), v1::watch_canceled::Reason::Unavailable);
}
