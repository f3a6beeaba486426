//! Does the faults of a schedule at their moments, and records each with whether it had an effect.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ringfence_probes::hooks::Happening;
use tracing::info;

use super::{Fault, Kept, Ms, Of, Schedule, Timed, When, Whom, draw::Chance, hands::Hands, operator::Operator};
use crate::world::{Machine, Odds, World};

/// The faults of a run, under way.
#[derive(Clone)]
pub struct Faults {
    hands: Hands,
    operator: Operator,
    seed: u64,
}

type Links = Vec<(Machine, Machine)>;

fn both(one: &[Machine], other: &[Machine]) -> Links {
    one.iter().flat_map(|one| other.iter().flat_map(|other| [(*one, *other), (*other, *one)])).collect()
}

async fn sleep(ms: Ms) {
    tokio::time::sleep(Duration::from_millis(ms.0)).await;
}

impl Faults {
    /// From now on the faults of this schedule are done, at their moments.
    #[must_use]
    pub fn start(world: &World, schedule: &Schedule) -> Self {
        let faults = Self { hands: Hands::new(world), operator: Operator::new(world), seed: schedule.seed };
        let mut tied: BTreeMap<(Happening, u64), Vec<(u64, Timed)>> = BTreeMap::new();
        for timed in schedule.faults.clone() {
            match timed.when {
                When::At(ms) => faults.spawn(timed, Ms(ms), None),
                When::On { happening, nth, delay_ms } => {
                    tied.entry((happening, nth)).or_default().push((delay_ms, timed));
                }
            }
        }
        if !tied.is_empty() {
            tokio::spawn(faults.clone().tie(tied));
        }
        faults
    }

    fn spawn(&self, timed: Timed, after: Ms, there: Option<u64>) {
        let faults = self.clone();
        tokio::spawn(async move {
            sleep(after).await;
            faults.once(timed, there).await;
        });
    }

    /// Waits for what faults are tied to.
    async fn tie(self, mut tied: BTreeMap<(Happening, u64), Vec<(u64, Timed)>>) {
        let mut happens = self.hands.world.on_happening();
        let mut counts: BTreeMap<Happening, u64> = BTreeMap::new();
        while let Some((_, server, happening)) = happens.recv().await {
            let count = counts.entry(happening).or_default();
            *count += 1;
            for (delay_ms, timed) in tied.remove(&(happening, *count)).into_iter().flatten() {
                match delay_ms {
                    0 => {
                        let faults = self.clone();
                        tokio::spawn(async move { faults.once(timed, Some(server)).await });
                    }
                    delay_ms => self.spawn(timed, Ms(delay_ms), Some(server)),
                }
            }
        }
    }

    async fn once(&self, timed: Timed, there: Option<u64>) {
        if self.hands.over() {
            return;
        }
        info!(fault = timed.id, there, "{}", timed.fault);
        let kind = timed.fault.kind();
        let what = match there {
            Some(there) => format!("{timed} (there: {there})"),
            None => timed.to_string(),
        };
        // Recorded when it begins to act, not when it is over.
        let recorder = self.hands.world.recorder().clone();
        let begun = move |effective: bool| recorder.fault(kind, what, effective);
        self.act(&timed, there, begun).await;
    }

    async fn act(&self, timed: &Timed, there: Option<u64>, begun: impl FnOnce(bool)) {
        match &timed.fault {
            Fault::Clock { node, ppm } => {
                self.hands.world.drift((*node).into(), *ppm);
                begun(*ppm != 0);
            }
            Fault::Alone { .. }
            | Fault::Deaf { .. }
            | Fault::Mute { .. }
            | Fault::Split { .. }
            | Fault::Bridge { .. }
            | Fault::Slow { .. }
            | Fault::Stranded { .. } => {
                let (links, ms) = self.links(&timed.fault, there);
                match timed.fault {
                    Fault::Slow { by_ms, .. } => self.slow(&links, by_ms, ms, begun).await,
                    _ => {
                        begun(self.hands.cut(&links));
                        sleep(ms).await;
                        self.hands.mend(&links);
                    }
                }
            }
            Fault::Flap { whom, up_ms, down_ms, ms } => self.flap((*whom, there), (*up_ms, *down_ms), *ms, begun).await,
            Fault::Swizzle { cut, mend, step_ms, ms } => self.swizzle((cut, mend), *step_ms, *ms, begun).await,
            Fault::Late { .. }
            | Fault::Shuffled { .. }
            | Fault::Twice { .. }
            | Fault::Lost { .. }
            | Fault::Unanswered { .. }
            | Fault::Hanging { .. } => self.messages(timed, begun).await,
            Fault::Frozen { client, ms } => self.pause(Machine::Client(*client), *ms, begun).await,
            Fault::Blackout { kept, down_ms } => self.blackout(*kept, *down_ms, begun).await,
            Fault::Rolling { down_ms, gap_ms } => self.rolling(*down_ms, *gap_ms, begun).await,
            Fault::Grow { learns_ms } => begun(self.operator.grow(Some(Duration::from_millis(learns_ms.0))).await),
            Fault::Add {} => begun(self.operator.grow(None).await),
            Fault::Promote {} => begun(self.operator.promote().await),
            fault => self.on_server(fault, there, begun).await,
        }
    }

    /// Faults of one server.
    async fn on_server(&self, fault: &Fault, there: Option<u64>, begun: impl FnOnce(bool)) {
        let (Fault::Kill { whom, .. }
        | Fault::Stop { whom, .. }
        | Fault::Pause { whom, .. }
        | Fault::Storm { whom, .. }
        | Fault::LostDisk { whom, .. }
        | Fault::SlowSync { whom, .. }
        | Fault::FailingSync { whom, .. }
        | Fault::FullDisk { whom, .. }
        | Fault::Rot { whom, .. }
        | Fault::Remove { whom }
        | Fault::Replace { whom }
        | Fault::Transfer { to: whom }) = fault
        else {
            return begun(false);
        };
        let Some(id) = self.hands.server(*whom, there) else { return begun(false) };
        let hands = &self.hands;
        match *fault {
            Fault::Kill { kept, down_ms, .. } => {
                begun(hands.world.kill(id, kept.into()));
                sleep(down_ms).await;
                hands.boot(id);
            }
            Fault::Stop { down_ms, .. } => {
                begun(hands.world.stop(id).await);
                sleep(down_ms).await;
                hands.boot(id);
            }
            Fault::Pause { ms, .. } => self.pause(Machine::Server(id), ms, begun).await,
            Fault::Storm { times, kept, up_ms, down_ms, .. } => {
                begun(hands.world.is_up(id));
                for _ in 0..times {
                    if hands.over() {
                        return;
                    }
                    hands.world.kill(id, kept.into());
                    sleep(down_ms).await;
                    hands.boot(id);
                    sleep(up_ms).await;
                }
            }
            Fault::SlowSync { by_ms, ms, .. } => {
                begun(hands.sync_time(id, Duration::from_millis(by_ms.0)));
                sleep(ms).await;
                hands.sync_time(id, hands.world.plan().sync_time);
            }
            Fault::FailingSync { ms, .. } => {
                begun(hands.fail_syncs(id));
                sleep(ms).await;
                hands.work_syncs(id);
                hands.boot(id);
            }
            Fault::FullDisk { ms, .. } => {
                begun(hands.fill(id));
                sleep(ms).await;
                hands.empty(id);
                hands.boot(id);
            }
            Fault::LostDisk { down_ms, .. } => {
                let lost = self.operator.may_lose(id);
                begun(lost);
                if lost {
                    hands.world.retire(id);
                    sleep(down_ms).await;
                    self.operator.replace_lost(id).await;
                }
            }
            Fault::Rot { back, down_ms, ms, .. } => self.rot(id, back, (down_ms, ms), begun).await,
            Fault::Remove { .. } => begun(self.operator.remove(id).await),
            Fault::Replace { .. } => begun(self.operator.replace(id).await),
            Fault::Transfer { .. } => begun(self.operator.transfer(id).await),
            _ => begun(false),
        }
    }

    /// Which links a fault cuts or slows, and for how long.
    fn links(&self, fault: &Fault, there: Option<u64>) -> (Links, Ms) {
        let all = self.hands.machines();
        let server = |whom: Whom| self.hands.server(whom, there).map(Machine::Server);
        let apart = |side: Vec<Machine>| {
            let rest: Vec<Machine> = all.iter().copied().filter(|machine| !side.contains(machine)).collect();
            both(&side, &rest)
        };
        let with_clients = |servers: Vec<Machine>, clients: &[u32]| {
            let clients = clients.iter().copied().map(Machine::Client);
            servers.into_iter().chain(clients).collect::<Vec<Machine>>()
        };
        let out = |from: Machine| all.iter().filter(|to| **to != from).map(|to| (from, *to)).collect::<Links>();
        match fault {
            Fault::Alone { whom, clients, ms } => {
                (server(*whom).map(|server| apart(with_clients(vec![server], clients))).unwrap_or_default(), *ms)
            }
            Fault::Split { side, clients, ms } => {
                let side: BTreeSet<Machine> = side.iter().filter_map(|whom| server(*whom)).collect();
                let none = side.is_empty();
                (if none { Links::new() } else { apart(with_clients(side.into_iter().collect(), clients)) }, *ms)
            }
            Fault::Mute { whom, ms } => (server(*whom).map(out).unwrap_or_default(), *ms),
            Fault::Slow { whom, ms, .. } => (server(*whom).map(out).unwrap_or_default(), *ms),
            Fault::Deaf { whom, ms } => {
                let links = server(*whom).map(out).unwrap_or_default();
                (links.into_iter().map(|(from, to)| (to, from)).collect(), *ms)
            }
            Fault::Bridge { middle, ms } => {
                let middle = self.hands.server(*middle, there);
                let others: Vec<u64> =
                    self.hands.world.servers().into_iter().filter(|id| Some(*id) != middle).collect();
                let half = |odd: u64| {
                    let places = others.iter().zip(0u64..).filter(|(_, place)| place % 2 == odd);
                    places.map(|(id, _)| Machine::Server(*id)).collect::<Vec<Machine>>()
                };
                (if middle.is_some() { both(&half(0), &half(1)) } else { Links::new() }, *ms)
            }
            Fault::Stranded { client, ms } => (apart(vec![Machine::Client(*client)]), *ms),
            _ => (Links::new(), Ms(0)),
        }
    }

    async fn slow(&self, links: &Links, by_ms: Ms, ms: Ms, begun: impl FnOnce(bool)) {
        let set =
            |late| links.iter().fold(false, |any, (from, to)| self.hands.world.slow_link(*from, *to, late) || any);
        begun(set(Duration::from_millis(by_ms.0)));
        sleep(ms).await;
        if !self.hands.over() {
            set(Duration::ZERO);
        }
    }

    async fn flap(&self, (whom, there): (Whom, Option<u64>), (up, down): (Ms, Ms), ms: Ms, begun: impl FnOnce(bool)) {
        let Some(id) = self.hands.server(whom, there) else { return begun(false) };
        let others = self.hands.world.servers().into_iter().filter(|other| *other != id).map(Machine::Server);
        let links = both(&[Machine::Server(id)], &others.collect::<Vec<_>>());
        let mut effect = Some(begun);
        let mut passed = 0;
        while passed < ms.0 && !self.hands.over() {
            let cut = self.hands.cut(&links);
            effect.take().into_iter().for_each(|begun| begun(cut));
            sleep(down).await;
            self.hands.mend(&links);
            sleep(up).await;
            passed += (up.0 + down.0).max(1);
        }
    }

    async fn swizzle(&self, (cut, mend): (&[u64], &[u64]), step: Ms, ms: Ms, begun: impl FnOnce(bool)) {
        let apart = |id: u64| {
            let rest: Vec<Machine> =
                self.hands.machines().into_iter().filter(|other| *other != Machine::Server(id)).collect();
            both(&[Machine::Server(id)], &rest)
        };
        // What is cut is what is mended, whoever comes or goes meanwhile.
        let links: BTreeMap<u64, Links> = cut.iter().map(|id| (*id, apart(*id))).collect();
        let mut effect = Some(begun);
        for id in cut {
            if self.hands.over() {
                return;
            }
            let cut = links.get(id).is_some_and(|links| self.hands.cut(links));
            effect.take().into_iter().for_each(|begun| begun(cut));
            sleep(step).await;
        }
        sleep(ms).await;
        for id in mend {
            links.get(id).into_iter().for_each(|links| self.hands.mend(links));
            sleep(step).await;
        }
    }

    async fn messages(&self, timed: &Timed, begun: impl FnOnce(bool)) {
        let share = |permille: u32| f64::from(permille.min(1000)) / 1000.0;
        let late = |by: Ms| Duration::from_millis(by.0);
        let none = Odds::default();
        let (of, odds, ms): (Of, Odds, Ms) = match timed.fault {
            Fault::Late { of, permille, by_ms, ms } => {
                (of, Odds { delay: share(permille), late_max: late(by_ms), ..none }, ms)
            }
            Fault::Shuffled { of, by_ms, ms } => (of, Odds { delay: 1.0, late_max: late(by_ms), ..none }, ms),
            Fault::Twice { of, permille, by_ms, ms } => {
                (of, Odds { twice: share(permille), late_max: late(by_ms), ..none }, ms)
            }
            Fault::Lost { of, permille, ms } => (of, Odds { lose: share(permille), ..none }, ms),
            Fault::Unanswered { of, permille, ms } => (of, Odds { lose_answer: share(permille), ..none }, ms),
            Fault::Hanging { of, permille, ms } => (of, Odds { hang: share(permille), ..none }, ms),
            _ => return begun(false),
        };
        let before: u64 = self.hands.world.troubled().values().sum();
        self.hands.trouble(timed.id, of, odds);
        sleep(ms).await;
        self.hands.calm(timed.id);
        // Whether a message was met is known only afterwards.
        begun(self.hands.world.troubled().values().sum::<u64>() > before);
    }

    async fn pause(&self, machine: Machine, ms: Ms, begun: impl FnOnce(bool)) {
        begun(self.hands.pause(machine));
        sleep(ms).await;
        self.hands.resume(machine);
    }

    async fn blackout(&self, kept: Kept, down: Ms, begun: impl FnOnce(bool)) {
        let servers = self.hands.world.servers();
        begun(servers.iter().filter(|id| self.hands.world.kill(**id, kept.into())).count() > 0);
        sleep(down).await;
        for id in servers {
            self.hands.boot(id);
            sleep(Ms(down.0 / 8)).await;
        }
    }

    async fn rolling(&self, down: Ms, gap: Ms, begun: impl FnOnce(bool)) {
        let mut effect = Some(begun);
        let world = &self.hands.world;
        // A change that was broken off is finished first.
        let level = world.newest_level() + u32::from(!world.levels_differ());
        for id in world.servers() {
            if self.hands.over() {
                return;
            }
            let stopped = world.stop(id).await;
            effect.take().into_iter().for_each(|begun| begun(stopped));
            world.upgrade(id, level);
            sleep(down).await;
            self.hands.boot(id);
            sleep(gap).await;
        }
    }

    async fn rot(&self, id: u64, back: u64, (down, wait): (Ms, Ms), begun: impl FnOnce(bool)) {
        let world = &self.hands.world;
        let up = world.is_up(id);
        if !up || !self.operator.may_lose(id) {
            return begun(false);
        }
        world.kill(id, Kept::All.into());
        let index = world.recorder().read(|history| {
            let log = history.logs.iter().rev().find(|log| log.server == id)?;
            let first = *log.entries.keys().next()?;
            Some(log.entries.keys().next_back()?.saturating_sub(back).max(first))
        });
        let damaged = index.is_some_and(|index| world.disk(id).is_some_and(|disk| disk.damage(index)));
        begun(damaged);
        sleep(down).await;
        self.hands.boot(id);
        sleep(wait).await;
        info!(server = id, failure = world.failure(id), "a record of its log had rotted");
        self.operator.replace_lost(id).await;
    }

    /// No fault does anything any more; what is broken stays so.
    pub fn end(&self) {
        self.hands.end();
    }

    /// Who changes the members.
    #[must_use]
    pub fn operator(&self) -> &Operator {
        &self.operator
    }

    /// Mends a majority of the voters and all that is between them and clients, and leaves the others broken: as they are, or
    /// without power. Gives the majority; everything is mended if it isn't known now who votes.
    pub fn mend_core(&self) -> BTreeSet<u64> {
        let mut chance = Chance::new(self.seed, "core");
        let all = self.hands.world.servers();
        let Some((whole, voters)) = self.operator.settled() else {
            self.hands.mend_all(&all);
            return all.into_iter().collect();
        };
        let core: BTreeSet<u64> =
            chance.shuffled(whole.into_iter().collect()).into_iter().take(voters / 2 + 1).collect();
        self.hands.mend_all(&core.iter().copied().collect::<Vec<u64>>());
        for id in all.into_iter().filter(|id| !core.contains(id)) {
            // Some have no power, and some are alone with what they know.
            if chance.percent(50) {
                self.hands.world.kill(id, Kept::Nothing.into());
            } else {
                let rest = self.hands.machines().into_iter().filter(|machine| *machine != Machine::Server(id));
                for (from, to) in both(&[Machine::Server(id)], &rest.collect::<Vec<_>>()) {
                    self.hands.world.link(from, to, false);
                }
            }
        }
        info!(?core, "a majority is mended");
        core
    }

    /// Mends everything.
    pub fn mend_all(&self) {
        self.hands.mend_all(&self.hands.world.servers());
        info!("everything is mended");
    }
}
