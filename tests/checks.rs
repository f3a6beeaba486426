//! `ringfenced check`: all of a data directory is looked at without a server, nothing in it is changed, and damage is named with
//! its file and its place.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use ringfence_cluster::Cluster;
use ringfence_tests::{
    World, binaries,
    raw::text,
    wait::{until, within},
};

/// A log entry that is found again in the database's file.
const MARK: &str = "a-value-that-is-easy-to-find-in-a-file-0123456789";

/// Runs `ringfenced check`, and gives its exit code and what it said.
async fn check(directory: &Path) -> (Option<i32>, String) {
    let mut command = tokio::process::Command::new(binaries::server());
    let output = command.arg("check").arg(directory).kill_on_drop(true).output();
    let output = within("the check to end", output).await.unwrap();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

/// All files of a directory, with what is in them.
fn contents(directory: &Path, into: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            contents(&path, into);
        } else {
            into.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
}

fn all(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    contents(directory, &mut files);
    files
}

/// One node with a log and a snapshot, stopped. With snapshots after so many bytes, a third of what may stand before the log's database.
async fn stopped(snapshot_bytes: u32) -> World {
    let cluster = Cluster::builder().nodes(1).setting("snapshot_entries", 100);
    let world = World::of(cluster.setting("snapshot_bytes", snapshot_bytes)).await;
    let mut node = world.raw(1);
    until("a snapshot to be there", async || {
        node.put("k", "v").await.unwrap();
        let index = node.status().await.unwrap().snapshot_index;
        if index > 0 { Ok(()) } else { Err(index) }
    })
    .await;
    for n in 0..20 {
        node.put(&format!("k{n}"), MARK).await.unwrap();
    }
    world.node(1).stop().await.unwrap();
    world
}

/// Flips a bit of a file, and puts it back afterwards.
async fn with_damage(file: &Path, at: usize, directory: &Path) {
    let whole = fs::read(file).unwrap();
    let mut changed = whole.clone();
    changed[at] ^= 1;
    fs::write(file, &changed).unwrap();
    let (code, said) = check(directory).await;
    assert_eq!(code, Some(3), "byte {at} of {}: {said}", file.display());
    assert!(said.contains(file.to_str().unwrap()) && said.contains("next: "), "{said}");
    fs::write(file, whole).unwrap();
}

fn position(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).position(|window| window == what).expect("it is in the file")
}

#[tokio::test]
async fn damage_of_what_stands_before_the_database_is_named() {
    let world = stopped(64 << 20).await;
    let directory = world.node(1).data().to_owned();
    let (code, said) = check(&directory).await;
    assert_eq!(code, Some(0), "{said}");
    let tail = directory.join("log.tail");
    let in_an_entry = position(&fs::read(&tail).unwrap(), MARK.as_bytes()) + 3;
    with_damage(&tail, in_an_entry, &directory).await;
    world.revive(1).await;
    assert_eq!(world.raw(1).get("k19").await.unwrap().as_deref(), Some(MARK));
}

#[tokio::test]
async fn what_is_sound_stays_as_it_is_and_damage_is_named() {
    // Everything goes into the database at once.
    let world = stopped(1 << 20).await;
    let directory = world.node(1).data().to_owned();
    let before = all(&directory);
    let (code, said) = check(&directory).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("all of it is sound") && said.contains("snapshot "), "{said}");
    assert!(all(&directory) == before, "nothing is changed");

    // As when the tail has begun anew since, so that nothing is there twice.
    fs::write(directory.join("log.tail"), vec![0; before[&directory.join("log.tail")].len()]).unwrap();
    let before = all(&directory);
    let database = directory.join("log").join("db");
    let in_an_entry = position(&before[&database], MARK.as_bytes()) + 3;
    with_damage(&database, in_an_entry, &directory).await;
    let snapshot = before.keys().find(|path| path.extension().is_some_and(|end| end == "snapshot")).unwrap();
    let length = before[snapshot].len();
    for at in [0, 10, length / 2, length - 1] {
        with_damage(snapshot, at, &directory).await;
    }
    // After all that the node starts with what it had.
    assert!(all(&directory) == before);
    world.revive(1).await;
    assert_eq!(world.raw(1).get("k19").await.unwrap().as_deref(), Some(MARK));
}

#[tokio::test]
async fn a_directory_that_is_in_use_or_none_is_refused() {
    let world = World::start(1).await;
    let (code, said) = check(world.node(1).data()).await;
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("in use"), "{said}");
    let empty = tempfile::tempdir().unwrap();
    let (code, said) = check(empty.path()).await;
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("not the data directory"), "{said}");
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0);
}
