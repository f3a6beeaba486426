//! Links between members, see [`ringfence_link`].
//!
//! Where one client waits for each entry, gRPC costs the processors as much as the consensus. [`log`] carries the log's stream, [`asks`] the
//! calls that are made all the time. Everything else stays with gRPC, and so do these with a member of a version before links.

pub mod asks;
pub mod log;
#[cfg(test)]
mod tests;

use std::{io, sync::Arc, time::Duration};

use futures::{Stream, StreamExt, future};
use openraft_rt::AsyncRuntime;
use ringfence_link::{Frames, Kind, preface, watch_over};
use ringfence_proto::peer as pb;
use tokio::task::JoinSet;
use tonic::{Code, Status};

use super::{MESSAGE_BYTES_MAX, service::PeerService};
use crate::{incoming::Connection, limits::HANDSHAKE_TIMEOUT, raft::runtime::Runtime};

/// A connection to another machine that is gone ends after so long. Nothing else would end it.
pub const SILENCE_MAX: Duration = Duration::from_secs(4);

/// Messages between members.
const fn frames<Sent, Come>() -> Frames<Sent, Come> {
    Frames::new(MESSAGE_BYTES_MAX)
}

/// The last word on a link, or the answer to a call that failed.
fn end(status: &Status) -> pb::LinkEnd {
    pb::LinkEnd { code: i32::from(status.code()), message: status.message().to_owned() }
}

/// The status that [`end`] was made of.
fn status(end: pb::LinkEnd) -> Status {
    Status::new(Code::from_i32(end.code), end.message)
}

/// Serves links for this service; gives the other connections. Links end with the stream.
pub fn beside_http(
    incoming: impl Stream<Item = io::Result<Connection>>,
    service: Arc<PeerService>,
) -> impl Stream<Item = io::Result<Connection>> {
    let mut links = JoinSet::new();
    incoming.filter_map(move |connection| {
        while links.try_join_next().is_some() {}
        future::ready(match connection {
            Ok(link) if link.is_link() => {
                links.spawn(serve(link, service.clone()));
                None
            }
            other => Some(other),
        })
    })
}

async fn serve(mut connection: Connection, service: Arc<PeerService>) {
    let agreed = async {
        watch_over(connection.tcp(), SILENCE_MAX)?;
        preface::agree(&mut connection, &[Kind::Log, Kind::Asks]).await
    };
    match Runtime::timeout(HANDSHAKE_TIMEOUT, agreed).await {
        Ok(Ok(Some(Kind::Log))) => log::serve(connection, service).await,
        Ok(Ok(Some(_))) => asks::serve(connection, service).await,
        Ok(Ok(None)) => tracing::debug!("a link of a kind that members have none of was refused"),
        Ok(Err(error)) => tracing::debug!(%error, "a link didn't come about"),
        Err(_) => tracing::debug!("a link didn't come about in time"),
    }
}
