//! The peer service: what this member answers to others.

use std::{io, pin::Pin, sync::Arc};

use futures::{Stream, StreamExt};
use openraft::raft::{TransferLeaderRequest, VoteRequest};
use openraft::type_config::alias::SnapshotOf;
use parking_lot::Mutex;
use ringfence_proto::{peer as pb, storage};
use tonic::{Request, Response, Status, Streaming};

use super::{convert, heard::Heard, vigil::Vigil};
use crate::{
    raft::{
        Forwards, ProposeError, ReadIndexError,
        admin::Administrator,
        codec::{self, DecodeError},
        room::Room,
        runtime,
        snapshots::{SnapshotFile, Snapshots, Unfinished},
        standing::Standing,
        types::{Raft, TypeConfig, Vote},
    },
    stopping::Stopping,
};

/// Answers members.
pub struct PeerService {
    /// Whose requests are taken.
    pub cluster: u64,
    /// Whom they must mean.
    pub node: u64,
    /// Takes part.
    pub raft: Raft,
    /// Takes received snapshots.
    pub snapshots: Snapshots,
    /// Without it, nothing is taken that needs some.
    pub room: Room,
    /// Whether this member may be elected.
    pub standing: Standing,
    /// Changes members.
    pub administrator: Administrator,
    /// The rest of the server.
    pub forwards: Arc<dyn Forwards>,
    /// Watches over the leader.
    pub vigil: Vigil,
    /// Remembers when the leader spoke.
    pub heard: Heard,
    /// Ends the streams.
    pub stopping: Stopping,
}

/// Answers to the requests on a stream of the log.
pub type AppendAnswers = Pin<Box<dyn Stream<Item = Result<pb::AppendResponse, Status>> + Send>>;

impl PeerService {
    fn check(&self, sender: Option<&pb::Sender>) -> Result<(), Status> {
        check(self.cluster, self.node, sender)
    }

    /// What this member says to the log of its leader, however that comes. Answers end with the first error.
    pub fn answers_to(
        &self,
        messages: impl Stream<Item = Result<pb::AppendRequest, Status>> + Send + 'static,
    ) -> AppendAnswers {
        let (cluster, node) = (self.cluster, self.node);
        let refused: Arc<Mutex<Option<Status>>> = Arc::default();
        let refusal = refused.clone();
        let mut breaking = Breaking { leader: None, vigil: self.vigil.clone() };
        let heard = self.heard.clone();
        let room = self.room.clone();
        let convert = move |message: pb::AppendRequest| {
            check(cluster, node, message.sender.as_ref())?;
            let leader = message.sender.map(|sender| sender.node);
            breaking.is_of(leader);
            leader.inspect(|leader| heard.note(*leader));
            has_room(!room.is_full() || message.records.is_empty())?;
            convert::append_request_from(message).map_err(|error| invalid(&error))
        };
        let requests = until_refused(messages, convert, refusal);
        let answers = self.raft.stream_append(requests).map(|answer| match answer {
            Ok(answer) => Ok(convert::stream_response_to(&answer)),
            Err(fatal) => Err(Status::unavailable(fatal.to_string())),
        });
        let last_word = futures::stream::once(async move { refused.lock().take() });
        let answers = answers.chain(last_word.filter_map(|refused| async move { refused.map(Err) }));
        let stopping = self.stopping.clone();
        Box::pin(answers.take_until(async move { stopping.wait().await }))
    }
}

fn check(cluster: u64, node: u64, sender: Option<&pb::Sender>) -> Result<(), Status> {
    let sender = sender.ok_or_else(|| Status::invalid_argument("the request doesn't say whom it is from"))?;
    if sender.cluster != cluster {
        return Err(Status::failed_precondition(format!(
            "this is a member of cluster {cluster:016x}, and the request is from node {} of cluster {:016x}",
            sender.node, sender.cluster
        )));
    }
    if sender.to != node {
        return Err(Status::failed_precondition(format!(
            "this is node {node}, and the request means node {}: an address is wrong",
            sender.to
        )));
    }
    Ok(())
}

#[tonic::async_trait]
impl pb::peer_server::Peer for PeerService {
    type StreamAppendStream = AppendAnswers;

    async fn stream_append(
        &self,
        request: Request<Streaming<pb::AppendRequest>>,
    ) -> Result<Response<AppendAnswers>, Status> {
        Ok(Response::new(self.answers_to(request.into_inner())))
    }

    async fn append(&self, request: Request<pb::AppendRequest>) -> Result<Response<pb::AppendResponse>, Status> {
        let message = request.into_inner();
        self.check(message.sender.as_ref())?;
        message.sender.inspect(|sender| self.heard.note(sender.node));
        has_room(!self.room.is_full() || message.records.is_empty())?;
        let request = convert::append_request_from(message).map_err(|error| invalid(&error))?;
        let answer = self.raft.append_entries(request).await.map_err(unavailable)?;
        Ok(Response::new(convert::append_response_to(&answer)))
    }

    async fn vote(&self, request: Request<pb::VoteRequest>) -> Result<Response<pb::VoteResponse>, Status> {
        let message = request.into_inner();
        self.check(message.sender.as_ref())?;
        let vote = codec::raft::vote_from(message.vote.as_ref()).map_err(|error| invalid(&error))?;
        let mut request = VoteRequest::<TypeConfig>::new(vote, message.last.as_ref().map(codec::raft::log_id_from));
        request.leadership_transfer = message.leadership_transfer;
        let answer = if message.pre { self.raft.pre_vote(request).await } else { self.raft.vote(request).await };
        #[cfg(madsim)]
        match &answer {
            Ok(answer) if !message.pre && answer.vote_granted => {
                ringfence_probes::hooks::voted(vote.leader_id.term, vote.leader_id.node_id);
            }
            Ok(_) if !message.pre => ringfence_probes::hit(ringfence_probes::marks::VOTE_REFUSED),
            _ => {}
        }
        Ok(Response::new(convert::vote_response_to(&answer.map_err(unavailable)?)))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<pb::SnapshotChunk>>,
    ) -> Result<Response<pb::SnapshotResponse>, Status> {
        let mut chunks = request.into_inner();
        let first = chunks.message().await?.and_then(|first| first.chunk);
        let Some(pb::snapshot_chunk::Chunk::Start(start)) = first else {
            return Err(Status::invalid_argument("a snapshot begins with its start"));
        };
        self.check(start.sender.as_ref())?;
        has_room(self.room.holds(start.bytes))?;
        let vote = codec::raft::vote_from(start.vote.as_ref()).map_err(|error| invalid(&error))?;
        let unfinished = receive(&self.snapshots, &mut chunks, start.bytes).await?;
        #[cfg(madsim)]
        ringfence_probes::hooks::happened(ringfence_probes::hooks::Happening::SnapshotReceived);
        let received = blocking(move || unfinished.receive()).await;
        let (meta, file) = received.map_err(|error| Status::data_loss(format!("the snapshot is refused: {error}")))?;
        let snapshot = SnapshotOf::<TypeConfig, SnapshotFile> { meta, snapshot: file };
        let answer = self.raft.install_full_snapshot(vote, snapshot).await.map_err(unavailable)?;
        let vote: Vote = answer.vote;
        Ok(Response::new(pb::SnapshotResponse { vote: Some(codec::raft::vote_to(&vote)) }))
    }

    async fn transfer_leader(
        &self,
        request: Request<pb::TransferLeaderRequest>,
    ) -> Result<Response<pb::TransferLeaderResponse>, Status> {
        let message = request.into_inner();
        self.check(message.sender.as_ref())?;
        if message.to == self.node && !self.standing.may_stand() {
            return Err(Status::resource_exhausted("the member's disk is full, or stalls"));
        }
        let from = codec::raft::vote_from(message.from.as_ref()).map_err(|error| invalid(&error))?;
        let last = message.last.as_ref().map(codec::raft::log_id_from);
        let request = TransferLeaderRequest::<TypeConfig>::new(from, message.to, last);
        let answer = self.raft.handle_transfer_leader(request).await.map_err(unavailable)?;
        Ok(Response::new(convert::transfer_response_to(answer)))
    }

    async fn propose(&self, request: Request<pb::ProposeRequest>) -> Result<Response<pb::ProposeResponse>, Status> {
        let message = request.into_inner();
        self.check(message.sender.as_ref())?;
        let requests = message.requests.into_iter().map(codec::request_from).collect::<Result<_, _>>();
        let requests = requests.map_err(|error| invalid(&error))?;
        use pb::propose_response::Result as Message;
        let result = match self.forwards.propose(requests).await {
            Ok(replies) => {
                Message::Replies(pb::ProposeReplies { results: replies.iter().map(codec::result_to).collect() })
            }
            Err(ProposeError::NotLeader { leader }) => Message::NotLeader(convert::not_leader_to(leader)),
            Err(ProposeError::Unknown) => Message::Unknown(storage::Blank {}),
            Err(ProposeError::Stopped) => Message::Stopped(storage::Blank {}),
        };
        Ok(Response::new(pb::ProposeResponse { result: Some(result) }))
    }

    async fn read_index(
        &self,
        request: Request<pb::ReadIndexRequest>,
    ) -> Result<Response<pb::ReadIndexResponse>, Status> {
        self.check(request.into_inner().sender.as_ref())?;
        use pb::read_index_response::Result as Message;
        let result = match self.forwards.read_index().await {
            Ok(index) => Message::Index(index),
            Err(ReadIndexError::NotLeader { leader }) => Message::NotLeader(convert::not_leader_to(leader)),
            Err(ReadIndexError::NoQuorum) => Message::NoQuorum(storage::Blank {}),
            Err(ReadIndexError::Stopped) => Message::Stopped(storage::Blank {}),
        };
        Ok(Response::new(pb::ReadIndexResponse { result: Some(result) }))
    }

    async fn admin(&self, request: Request<pb::AdminRequest>) -> Result<Response<pb::AdminResponse>, Status> {
        let message = request.into_inner();
        self.check(message.sender.as_ref())?;
        let admin = convert::admin_from(message).map_err(|error| invalid(&error))?;
        let result = self.administrator.admin(admin).await;
        Ok(Response::new(convert::admin_response_to(result)))
    }

    async fn status(&self, request: Request<pb::StatusRequest>) -> Result<Response<pb::StatusResponse>, Status> {
        self.check(request.into_inner().sender.as_ref())?;
        Ok(Response::new(pb::StatusResponse { status: Some(self.forwards.status().await) }))
    }
}

/// Goes with a stream of the leader's, and tells when it ends.
struct Breaking {
    leader: Option<u64>,
    vigil: Vigil,
}

impl Breaking {
    fn is_of(&mut self, leader: Option<u64>) {
        self.leader = leader;
    }
}

impl Drop for Breaking {
    fn drop(&mut self) {
        if let Some(leader) = self.leader {
            self.vigil.broke_off(leader);
        }
    }
}

/// Ends a stream at the first message that is refused, and keeps the reason for the last word on the stream of answers.
fn until_refused<T: Send + 'static>(
    messages: impl Stream<Item = Result<pb::AppendRequest, Status>> + Send + 'static,
    mut convert: impl FnMut(pb::AppendRequest) -> Result<T, Status> + Send + 'static,
    refused: Arc<Mutex<Option<Status>>>,
) -> impl Stream<Item = T> + Send + 'static {
    let converted = messages.map(move |message| message.and_then(&mut convert));
    converted.scan((), move |(), next| {
        let next = next.map_err(|status| *refused.lock() = Some(status)).ok();
        async move { next }
    })
}

async fn receive(
    snapshots: &Snapshots,
    chunks: &mut Streaming<pb::SnapshotChunk>,
    bytes: u64,
) -> Result<Unfinished, Status> {
    let snapshots = snapshots.clone();
    let mut unfinished = blocking(move || snapshots.begin()).await.map_err(|error| disk(&error))?;
    while let Some(chunk) = chunks.message().await? {
        let Some(pb::snapshot_chunk::Chunk::Data(data)) = chunk.chunk else {
            return Err(Status::invalid_argument("a snapshot goes on with its data"));
        };
        if unfinished.bytes() + data.len() as u64 > bytes {
            return Err(Status::invalid_argument("the snapshot is longer than it said"));
        }
        #[cfg(madsim)]
        if unfinished.bytes() < bytes / 2 && unfinished.bytes() + data.len() as u64 >= bytes / 2 {
            ringfence_probes::hooks::happened(ringfence_probes::hooks::Happening::SnapshotHalfReceived);
        }
        let added = blocking(move || unfinished.add(&data).map(|()| unfinished)).await;
        unfinished = added.map_err(|error| disk(&error))?;
    }
    if unfinished.bytes() != bytes {
        return Err(Status::invalid_argument("the snapshot is shorter than it said"));
    }
    Ok(unfinished)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    runtime::blocking(work).await?
}

/// Not a code of a connection that broke: whoever asks tries again at its usual pace.
fn has_room(it_has: bool) -> Result<(), Status> {
    if it_has { Ok(()) } else { Err(Status::resource_exhausted("the member's disk is full")) }
}

fn invalid(error: &DecodeError) -> Status {
    Status::invalid_argument(error.to_string())
}

fn disk(error: &io::Error) -> Status {
    Status::internal(format!("the snapshot can't be written: {error}"))
}

fn unavailable(error: impl std::fmt::Display) -> Status {
    Status::unavailable(error.to_string())
}
