//! What the log did, by what followers were told of it: an entry for each revision. Who owns what is worked out by the rules of queues, which are
//! simple: the owners are the longest prefix of a queue that can share. What servers answered about owners is then held against that.
//!
//! Entries that changed no key aren't seen: openings and renewals of sessions, and ends of sessions without keys.

use std::collections::{BTreeMap, BTreeSet};

use ringfence_simulation::{
    checkers::Broken,
    history::{Action, Answer, Call, Ended, Entry, History, Mode, Time, Told},
};

use crate::scroll::{ByRevision, Change};

/// A claim in its queue.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Claim {
    session: u64,
    mode: Mode,
    owner: bool,
}

/// The claims of one name, by token.
type Queue = BTreeMap<u64, Claim>;

/// What is known of all queues at a revision.
#[derive(Default)]
struct Queues {
    by_name: BTreeMap<String, Queue>,
    /// Names and tokens of the claims' keys that are there.
    keys: BTreeMap<String, (String, u64)>,
}

/// The log as entries, numbered by revisions.
#[must_use]
pub fn entries(told: &ByRevision, calls: &[Call]) -> BTreeMap<u64, Entry> {
    let known = Known::of(calls);
    let mut queues = Queues::default();
    let entries = told.iter().map(|(revision, (at, changes))| (*revision, queues.entry(*at, changes, &known)));
    entries.collect()
}

/// What calls tell of the ends of sessions and claims.
struct Known {
    /// Sessions that somebody closed, or may have, and since when.
    closed: BTreeMap<u64, Time>,
    /// Tokens that somebody gave back, or may have, and since when.
    released: BTreeMap<u64, Time>,
    /// Tokens that somebody was told, of locks: a latch acts by itself.
    held: BTreeSet<u64>,
}

impl Known {
    fn of(calls: &[Call]) -> Self {
        let mut known = Self { closed: BTreeMap::new(), released: BTreeMap::new(), held: BTreeSet::new() };
        let first = |times: &mut BTreeMap<u64, Time>, of: u64, start: Time| {
            times.entry(of).and_modify(|first| *first = start.min(*first)).or_insert(start);
        };
        for call in calls {
            match (&call.action, &call.ended) {
                (Action::CloseSession { session }, _) => first(&mut known.closed, *session, call.start),
                (Action::Release { token, .. }, _) => first(&mut known.released, *token, call.start),
                (Action::Acquire { lock, .. }, Ended::Ok(Answer::Token { token })) if lock.starts_with("l/") => {
                    known.held.extend([*token]);
                }
                _ => {}
            }
        }
        known
    }

    /// Whether somebody may have closed the session by then.
    fn closed_by(&self, session: u64, at: Time) -> bool {
        self.closed.get(&session).is_some_and(|start| *start <= at)
    }

    /// Whether somebody may have given the claim back by then.
    fn released_by(&self, token: u64, at: Time) -> bool {
        self.released.get(&token).is_some_and(|start| *start <= at)
    }
}

impl Queues {
    /// What these changes did, of which somebody was told at this moment.
    fn entry(&mut self, at: Time, changes: &[Change], known: &Known) -> Entry {
        let mut entry = Entry::default();
        let mut touched = BTreeSet::new();
        let mut expired = BTreeSet::new();
        for change in changes {
            let version = &change.version;
            entry.changes.push(version.clone());
            match &version.value {
                Some(value) if change.claimed_by != 0 && change.first => {
                    let Some((name, _)) = version.key.rsplit_once('/') else { continue };
                    let (token, session) = (version.revision, change.claimed_by);
                    // Only locks of the workload say how they are shared; all others are for one.
                    let mode = value.parse().unwrap_or(Mode::Exclusive);
                    self.keys.insert(version.key.clone(), (name.to_owned(), token));
                    let claim = Claim { session, mode, owner: false };
                    self.by_name.entry(name.to_owned()).or_default().insert(token, claim);
                    entry.claimed.push((name.to_owned(), session, token, mode));
                    touched.insert(name.to_owned());
                }
                Some(_) => {}
                None => {
                    let Some((name, token)) = self.keys.remove(&version.key) else {
                        expired.extend(session_of(&version.key).filter(|session| !known.closed_by(*session, at)));
                        continue;
                    };
                    let claim = self.by_name.get_mut(&name).and_then(|queue| queue.remove(&token));
                    let Some(claim) = claim else { continue };
                    let given_back = known.released_by(token, at) || known.closed_by(claim.session, at);
                    expired.extend((known.held.contains(&token) && !given_back).then_some(claim.session));
                    entry.ended.push((name.clone(), claim.session, token));
                    touched.insert(name);
                }
            }
        }
        entry.expired.extend(expired);
        for name in touched {
            let Some(queue) = self.by_name.get_mut(&name) else { continue };
            let granted = grant(queue).into_iter().map(|(token, session)| (name.clone(), session, token));
            entry.granted.extend(granted);
        }
        entry
    }

    /// Owners and waiters of a name, oldest first.
    fn describe(&self, name: &str) -> (Vec<u64>, Vec<u64>) {
        let claims = self.by_name.get(name).into_iter().flatten();
        let (owners, waiters): (Vec<_>, Vec<_>) = claims.partition(|(_, claim)| claim.owner);
        let tokens = |claims: Vec<(&u64, &Claim)>| claims.into_iter().map(|(token, _)| *token).collect();
        (tokens(owners), tokens(waiters))
    }
}

/// Makes those owners whose turn it is, and tells who is new among them.
fn grant(queue: &mut Queue) -> Vec<(u64, u64)> {
    let mut granted = Vec::new();
    let Some(first) = queue.values().next().map(|claim| claim.mode) else { return granted };
    for (owners, (token, claim)) in queue.iter_mut().enumerate() {
        let fits = match (claim.mode, first) {
            _ if owners == 0 => true,
            (Mode::Shared, Mode::Shared) => true,
            (Mode::Permits(_), Mode::Permits(permits)) => owners < permits as usize,
            _ => false,
        };
        if !fits {
            break;
        }
        if !std::mem::replace(&mut claim.owner, true) {
            granted.push((*token, claim.session));
        }
    }
    granted
}

/// Whose key this is, if it is one that goes with its session and in no other way.
fn session_of(key: &str) -> Option<u64> {
    let (session, _) = key.strip_prefix("s/")?.split_once('/')?;
    u64::from_str_radix(session, 16).ok()
}

/// Who describes a lock is shown exactly its queue at the revision that is named.
#[must_use]
pub fn described(told: &ByRevision, calls: &[Call]) -> Vec<Broken> {
    let known = Known::of(&[]);
    let mut asked: Vec<(u64, &Call)> = calls
        .iter()
        .filter_map(|call| match &call.ended {
            Ended::Ok(Answer::Queue { revision, .. }) => Some((*revision, call)),
            _ => None,
        })
        .collect();
    asked.sort_by_key(|(revision, _)| *revision);
    let mut told = told.iter().peekable();
    let mut queues = Queues::default();
    let mut wrong = Vec::new();
    for (at, call) in asked {
        while let Some((_, (then, changes))) = told.next_if(|(revision, _)| **revision <= at) {
            queues.entry(*then, changes, &known);
        }
        let (Action::Describe { lock }, Ended::Ok(Answer::Queue { owners, waiters, .. })) = (&call.action, &call.ended)
        else {
            continue;
        };
        let there = queues.describe(lock);
        if (owners, waiters) != (&there.0, &there.1) {
            let what = format!("{lock} at revision {at}: owners and waiters were {there:?}: {call:?}");
            wrong.push(Broken { checker: "described", at: call.end, what });
        }
    }
    wrong
}

/// Moments by which each revision had surely been applied somewhere: somebody was told of it, or of a later one.
#[must_use]
pub fn known(history: &History, heard: &[(Time, u64)]) -> Vec<(u64, Time)> {
    let mut heard = heard.to_vec();
    for call in &history.calls {
        match &call.ended {
            Ended::Ok(Answer::Token { token }) => heard.push((call.end, *token)),
            Ended::Ok(Answer::Wrote { revision }) if !matches!(call.action, Action::Compact { .. }) => {
                heard.push((call.end, *revision));
            }
            Ended::Ok(
                Answer::Unchanged { revision } | Answer::Read { revision, .. } | Answer::Queue { revision, .. },
            ) => heard.push((call.end, *revision)),
            _ => {}
        }
    }
    for (at, told) in history.watches.iter().flat_map(|watch| &watch.told) {
        match told {
            Told::Snapshot { revision, .. } | Told::Progress { revision } => heard.push((*at, *revision)),
            Told::Events(events) => heard.extend(events.last().map(|event| (*at, event.revision))),
            Told::Compacted { .. } | Told::Failed(_) => {}
        }
    }
    heard.extend(history.observed.iter().map(|observed| (observed.at, observed.revision)));
    heard.sort_unstable();
    let mut known = Vec::new();
    let mut newest = 0;
    for (at, revision) in heard {
        known.extend((newest + 1..=revision).map(|revision| (revision, at)));
        newest = revision.max(newest);
    }
    known
}

#[cfg(test)]
mod tests;
