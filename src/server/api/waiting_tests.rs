//! Waits that end in each of their ways, on a consensus that the test plays.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use ringfence_core::{
    Claim, ClaimView, Command, Mode, Reply, SessionId, Which,
    query::{Queue, QueueAnswer},
};
use tokio::time::{sleep, timeout};
use tonic::Status;
use tonic_types::StatusExt;

use super::{headers::Headers, parts::Parts, waiting::acquire};
use crate::{
    proposer::fake::{Fake, ME, OTHER, World, world},
    raft::{ForwardError, Leadership, ProposeError},
    watch::Hub,
};

/// Far beyond what anything here takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// More proposals than any test makes.
const PLENTY: usize = 1 << 20;
const NAME: &str = "lock";

/// Session 1 owns the lock, session 2 lives.
struct Held {
    world: World,
    parts: Parts,
}

impl Held {
    async fn new() -> Self {
        let world = world(ME, PLENTY);
        let (fake, stopping) = (world.fake.clone(), world.stopping.clone());
        let replica = fake.replica.clone();
        let hub = Hub::new(replica.clone());
        let headers = Headers::new(1, 1, fake, replica.clone());
        let parts = Parts::new(world.proposer.clone(), world.reader.clone(), replica, hub, headers, stopping);
        let held = Self { world, parts };
        for id in [1, 2] {
            // Longer than any test takes.
            held.done(Command::OpenSession { id: SessionId(id), ttl_ms: 3_600_000, owner: String::new() }).await;
        }
        held.done(Command::Claim(claim(1, 1))).await;
        held
    }

    fn fake(&self) -> &Arc<Fake> {
        &self.world.fake
    }

    async fn done(&self, command: Command) -> Reply {
        self.world.proposer.propose_one(command.into()).await.unwrap().unwrap()
    }

    fn queue(&self) -> QueueAnswer {
        self.parts.replica.read(&Queue { name: Bytes::from(NAME), limit: 10 }).unwrap()
    }

    fn waiting(&self) -> u64 {
        self.queue().waiting
    }

    /// Commands in the log that are so.
    fn count(&self, so: impl Fn(&Command) -> bool) -> usize {
        let entries = self.fake().entries.lock();
        entries.iter().flat_map(|entry| &entry.requests).filter(|request| so(&request.command)).count()
    }

    fn claims(&self) -> usize {
        self.count(|command| matches!(command, Command::Claim(_)))
    }

    fn withdrawals(&self) -> usize {
        self.count(|command| matches!(command, Command::Release { which: Which::Attempt { .. }, .. }))
    }

    /// Session 2 asks for the lock in a task of its own.
    fn ask(&self, attempt: u64) -> tokio::task::JoinHandle<Result<ClaimView, Status>> {
        let parts = self.parts.clone();
        tokio::spawn(async move { acquire(&parts, claim(2, attempt), None).await })
    }
}

fn claim(session: u64, attempt: u64) -> Claim {
    Claim {
        name: Bytes::from(NAME),
        session: SessionId(session),
        suffix: Bytes::new(),
        mode: Mode::Exclusive,
        value: Bytes::new(),
        attempt,
        only_if_free: false,
    }
}

/// Lets everything that can go on do so.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let wait = async {
        while !so() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(timeout(PATIENCE, wait).await.is_ok(), "never: {what}");
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().expect("a reason").reason
}

#[tokio::test]
async fn a_wait_over_its_time_withdraws_its_claim() {
    let held = Held::new().await;
    let ended = acquire(&held.parts, claim(2, 1), Some(Duration::from_millis(1))).await;
    assert_eq!(reason(&ended.unwrap_err()), "WAIT_TIMEOUT");
    until("the claim is withdrawn", || held.withdrawals() == 1 && held.waiting() == 0).await;
    assert_eq!(held.claims(), 2);
}

#[tokio::test]
async fn a_cancelled_wait_withdraws_its_claim() {
    let held = Held::new().await;
    let asking = held.ask(1);
    until("the claim waits", || held.waiting() == 1).await;
    asking.abort();
    until("the claim is withdrawn", || held.waiting() == 0).await;
    let Reply::Released(owner) = held.done(Command::ForceRelease { name: NAME.into(), token: 1 }).await else {
        panic!("not released")
    };
    assert_eq!(owner.session, SessionId(1), "the owner was left alone");
    assert!(held.queue().owners.is_empty(), "nobody was granted what nobody waits for");
}

#[tokio::test]
async fn a_claim_that_is_on_its_way_is_withdrawn_after_it_came() {
    let held = Held::new().await;
    // Nothing passes any more.
    held.fake().gate.acquire_many(held.fake().gate.available_permits() as u32).await.unwrap().forget();
    let mut asking = Box::pin(acquire(&held.parts, claim(2, 1), None));
    assert!(futures::poll!(&mut asking).is_pending());
    drop(asking);
    settle().await;
    assert_eq!((held.claims(), held.withdrawals()), (1, 0));
    held.fake().gate.add_permits(PLENTY);
    until("the claim came and went", || held.withdrawals() == 1 && held.waiting() == 0).await;
    assert_eq!(held.claims(), 2);
}

#[tokio::test]
async fn an_earlier_attempt_does_not_withdraw_a_later_one() {
    let held = Held::new().await;
    let first = held.ask(1);
    until("the first attempt waits", || held.waiting() == 1).await;
    // The client asks again, as over another connection, before this member notices that the first one is gone.
    let second = held.ask(2);
    until("the second attempt waits", || held.claims() == 3).await;
    first.abort();
    until("the first attempt is withdrawn", || held.withdrawals() == 1).await;
    assert_eq!(held.waiting(), 1, "the claim is the second attempt's now");
    held.done(Command::Release { name: NAME.into(), session: SessionId(1), which: Which::Suffix(Bytes::new()) }).await;
    let granted = timeout(PATIENCE, second).await.expect("never granted").unwrap().unwrap();
    assert!(granted.owner && granted.session == SessionId(2));
    assert_eq!(held.queue().owners.len(), 1);
}

#[tokio::test]
async fn a_withdrawal_outlives_its_leader() {
    let held = Held::new().await;
    let asking = held.ask(1);
    until("the claim waits", || held.waiting() == 1).await;
    // This leader gets nothing done any more, and its successor loses the first answer.
    let lost = (ProposeError::Unknown, false);
    held.fake().failures.lock().extend(std::iter::repeat_n(lost, 1000));
    held.fake().forward_failures.lock().push_back(ForwardError::Unknown(String::new()));
    asking.abort();
    until("the withdrawal was tried", || held.fake().failures.lock().len() < 1000).await;
    assert_eq!(held.waiting(), 1);
    held.fake().lead(Leadership { term: 2, ..OTHER });
    until("the claim is withdrawn", || held.waiting() == 0).await;
    let forwarded = held.fake().forwarded.lock().clone();
    assert_eq!(forwarded.first(), Some(&(2, 1)));
    assert!(forwarded.len() >= 2, "{forwarded:?}");
}

#[tokio::test]
async fn a_claim_that_is_refused_is_not_withdrawn() {
    let held = Held::new().await;
    let refused = acquire(&held.parts, claim(9, 1), None).await;
    assert_eq!(reason(&refused.unwrap_err()), "SESSION_UNKNOWN");
    let free = Claim { only_if_free: true, ..claim(2, 1) };
    assert_eq!(reason(&acquire(&held.parts, free, None).await.unwrap_err()), "LOCK_HELD");
    settle().await;
    assert_eq!(held.withdrawals(), 0);
}

#[tokio::test]
async fn a_claim_keeps_its_place_where_the_server_stops() {
    let held = Held::new().await;
    let asking = held.ask(1);
    until("the claim waits", || held.waiting() == 1).await;
    held.world.stopping.stop();
    let ended = timeout(PATIENCE, asking).await.expect("it never ends").unwrap();
    assert_eq!(reason(&ended.unwrap_err()), "STOPPING");
    settle().await;
    assert_eq!((held.waiting(), held.withdrawals()), (1, 0));
}
