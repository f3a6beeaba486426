//! The proposer on a consensus that the test plays.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use ringfence_core::{
    Claim, Command, Entry, Mode, Op, Put, Refusal, Reply, Request, RequestId, SessionId, Txn,
    query::{Session, Stats},
};
use tokio::{
    sync::oneshot,
    task::{JoinHandle, yield_now},
};

use super::{
    Replies, WriteError,
    fake::{CUT_OFF, ME, NOBODY, OTHER, World, world},
    lanes::{self, Kind, Lanes},
    queue,
};
use crate::{
    raft::{ForwardError, Leadership, ProposeError},
    reader::ReadError,
};

fn put(key: &str) -> Request {
    let put = Put {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Bytes::from_static(b"value"),
        session: None,
        sequential: false,
        prev: false,
    };
    Command::Txn(Txn { then: vec![Op::Put(put)], ..Txn::default() }).into()
}

fn open(id: u64) -> Request {
    Command::OpenSession { id: SessionId(id), ttl_ms: 10_000, owner: String::new() }.into()
}

/// The revision that a put made.
fn revision(reply: &Result<Reply, Refusal>) -> u64 {
    match reply {
        Ok(Reply::Txn(reply)) => reply.revision,
        other => panic!("not the reply to a put: {other:?}"),
    }
}

async fn settle() {
    for _ in 0..100 {
        yield_now().await;
    }
}

#[tokio::test]
async fn each_caller_gets_its_own_replies() {
    let world = world(ME, 1 << 20);
    let asked = (0..100u64).map(|i| {
        let proposer = world.proposer.clone();
        async move {
            let requests = (0..=i % 3).map(|j| put(&format!("{i}/{j}"))).collect();
            let replies = proposer.propose(requests).await.unwrap();
            (i, replies)
        }
    });
    let mut revisions = Vec::new();
    for (i, replies) in join_all(asked).await {
        assert_eq!(replies.len() as u64, i % 3 + 1);
        revisions.extend(replies.iter().map(revision));
    }
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=revisions.len() as u64).collect::<Vec<_>>());
}

#[tokio::test]
async fn writes_that_come_while_entries_are_on_the_way_leave_together() {
    let world = world(ME, 0);
    let asked = (0..100).map(|i| {
        let proposer = world.proposer.clone();
        tokio::spawn(async move { proposer.propose_one(put(&format!("{i}"))).await })
    });
    let asked: Vec<_> = asked.collect();
    settle().await;
    world.fake.gate.add_permits(1 << 20);
    for asked in asked {
        asked.await.unwrap().unwrap().unwrap();
    }
    let batches = world.fake.batches();
    assert_eq!(batches.iter().sum::<usize>(), 100);
    assert!(batches.len() <= 2, "{batches:?}");
}

#[tokio::test(start_paused = true)]
async fn clients_that_write_again_at_once_leave_together_and_one_alone_leaves_at_once() {
    let world = world(ME, 0);
    let client = |client: u64, writes: u64| {
        let proposer = world.proposer.clone();
        tokio::spawn(async move {
            for write in 0..writes {
                proposer.propose_one(put(&format!("{client}/{write}"))).await.unwrap().unwrap();
            }
        })
    };
    let entry = async || {
        tokio::time::sleep(Duration::from_millis(5)).await;
        world.fake.gate.add_permits(1);
    };
    let mut clients = vec![client(0, 20)];
    settle().await;
    clients.extend((1..8).map(|number| client(number, 20)));
    for _ in 0..=20 {
        entry().await;
    }
    settle().await;
    // The first of all had nobody to wait for, and is through before the others.
    assert_eq!(world.fake.batches(), [&[1][..], &[8; 19], &[7]].concat());
    join_all(clients).await;
    let alone = client(8, 3);
    for _ in 0..3 {
        entry().await;
        settle().await;
    }
    assert_eq!(world.fake.batches()[21..], [1; 3]);
    alone.await.unwrap();
}

#[tokio::test]
async fn an_entry_is_bounded_in_requests_and_in_bytes() {
    let lanes = Lanes::default();
    let queue = &lanes.of(Kind::Data).queue;
    let waiting = queue::ENTRY_REQUESTS_MAX + 100;
    for i in 0..waiting {
        let (answer, _) = tokio::sync::oneshot::channel();
        let group = queue::Group::new(vec![put(&format!("{i}"))], false, super::PATIENCE, answer);
        assert!(queue.push(group).is_ok());
    }
    assert_eq!(queue.gather().len(), queue::ENTRY_REQUESTS_MAX);
    let rest = queue.gather();
    assert_eq!(rest.len(), waiting - queue::ENTRY_REQUESTS_MAX);
    queue.put_back(rest);
    assert_eq!(queue.take_where(|_| true).len(), waiting - queue::ENTRY_REQUESTS_MAX);
    assert!(queue.is_empty());
}

#[tokio::test]
async fn what_was_surely_not_done_is_done_later() {
    let world = world(ME, 1 << 20);
    world.fake.failures.lock().push_back((ProposeError::NotLeader { leader: None }, false));
    let reply = world.proposer.propose_one(put("a")).await.unwrap();
    assert_eq!(revision(&reply), 1);
    assert_eq!(world.fake.batches(), [1]);
}

#[tokio::test]
async fn what_may_have_been_done_is_not_done_again() {
    let world = world(ME, 1 << 20);
    world.fake.failures.lock().push_back((ProposeError::Unknown, true));
    assert_eq!(world.proposer.propose_one(put("a")).await, Err(WriteError::Unknown));
    settle().await;
    assert_eq!(world.fake.batches(), [1]);
}

#[tokio::test]
async fn what_may_be_done_twice_is_done_again() {
    let world = world(ME, 1 << 20);
    world.proposer.propose_one(open(7)).await.unwrap().unwrap();
    world.fake.failures.lock().push_back((ProposeError::Unknown, true));
    let id = Some(RequestId { session: SessionId(7), sequence: 1 });
    let reply = world.proposer.propose_one(Request { id, ..put("a") }).await.unwrap();
    assert_eq!(revision(&reply), 1, "the retry gets the first answer");
    assert_eq!(world.fake.replica.revision(), 1);
    assert_eq!(world.fake.batches(), [1, 1, 1]);
}

#[tokio::test]
async fn what_may_have_been_done_is_never_called_not_done() {
    // Its first attempt was done, nobody knows; then the server stops.
    let world = world(ME, 1 << 20);
    world.proposer.propose_one(open(7)).await.unwrap().unwrap();
    world.fake.failures.lock().push_back((ProposeError::Unknown, true));
    let id = Some(RequestId { session: SessionId(7), sequence: 1 });
    let proposer = world.proposer.clone();
    let waiting = tokio::spawn(async move { proposer.propose_one(Request { id, ..put("a") }).await });
    while world.fake.replica.revision() == 0 {
        yield_now().await;
    }
    world.fake.lead(NOBODY);
    world.stopping.stop();
    assert_eq!(waiting.await.unwrap(), Err(WriteError::Unknown));
    // Or it waited too long for a leader.
    for (maybe_done, told) in [(false, WriteError::NoLeader), (true, WriteError::Unknown)] {
        let (answer, receiver) = oneshot::channel();
        let group = queue::Group::new(vec![put("a")], false, Duration::ZERO, answer);
        queue::Group { maybe_done, ..group }.answer(Err(WriteError::NoLeader));
        assert_eq!(receiver.await.unwrap(), Err(told));
    }
}

#[tokio::test]
async fn a_refusal_for_a_session_that_went_meanwhile_says_nothing_of_the_first_attempt() {
    let world = world(ME, 1 << 20);
    world.proposer.propose_one(open(7)).await.unwrap().unwrap();
    let id = Some(RequestId { session: SessionId(7), sequence: 1 });
    let write = Request { id, ..put("a") };
    world.fake.failures.lock().push_back((ProposeError::Unknown, true));
    let proposer = world.proposer.clone();
    let waiting = tokio::spawn(async move { proposer.propose_one(write).await });
    while world.fake.replica.revision() == 0 {
        yield_now().await;
    }
    let close = Command::CloseSession { id: SessionId(7) };
    world.fake.apply(&Entry { requests: vec![close.into()], ..Entry::default() });
    assert_eq!(waiting.await.unwrap(), Err(WriteError::Unknown));
}

#[tokio::test]
async fn a_follower_forwards_and_a_leader_does_not() {
    let world = world(OTHER, 1 << 20);
    world.fake.forward_failures.lock().push_back(ForwardError::Unreachable(String::new()));
    let reply = world.proposer.propose_one(put("a")).await.unwrap();
    assert_eq!(revision(&reply), 1);
    assert_eq!(*world.fake.forwarded.lock(), [(2, 1), (2, 1)]);
    world.fake.forward_failures.lock().push_back(ForwardError::Unknown(String::new()));
    assert_eq!(world.proposer.propose_one(put("a")).await, Err(WriteError::Unknown));
    // What others forward goes no further.
    assert_eq!(world.proposer.propose_here(vec![put("a")]).await, Err(WriteError::NoLeader));
    world.fake.lead(ME);
    assert_eq!(revision(&world.proposer.propose_here(vec![put("a")]).await.unwrap()[0]), 2);
    assert_eq!(world.fake.forwarded.lock().len(), 3);
}

#[tokio::test]
async fn what_is_stuck_at_a_former_leader_holds_nobody_up() {
    let world = world(OTHER, 1 << 20);
    world.fake.mute.lock().push(2);
    let write = |key: &'static str| {
        let proposer = world.proposer.clone();
        tokio::spawn(async move { proposer.propose_one(put(key)).await })
    };
    let stuck = write("a");
    settle().await;
    let behind = write("b");
    settle().await;
    assert_eq!(*world.fake.forwarded.lock(), [(2, 1)], "it leaves when the one before it has arrived");
    world.fake.lead(Leadership { term: 2, leader: Some(3), ..NOBODY });
    assert_eq!(revision(&behind.await.unwrap().unwrap()), 1);
    assert!(!stuck.is_finished());
    // And the lane goes on as before.
    assert_eq!(revision(&world.proposer.propose_one(put("c")).await.unwrap()), 2);
    assert_eq!(*world.fake.forwarded.lock(), [(2, 1), (3, 1), (3, 1)]);
}

#[tokio::test]
async fn a_write_waits_for_a_leader_and_gives_up_without_one() {
    let world = world(NOBODY, 1 << 20);
    let patience = Duration::from_millis(1);
    let given_up = world.proposer.submit(vec![put("a")], false, patience).await;
    assert_eq!(given_up, Err(WriteError::NoLeader));
    let proposer = world.proposer.clone();
    let waiting = tokio::spawn(async move { proposer.propose_one(put("a")).await });
    settle().await;
    world.fake.lead(ME);
    assert_eq!(revision(&waiting.await.unwrap().unwrap()), 1);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_was_cut_off_keeps_nobody_waiting() {
    let world = world(ME, 1 << 20);
    world.fake.lead(CUT_OFF);
    let begun = tokio::time::Instant::now();
    assert_eq!(world.proposer.propose_one(put("a")).await, Err(WriteError::NoLeader));
    assert_eq!(world.reader.linearizable().await, Err(ReadError::NoLeader));
    assert_eq!(begun.elapsed(), Duration::ZERO);
    world.fake.lead(ME);
    assert_eq!(revision(&world.proposer.propose_one(put("a")).await.unwrap()), 1);
}

/// Writes keys until no more is taken, and gives what waits.
async fn flood(world: &World) -> Vec<JoinHandle<Result<Replies, WriteError>>> {
    let mut waiting = Vec::new();
    loop {
        let proposer = world.proposer.clone();
        let group = vec![put("a"); queue::ENTRY_REQUESTS_MAX];
        let asked = tokio::spawn(async move { proposer.propose(group).await });
        settle().await;
        if asked.is_finished() {
            let refused = asked.await.unwrap();
            assert!(matches!(refused, Err(WriteError::Overloaded { .. })), "{refused:?}");
            return waiting;
        }
        waiting.push(asked);
    }
}

#[tokio::test]
async fn too_much_waiting_is_refused_at_once_and_a_stop_answers_all() {
    let world = world(NOBODY, 0);
    let waiting = flood(&world).await;
    assert_eq!(waiting.len() * queue::ENTRY_REQUESTS_MAX, Kind::Data.budget().requests);
    world.stopping.stop();
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), Err(WriteError::Stopping));
    }
    assert_eq!(world.proposer.propose_one(put("a")).await, Err(WriteError::Stopping));
}

#[tokio::test]
async fn a_flood_of_writes_holds_up_neither_leases_nor_locks() {
    let world = world(ME, 1 << 20);
    world.proposer.propose_one(open(7)).await.unwrap().unwrap();
    world.fake.gate.forget_permits(1 << 20);
    let flooded = flood(&world).await;
    let claim = Claim {
        name: Bytes::from_static(b"lock"),
        session: SessionId(7),
        suffix: Bytes::new(),
        mode: Mode::Exclusive,
        value: Bytes::new(),
        attempt: 1,
        only_if_free: false,
    };
    let asked = [Command::RenewSessions { ids: vec![SessionId(7)] }, Command::Claim(claim)].map(|command| {
        let proposer = world.proposer.clone();
        tokio::spawn(async move { proposer.propose_one(command.into()).await })
    });
    settle().await;
    // Before them at the gate are only those entries of keys that were on the way already.
    world.fake.gate.add_permits(lanes::RUNNERS_MAX + asked.len());
    for asked in asked {
        assert!(asked.await.unwrap().unwrap().is_ok());
    }
    assert_eq!(flooded.iter().filter(|flooded| !flooded.is_finished()).count(), flooded.len() - lanes::RUNNERS_MAX);
}

#[test]
fn requests_that_go_together_wait_in_the_lane_of_the_most_patient() {
    let renewal = Request::from(Command::RenewSessions { ids: vec![SessionId(1)] });
    let close = Request::from(Command::CloseSession { id: SessionId(1) });
    assert_eq!(Kind::of(&[renewal.clone(), close]), Kind::Lease);
    assert_eq!(Kind::of(&[renewal, put("a")]), Kind::Data);
}

#[tokio::test]
async fn renewals_that_come_together_are_one_request() {
    let world = world(ME, 1 << 20);
    for id in [3, 5] {
        world.proposer.propose_one(open(id)).await.unwrap().unwrap();
    }
    let renewed = join_all([
        world.proposer.renew(vec![SessionId(5), SessionId(4)]),
        world.proposer.renew(vec![SessionId(3), SessionId(5), SessionId(5)]),
    ])
    .await;
    let alive = Some(10_000);
    assert_eq!(renewed, [Ok(vec![alive, None]), Ok(vec![alive, alive, alive])]);
    let entries = world.fake.entries.lock();
    let last = &entries.iter().rfind(|entry| !entry.requests.is_empty()).unwrap().requests;
    let ids = vec![SessionId(3), SessionId(4), SessionId(5)];
    assert_eq!(*last, [Request::from(Command::RenewSessions { ids })]);
}

#[tokio::test]
async fn time_passes_in_the_state_while_nothing_is_written() {
    let world = world(ME, 1 << 20);
    let session = Command::OpenSession { id: SessionId(9), ttl_ms: 500, owner: String::new() };
    world.proposer.propose_one(session.into()).await.unwrap().unwrap();
    let opened = world.fake.replica.read(&Stats).unwrap().clock_ms;
    let mut index = world.fake.replica.applied();
    while world.fake.replica.read(&Session(SessionId(9))).is_ok() {
        index += 1;
        world.fake.replica.wait_applied(index).await;
    }
    assert!(world.fake.replica.read(&Stats).unwrap().clock_ms >= opened + 500, "it never expires before its time");
}

#[tokio::test]
async fn a_new_leader_goes_on_from_the_clock_in_the_log() {
    let world = world(NOBODY, 1 << 20);
    world.fake.apply(&Entry { clock_ms: 123_456, ..Entry::default() });
    world.fake.lead(ME);
    world.proposer.propose_one(put("a")).await.unwrap().unwrap();
    let stamp = world.fake.entries.lock().last().unwrap().clock_ms;
    assert!(stamp >= 123_456, "{stamp}");
}

#[tokio::test]
async fn reads_that_come_together_share_a_round() {
    let world = world(ME, 1 << 20);
    world.proposer.propose_one(put("a")).await.unwrap().unwrap();
    let before = *world.fake.read_rounds.lock();
    let reads = join_all((0..100).map(|_| world.reader.linearizable())).await;
    assert!(reads.iter().all(Result::is_ok));
    let rounds = *world.fake.read_rounds.lock() - before;
    assert!(rounds <= 10, "{rounds} rounds for a hundred reads");
}

#[tokio::test]
async fn a_read_here_is_refused_where_another_leads_and_ends_with_the_server() {
    let world = world(OTHER, 1 << 20);
    assert_eq!(world.reader.index_here().await, Err(ReadError::NoLeader));
    assert_eq!(world.reader.linearizable().await, Ok(()));
    let reader = world.reader.clone();
    let waiting = tokio::spawn(async move { reader.at_least(1000).await });
    settle().await;
    world.stopping.stop();
    assert_eq!(waiting.await.unwrap(), Err(ReadError::Stopping));
}
