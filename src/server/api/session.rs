//! `ringfence.v1.Session`.

use std::pin::Pin;

use futures::{Stream, StreamExt, stream::FuturesUnordered};
use ringfence_core::{
    Command, Reply, SessionId,
    limits::RENEWALS_MAX,
    query::{Session as SessionQuery, Sessions},
};
use ringfence_proto::v1::{self, session_server};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{
    convert::session_info,
    convert_request::{checked, freshness, page, session_id},
    errors::{refused, refused_subject, stopping, unexpected_reply, write_error},
    parts::Parts,
};

/// Sessions in one answer, and keys of one session.
const PAGE_MAX: usize = 1000;
/// Ids in one message of a renewal stream.
const IDS_PER_MESSAGE_MAX: usize = if RENEWALS_MAX < 1000 { RENEWALS_MAX } else { 1000 };
/// Messages of one stream that wait for their answer at a time; the next ones wait on the wire. Each takes a window, so a client
/// with this many sessions in messages of their own renews them all in one.
const RENEWALS_WAITING_MAX: usize = 256;
/// Answers that wait for a client who doesn't read, before its stream stops taking messages.
const RENEW_BUFFER: usize = 16;

/// The service.
pub struct Session {
    parts: Parts,
}

impl Session {
    /// On top of these.
    pub fn new(parts: Parts) -> Self {
        Self { parts }
    }
}

type Renewal = Result<v1::SessionRenewResponse, Status>;

#[tonic::async_trait]
impl session_server::Session for Session {
    async fn open(
        &self,
        request: Request<v1::SessionOpenRequest>,
    ) -> Result<Response<v1::SessionOpenResponse>, Status> {
        let v1::SessionOpenRequest { ttl_ms, owner } = request.into_inner();
        // The id comes later; any that can be one serves the check.
        checked(Command::OpenSession { id: SessionId(1), ttl_ms, owner: owner.clone() }, None)?;
        let reply = self.parts.proposer.open_session(ttl_ms, owner).await;
        match reply.map_err(write_error)?.map_err(refused)? {
            Reply::SessionOpened { id, ttl_ms } => Ok(Response::new(v1::SessionOpenResponse {
                header: Some(self.parts.headers.now(0)),
                session_id: id.0,
                ttl_ms,
            })),
            _ => Err(unexpected_reply()),
        }
    }

    type RenewStream = Pin<Box<dyn Stream<Item = Renewal> + Send>>;

    async fn renew(
        &self,
        request: Request<Streaming<v1::SessionRenewRequest>>,
    ) -> Result<Response<Self::RenewStream>, Status> {
        let (sender, receiver) = mpsc::channel(RENEW_BUFFER);
        let (parts, asked) = (self.parts.clone(), request.into_inner());
        tokio::spawn(async move {
            let ended = tokio::select! {
                biased;
                () = sender.closed() => return,
                () = parts.stopping.wait() => Some(stopping()),
                ended = renewals(&parts, asked, &sender) => ended,
            };
            if let Some(status) = ended {
                let _ = sender.try_send(Err(status));
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn close(
        &self,
        request: Request<v1::SessionCloseRequest>,
    ) -> Result<Response<v1::SessionCloseResponse>, Status> {
        let id = session_id(request.into_inner().session_id)?;
        let request = checked(Command::CloseSession { id }, None)?;
        let reply = self.parts.proposer.propose_one(request).await.map_err(write_error)?;
        match reply.map_err(refused_subject)? {
            Reply::SessionClosed { deleted } => {
                Ok(Response::new(v1::SessionCloseResponse { header: Some(self.parts.headers.now(0)), deleted }))
            }
            _ => Err(unexpected_reply()),
        }
    }

    async fn describe(
        &self,
        request: Request<v1::SessionDescribeRequest>,
    ) -> Result<Response<v1::SessionDescribeResponse>, Status> {
        let request = request.into_inner();
        let freshness = freshness(request.consistency, request.min_revision)?;
        let query = SessionQuery(session_id(request.session_id)?);
        self.parts.fresh(freshness).await?;
        let (view, header) = self.parts.headers.read(&query).map_err(refused_subject)?;
        let session = session_info(&view);
        let mut keys = view.keys;
        keys.truncate(PAGE_MAX);
        Ok(Response::new(v1::SessionDescribeResponse { header: Some(header), session: Some(session), keys }))
    }

    async fn list(
        &self,
        request: Request<v1::SessionListRequest>,
    ) -> Result<Response<v1::SessionListResponse>, Status> {
        let request = request.into_inner();
        let freshness = freshness(request.consistency, request.min_revision)?;
        let limit = page(request.limit, PAGE_MAX)?;
        // One more, to know whether there are more.
        let query = Sessions { after: request.after, limit: limit + 1 };
        let (mut sessions, header) = self.parts.read(&query, freshness).await?;
        let more = sessions.len() > limit;
        sessions.truncate(limit);
        Ok(Response::new(v1::SessionListResponse {
            header: Some(header),
            sessions: sessions.iter().map(session_info).collect(),
            more,
        }))
    }
}

/// Takes messages and gives their answers, each as it comes. `None` at the end of the client's side.
async fn renewals(
    parts: &Parts,
    mut asked: Streaming<v1::SessionRenewRequest>,
    sender: &mpsc::Sender<Renewal>,
) -> Option<Status> {
    let mut waiting = FuturesUnordered::new();
    let mut open = true;
    while open || !waiting.is_empty() {
        tokio::select! {
            biased;
            answer = waiting.next(), if !waiting.is_empty() => match answer {
                Some(Ok(answer)) => sender.send(Ok(answer)).await.ok()?,
                Some(Err(status)) => return Some(status),
                None => {}
            },
            message = asked.next(), if open && waiting.len() < RENEWALS_WAITING_MAX => match message {
                Some(Ok(message)) => waiting.push(renew(parts, message)),
                // The connection is gone, and with it who would hear of it.
                Some(Err(_)) => return None,
                None => open = false,
            },
        }
    }
    None
}

async fn renew(parts: &Parts, message: v1::SessionRenewRequest) -> Renewal {
    let v1::SessionRenewRequest { session_ids, request } = message;
    if session_ids.len() > IDS_PER_MESSAGE_MAX {
        return Err(refused(ringfence_core::Refusal::LimitExceeded {
            what: "sessions of a renewal".to_owned(),
            limit: IDS_PER_MESSAGE_MAX as u64,
            actual: session_ids.len() as u64,
        }));
    }
    let ids = session_ids.iter().map(|&id| session_id(id)).collect::<Result<Vec<_>, _>>()?;
    let renewed = parts.proposer.renew(ids).await.map_err(write_error)?;
    let renewals = session_ids
        .into_iter()
        .zip(renewed)
        .map(|(session_id, ttl_ms)| v1::SessionRenewal {
            session_id,
            alive: ttl_ms.is_some(),
            ttl_ms: ttl_ms.unwrap_or(0),
        })
        .collect();
    Ok(v1::SessionRenewResponse { header: Some(parts.headers.now(0)), request, renewals })
}
