//! Members over raw gRPC: each takes any call, and says how it is; leadership goes over on request.

use std::collections::BTreeSet;

use ringfence_proto::v1::*;
use ringfence_tests::{
    World,
    raw::{Raw, describe, refusal, release},
    wait::{until, within},
};

#[tokio::test]
async fn any_member_takes_any_call() {
    let world = World::start(3).await;
    let mut nodes: Vec<Raw> = world.ids().into_iter().map(|id| world.raw(id)).collect();
    for writer in 0..3 {
        let key = format!("from-{writer}");
        let session_id = nodes[writer].open(60_000).await.unwrap();
        nodes[writer].put(&key, "x").await.unwrap();
        let claim = nodes[writer].try_lock(&key, session_id).await.unwrap();
        for node in &mut nodes {
            assert_eq!(node.get(&key).await.unwrap().as_deref(), Some("x"), "a linearizable read sees every write");
            assert!(node.owns(&key, claim.token).await.unwrap());
            node.session.describe(describe(session_id)).await.unwrap();
        }
        // Renewed, released and closed through a member that had no part in it so far.
        let other = &mut nodes[(writer + 1) % 3];
        let renewal = SessionRenewRequest { session_ids: vec![session_id], request: 1 };
        let mut answers = other.session.renew(tokio_stream::iter([renewal])).await.unwrap().into_inner();
        assert!(within("a renewal", answers.message()).await.unwrap().unwrap().renewals[0].alive);
        let release = release(&key, session_id, claim.token);
        other.lock.release(release).await.unwrap();
        other.session.close(SessionCloseRequest { session_id }).await.unwrap();
    }
    world.settle().await;
}

#[tokio::test]
async fn every_member_accounts_for_all() {
    let world = World::start(3).await;
    let mut nodes: Vec<Raw> = world.ids().into_iter().map(|id| world.raw(id)).collect();
    let mut clusters = BTreeSet::new();
    for node in &mut nodes {
        let header = node.list("").await.unwrap().header.unwrap();
        clusters.insert(header.cluster_id);
        let members = node.cluster.members(ClusterMembersRequest::default()).await.unwrap().into_inner();
        assert_eq!(members.members.iter().map(|member| member.node_id).collect::<Vec<_>>(), [1, 2, 3]);
        let status = node.cluster.status(ClusterStatusRequest::default()).await.unwrap().into_inner();
        assert_eq!(status.members.len(), 3);
        assert!(status.leader != 0 && status.members.iter().all(|member| member.reachable), "{status:?}");
    }
    assert_eq!(clusters.len(), 1);
}

#[tokio::test]
async fn the_feature_level_is_raised_when_all_members_answer() {
    let world = World::start(3).await;
    world.level().await;
    for id in world.ids() {
        let status = world.raw(id).status().await.unwrap();
        assert!(status.level > 0 && status.cluster_level == status.level, "{status:?}");
    }
    // It is part of the state: it is there after a restart of all, before anybody could raise it.
    world.kill_all().await.unwrap();
    for id in [1, 2] {
        world.node(id).spawn().unwrap();
    }
    until("the level to be back with two", async || {
        let status = world.raw(1).status().await.map_err(|status| format!("{status:?}"))?;
        if status.cluster_level == status.level { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
}

#[tokio::test]
async fn leadership_is_handed_over_on_request() {
    let world = World::start(3).await;
    let leader = world.leader().await;
    let heir = leader % 3 + 1;
    // Asked of a member that neither leads nor will.
    let mut node = world.raw(heir % 3 + 1);
    node.put("before", "x").await.unwrap();
    // Another one may be faster on a busy machine: the answer says so then, and it is asked again.
    let transfer = ClusterTransferLeaderRequest { node_id: heir };
    until("the heir to lead", async || {
        let told = node.cluster.transfer_leader(transfer).await?;
        assert_eq!(told.into_inner().leader, heir);
        Ok::<_, tonic::Status>(())
    })
    .await;
    until("the members to follow it", async || {
        let leader = world.leader().await;
        if leader == heir { Ok(()) } else { Err(leader) }
    })
    .await;
    assert_eq!(node.get("before").await.unwrap().as_deref(), Some("x"));
    node.put("after", "x").await.unwrap();
    let nobody = node.cluster.transfer_leader(ClusterTransferLeaderRequest { node_id: 99 }).await;
    assert_eq!(refusal(nobody).1, "MEMBER_UNKNOWN");
}

#[tokio::test]
async fn health_and_reflection_are_the_standard_ones() {
    use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let world = World::start(1).await;
    let channel = world.raw(1).channel;
    let mut health = HealthClient::new(channel.clone());
    for service in ["", "ringfence.v1.Kv", "ringfence.v1.Lock"] {
        until("the service to be healthy", async || {
            let answer = health.check(HealthCheckRequest { service: service.to_owned() }).await;
            match answer {
                Ok(answer) if answer.get_ref().status() == ServingStatus::Serving => Ok(()),
                other => Err(other),
            }
        })
        .await;
    }
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(channel);
    let mut answers = reflection.server_reflection_info(tokio_stream::iter([request])).await.unwrap().into_inner();
    let answer = within("the reflection", answers.message()).await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else { panic!("{answer:?}") };
    let names: BTreeSet<String> = list.service.into_iter().map(|service| service.name).collect();
    for service in ["Cluster", "Election", "Kv", "Lock", "Pipeline", "Session", "Watch"] {
        assert!(names.contains(&format!("ringfence.v1.{service}")), "{names:?}");
    }
}
