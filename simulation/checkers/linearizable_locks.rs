//! To its users each lock is a set of owners that can share it: there is an order of all calls about it, in accord with real time, in which each answer
//! is right.
//!
//! Neither revisions nor the order of tokens play a part in it: a token is only a claim's name. A claim becomes an owner once, and leaves by a release,
//! with its session's closing, or with its session's end, which may come at any time after the lease could be over: its TTL after the last
//! acknowledged renewal was sent.

use std::collections::{BTreeMap, BTreeSet};

use super::Findings;
use super::facts::{Facts, say};
use super::leases::lease_ends;
use super::search::{Model, Order, Timed, search};
use crate::history::{Action, Answer, Call, Ended, Mode, Time};

/// For one lock.
const STEPS_MAX: u64 = 1_000_000;

#[derive(Clone, Debug)]
enum Op {
    /// It becomes an owner; the mode, if a call says it.
    Grant(u64, Option<Mode>),
    /// All of these leave that are there.
    Leave(BTreeSet<u64>),
    Owners(Vec<u64>),
    Owner(u64),
    NotOwner(u64),
}

/// The owners, and how they share.
type State = BTreeMap<u64, Option<Mode>>;

struct Lock {
    /// From when on a claim may go by itself.
    goes: BTreeMap<u64, Time>,
}

impl Model for Lock {
    type State = State;
    type Op = Op;

    fn step(&self, owners: &State, op: &Op) -> Option<State> {
        match op {
            Op::Grant(token, mode) => {
                let mut after = owners.clone();
                (fits(owners, *mode) && after.insert(*token, *mode).is_none()).then_some(after)
            }
            Op::Leave(tokens) => {
                Some(owners.iter().filter(|(token, _)| !tokens.contains(token)).map(|(k, v)| (*k, *v)).collect())
            }
            Op::Owners(said) => owners.keys().eq(said).then(|| owners.clone()),
            Op::Owner(token) => owners.contains_key(token).then(|| owners.clone()),
            Op::NotOwner(token) => (!owners.contains_key(token)).then(|| owners.clone()),
        }
    }

    fn reads_only(&self, op: &Op) -> bool {
        matches!(op, Op::Owners(_) | Op::Owner(_) | Op::NotOwner(_))
    }

    fn by_itself(&self, owners: &State, until: Time) -> Vec<State> {
        let gone = |token: &&u64| self.goes.get(token).is_some_and(|from| *from <= until);
        let without = |token: &u64| {
            let mut owners = owners.clone();
            owners.remove(token);
            owners
        };
        owners.keys().filter(gone).map(without).collect()
    }
}

fn fits(owners: &State, mode: Option<Mode>) -> bool {
    match mode {
        None => !owners.values().any(|other| *other == Some(Mode::Exclusive)),
        Some(Mode::Exclusive) => owners.is_empty(),
        Some(Mode::Shared) => owners.values().all(|other| matches!(other, None | Some(Mode::Shared))),
        Some(Mode::Permits(permits)) => {
            owners.len() < permits as usize
                && owners.values().all(|other| matches!(other, None | Some(Mode::Permits(_))))
        }
    }
}

/// One claim, as the calls tell of it.
struct Claim {
    mode: Option<Mode>,
    session: Option<u64>,
    start: Time,
    end: Time,
    goes: Option<Time>,
}

pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings) {
    let ends = lease_ends(facts.history);
    let mut locks: BTreeMap<&str, Vec<&Call>> = BTreeMap::new();
    let mut closing = Vec::new();
    for call in &facts.history.calls {
        match &call.action {
            Action::Acquire { lock, .. }
            | Action::Release { lock, .. }
            | Action::Describe { lock }
            | Action::Proclaim { lock, .. }
            | Action::FencedPut { lock, .. } => locks.entry(lock).or_default().push(call),
            Action::CloseSession { session } if !matches!(call.ended, Ended::Refused(_)) => {
                closing.push((*session, call))
            }
            _ => {}
        }
    }
    for (lock, calls) in locks {
        check_lock(facts, (lock, &calls), &closing, &ends, findings);
    }
}

fn check_lock(
    facts: &Facts<'_>,
    (lock, calls): (&str, &[&Call]),
    closing: &[(u64, &Call)],
    ends: &BTreeMap<u64, Time>,
    findings: &mut Findings,
) {
    let mut claims = claims(calls);
    let mut ops: Vec<(Timed<Op>, &Call)> = Vec::new();
    let must = |call: &'_ Call, op| Timed { start: call.start, end: call.end, op };
    for call in calls {
        ops.extend(op_of(call, &mut claims).map(|op| (must(call, op), *call)));
    }
    for (session, call) in closing {
        let theirs = claims.iter_mut().filter(|(_, claim)| claim.session == Some(*session));
        if call.ended == Ended::Unknown {
            theirs.for_each(|(_, claim)| claim.may_go(call.start));
            continue;
        }
        let tokens: BTreeSet<u64> = theirs.map(|(token, _)| *token).collect();
        if !tokens.is_empty() {
            ops.push((must(call, Op::Leave(tokens)), call));
        }
    }
    let mut goes = BTreeMap::new();
    for (token, claim) in &mut claims {
        match claim.session.map(|session| ends.get(&session)) {
            Some(Some(end)) => claim.may_go(*end),
            // Nothing is known of its session: it may go at any time.
            Some(None) | None => claim.may_go(0),
        }
        // A latch gives up by itself, and no call of its user's says so; then the log alone knows since when.
        if let Some(ended) = facts.claims.get(token).and_then(|claim| claim.ended) {
            claim.may_go(facts.gone_at(ended));
        }
        goes.extend(claim.goes.map(|goes| (*token, goes)));
        let first = calls.iter().find(|call| tells_of(call, *token)).copied();
        let timed = Timed { start: claim.start, end: claim.end, op: Op::Grant(*token, claim.mode) };
        ops.extend(first.map(|call| (timed, call)));
    }
    ops.sort_by_key(|(timed, _)| timed.start);
    let (timed, calls): (Vec<_>, Vec<_>) = ops.into_iter().unzip();
    match search(&Lock { goes }, &timed, State::new(), STEPS_MAX) {
        Order::Legal => {}
        Order::TooLong => findings.unknown(format!("{lock}: no order in {STEPS_MAX} steps")),
        Order::None { stuck, state } => {
            let (op, call, owners) = (&timed[stuck].op, calls[stuck], state.keys().collect::<Vec<_>>());
            let what =
                format!("{lock}: no order of the calls explains {op:?} of {}; owners could be {owners:?}", say(call));
            findings.broken(call.end, what);
        }
    }
}

impl Claim {
    fn may_go(&mut self, from: Time) {
        self.goes = Some(self.goes.map_or(from, |goes| goes.min(from)));
    }
}

/// All claims that calls saw as owners, and when they must have become that.
fn claims(calls: &[&Call]) -> BTreeMap<u64, Claim> {
    let mut claims: BTreeMap<u64, Claim> = BTreeMap::new();
    for call in calls {
        match (&call.action, &call.ended) {
            (Action::Acquire { mode, session, .. }, Ended::Ok(Answer::Token { token })) => {
                let new = Claim { mode: None, session: None, start: call.start, end: call.end, goes: None };
                let claim = claims.entry(*token).or_insert(new);
                (claim.mode, claim.session) = (Some(*mode), Some(*session));
                claim.start = claim.start.min(call.start);
                claim.end = claim.end.min(call.end);
            }
            (Action::Describe { .. }, Ended::Ok(Answer::Queue { owners, .. })) => {
                for token in owners {
                    // Perhaps a claim whose acquisition had no answer: nobody knows when it was made.
                    let new = Claim { mode: None, session: None, start: 0, end: call.end, goes: None };
                    let claim = claims.entry(*token).or_insert(new);
                    claim.end = claim.end.min(call.end);
                }
            }
            _ => {}
        }
    }
    // One that somebody saw before its own call ended was still made by that call or an earlier one without an answer.
    for call in calls.iter().filter(|call| call.ended == Ended::Unknown) {
        if let Action::Acquire { session, .. } = &call.action {
            let same = claims.values_mut().filter(|claim| claim.session == Some(*session));
            same.for_each(|claim| claim.start = claim.start.min(call.start));
        }
    }
    for call in calls {
        if let (Action::Acquire { .. }, Ended::Ok(Answer::Token { token })) = (&call.action, &call.ended)
            && let Some(claim) = claims.get_mut(token)
            && claim.start == 0
        {
            claim.start = call.start;
        }
    }
    claims
}

fn op_of(call: &Call, claims: &mut BTreeMap<u64, Claim>) -> Option<Op> {
    match (&call.action, &call.ended) {
        (Action::Acquire { .. }, Ended::Ok(Answer::Token { token })) => Some(Op::Owner(*token)),
        (Action::Release { token, .. }, Ended::Ok(_)) => Some(Op::Leave(BTreeSet::from([*token]))),
        (Action::Release { token, .. }, Ended::Unknown) => {
            claims.get_mut(token)?.may_go(call.start);
            None
        }
        (Action::Describe { .. }, Ended::Ok(Answer::Queue { owners, .. })) => {
            let mut owners = owners.clone();
            owners.sort_unstable();
            Some(Op::Owners(owners))
        }
        (Action::Proclaim { token, .. }, Ended::Ok(_)) => claims.contains_key(token).then_some(Op::Owner(*token)),
        (Action::FencedPut { token, .. }, Ended::Ok(answer)) => {
            claims.get(token)?;
            Some(if matches!(answer, Answer::Unchanged { .. }) { Op::NotOwner(*token) } else { Op::Owner(*token) })
        }
        _ => None,
    }
}

fn tells_of(call: &Call, wanted: u64) -> bool {
    match &call.ended {
        Ended::Ok(Answer::Token { token }) => *token == wanted,
        Ended::Ok(Answer::Queue { owners, .. }) => owners.contains(&wanted),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::hand::*;
    use super::check;
    use crate::history::*;

    const X: Mode = Mode::Exclusive;
    const SECOND: u64 = 1_000_000_000;

    /// With sessions 1 to 4, which were opened at 0 and live 10 s, in nanoseconds that are seconds here.
    fn locks(list: Vec<Call>) -> History {
        let scale = |call: Call| Call { start: call.start * SECOND, end: call.end * SECOND, ..call };
        let mut history = calls(list.into_iter().map(scale).collect());
        history.renewals =
            (1..=4).map(|session| Renewed { session, ttl_ms: 10_000, sent: 0, acknowledged: 1 }).collect();
        history
    }

    #[test]
    fn handing_over_is_accepted() {
        accepts(
            check,
            &locks(vec![
                call(1, 1, 2, acquire("l", X, 1), token(5)),
                call(2, 1, 5, acquire("l", X, 2), token(6)),
                call(3, 2, 3, describe("l"), owners(&[5], 0)),
                call(1, 3, 4, release("l", 1, 5), done()),
                call(3, 5, 6, describe("l"), owners(&[6], 0)),
                call(2, 6, 7, fenced("l", 6, "k", "v"), wrote(0)),
                call(1, 6, 7, fenced("l", 5, "k", "w"), unchanged(0)),
            ]),
        );
    }

    #[test]
    fn sharing_is_accepted_and_too_many_are_rejected() {
        let taken = |modes: &[Mode]| {
            let both = (1..).zip(modes).map(|(n, mode)| call(n as u32, n, n + 1, acquire("l", *mode, n), token(n)));
            locks(both.collect())
        };
        accepts(check, &taken(&[Mode::Shared, Mode::Shared, Mode::Shared]));
        accepts(check, &taken(&[Mode::Permits(2), Mode::Permits(2)]));
        rejects(check, &taken(&[Mode::Permits(2), Mode::Permits(2), Mode::Permits(2)]), "no order");
        rejects(check, &taken(&[Mode::Shared, X]), "no order");
        rejects(check, &taken(&[X, Mode::Shared]), "no order");
        rejects(check, &taken(&[X, X]), "no order");
    }

    #[test]
    fn an_owner_may_be_gone_when_its_lease_can_be_over_and_no_sooner() {
        let next =
            |at| locks(vec![call(1, 1, 2, acquire("l", X, 1), token(5)), call(2, 3, at, acquire("l", X, 2), token(6))]);
        rejects(check, &next(9), "no order");
        accepts(check, &next(11));
        let mut renewed = next(11);
        renewed.renewals.push(Renewed { session: 1, ttl_ms: 10_000, sent: 3 * SECOND, acknowledged: 4 * SECOND });
        rejects(check, &renewed, "no order");
    }

    #[test]
    fn what_is_unknown_may_have_been_done() {
        let first = || call(1, 1, 2, acquire("l", X, 1), token(5));
        let next = || call(2, 5, 6, acquire("l", X, 2), token(6));
        accepts(check, &locks(vec![first(), call(1, 3, 4, release("l", 1, 5), Ended::Unknown), next()]));
        accepts(
            check,
            &locks(vec![first(), call(1, 3, 4, Action::CloseSession { session: 1 }, Ended::Unknown), next()]),
        );
        accepts(check, &locks(vec![first(), call(1, 3, 4, Action::CloseSession { session: 1 }, done()), next()]));
        rejects(check, &locks(vec![first(), call(1, 3, 4, release("l", 1, 5), refused()), next()]), "no order");
        // Seen by another, though its own client never heard of it.
        accepts(
            check,
            &locks(vec![
                call(1, 1, 2, acquire("l", X, 1), Ended::Unknown),
                call(2, 3, 4, describe("l"), owners(&[5], 0)),
                call(2, 5, 6, describe("l"), owners(&[], 0)),
            ]),
        );
    }

    #[test]
    fn owners_that_come_back_or_stay_are_rejected() {
        let first = || vec![call(1, 1, 2, acquire("l", X, 1), token(5)), call(1, 3, 4, release("l", 1, 5), done())];
        for (action, ended) in [
            (describe("l"), owners(&[5], 0)),
            (fenced("l", 5, "k", "v"), wrote(0)),
            (Action::Proclaim { lock: "l".into(), token: 5, value: "v".into() }, done()),
        ] {
            let mut list = first();
            list.push(call(2, 5, 6, action, ended));
            rejects(check, &locks(list), "no order");
        }
        let held =
            |action, ended| locks(vec![call(1, 1, 2, acquire("l", X, 1), token(5)), call(2, 3, 4, action, ended)]);
        rejects(check, &held(describe("l"), owners(&[], 0)), "no order");
        rejects(check, &held(fenced("l", 5, "k", "v"), unchanged(0)), "no order");
        rejects(check, &held(describe("l"), owners(&[5, 6], 0)), "no order");
    }

    #[test]
    fn many_that_wait_long_are_decided() {
        let mut list = Vec::new();
        for n in 1..1500u64 {
            let client = (n % 32) as u32;
            list.push(call(client, n.saturating_sub(31) * 10, n * 10 + 2, acquire("l", X, 1), token(n)));
            list.push(call(client, n * 10 + 3, n * 10 + 8, release("l", 1, n), done()));
        }
        let mut history = calls(list);
        history.renewals = vec![Renewed { session: 1, ttl_ms: 10_000, sent: 0, acknowledged: 1 }];
        accepts(check, &history);
    }
}
