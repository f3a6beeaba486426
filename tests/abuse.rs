//! Clients that don't behave: bytes that are no protocol, watches that nobody reads, thousands of connections opened
//! and dropped. They get what they deserve, and the others notice nothing.

use std::fs;

use ringfence_proto::v1::{watch_request::Request, watch_response::Response, *};
use ringfence_tests::{
    World,
    raw::{Raw, bytes, put, text},
    wait::{until, within},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};
use tonic::{Code, Status, codec};

/// The first bytes of every HTTP/2 connection.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[tokio::test]
async fn bytes_that_are_no_protocol() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    node.put("k", "v").await.unwrap();
    world.level().await;
    let before = node.status().await.unwrap();
    let settings = b"\0\0\0\x04\0\0\0\0\0";
    let monster = b"\xff\xff\xff\x01\x05\0\0\0\x01";
    let junk = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        (0..65_536_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect(),
        [PREFACE, settings, &[0xff; 4096]].concat(),
        [PREFACE, settings, monster].concat(),
        vec![],
    ];
    for address in [world.node(1).client_address(), world.node(1).peer_address()] {
        for bytes in &junk {
            let mut socket = TcpStream::connect(address).await.unwrap();
            // The server may close before it has read everything.
            let _ = socket.write_all(bytes).await;
            let _ = socket.shutdown().await;
            let mut answer = Vec::new();
            let _ = within("the server to hang up", socket.read_to_end(&mut answer)).await;
        }
    }
    let not_protobuf = bytes::Bytes::from_static(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff");
    for path in ["/ringfence.v1.Kv/Put", "/ringfence.v1.Lock/Acquire", "/ringfence.v1.Session/Open"] {
        let status = call(&node, path, not_protobuf.clone()).await.unwrap_err();
        assert!(matches!(status.code(), Code::Internal | Code::InvalidArgument), "{path}: {status:?}");
    }
    let status = call(&node, "/ringfence.v1.Kv/Nonsense", bytes::Bytes::new()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);

    assert_eq!(node.get("k").await.unwrap().as_deref(), Some("v"));
    let after = node.status().await.unwrap();
    assert_eq!((after.revision, after.state_hash), (before.revision, before.state_hash));
}

/// Sends these very bytes as a request.
async fn call(node: &Raw, path: &'static str, message: bytes::Bytes) -> Result<bytes::Bytes, Status> {
    let mut grpc = tonic::client::Grpc::new(node.channel.clone());
    grpc.ready().await.map_err(|error| Status::unknown(error.to_string()))?;
    let path = path.parse().map_err(|_| Status::internal("no path"))?;
    Ok(grpc.unary(tonic::Request::new(message), path, Verbatim).await?.into_inner())
}

/// Takes bytes for messages as they are.
#[derive(Clone, Copy, Default)]
struct Verbatim;

impl codec::Codec for Verbatim {
    type Encode = bytes::Bytes;
    type Decode = bytes::Bytes;
    type Encoder = Self;
    type Decoder = Self;
    fn encoder(&mut self) -> Self {
        Self
    }
    fn decoder(&mut self) -> Self {
        Self
    }
}

impl codec::Encoder for Verbatim {
    type Item = bytes::Bytes;
    type Error = Status;
    fn encode(&mut self, item: bytes::Bytes, buffer: &mut codec::EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put(buffer, item);
        Ok(())
    }
}

impl codec::Decoder for Verbatim {
    type Item = bytes::Bytes;
    type Error = Status;
    fn decode(&mut self, buffer: &mut codec::DecodeBuf<'_>) -> Result<Option<bytes::Bytes>, Status> {
        let length = bytes::Buf::remaining(buffer);
        Ok(Some(bytes::Buf::copy_to_bytes(buffer, length)))
    }
}

/// How many watches nobody reads, how many writes they miss, and of which size: in all 1.6 GB, if each were kept for each.
const WATCHES: usize = 40;
const WRITES: usize = 640;
const VALUE_BYTES: usize = 64 * 1024;
/// What the server may take after this: all versions are in memory once, and each watch has a bounded buffer.
const RESIDENT_BYTES_MAX: u64 = 600 << 20;

#[tokio::test]
async fn watches_that_nobody_reads() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    let mut unread = Vec::new();
    for _ in 0..WATCHES {
        // Each on a connection of its own, so that none is held up by another's unread bytes.
        unread.push(watch(&mut world.raw(1)).await);
    }
    let (_reader_requests, mut reader) = watch(&mut world.raw(1)).await;
    let value = "v".repeat(VALUE_BYTES);
    let mut read = 0;
    for index in 0..WRITES {
        let header = node.put(&format!("w/{}", index % 7), &value).await.unwrap().header.unwrap();
        assert_eq!(header.revision, index as u64 + 1);
        while read < index {
            read += count(&within("an event", reader.message()).await.unwrap().unwrap());
        }
    }
    let resident = resident_bytes(&world);
    assert!(resident < RESIDENT_BYTES_MAX, "the server takes {resident} bytes");
    // History is compacted away under the slow ones. They are told so, after what they got in order.
    node.kv.compact(CompactRequest { revision: WRITES as u64 }).await.unwrap();
    for (_requests, mut responses) in unread {
        let mut next = 1;
        loop {
            match within("what a slow watch gets", responses.message()).await.unwrap().unwrap().response {
                Some(Response::Events(batch)) => {
                    for event in batch.events {
                        assert_eq!(event.kv.unwrap().mod_revision, next);
                        next += 1;
                    }
                }
                Some(Response::Canceled(canceled)) => {
                    let reason = canceled.reason();
                    let clear = [watch_canceled::Reason::Slow, watch_canceled::Reason::Compacted].contains(&reason);
                    assert!(clear && canceled.compacted_revision == WRITES as u64, "{canceled:?}");
                    assert_eq!(canceled.next_revision, next, "it is told where it stands");
                    break;
                }
                Some(Response::Progress(_) | Response::Created(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(text(&node.list("w/0").await.unwrap().kvs[0].key), "w/0");
}

type Watching = (tokio::sync::mpsc::Sender<WatchRequest>, tonic::Streaming<WatchResponse>);

/// A watch of everything under `w/`, of which the first answer was read.
async fn watch(node: &mut Raw) -> Watching {
    let (requests, receiver) = tokio::sync::mpsc::channel(1);
    let create = WatchCreate { watch_id: 1, key: bytes("w/"), prefix: true, ..Default::default() };
    requests.send(WatchRequest { request: Some(Request::Create(create)) }).await.unwrap();
    let receiver = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut responses = node.watch.watch(receiver).await.unwrap().into_inner();
    let first = within("the watch to be there", responses.message()).await.unwrap().unwrap();
    assert!(matches!(first.response, Some(Response::Created(_))), "{first:?}");
    (requests, responses)
}

fn count(message: &WatchResponse) -> usize {
    if let Some(Response::Events(batch)) = &message.response { batch.events.len() } else { 0 }
}

/// What the server's process has in memory.
fn resident_bytes(world: &World) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", world.pid(1))).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Files that the server's process has open, sockets included.
fn open_files(world: &World) -> usize {
    fs::read_dir(format!("/proc/{}/fd", world.pid(1))).unwrap().count()
}

#[tokio::test]
async fn ten_thousand_connections_opened_and_dropped() {
    const CONNECTIONS: usize = 10_000;
    const AT_ONCE: usize = 200;
    let world = World::start(1).await;
    let mut node = world.raw(1);
    node.put("k", "v").await.unwrap();
    let before = open_files(&world);
    let address = world.node(1).client_address().to_owned();
    let mut open = JoinSet::new();
    for index in 0..CONNECTIONS {
        if open.len() == AT_ONCE {
            open.join_next().await.unwrap().unwrap();
        }
        let address = address.clone();
        open.spawn(async move {
            let mut socket = within("a connection", TcpStream::connect(address)).await.unwrap();
            // Some say hello, some begin to, some say nothing.
            let _ = socket.write_all(&PREFACE[..index % (PREFACE.len() + 1)]).await;
        });
    }
    while let Some(done) = open.join_next().await {
        done.unwrap();
    }
    until("the server to let go of them", async || {
        let now = open_files(&world);
        if now <= before + 10 { Ok(()) } else { Err((before, now)) }
    })
    .await;
    assert_eq!(node.get("k").await.unwrap().as_deref(), Some("v"));
    let mut fresh = world.raw(1);
    fresh.put("k", "w").await.unwrap();
    let put = fresh.kv.put(put("k", "x")).await.unwrap().into_inner();
    assert_eq!(put.header.unwrap().revision, 3);
}
