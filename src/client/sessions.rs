//! Looking at sessions, anybody's.

use crate::client::Client;
use crate::error::Result;
use crate::types::{Page, SessionDescription, SessionId, SessionInfo};

/// Sessions, as operators see them. From [`Client::sessions`].
#[derive(Clone, Debug)]
pub struct Sessions {
    pub(crate) client: Client,
}

impl Sessions {
    /// One session and the keys bound to it.
    ///
    /// # Errors
    /// [`Error::SessionLost`](crate::Error::SessionLost) if there is none with this id.
    pub async fn describe(&self, id: SessionId) -> Result<SessionDescription> {
        let _ = id;
        todo!()
    }

    /// Sessions with ids above `after` (0: from the beginning), in order, at most `limit` (1 to 1000; 0 means 1000).
    ///
    /// # Errors
    /// As any read.
    pub async fn list(&self, after: SessionId, limit: u32) -> Result<Page<SessionInfo>> {
        let _ = (after, limit);
        todo!()
    }

    /// Ends a session, whosever it is. Gives how many keys and claims went with it.
    ///
    /// # Errors
    /// [`Error::SessionLost`](crate::Error::SessionLost) if there is none with this id.
    pub async fn close(&self, id: SessionId) -> Result<u64> {
        let _ = id;
        todo!()
    }
}
