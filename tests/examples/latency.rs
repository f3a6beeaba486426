//! One client's latency on a local cluster of three, against the disk's own sync time, measured in one run.
//!
//! Puts, lock and unlock, and `fdatasync`s of a small write take turns, so that all of them see the same machine. Prints a
//! table, or with `--json` one object a line. A measurement, not a test: it judges nothing.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use ringfence_client::{Client, SessionOptions};
use ringfence_cluster::{
    Cluster,
    times::{ms, within},
};

/// Rounds when the command line names no number: about half a minute.
const ROUNDS: usize = 2000;
/// As in the comparisons with other systems.
const VALUE: [u8; 256] = [0x5a; 256];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let json = std::env::args().any(|argument| argument == "--json");
    let rounds = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(ROUNDS);
    let cluster = Cluster::builder().nodes(3).start().await?;
    let leader = cluster.leader().await?;
    let client = Client::connect(cluster.endpoints()).await?;
    let session = client.open_session(SessionOptions::new().ttl(Duration::from_secs(30))).await?;
    let mut disk = Disk::create(cluster.directory())?;

    let (mut syncs, mut puts, mut gets, mut locks) = (vec![], vec![], vec![], vec![]);
    for round in 0..rounds + rounds / 10 {
        let sync = disk.write_and_sync()?;

        let begun = Instant::now();
        client.kv().put(format!("latency/{}", round % 100), VALUE).await?;
        let put = begun.elapsed();

        let begun = Instant::now();
        client.kv().get("latency/0").await?;
        let get = begun.elapsed();

        let begun = Instant::now();
        let guard = client.lock("latency-lock").session(&session).acquire().await?;
        let lock = begun.elapsed();
        guard.release().await?;

        // The first tenth warms up.
        if round >= rounds / 10 {
            syncs.push(sync);
            puts.push(put);
            gets.push(get);
            locks.push(lock);
        }
    }

    if !json {
        println!("three nodes, leader {leader}, one client, {rounds} rounds");
        println!("{:<34}{:>10}{:>10}{:>12}", "", "p50 ms", "p99 ms", "p50/sync");
    }
    for samples in [&mut syncs, &mut puts, &mut gets, &mut locks] {
        samples.sort_unstable();
    }
    let sync_p50 = within(&syncs, 500);
    for (what, samples) in [
        ("write 512 B and fdatasync", &syncs),
        ("put, 256 B", &puts),
        ("linearizable get", &gets),
        ("lock (acquire, granted at once)", &locks),
    ] {
        print(what, samples, sync_p50, json);
    }
    session.close().await?;
    cluster.stop().await?;
    Ok(())
}

fn print(what: &str, sorted: &[Duration], sync_p50: Duration, json: bool) {
    let (p50, p99) = (within(sorted, 500), within(sorted, 990));
    let ratio = p50.as_secs_f64() / sync_p50.as_secs_f64();
    if json {
        let line = serde_json::json!({"what": what, "p50_ms": ms(p50), "p99_ms": ms(p99), "p50_to_sync": ratio});
        println!("{line}");
    } else {
        println!("{what:<34}{:>10.3}{:>10.3}{ratio:>12.1}", ms(p50), ms(p99));
    }
}

/// A file on the same disk as the cluster's logs, appended to and synced as a log would be.
struct Disk(File);

impl Disk {
    fn create(directory: &Path) -> anyhow::Result<Self> {
        Ok(Self(File::create(directory.join("sync-probe"))?))
    }

    fn write_and_sync(&mut self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        self.0.write_all(&[0x5a; 512])?;
        self.0.sync_data()?;
        Ok(begun.elapsed())
    }
}
