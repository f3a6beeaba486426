//! Reading keys and locks: linearizably on every server, stale with and without a bound, and on purpose where leadership was just lost.

use std::time::Duration;

use ringfence_client::{Claim, Client, Error, GetOptions, KeyValue, RangeResult};
use ringfence_probes::hooks::Happening;

use super::{ended, hand::Hand};
use crate::history::{Action, Answer, Read, Seen};

/// A worker that reads.
pub(super) async fn reader(mut hand: Hand) {
    while !hand.stopped() {
        let client = match hand.chance(0.6) {
            true => match hand.any_server() {
                Some(server) => hand.at(server),
                None => hand.client(),
            },
            false => hand.client(),
        };
        let how = match hand.below(10) {
            0..6 => Read::Linearizable,
            6..9 => Read::Stale { min_revision: hand.seen() },
            _ => Read::Stale { min_revision: 0 },
        };
        read(&mut hand, &client, how).await;
        hand.pause().await;
    }
}

/// How often [`former_reader`] looks who leads.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long one of its reads may take: who is cut off from that server is not to wait for it until it knows.
const SOON: Duration = Duration::from_millis(300);

/// A worker that reads where leadership was just lost, as long as that server may not know it yet.
pub(super) async fn former_reader(mut hand: Hand) {
    let mut led = None;
    while !hand.stopped() {
        let leader = hand.common.world.leader();
        let former = led.filter(|former| leader.is_some_and(|leader| leader != *former));
        led = leader.or(led);
        if let Some(former) = former {
            for _ in 0..20 {
                let client = hand.at(former).with_deadline(SOON);
                read(&mut hand, &client, Read::Linearizable).await;
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A worker that reads, stale, where a snapshot has just arrived: while it is put in place, and a moment after.
pub(super) async fn newcomer_reader(mut hand: Hand) {
    let mut happens = hand.common.world.on_happening();
    let stop = hand.stop();
    while let Some(Some((_, server, happening))) = stop.or(happens.recv()).await {
        if happening != Happening::SnapshotReceived {
            continue;
        }
        for _ in 0..10 {
            let client = hand.at(server).with_deadline(SOON);
            let min_revision = if hand.chance(0.5) { 0 } else { hand.seen() };
            read(&mut hand, &client, Read::Stale { min_revision }).await;
            tokio::time::sleep(LOOK_EVERY / 4).await;
        }
    }
}

/// One read: a key, or all of them.
async fn read(hand: &mut Hand, client: &Client, how: Read) {
    let key = hand.key();
    let (action, options) = match hand.below(5) {
        0 => (Action::List { prefix: "k/".to_owned(), read: how }, GetOptions::prefix("k/")),
        _ => (Action::Get { key: key.clone(), read: how }, GetOptions::key(&key)),
    };
    let options = match how {
        Read::Linearizable => options,
        Read::Stale { min_revision } => options.min_revision(min_revision),
    };
    let done = hand.call(action, client.kv().get_with(options), answered, ended::read).await;
    drop(done);
}

fn answered(read: &RangeResult) -> Answer {
    Answer::Read { found: read.kvs.iter().map(seen).collect(), revision: read.revision }
}

/// A key as the history tells it.
pub(super) fn seen(kv: &KeyValue) -> Seen {
    Seen {
        key: String::from_utf8_lossy(&kv.key).into_owned(),
        value: String::from_utf8_lossy(&kv.value).into_owned(),
        mod_revision: kv.mod_revision,
    }
}

/// A worker that describes locks and elections.
pub(super) async fn describer(mut hand: Hand) {
    while !hand.stopped() {
        let locks = hand.common.weights.locks.len();
        let elections = hand.common.weights.elections as usize;
        let name = match hand.below(locks + elections) {
            number if number < locks => super::locks::name(number),
            number => super::elections::name(number - locks),
        };
        let client = match hand.any_server() {
            Some(server) => hand.at(server),
            None => hand.client(),
        };
        describe(&hand, &client, &name).await.ok();
        hand.pause().await;
    }
}

/// Describes a lock, linearizably.
pub(super) async fn describe(hand: &Hand, client: &Client, lock: &str) -> Result<(), Error> {
    let tokens = |claims: &[Claim]| claims.iter().map(|claim| claim.token).collect();
    let action = Action::Describe { lock: lock.to_owned() };
    let answer = |queue: &ringfence_client::LockDescription| Answer::Queue {
        owners: tokens(&queue.owners),
        waiters: tokens(&queue.waiters),
        revision: queue.revision,
    };
    hand.call(action, client.locks().describe(lock, 0), answer, ended::read).await?;
    Ok(())
}
