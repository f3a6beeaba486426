//! What servers' machines let through: links that are cut in one direction, and packets that are lost at random. The kernel counts what it drops, so that a
//! cut is known to have had an effect.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use anyhow::Result;
use ringfence_simulation::{history::Machine, schedule::Of};
use tokio::sync::Mutex;

use crate::net::{self, Net, Place};

/// From one machine to the other.
pub type Link = (Machine, Machine);

/// What is to be dropped.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// Links that are cut.
    pub cut: BTreeSet<Link>,
    /// Whose packets get lost, and how many of a thousand; one on top of the other.
    pub lost: Vec<(Of, u32)>,
}

/// Packets that were dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// By the link that was cut.
    pub cut: BTreeMap<Link, u64>,
    /// By chance.
    pub lost: u64,
}

impl Dropped {
    /// Those on these links.
    #[must_use]
    pub fn on(&self, links: &[Link]) -> u64 {
        let links: BTreeSet<&Link> = links.iter().collect();
        links.into_iter().filter_map(|link| self.cut.get(link)).sum()
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.cut.values().sum::<u64>() + self.lost
    }
}

/// The servers' walls.
#[derive(Debug)]
pub struct Firewall {
    net: Net,
    servers: Vec<u64>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The rules that are in force.
    rules: BTreeMap<u64, String>,
    /// What rules that are gone had dropped.
    before: Dropped,
}

impl Firewall {
    /// Walls that let everything through.
    #[must_use]
    pub fn new(net: Net, servers: Vec<u64>) -> Self {
        Self { net, servers, inner: Mutex::default() }
    }

    /// From now on this is dropped, and nothing else.
    ///
    /// # Errors
    /// If the rules can't be set.
    pub async fn set(&self, wanted: &Wanted) -> Result<()> {
        let mut inner = self.inner.lock().await;
        for id in &self.servers {
            let rules = rules(*id, wanted);
            if inner.rules.get(id) == Some(&rules) {
                continue;
            }
            // The counters go with the rules. The first rules replace those of nobody.
            if inner.rules.contains_key(id) {
                let counted = self.counted(*id).await?;
                add(&mut inner.before, counted);
            }
            self.there(*id, "iptables-restore", &format!("*filter\n{rules}COMMIT\n")).await?;
            inner.rules.insert(*id, rules);
        }
        Ok(())
    }

    /// What was dropped so far.
    ///
    /// # Errors
    /// If the counters can't be read.
    pub async fn dropped(&self) -> Result<Dropped> {
        let inner = self.inner.lock().await;
        let mut dropped = inner.before.clone();
        for id in inner.rules.keys() {
            add(&mut dropped, self.counted(*id).await?);
        }
        Ok(dropped)
    }

    async fn counted(&self, id: u64) -> Result<Dropped> {
        Ok(read(id, &self.there(id, "iptables-save", "").await?))
    }

    /// Runs a program of the walls on a server's machine.
    async fn there(&self, id: u64, program: &str, input: &str) -> Result<String> {
        let mut words = self.net.there(Place::Machine(Machine::Server(id)));
        words.push(program.to_owned());
        words.extend((program == "iptables-save").then(|| "-c".to_owned()));
        let input = input.to_owned();
        let run = move || net::run(&words.iter().map(String::as_str).collect::<Vec<_>>(), &input);
        tokio::task::spawn_blocking(run).await?
    }
}

/// The rules of one server's wall: each link is cut at the server that receives, or at the server that sends to a client.
fn rules(id: u64, wanted: &Wanted) -> String {
    let own = Machine::Server(id);
    let mut rules = String::new();
    for (from, to) in &wanted.cut {
        let at = |machine: &Machine| net::address(Place::Machine(*machine));
        match (from, to) {
            (from, to) if *to == own => rules.push_str(&format!("-A INPUT -s {}/32 -j DROP\n", at(from))),
            (from, to @ Machine::Client(_)) if *from == own => {
                rules.push_str(&format!("-A OUTPUT -d {}/32 -j DROP\n", at(to)));
            }
            _ => {}
        }
    }
    for (of, permille) in &wanted.lost {
        let share = f64::from((*permille).min(1000)) / 1000.0;
        let by_chance = format!("-m statistic --mode random --probability {share:.3} -j DROP\n");
        if matches!(of, Of::Raft | Of::Both) {
            rules.push_str(&format!("-A INPUT -s 10.77.0.0/24 {by_chance}"));
        }
        if matches!(of, Of::Calls | Of::Both) {
            rules.push_str(&format!("-A INPUT -s 10.77.1.0/24 {by_chance}-A OUTPUT -d 10.77.1.0/24 {by_chance}"));
        }
    }
    rules
}

/// Reads counters as `iptables-save -c` shows them.
fn read(id: u64, text: &str) -> Dropped {
    let own = Machine::Server(id);
    let mut dropped = Dropped::default();
    for line in text.lines().filter(|line| line.ends_with("-j DROP")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [counters, "-A", chain, _, address, ..] = words.as_slice() else { continue };
        let packets = counters.trim_start_matches('[').split(':').next().and_then(|number| number.parse().ok());
        let Some(packets) = packets.filter(|packets: &u64| *packets > 0) else { continue };
        let address = address.split('/').next().and_then(|address| address.parse::<Ipv4Addr>().ok());
        match address.and_then(net::machine_at).filter(|_| !line.contains("statistic")) {
            Some(other) => {
                let link = if *chain == "INPUT" { (other, own) } else { (own, other) };
                *dropped.cut.entry(link).or_default() += packets;
            }
            None => dropped.lost += packets,
        }
    }
    dropped
}

fn add(sum: &mut Dropped, more: Dropped) {
    for (link, packets) in more.cut {
        *sum.cut.entry(link).or_default() += packets;
    }
    sum.lost += more.lost;
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: fn(u64) -> Machine = Machine::Server;

    #[test]
    fn a_link_is_cut_in_one_direction_at_one_server() {
        let cut = [(SERVER(1), SERVER(2)), (Machine::Client(3), SERVER(2)), (SERVER(2), Machine::Client(4))].into();
        let wanted = Wanted { cut, lost: Vec::new() };
        assert_eq!(rules(1, &wanted), "");
        let two = rules(2, &wanted);
        assert_eq!(two.lines().count(), 3, "{two}");
        assert!(two.contains("-A INPUT -s 10.77.0.1/32 -j DROP\n"));
        assert!(two.contains("-A INPUT -s 10.77.1.3/32 -j DROP\n"));
        assert!(two.contains("-A OUTPUT -d 10.77.1.4/32 -j DROP\n"));
    }

    #[test]
    fn what_was_dropped_is_read_by_link() {
        let text = "*filter\n:INPUT ACCEPT [7:8]\n[5:145] -A INPUT -s 10.77.0.1/32 -j DROP\n[0:0] -A INPUT -s 10.77.0.3/32 -j DROP\n\
                    [2:90] -A OUTPUT -d 10.77.1.4/32 -j DROP\n\
                    [9:99] -A INPUT -s 10.77.0.0/24 -m statistic --mode random --probability 0.50000000000 -j DROP\nCOMMIT\n";
        let dropped = read(2, text);
        assert_eq!(dropped.cut, [((SERVER(1), SERVER(2)), 5), ((SERVER(2), Machine::Client(4)), 2)].into());
        assert_eq!(dropped.lost, 9);
        assert_eq!(dropped.all(), 16);
        assert_eq!(dropped.on(&[(SERVER(1), SERVER(2)), (SERVER(3), SERVER(2))]), 5);
    }
}
