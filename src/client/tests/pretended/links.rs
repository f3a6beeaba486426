//! Links: what goes over them, and what a port is asked that has none.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use ringfence_client::{Error, PutResult};
use ringfence_link::{Kind, Rules, answer, preface};
use ringfence_proto::v1::{
    PipelineRequest, PipelineResponse, PipelinedAnswer, PipelinedCall, PipelinedStatus, PutRequest, PutResponse,
    pipelined_answer::Answer, pipelined_call::Call,
};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::task::JoinHandle;

use crate::fake::{Node, World, client, header};

/// One member behind a port that passes HTTP on, and gives the test what else comes.
struct Front {
    world: Arc<World>,
    node: Node,
    client: ringfence_client::Client,
    links: UnboundedReceiver<TcpStream>,
}

impl Front {
    async fn new() -> Self {
        let world = Arc::new(World::default());
        let mut node = Node::start(1, &world);
        world.lead(1);
        let behind = node.address;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        node.address = listener.local_addr().unwrap();
        world.joined(1, node.address);
        let (others, links) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let others = others.clone();
                tokio::spawn(async move {
                    let mut first = [0];
                    stream.peek(&mut first).await.unwrap();
                    if first != *b"P" {
                        drop(others.send(stream));
                        return;
                    }
                    let mut node = TcpStream::connect(behind).await.unwrap();
                    let _ = copy_bidirectional(&mut stream, &mut node).await;
                });
            }
        });
        let nodes = [node];
        let client = client(&nodes).await;
        let [node] = nodes;
        Self { world, node, client, links }
    }

    fn put(&self, key: &'static str) -> JoinHandle<Result<PutResult, Error>> {
        let kv = self.client.kv();
        tokio::spawn(async move { kv.put(key, "").await })
    }

    /// The next link for calls, once it is agreed on.
    async fn link(&mut self) -> TcpStream {
        let mut stream = self.links.recv().await.unwrap();
        assert_eq!(preface::agree(&mut stream, &[Kind::Calls]).await.unwrap(), Some(Kind::Calls));
        stream
    }

    /// Answers puts on a link; for one of the key `end` the link ends so.
    fn serve(&self, link: TcpStream) -> JoinHandle<()> {
        let header = header(&self.world, 1);
        let rules = Rules {
            bytes_max: 1 << 20,
            is_question: |request: &PipelineRequest| request.calls.is_empty(),
            silence_max: None,
        };
        tokio::spawn(async move {
            let answered = |PipelinedCall { id, call, .. }| {
                let Some(Call::Put(PutRequest { key, .. })) = call else { panic!("{call:?}") };
                match &*key {
                    b"end" => Err(PipelinedStatus { code: 3, message: "no more".to_owned(), details: Bytes::new() }),
                    _ => Ok(PipelinedAnswer {
                        id,
                        answer: Some(Answer::Put(PutResponse { header, key, prev_kv: None })),
                    }),
                }
            };
            let served = answer(link, rules, |requests| {
                requests.map(move |request| {
                    let answers: Result<_, _> = request.unwrap().calls.into_iter().map(answered).collect();
                    match answers {
                        Ok(answers) => PipelineResponse { answers, ..Default::default() },
                        Err(end) => PipelineResponse { end: Some(end), ..Default::default() },
                    }
                })
            });
            let _ = served.await;
        })
    }
}

#[tokio::test]
async fn calls_go_over_a_link_where_the_port_has_any() {
    let mut front = Front::new().await;
    let first = front.put("a");
    let link = front.link().await;
    let serving = front.serve(link);
    first.await.unwrap().unwrap();
    front.put("b").await.unwrap().unwrap();
    // Whatever it ends with: it may have been done.
    let ended = front.put("end").await.unwrap().unwrap_err();
    assert!(matches!(&ended, Error::Unknown { message } if message.contains("no more")), "{ended:?}");
    serving.abort();
    let next = front.put("c");
    let link = front.link().await;
    front.serve(link);
    next.await.unwrap().unwrap();
    assert_eq!((front.node.calls("pipeline"), front.node.calls("put")), (0, 0));
}

#[tokio::test]
async fn a_port_that_says_nothing_to_links_is_asked_over_grpc() {
    let mut front = Front::new().await;
    let put = front.put("a");
    let _silent = front.links.recv().await.unwrap();
    put.await.unwrap().unwrap();
    assert_eq!((front.node.calls("pipeline"), front.node.calls("put")), (1, 1));
    // It isn't asked for one again at once.
    let mut watcher = front.client.watch(ringfence_client::WatchOptions::key("a")).await.unwrap();
    front.put("a").await.unwrap().unwrap();
    assert!(watcher.next().await.unwrap().is_ok());
    assert!(front.links.try_recv().is_err());
}
