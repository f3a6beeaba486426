//! All nodes are restarted, one after another, while clients work: see `scripts/cluster roll`.

use ringfence_cluster::{ClusterError, roll::roll};
use ringfence_tests::{World, load::Load};

/// Clients that want the lock.
const CLIENTS: u32 = 4;
/// Turns that show that the cluster works.
const TURNS: u64 = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_node_is_restarted_once_and_the_leader_last() {
    let world = World::start(3).await;
    let load = Load::start(&world, CLIENTS).await;
    load.progress(TURNS).await;
    let mut steps = Vec::new();
    roll(&world, |step| steps.push((step.node, step.led, step.writes.is_empty()))).await.unwrap();
    load.progress(TURNS).await;
    let mut nodes: Vec<u64> = steps.iter().map(|(node, _, _)| *node).collect();
    nodes.sort_unstable();
    assert_eq!(nodes, [1, 2, 3], "{steps:?}");
    let led: Vec<bool> = steps.iter().map(|(_, led, _)| *led).collect();
    assert_eq!(led, [false, false, true], "{steps:?}");
    assert!(steps.iter().all(|(_, _, idle)| !idle), "somebody wrote all the time: {steps:?}");
    load.check(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_restarted_where_one_is_down() {
    let world = World::start(3).await;
    world.node(2).kill().await.unwrap();
    let before = [1, 3].map(|id| world.node(id).process());
    let refused = roll(&world, |step| panic!("{step:?}")).await;
    assert!(matches!(&refused, Err(ClusterError::NotWhole { why }) if why.contains("node 2")), "{refused:?}");
    assert_eq!([1, 3].map(|id| world.node(id).process()), before);
}
