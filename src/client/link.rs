//! [Links](ringfence_link) to one member. What can't go over one, goes over gRPC.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use parking_lot::Mutex;
use prost::Message;
use ringfence_link::{DialError, Frames, Kind, Port, Wire};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tonic::Status;

use crate::core::MESSAGE_BYTES_MAX;

/// A member that had no links isn't asked for one for so long: it may be of a former version, or behind a proxy that knows HTTP alone.
const WITHOUT: Duration = Duration::from_secs(10);
/// How long a member may take to say whether it has links. Some proxies say nothing to what they don't know.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// How often the member is asked whether it is there. One that has said nothing since the question before the last is gone.
const ASK_INTERVAL: Duration = Duration::from_secs(3);

/// See the module.
#[derive(Debug)]
pub(crate) struct Links {
    port: Port,
    without_until: Mutex<Option<Instant>>,
}

impl Links {
    pub(crate) fn new(port: Port) -> Self {
        Self { port, without_until: Mutex::default() }
    }

    /// A link of this kind. `None`: gRPC is to be tried. An error if nobody is there.
    pub(crate) async fn open(&self, kind: Kind) -> Result<Option<Box<dyn Wire>>, Status> {
        if self.without_until.lock().is_some_and(|until| Instant::now() < until) {
            return Ok(None);
        }
        match ringfence_link::dial(&self.port, kind).await {
            Ok(Some(wire)) => return Ok(Some(wire)),
            Ok(None) => {}
            Err(DialError::Broken { error, .. }) => tracing::debug!(address = %self.port.address, %error, "no link"),
            Err(error @ DialError::Unreachable { .. }) => return Err(error.into()),
        }
        *self.without_until.lock() = Some(Instant::now() + WITHOUT);
        Ok(None)
    }
}

/// Sends messages on a link and gives the answers. `ask` puts the question among the messages whether the member is there.
pub(crate) fn carry<Sent, Come, S, F>(
    wire: Box<dyn Wire>,
    messages: S,
    ask: F,
) -> BoxStream<'static, Result<Come, Status>>
where
    Sent: Message + 'static,
    Come: Message + Default + 'static,
    S: Stream<Item = Sent> + Send + Unpin + 'static,
    F: FnMut() + Send + Unpin + 'static,
{
    Vigil::new(ringfence_link::carry(wire, Frames::new(MESSAGE_BYTES_MAX), messages), ask).boxed()
}

/// Answers, which end with an error when the member is silent: its system would go on taking what is sent to a process that hangs.
struct Vigil<S, F> {
    answers: S,
    ask: F,
    looks: Interval,
    /// Questions since something was heard.
    unanswered: u32,
}

impl<S, F> Vigil<S, F> {
    fn new(answers: S, ask: F) -> Self {
        let mut looks = interval_at(Instant::now() + ASK_INTERVAL, ASK_INTERVAL);
        // When nobody has waited for answers for a while, the member gets its time.
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { answers, ask, looks, unanswered: 0 }
    }
}

impl<T, S, F> Stream for Vigil<S, F>
where
    S: Stream<Item = Result<T, Status>> + Unpin,
    F: FnMut() + Unpin,
{
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Poll::Ready(answer) = self.answers.poll_next_unpin(context) {
            self.unanswered = 0;
            return Poll::Ready(answer);
        }
        while self.looks.poll_tick(context).is_ready() {
            if self.unanswered == 2 {
                return Poll::Ready(Some(Err(Status::unavailable("the member says nothing"))));
            }
            self.unanswered += 1;
            (self.ask)();
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;
    use tokio_stream::wrappers::UnboundedReceiverStream;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_member_that_answers_is_there_and_a_silent_one_is_left() {
        let (member, answers) = mpsc::unbounded_channel();
        let mut left = 5;
        let answering = move || {
            if left > 0 {
                left -= 1;
                member.send(Ok(left)).unwrap();
            }
        };
        let mut vigil = Vigil::new(UnboundedReceiverStream::new(answers), answering);
        for left in (0..5).rev() {
            assert_eq!(vigil.next().await.unwrap().unwrap(), left);
        }
        let since = Instant::now();
        assert!(vigil.next().await.unwrap().is_err());
        assert_eq!(since.elapsed(), 3 * ASK_INTERVAL);
    }
}
