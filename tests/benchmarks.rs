//! `ringfence bench`: each workload does what it says on a real cluster, and leaves nothing behind. How fast is no test's business.

use ringfence_tests::{World, cli::Cli};
use serde_json::Value;

const WORKLOADS: &[&str] =
    &["put", "get", "stale-get", "mixed", "lock", "handoff", "semaphore", "elect", "watch", "renew", "hold"];

fn arguments<'a>(workload: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let usual = ["bench", workload, "--clients", "3", "--keys", "20", "--duration", "1s", "--warmup", "100ms"];
    [&usual[..], more].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_workload_works_and_cleans_up() {
    let world = World::start(3).await;
    let cli = Cli::of(&world);
    for workload in WORKLOADS {
        let lines = cli.objects(&arguments(workload, &[])).await;
        let last = lines.last().unwrap();
        assert_eq!((last["workload"].as_str(), &last["clients"]), (Some(*workload), &Value::from(3)), "{last}");
        assert_eq!((&last["errors"], &last["first_error"]), (&Value::from(0), &Value::Null), "{last}");
        assert!(last["ops"].as_u64().unwrap() > 0 && last["p99_ms"].as_f64() >= last["p50_ms"].as_f64(), "{last}");
        assert!(lines.iter().rev().skip(1).all(|line| line["at_s"].is_u64()), "{lines:?}");
        for left in [["kv", "list"], ["lock", "list"], ["session", "list"]] {
            assert_eq!(cli.objects(&left).await, Vec::<Value>::new(), "{workload} leaves {left:?}");
        }
    }
}

#[tokio::test]
async fn at_a_rate_as_many_are_done_as_were_asked_for() {
    let world = World::start(1).await;
    let cli = Cli::of(&world);
    let last = cli.objects(&arguments("put", &["--rate", "50"])).await.pop().unwrap();
    assert_eq!((&last["rate"], &last["ops"], &last["errors"]), (&Value::from(50.0), &Value::from(50), &Value::from(0)));
    for wrong in ["0", "-1", "nan", "fast"] {
        cli.fails(2, &["bench", "put", &format!("--rate={wrong}")]).await;
    }
}

#[tokio::test]
async fn what_several_write_is_seen_once_by_each_who_watches() {
    let world = World::start(1).await;
    let cli = Cli::of(&world);
    let last = cli.objects(&arguments("watch", &["--writers", "4", "--rate", "50"])).await.pop().unwrap();
    // What is on its way at the end isn't waited for.
    let seen = last["ops"].as_u64().unwrap();
    assert!((1..=150).contains(&seen) && last["errors"] == 0 && last["clients"] == 3, "{last}");
}

#[tokio::test]
async fn more_keys_than_one_call_may_delete_are_deleted() {
    let world = World::start(1).await;
    let cli = Cli::of(&world);
    let last = cli.objects(&["bench", "get", "--keys", "10100", "--duration", "1s"]).await.pop().unwrap();
    assert_eq!(last["errors"], 0, "{last}");
    assert_eq!(cli.objects(&["kv", "list", "--count"]).await[0]["count"], 0);
    cli.objects(&arguments("get", &["--keep"])).await;
    assert_eq!(cli.objects(&["kv", "list", "--count"]).await[0]["count"], 20);
}

#[tokio::test]
async fn more_sessions_than_connections_are_held_and_looked_at_each_second() {
    let world = World::start(1).await;
    let cli = Cli::of(&world);
    let more = ["--clients", "200", "--connections", "2", "--duration", "2s", "--warmup", "1s"];
    let last = cli.objects(&[&["bench", "hold"], &more[..]].concat()).await.pop().unwrap();
    let looks = last["ops"].as_u64().unwrap();
    assert!((300..=500).contains(&looks) && last["errors"] == 0, "{last}");
    assert!(last["max_ms"].as_f64().unwrap() < 9_900.0, "{last}");
}

#[tokio::test]
async fn without_a_cluster_it_says_so() {
    let cli = Cli::plain("127.0.0.1:1");
    let failure = cli.fails(69, &["--timeout", "1s", "bench", "put"]).await;
    assert_eq!(failure["error"], "UNAVAILABLE");
}
