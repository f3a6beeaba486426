//! How long clients wait when the leader goes: three servers as processes, and again and again whoever leads is killed, asked to stop, or cut off from
//! the others. See `scripts/failover`.
//!
//! Clients write, take locks, and watch, all the time. For each time, and over all of them, it prints the longest that no write was done, no lock
//! was granted, and no change was seen, by anybody. A measurement, not a test: it judges nothing.

mod arguments;
mod clients;
mod disk;
mod loss;
mod undisturbed;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use ringfence_cluster::{
    Builder, Cluster,
    times::{ms, spread},
};
use ringfence_simulation::history::Machine;
use ringfence_torture::{
    clean,
    firewall::Firewall,
    machines,
    net::{self, Net, Place},
};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    arguments::{Arguments, How},
    clients::{Clients, Kind, Pause},
    disk::Disk,
    loss::Loss,
};

const NODES: u8 = 3;
/// Writers, and as many that take locks of their own.
const CLIENTS: usize = 8;
/// Between two calls of one client, so that the machine isn't what they wait for.
const REST: Duration = Duration::from_millis(5);
/// Before each time: everything goes its way again.
const CALM: Duration = Duration::from_secs(2);
/// How long it is watched.
const LOOK: Duration = Duration::from_secs(8);
/// The machine of all clients, where servers have networks of their own. Nothing cuts it off.
const CLIENTS_PLACE: Place = Place::Machine(Machine::Client(1));
/// Ended by Ctrl-C or TERM.
const INTERRUPTED: u8 = 130;

/// Networks of a run, until the value goes.
struct Made(String);

impl Drop for Made {
    fn drop(&mut self) {
        clean::networks(&self.0);
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::read(std::env::args().skip(1))?;
    if arguments.clean {
        clean::networks(&arguments.name);
        return Ok(ExitCode::SUCCESS);
    }
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => Ok(ExitCode::from(INTERRUPTED)),
        _ = terminate.recv() => Ok(ExitCode::from(INTERRUPTED)),
        done = run(arguments) => done.map(|()| ExitCode::SUCCESS),
    }
}

/// The servers end with the future, and their networks go.
async fn run(arguments: Arguments) -> Result<()> {
    let mut cluster = Cluster::builder().nodes(NODES.into()).name("failover");
    if arguments.tight {
        cluster = tightened(cluster);
    }
    if let Some(minutes) = arguments.undisturbed {
        return undisturbed::watch(&cluster.start().await?, minutes, &arguments).await;
    }
    if arguments.how != How::CutOff {
        let cluster = cluster.start().await?;
        return measure(&arguments, Loss::new(arguments.how, cluster, None)).await;
    }
    if let Some(why) = net::why_not() {
        bail!("networks can't be made here ({why}): it needs root, ip, tc and iptables");
    }
    let _made = Made(arguments.name.clone());
    let net = Net::make(&arguments.name, NODES, 1)?;
    let servers: Vec<u64> = (1..=u64::from(NODES)).collect();
    cluster = cluster.members(net::members(NODES));
    for id in &servers {
        cluster = cluster.through(*id, net.there(Place::Machine(Machine::Server(*id))));
    }
    // Whoever measures must be where the servers can be asked.
    let there =
        machines::Machine::start("clients", Some(&net.file(CLIENTS_PLACE))).context("start the clients' machine")?;
    let firewall = Firewall::new(net, servers);
    let measuring = there.handle().spawn(async move {
        let cluster = cluster.start().await?;
        measure(&arguments, Loss::new(How::CutOff, cluster, Some(firewall))).await
    });
    measuring.await?
}

/// As many times as are wanted.
async fn measure(arguments: &Arguments, loss: Loss) -> Result<()> {
    let clients = Clients::start(loss.cluster(), CLIENTS, REST).await?;
    let board = &clients.board;
    let disk = Disk::watch(loss.cluster().directory())?;
    let mut all = [const { Vec::new() }; 3];
    for number in 1..=arguments.times {
        tokio::time::sleep(CALM).await;
        let leader = loss.cluster().leader().await?;
        board.clear();
        let begun = Instant::now();
        loss.strike(leader).await?;
        tokio::time::sleep_until((begun + LOOK).into()).await;
        let took = Kind::ALL.map(|(kind, _)| board.longest_without(kind, begun));
        all.iter_mut().zip(took).for_each(|(all, pause)| all.push(pause.took));
        let written = begun + took[0].after;
        print(number, leader, took, disk.slow_within(written, written + took[0].took), arguments);
        loss.mend(leader).await?;
    }
    clients.end().await;
    if !arguments.json {
        for ((_, what), all) in Kind::ALL.into_iter().zip(all) {
            println!("longest without a {what}, ms: {}", spread(all));
        }
    }
    loss.cluster().stop().await?;
    Ok(())
}

/// Whoever leads and is silent is given up after a tenth of a second to a fifth.
fn tightened(builder: Builder) -> Builder {
    builder.setting("heartbeat_ms", 20).setting("election_timeout_ms_min", 100).setting("election_timeout_ms_max", 200)
}

/// With the pause that writes made it tells when it began, and how much of it the disk itself took.
fn print(number: usize, leader: u64, pauses: [Pause; 3], disk: Duration, arguments: &Arguments) {
    let ([write, grant, event], after, disk) = (pauses.map(|pause| ms(pause.took)), ms(pauses[0].after), ms(disk));
    if arguments.json {
        let settings = arguments.settings();
        println!(
            "{{\"system\":\"ringfence\",\"settings\":\"{settings}\",\"time\":{number},\"leader\":{leader},\"write_ms\":{write:.1},\"grant_ms\":{grant:.1},\"event_ms\":{event:.1},\"write_after_ms\":{after:.1},\"write_disk_ms\":{disk:.1}}}"
        );
    } else {
        println!(
            "{number:>3}: node {leader} led; longest without a write {write:>7.1} ms (from {after:>6.1} ms on, {disk:>5.1} of them in syncs of the disk), without a lock granted {grant:>7.1} ms, without a change seen {event:>7.1} ms"
        );
    }
}
