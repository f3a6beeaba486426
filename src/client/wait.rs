//! Calls that wait in a queue: the same for locks and elections.
//!
//! The call is open for as long as the wait lasts. If the member goes, the call is made again elsewhere, with the same session and
//! suffix: that finds the claim and keeps its place. A call to a member that is only out of touch is left open beside
//! the new one, since giving it up would ask that member to withdraw the claim.
//!
//! **Only the newest call's answer counts.** Each call has a number, the cluster knows the highest that it has seen for the
//! claim, and a call that is given up withdraws the claim only if it is that one. When an older call is answered first, the newest is
//! still open somewhere: to be content with the answer would be to give the newest up, and its member would take back what was just
//! granted. So the claim is asked for once more, under a higher number.

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
#[cfg(madsim)]
use ringfence_probes::{callers::Caller, messages::server_at};
use tokio::time::{Instant, sleep, sleep_until};
use tonic::{Request, Response};

use crate::backoff::Backoff;
use crate::chores::Chore;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::headed::Headed;
#[cfg(not(madsim))]
use crate::pipeline::Unanswered;
use crate::pipelined::Pipelined;
use crate::route::{Address, Toward};
use crate::session::Session;
use crate::verdict::{Subject, Trouble, Verdict, judge};

/// The member ends a bounded wait itself; this much later it is ended here.
const GRACE: Duration = Duration::from_millis(500);
/// Calls open at a time for one wait.
const OPEN_MAX: usize = 3;

/// Who waits, for what, and how long.
pub(crate) struct Wait<'a> {
    pub(crate) what: &'static str,
    pub(crate) client: &'a Client,
    pub(crate) session: &'a Session,
    pub(crate) bound: Option<Duration>,
}

struct Ended<A> {
    number: u64,
    address: Address,
    result: Result<A, Verdict>,
}

enum Turn<A> {
    Granted(A),
    Failed(Error),
    AskAgain,
    /// Granted, by what an older call says.
    Overtaken,
}

impl Wait<'_> {
    /// Waits until the claim is granted. `request` makes the request, given the milliseconds left (0: no bound) and the
    /// number of the attempt.
    pub(crate) async fn granted<Q: Pipelined>(&self, request: impl Fn(u64, u64) -> Q) -> Result<Q::Answer> {
        let core = self.client.core();
        let deadline = self.bound.map(|bound| Instant::now() + bound);
        let mut backoff = Backoff::new(&core.retry);
        let mut tried: Vec<Address> = Vec::new();
        let mut open: FuturesUnordered<BoxFuture<'_, Ended<Q::Answer>>> = FuturesUnordered::new();
        let mut number = 0;
        loop {
            let left = left(deadline);
            if left == Some(Duration::ZERO) {
                return Err(self.timed_out());
            }
            let Some(address) = core.pick(Toward::Leader, &tried) else {
                tried.clear();
                let pause = backoff.pause();
                sleep(left.map_or(pause, |left| left.min(pause))).await;
                continue;
            };
            tried.push(address.clone());
            number += 1;
            let bound_ms = left.map_or(0, |left| crate::convert::millis(left).max(1));
            let call = self.ask(address.clone(), request(bound_ms, number), left.map(|left| left + GRACE));
            let asked = address.clone();
            open.push(call.map(move |result| Ended { number, address: asked, result }).boxed());
            match self.turn(&mut open, number, &address, deadline).await {
                Turn::Granted(answer) => return Ok(answer),
                Turn::Failed(error) => return Err(error),
                Turn::AskAgain if open.len() >= OPEN_MAX => open.clear(),
                Turn::AskAgain => {}
                Turn::Overtaken => {
                    tracing::debug!(call = self.what, "granted to an older call; asked for once more");
                    tried.clear();
                }
            }
        }
    }

    /// One call, over the member's pipeline if there is room among those that wait on it.
    async fn ask<Q: Pipelined>(
        &self,
        address: Address,
        request: Q,
        timeout: Option<Duration>,
    ) -> Result<Q::Answer, Verdict> {
        let pool = &self.client.core().pool;
        let subject = Subject { session: self.session.id(), token: 0 };
        #[cfg(not(madsim))]
        {
            let pipeline = pool.short(&address).map_err(Verdict::Final)?.pipeline;
            if let Some(_room) = pipeline.wait() {
                match pipeline.ask(request.clone(), timeout).await {
                    Ok(answer) => return Ok(answer),
                    Err(Unanswered::Failed(status)) => return Err(judge(&status, subject)),
                    Err(Unanswered::Alone) => {}
                }
            }
        }
        let place = pool.long(&address).map_err(Verdict::Final)?;
        let mut message = Request::new(request);
        if let Some(timeout) = timeout {
            message.set_timeout(timeout);
        }
        #[cfg(madsim)]
        let (caller, line) = Caller::to(server_at(&address));
        #[cfg(madsim)]
        message.extensions_mut().insert(line);
        let call = Q::alone(place.channel.clone(), message);
        #[cfg(madsim)]
        let call = caller.waits_for(call);
        call.await.map(Response::into_inner).map_err(|status| judge(&status, subject))
    }

    /// Waits for what comes first: an answer, the end of the session, the member falling out of touch, the deadline.
    async fn turn<A: Headed>(
        &self,
        open: &mut FuturesUnordered<BoxFuture<'_, Ended<A>>>,
        newest: u64,
        address: &Address,
        deadline: Option<Instant>,
    ) -> Turn<A> {
        let core = self.client.core();
        let out_of_touch = core.out_of_touch(address);
        tokio::pin!(out_of_touch);
        loop {
            let ended = tokio::select! {
                biased;
                _ = self.session.lost() => {
                    return Turn::Failed(Error::SessionLost { session: self.session.id() });
                }
                Some(ended) = open.next() => ended,
                () = &mut out_of_touch => {
                    core.trouble(address, &Trouble::member("out of touch"));
                    return Turn::AskAgain;
                }
                () = at(deadline) => return Turn::Failed(self.timed_out()),
            };
            match ended.result {
                Ok(answer) if ended.number != newest => {
                    return match core.heard(&ended.address, &answer) {
                        Ok(()) => Turn::Overtaken,
                        Err(error) => Turn::Failed(error),
                    };
                }
                Ok(answer) => {
                    return match core.heard(&ended.address, &answer) {
                        Ok(()) => Turn::Granted(answer),
                        Err(error) => Turn::Failed(error),
                    };
                }
                Err(Verdict::Final(error)) => {
                    if ended.number == newest || open.is_empty() {
                        return Turn::Failed(error);
                    }
                }
                Err(Verdict::NotDone(trouble) | Verdict::Unknown(trouble)) => {
                    tracing::debug!(call = self.what, address = %ended.address, message = %trouble.message, "wait goes on elsewhere");
                    core.trouble(&ended.address, &trouble);
                    if ended.number == newest || open.is_empty() {
                        return Turn::AskAgain;
                    }
                }
            }
        }
    }

    fn timed_out(&self) -> Error {
        Error::Timeout { message: format!("{}: not granted within {:?}", self.what, self.bound.unwrap_or_default()) }
    }

    /// A chore that gives up the claim, for when the wait is.
    pub(crate) fn withdrawal(&self, name: &Bytes, suffix: &Bytes) -> Chore {
        Chore::withdraw(name, self.session, suffix)
    }
}

fn left(deadline: Option<Instant>) -> Option<Duration> {
    deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline + GRACE).await,
        None => std::future::pending().await,
    }
}
