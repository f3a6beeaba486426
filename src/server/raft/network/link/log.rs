//! The log's stream on a link: frames of `AppendRequest` to the member, and of `LinkAnswer` back.
//!
//! What is said is the same as in the call, and so is what an end of the stream means: [`crate::raft::network::append`] and
//! [`PeerService::answers_to`] know nothing of the difference.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures::{Sink, Stream, StreamExt};
use ringfence_proto::peer as pb;
use tokio::sync::oneshot;
use tokio_util::codec::{Framed, FramedRead, FramedWrite};
use tonic::Status;

use super::{Frames, Wire, end, status};
use crate::raft::network::{append::until, service::PeerService};

/// Sends what comes, and gives the answers. They end with the first error.
pub fn carry<W: Wire>(
    wire: W,
    messages: impl Stream<Item = pb::AppendRequest> + Send + Unpin,
) -> impl Stream<Item = Result<pb::AppendResponse, Status>> + Send {
    Carried { wire: Framed::new(wire, Frames::<_, pb::LinkAnswer>::new()), messages: Some(messages), closed: false }
}

/// A link's end at the leader: sends and receives in the task of whoever asks for answers.
struct Carried<W, S> {
    wire: Framed<W, Frames<pb::AppendRequest, pb::LinkAnswer>>,
    /// Until they end.
    messages: Option<S>,
    /// The other side was told that they ended.
    closed: bool,
}

impl<W: Wire, S: Stream<Item = pb::AppendRequest> + Unpin> Carried<W, S> {
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        let mut wire = Pin::new(&mut self.wire);
        while let Some(messages) = &mut self.messages {
            ready!(wire.as_mut().poll_ready(context))?;
            match messages.poll_next_unpin(context) {
                Poll::Ready(Some(message)) => wire.as_mut().start_send(message)?,
                Poll::Ready(None) => self.messages = None,
                Poll::Pending => return wire.poll_flush(context),
            }
        }
        if !self.closed {
            ready!(wire.poll_close(context))?;
            self.closed = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl<W: Wire, S: Stream<Item = pb::AppendRequest> + Unpin> Stream for Carried<W, S> {
    type Item = Result<pb::AppendResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Poll::Ready(Err(status)) = self.poll_send(context) {
            return Poll::Ready(Some(Err(status)));
        }
        let answer = match ready!(self.wire.poll_next_unpin(context)) {
            Some(Ok(answer)) => answer.answer,
            Some(Err(status)) => return Poll::Ready(Some(Err(status))),
            None => return Poll::Ready(None),
        };
        Poll::Ready(Some(match answer {
            Some(pb::link_answer::Answer::Response(response)) => Ok(response),
            Some(pb::link_answer::Answer::End(end)) => Err(status(end)),
            None => Err(Status::unimplemented("the answer is of a newer version")),
        }))
    }
}

/// A link's end at a follower, until it ends.
pub async fn serve(wire: impl Wire + 'static, service: Arc<PeerService>) {
    let (reading, writing) = tokio::io::split(wire);
    let requests = FramedRead::new(reading, Frames::<pb::LinkAnswer, pb::AppendRequest>::new());
    // What reads goes with what answers: openraft has them in two tasks.
    let (_answering, given_up) = oneshot::channel();
    let answers = service.answers_to(until(given_up, requests)).map(|answer| {
        use pb::link_answer::Answer;
        let answer = answer.map_or_else(|status| Answer::End(end(&status)), Answer::Response);
        Ok(pb::LinkAnswer { answer: Some(answer) })
    });
    let writing = FramedWrite::new(writing, Frames::<pb::LinkAnswer, pb::AppendRequest>::new());
    if let Err(error) = answers.forward(writing).await {
        tracing::debug!(%error, "a link of the log broke off");
    }
}
