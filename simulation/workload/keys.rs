//! Writing keys: put, compare and set, delete, transactions, plain and within a session; and forgetting their history.

use ringfence_client::{Compare, Error, Kv, Op, Session, Txn};

use super::{
    draw, ended,
    hand::{Hand, Watchful},
};
use crate::{
    history::{Action, Answer},
    place,
};

/// The name of one of the keys that all write.
pub(super) fn key(number: u64) -> String {
    format!("k/{number}")
}

impl Hand {
    /// One of the keys, the first ones more often.
    pub(super) fn key(&mut self) -> String {
        let keys = self.common.weights.keys;
        key(draw::count(&mut self.rng, 1, keys))
    }
}

/// A worker that writes. `numbered`: within sessions, so that retries are recognised.
pub(super) async fn writer(mut hand: Hand, numbered: bool) {
    let mut session: Option<Session> = None;
    let mut known = None;
    while !hand.stopped() {
        if numbered && session.as_ref().is_none_or(|session| !session.is_valid()) {
            session = hand.open_session().await;
            if session.is_none() {
                hand.pause().await;
                continue;
            }
        }
        let kv = match &session {
            Some(session) => session.kv(),
            None => hand.client().kv(),
        };
        known = write(&mut hand, &kv, session.as_ref().map_or(0, Session::id), known).await;
        hand.pause().await;
        if hand.chance(0.01)
            && let Some(session) = session.take()
        {
            hand.end_session(session).await;
        }
    }
    if let Some(session) = session {
        hand.end_session(session).await;
    }
}

/// One write. Takes a key and the value that was last seen there, and gives one back.
async fn write(
    hand: &mut Hand,
    kv: &Kv,
    session: u64,
    known: Option<(String, Option<String>)>,
) -> Option<(String, Option<String>)> {
    let key = hand.key();
    let value = hand.value();
    match hand.below(10) {
        0..4 => {
            let done = put(hand, kv, session, &key, &value).await;
            done.is_ok().then_some((key, Some(value)))
        }
        4..7 => {
            // Mostly with what was seen last, so that it has a chance.
            let (key, expected) = known.unwrap_or((key, None));
            swap(hand, kv, key, expected, value).await
        }
        7..9 => {
            put_all(hand, kv).await;
            None
        }
        _ => {
            let done = delete(hand, kv, &key).await;
            done.is_ok().then_some((key, None))
        }
    }
}

/// Puts a key.
pub(super) async fn put(hand: &Hand, kv: &Kv, session: u64, key: &str, value: &str) -> Result<u64, Error> {
    let action = Action::Put { key: key.to_owned(), value: value.to_owned(), session };
    let answer = |done: &ringfence_client::PutResult| Answer::Wrote { revision: done.revision };
    Ok(hand.call(action, kv.put(key, value), answer, ended::write).await?.revision)
}

/// Writes a key if its value is as expected; reads it otherwise. Gives the key and what is there then.
async fn swap(
    hand: &Hand,
    kv: &Kv,
    key: String,
    expected: Option<String>,
    value: String,
) -> Option<(String, Option<String>)> {
    let compare = match &expected {
        Some(expected) => Compare::value(&key).equals(expected),
        None => Compare::absent(&key),
    };
    let txn = Txn::new().when(compare).then(Op::put(&key, &value)).otherwise(Op::get(&key));
    let action = Action::Swap { key: key.clone(), expected, value: value.clone() };
    let done = hand.call(action, kv.txn(txn), conditional, ended::write).await.ok()?;
    let there = match done.results.first() {
        _ if done.succeeded => Some(value),
        Some(ringfence_client::OpResult::Range(found)) => {
            found.kvs.first().map(|kv| String::from_utf8_lossy(&kv.value).into_owned())
        }
        _ => None,
    };
    Some((key, there))
}

async fn put_all(hand: &mut Hand, kv: &Kv) {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for _ in 0..hand.below(3) + 2 {
        let key = hand.key();
        if pairs.iter().all(|(other, _)| *other != key) {
            pairs.push((key, hand.value()));
        }
    }
    let txn = pairs.iter().fold(Txn::new(), |txn, (key, value)| txn.then(Op::put(key, value)));
    let answer = |done: &ringfence_client::TxnResult| Answer::Wrote { revision: done.revision };
    let done = hand.call(Action::PutAll { pairs }, kv.txn(txn), answer, ended::write).await;
    drop(done);
}

async fn delete(hand: &Hand, kv: &Kv, key: &str) -> Result<(), Error> {
    let answer = |done: &ringfence_client::DeleteResult| match done.deleted {
        0 => Answer::Unchanged { revision: done.revision },
        _ => Answer::Wrote { revision: done.revision },
    };
    let action = Action::Delete { key: key.to_owned() };
    hand.call(action, kv.delete(key), answer, ended::write).await?;
    Ok(())
}

/// What a transaction with a comparison did.
pub(super) fn conditional(done: &ringfence_client::TxnResult) -> Answer {
    match done.succeeded {
        true => Answer::Wrote { revision: done.revision },
        false => Answer::Unchanged { revision: done.revision },
    }
}

/// A worker that forgets history, some way behind the newest revision that its client has seen.
pub(super) async fn compactor(mut hand: Hand) {
    while !hand.stopped() {
        let pause = hand.time(300.0, 10_000.0);
        hand.stop().sleep(pause).await;
        let behind = draw::count(&mut hand.rng, 1, 300);
        let revision = place::forgettable(&hand.common.world, hand.seen().saturating_sub(behind));
        if revision == 0 || hand.stopped() {
            continue;
        }
        let kv = hand.client().kv();
        let asked = Watchful::new(0);
        let done = hand
            .call(
                Action::Compact { revision },
                kv.compact(revision),
                |_| Answer::Wrote { revision },
                |error| ended::repeated(error, asked.all_answered()),
            )
            .await;
        drop(done);
    }
}
