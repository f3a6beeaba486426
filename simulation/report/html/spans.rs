//! A history as stretches of time: what a server was, who could talk to whom, who owned what.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    history::{Action, Answer, Call, Condition, Ended, History, Machine, Server, Time},
    report::events::{first_applied, machine},
};

/// What a server was during a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Was {
    /// It ran.
    Up,
    /// It stood still.
    Paused,
}

/// A stretch of time with something about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span<T> {
    /// From when.
    pub from: Time,
    /// Until when.
    pub until: Time,
    /// What.
    pub what: T,
}

/// When a machine ran and when it stood still; it was down for the rest.
#[must_use]
pub fn lives(history: &History, of: Machine) -> Vec<Span<Was>> {
    let mut spans: Vec<Span<Was>> = Vec::new();
    let mut now: Option<(Time, Was)> = None;
    let mut turn = |at: Time, next: Option<Was>| {
        if let Some((from, what)) = now.take() {
            spans.push(Span { from, until: at, what });
        }
        now = next.map(|what| (at, what));
    };
    for changed in &history.conditions {
        match changed.now {
            Condition::Up(one) if one == of => turn(changed.at, Some(Was::Up)),
            Condition::Paused(one) if one == of => turn(changed.at, Some(Was::Paused)),
            Condition::Down(one) if one == of => turn(changed.at, None),
            _ => {}
        }
    }
    turn(history.end, None);
    spans
}

/// How a machine was connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connected {
    /// The side of a partition of the servers that it was on, counted from 0; `None` where there is only one side, or for a client.
    pub side: Option<usize>,
    /// Its links that were cut, in words.
    pub cut: Vec<String>,
}

/// The stretches in which links of a machine were cut, or the servers were parted.
#[must_use]
pub fn connections(history: &History, servers: &[Server], of: Machine) -> Vec<Span<Connected>> {
    let mut spans: Vec<Span<Connected>> = Vec::new();
    let mut cut: BTreeSet<(Machine, Machine)> = BTreeSet::new();
    let mut since = 0;
    let mut changes =
        history.conditions.iter().filter(|c| matches!(c.now, Condition::Cut(..) | Condition::Mended(..))).peekable();
    loop {
        let until = changes.peek().map_or(history.end, |changed| changed.at);
        let now = connected(&cut, servers, of);
        let worth_telling = now.side.is_some() || !now.cut.is_empty();
        if until > since && worth_telling {
            match spans.last_mut() {
                Some(last) if last.until == since && last.what == now => last.until = until,
                _ => spans.push(Span { from: since, until, what: now }),
            }
        }
        since = until;
        match changes.next().map(|changed| changed.now) {
            Some(Condition::Cut(from, to)) => _ = cut.insert((from, to)),
            Some(Condition::Mended(from, to)) => _ = cut.remove(&(from, to)),
            Some(_) => {}
            None => return spans,
        }
    }
}

fn connected(cut: &BTreeSet<(Machine, Machine)>, servers: &[Server], of: Machine) -> Connected {
    let mine = cut.iter().filter(|(from, to)| *from == of || *to == of);
    let cut_links = mine.map(|(from, to)| format!("{}→{}", machine(*from), machine(*to))).collect();
    let Machine::Server(id) = of else { return Connected { side: None, cut: cut_links } };
    // Who reaches whom over links that work in both directions.
    let linked = |one: Server, other: Server| {
        let (one, other) = (Machine::Server(one), Machine::Server(other));
        !cut.contains(&(one, other)) && !cut.contains(&(other, one))
    };
    let mut sides: Vec<BTreeSet<Server>> = Vec::new();
    for server in servers {
        let (mut joined, apart): (Vec<_>, Vec<_>) =
            sides.into_iter().partition(|side| side.iter().any(|other| linked(*server, *other)));
        let mut side: BTreeSet<Server> = joined.drain(..).flatten().collect();
        side.insert(*server);
        sides = apart;
        sides.push(side);
    }
    sides.sort_by_key(|side| side.first().copied());
    let side = sides.iter().position(|side| side.contains(&id)).filter(|_| sides.len() > 1);
    Connected { side, cut: cut_links }
}

/// A time as owner of a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The client, if it is known whose session it was.
    pub client: Option<u32>,
    /// The session.
    pub session: u64,
    /// The token.
    pub token: u64,
    /// From when to when the client was seen to believe in it.
    pub believed: Option<(Time, Time)>,
}

/// Whose session each is, as their clients were told.
#[must_use]
pub fn sessions_clients(history: &History) -> BTreeMap<u64, u32> {
    let whose = |call: &Call| match (&call.action, &call.ended) {
        (Action::OpenSession { .. }, Ended::Ok(Answer::Session { id })) => Some((*id, call.client)),
        (Action::Acquire { session, .. }, _) => Some((*session, call.client)),
        _ => None,
    };
    history.calls.iter().filter_map(whose).collect()
}

/// Owners of each lock.
#[must_use]
pub fn owners(history: &History) -> BTreeMap<String, Vec<Span<Owner>>> {
    let applied = first_applied(history);
    let clients = sessions_clients(history);
    let mut locks: BTreeMap<String, Vec<Span<Owner>>> = BTreeMap::new();
    for (index, entry) in &history.entries {
        let at = time_of(&applied, *index, history.end);
        for (lock, _, token) in &entry.ended {
            let all = locks.get_mut(lock).into_iter().flatten();
            if let Some(owner) = all.rev().find(|owner| owner.what.token == *token) {
                owner.until = at;
            }
        }
        for (lock, session, token) in &entry.granted {
            let (client, session, token) = (clients.get(session).copied(), *session, *token);
            let what = Owner { client, session, token, believed: None };
            locks.entry(lock.clone()).or_default().push(Span { from: at, until: history.end, what });
        }
    }
    let mut believed: BTreeMap<(&str, u64), (Time, Time)> = BTreeMap::new();
    for belief in &history.beliefs {
        believed.entry((&belief.lock, belief.token)).or_insert((belief.at, belief.at)).1 = belief.at;
    }
    for (lock, spans) in &mut locks {
        for span in spans {
            span.what.believed = believed.get(&(lock.as_str(), span.what.token)).copied();
        }
    }
    locks
}

/// Sessions with the client whose it is, and whether each expired.
#[must_use]
pub fn sessions(history: &History) -> Vec<Span<(u64, Option<u32>, bool)>> {
    let applied = first_applied(history);
    let clients = sessions_clients(history);
    let mut open: BTreeMap<u64, Span<(u64, Option<u32>, bool)>> = BTreeMap::new();
    for (index, entry) in &history.entries {
        let at = time_of(&applied, *index, history.end);
        for (session, _) in &entry.opened {
            let what = (*session, clients.get(session).copied(), false);
            open.insert(*session, Span { from: at, until: history.end, what });
        }
        for session in &entry.expired {
            if let Some(span) = open.get_mut(session) {
                span.until = at;
                span.what.2 = true;
            }
        }
    }
    for call in &history.calls {
        if let (Action::CloseSession { session }, Ended::Ok(_)) = (&call.action, &call.ended)
            && let Some(span) = open.get_mut(session)
        {
            span.until = span.until.min(call.end);
        }
    }
    open.into_values().collect()
}

/// When an entry was applied first; if nobody applied it by itself, when the next one was.
fn time_of(applied: &BTreeMap<u64, Time>, index: u64, end: Time) -> Time {
    applied.range(index..).next().map_or(end, |(_, at)| *at)
}

/// Puts each span into the first row where nothing is in its way. Rows by place, and how many there are.
#[must_use]
pub fn rows<T>(spans: &[Span<T>]) -> (Vec<usize>, usize) {
    let mut ends: Vec<Time> = Vec::new();
    let mut places = Vec::new();
    for span in spans {
        let row = ends.iter().position(|end| *end <= span.from).unwrap_or(ends.len());
        if row == ends.len() {
            ends.push(0);
        }
        ends[row] = span.until;
        places.push(row);
    }
    (places, ends.len())
}
