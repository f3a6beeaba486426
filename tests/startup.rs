//! What a server can't start with: it says what is wrong and what to do, ends with an exit code of its own, and touches
//! nothing. Exit code 2: the command line or the configuration; 3: the place it was to start in.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
};

use ringfence_cluster::settings::{HTTP_LISTEN, NodeSettings};
use ringfence_tests::{World, binaries, wait::until};

/// The configuration is wrong.
const CONFIGURATION: i32 = 2;
/// The configuration is right, and the server can't start with it here.
const REFUSED: i32 = 3;

/// Checks that a server with this configuration ends with this exit code and says all of these words.
async fn refuses(config: &Path, code: i32, words: &[&str]) {
    let (ended, said) = binaries::run_server(&["--config", config.to_str().unwrap()]).await;
    assert_eq!(ended, Some(code), "it said: {said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in what it said: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

/// A copy of the node's configuration, changed.
fn changed(world: &World, id: u64, change: impl FnOnce(&mut NodeSettings)) -> PathBuf {
    let mut settings = world.node(id).settings().clone();
    change(&mut settings);
    let path = world.directory().join("changed.toml");
    settings.save(&path).unwrap();
    path
}

/// One node that has written something and was stopped.
async fn stopped() -> World {
    let world = World::start(1).await;
    world.raw(1).put("k", "v").await.unwrap();
    world.node(1).stop().await.unwrap();
    world
}

/// The node's data are as they were: it starts with its own configuration and has what was written.
async fn lost_nothing(world: &World) {
    world.revive(1).await;
    assert_eq!(world.raw(1).get("k").await.unwrap().as_deref(), Some("v"));
}

#[tokio::test]
async fn data_of_another_cluster_or_another_node() {
    let world = stopped().await;
    let directory = world.node(1).data().to_str().unwrap().to_owned();
    let other = changed(&world, 1, |settings| settings.cluster = "other".into());
    refuses(&other, REFUSED, &[&directory, "cluster", "data directory"]).await;
    let other = changed(&world, 1, |settings| {
        settings.node_id = 7;
        settings.members[0].id = 7;
    });
    refuses(&other, REFUSED, &[&directory, "node 1", "7", "data directory"]).await;
    lost_nothing(&world).await;
}

#[tokio::test]
async fn a_port_that_is_in_use() {
    let world = stopped().await;
    for (address, port) in [
        (world.node(1).client_address().to_owned(), "client port"),
        (world.node(1).peer_address().to_owned(), "peer port"),
    ] {
        let occupied = TcpListener::bind(&address).unwrap();
        refuses(world.node(1).config(), REFUSED, &[&address, port, "another process"]).await;
        drop(occupied);
    }
    let occupied = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = occupied.local_addr().unwrap().to_string();
    let http = changed(&world, 1, |settings| {
        settings.other.insert(HTTP_LISTEN.to_owned(), address.clone().into());
    });
    refuses(&http, REFUSED, &[&address, "HTTP port", "another process", HTTP_LISTEN]).await;
    lost_nothing(&world).await;
}

#[tokio::test]
async fn data_that_another_process_uses() {
    let world = World::start(1).await;
    world.raw(1).put("k", "v").await.unwrap();
    let directory = world.node(1).data().to_str().unwrap().to_owned();
    let free = |listener: TcpListener| listener.local_addr().unwrap().to_string();
    let second = changed(&world, 1, |settings| {
        for address in [&mut settings.client_listen, &mut settings.peer_listen] {
            *address = free(TcpListener::bind("127.0.0.1:0").unwrap());
        }
    });
    refuses(&second, REFUSED, &[&directory, "process"]).await;
    assert_eq!(world.raw(1).get("k").await.unwrap().as_deref(), Some("v"));
}

#[tokio::test]
async fn a_directory_that_cannot_be_written() {
    let world = stopped().await;
    let file = world.directory().join("file");
    fs::write(&file, "not a directory").unwrap();
    for directory in [file.join("data"), PathBuf::from("/proc/ringfence")] {
        let changed = changed(&world, 1, |settings| settings.data_dir.clone_from(&directory));
        refuses(&changed, REFUSED, &[directory.to_str().unwrap()]).await;
    }
    assert_eq!(fs::read_to_string(file).unwrap(), "not a directory");
    lost_nothing(&world).await;
}

/// All files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// Where `pattern` stands in `bytes`.
fn positions(bytes: &[u8], pattern: &[u8]) -> Vec<usize> {
    bytes.windows(pattern.len()).enumerate().filter(|(_, window)| *window == pattern).map(|(index, _)| index).collect()
}

#[tokio::test]
async fn a_log_record_that_was_damaged() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    let marked = "this value is easily recognised on the disk";
    for index in 0..20 {
        node.put(&format!("k{index}"), &format!("{marked} {index:02}")).await.unwrap();
    }
    // As a crash leaves it: a graceful stop might write a snapshot, and leave the log unread.
    world.node(1).kill().await.unwrap();
    let mut damaged = 0;
    for path in files(world.node(1).data()) {
        let mut bytes = fs::read(&path).unwrap();
        for position in positions(&bytes, format!("{marked} 07").as_bytes()) {
            bytes[position] ^= 0x20;
            damaged += 1;
        }
        fs::write(&path, bytes).unwrap();
    }
    assert!(damaged > 0, "the value must be on the disk somewhere");
    refuses(world.node(1).config(), REFUSED, &["guess", "data directory"]).await;
    // It says so again, as long as nobody does anything about it.
    refuses(world.node(1).config(), REFUSED, &["guess", "data directory"]).await;
}

#[tokio::test]
async fn a_snapshot_that_is_torn() {
    let builder =
        ringfence_cluster::Cluster::builder().nodes(1).setting("snapshot_entries", 100).setting("keep_entries", 0);
    let world = World::of(builder).await;
    let mut node = world.raw(1);
    let mut written = 0;
    until("a snapshot to stand for the log", async || {
        for _ in 0..50 {
            node.put(&format!("k{written:05}"), "v").await.unwrap();
            written += 1;
        }
        let status = node.status().await.unwrap();
        if status.purged_index >= 200 { Ok(()) } else { Err((status.snapshot_index, status.purged_index)) }
    })
    .await;
    world.node(1).kill().await.unwrap();
    let mut snapshots: Vec<PathBuf> =
        files(world.node(1).data()).into_iter().filter(|path| path.to_string_lossy().contains("snapshot")).collect();
    snapshots.sort();
    let newest = snapshots.iter().max_by_key(|path| fs::metadata(path).unwrap().modified().unwrap()).unwrap();
    let whole = fs::read(newest).unwrap();
    fs::write(newest, &whole[..whole.len() / 2]).unwrap();

    // Either an older one and the log still have everything, or it says what is torn. It never starts with less.
    let (ended, said) = attempt_or_run(&world, written).await;
    if ended {
        assert!(said.contains(newest.to_str().unwrap()), "{said}");
        fs::write(newest, &whole).unwrap();
        world.revive(1).await;
        assert_eq!(world.raw(1).list("k").await.unwrap().count, written, "and with the file mended it has everything");
    }
}

/// Starts the node. Either it refuses to, and says why, or it has all keys.
async fn attempt_or_run(world: &World, written: u64) -> (bool, String) {
    match world.start_node(1).await {
        Ok(()) => {
            assert_eq!(world.raw(1).list("k").await.unwrap().count, written);
            (false, String::new())
        }
        Err(_) => {
            let (code, said) = binaries::run_server(&["--config", world.node(1).config().to_str().unwrap()]).await;
            assert_eq!(code, Some(REFUSED), "{said}");
            (true, said)
        }
    }
}

#[tokio::test]
async fn configurations_that_are_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.toml");
    let data = directory.path().join("data");
    let right = format!(
        "cluster = \"c\"\nnode_id = 1\ndata_dir = \"{}\"\nclient_listen = \"127.0.0.1:1\"\npeer_listen = \"127.0.0.1:2\"\n\
         [[members]]\nid = 1\nclient_address = \"127.0.0.1:1\"\npeer_address = \"127.0.0.1:2\"\n",
        data.display()
    );
    let replaced = |from: &str, to: &str| {
        assert!(right.contains(from));
        right.replace(from, to)
    };
    let wrong: [(String, &[&str]); 10] = [
        ("cluster = [".into(), &["line 1"]),
        (replaced("cluster = \"c\"", "clutser = \"c\""), &["clutser", "cluster", "line 1"]),
        (replaced("node_id = 1\n", ""), &["node_id"]),
        (replaced("node_id = 1\n", "node_id = \"one\"\n"), &["node_id", "line 2", "one"]),
        (replaced("node_id = 1\n", "node_id = 2\n"), &["node_id", "members"]),
        (replaced("client_listen = \"127.0.0.1:1\"", "client_listen = \"here\""), &["client_listen", "here"]),
        (replaced("[[members]]", "heartbeat_ms = 0\n[[members]]"), &["heartbeat_ms", "10"]),
        (replaced("[[members]]", "heartbeat_ms = 1000\n[[members]]"), &["election_timeout_ms_min", "heartbeat_ms"]),
        (replaced("peer_listen = \"127.0.0.1:2\"", "peer_listen = \"127.0.0.1:1\""), &["peer_listen", "client_listen"]),
        (replaced("[[members]]", "log_level = \"loud\"\n[[members]]"), &["log_level", "loud"]),
    ];
    for (text, words) in wrong {
        fs::write(&path, text).unwrap();
        refuses(&path, CONFIGURATION, words).await;
    }
    let (code, said) =
        binaries::run_server(&["--config", directory.path().join("nowhere.toml").to_str().unwrap()]).await;
    assert!(code == Some(CONFIGURATION) && said.contains("nowhere.toml"), "{code:?}: {said}");
    fs::write(&path, &right).unwrap();
    let config = path.to_str().unwrap();
    let (code, said) = binaries::run_server(&["--config", config, "--heartbeat-ms", "soon"]).await;
    assert!(code == Some(CONFIGURATION) && said.contains("--heartbeat-ms"), "{code:?}: {said}");
    let (code, said) = binaries::run_server(&["--config", config, "--no-such-flag"]).await;
    assert!(code == Some(CONFIGURATION) && said.contains("--no-such-flag"), "{code:?}: {said}");
    assert!(!data.exists(), "nothing was made of it");
}
