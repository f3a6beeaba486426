//! Large answers on their way out: in pieces, so that only what the client has room for is copied into its connection, and given up when
//! it takes nothing for a while, so that clients that don't read can't keep the [budget](crate::reader::LongReads) from others.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use parking_lot::Mutex;
use tokio::{task::JoinSet, time::sleep};
use tonic::{Status, body::Body};

use crate::reader::Held;

/// Bytes that are handed over at a time.
const PIECE_BYTES: usize = 64 << 10;
/// How long a client may take nothing of a large answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Hands an answer that is counted over in pieces; others stay as they are.
pub fn deliver(mut response: http::Response<Body>) -> http::Response<Body> {
    match response.extensions_mut().remove::<Held>() {
        Some(held) => response.map(|body| Body::new(Delivery::new(body, held))),
        None => response,
    }
}

/// What is still to be delivered.
struct Parcel {
    /// What comes after `rest`.
    body: Body,
    rest: Bytes,
    /// Pieces that were taken.
    taken: u64,
    held: Option<Held>,
}

impl Parcel {
    /// Gives it up if nothing was taken since `seen`; otherwise that many were taken now.
    fn look(&mut self, seen: u64) -> Option<u64> {
        if self.taken > seen {
            return Some(self.taken);
        }
        self.body = Body::empty();
        self.rest = Bytes::new();
        self.held = None;
        None
    }
}

/// The body of a large answer.
struct Delivery {
    parcel: Arc<Mutex<Parcel>>,
    /// Looks whether it is taken; ends with this value.
    _watcher: JoinSet<()>,
}

impl Delivery {
    fn new(body: Body, held: Held) -> Self {
        let parcel = Arc::new(Mutex::new(Parcel { body, rest: Bytes::new(), taken: 0, held: Some(held) }));
        let watched = parcel.clone();
        let mut watcher = JoinSet::new();
        watcher.spawn(async move {
            let mut seen = 0;
            loop {
                sleep(PATIENCE).await;
                match watched.lock().look(seen) {
                    Some(now) => seen = now,
                    None => return,
                }
            }
        });
        Self { parcel, _watcher: watcher }
    }
}

impl HttpBody for Delivery {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut parcel = self.parcel.lock();
        if parcel.held.is_none() {
            return Poll::Ready(Some(Err(Status::aborted("the answer was read too slowly, and was given up"))));
        }
        parcel.taken += 1;
        loop {
            if !parcel.rest.is_empty() {
                let piece = parcel.rest.len().min(PIECE_BYTES);
                return Poll::Ready(Some(Ok(Frame::data(parcel.rest.split_to(piece)))));
            }
            match ready!(Pin::new(&mut parcel.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => parcel.rest = data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                end => return Poll::Ready(end),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::LongReads;

    const BYTES: usize = 3 * PIECE_BYTES + 1;

    /// A whole body, in one frame.
    struct Whole(Option<Bytes>);

    impl HttpBody for Whole {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            Poll::Ready(self.0.take().map(|data| Ok(Frame::data(data))))
        }
    }

    fn delivery(held: Held) -> Delivery {
        let whole = (0..BYTES).map(|byte| byte as u8).collect::<Vec<u8>>();
        Delivery::new(Body::new(Whole(Some(whole.into()))), held)
    }

    async fn next(delivery: &mut Delivery) -> Option<Result<Bytes, Status>> {
        let frame = std::future::poll_fn(|context| Pin::new(&mut *delivery).poll_frame(context)).await?;
        Some(frame.map(|frame| frame.into_data().expect("data")))
    }

    #[tokio::test]
    async fn an_answer_comes_in_pieces_and_whole() {
        let held = LongReads::default().hold(BYTES).unwrap().unwrap();
        let mut delivery = delivery(held);
        let mut got = Vec::new();
        while let Some(piece) = next(&mut delivery).await {
            let piece = piece.unwrap();
            assert!(piece.len() <= PIECE_BYTES);
            got.extend_from_slice(&piece);
        }
        assert_eq!(got.len(), BYTES);
        assert!(got.iter().enumerate().all(|(at, byte)| *byte == at as u8));
    }

    #[tokio::test]
    async fn what_nobody_takes_is_given_up_with_its_part_of_the_budget() {
        let long = LongReads::default();
        let mut most = Vec::new();
        while let Ok(Some(held)) = long.hold(BYTES) {
            most.push(held);
        }
        let mut delivery = delivery(most.pop().unwrap());
        let seen = delivery.parcel.lock().look(0);
        assert_eq!(seen, None, "nothing was taken");
        assert!(next(&mut delivery).await.unwrap().is_err());
        let mut slow = self::delivery(long.hold(BYTES).unwrap().unwrap());
        assert!(next(&mut slow).await.unwrap().is_ok());
        let seen = slow.parcel.lock().look(0).unwrap();
        assert!(long.hold(BYTES).is_err());
        assert!(next(&mut slow).await.unwrap().is_ok());
        assert!(slow.parcel.lock().look(seen).is_some());
    }
}
