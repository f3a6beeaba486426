//! The log's stream on a link: frames of `AppendRequest` to the member, and of `LinkAnswer` back.
//!
//! What is said is the same as in the call, and so is what an end of the stream means: [`crate::raft::network::append`] and
//! [`PeerService::answers_to`] know nothing of the difference.

use std::sync::Arc;

use futures::{Stream, StreamExt};
use ringfence_link::Wire;
use ringfence_proto::peer as pb;
use tokio::sync::oneshot;
use tokio_util::codec::{FramedRead, FramedWrite};
use tonic::Status;

use super::{end, frames, status};
use crate::raft::network::{append::until, service::PeerService};

/// Sends what comes, and gives the answers. They end with the first error.
pub fn carry<W: Wire>(
    wire: W,
    messages: impl Stream<Item = pb::AppendRequest> + Send + Unpin,
) -> impl Stream<Item = Result<pb::AppendResponse, Status>> + Send {
    use pb::link_answer::Answer;
    ringfence_link::carry(wire, frames(), messages).map(|answer: Result<pb::LinkAnswer, Status>| match answer?.answer {
        Some(Answer::Response(response)) => Ok(response),
        Some(Answer::End(end)) => Err(status(end)),
        None => Err(Status::unimplemented("the answer is of a newer version")),
    })
}

/// A link's end at a follower, until it ends.
pub async fn serve(wire: impl Wire + 'static, service: Arc<PeerService>) {
    let (reading, writing) = tokio::io::split(wire);
    let requests = FramedRead::new(reading, frames::<pb::LinkAnswer, pb::AppendRequest>());
    // What reads goes with what answers: openraft has them in two tasks.
    let (_answering, given_up) = oneshot::channel();
    let answers = service.answers_to(until(given_up, requests)).map(|answer| {
        use pb::link_answer::Answer;
        let answer = answer.map_or_else(|status| Answer::End(end(&status)), Answer::Response);
        Ok(pb::LinkAnswer { answer: Some(answer) })
    });
    let writing = FramedWrite::new(writing, frames::<pb::LinkAnswer, pb::AppendRequest>());
    if let Err(error) = answers.forward(writing).await {
        tracing::debug!(%error, "a link of the log broke off");
    }
}
