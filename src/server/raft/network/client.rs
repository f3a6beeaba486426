//! How openraft reaches a member.

use std::{
    future::Future,
    io::Read,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use openraft::{
    AnyError, OptionalSend,
    errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable},
    network::{Backoff, RPCOption, RaftNetworkFactory, RaftNetworkV2, stream_append_sequential},
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
        TransferLeaderResponse, VoteRequest, VoteResponse,
    },
    type_config::alias::SnapshotOf,
};
use openraft_rt::{AsyncRuntime, BoxFuture, BoxStream};
use ringfence_proto::peer as pb;
use tokio::sync::Notify;
use tonic::{Request, Status, transport::Channel};

use super::{
    SNAPSHOT_CHUNK_BYTES, append, convert,
    pool::{Lane, Pool},
};
use crate::raft::{
    codec,
    runtime::{self, Runtime},
    snapshots::{SnapshotFile, Snapshots},
    types::{Addresses, TypeConfig, Vote},
};

/// First pause before a request goes out again on a stream that opens and then fails. Streams that don't open are the gate's matter.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// Longest such pause.
const BACKOFF_MAX: Duration = Duration::from_millis(400);

/// The longest that the transfer of a snapshot may stand still: no piece taken by the other side, or all taken and no answer. The
/// receiver syncs and installs after the last piece, so this must be longer than that takes.
const SNAPSHOT_STALL: Duration = Duration::from_secs(30);

/// Makes the ways to members.
#[derive(Clone)]
pub struct Network {
    /// The connections.
    pub pool: Pool,
    /// Where snapshots that are sent are read.
    pub snapshots: Snapshots,
    /// The longest that an answer on the log's stream may be owed.
    pub reply_timeout: Duration,
}

/// The way to one member.
pub struct Link {
    network: Network,
    target: u64,
    address: String,
    lane: Lane,
}

impl Network {
    fn link(&self, target: u64, node: &Addresses, lane: Lane) -> Link {
        Link { network: self.clone(), target, address: node.peer.clone(), lane }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Link;

    async fn new_client(&mut self, target: u64, node: &Addresses) -> Link {
        self.link(target, node, Lane::Log)
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &Addresses) -> Link {
        self.link(target, node, Lane::Urgent)
    }

    async fn new_snapshot_client(&mut self, target: u64, node: &Addresses) -> Link {
        self.link(target, node, Lane::Bulk)
    }
}

impl Link {
    fn client(&self, lane: Lane) -> Result<pb::peer_client::PeerClient<Channel>, RPCError<TypeConfig>> {
        self.network.pool.client(&self.address, lane).map_err(|status| rpc_error(&status))
    }

    fn sender(&self) -> Option<pb::Sender> {
        Some(self.network.pool.sender(self.target))
    }

    /// Waits for this link's turn to try, if the member was not reached at the last try.
    ///
    /// # Errors
    /// Another one was quicker. Come again.
    async fn turn(&self) -> Result<(), RPCError<TypeConfig>> {
        let gate = self.network.pool.gate();
        let Err(left) = gate.enter(&self.address, Instant::now()) else { return Ok(()) };
        Runtime::sleep(left).await;
        gate.enter(&self.address, Instant::now()).map_err(|_| rpc_error(&not_now()))
    }

    /// Tells what came of a try, to those that come after it.
    fn told<T>(&self, result: Result<T, Status>) -> Result<T, RPCError<TypeConfig>> {
        let gate = self.network.pool.gate();
        match &result {
            Ok(_) => gate.reached(&self.address),
            Err(status) => gate.failed(&self.address, status, Instant::now()),
        }
        result.map_err(|status| rpc_error(&status))
    }

    async fn ask_vote(
        &self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
        pre: bool,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let request = pb::VoteRequest {
            sender: self.sender(),
            vote: Some(codec::raft::vote_to(&rpc.vote)),
            last: rpc.last_log_id.as_ref().map(codec::raft::log_id_to),
            leadership_transfer: rpc.leadership_transfer,
            pre,
        };
        let mut client = self.client(Lane::Urgent)?;
        let answer = self.told(within(option.soft_ttl(), ask!("vote", self.target, client.vote(request))).await)?;
        convert::vote_response_from(&answer).map_err(|error| network_error(&error))
    }
}

impl RaftNetworkV2<TypeConfig> for Link {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        // A heartbeat doesn't wait for its turn: the next one comes soon.
        let entered = self.network.pool.gate().enter(&self.address, Instant::now());
        entered.map_err(|_| rpc_error(&not_now()))?;
        let request = convert::append_request_to(&rpc, self.sender());
        let client = self.network.pool.asking(&self.address, self.lane);
        let mut client = client.map_err(|status| rpc_error(&status))?;
        let answer = self.told(within(option.soft_ttl(), ask!("append", self.target, client.append(request))).await)?;
        convert::append_response_from(&answer).map_err(|error| network_error(&error))
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<
        's,
        Result<BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>>, RPCError<TypeConfig>>,
    >
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        if self.lane != Lane::Log {
            return stream_append_sequential(self, input, option);
        }
        Box::pin(async move {
            self.turn().await?;
            let way = self.told(self.network.pool.way_for_the_log(&self.address).await)?;
            let replies = self.told(append::open(way, self.sender(), input, self.network.reply_timeout).await)?;
            let replies: BoxStream<'s, _> = Box::pin(replies.map(|reply| match reply {
                Ok(answer) => convert::stream_response_from(&answer).map_err(|error| network_error(&error)),
                Err(status) => Err(rpc_error(&status)),
            }));
            Ok(replies)
        })
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.ask_vote(rpc, option, false).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.ask_vote(rpc, option, true).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<TypeConfig, SnapshotFile>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let client = self.network.pool.client(&self.address, Lane::Bulk).map_err(|status| streaming_error(&status))?;
        let snapshots = self.network.snapshots.clone();
        let sending: BoxFuture<'static, _> =
            Box::pin(send_snapshot(client, self.sender(), vote, snapshots, snapshot.snapshot));
        let sending = Runtime::timeout(option.soft_ttl(), sending);
        let sent = match Runtime::select2(cancel, sending).await {
            openraft_rt::Select2::First(closed) => return Err(StreamingError::Closed(closed)),
            openraft_rt::Select2::Second(sent) => sent,
        };
        let sent = sent.unwrap_or_else(|_| Err(Status::deadline_exceeded("the snapshot wasn't received in time")));
        // The consensus tries again and says nothing.
        sent.map(SnapshotResponse::new).map_err(|status| {
            tracing::warn!(member = self.target, error = %status.message(), "a snapshot couldn't be handed over");
            streaming_error(&status)
        })
    }

    async fn transfer_leader(
        &mut self,
        rpc: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        let request = pb::TransferLeaderRequest {
            sender: self.sender(),
            from: Some(codec::raft::vote_to(rpc.from_leader())),
            last: rpc.last_log_id().map(codec::raft::log_id_to),
            to: *rpc.to_node_id(),
        };
        let mut client = self.client(Lane::Urgent)?;
        let answer =
            self.told(within(option.soft_ttl(), ask!("transfer", self.target, client.transfer_leader(request))).await)?;
        convert::transfer_response_from(answer).map_err(|error| network_error(&error))
    }

    fn backoff(&self) -> Option<Backoff> {
        let pauses = std::iter::successors(Some(BACKOFF_MIN), |pause| Some((*pause * 2).min(BACKOFF_MAX)));
        Some(Backoff::new(pauses))
    }
}

async fn send_snapshot(
    mut client: pb::peer_client::PeerClient<Channel>,
    sender: Option<pb::Sender>,
    vote: Vote,
    snapshots: Snapshots,
    file: SnapshotFile,
) -> Result<Vote, Status> {
    let opened = runtime::blocking(move || snapshots.bytes(&file)).await;
    let (input, bytes) = opened.and_then(|opened| opened).map_err(|error| Status::internal(error.to_string()))?;
    let start = pb::SnapshotStart { sender, vote: Some(codec::raft::vote_to(&vote)), bytes };
    let start = pb::SnapshotChunk { chunk: Some(pb::snapshot_chunk::Chunk::Start(start)) };
    let chunks = futures::stream::unfold(Some(Input(input)), |input: Option<Input>| async move {
        let (input, data) = read_chunk(input?).await?;
        Some((pb::SnapshotChunk { chunk: Some(pb::snapshot_chunk::Chunk::Data(data)) }, Some(input)))
    });
    // A file that can't be read to its end makes a stream that is too short, which the other side refuses.
    let moved = Arc::new(Notify::new());
    let taken = moved.clone();
    let stream = futures::stream::once(async { start }).chain(chunks).inspect(move |_| taken.notify_one());
    #[cfg(madsim)]
    let stream = append::in_order("snapshot", sender.map_or(0, |sender| sender.to), stream);
    let answer = while_it_moves(&moved, client.install_snapshot(Request::new(stream))).await?.into_inner();
    codec::raft::vote_from(answer.vote.as_ref()).map_err(|error| Status::internal(error.to_string()))
}

/// A transfer, given up when it stands still for too long. What is lost on the way never fails by itself.
async fn while_it_moves<T>(
    moved: &Notify,
    transfer: impl Future<Output = Result<T, Status>> + Send,
) -> Result<T, Status> {
    let mut transfer = std::pin::pin!(transfer);
    loop {
        tokio::select! {
            ended = &mut transfer => return ended,
            moving = Runtime::timeout(SNAPSHOT_STALL, moved.notified()) => {
                moving.map_err(|_| Status::deadline_exceeded("the transfer of a snapshot stands still"))?;
            }
        }
    }
}

/// A file that is read.
struct Input(Box<dyn Read + Send>);

async fn read_chunk(mut input: Input) -> Option<(Input, Bytes)> {
    let read = runtime::blocking(move || {
        let mut data = Vec::with_capacity(SNAPSHOT_CHUNK_BYTES);
        let read = (&mut input.0).take(SNAPSHOT_CHUNK_BYTES as u64).read_to_end(&mut data);
        read.map(|_| (input, Bytes::from(data)))
    });
    match read.await {
        Ok(Ok((input, data))) if !data.is_empty() => Some((input, data)),
        Ok(Ok(_)) => None,
        Ok(Err(error)) | Err(error) => {
            tracing::warn!(%error, "a snapshot can't be read while it is sent");
            None
        }
    }
}

async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<tonic::Response<T>, Status>> + Send,
) -> Result<T, Status> {
    match Runtime::timeout(limit, call).await {
        Ok(answer) => Ok(answer?.into_inner()),
        Err(_) => Err(Status::deadline_exceeded("no answer in time")),
    }
}

fn not_now() -> Status {
    Status::unavailable("the member was not reached a moment ago")
}

/// Everything that isn't an answer waits before the next try; retrying at once would only heat a member that is down.
fn rpc_error(status: &Status) -> RPCError<TypeConfig> {
    RPCError::Unreachable(Unreachable::new(&AnyError::error(describe(status))))
}

fn streaming_error(status: &Status) -> StreamingError<TypeConfig> {
    StreamingError::Unreachable(Unreachable::new(&AnyError::error(describe(status))))
}

fn network_error(error: &codec::DecodeError) -> RPCError<TypeConfig> {
    RPCError::Network(NetworkError::new(error))
}

fn describe(status: &Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}
