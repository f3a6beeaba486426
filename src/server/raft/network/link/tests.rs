//! Both kinds of links, over pipes in memory and real sockets.

use futures::{FutureExt, SinkExt, StreamExt};
use ringfence_link::Port;
use tokio::{
    io::{DuplexStream, duplex},
    net::{TcpListener, TcpStream},
};
use tokio_util::codec::Framed;

use super::*;
use crate::raft::network::pool::surely_not_sent;

fn request(number: u64) -> pb::AppendRequest {
    pb::AppendRequest { sender: Some(pb::Sender { cluster: 1, node: number, to: 2 }), ..pb::AppendRequest::default() }
}

/// The member's end of a link of the log.
fn member(wire: DuplexStream) -> Framed<DuplexStream, Frames<pb::LinkAnswer, pb::AppendRequest>> {
    Framed::new(wire, frames())
}

fn answered(answer: pb::link_answer::Answer) -> pb::LinkAnswer {
    pb::LinkAnswer { answer: Some(answer) }
}

#[tokio::test]
async fn a_link_of_the_log_sends_what_comes_and_ends_in_good_order() {
    use pb::link_answer::Answer;
    // Less than a message: both sides have to go on while the other is at it.
    let (leader, follower) = duplex(8);
    let mut follower = member(follower);
    let requests = futures::stream::iter((0..100).map(request));
    let following = tokio::spawn(async move {
        for number in 0..100 {
            assert_eq!(follower.next().await.unwrap().unwrap(), request(number));
            follower.send(answered(Answer::Response(pb::AppendResponse::default()))).await.unwrap();
        }
        assert!(follower.next().await.is_none(), "the leader said that no more come");
    });
    let answers: Vec<_> = log::carry(leader, requests).collect().await;
    assert!(answers.len() == 100 && answers.iter().all(Result::is_ok));
    following.await.unwrap();
}

#[tokio::test]
async fn the_last_word_on_a_link_of_the_log_comes_as_it_was_said() {
    use pb::link_answer::Answer;
    let (leader, follower) = duplex(1024);
    let mut follower = member(follower);
    let full = Status::resource_exhausted("the member's disk is full");
    follower.send(answered(Answer::End(end(&full)))).await.unwrap();
    let answers = log::carry(leader, futures::stream::pending());
    let answers: Vec<_> = std::pin::pin!(answers).take(1).collect().await;
    let said = answers[0].as_ref().unwrap_err();
    assert_eq!((said.code(), said.message()), (full.code(), full.message()));
}

fn read(number: u64) -> pb::ReadIndexRequest {
    pb::ReadIndexRequest { sender: Some(pb::Sender { cluster: 1, node: number, to: 2 }) }
}

/// The end of a link for calls, of a member that a line was made to.
type Called = Framed<TcpStream, Frames<pb::LinkReply, pb::LinkAsk>>;

async fn taken(listener: &TcpListener) -> Called {
    let (mut stream, _) = listener.accept().await.unwrap();
    assert_eq!(preface::agree(&mut stream, &[Kind::Asks]).await.unwrap(), Some(Kind::Asks));
    Framed::new(stream, frames())
}

/// What is answered to this call: the number that it was made with.
fn told(ask: &pb::LinkAsk) -> pb::LinkReply {
    let Some(pb::link_ask::Ask::ReadIndex(request)) = &ask.ask else { panic!("{ask:?}") };
    let index = pb::read_index_response::Result::Index(request.sender.unwrap().node);
    let answer = pb::ReadIndexResponse { result: Some(index) };
    pb::LinkReply { call: ask.call, reply: Some(pb::link_reply::Reply::ReadIndex(answer)) }
}

fn plain(address: &str) -> Port {
    let (connect_timeout, answer_timeout) = (HANDSHAKE_TIMEOUT, HANDSHAKE_TIMEOUT);
    Port { address: address.to_owned(), tls: None, connect_timeout, answer_timeout, silence_max: Some(SILENCE_MAX) }
}

/// A member's port, and who calls there. Nobody answers gRPC.
async fn port() -> (TcpListener, asks::Asking) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let line = asks::Line::new(plain(&address));
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    (listener, asks::Asking { line, client: pb::peer_client::PeerClient::new(channel) })
}

async fn ask(mut asking: asks::Asking, number: u64) -> Result<u64, Status> {
    let answer = asking.read_index(tonic::Request::new(read(number))).await?.into_inner();
    let Some(pb::read_index_response::Result::Index(index)) = answer.result else { panic!("{answer:?}") };
    Ok(index)
}

#[tokio::test]
async fn answers_go_to_whoever_asked_in_whatever_order_they_come() {
    let (listener, asking) = port().await;
    let asked: Vec<_> = (0..100).map(|number| tokio::spawn(ask(asking.clone(), number))).collect();
    let mut called = taken(&listener).await;
    let mut asks = Vec::new();
    while asks.len() < asked.len() {
        asks.push(called.next().await.unwrap().unwrap());
    }
    for ask in asks.iter().rev() {
        called.send(told(ask)).await.unwrap();
    }
    for (number, asked) in (0..).zip(asked) {
        assert_eq!(asked.await.unwrap().unwrap(), number);
    }
}

#[tokio::test]
async fn who_waits_on_a_link_that_breaks_off_is_told_and_the_next_call_makes_another() {
    let (listener, asking) = port().await;
    let asked = tokio::spawn(ask(asking.clone(), 7));
    let mut called = taken(&listener).await;
    called.next().await.unwrap().unwrap();
    drop(called);
    let broken = asked.await.unwrap().unwrap_err();
    assert!(broken.code() == Code::Unavailable && !surely_not_sent(&broken), "it may be done: {broken:?}");

    let asked = tokio::spawn(ask(asking, 8));
    let mut called = taken(&listener).await;
    let call = called.next().await.unwrap().unwrap();
    called.send(told(&call)).await.unwrap();
    assert_eq!(asked.await.unwrap().unwrap(), 8);
}

#[tokio::test]
async fn a_link_is_made_for_all_that_want_it_whoever_gives_up_meanwhile() {
    let (listener, asking) = port().await;
    // They give up before the member has said a word.
    for number in 0..10 {
        let given_up = std::pin::pin!(ask(asking.clone(), number));
        assert!(futures::poll!(given_up).is_pending());
    }
    let mut called = taken(&listener).await;
    let asked = tokio::spawn(ask(asking.clone(), 7));
    let call = called.next().await.unwrap().unwrap();
    called.send(told(&call)).await.unwrap();
    assert_eq!(asked.await.unwrap().unwrap(), 7);
    assert!(listener.accept().now_or_never().is_none(), "one connection");
}

#[tokio::test]
async fn a_call_that_fails_says_how_and_one_that_is_too_long_hurts_nobody() {
    let (listener, mut asking) = port().await;
    let asked = tokio::spawn(ask(asking.clone(), 7));
    let mut called = taken(&listener).await;
    let call = called.next().await.unwrap().unwrap();

    let request = ringfence_proto::storage::Request {
        command: Some(ringfence_proto::storage::request::Command::Proclaim(ringfence_proto::storage::Proclaim {
            value: vec![0; MESSAGE_BYTES_MAX].into(),
            ..Default::default()
        })),
        ..Default::default()
    };
    let large = pb::ProposeRequest { requests: vec![request], ..Default::default() };
    assert_eq!(asking.propose(tonic::Request::new(large)).await.unwrap_err().code(), Code::OutOfRange);

    let other = Status::failed_precondition("this is node 2, and the request means node 3");
    let reply = Some(pb::link_reply::Reply::End(end(&other)));
    called.send(pb::LinkReply { call: call.call, reply }).await.unwrap();
    let failed = asked.await.unwrap().unwrap_err();
    assert_eq!((failed.code(), failed.message()), (other.code(), other.message()));
}

#[tokio::test]
async fn a_member_reads_no_more_calls_than_it_may_have_open() {
    let (here, there) = duplex(1024);
    let (begun, mut beginnings) = tokio::sync::mpsc::unbounded_channel();
    let answering = tokio::spawn(asks::answering(there, move |ask: pb::LinkAsk| {
        let (open, may_end) = tokio::sync::oneshot::channel::<()>();
        begun.send(open).unwrap();
        async move {
            let _ = may_end.await;
            told(&ask)
        }
        .boxed()
    }));
    let here: Framed<_, Frames<pb::LinkAsk, pb::LinkReply>> = Framed::new(here, frames());
    let (mut asks, mut replies) = here.split();
    let asking = tokio::spawn(async move {
        for call in 0..2 * asks::OPEN_MAX as u64 {
            let ask = pb::LinkAsk { call, ask: Some(pb::link_ask::Ask::ReadIndex(read(call))) };
            asks.send(ask).await.unwrap();
        }
        asks
    });
    let mut open = Vec::new();
    while open.len() < asks::OPEN_MAX {
        open.push(beginnings.recv().await.unwrap());
    }
    let idle = async || {
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
    };
    idle().await;
    assert!(beginnings.try_recv().is_err() && replies.next().now_or_never().is_none());
    // One that is answered makes room for one.
    drop(open.remove(0));
    assert_eq!(replies.next().await.unwrap().unwrap().call, 0);
    open.push(beginnings.recv().await.unwrap());
    idle().await;
    assert!(beginnings.try_recv().is_err());
    answering.abort();
    asking.abort();
}

#[tokio::test]
async fn who_surely_got_nothing_is_told_from_who_may_have() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let port = tokio::spawn(async move {
        let (closed, _) = listener.accept().await.unwrap();
        drop(closed);
    });
    let dialled = async || Status::from(ringfence_link::dial(&plain(&address), Kind::Asks).await.err().unwrap());
    let closed = dialled().await;
    assert!(closed.code() == Code::Unavailable && !surely_not_sent(&closed));
    port.await.unwrap();
    let refused = dialled().await;
    assert!(refused.code() == Code::Unavailable && surely_not_sent(&refused));
}
