//! The end of a stream of messages at whoever dialled.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::{Sink, Stream, StreamExt};
use prost::Message;
use tokio_util::codec::Framed;
use tonic::Status;

use crate::{Frames, Wire};

/// Sends messages and gives those that come, in the task of whoever asks for these. They end with the first error.
pub struct Carried<W, S, Sent, Come> {
    wire: Framed<W, Frames<Sent, Come>>,
    /// Until they end.
    messages: Option<S>,
    /// The other side was told that they ended.
    closed: bool,
}

/// Sends what comes in the stream, in these frames.
pub fn carry<W, S, Sent, Come>(wire: W, frames: Frames<Sent, Come>, messages: S) -> Carried<W, S, Sent, Come>
where
    W: Wire,
    S: Stream<Item = Sent> + Unpin,
    Sent: Message,
    Come: Message + Default,
{
    Carried { wire: Framed::new(wire, frames), messages: Some(messages), closed: false }
}

impl<W, S, Sent, Come> Carried<W, S, Sent, Come>
where
    W: Wire,
    S: Stream<Item = Sent> + Unpin,
    Sent: Message,
    Come: Message + Default,
{
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

impl<W, S, Sent, Come> Stream for Carried<W, S, Sent, Come>
where
    W: Wire,
    S: Stream<Item = Sent> + Unpin,
    Sent: Message,
    Come: Message + Default,
{
    type Item = Result<Come, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Poll::Ready(Err(status)) = self.poll_send(context) {
            return Poll::Ready(Some(Err(status)));
        }
        self.wire.poll_next_unpin(context)
    }
}
