//! A dialled connection on which the server has spoken.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

/// How long the server's first word is waited for. Ours say it at once, as HTTP/2 lets them; one that waits for the client's is taken as it is.
const GREETING_WAIT: Duration = Duration::from_millis(300);

/// See the module.
#[derive(Debug)]
pub struct Greeted {
    stream: TlsStream<TcpStream>,
    /// What the server said first, from `taken` on not read yet.
    early: Vec<u8>,
    taken: usize,
}

impl Greeted {
    /// Waits for the first word.
    ///
    /// # Errors
    /// What the server says instead: its alert, if it doesn't accept this side's certificate; the end of the connection.
    pub(crate) async fn by_server(mut stream: TlsStream<TcpStream>) -> io::Result<Self> {
        let mut early = vec![0; 256];
        let read = match tokio::time::timeout(GREETING_WAIT, stream.read(&mut early)).await {
            Ok(Ok(0)) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed after the handshake")),
            Ok(read) => read?,
            Err(_) => 0,
        };
        early.truncate(read);
        Ok(Self { stream, early, taken: 0 })
    }
}

impl AsyncRead for Greeted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = self.early.get(self.taken..).unwrap_or_default();
        if left.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let count = left.len().min(buffer.remaining());
        buffer.put_slice(left.get(..count).unwrap_or_default());
        self.taken += count;
        if self.taken == self.early.len() {
            self.early = Vec::new();
            self.taken = 0;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Greeted {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
