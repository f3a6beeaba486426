//! A history as single events, each with its moment and its place.

use std::collections::{BTreeMap, btree_map::Entry as Place};

use super::words;
use crate::history::{Applied, Condition, Entry, History, Machine, Server, Time, say_term};

/// Where something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// In the world: faults, and links.
    World,
    /// On a server.
    Server(Server),
    /// At the clients.
    Clients,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Time,
    /// Where.
    pub lane: Lane,
    /// What.
    pub text: String,
}

/// All events of a history, in order of time. What a server applied without anything between is one event.
#[must_use]
pub fn events(history: &History) -> Vec<Event> {
    let mut all = Events::default();
    all.faults(history);
    all.conditions(history);
    all.leaders(history);
    all.applied(history);
    all.calls(history);
    all.beliefs(history);
    all.watches(history);
    for tried in &history.liveness {
        all.add(tried.from, Lane::Clients, format!("must work from here on: {}", tried.what));
        if let Some(done) = tried.done {
            all.add(done, Lane::Clients, format!("works: {}", tried.what));
        }
    }
    // Stable: what happened at the same moment stays in the order in which it was told.
    all.0.sort_by_key(|event| event.at);
    all.0
}

/// All servers that a history knows, in order.
#[must_use]
pub fn servers(history: &History) -> Vec<Server> {
    let mut all: Vec<Server> = history.applied.iter().map(|by| by.server).collect();
    all.extend(history.leaders.iter().map(|led| led.server));
    all.extend(history.conditions.iter().filter_map(|changed| match changed.now {
        Condition::Up(Machine::Server(id)) | Condition::Down(Machine::Server(id)) => Some(id),
        _ => None,
    }));
    all.sort_unstable();
    all.dedup();
    all
}

/// When each entry was applied for the first time anywhere.
#[must_use]
pub fn first_applied(history: &History) -> BTreeMap<u64, Time> {
    let mut first = BTreeMap::new();
    for by in &history.applied {
        let at = first.entry(by.index).or_insert(by.at);
        *at = by.at.min(*at);
    }
    first
}

#[derive(Default)]
struct Events(Vec<Event>);

impl Events {
    fn add(&mut self, at: Time, lane: Lane, text: String) {
        self.0.push(Event { at, lane, text });
    }

    fn faults(&mut self, history: &History) {
        for fault in &history.faults {
            let none = if fault.effective { "" } else { " (without effect)" };
            // The words may begin with the kind already.
            let what = fault.what.strip_prefix(fault.kind).unwrap_or(&fault.what).trim_start();
            self.add(fault.at, Lane::World, format!("{} {what}{none}", fault.kind));
        }
    }

    fn conditions(&mut self, history: &History) {
        for changed in &history.conditions {
            let at = changed.at;
            match changed.now {
                Condition::Up(machine) => self.machine(at, machine, "UP"),
                Condition::Down(machine) => self.machine(at, machine, "DOWN"),
                Condition::Paused(machine) => self.machine(at, machine, "PAUSED"),
                Condition::Cut(from, to) => self.link(at, "cut", from, to),
                Condition::Mended(from, to) => self.link(at, "mended", from, to),
            }
        }
    }

    fn machine(&mut self, at: Time, machine: Machine, word: &str) {
        match machine {
            Machine::Server(id) => self.add(at, Lane::Server(id), word.to_owned()),
            Machine::Client(client) => self.add(at, Lane::Clients, format!("{client}: {word}")),
        }
    }

    /// A partition is many links at one moment, and one event.
    fn link(&mut self, at: Time, verb: &str, from: Machine, to: Machine) {
        let link = format!("{}→{}", machine(from), machine(to));
        match self.0.last_mut() {
            Some(last) if last.at == at && last.lane == Lane::World && last.text.starts_with(verb) => {
                last.text.push(' ');
                last.text.push_str(&link);
            }
            _ => self.add(at, Lane::World, format!("{verb} {link}")),
        }
    }

    fn leaders(&mut self, history: &History) {
        for led in &history.leaders {
            self.add(led.from, Lane::Server(led.server), format!("LEADS in term {}", say_term(led.term)));
        }
    }

    fn applied(&mut self, history: &History) {
        let mut told = BTreeMap::new();
        // The run of entries that each server is in: where its event stands, and the first and the last index.
        let mut runs: BTreeMap<Server, (usize, u64, u64)> = BTreeMap::new();
        for by in &history.applied {
            let news = match (told.entry(by.index), history.entries.get(&by.index)) {
                (Place::Vacant(place), Some(entry)) if !by.installed => {
                    place.insert(());
                    news(entry)
                }
                _ => String::new(),
            };
            let lane = Lane::Server(by.server);
            if by.installed {
                runs.remove(&by.server);
                self.add(by.at, lane, format!("installed a snapshot of {}", by.index));
                continue;
            }
            match runs.get_mut(&by.server) {
                Some((place, from, until)) if news.is_empty() && by.index == *until + 1 && self.near(*place, by) => {
                    *until = by.index;
                    self.0[*place].text = format!("applied {from}–{until}");
                }
                _ => {
                    runs.insert(by.server, (self.0.len(), by.index, by.index));
                    self.add(by.at, lane, format!("applied {}{news}", by.index));
                    if !news.is_empty() {
                        runs.remove(&by.server);
                    }
                }
            }
        }
    }

    /// Close enough to be one event: within a twentieth of a second.
    fn near(&self, place: usize, by: &Applied) -> bool {
        self.0.get(place).is_some_and(|event| by.at.saturating_sub(event.at) < super::SECOND / 20)
    }

    fn calls(&mut self, history: &History) {
        for call in &history.calls {
            let what = words::action(&call.action);
            self.add(call.start, Lane::Clients, format!("{}: {what} …", call.client));
            let ended = words::ended(&call.ended);
            self.add(call.end, Lane::Clients, format!("{}: {what} → {ended}", call.client));
        }
    }

    /// The first and the last moment of each belief.
    fn beliefs(&mut self, history: &History) {
        let mut spans: BTreeMap<(u32, &str, u64), (Time, Time)> = BTreeMap::new();
        for belief in &history.beliefs {
            let span = spans.entry((belief.client, &belief.lock, belief.token)).or_insert((belief.at, belief.at));
            span.1 = belief.at;
        }
        for ((client, lock, token), (first, last)) in spans {
            self.add(first, Lane::Clients, format!("{client}: sees itself as owner of {lock}, token {token}"));
            if last > first {
                let text = format!("{client}: saw itself for the last time as owner of {lock}, token {token}");
                self.add(last, Lane::Clients, text);
            }
        }
    }

    fn watches(&mut self, history: &History) {
        for watch in &history.watches {
            let name = format!("{}: watch {}", watch.client, watch.prefix);
            let from = if watch.from == 0 { "now".to_owned() } else { format!("revision {}", watch.from) };
            self.add(watch.start, Lane::Clients, format!("{name} from {from} …"));
            for (at, told) in &watch.told {
                self.add(*at, Lane::Clients, format!("{name} → {}", words::told(told)));
            }
        }
    }
}

/// A machine in a link: `2` is a server, `c2` a client.
#[must_use]
pub fn machine(machine: Machine) -> String {
    match machine {
        Machine::Server(id) => id.to_string(),
        Machine::Client(client) => format!("c{client}"),
    }
}

/// What an entry did to sessions and locks.
fn news(entry: &Entry) -> String {
    let mut news = String::new();
    for session in &entry.expired {
        news.push_str(&format!("; session {session} EXPIRES"));
    }
    for (lock, _, token) in &entry.ended {
        news.push_str(&format!("; {lock}: {token} ends"));
    }
    for (lock, session, token) in &entry.granted {
        news.push_str(&format!("; {lock}: {token} OWNS, session {session}"));
    }
    news
}
