//! Calls on one stream, over gRPC and on links, as pipeline.proto promises them.

use std::{collections::HashMap, time::Duration};

use futures::{Stream, StreamExt, stream::BoxStream};
use ringfence_link::{Frames, Kind, Port};
use ringfence_proto::v1::{pipelined_answer::Answer, pipelined_call::Call, *};
use ringfence_tests::{
    World,
    raw::{Raw, acquire, bytes, campaign, delete, get, put, refusal, release, then_put, try_acquire},
    wait::{PATIENCE, until, within},
};
use tokio::sync::mpsc;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

/// What a server takes of one message, and of one stream at a time.
const CALLS_PER_MESSAGE_MAX: u64 = 1024;
const CALLS_MAX: u64 = 2048;

/// What carries a stream.
#[derive(Clone, Copy, Debug)]
enum Way {
    Grpc,
    Link,
}

/// Makes each a test of either way.
macro_rules! on_either_way {
    ($($test:ident),* $(,)?) => {
        mod over_grpc {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(super::Way::Grpc).await;
            })*
        }

        mod on_links {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(super::Way::Link).await;
            })*
        }
    };
}

on_either_way! {
    calls_of_one_message_are_all_answered_as_calls_by_themselves,
    a_refusal_is_that_of_the_call_by_itself,
    what_makes_no_sense_ends_the_stream,
    a_wait_that_is_given_up_is_withdrawn,
    a_call_ends_when_its_time_is_over,
    more_calls_than_a_stream_may_have_are_refused_and_may_be_given_up,
    a_large_answer_is_left_to_a_call_by_itself,
    a_server_that_stops_says_so_and_refuses_what_comes_later,
}

/// A stream of calls.
struct Calls {
    requests: mpsc::Sender<PipelineRequest>,
    responses: BoxStream<'static, Result<PipelineResponse, Status>>,
    /// Those that came while another was waited for.
    answers: HashMap<u64, Answer>,
    closing: bool,
}

impl Calls {
    async fn open(way: Way, world: &World) -> Self {
        let (requests, receiver) = mpsc::channel(16);
        let receiver = tokio_stream::wrappers::ReceiverStream::new(receiver);
        let responses = match way {
            Way::Grpc => {
                let mut node = world.raw(1);
                within("the stream", node.pipeline.open(receiver)).await.unwrap().into_inner().boxed()
            }
            Way::Link => {
                let address = world.node(1).client_address().to_string();
                let port =
                    Port { address, tls: None, connect_timeout: PATIENCE, answer_timeout: PATIENCE, silence_max: None };
                let wire = ringfence_link::dial(&port, Kind::Calls).await.unwrap().expect("the server has links");
                driven(ringfence_link::carry(wire, Frames::new(usize::MAX), receiver))
            }
        };
        Self { requests, responses, answers: HashMap::new(), closing: false }
    }

    /// Sends calls in one message.
    async fn send(&self, calls: impl IntoIterator<Item = PipelinedCall>) {
        self.requests.send(PipelineRequest { calls: calls.into_iter().collect() }).await.unwrap();
    }

    /// Takes the next message.
    async fn next(&mut self) -> Result<Option<()>, Status> {
        let Some(response) = within("an answer", self.responses.next()).await.transpose()? else { return Ok(None) };
        self.closing |= response.closing;
        for PipelinedAnswer { id, answer } in response.answers {
            assert!(self.answers.insert(id, answer.unwrap()).is_none(), "{id} is answered twice");
        }
        Ok(Some(()))
    }

    /// The answer to one call.
    async fn answer(&mut self, id: u64) -> Answer {
        loop {
            if let Some(answer) = self.answers.remove(&id) {
                return answer;
            }
            self.next().await.unwrap().expect("an answer before the end");
        }
    }

    /// Makes one call.
    async fn ask(&mut self, id: u64, one: Call) -> Answer {
        self.send([call(id, one)]).await;
        self.answer(id).await
    }

    /// What it ends with.
    async fn end(&mut self) -> Status {
        loop {
            match self.next().await {
                Ok(Some(())) => {}
                Ok(None) => panic!("it ended without a status"),
                Err(status) => return status,
            }
        }
    }
}

/// What comes on a link, on which something is sent only while somebody waits for what comes.
fn driven(
    mut link: impl Stream<Item = Result<PipelineResponse, Status>> + Send + Unpin + 'static,
) -> BoxStream<'static, Result<PipelineResponse, Status>> {
    let (come, responses) = mpsc::channel(16);
    tokio::spawn(async move {
        loop {
            let response = tokio::select! {
                () = come.closed() => return,
                response = link.next() => response,
            };
            match response {
                Some(response) => drop(come.send(response.and_then(ended)).await),
                None => return,
            }
        }
    });
    tokio_stream::wrappers::ReceiverStream::new(responses).boxed()
}

/// The message, unless it says that it is the last.
fn ended(response: PipelineResponse) -> Result<PipelineResponse, Status> {
    match response.end {
        Some(end) => Err(from_message(end)),
        None => Ok(response),
    }
}

fn from_message(PipelinedStatus { code, message, details }: PipelinedStatus) -> Status {
    Status::with_details(Code::from(i32::try_from(code).unwrap()), message, details)
}

fn call(id: u64, call: Call) -> PipelinedCall {
    PipelinedCall { id, timeout_ms: 0, call: Some(call) }
}

fn cancel(id: u64) -> PipelinedCall {
    call(id, Call::Cancel(PipelineCancel {}))
}

/// The wait for `l` with this suffix, as a call with this id.
fn wait(id: u64, session_id: u64) -> PipelinedCall {
    call(id, Call::Acquire(LockAcquireRequest { suffix: bytes(&id.to_string()), ..acquire("l", session_id) }))
}

fn status(answer: Answer) -> Status {
    let Answer::Status(status) = answer else { panic!("{answer:?}") };
    from_message(status)
}

/// Waits until so many claims wait for `l`.
async fn queued(node: &mut Raw, length: u64) {
    until("the queue's length", async || match node.queue("l").await.unwrap().waiting {
        waiting if waiting == length => Ok(()),
        waiting => Err(waiting),
    })
    .await;
}

/// A node, a session that holds `l`, and one that can wait for it.
async fn held() -> (World, Raw, Claim, u64) {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    let (ann, bob) = (node.open(600_000).await.unwrap(), node.open(600_000).await.unwrap());
    let claim = node.try_lock("l", ann).await.unwrap();
    (world, node, claim, bob)
}

async fn calls_of_one_message_are_all_answered_as_calls_by_themselves(way: Way) {
    let (world, mut node, held, bob) = held().await;
    world.level().await;
    let mut calls = Calls::open(way, &world).await;
    calls.send((1..=500).map(|id| call(id, Call::Put(put(&format!("k/{id}"), &id.to_string()))))).await;
    for id in (1..=500).rev() {
        let Answer::Put(answer) = calls.answer(id).await else { panic!("call {id}") };
        assert_eq!(answer.key, bytes(&format!("k/{id}")));
        let range = node.kv.range(get(&format!("k/{id}"))).await.unwrap().into_inner();
        assert_eq!(range.kvs[0].value, bytes(&id.to_string()));
        assert_eq!(range.kvs[0].mod_revision, answer.header.unwrap().revision);
    }
    // Reads, while nobody writes.
    let prefix = RangeRequest { prefix: true, ..get("k/1") };
    let validate = LockValidateRequest { name: bytes("l"), token: held.token, ..Default::default() };
    calls.send([call(1, Call::Range(prefix.clone())), call(2, Call::Validate(validate.clone()))]).await;
    assert_eq!(calls.answer(1).await, Answer::Range(node.kv.range(prefix).await.unwrap().into_inner()));
    assert_eq!(calls.answer(2).await, Answer::Validate(node.lock.validate(validate).await.unwrap().into_inner()));
    // Writes, each of another kind.
    let txn = TxnRequest { then: vec![then_put(put("t", "1"))], ..Default::default() };
    let Answer::Txn(done) = calls.ask(3, Call::Txn(txn)).await else { panic!("txn") };
    assert!(done.succeeded && done.responses.len() == 1);
    let Answer::Delete(done) = calls.ask(4, Call::Delete(delete("t"))).await else { panic!("delete") };
    assert_eq!((done.deleted, node.get("t").await.unwrap()), (1, None));
    let Answer::Acquire(taken) = calls.ask(5, Call::TryAcquire(try_acquire("m", bob))).await else { panic!("try") };
    let token = taken.claim.unwrap().token;
    assert!(node.owns("m", token).await.unwrap());
    let Answer::Release(_) = calls.ask(6, Call::Release(release("m", bob, token))).await else { panic!("release") };
    assert!(!node.owns("m", token).await.unwrap());
    let Answer::Campaign(won) = calls.ask(7, Call::Campaign(campaign("e", bob))).await else { panic!("campaign") };
    assert!(won.claim.unwrap().owner);
    // One that waits is answered when it is granted, after others that came later.
    calls.send([wait(8, bob), call(9, Call::Put(put("k", "v")))]).await;
    assert!(matches!(calls.answer(9).await, Answer::Put(_)));
    queued(&mut node, 1).await;
    node.lock.release(release("l", held.session_id, held.token)).await.unwrap();
    let Answer::Acquire(granted) = calls.answer(8).await else { panic!("acquire") };
    assert_eq!(granted.claim.unwrap().session_id, bob);
    // Who ends its side still gets what is owed, and then the end. On a link the end of a side is that of the link.
    if let Way::Link = way {
        return;
    }
    calls.send([call(10, Call::Put(put("k", "w")))]).await;
    let Calls { requests, .. } = &mut calls;
    *requests = mpsc::channel(1).0;
    assert!(matches!(calls.answer(10).await, Answer::Put(_)));
    assert_eq!(calls.next().await.unwrap(), None);
}

async fn a_refusal_is_that_of_the_call_by_itself(way: Way) {
    let (world, mut node, held, bob) = held().await;
    let mut calls = Calls::open(way, &world).await;
    let no_session = PutRequest { session_id: 77, ..put("k", "v") };
    let alone = [
        node.kv.put(put("", "v")).await.unwrap_err(),
        node.kv.put(no_session.clone()).await.unwrap_err(),
        node.kv.delete(delete("")).await.unwrap_err(),
        node.lock.try_acquire(try_acquire("l", bob)).await.unwrap_err(),
        node.lock.release(release("l", bob, held.token)).await.unwrap_err(),
        node.election.campaign(campaign("/", bob)).await.unwrap_err(),
    ];
    let on_the_stream = [
        Call::Put(put("", "v")),
        Call::Put(no_session),
        Call::Delete(delete("")),
        Call::TryAcquire(try_acquire("l", bob)),
        Call::Release(release("l", bob, held.token)),
        Call::Campaign(campaign("/", bob)),
    ];
    calls.send((0..).zip(on_the_stream).map(|(id, one)| call(id, one))).await;
    for (id, alone) in (0..).zip(alone) {
        let told = status(calls.answer(id).await);
        assert_eq!((told.code(), told.message()), (alone.code(), alone.message()));
        // Metadata has no order.
        let info =
            |status: &Status| status.get_details_error_info().map(|info| (info.domain, info.reason, info.metadata));
        assert!(info(&told).is_some() && info(&told) == info(&alone), "{told:?} instead of {alone:?}");
    }
}

async fn what_makes_no_sense_ends_the_stream(way: Way) {
    let (world, mut node, _, bob) = held().await;
    let unknown = vec![PipelinedCall { id: 7, ..Default::default() }];
    let in_use = vec![wait(7, bob), call(7, Call::Put(put("k", "v")))];
    let too_many = (0..=CALLS_PER_MESSAGE_MAX).map(cancel).collect();
    let too_large = vec![call(7, Call::Put(put("k", &"v".repeat(256 << 10))))];
    for (what, message, code) in [
        ("unknown", unknown, Code::InvalidArgument),
        ("in use", in_use, Code::InvalidArgument),
        ("too many", too_many, Code::InvalidArgument),
        ("too large", too_large, Code::OutOfRange),
    ] {
        let mut calls = Calls::open(way, &world).await;
        calls.send(message).await;
        let status = calls.end().await;
        assert_eq!(status.code(), code, "{what}: {status:?}");
    }
    // What had begun there has ended with it, and the connection hasn't.
    queued(&mut node, 0).await;
    let mut calls = Calls::open(way, &world).await;
    calls.send((1..=CALLS_PER_MESSAGE_MAX).map(cancel)).await;
    assert!(matches!(calls.ask(7, Call::Put(put("k", "v"))).await, Answer::Put(_)), "a message may be full");
    assert!(matches!(calls.ask(7, Call::Range(get("k"))).await, Answer::Range(_)), "an id may be used again");
}

async fn a_wait_that_is_given_up_is_withdrawn(way: Way) {
    let (world, mut node, _, bob) = held().await;
    let calls = Calls::open(way, &world).await;
    calls.send([wait(1, bob), wait(2, bob), wait(3, bob)]).await;
    queued(&mut node, 3).await;
    calls.send([cancel(2), cancel(77)]).await;
    queued(&mut node, 2).await;
    let left: Vec<_> = node.queue("l").await.unwrap().waiters.into_iter().map(|claim| claim.suffix).collect();
    assert!(!left.contains(&bytes("2")), "{left:?}");
    // With the stream all go.
    drop(calls);
    queued(&mut node, 0).await;
}

async fn a_call_ends_when_its_time_is_over(way: Way) {
    let (world, mut node, _, bob) = held().await;
    let mut calls = Calls::open(way, &world).await;
    calls.send([PipelinedCall { timeout_ms: 50, ..wait(1, bob) }]).await;
    let told = status(calls.answer(1).await);
    let mut alone = Request::new(acquire("l", bob));
    alone.set_timeout(Duration::from_millis(50));
    let alone = node.lock.acquire(alone).await.unwrap_err();
    assert_eq!((told.code(), told.message()), (alone.code(), alone.message()));
    queued(&mut node, 0).await;
    // Whoever is in time isn't told.
    calls.send([PipelinedCall { timeout_ms: 600_000, ..call(2, Call::Range(get("k"))) }]).await;
    assert!(matches!(calls.answer(2).await, Answer::Range(_)));
}

async fn more_calls_than_a_stream_may_have_are_refused_and_may_be_given_up(way: Way) {
    let (world, mut node, _, bob) = held().await;
    let mut calls = Calls::open(way, &world).await;
    for half in [1..=CALLS_MAX / 2, CALLS_MAX / 2 + 1..=CALLS_MAX] {
        calls.send(half.map(|id| wait(id, bob))).await;
    }
    queued(&mut node, CALLS_MAX).await;
    let told = status(calls.ask(CALLS_MAX + 1, Call::Put(put("k", "v"))).await);
    assert_eq!(refusal(Err::<(), _>(told)), (Code::ResourceExhausted, "OVERLOADED".into()));
    // What is given up makes room at once.
    calls.send([cancel(7), call(CALLS_MAX + 2, Call::Put(put("k", "v")))]).await;
    let answer = calls.answer(CALLS_MAX + 2).await;
    assert!(matches!(answer, Answer::Put(_)), "{answer:?}");
    queued(&mut node, CALLS_MAX - 1).await;
    assert!(calls.answers.is_empty(), "{:?}", calls.answers);
}

async fn a_large_answer_is_left_to_a_call_by_itself(way: Way) {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    node.put("large", &"v".repeat(64 << 10)).await.unwrap();
    node.put("small", &"v".repeat(60 << 10)).await.unwrap();
    let mut calls = Calls::open(way, &world).await;
    assert_eq!(calls.ask(1, Call::Range(get("large"))).await, Answer::Alone(PipelineAlone {}));
    let small = calls.ask(2, Call::Range(get("small"))).await;
    assert!(matches!(small, Answer::Range(_)));
    // Many small ones are more than a message, and all come.
    calls.send((3..100).map(|id| call(id, Call::Range(get("small"))))).await;
    for id in 3..100 {
        let Answer::Range(range) = calls.answer(id).await else { panic!("call {id}") };
        assert_eq!(range.kvs[0].value.len(), 60 << 10);
    }
}

async fn a_server_that_stops_says_so_and_refuses_what_comes_later(way: Way) {
    let (world, mut node, _, bob) = held().await;
    let mut calls = Calls::open(way, &world).await;
    calls.send([wait(1, bob)]).await;
    queued(&mut node, 1).await;
    let process = world.node(1).process().unwrap();
    assert!(process.signal(rustix::process::Signal::TERM).unwrap());
    while !calls.closing {
        calls.next().await.unwrap().expect("a word before the end");
    }
    calls.send([call(2, Call::Put(put("k", "v")))]).await;
    for id in [1, 2] {
        let told = status(calls.answer(id).await);
        assert_eq!(refusal(Err::<(), _>(told)), (Code::Unavailable, "STOPPING".into()), "call {id}");
    }
    drop(calls);
    world.node(1).ended(PATIENCE).await.unwrap();
    assert_eq!(world.node(1).exit_code(), Some(0), "{}", world.node(1).log_tail(20));
}

#[tokio::test]
async fn a_question_on_a_link_is_answered_at_once() {
    let (world, mut node, _, bob) = held().await;
    let mut calls = Calls::open(Way::Link, &world).await;
    calls.send([wait(1, bob)]).await;
    queued(&mut node, 1).await;
    for _ in 0..3 {
        calls.send([]).await;
        assert_eq!(calls.next().await.unwrap(), Some(()));
    }
    assert!(calls.answers.is_empty());
}
