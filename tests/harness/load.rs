//! Clients at work: they take a lock in turns, write under its token, and write on their own, while a watcher watches.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use std::time::Duration;

use ringfence_client::{Client, Error, EventKind, Kv, LockGuard, Op, Txn, WatchItem, WatchOptions};
use tokio::task::JoinHandle;

use crate::{
    World,
    history::{self, Action, Ended, History, Recorder, Version},
    raw::text,
    wait::{until, within},
};

/// The lock that all want.
pub const LOCK: &str = "contended";
/// The register that only its owner may write.
pub const REGISTER: &str = "w/register";
/// What the watcher watches.
const WATCHED: &str = "w/";
/// The last write of all, by which the watcher knows that it has seen everything.
const END: &str = "w/end";
/// Short, so that a lost owner doesn't hold the others up for long.
const TTL: Duration = Duration::from_secs(2);

/// Clients and a watcher that work until they are stopped.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
    watcher: JoinHandle<Vec<Vec<Version>>>,
    endpoints: Vec<String>,
}

#[derive(Debug, Default)]
struct Shared {
    recorder: Recorder,
    stopping: AtomicBool,
    /// Turns that were completed: the lock taken, written under, and given back.
    turns: AtomicU64,
}

impl Load {
    /// Puts this many clients to work on a cluster that runs, and starts watching it from its first revision on.
    pub async fn start(world: &World, clients: u32) -> Self {
        let shared = Arc::new(Shared::default());
        let endpoints = world.endpoints();
        let watcher = tokio::spawn(watch(world.client().await));
        let clients = (1..=clients).map(|id| tokio::spawn(work(id, connect(&endpoints), shared.clone()))).collect();
        Self { shared, clients, watcher, endpoints }
    }

    /// Waits until the clients have completed this many turns more: the cluster works.
    pub async fn progress(&self, turns: u64) {
        let goal = self.shared.turns.load(Ordering::SeqCst) + turns;
        until("the clients to get on with their work", async || {
            let done = self.shared.turns.load(Ordering::SeqCst);
            if done >= goal { Ok(()) } else { Err(format!("{done} of {goal} turns are done")) }
        })
        .await;
    }

    /// Stops the clients, and checks everything: what they saw, what the watcher saw, and what the members hold.
    /// All members must run.
    ///
    /// # Panics
    /// If a promise was broken.
    pub async fn check(self, world: &World) -> History {
        self.shared.stopping.store(true, Ordering::SeqCst);
        for client in self.clients {
            within("a client to finish its turn", client).await.expect("a client's task");
        }
        let end = connect(&self.endpoints);
        let last = record_put(&self.shared.recorder, 0, &end.kv(), END, "end").await;
        assert!(matches!(last, Ended::Ok(_)), "the last write of all: {last:?}");
        let messages = within("the watcher to see the last write", self.watcher).await.expect("the watcher's task");
        let history = self.shared.recorder.history();
        let versions = versions(&end.kv(), &history).await;
        let last = versions.iter().map(|version| version.revision).max().unwrap_or(0);
        let checks = [
            ("writes", history::writes::check(&history, &versions)),
            ("tokens", history::tokens::check(&history)),
            ("one holder", history::one_holder::check(&history)),
            ("fenced register", history::fenced::check(&history, &versions, REGISTER)),
            ("watch", history::watch::check(&messages, &versions, last)),
        ];
        for (name, verdict) in checks {
            verdict.unwrap_or_else(|broken| panic!("{name}: {broken}"));
        }
        // Locks are released, and the sessions of clients that lost theirs expire by themselves.
        until("all sessions to be gone", async || {
            let status = world.raw(world.ids()[0]).status().await.map_err(|status| format!("{status:?}"))?;
            if status.sessions == 0 { Ok(()) } else { Err(format!("{} are there", status.sessions)) }
        })
        .await;
        world.settle().await;
        history
    }
}

fn connect(endpoints: &[String]) -> Client {
    Client::builder(endpoints.to_vec()).deadline(Duration::from_secs(5)).build().expect("endpoints")
}

/// A client's life: turn after turn.
async fn work(id: u32, client: Client, shared: Arc<Shared>) {
    let mut turn = 0;
    while !shared.stopping.load(Ordering::SeqCst) {
        turn += 1;
        let key = format!("w/own/{id}");
        record_put(&shared.recorder, id, &client.kv(), &key, &format!("{id}-{turn}")).await;
        let call = shared.recorder.call(id, Action::Acquire { lock: LOCK.to_owned() });
        let taken = client.lock(LOCK).ttl(TTL).wait(Duration::from_secs(10)).acquire().await;
        let guard = match taken {
            Ok(guard) => {
                call.end(Ended::Ok(guard.token()));
                guard
            }
            Err(error) => {
                call.end(ended(&error));
                pause().await;
                continue;
            }
        };
        if hold(id, turn, &client, &guard, &shared.recorder).await && release(id, guard, &shared.recorder).await {
            shared.turns.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Keeps a client whose calls fail at once from spinning. Nothing waits for it.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// Writes under the lock. Answers whether it was held to the end, as far as the client knows.
async fn hold(id: u32, turn: u64, client: &Client, guard: &LockGuard, recorder: &Recorder) -> bool {
    let token = guard.token();
    for step in 0..3 {
        if !recorder.belief(id, LOCK, token, || guard.is_valid()) {
            return false;
        }
        // One of them through the session, with exactly one effect; the others may be left in doubt.
        let kv = if step == 1 { guard.session().kv() } else { client.kv() };
        let value = format!("{id}-{turn}-{step}");
        record_fenced(recorder, id, &kv, token, &value).await;
    }
    recorder.belief(id, LOCK, token, || guard.is_valid())
}

async fn release(id: u32, guard: LockGuard, recorder: &Recorder) -> bool {
    let call = recorder.call(id, Action::Release { lock: LOCK.to_owned(), token: guard.token() });
    let released = guard.release().await;
    let done = released.is_ok();
    call.end(released.map_or_else(|error| ended(&error), |()| Ended::Ok(0)));
    done
}

async fn record_put(recorder: &Recorder, id: u32, kv: &Kv, key: &str, value: &str) -> Ended {
    let call = recorder.call(id, Action::Put { key: key.to_owned(), value: value.to_owned() });
    let result = kv.put(key, value).await;
    let ended = result.map_or_else(|error| ended(&error), |done| Ended::Ok(done.revision));
    call.end(ended.clone());
    ended
}

async fn record_fenced(recorder: &Recorder, id: u32, kv: &Kv, token: u64, value: &str) {
    let action = Action::FencedPut { lock: LOCK.to_owned(), token, key: REGISTER.to_owned(), value: value.to_owned() };
    let call = recorder.call(id, action);
    let txn = Txn::new().when_holds(LOCK, token).then(Op::put(REGISTER, value));
    call.end(match kv.txn(txn).await {
        Ok(done) if done.succeeded => Ended::Ok(done.revision),
        Ok(_) => Ended::Refused("the token is not the owner's".to_owned()),
        Err(error) => ended(&error),
    });
}

/// What an error says about the write: surely not done, or nobody knows.
fn ended(error: &Error) -> Ended {
    match error {
        Error::Unavailable { .. } | Error::Refused { .. } | Error::InvalidArgument { .. } => {
            Ended::Refused(error.to_string())
        }
        _ => Ended::Unknown,
    }
}

/// Collects what the watcher gives, item by item, until it has given the last write.
async fn watch(client: Client) -> Vec<Vec<Version>> {
    let options = WatchOptions::prefix(WATCHED).from_revision(1);
    let mut watcher = client.watch(options).await.expect("a watch of a cluster that runs");
    let mut messages = Vec::new();
    loop {
        let item = watcher.next().await.expect("the watch goes on").expect("the watch goes on");
        let WatchItem::Events(events) = item else {
            continue;
        };
        let version = |event: ringfence_client::Event| Version {
            revision: event.kv.mod_revision,
            key: text(&event.kv.key),
            value: (event.kind == EventKind::Put).then(|| text(&event.kv.value)),
        };
        let message: Vec<Version> = events.into_iter().map(version).collect();
        let last = message.iter().any(|version| version.key == END);
        messages.push(message);
        if last {
            return messages;
        }
    }
}

/// All versions of all keys that anybody tried to write. Nothing was deleted or compacted.
async fn versions(kv: &Kv, history: &History) -> Vec<Version> {
    let mut keys: Vec<&str> = history
        .calls
        .iter()
        .filter_map(|call| match &call.action {
            Action::Put { key, .. } | Action::FencedPut { key, .. } => Some(key.as_str()),
            Action::Acquire { .. } | Action::Release { .. } => None,
        })
        .collect();
    keys.sort_unstable();
    keys.dedup();
    let mut versions = Vec::new();
    for key in keys {
        let mut revision = 0;
        // From the newest version back, each read as of the revision before the one above: so that neither the watch, nor
        // the answers' limits have a part in what the watch is held against.
        loop {
            let read = ringfence_client::GetOptions::key(key).at_revision(revision);
            let mut found = kv.get_with(read).await.expect("a version").kvs;
            let Some(version) = found.pop() else { break };
            versions.push(Version {
                revision: version.mod_revision,
                key: key.to_owned(),
                value: Some(text(&version.value)),
            });
            if version.mod_revision == 1 || version.version == 1 {
                break;
            }
            revision = version.mod_revision - 1;
        }
    }
    versions.sort();
    versions
}
