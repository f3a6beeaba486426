//! Connections as they come, on either port: counted, without Nagle's delay, after their TLS handshake where the port has TLS, and with a
//! time limit on their first byte.
//!
//! Handshakes run beside each other and beside accepting. They count as open connections from the start.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Once,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::Stream;
use ringfence_link::preface;
use ringfence_tls::{Accepted, Acceptor};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Sleep, sleep, timeout},
};
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::{
    limits::{CONNECTIONS_MAX, FILES_RESERVED, FIRST_BYTE_TIMEOUT, HANDSHAKE_TIMEOUT},
    open_files,
};

/// How long accepting rests after the system refused it. Without a rest the error would come again at once, for ever.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// The connections of a port.
pub struct Incoming {
    listener: TcpListener,
    open: Arc<AtomicUsize>,
    most: usize,
    rest: Option<Pin<Box<Sleep>>>,
    tls: Option<Acceptor>,
    sorted: bool,
    /// Those whose handshake isn't over, or that have said nothing yet; `None` comes of one that failed. They end with this value.
    handshakes: JoinSet<Option<Connection>>,
    /// Looks after the certificates, as long as this value lives.
    keeper: JoinSet<()>,
}

/// The limit on files is the whole process's: one warning is enough.
static FEW_FILES: Once = Once::new();

impl Incoming {
    /// Opens a port.
    ///
    /// # Errors
    /// What the system says.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let files = open_files::limit();
        let most = CONNECTIONS_MAX.min(files.saturating_sub(FILES_RESERVED).max(1));
        if most < CONNECTIONS_MAX {
            FEW_FILES.call_once(|| {
                tracing::warn!(
                    "the system allows {files} open files, so that at most {most} connections are taken at a time; raise it with \
                     ulimit -n or LimitNOFILE="
                );
            });
        }
        Ok(Self {
            listener,
            open: Arc::default(),
            most,
            rest: None,
            tls: None,
            sorted: false,
            handshakes: JoinSet::new(),
            keeper: JoinSet::new(),
        })
    }

    /// Takes connections with TLS alone. Must be called within the runtime.
    #[must_use]
    pub fn with_tls(mut self, acceptor: Acceptor) -> Self {
        self.keeper.spawn(acceptor.clone().keep());
        self.tls = Some(acceptor);
        self
    }

    /// Connections say whether they are [links](Connection::is_link): they come when they have begun.
    #[must_use]
    pub fn sorted(self) -> Self {
        Self { sorted: true, ..self }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Stream for Incoming {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match self.handshakes.poll_join_next(context) {
                Poll::Ready(Some(Ok(Some(connection)))) => return Poll::Ready(Some(Ok(connection))),
                Poll::Ready(Some(_)) => continue,
                Poll::Ready(None) | Poll::Pending => {}
            }
            if let Some(rest) = &mut self.rest {
                ready!(rest.as_mut().poll(context));
                self.rest = None;
            }
            match ready!(self.listener.poll_accept(context)) {
                Ok((stream, peer)) => {
                    if self.open.load(Ordering::Relaxed) >= self.most {
                        tracing::warn!(%peer, most = self.most, "a connection was closed at once: too many are open");
                        continue;
                    }
                    // An answer is one small write: it must not wait for more.
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%peer, %error, "TCP_NODELAY can't be set");
                    }
                    let counted = Counted::new(&self.open);
                    let (tls, sorted) = (self.tls.clone(), self.sorted);
                    if tls.is_none() && !sorted {
                        return Poll::Ready(Some(Ok(Connection::new(Wire::Plain(stream), false, counted))));
                    }
                    self.handshakes.spawn(async move {
                        let (wire, is_link) = match tls {
                            Some(acceptor) => {
                                let accepted = acceptor.accept(stream, peer, HANDSHAKE_TIMEOUT).await?;
                                let is_link = asks_for_link(&accepted);
                                (Wire::Tls(Box::new(accepted)), is_link)
                            }
                            None => {
                                let begins = timeout(FIRST_BYTE_TIMEOUT, preface::begins(&stream));
                                let is_link = begins.await.ok()?.ok()?;
                                (Wire::Plain(stream), is_link)
                            }
                        };
                        Some(Connection::new(wire, is_link, counted))
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    self.rest = Some(Box::pin(sleep(ACCEPT_REST)));
                }
            }
        }
    }
}

/// Whoever names no protocol speaks HTTP.
fn asks_for_link(accepted: &Accepted) -> bool {
    accepted.get_ref().1.alpn_protocol() == Some(ringfence_link::PROTOCOL)
}

/// One of the open connections.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(open.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What carries the bytes.
enum Wire {
    Plain(TcpStream),
    Tls(Box<Accepted>),
}

/// Does the same with either.
macro_rules! on_wire {
    ($connection:expr, $stream:ident => $do:expr) => {
        match &mut $connection.wire {
            Wire::Plain($stream) => $do,
            Wire::Tls($stream) => $do,
        }
    };
}

/// A connection.
pub struct Connection {
    wire: Wire,
    is_link: bool,
    /// Until the first byte has come.
    silence: Option<Pin<Box<Sleep>>>,
    _counted: Counted,
}

impl Connection {
    fn new(wire: Wire, is_link: bool, counted: Counted) -> Self {
        Self { wire, is_link, silence: Some(Box::pin(sleep(FIRST_BYTE_TIMEOUT))), _counted: counted }
    }

    /// Whether it is a link, on a port whose connections are sorted. Everything else is taken for HTTP.
    pub fn is_link(&self) -> bool {
        self.is_link
    }

    /// What is below TLS, if there is any.
    pub fn tcp(&self) -> &TcpStream {
        match &self.wire {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.tcp().connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = on_wire!(self, stream => Pin::new(stream).poll_read(context, buffer));
        if let Some(silence) = &mut self.silence {
            if read.is_ready() {
                self.silence = None;
            } else if silence.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the connection said nothing")));
            }
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        on_wire!(self, stream => Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_wire!(self, stream => Pin::new(stream).poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.wire {
            Wire::Plain(stream) => stream.is_write_vectored(),
            Wire::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_wire!(self, stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_wire!(self, stream => Pin::new(stream).poll_shutdown(context))
    }
}
