//! Backups: the state at one revision as a stream of chunks, while the member goes on.
//!
//! A backup begins with a clone of the state, which costs nothing, and is read from that at the pace at which the client takes
//! it. A client that doesn't read costs [`CHUNKS_WAITING_MAX`] chunks, the connection's window and what the state has changed
//! since; after [`TAKEN_WITHIN`] it is given up.

use std::{pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{Stream, StreamExt, future, stream};
use ringfence_core::{State, query::Stats};
use ringfence_proto::v1::{ClusterBackupResponse, ResponseHeader};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::errors;
use crate::{
    proposer::wall_ms,
    raft::backup::{self, Origin},
    stopping::Stopping,
};

/// Backups that a member gives at a time: each holds on to a state of its own and keeps a processor busy. Two, so that one
/// that hangs doesn't bar the next.
pub const BACKUPS_MAX: usize = 2;
/// Bytes of a chunk at most: well within what gRPC takes for a message.
const CHUNK_BYTES_MAX: usize = 1 << 20;
/// Chunks that wait for a client who doesn't read.
const CHUNKS_WAITING_MAX: usize = 2;
/// How long a chunk may wait: while it does, an old state is held on to.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);

/// What a client is sent.
pub type Chunks = Pin<Box<dyn Stream<Item = Result<ClusterBackupResponse, Status>> + Send>>;

/// Gives backups.
pub struct Backups {
    cluster_name: String,
    running: Arc<Semaphore>,
    stopping: Stopping,
}

/// The right to one backup.
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Backups {
    /// Of the cluster with this name, until the server stops.
    pub fn new(cluster_name: String, stopping: Stopping) -> Self {
        Self { cluster_name, running: Arc::new(Semaphore::new(BACKUPS_MAX)), stopping }
    }

    /// A place, if there is one.
    ///
    /// # Errors
    /// The status of that there is none.
    pub fn place(&self) -> Result<Place, Status> {
        let permit = self.running.clone().try_acquire_owned();
        permit.map(|_permit| Place { _permit }).map_err(|_| errors::backups_running(BACKUPS_MAX))
    }

    /// Begins a backup of this state, which the header's revision is of.
    pub fn begin(&self, place: Place, state: State, header: ResponseHeader) -> Chunks {
        let (sender, receiver) = mpsc::channel(CHUNKS_WAITING_MAX);
        let (failed, failure) = oneshot::channel();
        let (name, stopping) = (self.cluster_name.clone(), self.stopping.clone());
        tokio::spawn(async move {
            let done = tokio::select! {
                biased;
                () = sender.closed() => Ok(()),
                () = stopping.wait() => Err(errors::stopping()),
                done = write(state, header, name, &sender) => done,
            };
            drop(place);
            if let Err(status) = done {
                // Nobody may be there any more to hear it.
                let _ = failed.send(status);
            }
        });
        // Told after the chunks that wait, for which there may be no room behind them.
        let farewell = stream::once(failure).filter_map(|failed| future::ready(failed.ok().map(Err)));
        Box::pin(ReceiverStream::new(receiver).map(Ok).chain(farewell))
    }
}

async fn write(
    state: State,
    header: ResponseHeader,
    cluster_name: String,
    sender: &mpsc::Sender<ClusterBackupResponse>,
) -> Result<(), Status> {
    let broken = |error: std::io::Error| errors::backup_failed(&error.to_string());
    let origin = Origin { cluster: header.cluster_id, cluster_name, node: header.node_id, taken_wall_ms: wall_ms() };
    let stats = state.read(&Stats).map_err(errors::refused)?;
    let (keys, sessions) = (stats.keys, stats.sessions);
    let first = ClusterBackupResponse { header: Some(header), keys, sessions, ..ClusterBackupResponse::default() };
    send(sender, first).await?;
    let mut frames = backup::begin(origin, &state).map_err(broken)?;
    let mut records = 0;
    // A frame takes about a millisecond; in between others have their turn.
    for gathered in backup::gathered(&state) {
        frames.write(&gathered.raw).map_err(broken)?;
        records += gathered.records;
        send_file(sender, std::mem::take(frames.out()), records).await?;
    }
    frames.end().map_err(broken)?;
    send_file(sender, std::mem::take(frames.out()), records).await?;
    send(sender, ClusterBackupResponse { records, complete: true, ..ClusterBackupResponse::default() }).await
}

/// Sends what the file has grown by.
async fn send_file(sender: &mpsc::Sender<ClusterBackupResponse>, grown: Vec<u8>, records: u64) -> Result<(), Status> {
    let mut grown = Bytes::from(grown);
    while !grown.is_empty() {
        let chunk = grown.split_to(grown.len().min(CHUNK_BYTES_MAX));
        send(sender, ClusterBackupResponse { chunk, records, ..ClusterBackupResponse::default() }).await?;
    }
    Ok(())
}

async fn send(sender: &mpsc::Sender<ClusterBackupResponse>, response: ClusterBackupResponse) -> Result<(), Status> {
    match timeout(TAKEN_WITHIN, sender.send(response)).await {
        // Who doesn't listen any more isn't told.
        Ok(_) => Ok(()),
        Err(_) => Err(errors::backup_too_slow(TAKEN_WITHIN)),
    }
}
