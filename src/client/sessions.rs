//! Looking at sessions, anybody's.

use ringfence_proto::v1;
use ringfence_proto::v1::session_client::SessionClient;

use crate::client::Client;
use crate::convert::session_info;
use crate::core::{Failure, MESSAGE_BYTES_MAX, Safety};
use crate::error::{Error, Result};
use crate::session::ask_close;
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
    /// [`Error::SessionLost`] if there is none with this id.
    pub async fn describe(&self, id: SessionId) -> Result<SessionDescription> {
        let (consistency, min_revision) = self.client.consistency();
        let request = v1::SessionDescribeRequest { session_id: id, consistency, min_revision };
        let plan = self.client.read("describe session").about(id, 0);
        let answer = self
            .client
            .core()
            .call(plan, request, |channel, request| async move { SessionClient::new(channel).describe(request).await });
        let body = answer.await?.body;
        let session = body
            .session
            .ok_or_else(|| Error::Protocol { message: "describe session: the answer holds no session".to_owned() })?;
        Ok(SessionDescription { session: session_info(session), keys: body.keys })
    }

    /// Sessions with ids above `after` (0: from the beginning), in order, at most `limit` (1 to 1000; 0 means 1000).
    ///
    /// # Errors
    /// As any read.
    pub async fn list(&self, after: SessionId, limit: u32) -> Result<Page<SessionInfo>> {
        let (consistency, min_revision) = self.client.consistency();
        let request = v1::SessionListRequest { after, limit, consistency, min_revision };
        let plan = self.client.read("list sessions");
        let answer = self.client.core().call(plan, request, |channel, request| async move {
            let client = SessionClient::new(channel);
            client.max_decoding_message_size(MESSAGE_BYTES_MAX).list(request).await
        });
        let body = answer.await?.body;
        Ok(Page { items: body.sessions.into_iter().map(session_info).collect(), more: body.more })
    }

    /// Ends a session, whosever it is. Gives how many keys and claims went with it.
    ///
    /// # Errors
    /// [`Error::SessionLost`] if there is none with this id.
    pub async fn close(&self, id: SessionId) -> Result<u64> {
        let request = v1::SessionCloseRequest { session_id: id };
        let plan = self.client.write("close session", Safety::Idempotent).about(id, 0);
        match self.client.core().call(plan, request, ask_close).await {
            Ok(answer) => Ok(answer.body.deleted),
            // An earlier attempt of this call closed it, and its count is lost.
            Err(Failure { error: Error::SessionLost { .. }, repeated: true }) => Ok(0),
            Err(failure) => Err(failure.error),
        }
    }
}
