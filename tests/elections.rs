//! Elections over raw gRPC, as election.proto promises them.

use ringfence_proto::v1::*;
use ringfence_tests::{
    World,
    raw::{Raw, bytes, campaign, refusal, text},
    wait::{until, within},
};

/// The next leader's value that an observer is told of; `None` where nobody leads.
async fn seen(observer: &mut tonic::Streaming<ElectionLeaderResponse>) -> Option<String> {
    let told = within("an observation", observer.message()).await.unwrap().unwrap();
    told.leader.map(|claim| text(&claim.value))
}

async fn leader(node: &mut Raw) -> ElectionLeaderResponse {
    let request = ElectionLeaderRequest { name: bytes("e"), ..Default::default() };
    node.election.leader(request).await.unwrap().into_inner()
}

fn proclaim(session_id: u64, token: u64, value: &str) -> ElectionProclaimRequest {
    ElectionProclaimRequest { name: bytes("e"), session_id, token, value: bytes(value) }
}

fn resign(session_id: u64, token: u64) -> ElectionResignRequest {
    ElectionResignRequest { name: bytes("e"), session_id, token }
}

#[tokio::test]
async fn an_election_has_a_leader_or_says_that_it_has_none() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    let (ann, bob) = (node.open(60_000).await.unwrap(), node.open(60_000).await.unwrap());
    let observe = ElectionObserveRequest { name: bytes("e") };
    let mut observer = node.election.observe(observe).await.unwrap().into_inner();
    assert_eq!(seen(&mut observer).await, None, "no leader now");

    let stand = ElectionCampaignRequest { value: bytes("ann"), ..campaign("e", ann) };
    let won = node.election.campaign(stand).await.unwrap().into_inner().claim.unwrap();
    assert_eq!(seen(&mut observer).await.as_deref(), Some("ann"));
    let mut election = node.election.clone();
    let stand = ElectionCampaignRequest { value: bytes("bob"), ..campaign("e", bob) };
    let waiting = tokio::spawn(async move { election.campaign(stand).await });
    until("bob to wait", async || match leader(&mut node).await {
        told if told.waiting == 1 => Ok(()),
        told => Err(told),
    })
    .await;
    node.election.proclaim(proclaim(ann, won.token, "ann again")).await.unwrap();
    assert_eq!(seen(&mut observer).await.as_deref(), Some("ann again"));
    node.election.resign(resign(ann, won.token)).await.unwrap();
    let after = within("bob to win", waiting).await.unwrap().unwrap().into_inner().claim.unwrap();
    assert!(after.token > won.token);
    assert_eq!(seen(&mut observer).await.as_deref(), Some("bob"));
    let late = node.election.proclaim(proclaim(ann, won.token, "x")).await;
    assert_eq!(refusal(late).1, "TOKEN_STALE");
    node.election.resign(resign(bob, after.token)).await.unwrap();
    assert_eq!(seen(&mut observer).await, None);
    assert!(leader(&mut node).await.leader.is_none());
}
