//! The watch stream over raw gRPC: from now, from the past, from a snapshot on; several on one stream; filters; progress;
//! and the clear answers where a watch can't go on.

use ringfence_proto::v1::{watch_request::Request, watch_response::Response, *};
use ringfence_tests::{
    World,
    raw::{Raw, bytes, put, text},
    wait::within,
};
use tokio::sync::mpsc::Sender;
use tonic::Streaming;

/// One stream of watches.
struct Stream {
    requests: Sender<WatchRequest>,
    responses: Streaming<WatchResponse>,
}

impl Stream {
    async fn open(node: &mut Raw) -> Self {
        let (requests, receiver) = tokio::sync::mpsc::channel(16);
        let receiver = tokio_stream::wrappers::ReceiverStream::new(receiver);
        let responses = node.watch.watch(receiver).await.unwrap().into_inner();
        Self { requests, responses }
    }

    async fn send(&self, request: Request) {
        self.requests.send(WatchRequest { request: Some(request) }).await.unwrap();
    }

    async fn create(&self, watch_id: u64, prefix: &str, start_revision: u64) {
        self.send(Request::Create(watch(watch_id, prefix, start_revision))).await;
    }

    /// The next message that isn't about progress.
    async fn next(&mut self) -> (u64, Response) {
        loop {
            let (id, response) = self.any().await;
            if !matches!(response, Response::Progress(_)) {
                return (id, response);
            }
        }
    }

    async fn any(&mut self) -> (u64, Response) {
        let message = within("a message of the watch", self.responses.message()).await.unwrap().unwrap();
        (message.watch_id, message.response.unwrap())
    }

    async fn created(&mut self, watch_id: u64) -> u64 {
        match self.next().await {
            (id, Response::Created(created)) if id == watch_id => created.start_revision,
            other => panic!("{other:?}"),
        }
    }

    /// This many events of one watch, as revision, key and value (`None`: deleted).
    async fn events(&mut self, watch_id: u64, count: usize) -> Vec<(u64, String, Option<String>)> {
        let mut events = Vec::new();
        while events.len() < count {
            match self.next().await {
                (id, Response::Events(batch)) if id == watch_id => events.extend(batch.events.iter().map(told)),
                other => panic!("{other:?}"),
            }
        }
        events
    }

    async fn canceled(&mut self, watch_id: u64) -> WatchCanceled {
        match self.next().await {
            (id, Response::Canceled(canceled)) if id == watch_id => canceled,
            other => panic!("{other:?}"),
        }
    }
}

fn watch(watch_id: u64, prefix: &str, start_revision: u64) -> WatchCreate {
    WatchCreate { watch_id, key: bytes(prefix), prefix: true, start_revision, ..Default::default() }
}

fn told(event: &Event) -> (u64, String, Option<String>) {
    let kv = event.kv.as_ref().unwrap();
    let value = (event.kind() == event::Kind::Put).then(|| text(&kv.value));
    (kv.mod_revision, text(&kv.key), value)
}

fn change(revision: u64, key: &str, value: &str) -> (u64, String, Option<String>) {
    (revision, key.to_owned(), Some(value.to_owned()))
}

async fn delete(node: &mut Raw, key: &str) {
    node.kv.delete(DeleteRequest { key: bytes(key), ..Default::default() }).await.unwrap();
}

#[tokio::test]
async fn from_now_and_from_the_past() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    for (key, value) in [("w/a", "1"), ("other", "2"), ("w/b", "3")] {
        node.put(key, value).await.unwrap();
    }
    let mut stream = Stream::open(&mut node).await;
    stream.create(1, "w/", 0).await;
    assert_eq!(stream.created(1).await, 4);
    node.put("w/c", "4").await.unwrap();
    delete(&mut node, "w/a").await;
    assert_eq!(stream.events(1, 2).await, [change(4, "w/c", "4"), (5, "w/a".into(), None)]);

    stream.create(2, "w/", 1).await;
    stream.created(2).await;
    let all = stream.events(2, 4).await;
    assert_eq!(all, [change(1, "w/a", "1"), change(3, "w/b", "3"), change(4, "w/c", "4"), (5, "w/a".into(), None)]);

    // Starting in the future is no error: nothing comes until then.
    let mut later = Stream::open(&mut node).await;
    later.create(7, "w/", 8).await;
    later.created(7).await;
    for value in ["6", "7", "8"] {
        node.put("w/d", value).await.unwrap();
    }
    assert_eq!(later.events(7, 1).await, [change(8, "w/d", "8")]);
}

#[tokio::test]
async fn a_revision_is_never_split() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    let mut stream = Stream::open(&mut node).await;
    stream.create(1, "w/", 0).await;
    stream.created(1).await;
    let op = |index: usize| TxnOp { op: Some(txn_op::Op::Put(put(&format!("w/{index:03}"), "x"))) };
    let then = (0..100).map(op).collect();
    node.kv.txn(TxnRequest { then, ..Default::default() }).await.unwrap();
    let (_, Response::Events(batch)) = stream.next().await else { panic!("no events") };
    assert_eq!(batch.events.len(), 100);
    assert!(batch.events.iter().all(|event| told(event).0 == 1));
}

#[tokio::test]
async fn a_snapshot_and_what_follows_it() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    for (key, value) in [("w/a", "1"), ("w/a", "2"), ("w/b", "3"), ("x", "4")] {
        node.put(key, value).await.unwrap();
    }
    node.kv.compact(CompactRequest { revision: 4 }).await.unwrap();
    let mut stream = Stream::open(&mut node).await;
    stream.send(Request::Create(WatchCreate { snapshot: true, ..watch(1, "w/", 0) })).await;
    stream.created(1).await;
    let mut kvs = Vec::new();
    let revision = loop {
        let (_, Response::Snapshot(part)) = stream.next().await else { panic!("no snapshot") };
        kvs.extend(part.kvs.iter().map(|kv| (text(&kv.key), text(&kv.value))));
        if part.complete {
            break part.revision;
        }
    };
    assert_eq!(revision, 4);
    assert_eq!(kvs, [("w/a".to_owned(), "2".to_owned()), ("w/b".into(), "3".into())]);
    node.put("w/c", "5").await.unwrap();
    assert_eq!(stream.events(1, 1).await, [change(5, "w/c", "5")]);
}

#[tokio::test]
async fn filters_and_the_version_before() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    let mut stream = Stream::open(&mut node).await;
    stream.send(Request::Create(WatchCreate { no_put: true, prev_kv: true, ..watch(1, "w/", 0) })).await;
    stream.created(1).await;
    node.put("w/a", "1").await.unwrap();
    delete(&mut node, "w/a").await;
    let (1, Response::Events(batch)) = stream.next().await else { panic!("no events") };
    assert_eq!(told(&batch.events[0]), (2, "w/a".into(), None));
    assert_eq!(text(&batch.events[0].prev_kv.as_ref().unwrap().value), "1");

    let mut puts = Stream::open(&mut node).await;
    puts.send(Request::Create(WatchCreate { no_delete: true, ..watch(2, "w/", 1) })).await;
    puts.created(2).await;
    node.put("w/a", "3").await.unwrap();
    assert_eq!(puts.events(2, 2).await, [change(1, "w/a", "1"), change(3, "w/a", "3")]);
}

#[tokio::test]
async fn progress_and_cancelling() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    let mut stream = Stream::open(&mut node).await;
    stream.create(1, "w/", 0).await;
    stream.created(1).await;
    node.put("elsewhere", "x").await.unwrap();
    stream.send(Request::Progress(WatchProgressRequest {})).await;
    let (1, Response::Progress(progress)) = stream.any().await else { panic!("no progress") };
    assert_eq!(progress.revision, 1, "nothing happened up to here");

    // By itself, too, while nothing happens.
    stream.send(Request::Create(WatchCreate { progress_interval_ms: 100, ..watch(2, "w/", 0) })).await;
    stream.created(2).await;
    let (2, Response::Progress(progress)) = stream.any().await else { panic!("no progress") };
    assert_eq!(progress.revision, 1);

    stream.send(Request::Cancel(WatchCancel { watch_id: 1 })).await;
    assert_eq!(stream.canceled(1).await.reason(), watch_canceled::Reason::Requested);
    node.put("w/a", "2").await.unwrap();
    assert_eq!(stream.events(2, 1).await, [change(2, "w/a", "2")], "the other watch goes on");
}

#[tokio::test]
async fn what_a_watch_cannot_do_it_says() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    for value in ["1", "2", "3"] {
        node.put("w/a", value).await.unwrap();
    }
    node.kv.compact(CompactRequest { revision: 2 }).await.unwrap();
    let mut stream = Stream::open(&mut node).await;
    stream.create(1, "w/", 1).await;
    let canceled = loop {
        match stream.next().await {
            (1, Response::Canceled(canceled)) => break canceled,
            (1, Response::Created(_)) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(canceled.reason(), watch_canceled::Reason::Compacted);
    assert_eq!(canceled.compacted_revision, 2);
    // The stream itself goes on, and the oldest revision that is left can be watched from.
    stream.create(2, "w/", 3).await;
    stream.created(2).await;
    assert_eq!(stream.events(2, 1).await, [change(3, "w/a", "3")]);

    let invalid = [
        watch(0, "w/", 0),
        watch(2, "w/", 0),
        WatchCreate { range_end: bytes("a"), prefix: false, ..watch(3, "w/", 0) },
        WatchCreate { snapshot: true, ..watch(4, "w/", 1) },
        WatchCreate { progress_interval_ms: 1, ..watch(5, "w/", 0) },
    ];
    for create in invalid {
        let mut stream = Stream::open(&mut node).await;
        stream.create(2, "other/", 0).await;
        stream.created(2).await;
        let id = create.watch_id;
        stream.send(Request::Create(create)).await;
        let canceled = stream.canceled(id).await;
        assert_eq!(canceled.reason(), watch_canceled::Reason::Invalid, "{canceled:?}");
        assert!(!canceled.message.is_empty());
    }
}

#[tokio::test]
async fn every_member_tells_the_same() {
    let world = World::start(3).await;
    let mut expected = Vec::new();
    let mut streams = Vec::new();
    for id in world.ids() {
        let mut stream = Stream::open(&mut world.raw(id)).await;
        stream.create(1, "w/", 1).await;
        stream.created(1).await;
        streams.push(stream);
    }
    for (index, id) in world.ids().into_iter().cycle().take(9).enumerate() {
        let value = index.to_string();
        let header = world.raw(id).put("w/k", &value).await.unwrap().header.unwrap();
        expected.push(change(header.revision, "w/k", &value));
    }
    for mut stream in streams {
        assert_eq!(stream.events(1, 9).await, expected);
    }
}
