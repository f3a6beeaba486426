//! The leader's end of the log's stream: requests go out without waiting for answers, and each answer that is owed has a deadline.
//!
//! The deadlines are ours since a stream has none: bytes on a connection that leads nowhere don't fail, they stall.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt, stream::BoxStream};
use openraft::raft::AppendEntriesRequest;
use openraft_rt::AsyncRuntime;
use parking_lot::Mutex;
use ringfence_proto::peer as pb;
use tokio::sync::oneshot;
use tonic::{Request, Status, transport::Channel};

use super::convert;
use crate::raft::{log_store::PURGED_UNDER, runtime::Runtime, types::TypeConfig};

/// How long the news that entries are committed waits for further entries, to go along with them.
const NEWS_PATIENCE: Duration = Duration::from_millis(1);

/// What carries the stream to a member.
pub enum Way {
    /// A connection of its own.
    #[cfg(not(madsim))]
    Link(Box<dyn ringfence_link::Wire>),
    /// A call.
    Grpc(pb::peer_client::PeerClient<Channel>),
}

impl Way {
    async fn carry<S>(self, messages: S) -> Result<BoxStream<'static, Result<pb::AppendResponse, Status>>, Status>
    where
        S: Stream<Item = pb::AppendRequest> + Send + Unpin + 'static,
    {
        match self {
            #[cfg(not(madsim))]
            Self::Link(wire) => Ok(super::link::log::carry(wire, messages).boxed()),
            Self::Grpc(mut client) => Ok(client.stream_append(Request::new(messages)).await?.into_inner().boxed()),
        }
    }
}

/// Opens the stream and sends what comes. The answers end with the first error.
///
/// # Errors
/// If the member can't be reached in time.
pub async fn open<S>(
    way: Way,
    sender: Option<pb::Sender>,
    requests: S,
    reply_timeout: Duration,
) -> Result<impl Stream<Item = Result<pb::AppendResponse, Status>> + Send, Status>
where
    S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + Unpin + 'static,
{
    let owed = Owed::default();
    let sent = owed.clone();
    let purged = Arc::new(AtomicBool::new(false));
    let requests = Possible { requests, purged: purged.clone() };
    let messages = with_news(requests).map(move |request| {
        sent.add();
        convert::append_request_to(&request, sender)
    });
    let (asking, given_up) = oneshot::channel();
    let messages = until(given_up, messages);
    #[cfg(madsim)]
    let messages = in_order("stream", sender.map_or(0, |sender| sender.to), messages);
    let opening = way.carry(messages);
    let answers = match Runtime::timeout(reply_timeout, opening).await {
        Ok(opened) => opened?,
        Err(_) => return Err(Status::deadline_exceeded("the stream doesn't open")),
    };
    let answers = Answers { answers, owed, purged, reply_timeout, _asking: asking };
    Ok(futures::stream::unfold(Some(answers), |answers| async move {
        let mut answers = answers?;
        match answers.next().await? {
            Ok(answer) => Some((Ok(answer), Some(answers))),
            Err(status) => Some((Err(status), None)),
        }
    }))
}

/// The requests, until one needs entries that are purged: see [`PURGED_UNDER`].
struct Possible<S> {
    requests: S,
    purged: Arc<AtomicBool>,
}

impl<S: Stream + Unpin> Stream for Possible<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let purged = self.purged.clone();
        let next = PURGED_UNDER.sync_scope(purged, || self.requests.poll_next_unpin(context));
        if self.purged.load(Ordering::Acquire) { Poll::Ready(None) } else { next }
    }
}

/// The requests, of which one that says nothing but how far the log is committed waits for the next entries, which say that too.
///
/// A client that writes again when it is answered makes the next entry before that news need go: sent at once, it would cost each member as many
/// wake-ups as the entry, just when the answer is on its way. openraft doesn't count answers, it looks at how far they go. Who asks a
/// follower for what is newest isn't held up: the heartbeat that confirms the leader then says it as well.
fn with_news<S>(requests: S) -> impl Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + Unpin + 'static
where
    S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + Unpin + 'static,
{
    // The first may ask how far the member is, and doesn't wait.
    let requests = futures::stream::unfold((requests.fuse(), true), |(mut requests, first)| async move {
        let mut request = requests.next().await?;
        if first || !request.entries.is_empty() {
            return Some((request, (requests, false)));
        }
        let patience = Runtime::sleep(NEWS_PATIENCE);
        tokio::pin!(patience);
        while request.entries.is_empty() {
            tokio::select! {
                biased;
                next = requests.next() => match next {
                    Some(next) => request = next,
                    None => break,
                },
                () = &mut patience => break,
            }
        }
        Some((request, (requests, false)))
    });
    Box::pin(requests)
}

/// The messages, until the sender of `given_up` is gone; then they end, and what they come from is dropped at once.
///
/// A transport may keep the requests of a call whose answers nobody reads any more. While openraft waits for what to
/// send next it holds a lock that the next stream to the same member needs, so that member would never hear of an
/// entry again (openraft issue 1828).
pub fn until<T: Send + 'static>(
    given_up: oneshot::Receiver<()>,
    messages: impl Stream<Item = T> + Send + Unpin + 'static,
) -> impl Stream<Item = T> + Send + Unpin + 'static {
    let messages = futures::stream::unfold((given_up, messages), |(mut given_up, mut messages)| async move {
        tokio::select! {
            biased;
            _ = &mut given_up => None,
            message = messages.next() => Some((message?, (given_up, messages))),
        }
    });
    Box::pin(messages)
}

/// In simulation: messages that may be late, and may end early, but overtake nothing.
#[cfg(madsim)]
pub fn in_order<T: Send + 'static>(
    kind: &'static str,
    to: u64,
    messages: impl Stream<Item = T> + Send + 'static,
) -> impl Stream<Item = T> + Send + Unpin + 'static {
    let passed = futures::stream::unfold(Box::pin(messages), move |mut messages| async move {
        let message = messages.next().await?;
        ringfence_probes::messages::pass_in_order(kind, to).await.then_some((message, messages))
    });
    Box::pin(passed)
}

/// When the requests were sent that no answer came to yet.
#[derive(Clone, Default)]
struct Owed {
    since: Arc<Mutex<VecDeque<Instant>>>,
}

impl Owed {
    fn add(&self) {
        self.since.lock().push_back(Instant::now());
    }

    fn settle(&self) {
        self.since.lock().pop_front();
    }

    fn oldest(&self) -> Option<Instant> {
        self.since.lock().front().copied()
    }
}

struct Answers {
    answers: BoxStream<'static, Result<pb::AppendResponse, Status>>,
    owed: Owed,
    /// The requests ended since what they needed is purged.
    purged: Arc<AtomicBool>,
    reply_timeout: Duration,
    /// Dropped with the answers, which ends the requests.
    _asking: oneshot::Sender<()>,
}

impl Answers {
    async fn next(&mut self) -> Option<Result<pb::AppendResponse, Status>> {
        loop {
            // Half the time: a request that is sent meanwhile is noticed soon enough.
            match Runtime::timeout(self.reply_timeout / 2, self.answers.next()).await {
                Ok(Some(Ok(answer))) => {
                    self.owed.settle();
                    return Some(Ok(answer));
                }
                // Not an end in good order: after one, openraft would begin again where it stopped.
                Ok(None) if self.purged.load(Ordering::Acquire) => {
                    return Some(Err(Status::unavailable(
                        "entries that the member needs are purged: it gets a snapshot",
                    )));
                }
                Ok(None) => return None,
                Ok(Some(Err(status))) => return Some(Err(status)),
                Err(_) => {
                    let late = self.owed.oldest().is_some_and(|since| since.elapsed() >= self.reply_timeout);
                    if late {
                        return Some(Err(Status::deadline_exceeded("an answer on the log's stream is overdue")));
                    }
                }
            }
        }
    }
}

#[cfg(all(test, not(madsim)))]
mod tests {
    use futures::channel::mpsc;

    use super::*;
    use crate::raft::types::{LeaderId, LogEntry, LogId, Payload, Vote};

    const LEADER: LeaderId = LeaderId { term: 1, node_id: 1 };

    fn id(index: u64) -> LogId {
        LogId { leader_id: LEADER, index }
    }

    fn request(committed: u64, entries: &[u64]) -> AppendEntriesRequest<TypeConfig> {
        let entry = |index: &u64| LogEntry { log_id: id(*index), payload: Payload::Blank };
        AppendEntriesRequest {
            vote: Vote { leader_id: LEADER, committed: true },
            prev_log_id: None,
            entries: entries.iter().map(entry).collect(),
            leader_commit: Some(id(committed)),
        }
    }

    /// How far it says that is committed, and how many entries it has.
    fn told(request: Option<AppendEntriesRequest<TypeConfig>>) -> Option<(u64, usize)> {
        request.map(|request| (request.leader_commit.map_or(0, |id| id.index), request.entries.len()))
    }

    #[tokio::test(start_paused = true)]
    async fn news_goes_along_with_entries_or_by_itself_a_moment_later() {
        let (openraft, requests) = mpsc::unbounded();
        // As openraft's, it must not be asked again after its end.
        let requests = futures::stream::unfold(requests, |mut requests: mpsc::UnboundedReceiver<_>| async move {
            Some((requests.next().await?, requests))
        });
        let mut sent = with_news(Box::pin(requests));
        let send = |committed, entries: &[u64]| openraft.unbounded_send(request(committed, entries)).unwrap();
        let begun = tokio::time::Instant::now();

        send(1, &[]);
        assert_eq!(told(sent.next().await), Some((1, 0)), "the first asks how far the member is");
        send(1, &[2]);
        assert_eq!(told(sent.next().await), Some((1, 1)));
        send(2, &[]);
        send(2, &[3]);
        assert_eq!(told(sent.next().await), Some((2, 1)));
        assert_eq!(begun.elapsed(), Duration::ZERO);

        send(3, &[]);
        send(4, &[]);
        assert_eq!(told(sent.next().await), Some((4, 0)), "the newest alone");
        assert_eq!(begun.elapsed(), NEWS_PATIENCE);

        send(5, &[]);
        drop(openraft);
        assert_eq!(told(sent.next().await), Some((5, 0)), "it isn't lost at the end");
        assert_eq!(told(sent.next().await), None);
        assert_eq!(begun.elapsed(), NEWS_PATIENCE);
    }
}
