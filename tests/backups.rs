//! A backup is taken while everything runs, and becomes a new cluster: nothing that was acknowledged before is missing in it,
//! no token is given out twice, and whoever held a session still has it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use ringfence_cluster::Cluster;
use ringfence_proto::v1::*;
use ringfence_tests::{
    World, binaries,
    cli::Cli,
    load::Load,
    raw::{Raw, acquire, describe, put, text},
    wait::{until, within},
};
use serde_json::Value;
use tempfile::TempDir;
use tokio_stream::StreamExt;

const TTL_MS: u64 = 60_000;
/// Jump of the revision unless told otherwise.
const JUMP: u64 = 1_000_000_000;

/// Runs the server's program to its end, with nothing of this process's own settings.
async fn ringfenced(arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(binaries::server());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RINGFENCE") {
            command.env_remove(name);
        }
    }
    within("the program to end", command.args(arguments).kill_on_drop(true).output()).await.unwrap()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A directory with the place of a backup in it.
fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ringfence.backup");
    (directory, file)
}

/// One node of a new cluster, restored and not started.
async fn restored(file: &Path) -> (World, Value) {
    let world = World::prepare(Cluster::builder().name("restored").nodes(1));
    let config = path(world.node(1).config()).to_owned();
    let output = ringfenced(&["restore", path(file), "--config", &config, "--json"]).await;
    assert!(output.status.success(), "{output:?}");
    (world, serde_json::from_slice(&output.stdout).unwrap())
}

async fn takes_a_lock(node: &mut Raw, name: &str) -> Claim {
    let session = node.open(TTL_MS).await.unwrap();
    node.try_lock(name, session).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_cluster_has_everything_and_greater_tokens() {
    let world = World::start(3).await;
    let load = Load::start(&world, 4).await;
    load.progress(5).await;
    let follower = world.follower().await;
    let mut node = world.raw(follower);
    let (holder, waiter) = (node.open(TTL_MS).await.unwrap(), node.open(TTL_MS).await.unwrap());
    let held = node.try_lock("held", holder).await.unwrap();
    let mut lock = node.lock.clone();
    let waiting = tokio::spawn(async move { lock.acquire(acquire("held", waiter)).await });
    until("the wait to be there", async || {
        let queue = node.queue("held").await.unwrap();
        if queue.waiting == 1 { Ok(()) } else { Err(queue) }
    })
    .await;
    let before = node.put("before", "acknowledged").await.unwrap().header.unwrap().revision;
    let (_directory, file) = place();
    let cli = Cli::of(&world);
    let backup = cli.object(&["backup", path(&file)]).await;
    let revision = backup["revision"].as_u64().unwrap();
    assert!(revision >= before, "{backup}");
    assert_eq!(backup["cluster"], "test");
    assert_eq!(backup["bytes"].as_u64(), Some(fs::metadata(&file).unwrap().len()));
    assert_eq!(cli.object(&["backup", "inspect", path(&file)]).await, backup);
    assert!(!file.with_extension("backup.partial").exists());
    // The old cluster goes on: its later tokens must be passed, too.
    load.progress(5).await;
    let last = takes_a_lock(&mut node, "later").await;
    node.put("after", "not in the backup").await.unwrap();
    waiting.abort();
    // What is over there lives on in the backup.
    for session_id in [holder, waiter, last.session_id] {
        node.session.close(SessionCloseRequest { session_id }).await.unwrap();
    }
    load.check(&world).await;
    world.kill_all().await.unwrap();

    let (mut new, told) = restored(&file).await;
    assert_eq!(told["revision"].as_u64(), Some(revision + JUMP), "{told}");
    assert_eq!(told["revision_jump"].as_u64(), Some(JUMP));
    assert!(told["keys"].as_u64() < backup["keys"].as_u64(), "the claims that waited are gone: {told}");
    new.start_node(1).await.unwrap();
    let mut node = new.raw(1);
    assert_eq!(node.get("before").await.unwrap().as_deref(), Some("acknowledged"));
    assert_eq!(node.get("after").await.unwrap(), None);
    // The session has its whole TTL, keeps its lock, and is renewed.
    let session = node.session.describe(describe(holder)).await.unwrap().into_inner().session.unwrap();
    assert_eq!(session.ttl_ms, TTL_MS);
    assert!(node.owns("held", held.token).await.unwrap());
    let renewal = SessionRenewRequest { session_ids: vec![holder], ..Default::default() };
    let mut renewed = node.session.renew(tokio_stream::once(renewal)).await.unwrap().into_inner();
    let renewed = within("the renewal", renewed.next()).await.unwrap().unwrap();
    assert_eq!(renewed.renewals[0].ttl_ms, TTL_MS, "{renewed:?}");
    // Whoever waited asks again.
    assert_eq!(node.queue("held").await.unwrap().waiting, 0);
    assert!(takes_a_lock(&mut node, "fresh").await.token > last.token.max(revision + JUMP));
    // What was to be watched from the old cluster on is known to be gone.
    let old = RangeRequest { revision, ..ringfence_tests::raw::get("before") };
    assert_eq!(ringfence_tests::raw::refusal(node.kv.range(old).await).1, "REVISION_COMPACTED");

    grow_to_three(&mut new).await;
    // The founder is one of three by now, and its data are what any restart finds.
    new.node(1).kill().await.unwrap();
    until("the other two to go on", async || new.raw(2).put("without", "the founder").await).await;
    new.revive(1).await;
    for id in new.ids() {
        assert_eq!(new.raw(id).get("before").await.unwrap().as_deref(), Some("acknowledged"));
        assert_eq!(new.raw(id).get("without").await.unwrap().as_deref(), Some("the founder"));
    }
}

/// Adds two empty members and makes them voters, as docs/operations.md tells.
async fn grow_to_three(world: &mut World) {
    for _ in 0..2 {
        let id = world.make_joining().unwrap();
        world.node(id).spawn().unwrap();
        let (client, peer) = (world.node(id).client_address().to_owned(), world.node(id).peer_address().to_owned());
        let learner = ClusterAddLearnerRequest { node_id: id, client_address: client, peer_address: peer };
        world.raw(1).cluster.add_learner(learner).await.unwrap();
        until("the new one to be promoted", async || {
            world.raw(1).cluster.promote(ClusterPromoteRequest { node_id: id, force: false }).await.map(drop)
        })
        .await;
    }
}

#[tokio::test]
async fn what_is_damaged_or_cut_off_is_refused() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    for n in 0..50 {
        node.put(&format!("k{n}"), &"v".repeat(1000)).await.unwrap();
    }
    let (directory, file) = place();
    let cli = Cli::of(&world);
    cli.text(&["backup", path(&file)]).await;
    let whole = fs::read(&file).unwrap();
    let other = directory.path().join("other.backup");
    let new = World::prepare(Cluster::builder().name("restored").nodes(1));
    let config = path(new.node(1).config()).to_owned();
    let refused = async |bytes: &[u8]| {
        fs::write(&other, bytes).unwrap();
        let failure = cli.fails(3, &["backup", "inspect", path(&other)]).await;
        assert_eq!(failure["error"], "BACKUP_DAMAGED", "{failure}");
        let output = ringfenced(&["restore", path(&other), "--config", &config]).await;
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(3) && said.contains(path(&other)), "{output:?}");
        assert!(!new.node(1).data().exists(), "nothing is begun");
    };
    for length in [0, 4, 8, 20, whole.len() / 2, whole.len() - 8, whole.len() - 1] {
        refused(&whole[..length]).await;
    }
    for at in [0, 9, 14, 30, whole.len() / 2, whole.len() - 1] {
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        refused(&changed).await;
    }
    refused(&[&whole[..], b"x"].concat()).await;
}

#[tokio::test]
async fn what_is_there_is_not_replaced() {
    let world = World::start(1).await;
    let (directory, file) = place();
    let cli = Cli::of(&world);
    let first = cli.object(&["backup", path(&file)]).await;
    world.raw(1).put("k", "v").await.unwrap();
    assert_eq!(cli.fails(2, &["backup", path(&file)]).await["error"], "FILE_EXISTS");
    assert_eq!(cli.object(&["backup", "inspect", path(&file)]).await, first);
    let second = cli.object(&["backup", path(&file), "--force"]).await;
    assert_ne!(second["revision"], first["revision"]);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);

    // Neither is a directory that holds anything, nor may the new cluster be the old one.
    let (new, _) = restored(&file).await;
    let config = path(new.node(1).config()).to_owned();
    let again = ringfenced(&["restore", path(&file), "--config", &config]).await;
    assert_eq!(again.status.code(), Some(3));
    assert!(text(&again.stderr).contains("is not empty"), "{again:?}");
    let same = World::prepare(Cluster::builder().nodes(1));
    let same = ringfenced(&["restore", path(&file), "--config", path(same.node(1).config())]).await;
    assert_eq!(same.status.code(), Some(3));
    assert!(text(&same.stderr).contains("another name") || text(&same.stderr).contains("otherwise"), "{same:?}");
    let three = World::prepare(Cluster::builder().name("restored").nodes(3));
    let three = ringfenced(&["restore", path(&file), "--config", path(three.node(1).config())]).await;
    assert_eq!(three.status.code(), Some(2), "{three:?}");
}

#[tokio::test]
async fn a_member_gives_two_at_a_time() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    // More than fits into what may be on its way to who doesn't read.
    let mut noise = 1_u64;
    for n in 0..24 {
        let large: Vec<u8> = std::iter::repeat_with(|| {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            noise as u8
        })
        .take(1_000_000)
        .collect();
        let request = PutRequest { value: large.into(), ..put(&format!("k{n}"), "") };
        node.kv.put(request).await.unwrap();
    }
    let open = async || world.raw(1).cluster.backup(ClusterBackupRequest {}).await;
    let (first, second) = (open().await.unwrap(), open().await.unwrap());
    assert_eq!(ringfence_tests::raw::refusal(open().await.map(drop)).1, "BACKUPS_RUNNING");
    drop(first);
    until("the place of who went to be free", async || open().await.map(drop)).await;
    // Who reads on gets all of it.
    let mut chunks = second.into_inner();
    let mut complete = false;
    while let Some(chunk) = within("a chunk", chunks.next()).await {
        complete = chunk.unwrap().complete;
    }
    assert!(complete);
}
