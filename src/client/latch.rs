//! Taking part in elections: a latch that leads, loses, and stands again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use parking_lot::Mutex;
use ringfence_proto::v1;
use tokio::time::sleep;

use crate::backoff::Backoff;
use crate::cell::Cell;
use crate::client::Client;
use crate::convert::claim_in;
use crate::error::{Error, Result};
use crate::guard::gone;
use crate::session::{Session, SessionOptions};
use crate::txn::copy;
use crate::types::{Claim, Token};
use crate::wait::Wait;

/// A candidate about to stand. From [`Client::latch`].
#[derive(Clone, Debug)]
#[must_use = "the candidate stands after `start`"]
pub struct LatchBuilder {
    pub(crate) client: Client,
    pub(crate) name: Bytes,
    pub(crate) value: Bytes,
    pub(crate) options: SessionOptions,
}

impl LatchBuilder {
    pub(crate) fn new(client: Client, name: impl AsRef<[u8]>) -> Self {
        Self { client, name: copy(name), value: Bytes::new(), options: SessionOptions::new() }
    }

    /// What observers see while this candidate leads, its address for example. At most 64 KiB.
    pub fn value(mut self, value: impl AsRef<[u8]>) -> Self {
        self.value = copy(value);
        self
    }

    /// TTL of its sessions; see [`SessionOptions::ttl`]. 10 s unless said.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.options = self.options.ttl(ttl);
        self
    }

    /// Description of its sessions.
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.options = self.options.owner(owner);
        self
    }

    /// Starts standing in the background. Must be called within a tokio runtime.
    pub fn start(self) -> LeaderLatch {
        let shared = Arc::new(Shared {
            client: self.client,
            name: self.name,
            options: self.options,
            value: Mutex::new(self.value),
            standing: Cell::new(Standing::Waiting),
            closing: Cell::new(false),
        });
        tokio::spawn(stand(shared.clone()));
        LeaderLatch { shared }
    }
}

/// Where a latch stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LatchState {
    /// A candidate, or on the way to be one.
    Waiting,
    /// It leads.
    Leading {
        /// The fencing token of this leadership.
        token: Token,
    },
    /// It was closed, or can't go on.
    Closed {
        /// The refusal that it can't go on after.
        error: Option<Error>,
    },
}

/// A candidate that stands in an election until it is closed or dropped. When its leadership or its candidacy is lost it
/// stands again, with a new session.
///
/// Its leadership ends with the lease of its session, which is counted as [`Session::remaining`] says: here earlier than
/// in the cluster, so that two latches don't lead at a time, as long as clocks' rates differ by less than the allowance.
/// What is led is safe beyond that if it checks the token.
#[derive(Debug)]
pub struct LeaderLatch {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    client: Client,
    name: Bytes,
    options: SessionOptions,
    value: Mutex<Bytes>,
    standing: Cell<Standing>,
    closing: Cell<bool>,
}

#[derive(Clone, Debug)]
enum Standing {
    Waiting,
    Leading { session: Session, claim: Claim },
    Closed { error: Option<Error> },
}

impl PartialEq for Standing {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Standing::Waiting, Standing::Waiting) => true,
            (Standing::Leading { claim: a, .. }, Standing::Leading { claim: b, .. }) => a.token == b.token,
            (Standing::Closed { error: a }, Standing::Closed { error: b }) => a == b,
            _ => false,
        }
    }
}

impl Standing {
    /// As users see it: who leads with a lease that has run out doesn't lead.
    fn state(&self) -> LatchState {
        match self {
            Standing::Leading { session, claim } if session.is_valid() => LatchState::Leading { token: claim.token },
            Standing::Waiting | Standing::Leading { .. } => LatchState::Waiting,
            Standing::Closed { error } => LatchState::Closed { error: error.clone() },
        }
    }
}

impl LeaderLatch {
    /// Waits until it leads, and gives the token of that leadership. Cancel safe.
    ///
    /// # Errors
    /// [`Error::Closed`] if it was closed; the refusal that it can't go on after.
    pub async fn wait_for_leadership(&self) -> Result<Token> {
        let mut seen = 0;
        loop {
            let standing;
            (seen, standing) = self.shared.standing.later(seen).await;
            match standing.state() {
                LatchState::Waiting => {}
                LatchState::Leading { token } => return Ok(token),
                LatchState::Closed { error } => return Err(error.unwrap_or(Error::Closed)),
            }
        }
    }

    /// It leads now, surely: this ends here before it can end in the cluster, if clocks' rates differ by less than the
    /// drift allowance. Asks nobody.
    pub fn has_leadership(&self) -> bool {
        self.token().is_some()
    }

    /// The token of its leadership, while it leads.
    pub fn token(&self) -> Option<Token> {
        match self.state() {
            LatchState::Leading { token } => Some(token),
            _ => None,
        }
    }

    /// The claim of its leadership, while it leads: its token, and the session that made it.
    pub fn claim(&self) -> Option<Claim> {
        match self.shared.standing.get() {
            Standing::Leading { session, claim } if session.is_valid() => Some(claim),
            _ => None,
        }
    }

    /// Where it stands now.
    pub fn state(&self) -> LatchState {
        self.shared.standing.get().state()
    }

    /// Where it stands, now and after each change. A reader that is slow sees the newest only; a leadership that was
    /// lost and won again meanwhile shows by its token.
    pub fn changes(&self) -> LatchChanges {
        LatchChanges { shared: self.shared.clone(), seen: 0, last: None }
    }

    /// Changes the value that observers see. Later leaderships of this latch use it as well.
    ///
    /// # Errors
    /// [`Error::NotHeld`] if it doesn't lead.
    pub async fn proclaim(&self, value: impl AsRef<[u8]>) -> Result<()> {
        let value = copy(value);
        let Standing::Leading { session, claim } = self.shared.standing.get() else {
            return Err(Error::NotHeld { token: 0, message: "this candidate doesn't lead".to_owned() });
        };
        let election = self.shared.client.election(&self.shared.name);
        election.proclaim(session.id(), claim.token, &value).await?;
        *self.shared.value.lock() = value;
        Ok(())
    }

    /// Stops standing: resigns and closes its session. It has no leadership from the call on, whatever the result; if
    /// the cluster can't be told now it is told in the background.
    ///
    /// # Errors
    /// As [`Session::close`].
    pub async fn close(self) -> Result<()> {
        let standing = self.shared.standing.get();
        self.shared.close();
        match standing {
            Standing::Leading { session, .. } => session.close().await,
            // The task closes the session of a candidate that waits.
            Standing::Waiting | Standing::Closed { .. } => Ok(()),
        }
    }
}

impl Drop for LeaderLatch {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Shared {
    fn close(&self) {
        if !matches!(self.standing.get(), Standing::Closed { .. }) {
            self.standing.set(Standing::Closed { error: None });
        }
        self.closing.set(true);
    }

    /// A new standing, unless it was closed.
    fn stands(&self, standing: Standing) {
        if !self.closing.get() {
            self.standing.set(standing);
        }
    }
}

/// The task behind a latch: stands until it is closed.
async fn stand(shared: Arc<Shared>) {
    let closing = async {
        while !shared.closing.get() {
            shared.closing.later(1).await;
        }
    };
    tokio::select! {
        biased;
        () = closing => {}
        error = stand_for_ever(&shared) => {
            shared.standing.set(Standing::Closed { error: Some(error) });
        }
    }
}

/// Stands again and again. Gives the refusal after which that is no use.
async fn stand_for_ever(shared: &Shared) -> Error {
    let mut backoff = Backoff::new(&shared.client.core().retry);
    loop {
        match stand_once(shared).await {
            Ok(()) => backoff.reset(),
            Err(error @ (Error::Refused { .. } | Error::Protocol { .. } | Error::InvalidArgument { .. })) => {
                return error;
            }
            Err(error) => {
                tracing::debug!(%error, "the candidate stands again");
                sleep(backoff.pause()).await;
            }
        }
    }
}

/// One session: opens it, waits, leads, loses. Dropping the future closes the session in the background.
async fn stand_once(shared: &Shared) -> Result<()> {
    let client = &shared.client;
    let session = client.open_session(shared.options.clone()).await?;
    let wait = Wait { what: "campaign", client, session: &session, bound: None };
    let request = |wait_ms, attempt| v1::ElectionCampaignRequest {
        name: shared.name.clone(),
        session_id: session.id(),
        suffix: Bytes::new(),
        value: shared.value.lock().clone(),
        wait_ms,
        attempt,
    };
    let claim = claim_in(wait.granted(request).await?.claim, "campaign")?;
    let leading = Standing::Leading { session: session.clone(), claim: claim.clone() };
    shared.stands(leading);
    tokio::select! {
        biased;
        _ = session.lost() => {}
        () = gone(client, &claim) => {}
    }
    // Nobody acts for the old leadership any more when the new session is opened.
    shared.stands(Standing::Waiting);
    Ok(())
}

/// A stream of a latch's states. From [`LeaderLatch::changes`]. It lives on when the latch is dropped, which closes it.
#[derive(Debug)]
pub struct LatchChanges {
    shared: Arc<Shared>,
    seen: u64,
    last: Option<LatchState>,
}

impl LatchChanges {
    /// The next state that differs from the one given before; the present one first. Cancel safe. `None` after
    /// [`LatchState::Closed`].
    pub async fn next(&mut self) -> Option<LatchState> {
        if matches!(self.last, Some(LatchState::Closed { .. })) {
            return None;
        }
        loop {
            let (seen, standing) = self.shared.standing.later(self.seen).await;
            self.seen = seen;
            let state = standing.state();
            if self.last.as_ref() != Some(&state) {
                self.last = Some(state.clone());
                return Some(state);
            }
        }
    }

    /// The same as a [`futures::Stream`].
    pub fn into_stream(self) -> impl Stream<Item = LatchState> {
        futures::stream::unfold(self, |mut changes| async move {
            let state = changes.next().await?;
            Some((state, changes))
        })
    }
}
