//! Frames, prefaces, and who answers what to a dialler.

use bytes::BytesMut;
use futures::{SinkExt, StreamExt};
use ringfence_proto::peer as pb;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_util::codec::{Decoder, Encoder, Framed, FramedRead};
use tonic::Code;

use super::*;

const BYTES_MAX: usize = 1 << 20;

fn request(number: u64) -> pb::AppendRequest {
    pb::AppendRequest { sender: Some(pb::Sender { cluster: 1, node: number, to: 2 }), ..pb::AppendRequest::default() }
}

type Requests = Frames<pb::AppendRequest, pb::AppendRequest>;

#[tokio::test]
async fn frames_come_out_as_they_went_in_however_they_are_cut() {
    let mut bytes = BytesMut::new();
    let sent: Vec<_> = (0..5).map(request).chain([pb::AppendRequest::default()]).collect();
    for message in &sent {
        Requests::new(BYTES_MAX).encode(message.clone(), &mut bytes).unwrap();
    }
    for cut in 0..=bytes.len() {
        let (first, second) = bytes.split_at(cut);
        let (mut read, mut come) = (BytesMut::new(), Vec::new());
        for piece in [first, second] {
            read.extend_from_slice(piece);
            while let Some(message) = Requests::new(BYTES_MAX).decode(&mut read).unwrap() {
                come.push(message);
            }
        }
        assert_eq!(come, sent, "cut at {cut}");
    }
    // A frame that isn't whole at the end is no message.
    bytes.truncate(bytes.len() - 1);
    let come: Vec<_> = FramedRead::new(&bytes[..], Requests::new(BYTES_MAX)).collect().await;
    assert_eq!(come.len(), sent.len());
    assert!(come.last().unwrap().is_err());
}

#[test]
fn what_is_too_long_or_no_message_is_refused() {
    let too_long = u32::try_from(BYTES_MAX).unwrap() + 1;
    let mut bytes = BytesMut::from(&too_long.to_be_bytes()[..]);
    assert_eq!(Requests::new(BYTES_MAX).decode(&mut bytes).unwrap_err().code(), Code::OutOfRange);
    let mut bytes = BytesMut::from(&[0, 0, 0, 2, 0xff, 0xff][..]);
    assert_eq!(Requests::new(BYTES_MAX).decode(&mut bytes).unwrap_err().code(), Code::InvalidArgument);

    let record = ringfence_proto::storage::LogRecord {
        payload: Some(ringfence_proto::storage::log_record::Payload::Entry(vec![0; BYTES_MAX].into())),
        ..Default::default()
    };
    let large = pb::AppendRequest { records: vec![record], ..request(1) };
    let mut bytes = BytesMut::new();
    assert_eq!(Requests::new(BYTES_MAX).encode(large, &mut bytes).unwrap_err().code(), Code::OutOfRange);
    assert!(bytes.is_empty(), "nothing of it is sent");
}

#[tokio::test]
async fn a_link_is_of_the_kind_that_both_sides_name() {
    for kind in [Kind::Log, Kind::Asks, Kind::Calls, Kind::Watches] {
        let (here, mut there) = duplex(preface::BYTES);
        let kinds = [Kind::Log, kind];
        let (asked, agreed) = tokio::join!(preface::ask(here, kind), preface::agree(&mut there, &kinds));
        assert!(asked.unwrap().is_some() && agreed.unwrap() == Some(kind));
    }
    // One that this port doesn't have, and no preface at all: nothing is answered.
    for first in [Kind::Calls.preface(), Kind::Watches.preface(), *b"RFLINK\x02L", *b"GET / HT"] {
        let (mut here, mut there) = duplex(64);
        here.write_all(&first).await.unwrap();
        assert_eq!(preface::agree(&mut there, &[Kind::Log, Kind::Asks]).await.unwrap(), None);
        drop(there);
        let mut heard = Vec::new();
        here.read_to_end(&mut heard).await.unwrap();
        assert!(heard.is_empty());
    }
}

fn port_at(address: &str) -> Port {
    let (connect_timeout, answer_timeout) = (Duration::from_secs(10), Duration::from_secs(10));
    let silence_max = Some(Duration::from_secs(10));
    Port { address: address.to_owned(), tls: None, connect_timeout, answer_timeout, silence_max }
}

#[tokio::test]
async fn a_dialler_learns_whether_there_are_links() {
    // Of a version before links: HTTP/2 begins with a SETTINGS frame.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let port = tokio::spawn(async move {
        let (mut http, _) = listener.accept().await.unwrap();
        http.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
        let (closed, _) = listener.accept().await.unwrap();
        drop(closed);
    });
    assert!(dial(&port_at(&address), Kind::Log).await.unwrap().is_none());
    // One that hung up may have links.
    let closed = dial(&port_at(&address), Kind::Asks).await.err().unwrap();
    assert!(matches!(closed, DialError::Broken { .. }), "{closed}");
    port.await.unwrap();
    let refused = dial(&port_at(&address), Kind::Asks).await.err().unwrap();
    assert!(matches!(refused, DialError::Unreachable { .. }), "{refused}");
    assert_eq!(tonic::Status::from(refused).code(), Code::Unavailable);
}

#[tokio::test]
async fn a_port_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let port = Port { answer_timeout: Duration::from_millis(1), ..port_at(&address) };
    // The system takes the connection, and nobody reads it.
    let silent = dial(&port, Kind::Calls).await.err().unwrap();
    assert!(matches!(silent, DialError::Broken { .. }), "{silent}");
}

/// The end of a link that answers with the numbers it is sent, and the other side's.
fn answering(silence_max: Duration) -> (Framed<DuplexStream, Replies>, JoinHandle<Result<(), tonic::Status>>) {
    let (here, there) = duplex(16);
    let rules = Rules {
        bytes_max: BYTES_MAX,
        is_question: |request| request == &request_without(),
        silence_max: Some(silence_max),
    };
    let answered = answer(there, rules, |asked| {
        asked.map(|request: Result<pb::AppendRequest, _>| {
            let call = request.map_or(u64::MAX, |request| request.sender.unwrap().node);
            pb::LinkReply { call, reply: None }
        })
    });
    (Framed::new(here, Frames::new(BYTES_MAX)), tokio::spawn(answered))
}

fn request_without() -> pb::AppendRequest {
    pb::AppendRequest::default()
}

type Replies = Frames<pb::AppendRequest, pb::LinkReply>;

#[tokio::test]
async fn messages_are_answered_and_so_are_questions() {
    let (mut here, answering) = answering(Duration::from_secs(600));
    for (said, call) in [(request(1), 1), (request_without(), 0), (request_without(), 0), (request(2), 2)] {
        here.send(said).await.unwrap();
        assert_eq!(here.next().await.unwrap().unwrap().call, call);
    }
    here.close().await.unwrap();
    assert_eq!(here.next().await.unwrap().unwrap().call, u64::MAX, "it is told as an error");
    answering.abort();
}

#[tokio::test(start_paused = true)]
async fn who_asks_is_there_and_who_says_nothing_is_gone() {
    let silence_max = Duration::from_secs(20);
    let (mut here, answering) = answering(silence_max);
    for _ in 0..10 {
        tokio::time::sleep(silence_max / 2 - Duration::from_secs(1)).await;
        here.send(request_without()).await.unwrap();
        assert_eq!(here.next().await.unwrap().unwrap().call, 0);
    }
    let since = tokio::time::Instant::now();
    assert_eq!(here.next().await.unwrap().unwrap().call, u64::MAX, "it is told as an error");
    assert!(since.elapsed() <= silence_max);
    answering.abort();
}
