//! The cluster that runs on after the command that started it, as `scripts/cluster` keeps it.

use std::{
    path::PathBuf,
    process::{Command as Blocking, Output, Stdio},
};

use ringfence_tests::{binaries, raw::Raw, raw::text, wait::within};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

/// A lasting cluster in a directory of its own, which ends with this value all the same.
struct Lasting {
    directory: TempDir,
}

impl Lasting {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn place(&self) -> PathBuf {
        self.directory.path().join("place")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binaries::tool());
        command.env("RINGFENCED", binaries::server()).current_dir(self.directory.path()).stdin(Stdio::null());
        command.arg("--directory").arg("place").args(arguments).kill_on_drop(true);
        command
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        within("the command to end", self.command(arguments).output()).await.unwrap()
    }

    async fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        text(&output.stdout)
    }

    async fn fails(&self, arguments: &[&str], words: &str) {
        let output = self.run(arguments).await;
        assert!(!output.status.success() && text(&output.stderr).contains(words), "{arguments:?}: {output:?}");
    }

    async fn status(&self) -> Vec<Value> {
        let lines = self.done(&["status", "--json"]).await;
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What every node is doing.
    async fn conditions(&self) -> Vec<String> {
        self.status().await.iter().map(|node| node["condition"].as_str().unwrap().to_owned()).collect()
    }

    async fn raw(&self) -> Raw {
        Raw::at(self.status().await[0]["client_address"].as_str().unwrap())
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        let mut wipe = Blocking::new(binaries::tool());
        let _ = wipe.env("RINGFENCED", binaries::server()).arg("--directory").arg(self.place()).arg("wipe").output();
    }
}

#[tokio::test]
async fn it_does_what_its_help_says() {
    let cluster = Lasting::new();
    assert!(cluster.status().await.is_empty());
    cluster.fails(&["kill", "1"], "never started").await;
    cluster.done(&["up", "--free-ports"]).await;
    assert_eq!(cluster.conditions().await, ["running"; 3]);
    cluster.raw().await.put("k", "v").await.unwrap();
    cluster.fails(&["up", "--nodes", "5"], "wipe").await;
    cluster.fails(&["kill", "4"], "no node 4").await;

    cluster.done(&["pause", "2"]).await;
    assert_eq!(cluster.conditions().await, ["running", "paused", "running"]);
    cluster.done(&["resume", "2"]).await;
    cluster.done(&["kill", "3"]).await;
    assert_eq!(cluster.conditions().await, ["running", "running", "stopped"]);
    cluster.fails(&["kill", "3"], "not running").await;
    let first = cluster.status().await[0]["pid"].clone();
    cluster.done(&["up"]).await;
    assert_eq!(cluster.conditions().await, ["running"; 3]);
    assert_eq!(cluster.status().await[0]["pid"], first, "what runs runs on");
    cluster.done(&["restart", "1"]).await;
    assert_ne!(cluster.status().await[0]["pid"], first);

    cluster.done(&["down"]).await;
    assert_eq!(cluster.conditions().await, ["stopped"; 3]);
    cluster.done(&["up"]).await;
    assert_eq!(cluster.raw().await.get("k").await.unwrap().as_deref(), Some("v"), "its data are there again");
    cluster.done(&["wipe"]).await;
    assert!(!cluster.place().exists());
    assert!(cluster.status().await.is_empty());
}

#[tokio::test]
async fn its_logs_are_shown_and_followed() {
    let cluster = Lasting::new();
    cluster.done(&["up", "--free-ports", "--nodes", "1"]).await;
    assert!(cluster.done(&["logs", "1"]).await.contains("ringfenced is ready"));
    assert_eq!(cluster.done(&["logs", "1", "-n", "1"]).await.lines().count(), 1);

    let mut follower = cluster.command(&["logs", "-f", "1"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    within("what is there already", lines.next_line()).await.unwrap().unwrap();
    cluster.done(&["restart", "1"]).await;
    // It says that it is ready once more, and more is read than what was there before.
    let mut ready = 0;
    while ready < 2 {
        let line =
            within("a further line", lines.next_line()).await.unwrap().expect("it follows until it is interrupted");
        ready += usize::from(line.contains("ringfenced is ready"));
    }
    follower.kill().await.unwrap();
    assert_eq!(cluster.conditions().await, ["running"], "the node itself runs on");
}
