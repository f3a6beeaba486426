//! Networks of their own: a namespace for each machine, all on one bridge, which stands in a namespace too. The network of whoever runs this is
//! never touched.

use std::{
    io::Write,
    net::Ipv4Addr,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use ringfence_cluster::settings::MemberSettings;
use ringfence_simulation::history::Machine;

/// What is needed beside root.
const PROGRAMS: &[(&str, &str)] =
    &[("ip", "-Version"), ("tc", "-Version"), ("iptables-restore", "--version"), ("iptables-save", "--version")];
/// The link of a machine, in its own namespace.
pub const LINK: &str = "eth0";

/// Of each server, at its own address.
const CLIENT_PORT: u16 = 7601;
const PEER_PORT: u16 = 7611;

/// Who has a network of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A server or a client, which faults cut off.
    Machine(Machine),
    /// Whoever watches, whom nothing cuts off.
    Watcher,
}

/// The networks of a run. They stay until [`remove`].
#[derive(Clone, Debug)]
pub struct Net {
    run: String,
}

/// Why there can't be networks of their own here; `None` if there can.
#[must_use]
pub fn why_not() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("not root".to_owned());
    }
    let missing = PROGRAMS.iter().find(|(program, version)| {
        let tried = Command::new(program).arg(version).stdout(Stdio::null()).stderr(Stdio::null()).status();
        !tried.is_ok_and(|status| status.success())
    });
    missing.map(|(program, _)| format!("no {program}"))
}

/// Runs a program to its end.
///
/// # Errors
/// If it can't be started or fails, with what it said.
pub fn run(words: &[&str], input: &str) -> Result<String> {
    let [program, arguments @ ..] = words else { bail!("no program") };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {program}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).with_context(|| format!("write to {program}"))?;
    }
    let output = child.wait_with_output().with_context(|| format!("wait for {program}"))?;
    if !output.status.success() {
        bail!("{}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn prefix(run: &str) -> String {
    format!("rf-{run}-")
}

impl Net {
    /// Makes networks for these machines and for the watcher.
    ///
    /// # Errors
    /// If a part of it can't be made; what was made then is for [`remove`].
    pub fn make(name: &str, servers: u8, clients: u8) -> Result<Self> {
        let net = Self { run: name.to_owned() };
        let servers = (1..=u64::from(servers)).map(|id| Place::Machine(Machine::Server(id)));
        let clients = (1..=u32::from(clients)).map(|number| Place::Machine(Machine::Client(number)));
        let bridge = format!("{}br", prefix(name));
        run(&["ip", "netns", "add", &bridge], "")?;
        run(&["ip", "-n", &bridge, "-batch", "-"], "link add br0 type bridge\nlink set br0 up\n")?;
        for place in servers.chain(clients).chain([Place::Watcher]) {
            let (own, port, address) = (net.namespace(place), short(place), address(place));
            run(&["ip", "netns", "add", &own], "")?;
            run(
                &["ip", "-n", &own, "-batch", "-"],
                &format!(
                    "link add {LINK} type veth peer name {port} netns {bridge}\naddr add {address}/16 dev {LINK}\n\
                     link set {LINK} up\nlink set lo up\n"
                ),
            )?;
            run(&["ip", "-n", &bridge, "-batch", "-"], &format!("link set {port} master br0\nlink set {port} up\n"))?;
        }
        Ok(net)
    }

    /// The namespace's name.
    #[must_use]
    pub fn namespace(&self, place: Place) -> String {
        format!("{}{}", prefix(&self.run), short(place))
    }

    /// The namespace's file.
    #[must_use]
    pub fn file(&self, place: Place) -> PathBuf {
        PathBuf::from("/run/netns").join(self.namespace(place))
    }

    /// The words that start a command there.
    #[must_use]
    pub fn there(&self, place: Place) -> Vec<String> {
        ["ip", "netns", "exec"].iter().map(|word| (*word).to_owned()).chain([self.namespace(place)]).collect()
    }
}

fn short(place: Place) -> String {
    match place {
        Place::Machine(Machine::Server(id)) => format!("s{id}"),
        Place::Machine(Machine::Client(number)) => format!("c{number}"),
        Place::Watcher => "w".to_owned(),
    }
}

/// A machine's address in the networks of a run.
#[must_use]
pub fn address(place: Place) -> Ipv4Addr {
    let number = |number: u64| u8::try_from(number).unwrap_or(u8::MAX);
    match place {
        Place::Machine(Machine::Server(id)) => Ipv4Addr::new(10, 77, 0, number(id)),
        Place::Machine(Machine::Client(client)) => Ipv4Addr::new(10, 77, 1, number(client.into())),
        Place::Watcher => Ipv4Addr::new(10, 77, 2, 1),
    }
}

/// Servers as members of one cluster.
#[must_use]
pub fn members(servers: u8) -> Vec<MemberSettings> {
    let member = |id: u64| {
        let address = address(Place::Machine(Machine::Server(id)));
        MemberSettings {
            id,
            client_address: format!("{address}:{CLIENT_PORT}"),
            peer_address: format!("{address}:{PEER_PORT}"),
        }
    };
    (1..=u64::from(servers)).map(member).collect()
}

/// Which machine has this address.
#[must_use]
pub fn machine_at(address: Ipv4Addr) -> Option<Machine> {
    match address.octets() {
        [10, 77, 0, id] => Some(Machine::Server(id.into())),
        [10, 77, 1, number] => Some(Machine::Client(number.into())),
        _ => None,
    }
}

/// Processes that run in networks of this run: all of them are of its making.
#[must_use]
pub fn processes(name: &str) -> Vec<u32> {
    let pids = |namespace: &String| run(&["ip", "netns", "pids", namespace], "").unwrap_or_default();
    let text: String = namespaces(name).iter().map(pids).collect();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn namespaces(name: &str) -> Vec<String> {
    let list = run(&["ip", "netns", "list"], "").unwrap_or_default();
    let names = list.lines().filter_map(|line| line.split_whitespace().next());
    names.filter(|found| found.starts_with(&prefix(name))).map(ToOwned::to_owned).collect()
}

/// Takes away all networks of a run. What is in them goes with them.
pub fn remove(name: &str) {
    for namespace in namespaces(name) {
        if let Err(error) = run(&["ip", "netns", "del", &namespace], "") {
            eprintln!("{error:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_tells_its_machine() {
        for machine in [Machine::Server(5), Machine::Client(16)] {
            assert_eq!(machine_at(address(Place::Machine(machine))), Some(machine));
        }
        assert_eq!(machine_at(address(Place::Watcher)), None);
    }
}
