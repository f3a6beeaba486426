//! `ringfence` as scripts use it: JSON on standard output, reasons on standard error, exit codes.

use std::{collections::BTreeSet, process::Stdio};

use ringfence_tests::{
    World,
    cli::{Cli, next},
    wait::{until, within},
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::test]
async fn keys_and_transactions() {
    let world = World::start(1).await;
    let cli = Cli::of(&world);
    assert_eq!(cli.object(&["kv", "put", "a/1", "one"]).await["revision"], 1);
    cli.text(&["kv", "put", "a/2", "two"]).await;
    assert_eq!(cli.text(&["kv", "get", "a/1", "--raw"]).await, "one");
    assert_eq!(cli.fails(3, &["kv", "get", "nothing"]).await["exit_code"], 3);
    let keys: Vec<Value> =
        cli.objects(&["kv", "list", "a/"]).await.into_iter().map(|mut kv| kv["key"].take()).collect();
    assert_eq!(keys, ["a/1", "a/2"]);
    let txn = ["kv", "txn", "--if", "version(a/1)=1", "--then", "put a/1 uno", "--then", "delete a/2"];
    assert_eq!(cli.object(&txn).await["succeeded"], true);
    assert_eq!(cli.run(&txn).await.status.code(), Some(3), "it doesn't hold a second time");
    let history = cli.objects(&["kv", "history", "a/2"]).await;
    assert_eq!(history.len(), 2, "{history:?}");
    assert_eq!(cli.object(&["kv", "delete", "a/", "--prefix"]).await["deleted"], 1);
    assert!(cli.objects(&["kv", "list"]).await.is_empty());
    assert_eq!(cli.fails(1, &["kv", "put", &"k".repeat(5000), ""]).await["error"], "LIMIT_EXCEEDED");
    cli.fails(2, &["kv", "put"]).await;
    cli.fails(2, &["no", "such", "thing"]).await;
}

#[tokio::test]
async fn watching() {
    let world = World::start(1).await;
    let cli = Cli::of(&world);
    cli.text(&["kv", "put", "w/a", "1"]).await;
    cli.text(&["kv", "put", "w/a", "2"]).await;
    let past = cli.objects(&["watch", "w/", "--from", "1", "--count", "2"]).await;
    let told: Vec<_> = past.iter().map(|event| (event["event"].clone(), event["value"].clone())).collect();
    assert_eq!(told, [(json!("put"), json!("1")), (json!("put"), json!("2"))]);

    let (mut child, mut lines) = cli.start(&["watch", "w/", "--snapshot", "--count", "1"]);
    assert_eq!(next(&mut lines).await["event"], "snapshot_start");
    assert_eq!(next(&mut lines).await["value"], "2");
    assert_eq!(next(&mut lines).await["event"], "snapshot_end");
    cli.text(&["kv", "delete", "w/a"]).await;
    let event = next(&mut lines).await;
    assert_eq!((&event["event"], &event["key"]), (&json!("delete"), &json!("w/a")));
    assert!(within("the watch to end", child.wait()).await.unwrap().success());

    cli.text(&["kv", "compact", "3"]).await;
    let reason = cli.fails(1, &["watch", "w/", "--from", "1"]).await;
    assert!(reason["message"].as_str().is_some_and(|words| words.contains("compacted")), "{reason}");
}

#[tokio::test]
async fn a_command_runs_while_the_lock_is_held() {
    let world = World::start(3).await;
    let cli = Cli::of(&world);
    let run = |rest: &[&'static str]| [&["lock", "run", "l", "--"], rest].concat();
    let script = "test $RINGFENCE_LOCK = l && echo $RINGFENCE_TOKEN";
    let first: u64 = cli.text(&run(&["sh", "-c", script])).await.trim().parse().unwrap();
    let second: u64 = cli.text(&run(&["sh", "-c", script])).await.trim().parse().unwrap();
    assert!(second > first);
    assert_eq!(cli.run(&run(&["sh", "-c", "exit 7"])).await.status.code(), Some(7), "the command's own code");
    assert_eq!(cli.run(&run(&["sh", "-c", "kill -9 $$"])).await.status.code(), Some(137));
    assert_eq!(cli.run(&run(&["/no/such/program"])).await.status.code(), Some(127));
    assert_eq!(cli.run(&run(&["/"])).await.status.code(), Some(126));

    // Held by one: not granted to another within its wait, nor at once.
    let (mut holder, mut lines) = cli.start(&["lock", "acquire", "l"]);
    let held = next(&mut lines).await;
    assert_eq!(held["event"], "acquired");
    let session = held["session"].as_str().unwrap().to_owned();
    let waiting = cli.run(&["lock", "run", "l", "--wait", "100ms", "--", "true"]).await;
    assert_eq!(waiting.status.code(), Some(74), "{waiting:?}");
    cli.fails(74, &["lock", "try", "l"]).await;
    let shown = cli.object(&["lock", "show", "l"]).await;
    assert_eq!((&shown["owners"][0]["session"], &shown["waiting"]), (&json!(session), &json!(0)));
    assert_eq!(cli.objects(&["lock", "list"]).await[0]["name"], "l");
    assert_eq!(cli.object(&["session", "show", &session]).await["session"], json!(session));

    // Its session is closed by an operator: it says that it lost the lock.
    assert_eq!(cli.object(&["session", "close", &session]).await["deleted"], 1);
    let status = within("the holder to notice", holder.wait()).await.unwrap();
    assert_eq!(status.code(), Some(75));
    cli.fails(3, &["session", "show", &session]).await;
    assert!(cli.objects(&["session", "list"]).await.is_empty(), "no command leaves a session behind");
}

#[tokio::test]
async fn a_command_whose_lock_is_lost_is_stopped() {
    let world = World::start(1).await;
    let cli = Cli::of(&world);
    // It minds neither TERM nor anything else, so that only KILL ends it.
    let script = "trap '' TERM; echo '{\"token\":'$RINGFENCE_TOKEN',\"pid\":'$$'}'; while :; do sleep 1; done";
    let (mut child, mut lines) = cli.start(&["lock", "run", "l", "--grace", "100ms", "--", "sh", "-c", script]);
    let told = next(&mut lines).await;
    let token = told["token"].to_string();
    assert_eq!(cli.object(&["lock", "release", "l", "--token", &token, "--force"]).await["token"], told["token"]);
    let status = within("the command to be stopped", child.wait()).await.unwrap();
    assert_eq!(status.code(), Some(75));
    let process = format!("/proc/{}", told["pid"]);
    assert!(!std::path::Path::new(&process).exists(), "the command is gone");
    // What it would still have written is refused.
    let late = cli.run(&["kv", "put", "k", "late", "--holds", &format!("l={token}")]).await;
    assert_eq!(late.status.code(), Some(3), "{late:?}");
}

#[tokio::test]
async fn elections() {
    let world = World::start(1).await;
    let cli = Cli::of(&world);
    assert_eq!(cli.run(&["elect", "leader", "e"]).await.status.code(), Some(3));
    let (mut observer, mut seen) = cli.start(&["elect", "observe", "e", "--count", "4"]);
    assert_eq!(next(&mut seen).await["leader"], Value::Null);
    let script = "echo $RINGFENCE_TOKEN; cat";
    let mut command = cli.command(&["elect", "run", "e", "--value", "ann", "--", "sh", "-c", script]);
    let mut candidate = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let leading = next(&mut seen).await;
    assert_eq!(leading["leader"]["value"], "ann");
    let mut lines = BufReader::new(candidate.stdout.take().unwrap()).lines();
    assert_eq!(next(&mut lines).await, leading["leader"]["token"]);
    assert_eq!(cli.text(&["elect", "leader", "e"]).await.trim(), "ann");
    // The leader says something else; only its own session can.
    let (session, token) = (leading["leader"]["session"].as_str().unwrap(), leading["leader"]["token"].to_string());
    let proclaimed = cli.object(&["elect", "proclaim", "e", "--value", "anna", "--session", session]).await;
    assert_eq!((&proclaimed["token"], &proclaimed["value"]), (&leading["leader"]["token"], &json!("anna")));
    let view = next(&mut seen).await;
    assert_eq!((&view["leader"]["value"], &view["leader"]["token"]), (&json!("anna"), &leading["leader"]["token"]));
    let foreign = cli.fails(3, &["elect", "proclaim", "e", "--value", "x", "--session", "1f", "--token", &token]).await;
    assert!(foreign["next"].as_str().is_some_and(|next| !next.is_empty()), "{foreign}");
    assert_eq!(cli.fails(3, &["elect", "proclaim", "e", "--value", "x", "--session", "1f"]).await["error"], "NOT_HELD");
    assert_eq!(cli.fails(2, &["elect", "proclaim", "e", "--value", "x"]).await["error"], "USAGE");
    // The end of its input ends the command, and with it the leadership.
    drop(candidate.stdin.take());
    assert!(within("the candidate to end", candidate.wait()).await.unwrap().success());
    assert_eq!(next(&mut seen).await["leader"], Value::Null);
    assert!(within("the observer to end", observer.wait()).await.unwrap().success());
}

#[tokio::test]
async fn the_cluster() {
    let world = World::start(3).await;
    let cli = Cli::of(&world);
    let status = cli.object(&["cluster", "status"]).await;
    let leader = status["leader"].as_u64().unwrap();
    let ids: BTreeSet<u64> =
        status["members"].as_array().unwrap().iter().map(|one| one["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, BTreeSet::from([1, 2, 3]));
    assert!(ids.contains(&leader));
    assert_eq!(cli.objects(&["cluster", "members"]).await.len(), 3);
    let heir = leader % 3 + 1;
    // Another one may be faster on a busy machine: the answer says so then, and it is asked again.
    until("the heir to lead", async || {
        let asked = cli.run(&["cluster", "transfer-leader", &heir.to_string()]).await;
        if asked.status.success() { Ok(()) } else { Err(asked) }
    })
    .await;
    until("the members to follow it", async || {
        let status = cli.object(&["cluster", "status"]).await;
        if status["leader"] == heir { Ok(()) } else { Err(status) }
    })
    .await;

    world.node(heir).kill().await.unwrap();
    until("the others to elect", async || {
        let status = cli.object(&["cluster", "status"]).await;
        match status["leader"].as_u64() {
            Some(now) if now != heir => Ok(()),
            _ => Err(status),
        }
    })
    .await;
    let status = cli.object(&["cluster", "status"]).await;
    let unreachable = status["members"].as_array().unwrap().iter().find(|one| one["id"] == heir).unwrap().clone();
    assert_eq!(unreachable["reachable"], false);
    assert!(unreachable["error"].as_str().is_some_and(|words| !words.is_empty()));

    // Nobody there at all.
    world.kill_all().await.unwrap();
    let reason = cli.fails(69, &["--timeout", "500ms", "cluster", "status"]).await;
    assert_eq!(reason["exit_code"], 69, "{reason}");
}
