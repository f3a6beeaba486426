//! `ringfence.v1.Lock`.

use ringfence_core::{
    ClaimView, Command, Reply, Which,
    query::{Owner, Queue, QueueSummary, Queues},
};
use ringfence_proto::v1::{self, lock_server};
use tonic::{Request, Response, Status};

use super::{
    convert,
    convert_request::{Freshness, claim, freshness, page, session_id, wait},
    errors::unexpected_reply,
    parts::Parts,
    waiting::acquire,
};

/// Owners, waiters, or names, in one answer.
const PAGE_MAX: usize = 1000;

/// The service.
pub struct Lock {
    parts: Parts,
}

impl Lock {
    /// On top of these.
    pub fn new(parts: Parts) -> Self {
        Self { parts }
    }

    fn acquired(&self, view: ClaimView) -> Response<v1::LockAcquireResponse> {
        Response::new(v1::LockAcquireResponse {
            header: Some(self.parts.headers.now(view.token.max(view.mod_revision))),
            claim: Some(convert::claim(view)),
        })
    }

    async fn released(&self, command: Command) -> Result<Response<v1::LockReleaseResponse>, Status> {
        match self.parts.write(command, None).await? {
            Reply::Released(view) => Ok(Response::new(v1::LockReleaseResponse {
                header: Some(self.parts.headers.now(view.mod_revision)),
                claim: Some(convert::claim(view)),
            })),
            _ => Err(unexpected_reply()),
        }
    }
}

#[tonic::async_trait]
impl lock_server::Lock for Lock {
    async fn acquire(
        &self,
        request: Request<v1::LockAcquireRequest>,
    ) -> Result<Response<v1::LockAcquireResponse>, Status> {
        let request = request.into_inner();
        let patience = wait(request.wait_ms)?;
        let claim = claim(request, false)?;
        acquire(&self.parts, claim, patience).await.map(|view| self.acquired(view))
    }

    async fn try_acquire(
        &self,
        request: Request<v1::LockTryAcquireRequest>,
    ) -> Result<Response<v1::LockAcquireResponse>, Status> {
        let v1::LockTryAcquireRequest { name, session_id, suffix, mode, permits, value, attempt } =
            request.into_inner();
        let request = v1::LockAcquireRequest { name, session_id, suffix, mode, permits, value, attempt, wait_ms: 0 };
        let claim = claim(request, true)?;
        acquire(&self.parts, claim, None).await.map(|view| self.acquired(view))
    }

    async fn release(
        &self,
        request: Request<v1::LockReleaseRequest>,
    ) -> Result<Response<v1::LockReleaseResponse>, Status> {
        let request = request.into_inner();
        let which = match request.token {
            0 => Which::Suffix(request.suffix),
            token => Which::Token(token),
        };
        let session = session_id(request.session_id)?;
        self.released(Command::Release { name: request.name, session, which }).await
    }

    async fn validate(
        &self,
        request: Request<v1::LockValidateRequest>,
    ) -> Result<Response<v1::LockValidateResponse>, Status> {
        let request = request.into_inner();
        let freshness = freshness(request.consistency, request.min_revision)?;
        let query = Owner { name: request.name, token: request.token };
        let (answer, header) = self.parts.read(&query, freshness).await?;
        Ok(Response::new(v1::LockValidateResponse {
            header: Some(header),
            owner: answer.owner,
            current_token: answer.current,
        }))
    }

    async fn describe(
        &self,
        request: Request<v1::LockDescribeRequest>,
    ) -> Result<Response<v1::LockDescribeResponse>, Status> {
        let request = request.into_inner();
        let freshness = freshness(request.consistency, request.min_revision)?;
        let query = Queue { name: request.name, limit: page(request.limit, PAGE_MAX)? };
        let (answer, header) = self.parts.read(&query, freshness).await?;
        Ok(Response::new(v1::LockDescribeResponse {
            header: Some(header),
            owners: answer.owners.into_iter().map(convert::claim).collect(),
            waiters: answer.waiters.into_iter().map(convert::claim).collect(),
            waiting: answer.waiting,
            owner_count: answer.owning,
        }))
    }

    async fn list(&self, request: Request<v1::LockListRequest>) -> Result<Response<v1::LockListResponse>, Status> {
        let request = request.into_inner();
        let freshness: Freshness = freshness(request.consistency, request.min_revision)?;
        let limit = page(request.limit, PAGE_MAX)?;
        // One more, to know whether there are more.
        let query = Queues { prefix: request.prefix, after: request.after, limit: limit + 1 };
        let (mut queues, header) = self.parts.read(&query, freshness).await?;
        let more = queues.len() > limit;
        queues.truncate(limit);
        Ok(Response::new(v1::LockListResponse {
            header: Some(header),
            locks: queues.into_iter().map(summary).collect(),
            more,
        }))
    }

    async fn force_release(
        &self,
        request: Request<v1::LockForceReleaseRequest>,
    ) -> Result<Response<v1::LockReleaseResponse>, Status> {
        let v1::LockForceReleaseRequest { name, token } = request.into_inner();
        self.released(Command::ForceRelease { name, token }).await
    }
}

fn summary(queue: QueueSummary) -> v1::LockSummary {
    v1::LockSummary {
        name: queue.name,
        owner: Some(convert::claim(queue.owner)),
        owners: queue.owners,
        waiting: queue.waiting,
    }
}
