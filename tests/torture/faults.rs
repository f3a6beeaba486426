//! Does the faults of a schedule to real processes, and records each with whether it had an effect.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use ringfence_simulation::{
    history::Machine,
    place::Ground,
    schedule::{Fault, Happening, Ms, Node, Schedule, Timed, When, Whom},
};
use tokio::task::JoinSet;

use crate::{firewall::Link, hands::Hands};

/// Kinds that can be done to processes alone.
const PROCESSES: &[&str] = &["kill", "stop", "pause", "frozen", "storm", "blackout", "rolling", "transfer"];
/// Kinds that need the library that stands between a server and its disk and clock.
const CONTROLLED: &[&str] = &["slow-sync", "failing-sync", "clock"];
/// Kinds that need networks and disks of their own, and so root.
const ROOT: &[&str] =
    &["alone", "deaf", "mute", "split", "bridge", "flap", "slow", "swizzle", "stranded", "lost", "full-disk"];

/// What a fault was about to do when it was ended is done by then.
const SETTLES_WITHIN: Duration = Duration::from_millis(500);

/// What can be done here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Means {
    /// Networks and disks of their own.
    pub root: bool,
    /// The library that stands between a server and its disk and clock.
    pub library: bool,
}

/// A fault can be done by these means.
#[must_use]
pub fn can(fault: &Fault, means: Means) -> bool {
    let kind = fault.kind();
    let of_client = matches!(fault, Fault::Clock { node: Node::Client(_), .. });
    PROCESSES.contains(&kind)
        || (means.root && ROOT.contains(&kind))
        || (means.library && CONTROLLED.contains(&kind) && !of_client)
}

/// The faults of a round, under way. They end with the value.
#[derive(Debug)]
pub struct Faults {
    hands: Hands,
    under_way: Arc<UnderWay>,
    tasks: JoinSet<()>,
    seed: u64,
}

/// Links that faults cut now: by the faults' numbers, with what these are and what had been dropped before.
#[derive(Debug, Default)]
struct UnderWay {
    cuts: Mutex<BTreeMap<u32, Cut>>,
}

#[derive(Debug)]
struct Cut {
    kind: &'static str,
    what: String,
    /// `None`: packets that get lost by chance.
    links: Option<Vec<Link>>,
    before: u64,
}

fn both(one: &[Machine], other: &[Machine]) -> Vec<Link> {
    one.iter().flat_map(|one| other.iter().flat_map(|other| [(*one, *other), (*other, *one)])).collect()
}

async fn sleep(ms: Ms) {
    tokio::time::sleep(Duration::from_millis(ms.0)).await;
}

impl Faults {
    /// From now on the faults of this schedule are done, at their moments.
    #[must_use]
    pub fn start(hands: &Hands, schedule: &Schedule) -> Self {
        let under_way = Arc::new(UnderWay::default());
        let mut tasks = JoinSet::new();
        let mut tied: BTreeMap<u64, Vec<(u64, Timed)>> = BTreeMap::new();
        for timed in schedule.faults.clone() {
            let one = One { hands: hands.clone(), under_way: under_way.clone() };
            match timed.when {
                When::At(ms) => drop(tasks.spawn(async move {
                    sleep(Ms(ms)).await;
                    one.once(timed, None).await;
                })),
                // From outside nothing else is seen in time.
                When::On { happening: Happening::Led, nth, delay_ms } => {
                    tied.entry(nth).or_default().push((delay_ms, timed));
                }
                When::On { .. } => {}
            }
        }
        let one = One { hands: hands.clone(), under_way: under_way.clone() };
        tasks.spawn(one.tie(tied));
        Self { hands: hands.clone(), under_way, tasks, seed: schedule.seed }
    }

    /// No fault does anything any more; what is broken stays so.
    pub async fn end(&mut self) {
        self.hands.end();
        self.tasks.shutdown().await;
        tokio::time::sleep(SETTLES_WITHIN).await;
        let one = One { hands: self.hands.clone(), under_way: self.under_way.clone() };
        let numbers: Vec<u32> = one.cuts().keys().copied().collect();
        for number in numbers {
            one.ended(number).await;
        }
    }

    /// Mends a majority of the servers and all that is between them and clients, and leaves the others broken: as they are, or killed. Gives the
    /// majority.
    pub async fn mend_core(&self) -> Vec<u64> {
        let mut rng = SmallRng::seed_from_u64(self.seed);
        let all = self.hands.field.servers.ids();
        let mut core = all.clone();
        while core.len() > all.len() / 2 + 1 {
            core.remove(rng.random_range(0..core.len()));
        }
        self.hands.mend_all(&core).await;
        for id in all.iter().filter(|id| !core.contains(id)) {
            // Some have no power, and some are alone with what they know.
            if rng.random_bool(0.5) || !self.hands.can_cut() {
                self.hands.field.servers.kill(*id).await;
            } else {
                let rest = rest(&self.hands, &[Machine::Server(*id)]);
                self.hands.cut(&both(&[Machine::Server(*id)], &rest)).await;
            }
        }
        core
    }

    /// Mends everything.
    pub async fn mend_all(&self) {
        self.hands.mend_all(&self.hands.field.servers.ids()).await;
    }
}

fn rest(hands: &Hands, side: &[Machine]) -> Vec<Machine> {
    hands.field.machines().into_iter().filter(|machine| !side.contains(machine)).collect()
}

/// Whoever does one of them.
struct One {
    hands: Hands,
    under_way: Arc<UnderWay>,
}

impl One {
    fn cuts(&self) -> std::sync::MutexGuard<'_, BTreeMap<u32, Cut>> {
        self.under_way.cuts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until somebody leads, the first time, the second, …
    async fn tie(self, mut tied: BTreeMap<u64, Vec<(u64, Timed)>>) {
        let mut happens = self.hands.field.on_happening();
        let mut count = 0;
        let mut tasks = JoinSet::new();
        while let Some((_, server, happening)) = happens.recv().await {
            if happening != Happening::Led {
                continue;
            }
            count += 1;
            for (delay_ms, timed) in tied.remove(&count).into_iter().flatten() {
                let one = Self { hands: self.hands.clone(), under_way: self.under_way.clone() };
                tasks.spawn(async move {
                    sleep(Ms(delay_ms)).await;
                    one.once(timed, Some(server)).await;
                });
            }
        }
    }

    async fn once(&self, timed: Timed, there: Option<u64>) {
        if self.hands.over() {
            return;
        }
        let what = match there {
            Some(there) => format!("{timed} (there: {there})"),
            None => timed.to_string(),
        };
        match &timed.fault {
            Fault::Lost { of, permille, ms } => {
                self.begins(&timed, what, None).await;
                // All packets lost is a cut, and those are drawn apart.
                self.hands.lose(timed.id, *of, (*permille).min(500)).await;
                sleep(*ms).await;
                self.hands.calm(timed.id).await;
                self.ended(timed.id).await;
            }
            Fault::Flap { whom, up_ms, down_ms, ms } => {
                self.flap(&timed, what, (*whom, there), (*up_ms, *down_ms), *ms).await;
            }
            Fault::Swizzle { cut, mend, step_ms, ms } => {
                self.swizzle(&timed, what, (cut, mend), *step_ms, *ms).await;
            }
            fault => {
                let (links, ms) = self.links(fault, there);
                match links.is_empty() {
                    true => self.on_processes(&timed, what, there).await,
                    false => {
                        self.begins(&timed, what, Some(links.clone())).await;
                        self.hands.cut(&links).await;
                        sleep(ms).await;
                        self.hands.mend(&links).await;
                        self.ended(timed.id).await;
                    }
                }
            }
        }
    }

    /// A fault that drops packets begins; how many is known at its end.
    async fn begins(&self, timed: &Timed, what: String, links: Option<Vec<Link>>) {
        let before = self.dropped(links.as_deref()).await;
        self.cuts().insert(timed.id, Cut { kind: timed.fault.kind(), what, links, before });
    }

    /// It is over, and is recorded with what it dropped.
    async fn ended(&self, number: u32) {
        let Some(cut) = self.cuts().remove(&number) else { return };
        let packets = self.dropped(cut.links.as_deref()).await.saturating_sub(cut.before);
        let what = format!("{} ({packets} packets dropped)", cut.what);
        self.hands.field.recorder.fault(cut.kind, what, packets > 0);
    }

    async fn dropped(&self, links: Option<&[Link]>) -> u64 {
        let dropped = self.hands.dropped().await;
        links.map_or(dropped.lost, |links| dropped.on(links))
    }

    /// Which links a fault cuts, and for how long.
    fn links(&self, fault: &Fault, there: Option<u64>) -> (Vec<Link>, Ms) {
        let server = |whom: Whom| self.hands.server(whom, there).map(Machine::Server);
        let apart = |side: Vec<Machine>| both(&side, &rest(&self.hands, &side));
        let with_clients = |servers: BTreeSet<Machine>, clients: &[u32]| match servers.is_empty() {
            true => Vec::new(),
            false => apart(servers.into_iter().chain(clients.iter().copied().map(Machine::Client)).collect()),
        };
        let out = |whom: Whom| {
            let from = server(whom);
            let to = |from: Machine| rest(&self.hands, &[from]).into_iter().map(move |to| (from, to));
            from.into_iter().flat_map(to).collect::<Vec<Link>>()
        };
        match fault {
            Fault::Alone { whom, clients, ms } => (with_clients(server(*whom).into_iter().collect(), clients), *ms),
            Fault::Split { side, clients, ms } => {
                (with_clients(side.iter().filter_map(|whom| server(*whom)).collect(), clients), *ms)
            }
            Fault::Mute { whom, ms } => (out(*whom), *ms),
            Fault::Deaf { whom, ms } => (out(*whom).into_iter().map(|(from, to)| (to, from)).collect(), *ms),
            Fault::Bridge { middle, ms } => {
                let Some(middle) = self.hands.server(*middle, there) else { return (Vec::new(), *ms) };
                let others: Vec<u64> = self.hands.field.servers.ids().into_iter().filter(|id| *id != middle).collect();
                let half = |odd: usize| {
                    let half = others.iter().skip(odd).step_by(2);
                    half.map(|id| Machine::Server(*id)).collect::<Vec<Machine>>()
                };
                (both(&half(0), &half(1)), *ms)
            }
            Fault::Stranded { client, ms } => (apart(vec![Machine::Client(*client)]), *ms),
            _ => (Vec::new(), Ms(0)),
        }
    }

    async fn flap(
        &self,
        timed: &Timed,
        what: String,
        (whom, there): (Whom, Option<u64>),
        (up, down): (Ms, Ms),
        ms: Ms,
    ) {
        let Some(id) = self.hands.server(whom, there) else { return };
        let others: Vec<Machine> = self.hands.field.servers.ids().into_iter().map(Machine::Server).collect();
        let others: Vec<Machine> = others.into_iter().filter(|other| *other != Machine::Server(id)).collect();
        let links = both(&[Machine::Server(id)], &others);
        self.begins(timed, what, Some(links.clone())).await;
        let mut passed = 0;
        while passed < ms.0 && !self.hands.over() {
            self.hands.cut(&links).await;
            sleep(down).await;
            self.hands.mend(&links).await;
            sleep(up).await;
            passed += (up.0 + down.0).max(1);
        }
        self.ended(timed.id).await;
    }

    async fn swizzle(&self, timed: &Timed, what: String, (cut, mend): (&[u64], &[u64]), step: Ms, ms: Ms) {
        let apart = |id: u64| both(&[Machine::Server(id)], &rest(&self.hands, &[Machine::Server(id)]));
        self.begins(timed, what, Some(cut.iter().flat_map(|id| apart(*id)).collect())).await;
        for id in cut {
            self.hands.cut(&apart(*id)).await;
            sleep(step).await;
        }
        sleep(ms).await;
        for id in mend {
            self.hands.mend(&apart(*id)).await;
            sleep(step).await;
        }
        self.ended(timed.id).await;
    }

    /// Faults of processes, disks, and a server's way out.
    async fn on_processes(&self, timed: &Timed, what: String, there: Option<u64>) {
        let recorder = self.hands.field.recorder.clone();
        let kind = timed.fault.kind();
        let begun = move |effective: bool| recorder.fault(kind, what, effective);
        let hands = &self.hands;
        match &timed.fault {
            Fault::Frozen { client, ms } => self.pause(Machine::Client(*client), *ms, begun).await,
            Fault::Blackout { down_ms, .. } => self.blackout(*down_ms, begun).await,
            Fault::Rolling { down_ms, gap_ms } => self.rolling(*down_ms, *gap_ms, begun).await,
            Fault::Kill { whom, .. }
            | Fault::Stop { whom, .. }
            | Fault::Pause { whom, .. }
            | Fault::Storm { whom, .. }
            | Fault::Slow { whom, .. }
            | Fault::FullDisk { whom, .. }
            | Fault::SlowSync { whom, .. }
            | Fault::FailingSync { whom, .. }
            | Fault::Transfer { to: whom } => match hands.server(*whom, there) {
                Some(id) => self.on_server(&timed.fault, id, begun).await,
                None => begun(false),
            },
            // A rate can't be changed here. What can is what the wall clock says: it steps by as many seconds, forward or back.
            Fault::Clock { node: Node::Server(id), ppm } => begun(hands.step(*id, ppm * 1000)),
            _ => begun(false),
        }
    }

    async fn on_server(&self, fault: &Fault, id: u64, begun: impl FnOnce(bool)) {
        let hands = &self.hands;
        let servers = &hands.field.servers;
        match *fault {
            Fault::Kill { down_ms, .. } => {
                begun(servers.kill(id).await);
                sleep(down_ms).await;
                hands.boot(id).await;
            }
            Fault::Stop { down_ms, .. } => {
                begun(servers.stop(id).await);
                sleep(down_ms).await;
                hands.boot(id).await;
            }
            Fault::Pause { ms, .. } => self.pause(Machine::Server(id), ms, begun).await,
            Fault::Storm { times, up_ms, down_ms, .. } => {
                begun(servers.is_up(id));
                for _ in 0..times {
                    servers.kill(id).await;
                    sleep(down_ms).await;
                    hands.boot(id).await;
                    sleep(up_ms).await;
                }
            }
            Fault::Slow { by_ms, ms, .. } => {
                // So that a full packet takes about so long.
                begun(hands.slow(id, (12_000 / by_ms.0.max(1)).clamp(64, 4_000)).await);
                sleep(ms).await;
                hands.fast(id).await;
            }
            Fault::FullDisk { ms, .. } => {
                let up = servers.is_up(id);
                let filling = hands.clone();
                let taken = tokio::task::spawn_blocking(move || filling.fill(id)).await.unwrap_or_default();
                begun(up && taken > 0);
                sleep(ms).await;
                hands.empty(id);
                hands.boot(id).await;
            }
            Fault::SlowSync { by_ms, ms, .. } => {
                begun(hands.sync_time(id, by_ms.0 * 1000));
                sleep(ms).await;
                hands.sync_time(id, 0);
            }
            Fault::FailingSync { ms, .. } => {
                begun(hands.fail_syncs(id));
                sleep(ms).await;
                hands.work_syncs(id);
                hands.boot(id).await;
            }
            Fault::Transfer { .. } => begun(self.transfer(id).await),
            _ => begun(false),
        }
    }

    /// Leadership is handed over, by whoever answers.
    async fn transfer(&self, id: u64) -> bool {
        let field = self.hands.field.clone();
        let before = field.leader();
        let work = field.watcher.handle().spawn({
            let field = field.clone();
            async move {
                let endpoints = field.servers.endpoints();
                let client =
                    ringfence_client::Client::builder(endpoints.into_values()).deadline(Duration::from_secs(5));
                client.build().ok()?.cluster().transfer_leader(Some(id)).await.ok()
            }
        });
        work.await.ok().flatten().is_some_and(|leader| leader == id && before != Some(id))
    }

    async fn pause(&self, machine: Machine, ms: Ms, begun: impl FnOnce(bool)) {
        begun(self.hands.pause(machine).await);
        sleep(ms).await;
        self.hands.resume(machine).await;
    }

    async fn blackout(&self, down: Ms, begun: impl FnOnce(bool)) {
        let servers = &self.hands.field.servers;
        let mut killed = JoinSet::new();
        for id in servers.ids() {
            let servers = servers.clone();
            killed.spawn(async move { servers.kill(id).await });
        }
        begun(killed.join_all().await.into_iter().any(|killed| killed));
        sleep(down).await;
        for id in servers.ids() {
            self.hands.boot(id).await;
            sleep(Ms(down.0 / 8)).await;
        }
    }

    async fn rolling(&self, down: Ms, gap: Ms, begun: impl FnOnce(bool)) {
        let servers = &self.hands.field.servers;
        let mut effect = Some(begun);
        for id in servers.ids() {
            let stopped = servers.stop(id).await;
            effect.take().into_iter().for_each(|begun| begun(stopped));
            sleep(down).await;
            self.hands.boot(id).await;
            sleep(gap).await;
        }
    }
}
