//! Sessions: proof of being alive, renewed in the background.

use std::time::Duration;

use crate::client::Client;
use crate::error::Result;
use crate::kv::Kv;
use crate::types::SessionId;

/// How to open a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    pub(crate) ttl: Duration,
    pub(crate) owner: String,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(10),
            owner: String::new(),
        }
    }
}

impl SessionOptions {
    /// TTL 10 s, owner: this program and its process id.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long the session outlives its last renewal: 500 ms to a day.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Who this is, for people: host, program, process. At most 256 bytes.
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = owner.into();
        self
    }
}

/// How a session, a lock or a leadership ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Loss {
    /// The lease ran out before a renewal was acknowledged.
    Lapsed,
    /// The cluster said that the session is over.
    Expired,
    /// It was closed or released here.
    Closed,
    /// The claim was taken away while the session lives on.
    Revoked,
}

/// A session that renews itself until it is closed, dropped or lost. Cheap to clone; when the last clone is dropped it
/// is closed in the background (call [`Session::close`] to be sure before the program ends).
#[derive(Clone, Debug)]
pub struct Session {
    pub(crate) client: Client,
}

impl Session {
    /// Its id. Whoever knows it can act for the session.
    pub fn id(&self) -> SessionId {
        todo!()
    }

    /// Its TTL.
    pub fn ttl(&self) -> Duration {
        todo!()
    }

    /// The client it was opened with.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// How long the session is surely alive from now on, if nothing more is heard: from the moment at which the last
    /// acknowledged renewal was sent, less the allowance for clocks' drift. Zero once it is over.
    pub fn remaining(&self) -> Duration {
        todo!()
    }

    /// [`Session::remaining`] isn't zero.
    pub fn is_valid(&self) -> bool {
        !self.remaining().is_zero()
    }

    /// Waits until the session is over, here at latest when it could be over in the cluster. Cancel safe.
    pub async fn lost(&self) -> Loss {
        todo!()
    }

    /// Closes it: all that is bound to it goes at once. Closing again does nothing. The session is over locally from the call on,
    /// whatever the result; if the cluster can't be told it expires there.
    ///
    /// # Errors
    /// [`Error::Unavailable`](crate::Error::Unavailable) or [`Error::Timeout`](crate::Error::Timeout) if the cluster could not be told.
    pub async fn close(&self) -> Result<()> {
        todo!()
    }

    /// Keys, with writes that have exactly one effect: each carries the session's next sequence number, and is retried
    /// until it is answered, as long as the call's deadline and the session allow.
    pub fn kv(&self) -> Kv {
        Kv {
            client: self.client.clone(),
            session: Some(self.clone()),
        }
    }
}
