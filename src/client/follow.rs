//! The task behind a watcher: follows the changes on one member after the other.
//!
//! What it has handed on is known by one number, the next revision. A new stream begins there, and what comes from below
//! it is dropped. Progress moves it while nothing happens, so that a resume doesn't ask for history long gone. A snapshot that broke off
//! has no such number: it starts over.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
#[cfg(not(madsim))]
use ringfence_link::Kind;
use ringfence_proto::v1;
use ringfence_proto::v1::watch_canceled::Reason;
use ringfence_proto::v1::watch_response::Response;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::backoff::Backoff;
use crate::convert::{event, key_value, millis};
use crate::core::{Core, MESSAGE_BYTES_MAX};
use crate::error::{Error, Result};
#[cfg(not(madsim))]
use crate::link;
use crate::route::{Address, Toward};
use crate::select;
use crate::types::Revision;
use crate::verdict::{Distrust, Subject, Trouble, Verdict, judge};
use crate::watch::{WatchItem, WatchOptions};

/// A member that says nothing for thrice as long, and a little, is left.
const PROGRESS_MAX: Duration = Duration::from_secs(5);
const PROGRESS_MIN: Duration = Duration::from_millis(100);
/// How long a member may take to put the watch in place.
const START_TIMEOUT: Duration = Duration::from_secs(3);

/// An item, and where the watch stands after it.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) item: WatchItem,
    pub(crate) next: Revision,
}

/// Where the watch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// It begins as the options say.
    Start,
    /// Amid the snapshot of this revision.
    Snapshot(Revision),
    /// From this revision on.
    From(Revision),
}

pub(crate) struct Follower {
    core: Arc<Core>,
    options: WatchOptions,
    items: mpsc::Sender<Result<Step>>,
    ready: Option<oneshot::Sender<Result<Revision>>>,
    place: Place,
    backoff: Backoff,
    tried: Vec<Address>,
    distrust: Distrust,
}

/// Why a stream is left.
enum Left {
    /// Nobody reads any more.
    Unread,
    /// For good.
    Failed(Error),
    /// To begin anew, from a new snapshot.
    Restart,
    /// To go on elsewhere.
    Broken(Trouble),
}

impl Follower {
    pub(crate) fn new(
        core: Arc<Core>,
        options: WatchOptions,
        items: mpsc::Sender<Result<Step>>,
        ready: oneshot::Sender<Result<Revision>>,
    ) -> Self {
        let place = match options.start {
            0 => Place::Start,
            revision => Place::From(revision),
        };
        Self {
            backoff: Backoff::new(&core.retry),
            core,
            options,
            items,
            ready: Some(ready),
            place,
            tried: Vec::new(),
            distrust: Distrust::default(),
        }
    }

    pub(crate) async fn run(self) {
        let items = self.items.clone();
        tokio::select! {
            biased;
            () = items.closed() => {}
            () = self.follow() => {}
        }
    }

    async fn follow(mut self) {
        loop {
            let Some(address) = self.core.pick(Toward::Home, &self.tried) else {
                self.tried.clear();
                // A watch that is in place waits for better times.
                if let Some(error) = self.distrust.of_all()
                    && let Some(ready) = self.ready.take()
                {
                    drop(ready.send(Err(error)));
                    return;
                }
                sleep(self.backoff.pause()).await;
                continue;
            };
            match self.follow_at(&address).await {
                Left::Unread => return,
                Left::Failed(error) => {
                    match self.ready.take() {
                        Some(ready) => drop(ready.send(Err(error))),
                        None => drop(self.items.send(Err(error)).await),
                    }
                    return;
                }
                Left::Restart => self.place = Place::Start,
                Left::Broken(trouble) => {
                    tracing::debug!(%address, message = %trouble.message, "watch goes on elsewhere");
                    self.core.trouble(&address, &trouble);
                    self.distrust.note(&address, &trouble);
                    self.tried.push(address);
                    #[cfg(madsim)]
                    self.misplace();
                }
            }
        }
    }

    /// Follows on one member for as long as that works.
    async fn follow_at(&mut self, address: &Address) -> Left {
        if matches!(self.place, Place::Snapshot(_)) {
            self.place = Place::Start;
        }
        let mut answers = match timeout(START_TIMEOUT, self.open(address)).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(left)) => return left,
            Err(_) => return Left::Broken(Trouble::member("no stream for a watch in time")),
        };
        let core = Arc::clone(&self.core);
        let out_of_touch = core.out_of_touch(address);
        tokio::pin!(out_of_touch);
        let mut silence_max = START_TIMEOUT;
        loop {
            let answer = tokio::select! {
                biased;
                answer = next(&mut answers) => match answer {
                    Ok(answer) => answer,
                    Err(left) => return left,
                },
                () = &mut out_of_touch => return Left::Broken(Trouble::member("out of touch")),
                () = sleep(silence_max) => return Left::Broken(Trouble::member("silence")),
            };
            silence_max = self.progress_interval() * 3 + Duration::from_secs(2);
            if let Err(left) = self.take(address, answer).await {
                return left;
            }
        }
    }

    /// Opens a stream, on which the watch is asked for.
    async fn open(&self, address: &Address) -> Result<Answers, Left> {
        let (sender, requests) = mpsc::channel(1);
        let create = v1::WatchRequest { request: Some(v1::watch_request::Request::Create(self.create())) };
        if sender.try_send(create).is_err() {
            return Err(Left::Unread);
        }
        let requests = ReceiverStream::new(requests);
        #[cfg(not(madsim))]
        if let Some(linked) = self.core.pool.linked(address)
            && let Some(wire) = linked.links.open(Kind::Watches).await.map_err(|status| left(&status))?
        {
            // The question whether the member is there. While one waits to be sent, there need not be another.
            let ask = move || drop(sender.try_send(v1::WatchRequest::default()));
            return Ok(keeping(linked, link::carry(wire, requests, ask)));
        }
        let lane = self.core.pool.long(address).map_err(Left::Failed)?;
        let mut client =
            v1::watch_client::WatchClient::new(lane.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let answers = client.watch(requests).await.map_err(|status| left(&status))?.into_inner();
        // The sender, since the member would take its end for ours.
        Ok(keeping((lane, sender), answers))
    }

    /// By mistake it goes on a revision too early, or too late.
    #[cfg(madsim)]
    fn misplace(&mut self) {
        use ringfence_probes::{Bug, on};
        if let Place::From(next) = self.place
            && self.ready.is_none()
        {
            ringfence_probes::hit(ringfence_probes::marks::WATCH_RESUMED);
            let early = u64::from(on(Bug::WatchResumesEarly) && next > 1);
            self.place = Place::From(next + u64::from(on(Bug::WatchResumesLate)) - early);
        }
    }

    fn create(&self) -> v1::WatchCreate {
        let select::Wire { key, range_end, prefix, .. } = self.options.select.clone().into_wire();
        let (start_revision, snapshot) = match self.place {
            Place::From(revision) => (revision, false),
            Place::Start | Place::Snapshot(_) => (0, self.options.snapshot),
        };
        v1::WatchCreate {
            watch_id: 1,
            key,
            range_end,
            prefix,
            start_revision,
            snapshot,
            no_put: self.options.no_put,
            no_delete: self.options.no_delete,
            prev_kv: self.options.prev,
            progress_interval_ms: millis(self.progress_interval()),
        }
    }

    fn progress_interval(&self) -> Duration {
        let wanted = self.options.progress.unwrap_or(PROGRESS_MAX);
        wanted.clamp(PROGRESS_MIN, PROGRESS_MAX)
    }

    /// Takes one message from the member.
    async fn take(&mut self, address: &Address, answer: v1::WatchResponse) -> Result<(), Left> {
        match answer.response {
            Some(Response::Created(ref created)) => {
                self.core.heard(address, &answer).map_err(Left::Failed)?;
                self.created(created.start_revision);
                Ok(())
            }
            Some(Response::Snapshot(part)) => self.snapshot(part).await,
            Some(Response::Events(events)) => self.events(events).await,
            Some(Response::Progress(progress)) => self.progress(progress.revision),
            Some(Response::Canceled(canceled)) => Err(self.canceled(canceled)),
            // It answers the question whether it is there.
            None if answer.header.is_none() => Ok(()),
            None => Err(Left::Failed(Error::Protocol { message: "watch: an empty message".to_owned() })),
        }
    }

    fn created(&mut self, start: Revision) {
        self.tried.clear();
        self.backoff.reset();
        if self.place == Place::Start && !self.options.snapshot && start != 0 {
            self.place = Place::From(start);
        }
        if let Some(ready) = self.ready.take() {
            let _ = ready.send(Ok(self.next()));
        }
    }

    /// The next revision, 0 if it isn't known.
    fn next(&self) -> Revision {
        match self.place {
            Place::From(revision) => revision,
            Place::Start | Place::Snapshot(_) => 0,
        }
    }

    async fn snapshot(&mut self, part: v1::WatchSnapshot) -> Result<(), Left> {
        let first = match self.place {
            Place::Start => true,
            // Another revision: the member began anew, since history was compacted away under the snapshot.
            Place::Snapshot(revision) => part.revision != revision,
            // Likewise, when this watch was read too slowly.
            Place::From(_) if self.options.snapshot => true,
            Place::From(_) => {
                return Err(Left::Failed(Error::Protocol {
                    message: "watch: a snapshot that was not asked for".to_owned(),
                }));
            }
        };
        self.place = match part.complete {
            true => Place::From(part.revision + 1),
            false => Place::Snapshot(part.revision),
        };
        let item = WatchItem::Snapshot {
            first,
            complete: part.complete,
            revision: part.revision,
            kvs: part.kvs.into_iter().map(key_value).collect(),
        };
        self.hand_on(item).await
    }

    async fn events(&mut self, events: v1::WatchEvents) -> Result<(), Left> {
        let next = self.next();
        let events: Vec<_> =
            events.events.into_iter().map(event).filter(|event| event.kv.mod_revision >= next).collect();
        // Revisions are never split over messages: so all of the last one's events are here.
        let Some(last) = events.last() else {
            return Ok(());
        };
        self.place = Place::From(last.kv.mod_revision + 1);
        self.hand_on(WatchItem::Events(events)).await
    }

    /// Progress moves the place. It is handed on if there is room: who doesn't read needn't know.
    fn progress(&mut self, revision: Revision) -> Result<(), Left> {
        if let Place::From(next) = self.place {
            self.place = Place::From(next.max(revision + 1));
            let step = Step { item: WatchItem::Progress(self.next() - 1), next: self.next() };
            let _ = self.items.try_send(Ok(step));
        }
        Ok(())
    }

    fn canceled(&mut self, canceled: v1::WatchCanceled) -> Left {
        if let Place::From(next) = self.place {
            self.place = Place::From(next.max(canceled.next_revision));
        }
        let compacted = canceled.compacted_revision;
        match canceled.reason() {
            Reason::Compacted | Reason::Slow if self.options.snapshot => Left::Restart,
            Reason::Compacted => Left::Failed(Error::Compacted { compacted }),
            Reason::Slow => Left::Failed(Error::TooSlow { next: self.next(), compacted }),
            Reason::Invalid => Left::Failed(Error::Refused {
                reason: "INVALID_ARGUMENT".to_owned(),
                message: canceled.message,
                metadata: Default::default(),
            }),
            Reason::Unavailable | Reason::Requested => Left::Broken(Trouble::member(canceled.message)),
        }
    }

    async fn hand_on(&mut self, item: WatchItem) -> Result<(), Left> {
        let next = self.next();
        let sent = self.items.send(Ok(Step { item, next })).await;
        sent.map_err(|_| Left::Unread)
    }
}

/// What a member says to a watch.
type Answers = BoxStream<'static, std::result::Result<v1::WatchResponse, Status>>;

/// The answers, which keep something as long as they are there.
fn keeping<T: Send + 'static>(
    kept: T,
    answers: impl Stream<Item = std::result::Result<v1::WatchResponse, Status>> + Send + 'static,
) -> Answers {
    let kept = move |answer| {
        let _ = &kept;
        answer
    };
    answers.map(kept).boxed()
}

async fn next(answers: &mut Answers) -> Result<v1::WatchResponse, Left> {
    match answers.next().await {
        Some(Ok(answer)) => Ok(answer),
        Some(Err(status)) => Err(left(&status)),
        None => Err(Left::Broken(Trouble::member("the stream of a watch ended"))),
    }
}

fn left(status: &Status) -> Left {
    match judge(status, Subject::default()) {
        Verdict::NotDone(trouble) | Verdict::Unknown(trouble) => Left::Broken(trouble),
        Verdict::Final(error) => Left::Failed(error),
    }
}
