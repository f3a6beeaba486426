//! Connections between members that carry frames of our own, without gRPC around them.
//!
//! A message of gRPC is handed on between two tasks at each end, with headers and flow control of its own; where one client waits for each entry, that
//! costs the processors as much as the consensus. On a link both ends read and write the socket in one task. [`log`] carries the log's stream,
//! [`asks`] the calls that are made all the time. Everything else stays with gRPC, and so do these with a member that has no links.
//!
//! A link begins with a preface from both sides, first of whoever dials, which says what it carries. The port of a member of a version
//! before links speaks HTTP/2 alone: it answers something else, or breaks the handshake of TLS off. After the preface come frames: a length in four
//! bytes, the greatest first, and a message of `ringfence.peer.v1`.

pub mod asks;
pub mod log;
#[cfg(test)]
mod tests;

use std::{io, marker::PhantomData, sync::Arc, time::Duration};

use bytes::{Buf, BufMut, BytesMut};
use futures::FutureExt;
use openraft_rt::AsyncRuntime;
use prost::Message;
use ringfence_proto::peer as pb;
use ringfence_tls::{ConnectFailure, Connector};
use rustix::net::sockopt;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_util::codec::{Decoder, Encoder};
use tonic::{Code, Status};

use super::{MESSAGE_BYTES_MAX, service::PeerService};
use crate::{
    incoming::{Connection, Diverted},
    limits::HANDSHAKE_TIMEOUT,
    raft::runtime::Runtime,
};

/// The name of all links where TLS asks for one (ALPN).
pub const PROTOCOL: &[u8] = b"ringfence-link";

/// Bytes of what both sides begin with: a name, a version, and the kind. HTTP begins with another first byte.
const PREFACE_BYTES: usize = 8;

/// Bytes that aren't acknowledged for so long, and as much silence after questions whether anybody is there, end a connection. Nothing else
/// would, where the other machine is gone.
const SILENCE_MAX: Duration = Duration::from_secs(4);

/// What a link carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// See [`log`].
    Log,
    /// See [`asks`].
    Asks,
}

impl Kind {
    /// What a link of the kind begins with.
    fn preface(self) -> [u8; PREFACE_BYTES] {
        match self {
            Self::Log => *b"RFLINK\x01L",
            Self::Asks => *b"RFLINK\x01A",
        }
    }

    fn of(preface: [u8; PREFACE_BYTES]) -> Option<Self> {
        [Self::Log, Self::Asks].into_iter().find(|kind| kind.preface() == preface)
    }
}

/// What carries a link's bytes.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Messages in frames: those that are sent, and those that come.
pub struct Frames<Sent, Come>(PhantomData<fn(Sent) -> Come>);

impl<Sent, Come> Frames<Sent, Come> {
    /// Without any.
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<Sent: Message, Come> Encoder<Sent> for Frames<Sent, Come> {
    type Error = Status;

    fn encode(&mut self, message: Sent, bytes: &mut BytesMut) -> Result<(), Status> {
        let length = message.encoded_len();
        let stated = u32::try_from(length).ok().filter(|_| length <= MESSAGE_BYTES_MAX);
        let stated = stated.ok_or_else(|| Status::out_of_range(format!("a message of {length} bytes is too long")))?;
        bytes.reserve(size_of::<u32>() + length);
        bytes.put_u32(stated);
        message.encode(bytes).map_err(|error| Status::internal(error.to_string()))
    }
}

impl<Sent, Come: Message + Default> Decoder for Frames<Sent, Come> {
    type Item = Come;
    type Error = Status;

    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<Come>, Status> {
        let Some(stated) = bytes.first_chunk().copied().map(u32::from_be_bytes) else { return Ok(None) };
        let length = usize::try_from(stated).unwrap_or(usize::MAX);
        if length > MESSAGE_BYTES_MAX {
            return Err(Status::out_of_range(format!("a frame of {length} bytes is too long")));
        }
        let whole = size_of::<u32>() + length;
        if bytes.len() < whole {
            bytes.reserve(whole - bytes.len());
            return Ok(None);
        }
        let mut frame = bytes.split_to(whole).freeze();
        frame.advance(size_of::<u32>());
        let message = Come::decode(frame).map_err(|error| Status::invalid_argument(error.to_string()))?;
        Ok(Some(message))
    }
}

/// The last word on a link, or the answer to a call that failed.
fn end(status: &Status) -> pb::LinkEnd {
    pb::LinkEnd { code: i32::from(status.code()), message: status.message().to_owned() }
}

/// The status that [`end`] was made of.
fn status(end: pb::LinkEnd) -> Status {
    Status::new(Code::from_i32(end.code), end.message)
}

/// How a member's peer port is reached.
#[derive(Clone)]
pub struct Port {
    /// Where it is.
    pub address: String,
    /// If it has TLS.
    pub tls: Option<Connector>,
    /// How long it may take.
    pub patience: Duration,
}

/// Makes a connection to a peer port, and asks for a link on it. `None` if the member has none. Cancel safe.
///
/// # Errors
/// That no connection was made in time, or it ended: [`Code::Unavailable`], with the system's error as its source if there is one.
pub async fn dial(port: &Port, kind: Kind) -> Result<Option<Box<dyn Wire>>, Status> {
    let late = |_| Err(Status::unavailable(format!("{}: no connection in time", port.address)));
    Runtime::timeout(port.patience, dial_for_long(port, kind)).await.unwrap_or_else(late)
}

async fn dial_for_long(Port { address, tls, .. }: &Port, kind: Kind) -> Result<Option<Box<dyn Wire>>, Status> {
    let Some(tls) = tls else {
        let stream = TcpStream::connect(address).await.map_err(|error| unreachable(address, error))?;
        let prepared = stream.set_nodelay(true).and_then(|()| watch_over(&stream));
        prepared.map_err(|error| unreachable(address, error))?;
        return boxed(address, begin(stream, kind).await);
    };
    match tls.dial(address, PROTOCOL).await {
        Ok(stream) => {
            watch_over(stream.get_ref().0).map_err(|error| unreachable(address, error))?;
            boxed(address, begin(stream, kind).await)
        }
        Err(ConnectFailure::Unreachable(error)) => Err(unreachable(address, error)),
        // Either the member knows no links, or its certificate is to blame, which gRPC tells.
        Err(_) => Ok(None),
    }
}

fn boxed<W: Wire + 'static>(address: &str, begun: io::Result<Option<W>>) -> Result<Option<Box<dyn Wire>>, Status> {
    let begun = begun.map_err(|error| unreachable(address, error))?;
    Ok(begun.map(|wire| Box::new(wire) as Box<dyn Wire>))
}

fn unreachable(address: &str, error: io::Error) -> Status {
    let mut status = Status::unavailable(format!("{address}: {error}"));
    status.set_source(Arc::new(error));
    status
}

/// A connection whose other end is gone, without a word, ends by itself.
fn watch_over(stream: &TcpStream) -> io::Result<()> {
    let silence_ms = u32::try_from(SILENCE_MAX.as_millis()).unwrap_or(u32::MAX);
    sockopt::set_tcp_user_timeout(stream, silence_ms)?;
    sockopt::set_tcp_keepidle(stream, SILENCE_MAX / 2)?;
    sockopt::set_tcp_keepintvl(stream, SILENCE_MAX / 4)?;
    sockopt::set_socket_keepalive(stream, true)?;
    Ok(())
}

/// Asks for a link on a connection that was made. `None` if the other side speaks something else.
async fn begin<W: Wire>(mut wire: W, kind: Kind) -> io::Result<Option<W>> {
    let wanted = kind.preface();
    wire.write_all(&wanted).await?;
    wire.flush().await?;
    let (mut answer, mut heard) = ([0; PREFACE_BYTES], 0);
    while heard < answer.len() {
        let (_, rest) = answer.split_at_mut(heard);
        heard += match wire.read(rest).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => read,
        };
        // What else it has to say may be shorter.
        if !answer.iter().zip(&wanted).take(heard).all(|(heard, wanted)| heard == wanted) {
            return Ok(None);
        }
    }
    Ok(Some(wire))
}

/// Serves links for this service.
pub fn served_by(service: &Arc<PeerService>) -> Diverted {
    let service = service.clone();
    Arc::new(move |connection| serve(connection, service.clone()).boxed())
}

async fn serve(mut connection: Connection, service: Arc<PeerService>) {
    let agreed = async {
        watch_over(connection.tcp())?;
        let mut preface = [0; PREFACE_BYTES];
        connection.read_exact(&mut preface).await?;
        let Some(kind) = Kind::of(preface) else { return Ok(None) };
        connection.write_all(&preface).await?;
        connection.flush().await?;
        io::Result::Ok(Some(kind))
    };
    match Runtime::timeout(HANDSHAKE_TIMEOUT, agreed).await {
        Ok(Ok(Some(Kind::Log))) => log::serve(connection, service).await,
        Ok(Ok(Some(Kind::Asks))) => asks::serve(connection, service).await,
        Ok(Ok(None)) => tracing::debug!("a connection to the peer port speaks neither HTTP nor the protocol of links"),
        Ok(Err(error)) => tracing::debug!(%error, "a link didn't come about"),
        Err(_) => tracing::debug!("a link didn't come about in time"),
    }
}
