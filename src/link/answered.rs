//! The end of a stream of messages at whoever was dialled.

use std::{
    mem,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::{Stream, StreamExt};
use prost::Message;
use tokio::{
    io::ReadHalf,
    time::{Instant, Interval, MissedTickBehavior, interval_at},
};
use tokio_util::codec::{FramedRead, FramedWrite};
use tonic::Status;

use crate::{Frames, Wire};

/// What is taken of whoever dialled.
#[derive(Clone, Copy, Debug)]
pub struct Rules<Come> {
    /// Bytes of one message, at most.
    pub bytes_max: usize,
    /// A message for which this holds asks whether anybody is there: an empty one answers it, if there is nothing else to say.
    pub is_question: fn(&Come) -> bool,
    /// Who says nothing for so long, nor asks, is gone; `None` where that is no reason to think so.
    pub silence_max: Option<Duration>,
}

/// Gives the messages that come to `tell`, and sends what that says to them, in one task, until that ends. Where the other side ends the link, it
/// is gone: nothing that is open there is waited for by anybody.
///
/// # Errors
/// That the connection broke off. Cancel safe: it is closed then.
pub async fn answer<W, Come, Sent, S>(
    wire: W,
    rules: Rules<Come>,
    tell: impl FnOnce(Asked<W, Come, Sent>) -> S,
) -> Result<(), Status>
where
    W: Wire,
    Come: Message + Default,
    Sent: Message + Default,
    S: Stream<Item = Sent> + Unpin,
{
    let (reading, writing) = tokio::io::split(wire);
    let asked = Arc::new(AtomicBool::new(false));
    let messages = FramedRead::new(reading, Frames::new(rules.bytes_max));
    let vigil = rules.silence_max.map(Vigil::new);
    let said = tell(Asked { messages, is_question: rules.is_question, asked: asked.clone(), vigil });
    // What is said is bounded where it is made.
    let writing = FramedWrite::new(writing, Frames::<Sent, Come>::new(usize::MAX));
    Answered { said, asked }.map(Ok).forward(writing).await
}

/// What comes on a link, without its questions. It ends with an error, whatever the reason.
pub struct Asked<W, Come, Sent> {
    messages: FramedRead<ReadHalf<W>, Frames<Sent, Come>>,
    is_question: fn(&Come) -> bool,
    asked: Arc<AtomicBool>,
    vigil: Option<Vigil>,
}

impl<W: Wire, Come: Message + Default, Sent> Stream for Asked<W, Come, Sent> {
    type Item = Result<Come, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while let Poll::Ready(message) = self.messages.poll_next_unpin(context) {
            if let Some(vigil) = &mut self.vigil {
                vigil.heard = true;
            }
            match &message {
                // Whoever polls this is polled by `Answered`, which looks then.
                Some(Ok(question)) if (self.is_question)(question) => self.asked.store(true, Ordering::Relaxed),
                None => return Poll::Ready(Some(Err(Status::cancelled("the other side has gone")))),
                Some(_) => return Poll::Ready(message),
            }
        }
        if self.vigil.as_mut().is_some_and(|vigil| vigil.is_alone(context)) {
            return Poll::Ready(Some(Err(Status::deadline_exceeded("the other side says nothing"))));
        }
        Poll::Pending
    }
}

/// Looks twice in the longest silence whether anything was heard.
struct Vigil {
    heard: bool,
    looks: Interval,
}

impl Vigil {
    fn new(silence_max: Duration) -> Self {
        let pause = silence_max / 2;
        let mut looks = interval_at(Instant::now() + pause, pause);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { heard: true, looks }
    }

    fn is_alone(&mut self, context: &mut Context<'_>) -> bool {
        while self.looks.poll_tick(context).is_ready() {
            if !mem::take(&mut self.heard) {
                return true;
            }
        }
        false
    }
}

struct Answered<S> {
    said: S,
    asked: Arc<AtomicBool>,
}

impl<Sent: Default, S: Stream<Item = Sent> + Unpin> Stream for Answered<S> {
    type Item = Sent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Sent>> {
        let said = self.said.poll_next_unpin(context);
        if said.is_pending() && self.asked.swap(false, Ordering::Relaxed) {
            return Poll::Ready(Some(Sent::default()));
        }
        said
    }
}
