//! The gRPC services of a pretended member.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use ringfence_proto::v1;
use ringfence_proto::v1::cluster_server::{Cluster, ClusterServer};
use ringfence_proto::v1::election_server::{Election, ElectionServer};
use ringfence_proto::v1::kv_server::{Kv, KvServer};
use ringfence_proto::v1::lock_server::{Lock, LockServer};
use ringfence_proto::v1::session_server::{Session, SessionServer};
use ringfence_proto::v1::watch_server::{Watch, WatchServer};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::Router;
use tonic::{Code, Request, Response, Status, Streaming};

use super::{Fault, Script, World, header, status};

#[derive(Clone)]
struct Member {
    id: u64,
    world: Arc<World>,
    script: Arc<Script>,
}

pub fn server(id: u64, world: Arc<World>, script: Arc<Script>) -> Router {
    let member = Member { id, world, script };
    Server::builder()
        .add_service(KvServer::new(member.clone()))
        .add_service(SessionServer::new(member.clone()))
        .add_service(LockServer::new(member.clone()))
        .add_service(ElectionServer::new(member.clone()))
        .add_service(WatchServer::new(member.clone()))
        .add_service(ClusterServer::new(member))
}

impl Member {
    /// Does a call, or what the script says instead.
    async fn serve<A>(
        &self,
        call: &'static str,
        done: impl AsyncFnOnce() -> Result<A, Status>,
    ) -> Result<Response<A>, Status> {
        match self.script.next(call) {
            None => done().await.map(Response::new),
            Some(Fault::Refuse(status)) => Err(status),
            Some(Fault::DoneBut(status)) => {
                done().await?;
                Err(status)
            }
            Some(Fault::Hang) => std::future::pending().await,
        }
    }

    fn header(&self) -> Option<v1::ResponseHeader> {
        header(&self.world, self.id)
    }

    /// Waits in a queue. A wait that is cancelled leaves its claim there, as where a member died: the worst case.
    async fn wait(
        &self,
        name: bytes::Bytes,
        session: u64,
        suffix: bytes::Bytes,
        value: bytes::Bytes,
    ) -> Result<v1::Claim, Status> {
        let mine = self.world.claim(&name, session, &suffix, &value)?;
        loop {
            let changed = self.world.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self
                .world
                .queue(&name)
                .into_iter()
                .find(|claim| claim.token == mine.token)
            {
                Some(claim) if claim.owner => return Ok(claim),
                Some(_) => changed.await,
                None => return Err(status(Code::Aborted, "CLAIM_LOST")),
            }
        }
    }

    fn leader(&self, name: &[u8]) -> v1::ElectionLeaderResponse {
        let mut queue = self.world.queue(name).into_iter();
        v1::ElectionLeaderResponse {
            header: self.header(),
            leader: queue.next(),
            waiting: queue.count() as u64,
        }
    }
}

fn not_pretended<A>() -> Result<Response<A>, Status> {
    Err(Status::unimplemented("not pretended"))
}

type Boxed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Kv for Member {
    async fn range(
        &self,
        request: Request<v1::RangeRequest>,
    ) -> Result<Response<v1::RangeResponse>, Status> {
        self.serve("range", async || {
            let kvs: Vec<_> = self.world.get(&request.get_ref().key).into_iter().collect();
            Ok(v1::RangeResponse {
                header: self.header(),
                count: kvs.len() as u64,
                kvs,
                more: false,
            })
        })
        .await
    }

    async fn put(
        &self,
        request: Request<v1::PutRequest>,
    ) -> Result<Response<v1::PutResponse>, Status> {
        self.serve("put", async || {
            let put = request.into_inner();
            let revision = self.world.put(&put.key, &put.value, put.request_id);
            let header = self
                .header()
                .map(|header| v1::ResponseHeader { revision, ..header });
            Ok(v1::PutResponse {
                header,
                key: put.key,
                prev_kv: None,
            })
        })
        .await
    }

    async fn delete(
        &self,
        _: Request<v1::DeleteRequest>,
    ) -> Result<Response<v1::DeleteResponse>, Status> {
        not_pretended()
    }

    async fn txn(&self, _: Request<v1::TxnRequest>) -> Result<Response<v1::TxnResponse>, Status> {
        not_pretended()
    }

    async fn compact(
        &self,
        _: Request<v1::CompactRequest>,
    ) -> Result<Response<v1::CompactResponse>, Status> {
        not_pretended()
    }

    async fn history(
        &self,
        _: Request<v1::HistoryRequest>,
    ) -> Result<Response<v1::HistoryResponse>, Status> {
        not_pretended()
    }
}

#[tonic::async_trait]
impl Session for Member {
    async fn open(
        &self,
        request: Request<v1::SessionOpenRequest>,
    ) -> Result<Response<v1::SessionOpenResponse>, Status> {
        self.serve("open", async || {
            let ttl_ms = request.get_ref().ttl_ms;
            Ok(v1::SessionOpenResponse {
                header: self.header(),
                session_id: self.world.open(ttl_ms),
                ttl_ms,
            })
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
            Ok(v1::SessionCloseResponse {
                header: self.header(),
                deleted,
            })
        })
        .await
    }

    async fn describe(
        &self,
        _: Request<v1::SessionDescribeRequest>,
    ) -> Result<Response<v1::SessionDescribeResponse>, Status> {
        not_pretended()
    }

    async fn list(
        &self,
        _: Request<v1::SessionListRequest>,
    ) -> Result<Response<v1::SessionListResponse>, Status> {
        not_pretended()
    }
}

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
            Ok(v1::LockAcquireResponse {
                header: self.header(),
                claim: Some(claim),
            })
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
            let claim =
                self.world
                    .claim(&asked.name, asked.session_id, &asked.suffix, &asked.value)?;
            Ok(v1::LockAcquireResponse {
                header: self.header(),
                claim: Some(claim),
            })
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

    async fn list(
        &self,
        _: Request<v1::LockListRequest>,
    ) -> Result<Response<v1::LockListResponse>, Status> {
        not_pretended()
    }

    async fn force_release(
        &self,
        request: Request<v1::LockForceReleaseRequest>,
    ) -> Result<Response<v1::LockReleaseResponse>, Status> {
        self.serve("force_release", async || {
            let asked = request.into_inner();
            let claim = self
                .world
                .release(&asked.name, |claim| claim.token == asked.token);
            Ok(v1::LockReleaseResponse {
                header: self.header(),
                claim: Some(claim.ok_or_else(|| status(Code::FailedPrecondition, "TOKEN_STALE"))?),
            })
        })
        .await
    }
}

#[tonic::async_trait]
impl Election for Member {
    async fn campaign(
        &self,
        request: Request<v1::ElectionCampaignRequest>,
    ) -> Result<Response<v1::ElectionCampaignResponse>, Status> {
        self.serve("campaign", async || {
            let asked = request.into_inner();
            let claim = self
                .wait(asked.name, asked.session_id, asked.suffix, asked.value)
                .await?;
            Ok(v1::ElectionCampaignResponse {
                header: self.header(),
                claim: Some(claim),
            })
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
                true => Ok(v1::ElectionProclaimResponse {
                    header: self.header(),
                }),
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
        self.serve("leader", async || Ok(self.leader(&request.get_ref().name)))
            .await
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

#[tonic::async_trait]
impl Watch for Member {
    type WatchStream = Boxed<v1::WatchResponse>;

    /// Each message that would be sent counts as a call "watch": a fault there breaks the stream, or silences it.
    async fn watch(
        &self,
        request: Request<Streaming<v1::WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let member = self.clone();
        let mut requests = request.into_inner();
        let (messages, receiver) = mpsc::channel(16);
        tokio::spawn(async move {
            let Some(Ok(v1::WatchRequest {
                request: Some(v1::watch_request::Request::Create(create)),
            })) = requests.next().await
            else {
                return;
            };
            if let Err(Some(status)) = member.follow(create, &messages).await {
                let _ = messages.send(Err(status)).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

type Messages = mpsc::Sender<Result<v1::WatchResponse, Status>>;

impl Member {
    async fn follow(
        &self,
        create: v1::WatchCreate,
        messages: &Messages,
    ) -> Result<(), Option<Status>> {
        use v1::watch_response::Response as Body;
        let mut next = match create.start_revision {
            0 => self.world.revision() + 1,
            revision => revision,
        };
        self.say(
            messages,
            Body::Created(v1::WatchCreated {
                start_revision: next,
            }),
        )
        .await?;
        if create.snapshot {
            let (revision, kvs) = self.world.all();
            let parts = kvs.len();
            for (part, kv) in kvs.into_iter().enumerate() {
                let complete = part + 1 == parts;
                let kvs = vec![kv];
                self.say(
                    messages,
                    Body::Snapshot(v1::WatchSnapshot {
                        revision,
                        kvs,
                        complete,
                    }),
                )
                .await?;
            }
            next = revision + 1;
        }
        loop {
            let changed = self.world.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let (events, after) = match self.world.since(next) {
                Ok(found) => found,
                Err(compacted_revision) => {
                    let canceled = v1::WatchCanceled {
                        reason: v1::watch_canceled::Reason::Compacted.into(),
                        compacted_revision,
                        next_revision: next,
                        message: String::new(),
                    };
                    return self.say(messages, Body::Canceled(canceled)).await;
                }
            };
            // One event a message, so that a stream can break between any two.
            for event in events {
                let kv = event.kv.clone().unwrap_or_default();
                let fits = match create.prefix {
                    true => kv.key.starts_with(&create.key),
                    false => kv.key == create.key,
                };
                let kind = event.kind() == v1::event::Kind::Put;
                if fits && !(kind && create.no_put) {
                    let events = vec![event];
                    self.say(messages, Body::Events(v1::WatchEvents { events }))
                        .await?;
                }
            }
            if after > next {
                let revision = after - 1;
                self.say(messages, Body::Progress(v1::WatchProgress { revision }))
                    .await?;
            }
            next = next.max(after);
            changed.await;
        }
    }

    async fn say(
        &self,
        messages: &Messages,
        body: v1::watch_response::Response,
    ) -> Result<(), Option<Status>> {
        match self.script.next("watch") {
            Some(Fault::Refuse(status) | Fault::DoneBut(status)) => return Err(Some(status)),
            Some(_) => {
                messages.closed().await;
                return Err(None);
            }
            None => {}
        }
        let message = v1::WatchResponse {
            header: self.header(),
            watch_id: 1,
            response: Some(body),
        };
        messages.send(Ok(message)).await.map_err(|_| None)
    }
}

#[tonic::async_trait]
impl Cluster for Member {
    async fn members(
        &self,
        _: Request<v1::ClusterMembersRequest>,
    ) -> Result<Response<v1::ClusterMembersResponse>, Status> {
        self.serve("members", async || {
            Ok(v1::ClusterMembersResponse {
                header: self.header(),
                members: self.world.members(),
                leader: self.world.leader(),
            })
        })
        .await
    }

    async fn status(
        &self,
        _: Request<v1::ClusterStatusRequest>,
    ) -> Result<Response<v1::ClusterStatusResponse>, Status> {
        not_pretended()
    }

    async fn add_learner(
        &self,
        _: Request<v1::ClusterAddLearnerRequest>,
    ) -> Result<Response<v1::ClusterMembersResponse>, Status> {
        not_pretended()
    }

    async fn promote(
        &self,
        _: Request<v1::ClusterPromoteRequest>,
    ) -> Result<Response<v1::ClusterMembersResponse>, Status> {
        not_pretended()
    }

    async fn remove(
        &self,
        _: Request<v1::ClusterRemoveRequest>,
    ) -> Result<Response<v1::ClusterMembersResponse>, Status> {
        not_pretended()
    }

    async fn transfer_leader(
        &self,
        _: Request<v1::ClusterTransferLeaderRequest>,
    ) -> Result<Response<v1::ClusterTransferLeaderResponse>, Status> {
        not_pretended()
    }
}
