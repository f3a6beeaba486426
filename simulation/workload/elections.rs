//! Elections: candidates that stand, lead, proclaim, resign, and lose; and those who observe them.

use std::time::Duration;

use rand::RngExt;
use ringfence_client::LeaderLatch;

use super::{
    ended,
    hand::{Hand, Watchful},
    locks::{fenced_put, write_register},
};
use crate::history::{Action, Answer, Ended, Mode, Observed, Time};

/// The name of an election, from 0.
pub(super) fn name(number: usize) -> String {
    format!("e/{number}")
}

/// A worker that stands in elections, one after the other.
pub(super) async fn candidate(mut hand: Hand) {
    while !hand.stopped() {
        let number = hand.common.weights.elections as usize;
        let election = name(hand.below(number));
        stand(&mut hand, &election).await;
        hand.pause().await;
    }
}

/// One candidacy, through all leaderships that it wins.
async fn stand(hand: &mut Hand, election: &str) {
    let until = tokio::time::Instant::now() + hand.time(500.0, 20_000.0);
    // From when on the claim of the next leadership may have been made: a latch stands again by itself.
    let mut since = hand.recorder().now();
    let value = hand.value();
    let ttl = hand.ttl();
    let latch = hand.client().latch(election).value(value).ttl(ttl).start();
    loop {
        let left = until.saturating_duration_since(tokio::time::Instant::now());
        let waited = tokio::time::timeout(left, latch.wait_for_leadership());
        let Some(Ok(Ok(token))) = hand.stop().or(waited).await else {
            stood(hand, election, 0, since, Ended::Unknown);
            break;
        };
        let session = latch.claim().filter(|claim| claim.token == token).map_or(0, |claim| claim.session);
        stood(hand, election, session, since, Ended::Ok(Answer::Token { token }));
        since = hand.recorder().now();
        if lead(hand, &latch, election, session, token, until).await {
            resign(hand, latch, election, session, token).await;
            return;
        }
    }
}

/// Records that a claim was made at some time since then.
fn stood(hand: &Hand, election: &str, session: u64, since: Time, ended: Ended) {
    let action = Action::Acquire {
        lock: election.to_owned(),
        mode: Mode::Exclusive,
        session,
        suffix: String::new(),
        only_if_free: false,
    };
    hand.recorder().call_since(hand.me(), since, action).end(ended);
}

/// Leads for a while. True if it still leads then, false if it lost its leadership.
async fn lead(
    hand: &mut Hand,
    latch: &LeaderLatch,
    election: &str,
    session: u64,
    token: u64,
    until: tokio::time::Instant,
) -> bool {
    while tokio::time::Instant::now() < until && !hand.stopped() {
        let pause = hand.time(5.0, 1_000.0);
        hand.stop().sleep(pause).await;
        if !believe(hand, latch, election, token) {
            return false;
        }
        match hand.below(8) {
            0 | 1 => proclaim(hand, latch, election, session, token).await,
            2 => fenced_put(hand, election, token).await,
            3 => write_register(hand, election, token).await,
            _ => {}
        }
    }
    believe(hand, latch, election, token)
}

fn believe(hand: &Hand, latch: &LeaderLatch, election: &str, token: u64) -> bool {
    let leads = || latch.has_leadership() && latch.token() == Some(token);
    hand.recorder().belief(hand.me(), election, Mode::Exclusive, token, leads)
}

async fn proclaim(hand: &Hand, latch: &LeaderLatch, election: &str, session: u64, token: u64) {
    let value = hand.value();
    let action = Action::Proclaim { lock: election.to_owned(), token, value: value.clone() };
    let asked = Watchful::new(session);
    let failed = |error: &_| ended::repeated(error, asked.all_answered());
    hand.call(action, latch.proclaim(value), |()| Answer::Done, failed).await.ok();
}

async fn resign(hand: &mut Hand, latch: LeaderLatch, election: &str, session: u64, token: u64) {
    let action = Action::Release { lock: election.to_owned(), session, token };
    match hand.chance(0.2) {
        true => {
            // It resigns in the background.
            drop(hand.recorder().call(hand.me(), action));
            drop(latch);
        }
        false => {
            let failed = |_: &_| Ended::Unknown;
            hand.call(action, latch.close(), |()| Answer::Done, failed).await.ok();
        }
    }
}

/// A worker that observes elections.
pub(super) async fn observer(mut hand: Hand) {
    while !hand.stopped() {
        let number = hand.common.weights.elections as usize;
        let election = name(hand.below(number));
        let mut observer = hand.client().election(&election).observe();
        let time = hand.time(500.0, 30_000.0);
        let number = hand.rng.random();
        let observing = async {
            while let Some(Ok(view)) = observer.next().await {
                hand.saw(view.revision);
                let recorder = hand.recorder();
                recorder.observed(Observed {
                    client: hand.me(),
                    observer: number,
                    at: recorder.now(),
                    election: election.clone(),
                    leader: view.leader.map(|leader| leader.token),
                    revision: view.revision,
                });
            }
        };
        hand.stop().or(tokio::time::timeout(time, observing)).await;
        hand.stop().sleep(Duration::from_millis(100)).await;
    }
}
