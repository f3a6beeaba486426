//! The side that dials.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::{ClientConfig, RootCertStore, client::Resumption, pki_types::ServerName, sign::SingleCertAndKey};
use tokio::{net::TcpStream, time::Instant};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tower_service::Service;

use crate::{
    HTTP,
    error::TlsError,
    greeted::Greeted,
    group::Group,
    material::{Material, provider, server_name},
    renewed::Renewed,
    words::{self, Side, Why},
};

/// A connection that both sides accept.
pub type Dialled = TokioIo<Greeted>;

/// The same failure at the same address is told no more often.
const WARNING_PAUSE: Duration = Duration::from_secs(60);

/// Why no connection was made: nothing was sent on it.
#[derive(Debug, thiserror::Error)]
pub enum ConnectFailure {
    /// There is no connection below TLS.
    #[error("{0}")]
    Unreachable(#[from] io::Error),
    /// One side doesn't trust the other's certificate, or speaks no TLS. It stays so until somebody does something; the message says what.
    #[error("{0}")]
    Untrusted(String),
    /// The connection broke off during the handshake.
    #[error("the TLS handshake broke off: {0}")]
    Broken(String),
}

/// Makes connections with a group's certificates, for tonic's `connect_with_connector`. A clone is the same.
#[derive(Clone)]
pub struct Connector {
    renewed: Arc<Renewed<ClientConfig>>,
    name: Option<ServerName<'static>>,
    told: Option<Told>,
}

/// What was warned of last, by address.
type Told = Arc<Mutex<HashMap<String, (String, Instant)>>>;

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connector({:?})", self.renewed.group())
    }
}

impl Connector {
    /// Reads the group's files. A server's certificate must be signed by one of the group's CAs, and be for the host that is dialled, or for
    /// `name` if one is given.
    ///
    /// # Errors
    /// What is wrong with the files; a group without CAs; a name that is none.
    pub fn new(group: Group, name: Option<&str>) -> Result<Self, TlsError> {
        let of_name = |name: &str| {
            let why = "is no name of a host, and no IP address".to_owned();
            server_name(name).ok_or(TlsError::Form { file: format!("the server name {name:?}"), why })
        };
        let name = name.map(of_name).transpose()?;
        Ok(Self { renewed: Arc::new(Renewed::new(group, config)?), name, told: None })
    }

    /// The same, which warns in the log where certificates keep it from an address.
    #[must_use]
    pub fn telling(mut self) -> Self {
        self.told = Some(Told::default());
        self
    }

    /// Makes a connection to a host and port that asks for this protocol instead of [`HTTP`], where the dialler speaks first: only the
    /// server's answer says that it accepts this side's certificate. Failures aren't warned of in the log.
    ///
    /// # Errors
    /// See [`ConnectFailure`]; a server that doesn't know the protocol breaks the handshake off. Cancel safe.
    pub async fn dial(&self, address: &str, protocol: &[u8]) -> Result<TlsStream<TcpStream>, ConnectFailure> {
        let uri = Uri::try_from(address).map_err(|error| ConnectFailure::Untrusted(format!("{address}: {error}")))?;
        let host = Host::of(self, &uri)?;
        let mut config = self.renewed.current().await;
        Arc::make_mut(&mut config).alpn_protocols = vec![protocol.to_vec()];
        let stream = host.reach().await?;
        let shaken = TlsConnector::from(config).connect(host.name.clone(), stream).await;
        shaken.map_err(|error| self.judge(&error, &host.name.to_str()))
    }

    async fn connect(self, uri: Uri) -> Result<Dialled, ConnectFailure> {
        let host = Host::of(&self, &uri)?;
        let config = self.renewed.current().await;
        let stream = host.reach().await?;
        let dialled = async {
            let stream = TlsConnector::from(config).connect(host.name.clone(), stream).await?;
            Greeted::by_server(stream).await
        };
        let failure = match dialled.await {
            Ok(greeted) => return Ok(TokioIo::new(greeted)),
            Err(error) => self.judge(&error, &host.name.to_str()),
        };
        if let ConnectFailure::Untrusted(why) = &failure {
            self.tell(&format!("{}:{}", host.host, host.port), why);
        }
        Err(failure)
    }

    fn judge(&self, error: &io::Error, host: &str) -> ConnectFailure {
        let group = self.renewed.group();
        let side = Side::Dialling { host, ca: &group.ca_name(), presents: group.identity.is_some() };
        match words::judge(error, side) {
            Why::Untrusted(why) => ConnectFailure::Untrusted(why),
            Why::Broken(why) => ConnectFailure::Broken(why),
            Why::Closed => ConnectFailure::Broken("the server closed the connection".to_owned()),
        }
    }

    fn tell(&self, address: &str, why: &str) {
        let Some(told) = &self.told else { return };
        let mut told = told.lock();
        let lately = told.get(address).is_some_and(|(before, at)| before == why && at.elapsed() < WARNING_PAUSE);
        if !lately {
            told.insert(address.to_owned(), (why.to_owned(), Instant::now()));
            drop(told);
            tracing::warn!(address, why, "no TLS connection could be made");
        }
    }
}

/// What is dialled, and the name that its certificate must have.
struct Host<'a> {
    host: &'a str,
    port: u16,
    name: ServerName<'static>,
}

impl<'a> Host<'a> {
    fn of(connector: &Connector, uri: &'a Uri) -> Result<Self, ConnectFailure> {
        let host = uri.host().unwrap_or_default();
        let port = uri.port_u16().ok_or_else(|| ConnectFailure::Untrusted(format!("{uri} names no port")))?;
        let name = connector.name.clone().or_else(|| server_name(host));
        let name = name
            .ok_or_else(|| ConnectFailure::Untrusted(format!("{host:?} is no host that a certificate could be for")))?;
        Ok(Self { host, port, name })
    }

    async fn reach(&self) -> Result<TcpStream, ConnectFailure> {
        let host = self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(self.host);
        let stream = TcpStream::connect((host, self.port)).await?;
        // A request is one small write: it must not wait for more.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Service<Uri> for Connector {
    type Response = Dialled;
    type Error = ConnectFailure;
    type Future = Pin<Box<dyn Future<Output = Result<Dialled, ConnectFailure>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), ConnectFailure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

fn config(material: &Material) -> Result<ClientConfig, TlsError> {
    let form = |why: String| TlsError::Form { file: "the CA".to_owned(), why };
    let roots: Arc<RootCertStore> = material
        .roots
        .clone()
        .ok_or_else(|| form("is missing; the server's certificate is held against it".to_owned()))?;
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| form(error.to_string()))?.with_root_certificates(roots);
    let mut config = match &material.identity {
        Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.clone()))),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![HTTP.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}
