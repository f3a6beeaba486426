//! A call takes its caller along, so that whoever answers it learns when nobody waits any more: on a real connection the caller's stream is
//! reset then, which the simulated transport doesn't tell.

use std::{future::Future, time::Duration};

use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use madsim::{rand::random, time::sleep};
use tokio::sync::oneshot;

use crate::hooks::{Fate, Message, fate};

/// Who waits for an answer. Dropped before the answer is there, it has given its call up.
#[derive(Debug)]
pub struct Caller {
    to: u64,
    gone: Option<oneshot::Sender<Farewell>>,
}

/// What goes with a call, and learns what becomes of its caller. Clones are the same.
#[derive(Clone, Debug)]
pub struct Line(Shared<BoxFuture<'static, Farewell>>);

/// How the server learns that a caller has gone.
#[derive(Clone, Copy, Debug)]
enum Farewell {
    /// The stream's end arrives so much later.
    After(Duration),
    /// It is lost with the connection: the server finds out when that doesn't answer.
    Silent,
    /// The call was answered; there is nothing to learn.
    Answered,
}

impl Caller {
    /// Somebody who is about to call this server, and what goes with the request.
    #[must_use]
    pub fn to(server: u64) -> (Self, Line) {
        let (gone, told) = oneshot::channel();
        let line = async move { told.await.unwrap_or(Farewell::Silent) };
        (Self { to: server, gone: Some(gone) }, Line(line.boxed().shared()))
    }

    /// Waits for an answer. A failure may be the caller's own time that is over.
    pub async fn waits_for<T, E>(mut self, call: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let answer = call.await;
        if answer.is_ok() {
            self.tell(Farewell::Answered);
        }
        answer
    }

    fn tell(&mut self, farewell: Farewell) {
        if let Some(gone) = self.gone.take() {
            // Fails if nobody took the line: the call was never made.
            let _ = gone.send(farewell);
        }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        if self.gone.is_some() {
            self.tell(match fate(Message { kind: "reset", from: 0, to: self.to }) {
                Fate::Deliver | Fate::Twice(_) | Fate::LoseAnswer => Farewell::After(Duration::ZERO),
                Fate::Delay(late) => Farewell::After(late),
                Fate::Lose | Fate::Hang => Farewell::Silent,
            });
        }
    }
}

impl Line {
    /// Answers a call for as long as somebody waits for it, and then no longer; `silence_max` is how long a server takes at
    /// most to find that a connection has died. `None`: the caller has gone.
    pub async fn attend<T>(self, silence_max: Duration, answer: impl Future<Output = T>) -> Option<T> {
        let gone = async {
            match self.0.await {
                Farewell::After(late) => sleep(late).await,
                Farewell::Silent => sleep(silence_max.mul_f64(random::<f64>())).await,
                Farewell::Answered => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            answer = answer => Some(answer),
            () = gone => None,
        }
    }
}
