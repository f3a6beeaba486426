//! Disks that a node must refuse, and what it says.

use super::harness::{CLUSTER, Disks, Plan, applied, leader, propose, put, start, value};
use crate::raft::{DataPlace, NodeSettings, StartError};

async fn refusal(settings: NodeSettings) -> StartError {
    match start(settings).await {
        Ok(_) => panic!("it starts"),
        Err(error) => error,
    }
}

async fn one_with_data(disks: Disks) -> Plan {
    let plan = Plan::new(1, disks);
    let nodes = plan.start_cluster().await;
    for n in 0..30 {
        propose(&nodes, vec![put(&format!("k{n}"), "v")]).await;
    }
    for running in nodes {
        running.stop().await;
    }
    plan
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_of_another_cluster_or_node_is_refused() {
    let plan = one_with_data(Disks::sled()).await;
    let mut settings = plan.settings(1);
    settings.cluster = CLUSTER + 1;
    let error = refusal(settings).await;
    assert!(matches!(error, StartError::OtherCluster { found: CLUSTER, .. }), "{error}");
    assert!(error.to_string().contains("another cluster"), "{error}");

    let mut settings = plan.settings(1);
    settings.id = 2;
    let error = refusal(settings).await;
    assert!(matches!(error, StartError::OtherNode { found: 1, expected: 2, .. }), "{error}");

    // Nothing was lost by trying.
    let running = plan.start(1).await;
    let index = propose(std::slice::from_ref(&running), vec![put("last", "v")]).await;
    applied(&running, index).await;
    assert!(value(&running, "k29").is_some());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_use_is_refused() {
    let plan = one_with_data(Disks::sled()).await;
    let running = plan.start(1).await;
    let error = refusal(plan.settings(1)).await;
    assert!(matches!(error, StartError::InUse { .. }), "{error}");
    // Another directory, the same port.
    let elsewhere = tempfile::tempdir().unwrap();
    let mut settings = plan.settings(1);
    settings.data = DataPlace::Directory(elsewhere.path().join("data"));
    let error = refusal(settings).await;
    assert!(matches!(error, StartError::Listen { .. }), "{error}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_cannot_be_is_refused() {
    let plan = Plan::new(1, Disks::sled());
    let file = plan.disks.directory(1);
    std::fs::write(&file, b"a file").unwrap();
    let error = refusal(plan.settings(1)).await;
    assert!(matches!(error, StartError::Io { .. }), "{error}");
    let mut settings = plan.settings(1);
    settings.election_timeout_ms_max = settings.election_timeout_ms_min;
    let error = refusal(settings).await;
    assert!(matches!(error, StartError::Settings(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_record_is_refused_with_its_index() {
    let plan = one_with_data(Disks::memory(1)).await;
    assert!(plan.disks.disk(1).damage(7));
    let error = refusal(plan.settings(1)).await;
    assert!(matches!(error, StartError::Damaged { .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains("index 7") && message.contains("checksum"), "{message}");
    assert!(message.contains("Remove it from the cluster"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_snapshot_falls_back_and_two_are_refused() {
    let mut plan = Plan::new(1, Disks::sled());
    plan.snapshot_entries = 20;
    plan.keep_entries = 0;
    let nodes = plan.start_cluster().await;
    leader(&nodes).await;
    for n in 0..100 {
        propose(&nodes, vec![put(&format!("k{n}"), "v")]).await;
    }
    super::harness::until("there are two snapshots and the log is purged", || {
        nodes[0].node.status().snapshot >= 80 && nodes[0].node.status().purged >= 60
    })
    .await;
    for running in nodes {
        running.stop().await;
    }
    let directory = plan.disks.directory(1).join("snapshots");
    let mut names: Vec<_> = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert_eq!(names.len(), 2, "{names:?}");
    let tear = |path: &std::path::Path| {
        let bytes = std::fs::read(path).unwrap();
        std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    };

    tear(&names[1]);
    let running = plan.start(1).await;
    let index = propose(std::slice::from_ref(&running), vec![put("last", "v")]).await;
    applied(&running, index).await;
    assert!((0..100).all(|n| value(&running, &format!("k{n}")).is_some()));
    running.stop().await;

    for entry in std::fs::read_dir(&directory).unwrap() {
        tear(&entry.unwrap().path());
    }
    let error = refusal(plan.settings(1)).await;
    assert!(matches!(error, StartError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains(".snapshot"), "{error}");
}
