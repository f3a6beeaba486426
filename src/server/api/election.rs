//! `ringfence.v1.Election`.

use std::pin::Pin;

use bytes::Bytes;
use futures::Stream;
use ringfence_core::{
    Claim, Command, Mode, Reply, Which,
    query::{Queue, QueueAnswer},
};
use ringfence_proto::v1::{self, election_server};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{
    convert,
    convert_request::{Freshness, attempt, freshness, session_id, wait},
    errors::{no_leader, refused, stopping, unexpected_reply},
    parts::Parts,
    waiting::acquire,
};

/// Answers that wait for an observer who doesn't read. What happens meanwhile is told in one, so more would only be older.
const OBSERVE_BUFFER: usize = 2;

/// The service.
pub struct Election {
    parts: Parts,
}

impl Election {
    /// On top of these.
    pub fn new(parts: Parts) -> Self {
        Self { parts }
    }
}

/// What an observer sees: it is told when it differs.
#[derive(PartialEq)]
struct Seen {
    token: u64,
    mod_revision: u64,
}

impl Seen {
    fn of(answer: &QueueAnswer) -> Option<Self> {
        answer.owners.first().map(|leader| Self { token: leader.token, mod_revision: leader.mod_revision })
    }
}

fn leader_response(answer: QueueAnswer, header: v1::ResponseHeader) -> v1::ElectionLeaderResponse {
    v1::ElectionLeaderResponse {
        header: Some(header),
        leader: answer.owners.into_iter().next().map(convert::claim),
        waiting: answer.waiting,
    }
}

/// The leader is the oldest owner; waiters are only counted.
fn query(name: Bytes) -> Queue {
    Queue { name, limit: 1 }
}

#[tonic::async_trait]
impl election_server::Election for Election {
    async fn campaign(
        &self,
        request: Request<v1::ElectionCampaignRequest>,
    ) -> Result<Response<v1::ElectionCampaignResponse>, Status> {
        let request = request.into_inner();
        let patience = wait(request.wait_ms)?;
        let claim = Claim {
            session: session_id(request.session_id)?,
            mode: Mode::Exclusive,
            name: request.name,
            suffix: request.suffix,
            value: request.value,
            attempt: attempt(request.attempt),
            only_if_free: false,
        };
        let view = acquire(&self.parts, claim, patience).await?;
        Ok(Response::new(v1::ElectionCampaignResponse {
            header: Some(self.parts.headers.now(view.token.max(view.mod_revision))),
            claim: Some(convert::claim(view)),
        }))
    }

    async fn proclaim(
        &self,
        request: Request<v1::ElectionProclaimRequest>,
    ) -> Result<Response<v1::ElectionProclaimResponse>, Status> {
        let request = request.into_inner();
        let command = Command::Proclaim {
            session: session_id(request.session_id)?,
            name: request.name,
            token: request.token,
            value: request.value,
        };
        match self.parts.write(command, None).await? {
            Reply::Proclaimed => {
                Ok(Response::new(v1::ElectionProclaimResponse { header: Some(self.parts.headers.now(request.token)) }))
            }
            _ => Err(unexpected_reply()),
        }
    }

    async fn resign(
        &self,
        request: Request<v1::ElectionResignRequest>,
    ) -> Result<Response<v1::ElectionResignResponse>, Status> {
        let request = request.into_inner();
        let command = Command::Release {
            session: session_id(request.session_id)?,
            name: request.name,
            which: Which::Token(request.token),
        };
        match self.parts.write(command, None).await? {
            Reply::Released(view) => Ok(Response::new(v1::ElectionResignResponse {
                header: Some(self.parts.headers.now(view.mod_revision)),
            })),
            _ => Err(unexpected_reply()),
        }
    }

    async fn leader(
        &self,
        request: Request<v1::ElectionLeaderRequest>,
    ) -> Result<Response<v1::ElectionLeaderResponse>, Status> {
        let request = request.into_inner();
        let freshness = freshness(request.consistency, request.min_revision)?;
        let (answer, header) = self.parts.read(&query(request.name), freshness).await?;
        Ok(Response::new(leader_response(answer, header)))
    }

    type ObserveStream = Pin<Box<dyn Stream<Item = Result<v1::ElectionLeaderResponse, Status>> + Send>>;

    async fn observe(
        &self,
        request: Request<v1::ElectionObserveRequest>,
    ) -> Result<Response<Self::ObserveStream>, Status> {
        let query = query(request.into_inner().name);
        let parts = self.parts.clone();
        parts.fresh(Freshness::Linearizable).await?;
        // A name that can't be one is refused here, and not as the first word on the stream.
        parts.headers.read(&query).map_err(refused)?;
        let (sender, receiver) = mpsc::channel(OBSERVE_BUFFER);
        tokio::spawn(async move {
            let ended = tokio::select! {
                biased;
                () = sender.closed() => return,
                () = parts.stopping.wait() => stopping(),
                () = parts.touch.lost() => no_leader(),
                status = observe(&parts, query, &sender) => status,
            };
            // Who doesn't read finds the stream closed instead.
            let _ = sender.try_send(Err(ended));
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

/// Tells the leader now and after each change. Ends only with an error.
async fn observe(
    parts: &Parts,
    query: Queue,
    sender: &mpsc::Sender<Result<v1::ElectionLeaderResponse, Status>>,
) -> Status {
    let mut signal = parts.hub.queue(query.name.clone());
    // Nothing was told yet.
    let mut told: Option<Option<Seen>> = None;
    loop {
        // Room first, then the look: what is told is never older than it must be.
        let Ok(room) = sender.reserve().await else {
            return stopping();
        };
        let (answer, header) = match parts.headers.read(&query) {
            Ok(read) => read,
            Err(refusal) => return refused(refusal),
        };
        let seen = Seen::of(&answer);
        if told.as_ref() != Some(&seen) {
            told = Some(seen);
            room.send(Ok(leader_response(answer, header)));
        }
        signal.raised().await;
    }
}
