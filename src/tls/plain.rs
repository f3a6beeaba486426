//! An answer for those who come without TLS, in their own words: HTTP/2 has an error for it, and a place for a sentence.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The sentence.
pub const TLS_ALONE: &str = "this port takes connections with TLS alone";

/// How a client of HTTP/2 begins: `PRI * HTTP/2.0`. No handshake of TLS begins so.
const BEGINNING: u8 = b'P';
/// Empty SETTINGS, with which a server of HTTP/2 must begin.
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
/// The type of the frame that ends a connection.
const GOAWAY: u8 = 7;
/// Its code for a connection that isn't secure enough.
const INADEQUATE_SECURITY: [u8; 4] = [0, 0, 0, 0xc];

/// Looks at the first byte, and leaves it where it is. Cancel safe.
pub(crate) async fn speaks_http(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    Ok(stream.peek(&mut first).await? > 0 && first == [BEGINNING])
}

/// Says why nothing is served here, and waits for the other side to close: what it has sent and nobody has read would
/// take the answer from it. Who calls bounds the wait.
pub(crate) async fn refuse(mut stream: TcpStream) {
    let mut answer = SETTINGS.to_vec();
    let length = u8::try_from(8 + TLS_ALONE.len()).unwrap_or(u8::MAX);
    answer.extend([0, 0, length, GOAWAY, 0, 0, 0, 0, 0]);
    // No stream was served.
    answer.extend([0; 4]);
    answer.extend(INADEQUATE_SECURITY);
    answer.extend(TLS_ALONE.as_bytes());
    if stream.write_all(&answer).await.is_err() || stream.shutdown().await.is_err() {
        return;
    }
    let mut unread = [0; 1024];
    while stream.read(&mut unread).await.is_ok_and(|count| count > 0) {}
}
