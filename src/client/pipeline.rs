//! Calls to one member on one stream: what callers ask at about the same time leaves in one message, and what is answered together comes
//! in one.
//!
//! One stream lives as long as its connection. When it breaks, all who wait for an answer hear so, and the next call opens another. It is
//! a [link](ringfence_link), or a call of gRPC with a member that has no links. A member without pipelines says so at the first call, and is
//! asked by calls by themselves from then on.

use std::collections::{HashMap, HashSet, VecDeque};
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use parking_lot::Mutex;
use prost::Message;
use ringfence_link::Kind;
use ringfence_proto::v1::pipeline_client::PipelineClient;
use ringfence_proto::v1::pipelined_answer::Answer;
use ringfence_proto::v1::{
    PipelineCancel, PipelineRequest, PipelineResponse, PipelinedCall, PipelinedStatus, pipelined_call::Call,
};
use tokio::sync::oneshot;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::attempt::whole_ms;
use crate::core::MESSAGE_BYTES_MAX;
use crate::link::{self, Links};
use crate::pipelined::Pipelined;
use crate::verdict::words;

/// Calls in one message, and about the bytes of their requests.
const CALLS_PER_MESSAGE: usize = 128;
const MESSAGE_BYTES: usize = 64 << 10;
/// Calls that a member takes at a time from one stream. More wait here until some are answered, since it would refuse them.
const SENT_MAX: usize = 2048;
/// Calls that wait for a lock or an election on one stream: half of those, so that others find room.
const WAITS_MAX: usize = 1000;

/// One member's pipeline. Dropping it ends the stream when all calls are answered.
#[derive(Debug)]
pub(crate) struct Pipeline {
    member: Member,
    /// The newest stream. How that has ended says whether another is worth opening.
    line: Mutex<Option<Arc<Line>>>,
    waits: Arc<AtomicUsize>,
}

/// How the member is reached.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) links: Arc<Links>,
    /// Without links.
    pub(crate) channel: Channel,
}

/// How a call over a pipeline ended that has no answer.
#[derive(Debug)]
pub(crate) enum Unanswered {
    Failed(Status),
    /// To be made by itself, and surely not done.
    Alone,
}

impl Pipeline {
    pub(crate) fn new(member: Member) -> Self {
        Self { member, line: Mutex::default(), waits: Arc::default() }
    }

    /// Makes a call. Dropping the future gives it up, and tells the member so.
    pub(crate) async fn ask<Q: Pipelined>(
        &self,
        request: Q,
        timeout: Option<Duration>,
    ) -> Result<Q::Answer, Unanswered> {
        if !request.fits() {
            return Err(Unanswered::Alone);
        }
        let call = request.call();
        // With others it might be more than a member takes in one message.
        if call.encoded_len() >= MESSAGE_BYTES {
            return Err(Unanswered::Alone);
        }
        let line = self.line().ok_or(Unanswered::Alone)?;
        // 0 is none.
        let timeout_ms =
            timeout.map_or(0, |timeout| whole_ms(timeout).as_millis().try_into().unwrap_or(u32::MAX).max(1));
        let mut asked = Asked::new(line, call, timeout_ms);
        // The sender goes with an answer only.
        let answer = (&mut asked.answer).await.unwrap_or_else(|_| Err(Unanswered::Failed(broken("it is gone"))));
        asked.answered = true;
        match answer? {
            Answer::Alone(_) => Err(Unanswered::Alone),
            Answer::Status(status) => Err(Unanswered::Failed(from_message(status))),
            answer => Q::answer(answer)
                .ok_or_else(|| Unanswered::Failed(Status::internal("the member answered another call than was made"))),
        }
    }

    /// A place for a call that waits long, if there is one.
    pub(crate) fn wait(&self) -> Option<Waits> {
        let place = Waits(self.waits.clone());
        (place.0.fetch_add(1, Ordering::Relaxed) < WAITS_MAX).then_some(place)
    }

    /// The open stream, or a new one. Must be called within the runtime.
    fn line(&self) -> Option<Arc<Line>> {
        let mut newest = self.line.lock();
        if let Some(line) = &*newest {
            match line.queue.lock().end {
                None => return Some(line.clone()),
                Some(End::Missing) => return None,
                Some(End::Broken) => {}
            }
        }
        let line = Arc::new(Line::default());
        tokio::spawn(serve(line.clone(), self.member.clone()));
        *newest = Some(line.clone());
        Some(line)
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        if let Some(line) = &*self.line.lock() {
            line.close();
        }
    }
}

/// A place among those that wait. Giving it up frees it.
#[derive(Debug)]
pub(crate) struct Waits(Arc<AtomicUsize>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

type Told = oneshot::Sender<Result<Answer, Unanswered>>;

/// One stream, as its callers and its task share it.
#[derive(Debug, Default)]
struct Line {
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    last: u64,
    /// Not sent yet.
    calls: VecDeque<PipelinedCall>,
    /// Those that were sent and given up, of which the member isn't told yet.
    cancels: VecDeque<u64>,
    /// The member is to be asked whether it is there.
    asks: bool,
    /// Sent or not, by their ids.
    waiting: HashMap<u64, Told>,
    /// Of whoever sends.
    waker: Option<Waker>,
    /// Nothing more is sent than what is queued.
    closing: bool,
    end: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Broken,
    /// The member has no pipelines.
    Missing,
}

impl Queue {
    /// What is sent next, if anything can be. What is given up makes room for others, so it is first.
    fn next(&mut self) -> Option<PipelinedCall> {
        if let Some(id) = self.cancels.pop_front() {
            return Some(PipelinedCall { id, timeout_ms: 0, call: Some(Call::Cancel(PipelineCancel {})) });
        }
        if self.has_room() { self.calls.pop_front() } else { None }
    }

    /// The member takes another call.
    fn has_room(&self) -> bool {
        // All that aren't sent wait for an answer, too.
        self.waiting.len().saturating_sub(self.calls.len()) < SENT_MAX
    }

    fn can_send(&self) -> bool {
        self.asks || !self.cancels.is_empty() || !self.calls.is_empty() && self.has_room()
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Line {
    /// Takes no more calls.
    fn close(&self) {
        let mut queue = self.queue.lock();
        queue.closing = true;
        queue.end.get_or_insert(End::Broken);
        queue.wake();
    }

    /// Asks whether the member is there, with the next calls or without any.
    fn ask(&self) {
        let mut queue = self.queue.lock();
        queue.asks = true;
        queue.wake();
    }

    /// Hands answers to those who wait for them.
    fn answered(&self, answers: impl Iterator<Item = (u64, Option<Answer>)>) {
        let mut queue = self.queue.lock();
        for (id, answer) in answers {
            // Whoever has gone waits no more.
            if let (Some(told), Some(answer)) = (queue.waiting.remove(&id), answer) {
                let _ = told.send(Ok(answer));
            }
        }
        if queue.can_send() || queue.closing {
            queue.wake();
        }
    }

    /// All who wait hear how the stream ended: `opened`, it was taken by the member before.
    fn ended(&self, status: &Status, opened: bool) {
        let missing = !opened && status.code() == Code::Unimplemented;
        let (waiting, unsent) = {
            let mut queue = self.queue.lock();
            queue.end = Some(if missing { End::Missing } else { End::Broken });
            (std::mem::take(&mut queue.waiting), std::mem::take(&mut queue.calls))
        };
        let unsent: HashSet<u64> = unsent.iter().map(|call| call.id).collect();
        for (id, told) in waiting {
            let _ = told.send(Err(match missing {
                true => Unanswered::Alone,
                false if opened && unsent.contains(&id) => Unanswered::Failed(never_sent()),
                false => Unanswered::Failed(status.clone()),
            }));
        }
    }
}

/// A call that was made, until it is answered.
struct Asked {
    line: Arc<Line>,
    id: u64,
    answer: oneshot::Receiver<Result<Answer, Unanswered>>,
    answered: bool,
}

impl Asked {
    fn new(line: Arc<Line>, call: Call, timeout_ms: u32) -> Self {
        let (told, answer) = oneshot::channel();
        let id = {
            let mut queue = line.queue.lock();
            queue.last += 1;
            let id = queue.last;
            match queue.end {
                // Between its opening and now.
                Some(End::Missing) => {
                    let _ = told.send(Err(Unanswered::Alone));
                }
                Some(End::Broken) => {
                    let _ = told.send(Err(Unanswered::Failed(never_sent())));
                }
                None => {
                    queue.waiting.insert(id, told);
                    queue.calls.push_back(PipelinedCall { id, timeout_ms, call: Some(call) });
                    queue.wake();
                }
            }
            id
        };
        Self { line, id, answer, answered: false }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        let mut queue = self.line.queue.lock();
        if queue.waiting.remove(&self.id).is_none() {
            return;
        }
        match queue.calls.iter().position(|call| call.id == self.id) {
            Some(unsent) => drop(queue.calls.remove(unsent)),
            None => queue.cancels.push_back(self.id),
        }
        queue.wake();
    }
}

/// What is to be sent, a message at a time. On a link it ends when everything is answered: its end is that of the link.
struct Outgoing {
    line: Arc<Line>,
    on_link: bool,
    /// Others that are about to ask were let by.
    waited: bool,
}

impl Stream for Outgoing {
    type Item = PipelineRequest;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<PipelineRequest>> {
        let line = self.line.clone();
        let mut queue = line.queue.lock();
        if !queue.can_send() {
            self.waited = false;
            if queue.closing && queue.calls.is_empty() && (!self.on_link || queue.waiting.is_empty()) {
                return Poll::Ready(None);
            }
            queue.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        if !std::mem::replace(&mut self.waited, true) {
            // Behind those that are ready to run now.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.waited = false;
        queue.asks = false;
        let (mut calls, mut bytes) = (Vec::with_capacity(queue.calls.len().min(CALLS_PER_MESSAGE)), 0);
        while calls.len() < CALLS_PER_MESSAGE
            && bytes < MESSAGE_BYTES
            && let Some(call) = queue.next()
        {
            bytes += call.encoded_len();
            calls.push(call);
        }
        Poll::Ready(Some(PipelineRequest { calls }))
    }
}

async fn open(
    member: &Member,
    mut outgoing: Outgoing,
) -> Result<BoxStream<'static, Result<PipelineResponse, Status>>, Status> {
    if let Some(wire) = member.links.open(Kind::Calls).await? {
        let line = outgoing.line.clone();
        outgoing.on_link = true;
        return Ok(link::carry(wire, outgoing, move || line.ask()));
    }
    let mut client = PipelineClient::new(member.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
    Ok(client.open(outgoing).await?.into_inner().boxed())
}

/// Opens the stream and hands answers over until it ends.
async fn serve(line: Arc<Line>, member: Member) {
    let outgoing = Outgoing { line: line.clone(), on_link: false, waited: false };
    let mut ending = Ending { line, opened: false, status: broken("its runtime has ended") };
    let mut answers = match open(&member, outgoing).await {
        Ok(answers) => answers,
        Err(status) => {
            ending.status = status;
            return;
        }
    };
    ending.opened = true;
    ending.status = loop {
        match answers.next().await {
            Some(Ok(PipelineResponse { end: Some(end), .. })) => break broken(&end.message),
            Some(Ok(message)) => {
                if message.closing {
                    ending.line.close();
                }
                ending.line.answered(message.answers.into_iter().map(|answer| (answer.id, answer.answer)));
            }
            None => break broken("the member ended it"),
            // Whatever its code says: it answers none of the calls, and those that were sent may have been done.
            Some(Err(status)) => break broken(&words(&status, true)),
        }
    };
}

/// Tells all who wait when the stream has ended, however that came.
struct Ending {
    line: Arc<Line>,
    opened: bool,
    status: Status,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.line.ended(&self.status, self.opened);
    }
}

fn from_message(status: PipelinedStatus) -> Status {
    let code = Code::from(i32::try_from(status.code).unwrap_or_default());
    Status::with_details(code, status.message, status.details)
}

fn broken(why: &str) -> Status {
    Status::unavailable(format!("the stream of calls broke: {why}"))
}

/// The stream broke before the call was sent.
#[derive(Debug)]
pub(crate) struct NeverSent;

impl fmt::Display for NeverSent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the stream of calls broke before this one was sent")
    }
}

impl Error for NeverSent {}

fn never_sent() -> Status {
    let mut status = broken("nothing was sent");
    status.set_source(Arc::new(NeverSent));
    status
}
