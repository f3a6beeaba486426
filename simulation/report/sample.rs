//! A small history written by hand, for tests: server 1 leads, is cut off and killed; 2 takes over, and the lock `l` moves.

use std::{collections::BTreeMap, time::Duration};

use super::{Figures, Run, SECOND};
use crate::{
    checkers::{Broken, Verdict},
    history::{
        Action, Answer, Applied, Belief, Call, Changed, Condition, Ended, Entry, Fault, History, Led, Machine, Mode,
        Time, Told, Version, Watch,
    },
};

fn call(client: u32, start: Time, end: Time, action: Action, ended: Ended) -> Call {
    Call { client, start: start * SECOND, end: end * SECOND, action, ended }
}

fn applied(server: u64, at: Time, index: u64, installed: bool) -> Applied {
    Applied { server, life: 1, at: at * SECOND, index, hash: index, revision: index, installed }
}

fn calls() -> Vec<Call> {
    let open = || Action::OpenSession { ttl_ms: 1000 };
    let admin = |what: &str| Action::Admin { what: what.to_owned() };
    let put = Action::Put { key: "k".to_owned(), value: "v".to_owned(), session: 0 };
    vec![
        call(1, 0, 1, open(), Ended::Ok(Answer::Session { id: 11 })),
        call(2, 0, 1, open(), Ended::Ok(Answer::Session { id: 12 })),
        call(1, 3, 4, put, Ended::Unknown),
        call(2, 3, 4, Action::Delete { key: "k".to_owned() }, Ended::Refused("unavailable".to_owned())),
        call(2, 4, 5, admin("add 4"), Ended::Ok(Answer::Done)),
        call(2, 5, 6, admin("transfer 3"), Ended::Ok(Answer::Done)),
    ]
}

fn entries() -> BTreeMap<u64, Entry> {
    let first =
        Entry { opened: vec![(11, 1000), (12, 1000)], granted: vec![("l".to_owned(), 11, 5)], ..Entry::default() };
    let second = Entry {
        expired: vec![11],
        ended: vec![("l".to_owned(), 11, 5)],
        granted: vec![("l".to_owned(), 12, 6)],
        ..Entry::default()
    };
    BTreeMap::from([(1, first), (2, second), (3, Entry::default())])
}

/// See the module.
pub fn history() -> History {
    let servers = [1, 2, 3].map(Machine::Server);
    let mut conditions: Vec<Changed> = servers.map(|server| Changed { at: 0, now: Condition::Up(server) }).into();
    let mut changed = |at: Time, now| conditions.push(Changed { at: at * SECOND, now });
    for other in &servers[1..] {
        changed(2, Condition::Cut(servers[0], *other));
        changed(2, Condition::Cut(*other, servers[0]));
    }
    changed(4, Condition::Down(servers[0]));
    for other in &servers[1..] {
        changed(7, Condition::Mended(servers[0], *other));
        changed(7, Condition::Mended(*other, servers[0]));
    }
    let events = vec![Version { revision: 6, key: "k".to_owned(), value: Some("v".to_owned()) }];
    let belief = |client, token, at: Time| {
        let lock = "l".to_owned();
        Belief { client, lock, mode: Mode::Exclusive, token, at: at * SECOND }
    };
    let watch = Watch {
        client: 2,
        start: SECOND,
        prefix: "k".to_owned(),
        from: 0,
        snapshot: false,
        told: vec![(5 * SECOND, Told::Events(events)), (6 * SECOND, Told::Progress { revision: 6 })],
        to_the_end: true,
    };
    let fault =
        |at: Time, kind, what: &str, effective| Fault { at: at * SECOND, kind, what: what.to_owned(), effective };
    History {
        calls: calls(),
        beliefs: vec![belief(1, 5, 2), belief(1, 5, 3), belief(2, 6, 5)],
        watches: vec![watch],
        entries: entries(),
        applied: vec![
            applied(1, 1, 1, false),
            applied(2, 4, 2, false),
            applied(2, 4, 3, false),
            applied(3, 5, 3, true),
        ],
        leaders: vec![
            Led { server: 1, term: 1, from: SECOND / 2, until: 4 * SECOND },
            Led { server: 2, term: 2, from: 3 * SECOND, until: 8 * SECOND },
        ],
        faults: vec![
            fault(2, "alone", "server 1 & nobody <else>", true),
            fault(4, "kill", "server 1", true),
            fault(5, "kill", "server 1", false),
        ],
        conditions,
        end: 8 * SECOND,
        ..History::default()
    }
}

/// One promise broken, one not decided.
pub fn verdict() -> Verdict {
    let broken = Broken { checker: "one owner", at: 5 * SECOND, what: "1 and 2 own `l` <both>".to_owned() };
    Verdict { broken: vec![broken], unknown: vec![("linearizable", "too many calls at once".to_owned())] }
}

/// The figures of the history.
pub fn figures() -> Figures {
    Figures::of(&history(), &BTreeMap::from([("a leader fell", 3)]))
}

/// The history as a seed that failed.
pub fn run() -> Run {
    Run::of(42, 0xabc, &verdict(), Duration::from_millis(1500), figures())
}
