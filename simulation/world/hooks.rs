//! What servers and clients tell from inside, and what they are told.

use std::{rc::Rc, sync::Weak, time::Duration};

use ringfence_probes::hooks::{self, Fate, Happening, Message};

use super::{Machine, Shared, World};
use crate::history;

/// Holds the world weakly: what it is asked outlives it in nobody.
struct Ear(Weak<Shared>);

/// From now on this world is told, and asked.
pub(super) fn listen(world: &World) {
    hooks::listen(Some(Rc::new(Ear(std::sync::Arc::downgrade(&world.shared)))));
}

impl Ear {
    fn world(&self) -> Option<World> {
        self.0.upgrade().map(|shared| World { shared })
    }

    /// The machine on which the current task runs.
    fn here(world: &World) -> Option<Machine> {
        world.inner().by_node.get(&madsim::plugin::node()).copied()
    }
}

impl hooks::World for Ear {
    fn happened(&self, happening: Happening) {
        let Some(world) = self.world() else { return };
        if let Some(Machine::Server(id)) = Self::here(&world) {
            world.tell(id, happening);
        }
    }

    fn fate(&self, message: Message) -> Fate {
        let Some(world) = self.world() else { return Fate::Deliver };
        let Some(from) = Self::here(&world) else { return Fate::Deliver };
        world.inner().net.fate(from, message)
    }

    fn drift_ppm(&self) -> i64 {
        let Some(world) = self.world() else { return 0 };
        let Some(here) = Self::here(&world) else { return 0 };
        world.inner().drift.get(&here).map_or(0, |drift| drift.ppm)
    }

    fn local_ns(&self) -> u64 {
        let Some(world) = self.world() else { return 0 };
        let now = world.recorder().now();
        let here = Self::here(&world);
        let inner = world.inner();
        here.and_then(|here| inner.drift.get(&here)).map_or(now, |drift| drift.local_ns(now))
    }

    fn renewed(&self, session: u64, ttl: Duration, sent_ns: u64) {
        let Some(world) = self.world() else { return };
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        world.recorder().renewed(session, ttl_ms, sent_ns);
    }

    fn voted(&self, term: u64, candidate: u64) {
        let Some(world) = self.world() else { return };
        if let Some(Machine::Server(id)) = Self::here(&world) {
            world.recorder().voted(id, history::term(term, candidate));
        }
    }
}

impl World {
    /// Something happened on a server.
    pub(super) fn tell(&self, id: u64, happening: Happening) {
        let now = self.recorder().now();
        let mut inner = self.inner();
        *inner.happened.entry(happening).or_default() += 1;
        inner.listeners.retain(|listener| listener.send((now, id, happening)).is_ok());
    }
}
