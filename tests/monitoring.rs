//! The HTTP side, as whatever watches over processes uses it: alive, ready, figures.

use std::{collections::BTreeSet, fs};

use ringfence_cluster::Cluster;
use ringfence_tests::{World, http, wait::until};

async fn get(world: &World, id: u64, path: &str) -> http::Answer {
    http::ask(world.node(id).http_address().unwrap(), "GET", path).await.unwrap()
}

/// Waits until a node says so of its readiness.
async fn says(world: &World, id: u64, code: u16) -> http::Answer {
    until(&format!("/readyz of node {id} to say {code}"), async || {
        let answer = get(world, id, "/readyz").await;
        if answer.code == code { Ok(answer) } else { Err(answer) }
    })
    .await
}

/// It is alive, it isn't ready, and it says why.
async fn without_a_leader(world: &World, id: u64) {
    let answer = says(world, id, 503).await;
    assert!(answer.body.contains("no leader"), "{answer:?}");
    assert_eq!(get(world, id, "/livez").await.code, 200, "it is alive all the same");
    assert_eq!(sample(&get(world, id, "/metrics").await.body, "ringfence_leader"), Some(0.0));
}

/// Three nodes, of which each says that it is ready, and their leader.
async fn ready() -> (World, u64) {
    let world = World::of(Cluster::builder().nodes(3).http()).await;
    for id in world.ids() {
        says(&world, id, 200).await;
    }
    let leader = world.leader().await;
    (world, leader)
}

#[tokio::test]
async fn a_leader_is_ready_while_it_has_a_majority() {
    let (world, leader) = ready().await;
    let others: Vec<u64> = world.ids().into_iter().filter(|id| *id != leader).collect();
    for id in &others {
        world.node(*id).kill().await.unwrap();
    }
    without_a_leader(&world, leader).await;
    for id in others {
        world.revive(id).await;
    }
    for id in world.ids() {
        says(&world, id, 200).await;
    }
}

#[tokio::test]
async fn a_follower_is_ready_while_somebody_leads() {
    let (world, leader) = ready().await;
    let [left, other] = [1, 2].map(|step| (leader - 1 + step) % 3 + 1);
    world.node(other).kill().await.unwrap();
    says(&world, left, 200).await;
    world.node(leader).kill().await.unwrap();
    without_a_leader(&world, left).await;
    world.revive(other).await;
    says(&world, left, 200).await;
}

#[tokio::test]
async fn one_that_starts_alone_is_not_ready() {
    let (world, _) = ready().await;
    world.kill_all().await.unwrap();
    world.node(1).spawn().unwrap();
    let address = world.node(1).http_address().unwrap().to_owned();
    until("the HTTP side to be there", async || http::ask(&address, "GET", "/livez").await).await;
    // Its last vote names a leader, and nobody is there whom it could follow.
    without_a_leader(&world, 1).await;
}

/// The value of a metric without labels.
fn sample(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

/// All metrics, each checked to be as Prometheus' text format says: help, type, value.
fn metrics(text: &str) -> BTreeSet<&str> {
    let lines: Vec<&str> = text.lines().collect();
    assert!(text.ends_with('\n') && lines.len().is_multiple_of(3), "{text}");
    let mut names = BTreeSet::new();
    for block in lines.chunks_exact(3) {
        let [help, kind, value] = block else { unreachable!("chunks of three") };
        let (name, value) = value.split_once(' ').unwrap_or_else(|| panic!("{value:?} has no value"));
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name:?}");
        assert!(value.parse::<f64>().is_ok_and(f64::is_finite), "{name} is {value:?}");
        let words = help.strip_prefix(&format!("# HELP {name} "));
        assert!(words.is_some_and(|words| !words.is_empty()), "{help:?} before {name}");
        let kind = kind.strip_prefix(&format!("# TYPE {name} "));
        assert!(matches!(kind, Some("gauge" | "counter")), "{kind:?} before {name}");
        assert!(names.insert(name), "{name} is there twice");
    }
    names
}

/// The names that the manual lists: in the first column of a table, between backquotes.
fn documented() -> BTreeSet<String> {
    let manual = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md")).unwrap();
    let names = manual.lines().filter_map(|line| line.strip_prefix("| `ringfence_")?.split_once('`'));
    names.map(|(name, _)| format!("ringfence_{name}")).collect()
}

#[tokio::test]
async fn the_figures_are_those_that_the_manual_names() {
    let world = World::of(Cluster::builder().nodes(1).http()).await;
    let before = get(&world, 1, "/metrics").await;
    world.raw(1).put("k", "v").await.unwrap();
    let after = get(&world, 1, "/metrics").await;
    assert_eq!(after.code, 200);
    assert!(after.head.iter().any(|line| line.starts_with("content-type: text/plain; version=0.0.4")), "{after:?}");
    assert_eq!(metrics(&after.body), documented().iter().map(String::as_str).collect());
    for (name, was, is) in
        [("ringfence_revision", 0.0, 1.0), ("ringfence_keys", 0.0, 1.0), ("ringfence_is_leader", 1.0, 1.0)]
    {
        assert_eq!((sample(&before.body, name), sample(&after.body, name)), (Some(was), Some(is)), "{name}");
    }
}

#[tokio::test]
async fn it_answers_nothing_else() {
    let world = World::of(Cluster::builder().nodes(1).http()).await;
    let address = world.node(1).http_address().unwrap();
    for path in ["/", "/metrics/", "/v1/kv", "/livez/..", "/%00"] {
        assert_eq!(http::ask(address, "GET", path).await.unwrap().code, 404, "{path}");
    }
    for method in ["POST", "PUT", "DELETE"] {
        assert_eq!(http::ask(address, method, "/metrics").await.unwrap().code, 405, "{method}");
    }
    assert_eq!(get(&world, 1, "/livez").await.body, "ok\n");
}

/// How many ports a process listens on, by the kernel's own tables.
fn listening(pid: i32) -> usize {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let open: BTreeSet<String> = links
        .filter_map(|link| fs::read_link(link.ok()?.path()).ok())
        .filter_map(|to| Some(to.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let tables =
        ["tcp", "tcp6"].map(|table| fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default());
    let sockets = tables.iter().flat_map(|table| table.lines().skip(1));
    sockets
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.get(3) == Some(&"0A") && fields.get(9).is_some_and(|inode| open.contains(*inode)))
        .count()
}

#[tokio::test]
async fn nobody_who_did_not_ask_for_it_has_it() {
    let without = World::start(1).await;
    let with = World::of(Cluster::builder().nodes(1).http()).await;
    assert_eq!(listening(without.pid(1)), 2, "clients and peers");
    assert_eq!(listening(with.pid(1)), 3, "and the HTTP side");
}
