//! Taking part in elections: a latch that leads, loses, and stands again.

use std::time::Duration;

use bytes::Bytes;

use crate::client::Client;
use crate::error::{Error, Result};
use crate::session::SessionOptions;
use crate::txn::copy;
use crate::types::Token;

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
        Self {
            client,
            name: copy(name),
            value: Bytes::new(),
            options: SessionOptions::new(),
        }
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
        todo!()
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

/// A candidate that stands in an election until it is closed or dropped. When its leadership or its candidacy is lost it stands again,
/// with a new session.
#[derive(Debug)]
pub struct LeaderLatch {}

impl LeaderLatch {
    /// Waits until it leads, and gives the token of that leadership. Cancel safe.
    ///
    /// # Errors
    /// [`Error::Closed`] if it was closed; the refusal that it can't go on after.
    pub async fn wait_for_leadership(&self) -> Result<Token> {
        todo!()
    }

    /// It leads now, surely: this ends here before it can end in the cluster, if clocks' rates differ by less than the
    /// drift allowance. Asks nobody.
    pub fn has_leadership(&self) -> bool {
        self.token().is_some()
    }

    /// The token of its leadership, while it leads.
    pub fn token(&self) -> Option<Token> {
        todo!()
    }

    /// Where it stands now.
    pub fn state(&self) -> LatchState {
        todo!()
    }

    /// Where it stands, now and after each change. A reader that is slow sees the newest only, but never misses that
    /// there was a change.
    pub fn changes(&self) -> LatchChanges {
        todo!()
    }

    /// Changes the value that observers see. Later leaderships of this latch use it as well.
    ///
    /// # Errors
    /// [`Error::NotHeld`] if it doesn't lead.
    pub async fn proclaim(&self, value: impl AsRef<[u8]>) -> Result<()> {
        let _ = value.as_ref();
        todo!()
    }

    /// Stops standing: resigns and closes its session. It has no leadership from the call on, whatever the result.
    ///
    /// # Errors
    /// As [`Session::close`](crate::Session::close).
    pub async fn close(self) -> Result<()> {
        todo!()
    }
}

/// A stream of a latch's states. From [`LeaderLatch::changes`]. Also a [`futures::Stream`].
#[derive(Debug)]
pub struct LatchChanges {}

impl LatchChanges {
    /// The next state that differs from the one given before. Cancel safe. `None` after [`LatchState::Closed`].
    pub async fn next(&mut self) -> Option<LatchState> {
        todo!()
    }
}
