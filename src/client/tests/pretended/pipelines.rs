//! Calls on one stream for each member: what leaves together, what a broken stream means, and when a call is made by itself.

use std::sync::Arc;

use crate::fake::{Node, Opened, World, client, cluster, header};
use bytes::Bytes;
use ringfence_client::{Client, Error, PutResult};
use ringfence_proto::v1::{
    KeyValue, PipelineAlone, PipelineCancel, PipelineResponse, PipelinedAnswer, PipelinedCall, PutRequest, PutResponse,
    RangeRequest, RangeResponse, pipelined_answer::Answer, pipelined_call::Call,
};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;
use tonic::{Code, Status};

/// One member, whose pipelines are the test's, so that every call comes there.
struct Alone {
    world: Arc<World>,
    node: Node,
    opened: UnboundedReceiver<Opened>,
    client: Client,
}

impl Alone {
    async fn new() -> Self {
        let world = Arc::new(World::default());
        let nodes = [Node::start(1, &world)];
        world.lead(1);
        let opened = nodes[0].pipelines();
        let client = client(&nodes).await;
        let [node] = nodes;
        Self { world, node, opened, client }
    }

    async fn stream(&mut self) -> Opened {
        self.opened.recv().await.unwrap()
    }

    fn put(&self, key: &'static str) -> JoinHandle<Result<PutResult, Error>> {
        let kv = self.client.kv();
        tokio::spawn(async move { kv.put(key, "").await })
    }

    fn get(&self, key: &'static str) -> JoinHandle<Result<Option<ringfence_client::KeyValue>, Error>> {
        let kv = self.client.kv();
        tokio::spawn(async move { kv.get(key).await })
    }

    /// Answers puts and gets, as the services by themselves do; gives the keys that were asked for.
    fn answer(&self, stream: &Opened, calls: Vec<PipelinedCall>) -> Vec<Bytes> {
        let (mut answers, mut keys) = (Vec::new(), Vec::new());
        for PipelinedCall { id, call, .. } in calls {
            let header = header(&self.world, 1);
            let (key, answer) = match call.unwrap() {
                Call::Put(PutRequest { key, .. }) => {
                    (key.clone(), Answer::Put(PutResponse { header, key, prev_kv: None }))
                }
                Call::Range(RangeRequest { key, .. }) => {
                    let kvs = vec![KeyValue { key: key.clone(), ..Default::default() }];
                    (key, Answer::Range(RangeResponse { header, kvs, ..Default::default() }))
                }
                Call::Cancel(_) => continue,
                other => panic!("{other:?}"),
            };
            keys.push(key);
            answers.push(PipelinedAnswer { id, answer: Some(answer) });
        }
        stream.say(PipelineResponse { answers, ..Default::default() });
        keys
    }

    /// Answers what comes until this is done; gives the keys that were asked for.
    async fn serve<T>(&self, stream: &mut Opened, mut until: JoinHandle<T>) -> (T, Vec<Bytes>) {
        let mut keys = Vec::new();
        loop {
            tokio::select! {
                biased;
                done = &mut until => return (done.unwrap(), keys),
                calls = stream.next() => keys.extend(self.answer(stream, calls.unwrap())),
            }
        }
    }
}

#[tokio::test]
async fn calls_that_are_made_together_leave_together() {
    let mut alone = Alone::new().await;
    let gets: Vec<_> = (0..64).map(|_| alone.get("a")).collect();
    let mut stream = alone.stream().await;
    let (mut calls, mut messages) = (Vec::new(), 0);
    while calls.len() < gets.len() {
        calls.extend(stream.next().await.unwrap());
        messages += 1;
    }
    assert!(messages <= 8, "{messages} messages for {} calls", calls.len());
    // Answers find who asked, in whatever order they come.
    calls.reverse();
    alone.answer(&stream, calls);
    for get in gets {
        assert_eq!(get.await.unwrap().unwrap().unwrap().key, "a");
    }
    assert_eq!((alone.node.calls("pipeline"), alone.node.calls("range")), (1, 0));
}

#[tokio::test]
async fn a_member_without_pipelines_is_asked_call_by_call() {
    let (world, nodes) = cluster();
    let client = client(&nodes).await;
    for _ in 0..3 {
        client.kv().put("a", "1").await.unwrap();
    }
    assert_eq!(world.get(b"a").unwrap().version, 3);
    assert_eq!((nodes[0].calls("pipeline"), nodes[0].calls("put")), (1, 3));
}

#[tokio::test]
async fn a_stream_that_breaks_leaves_a_put_unknown_and_has_a_get_repeated() {
    let mut alone = Alone::new().await;
    let mut open = None;
    // As a connection ends, and as a server or this side's codec may end a stream: none of it answers a call.
    for code in [Code::Unavailable, Code::InvalidArgument, Code::OutOfRange, Code::Unimplemented] {
        let (put, get) = (alone.put("a"), alone.get("b"));
        let mut stream = match open.take() {
            Some(stream) => stream,
            None => alone.stream().await,
        };
        stream.calls(2).await;
        stream.fail(Status::new(code, "broken"));
        let error = put.await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Unknown { .. }), "{code:?}: {error:?}");
        let mut stream = alone.stream().await;
        let (got, asked) = alone.serve(&mut stream, get).await;
        got.unwrap().unwrap();
        assert!(asked.iter().all(|key| key == "b"), "only the get comes again: {asked:?}");
        open = Some(stream);
    }
}

#[tokio::test]
async fn a_large_request_is_made_by_itself() {
    let alone = Alone::new().await;
    alone.client.kv().put("a", vec![0; 64 << 10]).await.unwrap();
    assert_eq!((alone.node.calls("pipeline"), alone.node.calls("put")), (0, 1));
}

/// As many as a member takes at a time.
const SENT_MAX: usize = 2048;

#[tokio::test]
async fn a_member_gets_no_more_calls_at_a_time_than_it_takes() {
    let mut alone = Alone::new().await;
    let mut puts: Vec<_> = (0..=SENT_MAX).map(|_| alone.put("a")).collect();
    let mut stream = alone.stream().await;
    let mut calls = stream.calls(SENT_MAX).await;
    // They leave in the order of their coming, so this is the one that waits: nothing is to be seen of it, or of what comes later.
    let (last, later) = (puts.pop().unwrap(), alone.put("b"));
    let given_up = puts.pop().unwrap();
    given_up.abort();
    let cancel = stream.next().await.unwrap();
    assert!(matches!(cancel[0].call, Some(Call::Cancel(_))), "{cancel:?}");
    let gone = calls.pop().unwrap();
    assert_eq!(cancel[0].id, gone.id);
    // That made room for one, and each answer for another.
    let mut more = cancel[1..].to_vec();
    if more.is_empty() {
        more = stream.next().await.unwrap();
    }
    assert_eq!(more.len(), 1, "{more:?}");
    alone.answer(&stream, vec![calls.pop().unwrap()]);
    more.extend(stream.next().await.unwrap());
    assert_eq!(more.len(), 2, "{more:?}");
    alone.answer(&stream, calls);
    alone.answer(&stream, more);
    for put in puts {
        put.await.unwrap().unwrap();
    }
    last.await.unwrap().unwrap();
    later.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_call_that_was_never_sent_is_made_again() {
    let mut alone = Alone::new().await;
    let puts: Vec<_> = (0..SENT_MAX).map(|_| alone.put("a")).collect();
    let mut stream = alone.stream().await;
    stream.calls(SENT_MAX).await;
    let kv = alone.client.kv();
    let mut unsent = Box::pin(async move { kv.put("b", "").await });
    assert!(futures::poll!(&mut unsent).is_pending());
    stream.fail(Status::unavailable("broken"));
    let unsent = tokio::spawn(unsent);
    for put in puts {
        let error = put.await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Unknown { .. }), "{error:?}");
    }
    let mut stream = alone.stream().await;
    let (put, asked) = alone.serve(&mut stream, unsent).await;
    put.unwrap();
    assert_eq!(asked, ["b"]);
}

#[tokio::test]
async fn a_call_that_is_given_up_is_cancelled() {
    let mut alone = Alone::new().await;
    let put = alone.put("a");
    let mut stream = alone.stream().await;
    let id = stream.calls(1).await[0].id;
    put.abort();
    let cancel = stream.calls(1).await;
    assert_eq!(cancel, [PipelinedCall { id, timeout_ms: 0, call: Some(Call::Cancel(PipelineCancel {})) }]);
    // Nobody is hurt by an answer that was on its way.
    stream.say(PipelineResponse { answers: vec![PipelinedAnswer { id, answer: None }], ..Default::default() });
    let get = alone.get("b");
    alone.serve(&mut stream, get).await.0.unwrap();
}

#[tokio::test]
async fn what_is_too_large_for_the_stream_is_asked_for_by_itself() {
    let mut alone = Alone::new().await;
    alone.world.put(&Bytes::from_static(b"a"), &Bytes::new(), None);
    let get = alone.get("a");
    let mut stream = alone.stream().await;
    let id = stream.calls(1).await[0].id;
    let too_large = PipelinedAnswer { id, answer: Some(Answer::Alone(PipelineAlone {})) };
    stream.say(PipelineResponse { answers: vec![too_large], ..Default::default() });
    assert_eq!(get.await.unwrap().unwrap().unwrap().version, 1);
    assert_eq!(alone.node.calls("range"), 1);
}

#[tokio::test]
async fn a_stream_that_closes_takes_no_more_and_answers_what_it_has() {
    let mut alone = Alone::new().await;
    let (first, second) = (alone.put("a"), alone.put("b"));
    let mut stream = alone.stream().await;
    let mut calls = stream.calls(2).await;
    let last = calls.split_off(1);
    stream.say(PipelineResponse { closing: true, ..Default::default() });
    assert_eq!(stream.next().await, None, "the client ends its side");
    alone.answer(&stream, calls);
    first.await.unwrap().unwrap();
    let get = alone.get("c");
    let mut next = alone.stream().await;
    assert_eq!(alone.serve(&mut next, get).await.1, ["c"]);
    // What the former has still comes.
    alone.answer(&stream, last);
    second.await.unwrap().unwrap();
    assert_eq!((alone.node.calls("pipeline"), alone.node.calls("put")), (2, 0));
}
