//! Sessions over raw gRPC, as session.proto promises them.

use ringfence_proto::v1::*;
use ringfence_tests::{
    World,
    raw::{bytes, describe, put, refusal},
    wait::{until, within},
};
use tonic::Code;

#[tokio::test]
async fn sessions_live_by_renewal_and_take_their_keys_along() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    let id = node.open(60_000).await.unwrap();
    let short = node.open(500).await.unwrap();
    for session_id in [id, short] {
        let key = format!("bound/{session_id}");
        node.kv.put(PutRequest { session_id, ..put(&key, "") }).await.unwrap();
    }
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let requests = tokio_stream::wrappers::ReceiverStream::new(receiver);
    sender.send(SessionRenewRequest { session_ids: vec![id, 77], request: 9 }).await.unwrap();
    let mut answers = node.session.renew(requests).await.unwrap().into_inner();
    let answer = within("a renewal", answers.message()).await.unwrap().unwrap();
    assert_eq!(answer.request, 9);
    let renewed: Vec<_> = answer.renewals.iter().map(|one| (one.session_id, one.alive, one.ttl_ms)).collect();
    assert_eq!(renewed, [(id, true, 60_000), (77, false, 0)]);

    until("the unrenewed session's key to go", async || match node.list("bound/").await {
        Ok(left) if left.count == 1 => Ok(()),
        other => Err(other),
    })
    .await;
    assert_eq!(refusal(node.session.describe(describe(short)).await), (Code::NotFound, "SESSION_UNKNOWN".into()));
}

#[tokio::test]
async fn sessions_are_described_listed_and_closed() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    let id = node.open(60_000).await.unwrap();
    let bound = PutRequest { session_id: id, ..put(&format!("bound/{id}"), "") };
    node.kv.put(bound).await.unwrap();
    let told = node.session.describe(describe(id)).await.unwrap().into_inner();
    let info = told.session.unwrap();
    assert_eq!((info.session_id, info.owner.as_str(), info.ttl_ms, info.keys), (id, "a test", 60_000, 1));
    assert_eq!(told.keys, [bytes(&format!("bound/{id}"))]);
    let list = node.session.list(SessionListRequest::default()).await.unwrap().into_inner();
    assert_eq!(list.sessions.iter().map(|info| info.session_id).collect::<Vec<_>>(), [id]);
    let closed = node.session.close(SessionCloseRequest { session_id: id }).await.unwrap().into_inner();
    assert_eq!(closed.deleted, 1);
    assert_eq!(node.list("bound/").await.unwrap().count, 0);
    let twice = node.session.close(SessionCloseRequest { session_id: id }).await;
    assert_eq!(refusal(twice), (Code::NotFound, "SESSION_UNKNOWN".into()));
}
