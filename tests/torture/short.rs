//! The program for a moment, as a person would run it: a round passes with faults that had an effect, and leaves nothing behind. And that what cuts a link
//! really does.
#![cfg(not(madsim))]

use std::{
    net::UdpSocket,
    process::{Command, Output},
    sync::mpsc,
    time::Duration,
};

use ringfence_simulation::history::Machine;
use ringfence_torture::{
    firewall::{Firewall, Wanted},
    machines,
    net::{self, Net, Place},
};

/// Names are unique per run, so that two don't meet.
fn name(what: &str) -> String {
    format!("{what}-{:x}", std::process::id())
}

fn torture(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_torture")).args(words).output().expect("the program runs")
}

fn ringfenced_is_there() -> bool {
    ringfence_cluster::binary::find("ringfenced", ringfence_cluster::binary::VARIABLE).is_ok()
}

#[test]
fn a_round_on_loopback_passes_and_says_what_it_did() {
    if !ringfenced_is_there() {
        return;
    }
    let name = name("short");
    let ran = torture(&["--rounds", "1", "--seconds", "8", "--seed", "5", "--loopback", "--name", &name, "--json"]);
    let (text, said) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{text}\n{said}");
    assert!(text.contains("\"passed\":true") && text.contains("\"totals\""), "{text}\n{said}");
    assert!(!std::env::temp_dir().join(format!("rf-{name}")).exists(), "something is left behind");
}

#[test]
fn what_is_no_choice_is_refused() {
    assert_eq!(torture(&["--nodes", "2"]).status.code(), Some(2));
    assert_eq!(torture(&["--without", "rain"]).status.code(), Some(2));
}

/// A packet from one server to the other; whether it arrives.
fn arrives(from: &machines::Machine, to: &machines::Machine, address: (std::net::Ipv4Addr, u16)) -> bool {
    let (ready, is_ready) = mpsc::channel();
    let (tell, told) = mpsc::channel();
    to.handle().spawn(async move {
        let socket = UdpSocket::bind(address).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a limit");
        ready.send(()).expect("somebody listens");
        tell.send(socket.recv_from(&mut [0; 8]).is_ok()).expect("somebody listens");
    });
    is_ready.recv().expect("a socket");
    from.handle().spawn(async move {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
        socket.send_to(b"x", address).expect("a packet leaves");
    });
    told.recv().expect("an answer")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_cut_link_stops_what_goes_one_way_and_counts_it() {
    if let Some(why) = net::why_not() {
        eprintln!("no networks here: {why}");
        return;
    }
    let name = name("cut");
    let net = Net::make(&name, 2, 1).expect("networks");
    let place = |id| Place::Machine(Machine::Server(id));
    let start = |id| machines::Machine::start("server", Some(&net.file(place(id)))).expect("a machine");
    let (one, two) = (start(1), start(2));
    let to_one = || arrives(&two, &one, (net::address(place(1)), 7000));
    let to_two = || arrives(&one, &two, (net::address(place(2)), 7000));
    let before = (to_one(), to_two());
    let firewall = Firewall::new(net.clone(), vec![1, 2]);
    let link = (Machine::Server(1), Machine::Server(2));
    firewall.set(&Wanted { cut: [link].into(), lost: Vec::new() }).await.expect("rules");
    let cut = (to_one(), to_two());
    let dropped = firewall.dropped().await.expect("counters").on(&[link]);
    firewall.set(&Wanted::default()).await.expect("rules");
    let after = (to_one(), to_two());
    let kept = firewall.dropped().await.expect("counters").on(&[link]);
    drop((one, two));
    net::remove(&name);
    assert_eq!((before, cut, after), ((true, true), (true, false), (true, true)));
    assert_eq!((dropped, kept), (1, 1));
}
