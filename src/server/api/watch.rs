//! `ringfence.v1.Watch`.
//!
//! A stream is asked for its next message when there is room for one, and then looks what there is to say: so a client that doesn't read
//! costs the connection's window and each watch's buffer, and no more, and its own requests wait too. Watches of a stream take turns.

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    ops::ControlFlow,
    time::Duration,
};

use futures::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use ringfence_core::{Event, limits::KEY_BYTES_MAX};
use ringfence_proto::v1::{
    self, watch_canceled::Reason, watch_request, watch_response::Response as Answer, watch_server,
};
use tokio::time::{Instant, sleep_until};
use tonic::{Request, Response, Status, Streaming};

use super::{
    convert,
    convert_request::{Freshness, span},
    errors,
    parts::Parts,
};
#[cfg(not(madsim))]
use crate::limits::MESSAGE_BYTES_MAX;
use crate::watch::{Begin, End, Filter, Mailbox, Step, Watching};

/// Watches of one stream: each may buffer a mebibyte, so one client costs a gigabyte at the very most.
pub const WATCHES_MAX: usize = 1000;
/// Bytes of former versions in one message. More are left out: whoever needs them reads them by their revision.
const PREV_BYTES_MAX: usize = 3 << 20;

const PROGRESS_MS: u64 = 10_000;
const PROGRESS_MS_MIN: u64 = 100;
const PROGRESS_MS_MAX: u64 = 3_600_000;

/// The service. A clone is the same.
#[derive(Clone)]
pub struct Watch {
    parts: Parts,
}

impl Watch {
    /// On top of these.
    pub fn new(parts: Parts) -> Self {
        Self { parts }
    }
}

/// What a client sends.
pub type Requests = BoxStream<'static, Result<v1::WatchRequest, Status>>;
/// What it is told.
pub type Told = BoxStream<'static, Sent>;
type Sent = Result<v1::WatchResponse, Status>;

#[tonic::async_trait]
impl watch_server::Watch for Watch {
    type WatchStream = Told;

    async fn watch(&self, request: Request<Streaming<v1::WatchRequest>>) -> Result<Response<Told>, Status> {
        Ok(Response::new(self.tell(request.into_inner().boxed())))
    }
}

impl Watch {
    /// Answers a client's requests, with what happens to its watches.
    pub fn tell(&self, requests: Requests) -> Told {
        let telling = Telling::new(self.parts.clone(), requests);
        stream::unfold(telling, |mut telling| async { Some((telling.next().await?, telling)) }).boxed()
    }
}

#[cfg(not(madsim))]
impl Watch {
    /// Serves a [link](ringfence_link) that was agreed on, to its end.
    pub async fn serve(&self, wire: impl ringfence_link::Wire + 'static) {
        let rules = ringfence_link::Rules {
            bytes_max: MESSAGE_BYTES_MAX,
            is_question: |request: &v1::WatchRequest| request.request.is_none(),
            // A client that doesn't read for a while doesn't ask, either.
            silence_max: None,
        };
        let served = ringfence_link::answer(wire, rules, |requests| {
            // An error is the end, which the end of the link says as well.
            self.tell(requests.boxed()).scan((), |(), said| std::future::ready(said.ok()))
        });
        if let Err(error) = served.await {
            tracing::debug!(%error, "a link for watches broke off");
        }
    }
}

/// A session, until this member can't serve it any more.
struct Telling {
    session: Session,
    /// Why it can't.
    leaves: BoxFuture<'static, &'static str>,
    /// The last words, once they are to be said.
    farewell: Option<VecDeque<Sent>>,
}

impl Telling {
    fn new(parts: Parts, requests: Requests) -> Self {
        let (stopping, touch) = (parts.stopping.clone(), parts.touch.clone());
        let leaves = async move {
            tokio::select! {
                biased;
                () = stopping.wait() => "this member is stopping",
                () = touch.lost() => "this member has lost touch with the cluster",
            }
        };
        Self { session: Session::new(parts, requests), leaves: leaves.boxed(), farewell: None }
    }

    /// What is to be said next, when there is something; `None` at the end.
    async fn next(&mut self) -> Option<Sent> {
        loop {
            if let Some(words) = &mut self.farewell {
                return words.pop_front();
            }
            tokio::select! {
                biased;
                why = &mut self.leaves => self.farewell = Some(self.session.farewell(why)),
                said = self.session.next() => match said {
                    ControlFlow::Continue(Some(answer)) => return Some(Ok(answer)),
                    ControlFlow::Continue(None) => {}
                    ControlFlow::Break(()) => return None,
                },
            }
        }
    }
}

/// One open watch of the stream.
struct Open {
    watching: Watching,
    prev_kv: bool,
    interval: Duration,
    /// When progress is due, unless something is sent before.
    due: Instant,
}

/// What one stream has open.
struct Session {
    parts: Parts,
    /// Until the client has ended its side.
    requests: Option<Requests>,
    mailbox: Mailbox,
    open: BTreeMap<u64, Open>,
    /// Watches that still owe a progress that was asked for.
    owed: Vec<u64>,
}

impl Session {
    fn new(parts: Parts, requests: Requests) -> Self {
        let (mailbox, open) = (Mailbox::default(), BTreeMap::new());
        Self { parts, requests: Some(requests), mailbox, open, owed: Vec::new() }
    }

    /// Whatever is to be said next, if what happened next is worth saying. Breaks when the client has gone, or its side has ended with no
    /// watch open.
    async fn next(&mut self) -> ControlFlow<(), Option<v1::WatchResponse>> {
        if let Some(answer) = self.owed_progress() {
            return ControlFlow::Continue(Some(answer));
        }
        if self.requests.is_none() && self.open.is_empty() {
            return ControlFlow::Break(());
        }
        let due = self.open.values().map(|open| open.due).min();
        let request = async {
            match &mut self.requests {
                Some(requests) => requests.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            request = request => match request {
                Some(Ok(request)) => ControlFlow::Continue(self.request(request).await),
                // The connection is gone.
                Some(Err(_)) => ControlFlow::Break(()),
                // The client has said all it had to say, and may go on listening.
                None => {
                    self.requests = None;
                    ControlFlow::Continue(None)
                }
            },
            () = self.mailbox.wait() => ControlFlow::Continue(self.step().await),
            () = at(due) => ControlFlow::Continue(self.due_progress()),
        }
    }

    async fn request(&mut self, request: v1::WatchRequest) -> Option<v1::WatchResponse> {
        match request.request {
            Some(watch_request::Request::Create(create)) => {
                let id = create.watch_id;
                Some(match self.create(create).await {
                    Ok(start_revision) => self.answer(id, Answer::Created(v1::WatchCreated { start_revision })),
                    Err(canceled) => self.answer(id, Answer::Canceled(canceled)),
                })
            }
            Some(watch_request::Request::Cancel(v1::WatchCancel { watch_id })) => {
                let open = self.open.remove(&watch_id)?;
                let canceled = canceled(Reason::Requested, "", open.watching.next_revision());
                Some(self.answer(watch_id, Answer::Canceled(canceled)))
            }
            Some(watch_request::Request::Progress(_)) => {
                self.owed = self.open.keys().copied().collect();
                None
            }
            // A request that a newer client knows and this member doesn't.
            None => Some(self.answer(0, Answer::Canceled(canceled(Reason::Invalid, "the request is not known", 0)))),
        }
    }

    async fn create(&mut self, create: v1::WatchCreate) -> Result<u64, v1::WatchCanceled> {
        let (filter, interval) = self.check(&create).map_err(|why| canceled(Reason::Invalid, &why, 0))?;
        let begin = match create.start_revision {
            _ if create.snapshot => Begin::Snapshot,
            0 => Begin::Next,
            revision => Begin::At(revision),
        };
        if !matches!(begin, Begin::At(_)) {
            // "Now" is not before what the client knows to be done.
            let fresh = self.parts.fresh(Freshness::Linearizable).await;
            fresh.map_err(|status| canceled(Reason::Unavailable, status.message(), create.start_revision))?;
        }
        let watching = self.parts.hub.watch(filter, begin, &self.mailbox, create.watch_id);
        let start_revision = watching.next_revision();
        let due = Instant::now() + interval;
        self.open.insert(create.watch_id, Open { watching, prev_kv: create.prev_kv, interval, due });
        // A mistake: a watch that is still to be told of the past hears at once how far the present is.
        #[cfg(madsim)]
        if ringfence_probes::on(ringfence_probes::Bug::ProgressAhead) {
            self.owed.push(create.watch_id);
        }
        Ok(start_revision)
    }

    fn check(&self, create: &v1::WatchCreate) -> Result<(Filter, Duration), String> {
        let id = create.watch_id;
        if id == 0 {
            return Err("watch_id must not be 0".to_owned());
        }
        if self.open.contains_key(&id) {
            return Err(format!("watch {id} is open already; its own events go on"));
        }
        if self.open.len() >= WATCHES_MAX {
            return Err(format!(
                "{WATCHES_MAX} watches are open on this stream, which is the limit; open another stream"
            ));
        }
        if create.snapshot && create.start_revision != 0 {
            return Err("start_revision must be 0 with snapshot".to_owned());
        }
        if create.key.len() > KEY_BYTES_MAX || create.range_end.len() > KEY_BYTES_MAX {
            return Err(format!("a key is longer than {KEY_BYTES_MAX} bytes, which is the limit"));
        }
        let span = span(create.key.clone(), create.range_end.clone(), create.prefix)
            .map_err(|status| status.message().to_owned())?;
        let interval_ms = match create.progress_interval_ms {
            0 => PROGRESS_MS,
            given @ PROGRESS_MS_MIN..=PROGRESS_MS_MAX => given,
            given => {
                return Err(format!(
                    "progress_interval_ms is {given}, and must be {PROGRESS_MS_MIN} to {PROGRESS_MS_MAX}, or 0"
                ));
            }
        };
        let filter = Filter { span, no_put: create.no_put, no_delete: create.no_delete };
        Ok((filter, Duration::from_millis(interval_ms)))
    }

    /// The next step of the watch whose turn it is.
    async fn step(&mut self) -> Option<v1::WatchResponse> {
        let id = self.mailbox.take()?;
        let open = self.open.get_mut(&id)?;
        let _turn = if open.watching.is_behind() { self.parts.hub.turn().await } else { None };
        let answer = match open.watching.step() {
            Step::Idle | Step::Again => return None,
            Step::Snapshot { revision, keys, complete } => Answer::Snapshot(v1::WatchSnapshot {
                revision,
                kvs: keys.into_iter().map(convert::key_value).collect(),
                complete,
            }),
            Step::Events(changes) => {
                let mut prev_bytes = 0;
                let events = changes
                    .iter()
                    .flat_map(|change| open.watching.select(change))
                    .map(|event| convert_event(event, open.prev_kv, &mut prev_bytes))
                    .collect();
                Answer::Events(v1::WatchEvents { events })
            }
            Step::Over(end) => {
                let next = open.watching.next_revision();
                self.open.remove(&id);
                return Some(self.answer(id, Answer::Canceled(over(end, next))));
            }
        };
        open.due = Instant::now() + open.interval;
        Some(self.answer(id, answer))
    }

    /// A progress that was asked for and can be given now. A watch that can't give one sends events or a snapshot instead.
    fn owed_progress(&mut self) -> Option<v1::WatchResponse> {
        while let Some(id) = self.owed.pop() {
            if let Some(answer) = self.progress(id) {
                return Some(answer);
            }
        }
        None
    }

    /// The progress of the watch for which it is due.
    fn due_progress(&mut self) -> Option<v1::WatchResponse> {
        let now = Instant::now();
        let due = |open: &Open| open.due <= now;
        let id = self.open.iter().find(|(_, open)| due(open)).map(|(&id, _)| id)?;
        self.progress(id)
    }

    fn progress(&mut self, id: u64) -> Option<v1::WatchResponse> {
        let open = self.open.get_mut(&id)?;
        open.due = Instant::now() + open.interval;
        let revision = open.watching.progress()?;
        Some(self.answer(id, Answer::Progress(v1::WatchProgress { revision })))
    }

    fn answer(&self, watch_id: u64, answer: Answer) -> v1::WatchResponse {
        v1::WatchResponse { header: Some(self.parts.headers.now(0)), watch_id, response: Some(answer) }
    }

    /// The last words to every watch, and the end of the stream.
    fn farewell(&mut self, why: &str) -> VecDeque<Sent> {
        let open = mem::take(&mut self.open);
        let words = open.into_iter().map(|(id, open)| {
            let canceled = canceled(Reason::Unavailable, why, open.watching.next_revision());
            Ok(self.answer(id, Answer::Canceled(canceled)))
        });
        words.chain([Err(errors::stopping())]).collect()
    }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn canceled(reason: Reason, message: &str, next_revision: u64) -> v1::WatchCanceled {
    v1::WatchCanceled { reason: reason.into(), message: message.to_owned(), compacted_revision: 0, next_revision }
}

fn over(end: End, next_revision: u64) -> v1::WatchCanceled {
    let (reason, compacted, message) = match end {
        End::Compacted { compacted } => {
            (Reason::Compacted, compacted, "the revisions that the watch needs were compacted away")
        }
        End::Slow { compacted } => (
            Reason::Slow,
            compacted,
            "the watch was read too slowly, and the revisions that it needs next were compacted away",
        ),
    };
    v1::WatchCanceled { compacted_revision: compacted, ..canceled(reason, message, next_revision) }
}

/// An event as it is sent. Former versions are left out where they weren't asked for, and beyond their limit.
fn convert_event(event: &Event, prev_kv: bool, prev_bytes: &mut usize) -> v1::Event {
    *prev_bytes += event.prev.as_ref().filter(|_| prev_kv).map_or(0, |prev| prev.value.len());
    let prev = if prev_kv && *prev_bytes <= PREV_BYTES_MAX { event.prev.clone() } else { None };
    convert::event(Event { kind: event.kind, key: event.key.clone(), prev })
}
