//! Sessions that never expire by themselves.

use ringfence_proto::v1;
use ringfence_proto::v1::session_server::Session;
use tokio_stream::StreamExt as _;
use tonic::{Request, Response, Status, Streaming};

use super::{Boxed, Member, not_pretended};

#[tonic::async_trait]
impl Session for Member {
    async fn open(
        &self,
        request: Request<v1::SessionOpenRequest>,
    ) -> Result<Response<v1::SessionOpenResponse>, Status> {
        self.serve("open", async || {
            let ttl_ms = request.get_ref().ttl_ms;
            Ok(v1::SessionOpenResponse { header: self.header(), session_id: self.world.open(ttl_ms), ttl_ms })
        })
        .await
    }

    type RenewStream = Boxed<v1::SessionRenewResponse>;

    /// Each message counts as a call "renew".
    async fn renew(
        &self,
        request: Request<Streaming<v1::SessionRenewRequest>>,
    ) -> Result<Response<Self::RenewStream>, Status> {
        let member = self.clone();
        let answers = request.into_inner().then(move |message| {
            let member = member.clone();
            async move {
                let message = message?;
                let renewal = |id: &u64| v1::SessionRenewal {
                    session_id: *id,
                    alive: member.world.ttl(*id).is_some(),
                    ttl_ms: member.world.ttl(*id).unwrap_or_default(),
                };
                let answer = member.serve("renew", async || {
                    Ok(v1::SessionRenewResponse {
                        header: member.header(),
                        request: message.request,
                        renewals: message.session_ids.iter().map(renewal).collect(),
                    })
                });
                answer.await.map(Response::into_inner)
            }
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn close(
        &self,
        request: Request<v1::SessionCloseRequest>,
    ) -> Result<Response<v1::SessionCloseResponse>, Status> {
        self.serve("close", async || {
            let deleted = self.world.close(request.get_ref().session_id)?;
            Ok(v1::SessionCloseResponse { header: self.header(), deleted })
        })
        .await
    }

    async fn describe(
        &self,
        _: Request<v1::SessionDescribeRequest>,
    ) -> Result<Response<v1::SessionDescribeResponse>, Status> {
        not_pretended()
    }

    async fn list(&self, _: Request<v1::SessionListRequest>) -> Result<Response<v1::SessionListResponse>, Status> {
        not_pretended()
    }
}
