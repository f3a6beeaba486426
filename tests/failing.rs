//! A disk that takes no more while the server runs: it says so, ends with exit code 4, and has lost nothing that it had
//! acknowledged.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use ringfence_cluster::Cluster;
use ringfence_tests::{
    World, binaries,
    load::Load,
    wait::{PATIENCE, until},
};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

/// The server can't go on.
const CANNOT_GO_ON: i32 = 4;
/// How large its files may get then. The log that it writes for people stays far below this.
const FILE_BYTES_MAX: u64 = 128 * 1024;

/// The server, told as programs are that a file may grow no further: with an error, not with a signal.
fn server(directory: &Path) -> PathBuf {
    let path = directory.join("server");
    let script = format!("#!/bin/sh\ntrap '' XFSZ\nexec '{}' \"$@\"\n", binaries::server().display());
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// From now on no file of this node grows beyond the limit, as if its disk were full.
fn fill_disk(world: &World, id: u64) {
    let limit = Rlimit { current: Some(FILE_BYTES_MAX), maximum: Some(FILE_BYTES_MAX) };
    prlimit(Pid::from_raw(world.pid(id)), Resource::Fsize, limit).unwrap();
}

#[tokio::test]
async fn a_full_disk_ends_a_server_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::of_program(Cluster::builder().nodes(1), &server(directory.path())).await;
    let mut node = world.raw(1);
    node.put("first", "v").await.unwrap();
    fill_disk(&world, 1);
    let large = "v".repeat(16 * 1024);
    let mut acknowledged = Vec::new();
    let refused = loop {
        let key = format!("k{:04}", acknowledged.len());
        match node.put(&key, &large).await {
            Ok(_) => acknowledged.push(key),
            Err(status) => break status,
        }
        assert!(acknowledged.len() < 10_000, "the limit must be felt");
    };
    world.node(1).ended(PATIENCE).await.unwrap();
    let log = world.node(1).log_tail(20);
    assert_eq!(world.node(1).exit_code(), Some(CANNOT_GO_ON), "{refused:?}: {log}");
    assert!(log.contains("can't go on: "), "{log}");
    assert!(!log.contains("panicked"), "{log}");

    // Space was made.
    world.revive(1).await;
    let mut node = world.raw(1);
    assert_eq!(node.get("first").await.unwrap().as_deref(), Some("v"));
    for key in acknowledged {
        assert!(node.get(&key).await.unwrap() == Some(large.clone()), "{key} was acknowledged and is lost");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_others_go_on_without_a_leader_whose_disk_is_full() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::of_program(Cluster::builder().nodes(3), &server(directory.path())).await;
    let load = Load::start(&world, 4).await;
    load.progress(10).await;
    let leader = world.leader().await;
    fill_disk(&world, leader);
    // Large enough to be felt soon, and not among what the checkers look at.
    until("its disk to be full", async || {
        let written = world.raw(leader).put("large", &"v".repeat(64 * 1024)).await;
        if world.node(leader).has_died() { Ok(()) } else { Err(written) }
    })
    .await;
    world.node(leader).ended(PATIENCE).await.unwrap();
    assert_eq!(world.node(leader).exit_code(), Some(CANNOT_GO_ON), "{}", world.node(leader).log_tail(20));
    load.progress(10).await;
    world.revive(leader).await;
    load.progress(10).await;
    load.check(&world).await;
}
