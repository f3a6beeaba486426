//! Keeps a client's sessions alive, all of them on one stream.
//!
//! Each session is due a third of its TTL after its last renewal was sent; those that are due at about the same time go
//! in one message. Each message has a deadline for its answer, since a stream can stall without breaking. If the stream
//! breaks, or an answer is overdue, the next member is tried at once, and all that was not acknowledged is sent again
//! with a new count from there.
//!
//! Who asks for a renewal makes its session due at once, and is told when a message that was sent after that is acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ringfence_proto::v1;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::backoff::Backoff;
use crate::chores::Chore;
use crate::clock::Moment;
use crate::core::Core;
use crate::lease::{Lease, renewal_period};
use crate::route::{Address, Toward};
use crate::session::Loss;
use crate::types::SessionId;
use crate::verdict::{Subject, Trouble, Verdict, judge};

/// As the protocol allows.
const SESSIONS_PER_MESSAGE_MAX: usize = 1000;
/// The shortest and the longest time for an answer; between them a third of the smallest TTL in the message.
const ANSWER_TIME_MIN: Duration = Duration::from_millis(150);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(3);

/// What the renewer is told.
#[derive(Debug)]
pub(crate) enum Tend {
    Begin(Arc<Lease>),
    /// Now; the sender is used when that is acknowledged, and dropped when the session is over.
    Renew(SessionId, oneshot::Sender<()>),
    Stop(SessionId),
}

struct Tended {
    lease: Arc<Lease>,
    due: Instant,
    /// Who waits for the next renewal that is sent.
    waiting: Vec<oneshot::Sender<()>>,
}

/// A message that waits for its answer.
struct Pending {
    sent: Moment,
    answer_by: Instant,
    ids: Vec<SessionId>,
    /// Who waits for it, and for which session.
    waiting: Vec<(SessionId, oneshot::Sender<()>)>,
}

pub(crate) struct Renewer {
    core: Arc<Core>,
    orders: mpsc::UnboundedReceiver<Tend>,
    chores: mpsc::WeakUnboundedSender<Chore>,
    leases: BTreeMap<SessionId, Tended>,
    pending: BTreeMap<u64, Pending>,
    messages: u64,
    tried: Vec<Address>,
    backoff: Backoff,
}

/// Why a stream is left.
enum Left {
    /// All clones of the client are gone.
    Ended,
    /// There is nothing to renew.
    Idle,
    Broken(Trouble),
}

impl Renewer {
    pub(crate) fn new(
        core: Arc<Core>,
        orders: mpsc::UnboundedReceiver<Tend>,
        chores: mpsc::WeakUnboundedSender<Chore>,
    ) -> Self {
        let backoff = Backoff::new(&core.retry);
        Self {
            core,
            orders,
            chores,
            leases: BTreeMap::new(),
            pending: BTreeMap::new(),
            messages: 0,
            tried: Vec::new(),
            backoff,
        }
    }

    pub(crate) async fn run(mut self) {
        loop {
            if self.leases.is_empty() {
                match self.orders.recv().await {
                    Some(order) => self.obey(order),
                    None => return,
                }
                continue;
            }
            let Some(address) = self.next_member().await else {
                continue;
            };
            match self.serve(&address).await {
                Left::Ended => return,
                Left::Idle => {}
                Left::Broken(trouble) => {
                    tracing::debug!(%address, message = %trouble.message, "renewals go elsewhere");
                    self.core.trouble(&address, &trouble);
                    self.tried.push(address);
                }
            }
            self.send_again();
        }
    }

    /// Whom to renew at; `None` after a pause, when all were tried in this round.
    async fn next_member(&mut self) -> Option<Address> {
        let next = self.core.pick(Toward::Leader, &self.tried);
        if next.is_none() {
            self.tried.clear();
            tokio::time::sleep(self.backoff.pause()).await;
        }
        next
    }

    /// What wasn't acknowledged is due now.
    fn send_again(&mut self) {
        let now = Instant::now();
        for pending in std::mem::take(&mut self.pending).into_values() {
            for id in pending.ids {
                if let Some(tended) = self.leases.get_mut(&id) {
                    tended.due = now;
                }
            }
            for (id, waiter) in pending.waiting {
                if let Some(tended) = self.leases.get_mut(&id) {
                    tended.waiting.push(waiter);
                }
            }
        }
    }

    fn obey(&mut self, order: Tend) {
        match order {
            Tend::Begin(lease) => {
                let due = Instant::now() + renewal_period(lease.ttl);
                self.leases.insert(lease.id, Tended { lease, due, waiting: Vec::new() });
            }
            Tend::Renew(id, waiter) => {
                if let Some(tended) = self.leases.get_mut(&id) {
                    tended.due = Instant::now();
                    tended.waiting.push(waiter);
                }
            }
            Tend::Stop(id) => {
                self.leases.remove(&id);
            }
        }
    }

    /// Renews on one stream for as long as that works.
    async fn serve(&mut self, address: &Address) -> Left {
        // Nothing is due yet: don't hold a stream open for it, but do hear orders.
        loop {
            match self.next_due() {
                None => return Left::Idle,
                Some(due) if due <= Instant::now() => break,
                Some(due) => {
                    tokio::select! {
                        biased;
                        order = self.orders.recv() => match order {
                            Some(order) => self.obey(order),
                            None => return Left::Ended,
                        },
                        () = sleep_until(due) => {}
                    }
                }
            }
        }
        let (sender, receiver) = mpsc::channel(16);
        self.send_due(&sender);
        let mut answers = match self.open(address, receiver).await {
            Ok(answers) => answers,
            Err(trouble) => return Left::Broken(trouble),
        };
        loop {
            let full = self.next_due().is_some_and(|due| due <= Instant::now()) && !self.send_due(&sender);
            let Some(wake) = self.next_wake(full) else {
                return Left::Idle;
            };
            tokio::select! {
                biased;
                order = self.orders.recv() => match order {
                    Some(order) => {
                        self.obey(order);
                        // What was asked for at the same time goes in the same message.
                        while let Ok(order) = self.orders.try_recv() {
                            self.obey(order);
                        }
                    }
                    None => return Left::Ended,
                },
                answer = answers.message() => match answer {
                    Ok(Some(answer)) => {
                        if let Err(error) = self.core.heard(address, &answer) {
                            return Left::Broken(Trouble::member(error.to_string()));
                        }
                        self.answered(answer);
                    }
                    Ok(None) => return Left::Broken(Trouble::member("the stream of renewals ended")),
                    Err(status) => return Left::Broken(trouble_of(&status)),
                },
                room = sender.reserve(), if full => {
                    if room.is_err() {
                        return Left::Broken(Trouble::member("the stream of renewals ended"));
                    }
                }
                () = sleep_until(wake) => {
                    let now = Instant::now();
                    if self.pending.values().any(|pending| pending.answer_by <= now) {
                        return Left::Broken(Trouble::member("a renewal was not answered in time"));
                    }
                }
            }
        }
    }

    async fn open(
        &self,
        address: &Address,
        requests: mpsc::Receiver<v1::SessionRenewRequest>,
    ) -> Result<Streaming<v1::SessionRenewResponse>, Trouble> {
        let short = self.core.pool.short(address).map_err(|error| Trouble::member(error.to_string()))?;
        let mut client = v1::session_client::SessionClient::new(short.channel);
        let time = self
            .pending
            .values()
            .map(|pending| pending.answer_by.saturating_duration_since(Instant::now()))
            .min()
            .unwrap_or(ANSWER_TIME_MAX);
        match timeout(time, client.renew(ReceiverStream::new(requests))).await {
            Ok(Ok(answers)) => Ok(answers.into_inner()),
            Ok(Err(status)) => Err(trouble_of(&status)),
            Err(_) => Err(Trouble::member("no stream for renewals in time")),
        }
    }

    fn next_due(&self) -> Option<Instant> {
        self.leases.values().map(|tended| tended.due).min()
    }

    /// The next renewal, unless the stream is full, or the next overdue answer; `None` if there is nothing to renew.
    fn next_wake(&self, full: bool) -> Option<Instant> {
        let overdue = self.pending.values().map(|pending| pending.answer_by).min();
        let due = self.next_due()?;
        match overdue {
            Some(overdue) if full => Some(overdue),
            overdue => Some(overdue.map_or(due, |overdue| overdue.min(due))),
        }
    }

    /// Sends what is due, and what is soon. What finds no room in the stream stays due: false then.
    fn send_due(&mut self, sender: &mpsc::Sender<v1::SessionRenewRequest>) -> bool {
        self.drop_lost();
        let now = Moment::now();
        let due: Vec<SessionId> = self
            .leases
            .iter()
            .filter(|(_, tended)| tended.due <= now.instant + renewal_period(tended.lease.ttl) / 4)
            .map(|(id, _)| *id)
            .collect();
        for ids in due.chunks(SESSIONS_PER_MESSAGE_MAX) {
            let Ok(room) = sender.try_reserve() else {
                tracing::debug!("the stream of renewals is full");
                return false;
            };
            self.messages += 1;
            let (mut ttl_min, mut waiting) = (Duration::MAX, Vec::new());
            for id in ids {
                let Some(tended) = self.leases.get_mut(id) else { continue };
                let ttl = tended.lease.ttl;
                tended.due = now.instant + renewal_period(ttl);
                ttl_min = ttl_min.min(ttl);
                waiting.extend(tended.waiting.drain(..).map(|waiter| (*id, waiter)));
            }
            let answer_by = now.instant + (ttl_min / 3).clamp(ANSWER_TIME_MIN, ANSWER_TIME_MAX);
            room.send(v1::SessionRenewRequest { session_ids: ids.to_vec(), request: self.messages });
            self.pending.insert(self.messages, Pending { sent: now, answer_by, ids: ids.to_vec(), waiting });
        }
        true
    }

    fn answered(&mut self, answer: v1::SessionRenewResponse) {
        let Some(pending) = self.pending.remove(&answer.request) else {
            return;
        };
        self.tried.clear();
        self.backoff.reset();
        let sent = pending.sent;
        #[cfg(madsim)]
        let sent = counted_from(sent);
        for renewal in answer.renewals {
            let Some(tended) = self.leases.get(&renewal.session_id) else {
                continue;
            };
            if renewal.alive {
                tended.lease.renewed(sent);
                #[cfg(madsim)]
                crate::clock::tell_renewed(renewal.session_id, tended.lease.ttl, pending.sent);
            } else {
                tended.lease.end(Loss::Expired);
                self.leases.remove(&renewal.session_id);
            }
        }
        for (id, waiter) in pending.waiting {
            if self.leases.contains_key(&id) {
                let _ = waiter.send(());
            }
        }
    }

    /// Stops renewing what is over. What has lapsed here may be alive in the cluster: it is closed there, so that what
    /// it holds is free at once.
    fn drop_lost(&mut self) {
        let chores = self.chores.clone();
        self.leases.retain(|id, tended| {
            let over = tended.lease.over();
            if over == Some(Loss::Lapsed)
                && let Some(chores) = chores.upgrade()
            {
                let ttl = tended.lease.ttl;
                let _ = chores.send(Chore::Close { session: *id, ttl });
            }
            over.is_none()
        });
    }
}

/// By mistake a lease is counted from the moment at which the answer came.
#[cfg(madsim)]
fn counted_from(sent: Moment) -> Moment {
    if ringfence_probes::on(ringfence_probes::Bug::RenewalFromReceipt) { Moment::now() } else { sent }
}

fn trouble_of(status: &tonic::Status) -> Trouble {
    match judge(status, Subject::default()) {
        Verdict::NotDone(trouble) | Verdict::Unknown(trouble) => trouble,
        Verdict::Final(error) => Trouble::member(error.to_string()),
    }
}
