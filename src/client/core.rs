//! The way of one call: pick a member, ask it, judge its answer, and ask again where that is safe.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
#[cfg(madsim)]
use ringfence_probes::{
    callers::Caller,
    messages::{pass, server_at},
};
use ringfence_proto::v1;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::attempt::Attempt;
use crate::backoff::{Backoff, RetryPolicy};
use crate::chance::{self, jitter};
use crate::clock::Moment;
use crate::error::{Error, Result};
use crate::headed::Headed;
use crate::health::Health;
use crate::pipelined::Pipelined;
use crate::pool::Pool;
use crate::route::{self, Address, Router, Toward};
use crate::verdict::{Distrust, NO_ANSWER, Subject, Trouble, Verdict, judge};

/// How long a member may take for the first attempt of a call that may be repeated: about as long as a change of leaders
/// takes. It doubles with each attempt up to the other: a member that hangs is left soon, one that is slow isn't given up.
const ATTEMPT_MIN: Duration = Duration::from_secs(1);
const ATTEMPT_MAX: Duration = Duration::from_secs(4);
/// Members are asked who leads no more often.
const REFRESH_PAUSE: Duration = Duration::from_millis(200);
/// How long one member may take to say who leads.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes of one answer. A server cuts ranges at 3 MiB; an event with its previous version, or a transaction, can be larger.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// May it be repeated?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Safety {
    /// A read: changes nothing.
    Read,
    /// A write that has the same effect done twice as done once.
    Idempotent,
    /// A write that must not be repeated unless it surely wasn't done.
    Once,
}

/// How to make a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// For messages.
    pub(crate) what: &'static str,
    pub(crate) safety: Safety,
    pub(crate) toward: Toward,
    pub(crate) deadline: Instant,
    pub(crate) subject: Subject,
}

impl Plan {
    pub(crate) fn read(what: &'static str, deadline: Instant) -> Self {
        Self { what, safety: Safety::Read, toward: Toward::Home, deadline, subject: Subject::default() }
    }

    pub(crate) fn write(what: &'static str, safety: Safety, deadline: Instant) -> Self {
        Self { what, safety, toward: Toward::Leader, deadline, subject: Subject::default() }
    }

    pub(crate) fn about(mut self, session: u64, token: u64) -> Self {
        self.subject = Subject { session, token };
        self
    }

    /// The time for the attempt with this number, from 1 on.
    fn attempt_timeout(&self, number: u32, now: Instant) -> Duration {
        let left = self.deadline.saturating_duration_since(now);
        let doublings = number.saturating_sub(1).min(8);
        match self.safety {
            Safety::Once => left,
            _ => left.min((ATTEMPT_MIN * (1 << doublings)).min(ATTEMPT_MAX)),
        }
    }
}

/// A call that succeeded.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    pub(crate) body: T,
    /// When the attempt that was answered was sent.
    pub(crate) sent: Moment,
}

/// A call that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// An attempt before the one that was answered may have been done.
    pub(crate) repeated: bool,
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

/// What all clones of a client and its background tasks share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) pool: Pool,
    pub(crate) retry: RetryPolicy,
    pub(crate) health: Health,
    router: Mutex<Router>,
    refresh: Mutex<Refresh>,
    cluster: Mutex<u64>,
}

#[derive(Debug, Default)]
struct Refresh {
    running: bool,
    last: Option<Instant>,
}

impl Core {
    pub(crate) fn new(seeds: Vec<Address>, pool: Pool, retry: RetryPolicy) -> Self {
        let home = chance::below(seeds.len());
        Self {
            pool,
            retry,
            health: Health::default(),
            router: Mutex::new(Router::new(seeds, home)),
            refresh: Mutex::default(),
            cluster: Mutex::new(0),
        }
    }

    /// Makes a call, with as many attempts as are safe and the deadline allows. `ask` makes one attempt.
    pub(crate) async fn call<Q, A, F>(
        self: &Arc<Self>,
        plan: Plan,
        request: Q,
        ask: impl Fn(Channel, Request<Q>) -> F,
    ) -> Result<Answer<A>, Failure>
    where
        Q: Clone,
        A: Headed + Send + 'static,
        F: Future<Output = Result<Response<A>, Status>> + Send + 'static,
    {
        let ask = |attempt: Attempt| {
            let answer = ask(attempt.short.channel, attempt.envelope.map(|()| request.clone()));
            async move { answer.await.map(Response::into_inner) }
        };
        self.attempts(plan, ask).await
    }

    /// As [`Core::call`], over the member's pipeline where it has one. `request` makes the request of each attempt.
    pub(crate) async fn ask_pipelined<Q: Pipelined>(
        self: &Arc<Self>,
        plan: Plan,
        request: impl Fn() -> Q,
    ) -> Result<Answer<Q::Answer>, Failure> {
        self.attempts(plan, |attempt| attempt.ask(request())).await
    }

    async fn attempts<A, F>(self: &Arc<Self>, plan: Plan, ask: impl Fn(Attempt) -> F) -> Result<Answer<A>, Failure>
    where
        A: Headed + Send + 'static,
        F: Future<Output = Result<A, Status>> + Send + 'static,
    {
        let mut attempts = Attempts::new(self, plan);
        loop {
            let Some(address) = attempts.next_member().await else {
                return Err(attempts.give_up());
            };
            let short = match self.pool.short(&address) {
                Ok(short) => short,
                Err(error) => return Err(attempts.failure(error)),
            };
            let sent = Moment::now();
            let timeout = plan.attempt_timeout(attempts.made, sent.instant);
            #[cfg(madsim)]
            let (caller, line) = Caller::to(server_at(&address));
            let asked = || {
                let attempt = Attempt::new(short.clone(), timeout);
                #[cfg(madsim)]
                let attempt = attempt.of(&line);
                ask(attempt)
            };
            #[cfg(not(madsim))]
            let answer = asked();
            #[cfg(madsim)]
            let answer = {
                let lost = Err(Status::unavailable("the message is lost"));
                caller.waits_for(pass("call", server_at(&address), false, lost, asked))
            };
            let verdict = match tokio::time::timeout(timeout, answer).await {
                Ok(Ok(body)) => match self.heard(&address, &body) {
                    Ok(()) => return Ok(Answer { body, sent }),
                    Err(error) => Verdict::Final(error),
                },
                Ok(Err(status)) => judge(&status, plan.subject),
                Err(_) => Verdict::Unknown(Trouble::member(NO_ANSWER)),
            };
            attempts.judged(&address, verdict)?;
        }
    }

    /// Takes note of an answer's header. An error if it comes from another cluster.
    pub(crate) fn heard<A: Headed>(self: &Arc<Self>, address: &Address, answer: &A) -> Result<()> {
        let Some(header) = answer.header() else {
            self.router.lock().answered(address);
            return Ok(());
        };
        if header.cluster_id != 0 {
            let mut cluster = self.cluster.lock();
            if *cluster == 0 {
                *cluster = header.cluster_id;
            } else if *cluster != header.cluster_id {
                return Err(Error::Protocol {
                    message: format!(
                        "{address} belongs to cluster {:016x}, and this client began with {:016x}",
                        header.cluster_id, *cluster
                    ),
                });
            }
        }
        let outdated = {
            let mut router = self.router.lock();
            router.answered(address);
            router.outdated(header.term) || router.leader().is_none()
        };
        if outdated {
            self.refresh_soon();
        }
        Ok(())
    }

    /// Takes note of a member that failed.
    pub(crate) fn trouble(self: &Arc<Self>, address: &Address, trouble: &Trouble) {
        {
            let mut router = self.router.lock();
            if trouble.member_failed {
                router.failed(address, Instant::now());
            } else {
                router.answered(address);
            }
            if trouble.no_leader {
                router.no_leader();
            }
            if let Some(leader) = &trouble.leader
                && let Ok(leader) = route::address(leader, self.pool.scheme())
            {
                router.hint(&leader);
            }
        }
        self.refresh_soon();
    }

    pub(crate) fn pick(&self, toward: Toward, tried: &[Address]) -> Option<Address> {
        self.router.lock().pick(toward, tried, Instant::now())
    }

    pub(crate) fn addresses(&self) -> Vec<Address> {
        self.router.lock().addresses()
    }

    /// Learns in the background who leads, unless that was asked a moment ago.
    pub(crate) fn refresh_soon(self: &Arc<Self>) {
        {
            let mut refresh = self.refresh.lock();
            let recent = refresh.last.is_some_and(|last| last + REFRESH_PAUSE > Instant::now());
            if refresh.running || recent {
                return;
            }
            refresh.running = true;
        }
        let core = Arc::clone(self);
        tokio::spawn(async move {
            core.refresh().await;
            let mut refresh = core.refresh.lock();
            refresh.running = false;
            refresh.last = Some(Instant::now());
        });
    }

    /// Asks the members, one after the other, until one knows a leader.
    async fn refresh(&self) {
        let mut tried = Vec::new();
        while let Some(address) = self.pick(Toward::Home, &tried) {
            tried.push(address.clone());
            let Ok(short) = self.pool.short(&address) else {
                continue;
            };
            let request = v1::ClusterMembersRequest { consistency: v1::Consistency::Stale.into() };
            let mut client = v1::cluster_client::ClusterClient::new(short.channel);
            let answer = tokio::time::timeout(REFRESH_TIMEOUT, client.members(request)).await;
            let Ok(Ok(answer)) = answer else {
                self.router.lock().failed(&address, Instant::now());
                continue;
            };
            if self.learn(answer.into_inner()) {
                return;
            }
        }
    }

    /// Takes over a member's account of the cluster. True if it knows the leader.
    pub(crate) fn learn(&self, answer: v1::ClusterMembersResponse) -> bool {
        let term = answer.header.map(|header| header.term).unwrap_or_default();
        let address_of = |member: &v1::Member| route::address(&member.client_address, self.pool.scheme()).ok();
        let leader = answer
            .members
            .iter()
            .find(|member| answer.leader != 0 && member.node_id == answer.leader)
            .and_then(address_of);
        let members = answer.members.iter().filter_map(address_of).collect();
        let known = leader.is_some();
        let addresses = {
            let mut router = self.router.lock();
            router.learn(term, members, leader);
            router.addresses()
        };
        self.pool.keep_only(&addresses);
        known
    }
}

/// The attempts of one call.
struct Attempts<'a> {
    core: &'a Arc<Core>,
    plan: Plan,
    backoff: Backoff,
    made: u32,
    /// Members asked in this round.
    tried: Vec<Address>,
    /// The pause that is due before the next attempt.
    pause: Option<Duration>,
    /// One attempt may have been done.
    unknown: bool,
    last: String,
    last_unknown: bool,
    distrust: Distrust,
    /// Certificates alone keep this client from all members.
    untrusted: Option<Error>,
}

impl<'a> Attempts<'a> {
    fn new(core: &'a Arc<Core>, plan: Plan) -> Self {
        Self {
            core,
            plan,
            backoff: Backoff::new(&core.retry),
            made: 0,
            tried: Vec::new(),
            pause: None,
            unknown: false,
            last: format!("{}: no member was asked before the deadline", plan.what),
            last_unknown: false,
            distrust: Distrust::default(),
            untrusted: None,
        }
    }

    /// Whom to ask next, after the pause that is due. `None`: there is no time, or there are no attempts left.
    async fn next_member(&mut self) -> Option<Address> {
        if self.made >= self.core.retry.attempts_max.max(1) {
            return None;
        }
        let mut next = self.core.pick(self.plan.toward, &self.tried);
        if next.is_none() {
            // All were asked in this round.
            self.untrusted = self.distrust.of_all().filter(|_| !self.unknown);
            if self.untrusted.is_some() {
                return None;
            }
            let floor = self.pause.take().map(jitter).unwrap_or_default();
            let pause = self.backoff.pause().max(floor);
            let left = self.plan.deadline.saturating_duration_since(Instant::now());
            tokio::time::sleep(pause.min(left)).await;
            self.tried.clear();
            next = self.core.pick(self.plan.toward, &self.tried);
        }
        if Instant::now() >= self.plan.deadline {
            return None;
        }
        let next = next?;
        self.tried.push(next.clone());
        self.made += 1;
        Some(next)
    }

    /// Goes on, or ends the call.
    fn judged(&mut self, address: &Address, verdict: Verdict) -> Result<(), Failure> {
        let (trouble, unknown) = match verdict {
            Verdict::Final(error) => return Err(self.failure(error)),
            Verdict::NotDone(trouble) => (trouble, false),
            Verdict::Unknown(trouble) => (trouble, true),
        };
        tracing::debug!(call = self.plan.what, %address, unknown, message = %trouble.message, "attempt failed");
        self.core.trouble(address, &trouble);
        self.distrust.note(address, &trouble);
        self.last_unknown = unknown;
        self.last = format!("{} at {address}: {}", self.plan.what, trouble.message);
        self.pause = self.pause.max(trouble.retry_after);
        if unknown {
            #[cfg(madsim)]
            ringfence_probes::unsure::note(self.plan.subject.session, self.plan.subject.token);
            self.unknown = self.plan.safety != Safety::Read;
            if self.plan.safety == Safety::Once {
                return Err(self.give_up());
            }
        }
        Ok(())
    }

    fn failure(&self, error: Error) -> Failure {
        Failure { error, repeated: self.unknown }
    }

    fn give_up(&self) -> Failure {
        let message = self.last.clone();
        let error = if let Some(untrusted) = &self.untrusted {
            untrusted.clone()
        } else if self.unknown {
            Error::Unknown { message }
        } else if self.last_unknown {
            Error::Timeout { message }
        } else {
            Error::Unavailable { message }
        };
        self.failure(error)
    }
}

#[cfg(all(test, not(madsim)))]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn attempts_get_more_time_each_and_never_more_than_is_left() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let plan = Plan::read("test", now + second * 10);
        let times: Vec<Duration> = (1..=4).map(|number| plan.attempt_timeout(number, now)).collect();
        assert_eq!(times, [second, second * 2, second * 4, second * 4]);
        assert_eq!(plan.attempt_timeout(9, now + second * 9), second);
        let once = Plan::write("test", Safety::Once, now + second * 10);
        assert_eq!(once.attempt_timeout(1, now), second * 10, "it can't be repeated, so it may as well wait");
    }
}
