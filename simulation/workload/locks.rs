//! Locks under contention: tried, waited for, given up, held for a while, given back, dropped, and abandoned so that they expire.

use std::time::Duration;

use ringfence_client::{Lock, LockGuard, LockMode, Op, Session, Txn};

use super::{
    Sharing, ended,
    hand::{Hand, Watchful},
    keys::conditional,
};
use crate::{
    history::{Action, Answer, Ended, Mode},
    place,
};

/// The name of a lock, from 0.
pub(super) fn name(number: usize) -> String {
    format!("l/{number}")
}

/// A lock, and how it is to be taken.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) lock: String,
    pub(super) mode: Mode,
}

/// A worker that takes locks, some of them within one session, and then ends that.
pub(super) async fn locker(mut hand: Hand) {
    while !hand.stopped() {
        if hand.chance(0.15) {
            one_turn(&mut hand, None).await;
            hand.pause().await;
            continue;
        }
        let Some(session) = hand.open_session().await else {
            hand.pause().await;
            continue;
        };
        if some_turns(&mut hand, &session).await {
            hand.end_session(session).await;
        }
    }
}

/// Several turns within one session. False if the last of them abandoned it.
async fn some_turns(hand: &mut Hand, session: &Session) -> bool {
    for _ in 0..hand.below(20) + 1 {
        if hand.stopped() || !session.is_valid() {
            break;
        }
        if !one_turn(hand, Some(session)).await {
            return false;
        }
        hand.pause().await;
    }
    true
}

/// Takes a lock, holds it, and gives it back one way or the other. False if it was abandoned together with its session.
async fn one_turn(hand: &mut Hand, session: Option<&Session>) -> bool {
    let wanted = wanted(hand);
    let Some(guard) = take(hand, &wanted, session).await else { return true };
    hold(hand, &wanted, &guard).await;
    let token = guard.token();
    let given_back = leave(hand, &wanted, guard).await;
    if hand.chance(0.1) {
        // Who doesn't know that its time is over.
        late(hand, &wanted.lock, token).await;
    }
    given_back
}

fn wanted(hand: &mut Hand) -> Wanted {
    let number = hand.common.weights.locks.len();
    let number = hand.below(number);
    let mode = match hand.common.weights.locks.get(number) {
        Some(Sharing::Readers(share)) => match hand.chance(*share) {
            true => Mode::Shared,
            false => Mode::Exclusive,
        },
        Some(Sharing::Permits(permits)) => Mode::Permits(*permits),
        Some(Sharing::Exclusive) | None => Mode::Exclusive,
    };
    Wanted { lock: name(number), mode }
}

/// Takes it, or doesn't: it may not be free, or the wait is given up.
async fn take(hand: &mut Hand, wanted: &Wanted, session: Option<&Session>) -> Option<LockGuard> {
    let only_if_free = hand.chance(0.25);
    let lock = ready(hand, wanted, session);
    let subject = session.map_or(0, Session::id);
    let action = Action::Acquire {
        lock: wanted.lock.clone(),
        mode: wanted.mode,
        session: subject,
        // The client draws it.
        suffix: String::new(),
        only_if_free,
    };
    let asked = Watchful::new(subject);
    let token = |guard: &LockGuard| Answer::Token { token: guard.token() };
    if only_if_free {
        let failed = |error: &_| ended::repeated(error, asked.all_answered());
        return hand.call(action, lock.try_acquire(), token, failed).await.ok();
    }
    let bound = hand.time(20.0, 8_000.0);
    let given_up = match hand.chance(hand.common.weights.cancelled) {
        true => hand.time(1.0, 3_000.0),
        // A wait that no bound ends is given up as well, later.
        false => Duration::from_secs(15),
    };
    let lock = match hand.chance(0.6) {
        true => lock.wait(bound),
        false => lock,
    };
    let failed = |error: &_| match error {
        // A claim that was in the queue for a while had an effect.
        ringfence_client::Error::Unavailable { .. } | ringfence_client::Error::Refused { .. } => {
            ended::repeated(error, asked.all_answered())
        }
        _ => Ended::Unknown,
    };
    let wait = hand.call(action, lock.acquire(), token, failed);
    let granted = hand.common.stop.or(tokio::time::timeout(given_up, wait)).await;
    granted?.ok()?.ok()
}

fn ready(hand: &mut Hand, wanted: &Wanted, session: Option<&Session>) -> Lock {
    let mode = match wanted.mode {
        Mode::Exclusive => LockMode::Exclusive,
        Mode::Shared => LockMode::Shared,
        Mode::Permits(permits) => LockMode::Semaphore(permits),
    };
    let lock = place::marked(hand.client().lock(&wanted.lock).mode(mode), wanted.mode);
    match session {
        Some(session) => lock.session(session),
        None => {
            let ttl = hand.ttl();
            lock.ttl(ttl)
        }
    }
}

/// Holds it for a while, looking now and then whether it is still held, and writing what it protects.
async fn hold(hand: &mut Hand, wanted: &Wanted, guard: &LockGuard) {
    let longest = hand.common.weights.hold_ms_max;
    let until = tokio::time::Instant::now() + hand.time(1.0, longest);
    while believe(hand, wanted, guard) && !hand.stopped() {
        let left = until.saturating_duration_since(tokio::time::Instant::now());
        if left.is_zero() {
            break;
        }
        let pause = hand.time(1.0, 400.0).min(left);
        hand.stop().sleep(pause).await;
        if believe(hand, wanted, guard) {
            match hand.below(8) {
                0 | 1 => fenced_put(hand, &wanted.lock, guard.token()).await,
                2 => write_register(hand, &wanted.lock, guard.token()).await,
                _ => {}
            }
        }
    }
}

fn believe(hand: &Hand, wanted: &Wanted, guard: &LockGuard) -> bool {
    place::looked_at(hand.recorder(), guard.session());
    hand.recorder().belief(hand.me(), &wanted.lock, wanted.mode, guard.token(), || guard.is_valid())
}

/// Gives it back: released, dropped, or left to expire with its session (then false).
async fn leave(hand: &mut Hand, wanted: &Wanted, guard: LockGuard) -> bool {
    let (session, token) = (guard.session().id(), guard.token());
    let action = Action::Release { lock: wanted.lock.clone(), session, token };
    let abandoned = hand.common.weights.abandoned;
    if !hand.stopped() && hand.chance(abandoned * 0.3) && place::abandon(guard.session()) {
        // It goes on believing until its lease runs out.
        while believe(hand, wanted, &guard) && !hand.stopped() {
            let pause = hand.time(5.0, 500.0).min(guard.remaining());
            hand.stop().sleep(pause).await;
        }
        return false;
    } else if hand.chance(0.15) {
        // The client releases it in the background.
        drop(hand.recorder().call(hand.me(), action));
        drop(guard);
    } else {
        let asked = Watchful::new(session);
        let failed = |error: &_| ended::pursued(error, asked.all_answered());
        hand.call(action, guard.release(), |()| Answer::Done, failed).await.ok();
    }
    true
}

/// Writes with a token that may be nobody's by now.
async fn late(hand: &mut Hand, lock: &str, token: u64) {
    let pause = hand.time(1.0, 2_000.0);
    hand.stop().sleep(pause).await;
    match hand.chance(0.5) {
        true => fenced_put(hand, lock, token).await,
        false => write_register(hand, lock, token).await,
    }
}

/// Writes a key if the token is an owner's.
pub(super) async fn fenced_put(hand: &mut Hand, lock: &str, token: u64) {
    let (key, value) = (format!("f/{lock}"), hand.value());
    let txn = Txn::new().when_holds(lock, token).then(Op::put(&key, &value));
    let kv = hand.client().kv();
    let action = Action::FencedPut { lock: lock.to_owned(), token, key, value };
    hand.call(action, kv.txn(txn), conditional, ended::write).await.ok();
}

/// Writes into the register that the lock protects. The write is on its way for a while, mostly short.
pub(super) async fn write_register(hand: &mut Hand, lock: &str, token: u64) {
    let open = hand.recorder().call(hand.me(), Action::Register { lock: lock.to_owned(), token });
    let way = hand.time(0.1, 1_500.0);
    tokio::time::sleep(way).await;
    open.end(match hand.common.registers.write(lock, token) {
        true => Ended::Ok(Answer::Done),
        false => Ended::Refused("lower_token".to_owned()),
    });
}
