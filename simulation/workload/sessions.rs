//! Sessions with keys of their own, which go when the session ends: closed, dropped, or left to die.
//!
//! These keys stand below `s/` and each is one session's alone; nobody else writes them, and no read asks for them.

use ringfence_client::PutOptions;

use super::{ended, hand::Hand};
use crate::{
    history::{Action, Answer},
    place,
};

/// A worker that opens sessions and lets them end.
pub(super) async fn mortal(mut hand: Hand) {
    while !hand.stopped() {
        let Some(session) = hand.open_session().await else {
            hand.pause().await;
            continue;
        };
        for number in 0..hand.below(4) {
            let key = format!("s/{:016x}/{number}", session.id());
            let value = hand.value();
            let numbered = hand.chance(0.5);
            let kv = match numbered {
                true => session.kv(),
                false => hand.client().kv(),
            };
            let action = Action::Put {
                key: key.clone(),
                value: value.clone(),
                session: if numbered { session.id() } else { 0 },
            };
            let answer = |done: &ringfence_client::PutResult| Answer::Wrote { revision: done.revision };
            let put = kv.put_with(key, value, PutOptions::new().bind(&session));
            hand.call(action, put, answer, ended::write).await.ok();
            place::looked_at(hand.recorder(), &session);
            hand.pause().await;
        }
        let life = hand.time(1.0, 5_000.0);
        hand.stop().sleep(life).await;
        place::looked_at(hand.recorder(), &session);
        hand.end_session(session).await;
        hand.pause().await;
    }
}
