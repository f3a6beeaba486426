//! Links that are cut or slow, and the fates of messages.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use madsim::net::NetSim;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use ringfence_probes::hooks::{Fate, Message};

use super::{Machine, World};
use crate::history::Condition;

/// How likely each fate of a message is; the rest arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Odds {
    /// It arrives late, up to [`Odds::late_max`].
    pub delay: f64,
    /// It arrives twice, the second time late.
    pub twice: f64,
    /// It never arrives, and the sender learns that.
    pub lose: f64,
    /// Its answer never arrives.
    pub lose_answer: f64,
    /// It never arrives, and the sender waits to its deadline.
    pub hang: f64,
    /// The longest delay.
    pub late_max: Duration,
}

/// What messages suffer in general.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MessageFaults {
    /// Between servers.
    pub servers: Odds,
    /// From clients to servers.
    pub clients: Odds,
}

/// The state of the network beyond what madsim keeps.
pub(super) struct Net {
    chance: SmallRng,
    faults: MessageFaults,
    slow: BTreeMap<(Machine, Machine), Duration>,
    /// How long syncs of disks take: an entry waits for them as for a link.
    syncs: BTreeMap<u64, Duration>,
    cut: BTreeSet<(Machine, Machine)>,
    /// How many messages had another fate than to arrive at once.
    pub(super) troubled: BTreeMap<&'static str, u64>,
}

impl Net {
    pub(super) fn new(seed: u64) -> Self {
        let chance = SmallRng::seed_from_u64(seed ^ 0x6e65_7477_6f72_6b73);
        Self {
            chance,
            faults: MessageFaults::default(),
            slow: BTreeMap::new(),
            syncs: BTreeMap::new(),
            cut: BTreeSet::new(),
            troubled: BTreeMap::new(),
        }
    }

    /// How entries come through between servers.
    fn weather(&self) -> (Duration, bool) {
        let links =
            self.slow.iter().filter(|((from, to), _)| matches!((from, to), (Machine::Server(_), Machine::Server(_))));
        let odds = &self.faults.servers;
        let late = if odds.delay + odds.twice > 0.0 { odds.late_max } else { Duration::ZERO };
        let slowest = links.map(|(_, late)| *late).max().unwrap_or_default();
        let sync = self.syncs.values().copied().max().unwrap_or_default();
        (slowest + late + sync, odds.lose + odds.lose_answer + odds.hang > 0.0)
    }

    /// Draws a message's fate.
    pub(super) fn fate(&mut self, from: Machine, message: Message) -> Fate {
        let to = Machine::Server(message.to);
        // A new call over a cut link fails at once in madsim, where reality doesn't answer.
        // What is on an open stream stalls there, as on a connection of TCP.
        if !matches!(message.kind, "stream" | "snapshot") {
            if self.cut.contains(&(from, to)) {
                return Fate::Hang;
            }
            if self.cut.contains(&(to, from)) {
                return Fate::LoseAnswer;
            }
        }
        let odds = if message.from == 0 { self.faults.clients } else { self.faults.servers };
        // Nothing between members but raft itself is made for duplicates, and TCP makes none.
        let fate = match self.draw(&odds) {
            Fate::Twice(late) if !matches!(message.kind, "vote" | "append") => Fate::Delay(late),
            fate => fate,
        };
        let slow = self.slow.get(&(from, to)).copied().unwrap_or_default();
        let (fate, name) = match fate {
            Fate::Deliver if slow.is_zero() => return Fate::Deliver,
            Fate::Deliver => (Fate::Delay(slow), "slow"),
            Fate::Delay(late) => (Fate::Delay(late + slow), "delayed"),
            Fate::Twice(late) => (Fate::Twice(late), "twice"),
            Fate::Lose => (Fate::Lose, "lost"),
            Fate::LoseAnswer => (Fate::LoseAnswer, "answer lost"),
            Fate::Hang => (Fate::Hang, "hung"),
        };
        *self.troubled.entry(name).or_default() += 1;
        fate
    }

    fn draw(&mut self, odds: &Odds) -> Fate {
        if *odds == Odds::default() {
            return Fate::Deliver;
        }
        let mut draw: f64 = self.chance.random();
        let late = odds.late_max.mul_f64(self.chance.random());
        let fates = [
            (odds.delay, Fate::Delay(late)),
            (odds.twice, Fate::Twice(late)),
            (odds.lose, Fate::Lose),
            (odds.lose_answer, Fate::LoseAnswer),
            (odds.hang, Fate::Hang),
        ];
        for (odds, fate) in fates {
            if draw < odds {
                return fate;
            }
            draw -= odds;
        }
        Fate::Deliver
    }
}

impl World {
    /// Cuts or mends one direction of a link. False if it was so already.
    pub fn link(&self, from: Machine, to: Machine, up: bool) -> bool {
        let mut inner = self.inner();
        let (Some(one), Some(other)) = (inner.machines.get(&from).copied(), inner.machines.get(&to).copied()) else {
            return false;
        };
        let changed = if up { inner.net.cut.remove(&(from, to)) } else { inner.net.cut.insert((from, to)) };
        if changed {
            let net = NetSim::current();
            if up {
                net.unclog_link(one, other)
            } else {
                net.clog_link(one, other)
            }
            let condition = if up { Condition::Mended } else { Condition::Cut };
            self.recorder().condition(condition(from, to));
        }
        changed
    }

    /// Makes messages in one direction late by so much; zero makes it a good link again.
    pub fn slow_link(&self, from: Machine, to: Machine, late: Duration) -> bool {
        let before = {
            let slow = &mut self.inner().net.slow;
            if late.is_zero() { slow.remove(&(from, to)) } else { slow.insert((from, to), late) }
        };
        self.note_weather();
        before.unwrap_or_default() != late
    }

    /// Syncs of a server's disk take this long. False if there is no such server.
    pub fn sync_time(&self, id: u64, time: Duration) -> bool {
        let Some(disk) = self.disk(id) else { return false };
        disk.set_sync_time(time);
        self.inner().net.syncs.insert(id, time);
        self.note_weather();
        true
    }

    fn note_weather(&self) {
        let (late, lossy) = self.inner().net.weather();
        self.recorder().weather(late, lossy);
    }

    /// What messages suffer from now on.
    pub fn messages(&self, faults: MessageFaults) {
        self.inner().net.faults = faults;
        self.note_weather();
    }

    /// How many messages had another fate than to arrive at once, by fate.
    #[must_use]
    pub fn troubled(&self) -> BTreeMap<&'static str, u64> {
        self.inner().net.troubled.clone()
    }

    /// Links of one direction that are cut now.
    #[must_use]
    pub fn cuts(&self) -> usize {
        self.inner().net.cut.len()
    }

    /// Mends all links, and lets all messages arrive.
    pub fn heal_network(&self) {
        let (cut, slow) = {
            let inner = self.inner();
            (inner.net.cut.clone(), inner.net.slow.clone())
        };
        for (from, to) in cut {
            self.link(from, to, true);
        }
        for (from, to) in slow.into_keys() {
            self.slow_link(from, to, Duration::ZERO);
        }
        self.messages(MessageFaults::default());
    }

    /// Cuts or mends every link between the one side and the other, in both directions.
    pub fn links(&self, one_side: &[Machine], other_side: &[Machine], up: bool) {
        for one in one_side {
            for other in other_side {
                self.link(*one, *other, up);
                self.link(*other, *one, up);
            }
        }
    }
}
