//! What the services that wait and watch are built on, and what they all do with it.

use std::sync::Arc;

use ringfence_core::{
    Command, Reply, RequestId,
    query::{Query, Range, RangeAnswer},
};
use ringfence_proto::v1::ResponseHeader;
use tonic::{Response, Status};

use super::{
    convert_request::{Freshness, checked},
    errors::{read_error, refused, write_error},
    headers::Headers,
    withdrawals::Withdrawals,
};
use crate::{
    proposer::Proposer,
    reader::{LongReads, Reader, Touch},
    replica::Replica,
    stopping::Stopping,
    watch::Hub,
};

/// Everything that a service goes down through. Cheap to clone.
#[derive(Clone)]
pub struct Parts {
    /// Writes.
    pub proposer: Proposer,
    /// Reads.
    pub reader: Reader,
    /// What is applied here.
    pub replica: Arc<Replica>,
    /// Events.
    pub hub: Arc<Hub>,
    /// Whether this member is still in touch with the cluster.
    pub touch: Touch,
    /// Headers of answers.
    pub headers: Headers,
    /// The signal that the server stops.
    pub stopping: Stopping,
    /// Claims that nobody waits for any more.
    pub withdrawals: Withdrawals,
}

impl Parts {
    /// Built on these. Call it within the runtime.
    pub fn new(
        proposer: Proposer,
        reader: Reader,
        replica: Arc<Replica>,
        hub: Arc<Hub>,
        headers: Headers,
        stopping: Stopping,
    ) -> Self {
        Self {
            touch: Touch::new(reader.clone()),
            withdrawals: Withdrawals::start(proposer.clone(), stopping.clone()),
            proposer,
            reader,
            replica,
            hub,
            headers,
            stopping,
        }
    }

    /// Proposes a command after checking its limits.
    ///
    /// # Errors
    /// The status of its refusal, or of why there is no reply.
    pub async fn write(&self, command: Command, id: Option<RequestId>) -> Result<Reply, Status> {
        let request = checked(command, id)?;
        self.proposer.propose_one(request).await.map_err(write_error)?.map_err(refused)
    }

    /// Waits until what is applied here is fresh enough.
    ///
    /// # Errors
    /// The status of why it isn't.
    pub async fn fresh(&self, freshness: Freshness) -> Result<(), Status> {
        match freshness {
            Freshness::Linearizable => self.reader.linearizable().await,
            Freshness::AtLeast(revision) => self.reader.at_least(revision).await,
        }
        .map_err(read_error)
    }

    /// Answers a question that is fresh enough, with the header of the state that answered.
    ///
    /// # Errors
    /// As [`Parts::fresh`], and the status of the question's refusal.
    pub async fn read<Q: Query>(&self, query: &Q, freshness: Freshness) -> Result<(Q::Answer, ResponseHeader), Status> {
        self.fresh(freshness).await?;
        self.headers.read(query).map_err(refused)
    }

    /// As [`Parts::read`], of what may be many keys.
    ///
    /// # Errors
    /// As there, and OVERLOADED.
    pub async fn read_range(
        &self,
        range: Range,
        freshness: Freshness,
    ) -> Result<(RangeAnswer, ResponseHeader), Status> {
        self.fresh(freshness).await?;
        if !LongReads::is_long(&self.replica, &range).map_err(refused)? {
            return self.headers.read(&range).map_err(refused);
        }
        let headers = self.headers.clone();
        self.reader.long().run(move || headers.read(&range)).await.map_err(read_error)?.map_err(refused)
    }

    /// The response with this message, whose keys and values have so many bytes: counted, if they are many.
    ///
    /// # Errors
    /// OVERLOADED.
    pub fn respond<T>(&self, message: T, bytes: usize) -> Result<Response<T>, Status> {
        let held = self.reader.long().hold(bytes).map_err(read_error)?;
        let mut response = Response::new(message);
        if let Some(held) = held {
            response.extensions_mut().insert(held);
        }
        Ok(response)
    }
}
