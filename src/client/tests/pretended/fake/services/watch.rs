//! Watches, one event a message.

use ringfence_proto::v1;
use ringfence_proto::v1::watch_server::Watch;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{Boxed, Member};
use crate::fake::Fault;

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
            let Some(Ok(v1::WatchRequest { request: Some(v1::watch_request::Request::Create(create)) })) =
                requests.next().await
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
    async fn follow(&self, create: v1::WatchCreate, messages: &Messages) -> Result<(), Option<Status>> {
        use v1::watch_response::Response as Body;
        let mut next = match create.start_revision {
            0 => self.world.revision() + 1,
            revision => revision,
        };
        self.say(messages, Body::Created(v1::WatchCreated { start_revision: next })).await?;
        if create.snapshot {
            let (revision, kvs) = self.world.all();
            let parts = kvs.len();
            for (part, kv) in kvs.into_iter().enumerate() {
                let complete = part + 1 == parts;
                let kvs = vec![kv];
                self.say(messages, Body::Snapshot(v1::WatchSnapshot { revision, kvs, complete })).await?;
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
                    self.say(messages, Body::Events(v1::WatchEvents { events })).await?;
                }
            }
            if after > next {
                let revision = after - 1;
                self.say(messages, Body::Progress(v1::WatchProgress { revision })).await?;
            }
            next = next.max(after);
            changed.await;
        }
    }

    async fn say(&self, messages: &Messages, body: v1::watch_response::Response) -> Result<(), Option<Status>> {
        match self.script.next("watch") {
            Some(Fault::Refuse(status) | Fault::DoneBut(status)) => return Err(Some(status)),
            Some(_) => {
                messages.closed().await;
                return Err(None);
            }
            None => {}
        }
        let message = v1::WatchResponse { header: self.header(), watch_id: 1, response: Some(body) };
        messages.send(Ok(message)).await.map_err(|_| None)
    }
}
