//! One round: a cluster, its clients, the faults of a seed; then a majority is mended, in which everything has to work, and then all the rest, which
//! has to come to the same state. The same story as that of a simulated world.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rand::{SeedableRng, rngs::SmallRng};
use ringfence_cluster::Cluster;
use ringfence_simulation::{
    checkers::{self, Broken, Verdict},
    history::{ClientId, Condition, History, Liveness, Machine, Recorder},
    place::{Ground, World},
    report::{Figures, Run},
    schedule::Schedule,
    workload::{self, Stop, Weights},
};
use tokio::task::JoinHandle;

use crate::{
    control::{Control, VARIABLE},
    disks::{Disk, Kind},
    faults::Faults,
    field::Field,
    hands::Hands,
    log, machines,
    net::{self, Net, Place},
    scroll::{self, Scroll},
    servers::Servers,
    watcher,
};

/// How long a new cluster may take until somebody leads.
const LEADS_WITHIN: Duration = Duration::from_secs(60);
/// How long one of each operation may take once a majority is mended. Twice what a simulated world is given: other programs use this machine, too.
const WORKS_WITHIN: Duration = Duration::from_secs(120);
/// How long all servers may take to come to the same state once everything is mended.
const SAME_WITHIN: Duration = Duration::from_secs(120);
/// How long followers may take to be told all.
const TOLD_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

/// What a round is made of.
#[derive(Debug)]
pub struct Plan {
    /// Faults, servers, clients, times.
    pub schedule: Schedule,
    /// The networks, if there are any.
    pub net: Option<Net>,
    /// Everything of this round goes there.
    pub directory: PathBuf,
    /// The server's program.
    pub program: PathBuf,
    /// The library that stands between a server and its disk and clock, if there is one.
    pub library: Option<PathBuf>,
}

/// What came of a round.
#[derive(Debug)]
pub struct Outcome {
    /// All that happened, as far as it is seen from outside.
    pub history: History,
    /// What the checkers said of it, and what else was wrong.
    pub verdict: Verdict,
    /// In figures.
    pub run: Run,
    /// Packets that were dropped by faults.
    pub packets: u64,
    /// What is worth to be told, and isn't wrong.
    pub notes: Vec<String>,
}

/// A round under way. What runs in it ends with the value, but for mounts and networks.
struct Round {
    hands: Hands,
    field: Arc<Field>,
    world: World,
    scroll: Scroll,
    watching: Vec<JoinHandle<()>>,
}

/// Plays a round.
///
/// # Errors
/// If it couldn't be set up; what goes wrong in it is in the outcome.
pub async fn play(plan: &Plan) -> Result<Outcome> {
    let begun = Instant::now();
    let recorder = Recorder::new(move || u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
    let round = Round::start(plan, recorder.clone())?;
    let (history, mut wrong) = round.tell(&plan.schedule).await;
    let mut verdict = tokio::task::block_in_place(|| checkers::check(&history));
    wrong.extend(round.field.servers.wrong());
    wrong.extend(round.scroll.different());
    wrong.extend(log::described(&round.scroll.told(), &history.calls));
    verdict.broken.extend(wrong);
    verdict.broken.sort_by_key(|broken| broken.at);
    let mut figures = Figures::of(&history, &BTreeMap::new());
    // A server's account of what it has applied is no snapshot that it got, and nobody outside sees sessions being opened.
    figures.snapshots_installed = 0;
    figures.sessions_opened = figures.operations.get("open session").map_or(0, |endings| endings.ok);
    figures.lives = round.field.servers.lives();
    let run = Run::of(plan.schedule.seed, 0, &verdict, begun.elapsed(), figures);
    let packets = round.hands.dropped().await.all();
    let notes = round.field.servers.notes();
    round.end().await;
    Ok(Outcome { history, verdict, run, packets, notes })
}

/// The servers, none of which runs, with their settings.
fn cluster(plan: &Plan, directory: &Path) -> Result<Cluster> {
    let schedule = &plan.schedule;
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let mut builder = Cluster::builder()
        .name("torture")
        .nodes(schedule.servers.into())
        .directory(directory)
        .binary(&plan.program)
        .members(plan.net.as_ref().map(|_| net::members(schedule.servers)).unwrap_or_default())
        .setting("heartbeat_ms", number(schedule.heartbeat_ms))
        .setting("election_timeout_ms_min", number(schedule.election_ms))
        .setting("election_timeout_ms_max", number(schedule.election_ms * 2))
        .setting("snapshot_entries", number(schedule.snapshot_entries))
        .setting("keep_entries", number(schedule.keep_entries))
        .setting("disk_reserve_bytes", number(crate::disks::RESERVE_BYTES));
    for id in 1..=u64::from(schedule.servers) {
        let net = plan.net.as_ref().map(|net| net.there(Place::Machine(Machine::Server(id))));
        let library = plan.library.as_ref().map(|library| {
            let (library, file) = (library.display(), control_file(plan, id));
            vec!["env".to_owned(), format!("LD_PRELOAD={library}"), format!("{VARIABLE}={}", file.display())]
        });
        builder = builder.through(id, net.into_iter().chain(library).flatten().collect());
    }
    builder.build().context("make the cluster's files")
}

fn control_file(plan: &Plan, id: u64) -> PathBuf {
    plan.directory.join(format!("control-{id}"))
}

/// What servers are told of disks and clocks.
fn controls(plan: &Plan) -> Result<BTreeMap<u64, Control>> {
    let ids = (1..=u64::from(plan.schedule.servers)).filter(|_| plan.library.is_some());
    ids.map(|id| Ok((id, Control::make(control_file(plan, id))?))).collect()
}

/// Disks of all three kinds in turn, where there is root; each seed begins with another.
fn disks(plan: &Plan, cluster: &Cluster) -> Result<BTreeMap<u64, Disk>> {
    let mut disks = BTreeMap::new();
    for node in cluster.nodes() {
        let kind = match (plan.schedule.seed + node.id()) % 3 {
            _ if plan.net.is_none() => Kind::Directory,
            0 => Kind::Directory,
            1 => Kind::Memory,
            _ => Kind::Image,
        };
        disks.insert(node.id(), Disk::make(node.data(), kind)?);
    }
    Ok(disks)
}

impl Round {
    fn start(plan: &Plan, recorder: Recorder) -> Result<Self> {
        fs::create_dir_all(&plan.directory).with_context(|| format!("create {}", plan.directory.display()))?;
        let cluster = cluster(plan, &plan.directory)?;
        let disks = disks(plan, &cluster)?;
        let servers = Servers::new(cluster, recorder.clone());
        let machine = |name: String, place: Place| {
            let network = plan.net.as_ref().map(|net| net.file(place));
            machines::Machine::start(&name, network.as_deref()).with_context(|| format!("start {name}"))
        };
        let mut clients: BTreeMap<ClientId, machines::Machine> = BTreeMap::new();
        for number in 1..=u32::from(plan.schedule.clients) {
            let place = Place::Machine(Machine::Client(number));
            clients.insert(number, machine(format!("client {number}"), place)?);
            recorder.condition(Condition::Up(Machine::Client(number)));
        }
        let field = Field::new(servers, recorder.clone(), clients, machine("watcher".to_owned(), Place::Watcher)?);
        let hands = Hands::new(field.clone(), plan.net.clone(), disks, controls(plan)?);
        let scroll = Scroll::default();
        let there = field.watcher.handle();
        let mut watching = vec![tokio::spawn(watcher::look(field.clone()))];
        for id in field.servers.ids() {
            watching.push(there.spawn(watcher::watch(field.clone(), id)));
            watching.push(there.spawn(scroll::follow(field.clone(), scroll.clone(), id)));
        }
        let world = World::new(field.clone(), recorder);
        Ok(Self { hands, field, world, scroll, watching })
    }

    /// The whole story, and what can't be seen in its history.
    async fn tell(&self, schedule: &Schedule) -> (History, Vec<Broken>) {
        let servers = &self.field.servers;
        self.hands.begin().await;
        for id in servers.ids() {
            servers.boot(id, || true).await;
        }
        self.in_time("somebody leads a new cluster", LEADS_WITHIN, || match self.field.leader() {
            Some(_) => Ok(()),
            None => Err("nobody leads".to_owned()),
        })
        .await;
        let weights = Weights::draw(&mut SmallRng::seed_from_u64(schedule.seed));
        let mut faults = Faults::start(&self.hands, schedule);
        let mut clients = workload::start(&self.world, &weights, schedule.seed, Stop::new());
        tokio::time::sleep(Duration::from_secs(schedule.seconds.into())).await;

        faults.end().await;
        let core = faults.mend_core().await;
        workload::liveness_at(&self.world, &core, WORKS_WITHIN).await;
        faults.mend_all().await;
        clients.finish().await;
        let mut wrong = Vec::new();
        if let Err(what) = workload::final_read(&mut clients).await {
            wrong.push(Broken { checker: "liveness", at: self.world.recorder().now(), what });
        }
        self.in_time("all servers come to the same state", SAME_WITHIN, || self.same_state()).await;
        let last = self.world.recorder().read(|history| history.last_revision);
        let told = || match self.scroll.whole() {
            whole if whole >= last => Ok(()),
            whole => Err(format!("told up to revision {whole}, and there is {last}")),
        };
        self.in_time("those who follow the log are told all of it", TOLD_WITHIN, told).await;
        (self.history(last), wrong)
    }

    /// The history, with the log as far as it was told.
    fn history(&self, last: u64) -> History {
        let recorder = self.world.recorder();
        let told = self.scroll.told();
        let entries = recorder.read(|history| log::entries(&told, &history.calls));
        let known = recorder.read(|history| log::known(history, &self.scroll.heard()));
        // A log with an end missing would accuse everybody.
        if self.scroll.whole() >= last {
            for (index, entry) in entries {
                recorder.entry(index, entry);
            }
            known.into_iter().for_each(|(index, at)| recorder.known(index, at));
        }
        recorder.finish()
    }

    /// All servers have applied as much as each other, and came to the same state.
    fn same_state(&self) -> Result<(), String> {
        let last = |id: u64| {
            let last = |history: &History| {
                let applied = history.applied.iter().rev().find(|applied| applied.server == id)?;
                Some((applied.index, applied.hash))
            };
            self.world.recorder().read(last)
        };
        let states: BTreeMap<u64, _> = self.field.servers.ids().into_iter().map(|id| (id, last(id))).collect();
        let different: BTreeSet<_> = states.values().collect();
        match different.len() {
            1 => Ok(()),
            _ => Err(format!("index and hash of each: {states:x?}")),
        }
    }

    /// Waits until `look` says nothing more, and records whether it came so far in time.
    async fn in_time(&self, what: &str, limit: Duration, look: impl Fn() -> Result<(), String>) {
        let recorder = self.world.recorder();
        let (from, begun) = (recorder.now(), Instant::now());
        let mut last = look();
        while last.is_err() && begun.elapsed() < limit {
            tokio::time::sleep(POLL).await;
            last = look();
        }
        let done = last.is_ok().then(|| recorder.now());
        recorder.liveness(Liveness { what: what.to_owned(), from, done, last: last.err().unwrap_or_default() });
    }

    async fn end(self) {
        self.watching.iter().for_each(JoinHandle::abort);
        self.field.end();
        self.field.servers.end_all().await;
    }
}

impl Drop for Round {
    fn drop(&mut self) {
        self.watching.iter().for_each(JoinHandle::abort);
        self.field.end();
    }
}
