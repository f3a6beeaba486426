//! Processes are tested with stand-ins for the server: what counts here is who is started, halted, ended and found again.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::{
    Cluster, ClusterError, Condition, Ports, Process,
    local::Place,
    ports,
    settings::{NodeSettings, members_from},
};

/// A program that takes the server's place.
fn stand_in(directory: &TempDir, script: &str) -> PathBuf {
    let path = directory.path().join("stand-in");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Three nodes that sleep.
fn sleepers(directory: &TempDir) -> Cluster {
    let binary = stand_in(directory, "exec sleep 1000");
    Cluster::builder().binary(binary).build().unwrap()
}

#[test]
fn a_signal_never_hits_a_process_that_took_over_the_number() {
    let mut child = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
    let real = Process::of(child.id()).unwrap();
    // As a pid file would name it that was written before a reboot, or before the number was given out again.
    for stale in [
        format!("{} {} {}", child.id(), 1, real.to_string().rsplit(' ').next().unwrap()),
        real.to_string().rsplit_once(' ').unwrap().0.to_owned() + " another-boot",
    ] {
        let stale: Process = stale.parse().unwrap();
        assert_eq!(stale.condition(), Condition::Gone);
        assert!(!stale.signal(rustix::process::Signal::KILL).unwrap());
    }
    assert_eq!(real.condition(), Condition::Running);
    assert!(real.signal(rustix::process::Signal::KILL).unwrap());
    child.wait().unwrap();
    assert_eq!(real.condition(), Condition::Gone);
    assert!(!real.signal(rustix::process::Signal::KILL).unwrap());
}

#[test]
fn a_pid_file_with_anything_else_in_it_names_nobody() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("pid");
    assert_eq!(Process::load(&file), None);
    for text in ["", "1", "x 1 boot", "1 x boot", "99999999999999 1 boot"] {
        fs::write(&file, text).unwrap();
        assert_eq!(Process::load(&file), None, "{text:?}");
    }
    let own = Process::of(std::process::id()).unwrap();
    own.save(&file).unwrap();
    assert_eq!(Process::load(&file), Some(own));
}

#[tokio::test]
async fn nodes_are_halted_resumed_and_ended_one_by_one() {
    let directory = TempDir::new().unwrap();
    let cluster = sleepers(&directory);
    let [one, two, three] = cluster.nodes() else { panic!("three nodes") };
    for node in cluster.nodes() {
        assert_eq!(node.condition(), Condition::Gone);
        node.spawn().unwrap();
    }
    let first = one.process().unwrap();
    one.spawn().unwrap();
    assert_eq!(one.process(), Some(first), "it runs already");

    two.pause().await.unwrap();
    assert_eq!(two.condition(), Condition::Paused);
    two.resume().await.unwrap();
    assert_eq!(two.condition(), Condition::Running);

    one.stop().await.unwrap();
    assert_eq!(one.condition(), Condition::Gone);
    assert!(!one.has_died(), "it was told to stop");
    assert!(matches!(one.stop().await, Err(ClusterError::NotRunning { id: 1 })));
    assert!(matches!(one.pause().await, Err(ClusterError::NotRunning { id: 1 })));

    two.pause().await.unwrap();
    two.kill().await.unwrap();
    assert_eq!(two.condition(), Condition::Gone);
    assert_eq!(three.condition(), Condition::Running);

    one.spawn().unwrap();
    cluster.kill_all().await.unwrap();
    assert!(cluster.nodes().iter().all(|node| node.condition() == Condition::Gone));
}

#[tokio::test]
async fn a_node_that_dies_while_it_starts_is_told_with_its_last_words() {
    let directory = TempDir::new().unwrap();
    let binary = stand_in(&directory, "echo \"reading $2\"; echo 'the disk is damaged' >&2; exit 3");
    let Err(ClusterError::Died { id: 1, tail, .. }) = Cluster::builder().nodes(1).binary(binary).start().await else {
        panic!("a node that ends at once is no success");
    };
    assert!(tail.contains("config.toml") && tail.ends_with("the disk is damaged"), "{tail}");
}

#[tokio::test]
async fn what_a_test_starts_ends_with_the_test() {
    let directory = TempDir::new().unwrap();
    let cluster = sleepers(&directory);
    for node in cluster.nodes() {
        node.spawn().unwrap();
    }
    cluster.nodes()[1].pause().await.unwrap();
    let processes: Vec<_> = cluster.nodes().iter().map(|node| node.process().unwrap()).collect();
    let place = cluster.directory().to_owned();
    drop(cluster);
    assert!(processes.iter().all(|process| process.condition() == Condition::Gone));
    assert!(!place.exists());
}

#[test]
fn no_port_is_reserved_twice() {
    let all: Vec<_> = (0..4).flat_map(|_| ports::reserve(6).unwrap()).collect();
    // Each of these is held while the others are looked for.
    let mut numbers: Vec<_> = all.iter().map(ports::ReservedPort::number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 24);
    assert!(numbers.iter().all(|number| *number < 32_768));
}

#[test]
fn settings_of_a_test_reach_every_nodes_file() {
    let directory = TempDir::new().unwrap();
    let binary = stand_in(&directory, "exit");
    let cluster = Cluster::builder()
        .nodes(5)
        .binary(binary)
        .directory(directory.path())
        .ports(Ports::From { client: 21_000, peer: 21_100 })
        .setting("snapshot_entries", 100)
        .build()
        .unwrap();
    assert_eq!(cluster.endpoints()[4], "http://127.0.0.1:21004");
    for node in cluster.nodes() {
        let settings = NodeSettings::load(node.config()).unwrap();
        assert_eq!(settings.other.get("snapshot_entries"), Some(&toml::Value::from(100)));
        assert_eq!(settings.members.len(), 5);
        assert_eq!(&settings, node.settings());
    }
}

#[test]
fn the_lasting_cluster_keeps_its_size() {
    let directory = TempDir::new().unwrap();
    let place = Place { directory: directory.path().join("cluster"), configuration: PathBuf::from("nowhere") };
    assert_eq!(place.size(), 0);
    place.create(5, None, false).unwrap();
    assert_eq!(place.size(), 5);
    let other = place.open_or_create(Some(3), None, false);
    assert!(matches!(other, Err(ClusterError::OtherSize { present: 5, asked: 3, .. })));
}

/// What the server makes of a configuration file.
fn as_the_server_reads(file: &Path) -> ringfence_server::config::Settings {
    let mut values = ringfence_server::config::Values::default();
    values.add_file(file, &fs::read_to_string(file).unwrap()).unwrap();
    ringfence_server::config::Settings::from_values(&values).unwrap()
}

#[test]
fn the_files_for_people_are_what_would_be_generated() {
    let written = Path::new(env!("CARGO_MANIFEST_DIR")).join("local");
    let members = members_from(3, crate::builder::CLIENT_PORT_FIRST, crate::builder::PEER_PORT_FIRST);
    let scratch = TempDir::new().unwrap();
    for settings in NodeSettings::of_members("local", &members, Path::new(".ringfence")) {
        let file = written.join(format!("node{}.toml", settings.node_id));
        assert_eq!(NodeSettings::load(&file).unwrap(), settings);
        let generated = scratch.path().join("generated.toml");
        settings.save(&generated).unwrap();
        assert_eq!(format!("{:?}", as_the_server_reads(&file)), format!("{:?}", as_the_server_reads(&generated)));
    }
}

#[test]
fn the_server_accepts_the_file_for_systemd() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/node.toml");
    let settings = as_the_server_reads(&file);
    assert_eq!(settings.data_dir(), Some(&PathBuf::from("/var/lib/ringfence")));
}
