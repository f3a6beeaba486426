//! Elections: who leads, and who is told.

use bytes::Bytes;

use crate::client::Client;
use crate::error::Result;
use crate::types::{Claim, LeaderView, Token};

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
        todo!()
    }

    /// The leader now and after each change of it or of its value, *no leader now* included. Goes on over lost
    /// connections; what is the same as before is not said again.
    pub fn observe(&self) -> Observer {
        todo!()
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
pub struct Observer {}

impl Observer {
    /// The next view. Cancel safe. `None` only after an error.
    ///
    /// # Errors
    /// Refusals; the stream is over then. Unavailability is waited out.
    pub async fn next(&mut self) -> Option<Result<LeaderView>> {
        todo!()
    }
}
