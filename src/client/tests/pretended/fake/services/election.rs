//! Elections.

use ringfence_proto::v1;
use ringfence_proto::v1::election_server::Election;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status};

use super::{Boxed, Member, not_pretended};
use crate::fake::status;

#[tonic::async_trait]
impl Election for Member {
    async fn campaign(
        &self,
        request: Request<v1::ElectionCampaignRequest>,
    ) -> Result<Response<v1::ElectionCampaignResponse>, Status> {
        self.serve("campaign", async || {
            let asked = request.into_inner();
            let claim = self.wait(asked.name, asked.session_id, asked.suffix, asked.value).await?;
            Ok(v1::ElectionCampaignResponse { header: self.header(), claim: Some(claim) })
        })
        .await
    }

    async fn proclaim(
        &self,
        request: Request<v1::ElectionProclaimRequest>,
    ) -> Result<Response<v1::ElectionProclaimResponse>, Status> {
        self.serve("proclaim", async || {
            let asked = request.into_inner();
            match self.world.proclaim(&asked.name, asked.token, &asked.value) {
                true => Ok(v1::ElectionProclaimResponse { header: self.header() }),
                false => Err(status(Code::FailedPrecondition, "TOKEN_STALE")),
            }
        })
        .await
    }

    async fn resign(
        &self,
        _: Request<v1::ElectionResignRequest>,
    ) -> Result<Response<v1::ElectionResignResponse>, Status> {
        not_pretended()
    }

    async fn leader(
        &self,
        request: Request<v1::ElectionLeaderRequest>,
    ) -> Result<Response<v1::ElectionLeaderResponse>, Status> {
        self.serve("leader", async || Ok(self.leader(&request.get_ref().name))).await
    }

    type ObserveStream = Boxed<v1::ElectionLeaderResponse>;

    async fn observe(
        &self,
        request: Request<v1::ElectionObserveRequest>,
    ) -> Result<Response<Self::ObserveStream>, Status> {
        self.serve("observe", async || {
            let member = self.clone();
            let name = request.into_inner().name;
            let (views, receiver) = mpsc::channel(16);
            tokio::spawn(async move {
                loop {
                    let changed = member.world.changed.notified();
                    tokio::pin!(changed);
                    changed.as_mut().enable();
                    if views.send(Ok(member.leader(&name))).await.is_err() {
                        return;
                    }
                    changed.await;
                }
            });
            let stream: Self::ObserveStream = Box::pin(ReceiverStream::new(receiver));
            Ok(stream)
        })
        .await
    }
}
