//! Links: connections that carry frames of our own, without gRPC around them.
//!
//! A message of gRPC is handed on between two tasks at each end, with headers and flow control of its own. On a link each end reads and writes
//! the socket in the task that has something to say. What is said is what gRPC's messages say, and whoever has no links is spoken to over gRPC.
//!
//! A link begins with a [preface] from both sides, first of whoever dials, which says what it carries. It comes to the port that gRPC has:
//! HTTP/2 begins with another byte. A port without links answers something else, or breaks the handshake of TLS off. After the preface come
//! [frames](Frames).

mod answered;
mod carried;
mod dial;
mod frames;
pub mod preface;
#[cfg(test)]
mod tests;

use std::{io, time::Duration};

use rustix::net::sockopt;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

pub use answered::{Asked, Rules, answer};
pub use carried::{Carried, carry};
pub use dial::{DialError, Port, dial};
pub use frames::Frames;

/// The name of all links where TLS asks for one (ALPN).
pub const PROTOCOL: &[u8] = b"ringfence-link";

/// What a link carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Between members: the log's stream, `AppendRequest` there and `LinkAnswer` back.
    Log,
    /// Between members: the calls that are made all the time, `LinkAsk` there and `LinkReply` back.
    Asks,
    /// A client's calls: `PipelineRequest` there and `PipelineResponse` back.
    Calls,
    /// A client's watches: `WatchRequest` there and `WatchResponse` back.
    Watches,
}

/// What carries a link's bytes.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Has the system end a connection by itself whose other end is gone without a word: bytes that aren't acknowledged for so long end it, and so
/// does as much silence after questions whether anybody is there.
///
/// # Errors
/// What the system says.
pub fn watch_over(stream: &TcpStream, silence: Duration) -> io::Result<()> {
    let silence_ms = u32::try_from(silence.as_millis()).unwrap_or(u32::MAX);
    sockopt::set_tcp_user_timeout(stream, silence_ms)?;
    sockopt::set_tcp_keepidle(stream, silence / 2)?;
    sockopt::set_tcp_keepintvl(stream, silence / 4)?;
    sockopt::set_socket_keepalive(stream, true)?;
    Ok(())
}
