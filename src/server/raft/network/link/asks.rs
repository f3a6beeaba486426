//! Calls on a link: frames of `LinkAsk` to the member, and of `LinkReply` back, in whatever order the answers come.
//!
//! Three calls are made all the time: heartbeats, of which the leader needs a round for each linearizable read, the reads themselves on
//! other members than the leader, and writes that come to those.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use futures::{
    FutureExt, Sink, StreamExt,
    future::{BoxFuture, Shared},
    stream::FuturesUnordered,
};
use openraft_rt::AsyncRuntime;
use parking_lot::Mutex;
use ringfence_link::{Kind, Port, Wire, dial};
use ringfence_proto::peer::{self as pb, link_ask::Ask, link_reply::Reply, peer_client::PeerClient, peer_server::Peer};
use tokio::sync::{mpsc, oneshot};
use tokio_util::codec::Framed;
use tonic::{Request, Response, Status, transport::Channel};

use super::{Frames, end, frames, status};
use crate::raft::{network::service::PeerService, runtime::Runtime};

/// The most calls that are open on a link. Whoever calls then waits; a member reads no further.
pub const OPEN_MAX: usize = 1024;

/// How long a member that had no links isn't asked for one again.
const WITHOUT: Duration = Duration::from_secs(10);

/// One call, and where its answer goes.
type Open = (Ask, oneshot::Sender<Result<Reply, Status>>);

/// A link for calls to one member, made when it is first used and again after it broke off. Clones are the same.
#[derive(Clone)]
pub struct Line {
    inner: Arc<Inner>,
}

struct Inner {
    port: Port,
    /// The last try to make a link, and when it began.
    tried: Mutex<Option<(Instant, Dialling)>>,
}

/// What calls, or `None` if the member has no links.
type Dialled = Result<Option<mpsc::Sender<Open>>, Status>;
type Dialling = Shared<BoxFuture<'static, Dialled>>;

impl Line {
    /// To this port.
    pub fn new(port: Port) -> Self {
        Self { inner: Arc::new(Inner { port, tried: Mutex::default() }) }
    }

    /// The link: that which is there, or another one that is made. One is made at a time, for all that want it.
    async fn opened(&self) -> Dialled {
        let dialling = {
            let mut tried = self.inner.tried.lock();
            match tried.as_ref().map(|(since, dialling)| (since, dialling, dialling.peek())) {
                Some((_, dialling, None)) => dialling.clone(),
                Some((_, _, Some(Ok(Some(calling))))) if !calling.is_closed() => return Ok(Some(calling.clone())),
                Some((since, _, Some(Ok(None)))) if since.elapsed() < WITHOUT => return Ok(None),
                _ => {
                    let dialling = self.dial();
                    *tried = Some((Instant::now(), dialling.clone()));
                    dialling
                }
            }
        };
        dialling.await
    }

    /// Makes a link in a task of its own: whoever waits for a heartbeat may give up long before it is made.
    fn dial(&self) -> Dialling {
        let inner = self.inner.clone();
        let dialled = tokio::spawn(async move {
            let wire = dial(&inner.port, Kind::Asks).await?;
            Ok(wire.map(|wire| {
                let (calling, calls) = mpsc::channel(OPEN_MAX);
                Runtime::spawn(Calling { wire: Framed::new(wire, frames()), calls, owed: HashMap::new(), last: 0 });
                calling
            }))
        });
        let ended = |ended: Result<Dialled, _>| ended.unwrap_or_else(|_| Err(Status::unavailable("the server stops")));
        dialled.map(ended).boxed().shared()
    }

    /// Calls, or gives the call back if the member has no links.
    async fn ask(&self, ask: Ask) -> Result<Result<Reply, Status>, Ask> {
        let calling = match self.opened().await {
            Ok(Some(calling)) => calling,
            Ok(None) => return Err(ask),
            Err(status) => return Ok(Err(status)),
        };
        let (answers, answer) = oneshot::channel();
        let broken = || Status::unavailable("the link broke off");
        if calling.send((ask, answers)).await.is_err() {
            return Ok(Err(broken()));
        }
        Ok(answer.await.unwrap_or_else(|_| Err(broken())))
    }
}

/// Calls a member as [`PeerClient`] does: on a link, if the member has any.
#[derive(Clone)]
pub struct Asking {
    /// Where links go.
    pub line: Line,
    /// For a member without links.
    pub client: PeerClient<Channel>,
}

/// A call of the service that goes over links.
macro_rules! on_links {
    ($(#[$doc:meta])* $method:ident, $kind:ident, $request:ty, $answer:ty) => {
        $(#[$doc])*
        pub async fn $method(&mut self, request: Request<$request>) -> Result<Response<$answer>, Status> {
            match self.line.ask(Ask::$kind(request.into_inner())).await {
                Ok(Ok(Reply::$kind(answer))) => Ok(Response::new(answer)),
                Ok(Ok(_)) => Err(Status::internal("the answer is one to another call")),
                Ok(Err(status)) => Err(status),
                Err(Ask::$kind(request)) => self.client.$method(Request::new(request)).await,
                Err(_) => Err(Status::internal("another call came back")),
            }
        }
    };
}

impl Asking {
    on_links!(
        /// A heartbeat.
        append, Append, pb::AppendRequest, pb::AppendResponse
    );
    on_links!(
        /// Writes for the leader.
        propose, Propose, pb::ProposeRequest, pb::ProposeResponse
    );
    on_links!(
        /// The index of a linearizable read.
        read_index, ReadIndex, pb::ReadIndexRequest, pb::ReadIndexResponse
    );
}

/// A link's end at whoever calls. Ends with the connection, or with the last that could call.
struct Calling {
    wire: Framed<Box<dyn Wire>, Frames<pb::LinkAsk, pb::LinkReply>>,
    calls: mpsc::Receiver<Open>,
    /// Who waits for an answer, by the number of the call.
    owed: HashMap<u64, oneshot::Sender<Result<Reply, Status>>>,
    /// The number of the last call.
    last: u64,
}

impl Calling {
    fn settle(&mut self, reply: pb::LinkReply) {
        let Some(owed) = self.owed.remove(&reply.call) else { return };
        // Who doesn't wait any more isn't told.
        let _ = owed.send(match reply.reply {
            Some(Reply::End(end)) => Err(status(end)),
            Some(reply) => Ok(reply),
            None => Err(Status::unimplemented("the answer is of a newer version")),
        });
    }
}

impl Calling {
    /// Ready when the link ends.
    fn poll_on(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        while let Poll::Ready(reply) = self.wire.poll_next_unpin(context) {
            match reply {
                Some(reply) => self.settle(reply?),
                None => return Poll::Ready(Ok(())),
            }
        }
        loop {
            ready!(Pin::new(&mut self.wire).poll_ready(context))?;
            match self.calls.poll_recv(context) {
                Poll::Ready(Some((_, answers))) if answers.is_closed() => {}
                Poll::Ready(Some((ask, answers))) => {
                    self.last += 1;
                    let ask = pb::LinkAsk { call: self.last, ask: Some(ask) };
                    match Pin::new(&mut self.wire).start_send(ask) {
                        Ok(()) => drop(self.owed.insert(self.last, answers)),
                        // One that is too long is nobody else's matter.
                        Err(status) => drop(answers.send(Err(status))),
                    }
                }
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => break,
            }
        }
        ready!(Pin::new(&mut self.wire).poll_flush(context))?;
        Poll::Pending
    }
}

impl Future for Calling {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.poll_on(context).map(told)
    }
}

/// Says how a link ended, to those who look for it.
fn told(ended: Result<(), Status>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a link for calls broke off");
    }
}

/// A link's end at a member, until it ends.
pub async fn serve(wire: impl Wire + 'static, service: Arc<PeerService>) {
    answering(wire, move |ask| answer(service.clone(), ask).boxed()).await;
}

/// The same, with these answers.
pub fn answering<W, F>(wire: W, answer: F) -> impl Future<Output = ()> + Send
where
    W: Wire,
    F: FnMut(pb::LinkAsk) -> BoxFuture<'static, pb::LinkReply> + Send + Unpin,
{
    Answering { wire: Framed::new(wire, frames()), answer, open: FuturesUnordered::new() }
}

async fn answer(service: Arc<PeerService>, ask: pb::LinkAsk) -> pb::LinkReply {
    let reply = match ask.ask {
        Some(Ask::Append(request)) => reply(service.append(Request::new(request)).await, Reply::Append),
        Some(Ask::Propose(request)) => reply(service.propose(Request::new(request)).await, Reply::Propose),
        Some(Ask::ReadIndex(request)) => reply(service.read_index(Request::new(request)).await, Reply::ReadIndex),
        None => Reply::End(end(&Status::unimplemented("the call is of a newer version"))),
    };
    pb::LinkReply { call: ask.call, reply: Some(reply) }
}

fn reply<T>(answer: Result<Response<T>, Status>, reply: impl FnOnce(T) -> Reply) -> Reply {
    answer.map_or_else(|status| Reply::End(end(&status)), |answer| reply(answer.into_inner()))
}

struct Answering<W, F> {
    wire: Framed<W, Frames<pb::LinkReply, pb::LinkAsk>>,
    answer: F,
    open: FuturesUnordered<BoxFuture<'static, pb::LinkReply>>,
}

impl<W: Wire, F: FnMut(pb::LinkAsk) -> BoxFuture<'static, pb::LinkReply> + Unpin> Answering<W, F> {
    /// Ready when the link ends.
    fn poll_on(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        loop {
            // Answers, as many as the connection takes.
            ready!(Pin::new(&mut self.wire).poll_ready(context))?;
            while let Poll::Ready(Some(reply)) = self.open.poll_next_unpin(context) {
                Pin::new(&mut self.wire).start_send(reply)?;
                ready!(Pin::new(&mut self.wire).poll_ready(context))?;
            }
            if self.open.len() >= OPEN_MAX {
                break;
            }
            match self.wire.poll_next_unpin(context) {
                Poll::Ready(Some(ask)) => {
                    let open = (self.answer)(ask?);
                    self.open.push(open);
                }
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => break,
            }
        }
        ready!(Pin::new(&mut self.wire).poll_flush(context))?;
        Poll::Pending
    }
}

impl<W: Wire, F: FnMut(pb::LinkAsk) -> BoxFuture<'static, pb::LinkReply> + Unpin> Future for Answering<W, F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.poll_on(context).map(told)
    }
}
