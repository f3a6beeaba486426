//! Exclusive locks.

use std::time::Duration;

use ringfence_proto::v1;
use ringfence_proto::v1::lock_server::Lock;
use tonic::{Code, Request, Response, Status};

use super::{Member, not_pretended};
use crate::fake::status;

#[tonic::async_trait]
impl Lock for Member {
    async fn acquire(
        &self,
        request: Request<v1::LockAcquireRequest>,
    ) -> Result<Response<v1::LockAcquireResponse>, Status> {
        self.serve("acquire", async || {
            let asked = request.into_inner();
            let wait = self.wait(asked.name, asked.session_id, asked.suffix, asked.value);
            let claim = match asked.wait_ms {
                0 => wait.await?,
                bound => tokio::time::timeout(Duration::from_millis(bound), wait)
                    .await
                    .map_err(|_| status(Code::DeadlineExceeded, "WAIT_TIMEOUT"))??,
            };
            Ok(v1::LockAcquireResponse { header: self.header(), claim: Some(claim) })
        })
        .await
    }

    async fn try_acquire(
        &self,
        request: Request<v1::LockTryAcquireRequest>,
    ) -> Result<Response<v1::LockAcquireResponse>, Status> {
        self.serve("try_acquire", async || {
            let asked = request.into_inner();
            if !self.world.queue(&asked.name).is_empty() {
                return Err(status(Code::FailedPrecondition, "LOCK_HELD"));
            }
            let claim = self.world.claim(&asked.name, asked.session_id, &asked.suffix, &asked.value)?;
            Ok(v1::LockAcquireResponse { header: self.header(), claim: Some(claim) })
        })
        .await
    }

    async fn release(
        &self,
        request: Request<v1::LockReleaseRequest>,
    ) -> Result<Response<v1::LockReleaseResponse>, Status> {
        self.serve("release", async || {
            let asked = request.into_inner();
            let claim = self.world.release(&asked.name, |claim| match asked.token {
                0 => claim.session_id == asked.session_id && claim.suffix == asked.suffix,
                token => claim.token == token,
            });
            Ok(v1::LockReleaseResponse {
                header: self.header(),
                claim: Some(claim.ok_or_else(|| status(Code::FailedPrecondition, "TOKEN_STALE"))?),
            })
        })
        .await
    }

    async fn validate(
        &self,
        request: Request<v1::LockValidateRequest>,
    ) -> Result<Response<v1::LockValidateResponse>, Status> {
        self.serve("validate", async || {
            let queue = self.world.queue(&request.get_ref().name);
            let current_token = queue.first().map(|claim| claim.token).unwrap_or_default();
            Ok(v1::LockValidateResponse {
                header: self.header(),
                owner: current_token == request.get_ref().token,
                current_token,
            })
        })
        .await
    }

    async fn describe(
        &self,
        _: Request<v1::LockDescribeRequest>,
    ) -> Result<Response<v1::LockDescribeResponse>, Status> {
        not_pretended()
    }

    async fn list(&self, _: Request<v1::LockListRequest>) -> Result<Response<v1::LockListResponse>, Status> {
        not_pretended()
    }

    async fn force_release(
        &self,
        request: Request<v1::LockForceReleaseRequest>,
    ) -> Result<Response<v1::LockReleaseResponse>, Status> {
        self.serve("force_release", async || {
            let asked = request.into_inner();
            let claim = self.world.release(&asked.name, |claim| claim.token == asked.token);
            Ok(v1::LockReleaseResponse {
                header: self.header(),
                claim: Some(claim.ok_or_else(|| status(Code::FailedPrecondition, "TOKEN_STALE"))?),
            })
        })
        .await
    }
}
