//! Elections: who leads, and who is told.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use ringfence_proto::v1;
use ringfence_proto::v1::election_client::ElectionClient;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_stream::StreamExt as _;

use crate::backoff::Backoff;
use crate::client::Client;
use crate::convert::leader_view;
use crate::core::{Core, Safety};
use crate::error::Result;
use crate::route::{Address, Toward};
use crate::txn::copy;
use crate::types::{Claim, LeaderView, SessionId, Token};
use crate::verdict::{Subject, Trouble, Verdict, judge};

/// How long a member may take until it observes.
const START_TIMEOUT: Duration = Duration::from_secs(3);
/// Views that wait to be read.
const VIEWS_WAITING_MAX: usize = 16;

/// An election, for those who look. From [`Client::election`]. To take part see [`Client::latch`].
#[derive(Clone, Debug)]
pub struct Election {
    pub(crate) client: Client,
    pub(crate) name: Bytes,
}

impl Election {
    /// Who leads now?
    ///
    /// # Errors
    /// As any read.
    pub async fn leader(&self) -> Result<LeaderView> {
        let (consistency, min_revision) = self.client.consistency();
        let request = v1::ElectionLeaderRequest { name: self.name.clone(), consistency, min_revision };
        let plan = self.client.read("leader");
        let answer = self
            .client
            .core()
            .call(plan, request, |channel, request| async move { ElectionClient::new(channel).leader(request).await });
        Ok(leader_view(answer.await?.body))
    }

    /// The leader now and after each change of it or of its value, *no leader now* included. Goes on over lost
    /// connections; what is the same as before is not said again. Must be called within a tokio runtime.
    pub fn observe(&self) -> Observer {
        let (sender, views) = mpsc::channel(VIEWS_WAITING_MAX);
        let observing =
            Observing { core: self.client.core().clone(), name: self.name.clone(), views: sender, last: None };
        tokio::spawn(observing.run());
        Observer { views }
    }

    /// Changes the value that observers see, for the leader: `token` is its claim's, and `session` made it.
    ///
    /// # Errors
    /// [`Error::NotHeld`](crate::Error::NotHeld) if the claim is gone, waits, or is another session's;
    /// [`Error::SessionLost`](crate::Error::SessionLost); refusal `LIMIT_EXCEEDED`.
    pub async fn proclaim(&self, session: SessionId, token: Token, value: impl AsRef<[u8]>) -> Result<()> {
        let request =
            v1::ElectionProclaimRequest { name: self.name.clone(), session_id: session, token, value: copy(value) };
        let plan = self.client.write("proclaim", Safety::Idempotent).about(session, token);
        let answer = self.client.core().call(plan, request, |channel, request| async move {
            ElectionClient::new(channel).proclaim(request).await
        });
        answer.await?;
        Ok(())
    }

    /// Takes the claim with this token out of the election, whosever it is: a forced resignation.
    ///
    /// # Errors
    /// [`Error::NotHeld`](crate::Error::NotHeld) if there is no such claim.
    pub async fn resign(&self, token: Token) -> Result<Claim> {
        self.client.locks().force_release(&self.name, token).await
    }
}

/// A stream of an election's leaders. From [`Election::observe`]. Also a [`futures::Stream`].
#[derive(Debug)]
pub struct Observer {
    views: mpsc::Receiver<Result<LeaderView>>,
}

impl Observer {
    /// The next view. Cancel safe. `None` only after an error.
    ///
    /// # Errors
    /// Refusals; the stream is over then. Unavailability is waited out.
    pub async fn next(&mut self) -> Option<Result<LeaderView>> {
        self.views.recv().await
    }
}

impl Stream for Observer {
    type Item = Result<LeaderView>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.views.poll_recv(context)
    }
}

/// The task behind an observer.
struct Observing {
    core: Arc<Core>,
    name: Bytes,
    views: mpsc::Sender<Result<LeaderView>>,
    last: Option<LeaderView>,
}

impl Observing {
    async fn run(self) {
        let views = self.views.clone();
        tokio::select! {
            biased;
            () = views.closed() => {}
            () = self.observe() => {}
        }
    }

    async fn observe(mut self) {
        let mut backoff = Backoff::new(&self.core.retry);
        let mut tried: Vec<Address> = Vec::new();
        loop {
            let Some(address) = self.core.pick(Toward::Home, &tried) else {
                tried.clear();
                sleep(backoff.pause()).await;
                continue;
            };
            match self.observe_at(&address).await {
                Verdict::Final(error) => {
                    let _ = self.views.send(Err(error)).await;
                    return;
                }
                Verdict::NotDone(trouble) => self.core.trouble(&address, &trouble),
                Verdict::Unknown(trouble) => {
                    // It worked for a while.
                    tried.clear();
                    backoff.reset();
                    self.core.trouble(&address, &trouble);
                }
            }
            tried.push(address);
        }
    }

    /// Observes on one member for as long as that works. Not done: it never began.
    async fn observe_at(&mut self, address: &Address) -> Verdict {
        let lane = match self.core.pool.long(address) {
            Ok(lane) => lane,
            Err(error) => return Verdict::Final(error),
        };
        let request = v1::ElectionObserveRequest { name: self.name.clone() };
        let mut client = ElectionClient::new(lane.channel.clone());
        let mut answers = match timeout(START_TIMEOUT, client.observe(request)).await {
            Ok(Ok(answers)) => answers.into_inner(),
            Ok(Err(status)) => return never_began(judge(&status, Subject::default())),
            Err(_) => return Verdict::NotDone(Trouble::member("no stream for an observer in time")),
        };
        let core = Arc::clone(&self.core);
        let out_of_touch = core.out_of_touch(address);
        tokio::pin!(out_of_touch);
        let mut began = false;
        loop {
            let answer = tokio::select! {
                biased;
                answer = answers.next() => answer,
                () = &mut out_of_touch => return Verdict::Unknown(Trouble::member("out of touch")),
            };
            let verdict = match answer {
                Some(Ok(answer)) => match self.core.heard(address, &answer) {
                    Ok(()) => {
                        began = true;
                        self.view(leader_view(answer)).await;
                        continue;
                    }
                    Err(error) => Verdict::Final(error),
                },
                Some(Err(status)) => judge(&status, Subject::default()),
                None => Verdict::Unknown(Trouble::member("the stream of an observer ended")),
            };
            return match began {
                true => verdict,
                false => never_began(verdict),
            };
        }
    }

    /// Hands a view on, unless it is older than the last one, or the same.
    async fn view(&mut self, view: LeaderView) {
        if let Some(last) = &self.last {
            let same = match (&last.leader, &view.leader) {
                (None, None) => true,
                (Some(old), Some(new)) => old.token == new.token && old.value == new.value,
                _ => false,
            };
            if same || view.revision < last.revision {
                return;
            }
        }
        self.last = Some(view.clone());
        let _ = self.views.send(Ok(view)).await;
    }
}

fn never_began(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Unknown(trouble) => Verdict::NotDone(trouble),
        other => other,
    }
}
