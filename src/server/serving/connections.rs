//! Connections of the client port, each with all of its calls in one task.
//!
//! A call that runs as a task of its own stands in the runtime's queue beside everybody else's, so that a connection with
//! thousands of calls gets thousands of turns for each one of another's. Here connections take turns, in each of which a bounded number of calls goes on, and
//! what is answered in one turn leaves in one write.

use std::{
    convert::Infallible,
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use futures::{
    StreamExt,
    stream::{FuturesUnordered, Stream},
};
use http::{Request, Response};
use hyper::{
    rt::Executor,
    server::conn::http2::{Builder, Connection as Http2},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tonic::body::Body;
use tower::{Service, ServiceExt};

use super::links::Links;
use crate::{
    incoming::Connection,
    limits::{
        CALLS_PER_TURN, CONNECTION_WINDOW_BYTES, HEADER_BYTES_MAX, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT,
        PENDING_RESETS_MAX, STREAM_WINDOW_BYTES, STREAMS_PER_CONNECTION_MAX,
    },
    stopping::Stopping,
};

/// Takes connections and serves them until `closing`; then takes no more connections and calls, and returns when those that are open have
/// ended. Dropping the future cuts them off. `links` serves links.
pub async fn serve<S, F>(
    incoming: impl Stream<Item = std::io::Result<Connection>>,
    service: S,
    links: Links,
    closing: Stopping,
) where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = F> + Clone + Send + 'static,
    F: Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    {
        let mut incoming = pin!(incoming);
        loop {
            let accepted = tokio::select! {
                biased;
                () = closing.wait() => break,
                Some(_) = connections.join_next() => continue,
                accepted = incoming.next() => accepted,
            };
            match accepted {
                Some(Ok(connection)) if connection.is_link() => {
                    connections.spawn(links.clone().serve(connection, closing.clone()));
                }
                Some(Ok(connection)) => {
                    connections.spawn(run(connection, service.clone(), closing.clone()));
                }
                Some(Err(error)) => tracing::debug!(%error, "a connection didn't come about"),
                None => break,
            }
        }
        // The port is closed here, while calls that are open end.
    }
    while connections.join_next().await.is_some() {}
}

/// From the first byte to the last.
async fn run<S, F>(connection: Connection, service: S, closing: Stopping)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = F> + Clone + Send + 'static,
    F: Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
{
    let calls = Calls::default();
    let service = service.map_request(|request: Request<hyper::body::Incoming>| request.map(Body::new));
    let http = Builder::new(calls.clone())
        .timer(TokioTimer::new())
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(connection), TowerToHyperService::new(service));
    let mut http = pin!(http);
    let mut closes = pin!(closing.wait());
    let (mut running, mut ending) = (FuturesUnordered::new(), false);
    let ended = std::future::poll_fn(|context| {
        if !ending && closes.as_mut().poll(context).is_ready() {
            ending = true;
            Http2::graceful_shutdown(http.as_mut());
        }
        calls.left.store(CALLS_PER_TURN, Ordering::Relaxed);
        // First the calls, so that their answers leave together.
        go_on(&mut running, context);
        loop {
            let ended = http.as_mut().poll(context);
            if ended.is_ready() || !calls.begin(&mut running) {
                return ended;
            }
            go_on(&mut running, context);
        }
    });
    if let Err(error) = ended.await {
        tracing::debug!(%error, "a connection ended");
    }
}

/// Has those calls go on that have something to do, as many as the turn has left.
fn go_on(running: &mut FuturesUnordered<Call>, context: &mut Context<'_>) {
    while let Poll::Ready(Some(())) = running.poll_next_unpin(context) {}
}

/// A call, which waits for the connection's next turn when this one has none left.
struct Call {
    answers: Pin<Box<dyn Future<Output = ()> + Send>>,
    left: Arc<AtomicUsize>,
}

impl Future for Call {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 {
            // The second that wakes itself ends the turn: see `FuturesUnordered`.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.left.store(left - 1, Ordering::Relaxed);
        self.answers.as_mut().poll(context)
    }
}

/// The calls that have come and haven't begun, for the task of their connection.
#[derive(Clone, Default)]
struct Calls {
    new: Arc<Mutex<Vec<Call>>>,
    /// How many may still go on in this turn.
    left: Arc<AtomicUsize>,
}

impl Calls {
    /// True if there were any.
    fn begin(&self, running: &mut FuturesUnordered<Call>) -> bool {
        let mut new = self.new.lock();
        let any = !new.is_empty();
        running.extend(new.drain(..));
        any
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Calls {
    fn execute(&self, call: F) {
        self.new.lock().push(Call { answers: Box::pin(call), left: self.left.clone() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_turn_is_bounded_however_many_calls_there_are() {
        let (calls, polled) = (Calls::default(), Arc::new(AtomicUsize::new(0)));
        for _ in 0..10 * CALLS_PER_TURN {
            let polled = polled.clone();
            calls.execute(std::future::poll_fn(move |context| {
                polled.fetch_add(1, Ordering::Relaxed);
                context.waker().wake_by_ref();
                Poll::Pending
            }));
        }
        let mut running = FuturesUnordered::new();
        assert!(calls.begin(&mut running) && !calls.begin(&mut running));
        for turn in 1..=30 {
            calls.left.store(CALLS_PER_TURN, Ordering::Relaxed);
            std::future::poll_fn(|context| {
                go_on(&mut running, context);
                Poll::Ready(())
            })
            .await;
            let polled = polled.load(Ordering::Relaxed);
            assert!((1..=turn * CALLS_PER_TURN).contains(&polled), "{polled} in {turn} turns");
        }
    }

    #[tokio::test]
    async fn every_call_has_its_turn() {
        let calls = Calls::default();
        let answered = Arc::new(AtomicUsize::new(0));
        for _ in 0..10 * CALLS_PER_TURN {
            let answered = answered.clone();
            calls.execute(async move {
                answered.fetch_add(1, Ordering::Relaxed);
            });
        }
        let mut running = FuturesUnordered::new();
        calls.begin(&mut running);
        let mut turns = 0;
        std::future::poll_fn(|context| {
            turns += 1;
            calls.left.store(CALLS_PER_TURN, Ordering::Relaxed);
            go_on(&mut running, context);
            assert_eq!(answered.load(Ordering::Relaxed), turns * CALLS_PER_TURN);
            if running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        assert_eq!(turns, 10);
    }
}
