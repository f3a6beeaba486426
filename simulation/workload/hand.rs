//! What a worker has in its hands: its client, its generator, and the ways of recording what it does.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rand::{RngExt, rngs::SmallRng};
use ringfence_client::{Client, Error, Session, SessionOptions};
use ringfence_probes::unsure;

use super::{Weights, draw, ended, register::Registers, stop::Stop, weights::TTL_MS_MIN};
use crate::{
    history::{Action, Answer, ClientId, Ended, Recorder},
    place::{self, World},
};

/// What all workers of a world share.
pub(super) struct Common {
    pub(super) world: World,
    pub(super) weights: Weights,
    pub(super) stop: Stop,
    pub(super) registers: Registers,
    /// Counts the values, so that each is unique.
    values: AtomicU64,
    /// When everything is still: the last revision, up to which enduring watchers read on. 0 until then.
    pub(super) last_revision: AtomicU64,
    /// How many workers there are.
    pub(super) working: AtomicU64,
    /// How many of them are watchers that read on to the end.
    pub(super) enduring: AtomicU64,
    /// Told to who should have stopped long ago.
    pub(super) cut: Stop,
    /// Told once enduring watchers have to end.
    pub(super) over: Stop,
}

impl Common {
    pub(super) fn new(world: &World, weights: &Weights, stop: Stop) -> Self {
        Self {
            world: world.clone(),
            weights: weights.clone(),
            stop,
            registers: Registers::default(),
            values: AtomicU64::new(0),
            last_revision: AtomicU64::new(0),
            working: AtomicU64::new(0),
            enduring: AtomicU64::new(0),
            cut: Stop::new(),
            over: Stop::new(),
        }
    }
}

/// What all workers of one client share.
pub(super) struct Desk {
    pub(super) me: ClientId,
    pub(super) client: Client,
    /// Clients that know one server alone.
    pinned: Mutex<BTreeMap<u64, Client>>,
    /// The newest revision that this client has seen.
    seen: AtomicU64,
}

impl Desk {
    /// On the client's machine.
    pub(super) fn new(world: &World, me: ClientId) -> Result<Self, String> {
        let client = world.client(&world.servers(), DEADLINE_MAX)?;
        Ok(Self { me, client, pinned: Mutex::default(), seen: AtomicU64::new(0) })
    }
}

/// The longest time of a call.
const DEADLINE_MAX: Duration = Duration::from_secs(8);

/// One worker's.
pub(super) struct Hand {
    pub(super) common: Arc<Common>,
    pub(super) desk: Arc<Desk>,
    pub(super) rng: SmallRng,
}

impl Hand {
    pub(super) fn recorder(&self) -> &Recorder {
        self.common.world.recorder()
    }

    pub(super) fn me(&self) -> ClientId {
        self.desk.me
    }

    pub(super) fn stop(&self) -> Stop {
        self.common.stop.clone()
    }

    pub(super) fn stopped(&self) -> bool {
        self.common.stop.stopped()
    }

    /// The client, with a time for its calls: mostly enough of it, sometimes hardly any.
    pub(super) fn client(&mut self) -> Client {
        let deadline = self.deadline();
        self.desk.client.with_deadline(deadline)
    }

    fn deadline(&mut self) -> Duration {
        match self.rng.random_bool(0.1) {
            true => draw::time(&mut self.rng, 10.0, 1_000.0),
            false => draw::time(&mut self.rng, 2_000.0, 8_000.0),
        }
    }

    /// A client that knows this server alone, until it has learnt of the others.
    pub(super) fn at(&mut self, server: u64) -> Client {
        let deadline = self.deadline();
        let mut pinned = self.desk.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        let client = match pinned.get(&server) {
            Some(client) => client.clone(),
            None => match self.common.world.client(&[server], DEADLINE_MAX) {
                Ok(client) => pinned.entry(server).or_insert(client).clone(),
                Err(_) => self.desk.client.clone(),
            },
        };
        client.with_deadline(deadline)
    }

    /// Any of the servers that exist.
    pub(super) fn any_server(&mut self) -> Option<u64> {
        let servers = self.common.world.servers();
        match servers.len() {
            0 => None,
            number => servers.get(self.rng.random_range(0..number)).copied(),
        }
    }

    /// A value that nobody else writes.
    pub(super) fn value(&self) -> String {
        format!("v{}", self.common.values.fetch_add(1, Ordering::Relaxed) + 1)
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.rng.random_bool(probability.clamp(0.0, 1.0))
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        match end {
            0 => 0,
            end => self.rng.random_range(0..end),
        }
    }

    pub(super) fn time(&mut self, low_ms: f64, high_ms: f64) -> Duration {
        draw::time(&mut self.rng, low_ms, high_ms)
    }

    pub(super) fn saw(&self, revision: u64) {
        self.desk.seen.fetch_max(revision, Ordering::Relaxed);
    }

    pub(super) fn seen(&self) -> u64 {
        self.desk.seen.load(Ordering::Relaxed)
    }

    /// Between two calls: mostly about as long as the weights say, sometimes not at all.
    pub(super) async fn pause(&mut self) {
        if self.chance(0.15) {
            return;
        }
        let usual = self.common.weights.pause_ms();
        // The mean of this draw is about the usual pause.
        let pause = self.time(usual / 8.0, usual * 3.0);
        self.stop().sleep(pause).await;
    }

    /// Makes a call and records it; `answer` says what its result means, `failed` what its error means.
    pub(super) async fn call<T>(
        &self,
        action: Action,
        work: impl Future<Output = Result<T, Error>>,
        answer: impl FnOnce(&T) -> Answer,
        failed: impl FnOnce(&Error) -> Ended,
    ) -> Result<T, Error> {
        let open = self.recorder().call(self.me(), action);
        let result = work.await;
        let ended = match &result {
            Ok(done) => Ended::Ok(answer(done)),
            Err(error) => failed(error),
        };
        if let Ended::Ok(Answer::Wrote { revision } | Answer::Unchanged { revision } | Answer::Read { revision, .. }) =
            &ended
        {
            self.saw(*revision);
        }
        open.end(ended);
        result
    }

    /// A TTL: the shortest one in some cases, else up to the longest of this world.
    pub(super) fn ttl(&mut self) -> Duration {
        if self.chance(0.15) {
            return Duration::from_millis(TTL_MS_MIN as u64);
        }
        let longest = self.common.weights.ttl_ms_max;
        Duration::from_millis(self.time(TTL_MS_MIN, longest).as_millis() as u64)
    }

    /// Opens a session.
    pub(super) async fn open_session(&mut self) -> Option<Session> {
        let ttl = self.ttl();
        let client = self.client();
        let asked = Watchful::new(0);
        let open = client.open_session(SessionOptions::new().ttl(ttl));
        let action = Action::OpenSession { ttl_ms: ttl.as_millis() as u64 };
        let opened = self
            .call(
                action,
                open,
                |session| Answer::Session { id: session.id() },
                // An attempt that wasn't answered may have opened one that nobody knows.
                |error| ended::pursued(error, asked.all_answered()),
            )
            .await;
        let session = opened.ok()?;
        place::looked_at(self.recorder(), &session);
        Some(session)
    }

    /// Ends a session: closes it, or drops it, or lets it die.
    pub(super) async fn end_session(&mut self, session: Session) {
        let id = session.id();
        let action = Action::CloseSession { session: id };
        let abandoned = self.common.weights.abandoned;
        if self.chance(abandoned) && !self.stopped() && place::abandon(&session) {
            // It is left to die.
        } else if self.chance(0.2) {
            // The client closes it in the background.
            drop(self.recorder().call(self.me(), action));
            drop(session);
        } else {
            let asked = Watchful::new(id);
            let closed = self
                .call(action, session.close(), |()| Answer::Done, |error| ended::pursued(error, asked.all_answered()))
                .await;
            drop(closed);
        }
    }
}

/// Knows whether all attempts of the calls about a subject (a session or a token; 0: about none) were answered since it began.
pub(super) struct Watchful {
    subject: u64,
    before: u64,
}

impl Watchful {
    pub(super) fn new(subject: u64) -> Self {
        Self { subject, before: unsure::count(subject) }
    }

    pub(super) fn all_answered(&self) -> bool {
        // Outside of the simulation nobody tells of attempts, so that any may be one without an answer.
        cfg!(madsim) && unsure::count(self.subject) == self.before
    }
}

/// One of those that are counted, for as long as it is there.
pub(super) struct Counted<'a>(&'a AtomicU64);

impl<'a> Counted<'a> {
    pub(super) fn new(number: &'a AtomicU64) -> Self {
        number.fetch_add(1, Ordering::Relaxed);
        Self(number)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
