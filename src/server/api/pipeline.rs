//! `ringfence.v1.Pipeline`: calls of the other services on one stream.
//!
//! All calls of a stream run within the task of its connection, as those do that come by themselves: in each turn a bounded number of
//! them goes on, and what is answered in one turn leaves in one message. A client that doesn't read has its calls stand still, since they
//! go on only when the connection has room for an answer.

mod own;

use std::{
    collections::HashMap,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
    vec,
};

use futures::{
    FutureExt, Stream, StreamExt,
    future::{AbortHandle, Abortable, BoxFuture},
    stream::{BoxStream, FuturesUnordered},
};
use prost::Message;
use ringfence_link::{Rules, Wire};
use ringfence_proto::v1::{
    self, PipelineResponse, PipelinedAnswer, PipelinedCall, election_server::Election as _, kv_server::Kv as _,
    lock_server::Lock as _, pipeline_server, pipelined_answer::Answer, pipelined_call::Call,
};
use tokio::time::timeout;
use tonic::{Request, Response, Status, Streaming};

use super::{
    election::Election,
    errors::{overloaded, stopping},
    kv::Kv,
    lock::Lock,
    parts::Parts,
};
use crate::{
    limits::{
        CALLS_PER_TURN, LINK_SILENCE_MAX, PIPELINE_MESSAGE_BYTES_MAX, RETRY_AFTER_MS, STREAMS_PER_CONNECTION_MAX,
    },
    reader::Held,
    stopping::Stopping,
};

/// Calls that one stream has open at a time: as many as a connection has of calls by themselves.
const CALLS_MAX: usize = STREAMS_PER_CONNECTION_MAX as usize;
/// Calls in one message.
const CALLS_PER_MESSAGE_MAX: usize = 1024;
/// A message is sent when its answers have so many bytes or are so many, whatever else is ready.
const MESSAGE_BYTES: usize = 64 << 10;
const MESSAGE_ANSWERS: usize = 256;

/// The service. A clone is the same.
#[derive(Clone)]
pub struct Pipeline {
    services: Arc<Services>,
}

impl Pipeline {
    /// On top of these.
    pub fn new(parts: &Parts) -> Self {
        let services = Services {
            kv: Kv::new(parts.clone()),
            lock: Lock::new(parts.clone()),
            election: Election::new(parts.clone()),
            stopping: parts.stopping.clone(),
        };
        Self { services: Arc::new(services) }
    }
}

impl Pipeline {
    /// Serves a [link](ringfence_link) that was agreed on, to its end.
    pub async fn serve(&self, wire: impl Wire + 'static) {
        let rules = Rules {
            bytes_max: PIPELINE_MESSAGE_BYTES_MAX,
            is_question: |request: &v1::PipelineRequest| request.calls.is_empty(),
            silence_max: Some(LINK_SILENCE_MAX),
        };
        let served = ringfence_link::answer(wire, rules, |requests| {
            Calls::new(self.services.clone(), requests.boxed()).map(|answer| {
                // The last message: nobody is answered any more.
                let end = |why: Status| PipelineResponse { end: Some(in_message(&why)), ..PipelineResponse::default() };
                answer.unwrap_or_else(end)
            })
        });
        if let Err(error) = served.await {
            tracing::debug!(%error, "a client's link broke off");
        }
    }
}

#[tonic::async_trait]
impl pipeline_server::Pipeline for Pipeline {
    type OpenStream = Calls;

    async fn open(&self, request: Request<Streaming<v1::PipelineRequest>>) -> Result<Response<Calls>, Status> {
        Ok(Response::new(Calls::new(self.services.clone(), request.into_inner().boxed())))
    }
}

/// Those that do the calls.
struct Services {
    kv: Kv,
    lock: Lock,
    election: Election,
    stopping: Stopping,
}

impl Services {
    async fn answer(&self, call: Call) -> Answer {
        match call {
            Call::Range(request) => said(self.kv.range(Request::new(request)).await, Answer::Range),
            Call::Put(request) => said(self.kv.put(Request::new(request)).await, Answer::Put),
            Call::Delete(request) => said(self.kv.delete(Request::new(request)).await, Answer::Delete),
            Call::Txn(request) => said(self.kv.txn(Request::new(request)).await, Answer::Txn),
            Call::Acquire(request) => said(self.lock.acquire(Request::new(request)).await, Answer::Acquire),
            Call::TryAcquire(request) => said(self.lock.try_acquire(Request::new(request)).await, Answer::Acquire),
            Call::Release(request) => said(self.lock.release(Request::new(request)).await, Answer::Release),
            Call::Validate(request) => said(self.lock.validate(Request::new(request)).await, Answer::Validate),
            Call::Campaign(request) => said(self.election.campaign(Request::new(request)).await, Answer::Campaign),
            // Isn't begun.
            Call::Cancel(v1::PipelineCancel {}) => failed(&Status::cancelled("")),
        }
    }
}

/// What a service said. Answers that are counted until they were taken would be held by all that share the stream.
fn said<T>(result: Result<Response<T>, Status>, answer: fn(T) -> Answer) -> Answer {
    match result {
        Ok(response) if response.extensions().get::<Held>().is_some() => Answer::Alone(v1::PipelineAlone {}),
        Ok(response) => answer(response.into_inner()),
        Err(status) => failed(&status),
    }
}

fn failed(status: &Status) -> Answer {
    Answer::Status(in_message(status))
}

/// A status where it isn't the end of a call of gRPC.
fn in_message(status: &Status) -> v1::PipelinedStatus {
    v1::PipelinedStatus {
        code: status.code() as u32,
        message: status.message().to_owned(),
        details: status.details().to_vec().into(),
    }
}

/// A call with its id, until it is answered.
type Open = Abortable<BoxFuture<'static, PipelinedAnswer>>;

/// What a client sends.
type Requests = BoxStream<'static, Result<v1::PipelineRequest, Status>>;

/// The calls of one stream; a stream of their answers.
pub struct Calls {
    services: Arc<Services>,
    /// Until the client has ended its side.
    requests: Option<Requests>,
    /// Of the last message, those that haven't begun.
    next: vec::IntoIter<PipelinedCall>,
    open: FuturesUnordered<Open>,
    /// By the ids of those that are open.
    aborts: HashMap<u64, AbortHandle>,
    stops: BoxFuture<'static, ()>,
    closing: bool,
    /// The last message was full, so that others' turn is first.
    rests: bool,
}

impl Calls {
    fn new(services: Arc<Services>, requests: Requests) -> Self {
        let stopping = services.stopping.clone();
        Self {
            services,
            requests: Some(requests),
            next: Vec::new().into_iter(),
            open: FuturesUnordered::new(),
            aborts: HashMap::new(),
            stops: async move { stopping.wait().await }.boxed(),
            closing: false,
            rests: false,
        }
    }

    /// The next call that the client made. `None` when there will be none.
    fn poll_call(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<PipelinedCall>, Status>> {
        loop {
            if let Some(call) = self.next.next() {
                return Poll::Ready(Ok(Some(call)));
            }
            let Some(requests) = &mut self.requests else { return Poll::Ready(Ok(None)) };
            match requests.poll_next_unpin(context) {
                Poll::Ready(Some(Ok(message))) if message.calls.len() > CALLS_PER_MESSAGE_MAX => {
                    let message =
                        format!("{} calls in one message; {CALLS_PER_MESSAGE_MAX} at most", message.calls.len());
                    return Poll::Ready(Err(Status::invalid_argument(message)));
                }
                Poll::Ready(Some(Ok(message))) => self.next = message.calls.into_iter(),
                Poll::Ready(Some(Err(status))) => return Poll::Ready(Err(status)),
                Poll::Ready(None) => self.requests = None,
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn begin(&mut self, call: PipelinedCall) -> Result<(), Status> {
        let PipelinedCall { id, timeout_ms, call } = call;
        let call = match call {
            Some(Call::Cancel(v1::PipelineCancel {})) => {
                // It is dropped at its next turn, which this brings about.
                self.aborts.remove(&id).iter().for_each(AbortHandle::abort);
                return Ok(());
            }
            Some(mut call) => {
                own::own(&mut call);
                call
            }
            None => return Err(Status::invalid_argument(format!("call {id} is none that this server knows"))),
        };
        let services = self.services.clone();
        // Refused instead of left unread, since behind it may be what gives up a call that is open.
        // Those that were given up don't count, though they are dropped at their next turn only.
        let refused = match self.aborts.len() {
            _ if self.closing => Some(stopping()),
            CALLS_MAX.. => Some(overloaded("calls of this stream", RETRY_AFTER_MS)),
            _ => None,
        };
        let answered = async move {
            let answer = async {
                match refused {
                    Some(status) => failed(&status),
                    None => services.answer(call).await,
                }
            };
            let answer = match timeout_ms {
                0 => answer.await,
                _ => timeout(Duration::from_millis(timeout_ms.into()), answer)
                    .await
                    .unwrap_or_else(|_| failed(&Status::cancelled("Timeout expired"))),
            };
            PipelinedAnswer { id, answer: Some(answer) }
        };
        let (abort, registration) = AbortHandle::new_pair();
        if self.aborts.insert(id, abort).is_some() {
            return Err(Status::invalid_argument(format!("call {id} isn't answered yet: its id is in use")));
        }
        self.open.push(Abortable::new(answered.boxed(), registration));
        Ok(())
    }

    /// Begins what has come, and has everything go on that is open. True if the message is full.
    fn turn(&mut self, context: &mut Context<'_>, response: &mut PipelineResponse) -> Result<bool, Status> {
        let (mut begun, mut bytes) = (0, 0);
        loop {
            let before = begun;
            while begun < CALLS_PER_TURN {
                match self.poll_call(context)? {
                    Poll::Ready(Some(call)) => self.begin(call)?,
                    Poll::Ready(None) | Poll::Pending => break,
                }
                begun += 1;
            }
            while let Poll::Ready(Some(ended)) = self.open.poll_next_unpin(context) {
                // Nobody waits for one that was cancelled.
                let Ok(answer) = ended else { continue };
                self.aborts.remove(&answer.id);
                bytes += answer.encoded_len();
                response.answers.push(answer);
                if bytes >= MESSAGE_BYTES || response.answers.len() >= MESSAGE_ANSWERS {
                    return Ok(true);
                }
            }
            if begun == CALLS_PER_TURN {
                context.waker().wake_by_ref();
                return Ok(false);
            }
            if begun == before {
                return Ok(false);
            }
        }
    }
}

impl Stream for Calls {
    type Item = Result<PipelineResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if mem::take(&mut this.rests) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut response = PipelineResponse::default();
        if !this.closing && this.stops.poll_unpin(context).is_ready() {
            this.closing = true;
            response.closing = true;
        }
        match this.turn(context, &mut response) {
            Ok(full) => this.rests = full,
            Err(status) => {
                // Nobody is answered any more.
                (this.requests, this.next) = (None, Vec::new().into_iter());
                this.open.clear();
                return Poll::Ready(Some(Err(status)));
            }
        }
        let over = this.requests.is_none() && this.next.len() == 0 && this.open.is_empty();
        match response.answers.is_empty() && !response.closing {
            true if over => Poll::Ready(None),
            true => Poll::Pending,
            false => Poll::Ready(Some(Ok(response))),
        }
    }
}
