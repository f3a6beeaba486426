//! Calls on one stream: given to the test, which plays the member's part.

use ringfence_proto::v1;
use ringfence_proto::v1::pipeline_server::Pipeline;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{Boxed, Member};

/// A stream of calls that a client opened. Dropping it ends it.
pub struct Opened {
    requests: Streaming<v1::PipelineRequest>,
    answers: mpsc::UnboundedSender<Result<v1::PipelineResponse, Status>>,
}

impl Opened {
    /// The calls of the next message. `None` when the client has ended its side.
    pub async fn next(&mut self) -> Option<Vec<v1::PipelinedCall>> {
        Some(self.requests.message().await.unwrap()?.calls)
    }

    /// The calls that come next, until there are so many.
    pub async fn calls(&mut self, count: usize) -> Vec<v1::PipelinedCall> {
        let mut calls = Vec::new();
        while calls.len() < count {
            calls.extend(self.next().await.unwrap());
        }
        calls
    }

    pub fn say(&self, response: v1::PipelineResponse) {
        self.answers.send(Ok(response)).unwrap();
    }

    /// Ends it so, with calls that aren't answered.
    pub fn fail(self, status: Status) {
        self.answers.send(Err(status)).unwrap();
    }
}

#[tonic::async_trait]
impl Pipeline for Member {
    type OpenStream = Boxed<v1::PipelineResponse>;

    async fn open(
        &self,
        request: Request<Streaming<v1::PipelineRequest>>,
    ) -> Result<Response<Self::OpenStream>, Status> {
        let opened = self.script.pipelines.lock().unwrap().clone();
        self.serve("pipeline", async || {
            // As a member without the service says it.
            let opened = opened.ok_or_else(|| Status::unimplemented(""))?;
            let (answers, stream) = mpsc::unbounded_channel();
            let _ = opened.send(Opened { requests: request.into_inner(), answers });
            Ok(Box::pin(UnboundedReceiverStream::new(stream)) as Self::OpenStream)
        })
        .await
    }
}
