//! What faults do, so that they may overlap: a link that two faults cut is mended when both are over.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Result;
use ringfence_simulation::{
    history::{Condition, Machine},
    place::Ground,
    schedule::{
        Of, Whom,
        overlap::{less, more},
    },
};

use crate::{
    control::{Control, Wanted as Told},
    disks::Disk,
    field::Field,
    firewall::{Dropped, Firewall, Link, Wanted},
    net::{self, LINK, Net, Place},
};

/// Whoever does faults; a clone is the same one.
#[derive(Clone, Debug)]
pub struct Hands {
    /// Where they are done.
    pub field: Arc<Field>,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    net: Option<(Net, Firewall)>,
    disks: BTreeMap<u64, Disk>,
    controls: BTreeMap<u64, Control>,
    over: AtomicBool,
    held: Mutex<Held>,
}

/// What is broken now, and how many times.
#[derive(Debug, Default)]
struct Held {
    cut: BTreeMap<Link, u32>,
    lost: BTreeMap<u32, (Of, u32)>,
    paused: BTreeMap<Machine, u32>,
    full: BTreeMap<u64, u32>,
    syncs_fail: BTreeMap<u64, u32>,
    slow: BTreeMap<u64, u32>,
    /// Servers that are to run from now on, whatever was done to them before.
    mended: BTreeSet<u64>,
}

impl Hands {
    /// With nothing broken. Without a network nothing is cut.
    #[must_use]
    pub fn new(
        field: Arc<Field>,
        net: Option<Net>,
        disks: BTreeMap<u64, Disk>,
        controls: BTreeMap<u64, Control>,
    ) -> Self {
        let net = net.map(|net| (net.clone(), Firewall::new(net, field.servers.ids())));
        let inner = Inner { net, disks, controls, over: AtomicBool::new(false), held: Mutex::default() };
        Self { field, inner: Arc::new(inner) }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.inner.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No fault does anything any more, nor mends what it did.
    #[must_use]
    pub fn over(&self) -> bool {
        self.inner.over.load(Ordering::Relaxed)
    }

    /// From now on no fault does anything any more. What is broken stays so.
    pub fn end(&self) {
        self.inner.over.store(true, Ordering::Relaxed);
    }

    /// The server that is meant at this moment; `None` if there is none.
    #[must_use]
    pub fn server(&self, whom: Whom, there: Option<u64>) -> Option<u64> {
        whom.among(&self.field.servers.ids(), self.field.leader(), there)
    }

    /// Nothing is cut: what a round before this one left is taken away.
    pub async fn begin(&self) {
        self.build().await;
    }

    /// Links can be cut here.
    #[must_use]
    pub fn can_cut(&self) -> bool {
        self.inner.net.is_some()
    }

    /// Cuts links, each from the first to the second.
    pub async fn cut(&self, links: &[Link]) {
        let first: Vec<Link> = {
            let mut held = self.held();
            links.iter().copied().filter(|link| more(&mut held.cut, *link)).collect()
        };
        self.build().await;
        first.into_iter().for_each(|(from, to)| self.field.recorder.condition(Condition::Cut(from, to)));
    }

    /// Ends one cut of each link.
    pub async fn mend(&self, links: &[Link]) {
        if self.over() {
            return;
        }
        let last: Vec<Link> = {
            let mut held = self.held();
            links.iter().copied().filter(|link| less(&mut held.cut, link)).collect()
        };
        self.build().await;
        last.into_iter().for_each(|(from, to)| self.field.recorder.condition(Condition::Mended(from, to)));
    }

    /// Packets get lost, under a number.
    pub async fn lose(&self, number: u32, of: Of, permille: u32) {
        self.held().lost.insert(number, (of, permille));
        self.build().await;
    }

    /// Ends what stands under that number.
    pub async fn calm(&self, number: u32) {
        if !self.over() {
            self.held().lost.remove(&number);
            self.build().await;
        }
    }

    /// Has the walls do what is held. Whoever waits for it may be dropped meanwhile.
    async fn build(&self) {
        let hands = self.clone();
        drop(tokio::spawn(async move { hands.build_now().await }).await);
    }

    async fn build_now(&self) {
        let Some((_, firewall)) = &self.inner.net else { return };
        let wanted = {
            let held = self.held();
            Wanted { cut: held.cut.keys().copied().collect(), lost: held.lost.values().copied().collect() }
        };
        let built = firewall.set(&wanted).await;
        self.must("firewall", built);
    }

    /// Packets that were dropped so far.
    pub async fn dropped(&self) -> Dropped {
        let Some((_, firewall)) = &self.inner.net else { return Dropped::default() };
        let dropped = firewall.dropped().await;
        self.must("firewall", dropped).unwrap_or_default()
    }

    /// A server sends no more than so many kilobits a second. True if it wasn't slow already.
    pub async fn slow(&self, id: u64, kbit: u64) -> bool {
        if self.inner.net.is_none() || !more(&mut self.held().slow, id) {
            return false;
        }
        let rate = format!("{kbit}kbit");
        self.shape(id, &["replace", "dev", LINK, "root", "tbf", "rate", &rate, "burst", "3000", "latency", "2s"]).await
    }

    /// Ends one slowness of a server.
    pub async fn fast(&self, id: u64) {
        if !self.over() && less(&mut self.held().slow, &id) {
            self.shape(id, &["del", "dev", LINK, "root"]).await;
        }
    }

    async fn shape(&self, id: u64, words: &[&str]) -> bool {
        let Some((net, _)) = &self.inner.net else { return false };
        let mut all = net.there(Place::Machine(Machine::Server(id)));
        all.extend(["tc", "qdisc"].iter().chain(words).map(|word| (*word).to_owned()));
        let run = move || net::run(&all.iter().map(String::as_str).collect::<Vec<_>>(), "");
        let shaped = tokio::task::spawn_blocking(run).await.map_err(anyhow::Error::from).and_then(|ran| ran);
        self.must("slow link", shaped).is_some()
    }

    /// Halts a machine where it is. True if it ran.
    pub async fn pause(&self, machine: Machine) -> bool {
        if !more(&mut self.held().paused, machine) {
            return false;
        }
        match machine {
            Machine::Server(id) => self.field.servers.pause(id).await,
            Machine::Client(number) => {
                let frozen = self.field.clients.get(&number).is_some_and(crate::machines::Machine::freeze);
                if frozen {
                    self.field.recorder.condition(Condition::Paused(machine));
                }
                frozen
            }
        }
    }

    /// Ends one pause of a machine.
    pub async fn resume(&self, machine: Machine) {
        if !self.over() && less(&mut self.held().paused, &machine) {
            self.wake(machine).await;
        }
    }

    async fn wake(&self, machine: Machine) {
        match machine {
            Machine::Server(id) => {
                self.field.servers.resume(id).await;
            }
            Machine::Client(number) => {
                self.field.clients.get(&number).into_iter().for_each(crate::machines::Machine::thaw);
                self.field.recorder.condition(Condition::Up(machine));
            }
        }
    }

    /// Starts a server again after a fault, unless its disk is full or fails. When faults are over, it stays down unless it was mended.
    pub async fn boot(&self, id: u64) {
        let may = || {
            let held = self.held();
            let broken = held.full.contains_key(&id) || held.syncs_fail.contains_key(&id);
            !broken && (!self.over() || held.mended.contains(&id))
        };
        self.field.servers.boot(id, may).await;
    }

    /// Fills a server's disk to the last byte. Gives how much it took; 0 if it is full already, or can't be filled.
    pub fn fill(&self, id: u64) -> u64 {
        let Some(disk) = self.inner.disks.get(&id).filter(|disk| disk.is_small()) else { return 0 };
        if !more(&mut self.held().full, id) {
            return 0;
        }
        self.field.servers.excuse(id);
        self.must("disk", disk.fill()).unwrap_or_default()
    }

    /// There is room again, if nothing else has filled it.
    pub fn empty(&self, id: u64) {
        if !self.over() && less(&mut self.held().full, &id) {
            self.make_room(id);
        }
    }

    fn make_room(&self, id: u64) {
        if let Some(disk) = self.inner.disks.get(&id) {
            self.must("disk", disk.empty());
        }
    }

    /// A server's syncs take longer, or as long as ever. True if it can be told so, and runs.
    pub fn sync_time(&self, id: u64, longer_us: u64) -> bool {
        let longer_us = i64::try_from(longer_us).unwrap_or(i64::MAX);
        !self.over() && self.control(id, |told| told.delay_us = longer_us) && self.field.servers.is_up(id)
    }

    /// Syncs of a server fail: it may end by itself. True if it runs.
    pub fn fail_syncs(&self, id: u64) -> bool {
        if !self.inner.controls.contains_key(&id) || !more(&mut self.held().syncs_fail, id) {
            return false;
        }
        self.field.servers.excuse(id);
        self.control(id, |told| told.fails = true) && self.field.servers.is_up(id)
    }

    /// Ends one failure of syncs.
    pub fn work_syncs(&self, id: u64) {
        if !self.over() && less(&mut self.held().syncs_fail, &id) {
            self.control(id, |told| told.fails = false);
        }
    }

    /// A server's wall clock is ahead by this from now on. True if it can be told so, and runs.
    pub fn step(&self, id: u64, ahead_ms: i64) -> bool {
        self.control(id, |told| told.ahead_ms = ahead_ms) && self.field.servers.is_up(id)
    }

    fn control(&self, id: u64, change: impl FnOnce(&mut Told)) -> bool {
        let Some(control) = self.inner.controls.get(&id) else { return false };
        self.must("control", control.change(change)).is_some()
    }

    /// Mends everything, and (among these servers) processes that are down. Others stay as they are.
    pub async fn mend_all(&self, servers: &[u64]) {
        self.end();
        let (cut, paused, slow) = {
            let mut held = self.held();
            held.lost.clear();
            held.mended.extend(servers);
            let held = &mut *held;
            (std::mem::take(&mut held.cut), std::mem::take(&mut held.paused), std::mem::take(&mut held.slow))
        };
        self.build().await;
        cut.into_keys().for_each(|(from, to)| self.field.recorder.condition(Condition::Mended(from, to)));
        for id in slow.into_keys() {
            self.shape(id, &["del", "dev", LINK, "root"]).await;
        }
        for machine in paused.into_keys() {
            match machine {
                Machine::Server(id) if !servers.contains(&id) => {}
                machine => self.wake(machine).await,
            }
        }
        for id in servers {
            {
                let mut held = self.held();
                held.full.remove(id);
                held.syncs_fail.remove(id);
            }
            self.make_room(*id);
            self.control(*id, |told| (told.delay_us, told.fails) = (0, false));
            self.field.servers.resume(*id).await;
            self.field.servers.boot(*id, || true).await;
        }
    }

    /// What whoever tortures couldn't do is told as something that is wrong: nothing may pass because a fault failed.
    fn must<T>(&self, what: &'static str, done: Result<T>) -> Option<T> {
        let error = match done {
            Ok(done) => return Some(done),
            Err(error) => error,
        };
        self.field.servers.broken(what, format!("{error:#}"));
        None
    }
}
