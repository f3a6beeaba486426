//! The side that listens.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use rustls::{
    ServerConfig,
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    sign::SingleCertAndKey,
};
use tokio::{net::TcpStream, time::Instant};

use crate::{
    HTTP,
    error::TlsError,
    group::Group,
    material::{Material, provider},
    plain,
    renewed::Renewed,
    words::{self, Side, Why},
};

/// A connection after its handshake.
pub type Accepted = tokio_rustls::server::TlsStream<TcpStream>;

/// Failed handshakes are told as warnings no more often: whoever can reach the port could fill the disk with them.
const WARNING_PAUSE: Duration = Duration::from_secs(1);

/// Takes connections with a group's certificates. A clone is the same.
#[derive(Clone)]
pub struct Acceptor {
    renewed: Arc<Renewed<ServerConfig>>,
    warned: Arc<Mutex<Option<Instant>>>,
    also: Vec<Vec<u8>>,
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Acceptor({:?})", self.renewed.group())
    }
}

impl Acceptor {
    /// Reads the group's files. With CAs, whoever connects must present a certificate that one of them signed.
    ///
    /// # Errors
    /// What is wrong with the files; a group without a certificate of its own.
    pub fn new(group: Group) -> Result<Self, TlsError> {
        Ok(Self { renewed: Arc::new(Renewed::new(group, config)?), warned: Arc::default(), also: Vec::new() })
    }

    /// The same, which also takes those that ask for this protocol (ALPN) instead of [`HTTP`].
    #[must_use]
    pub fn also(mut self, protocol: &[u8]) -> Self {
        self.also.push(protocol.to_vec());
        self
    }

    /// Looks at the files every few seconds, and warns before the certificate's end. Never ends; cancel safe.
    pub async fn keep(self) {
        self.renewed.keep().await;
    }

    /// Makes the handshake, within `limit`. `None` if it fails, which is logged. Cancel safe: the connection is closed then.
    pub async fn accept(&self, stream: TcpStream, peer: SocketAddr, limit: Duration) -> Option<Accepted> {
        let mut config = self.renewed.current().await;
        if !self.also.is_empty() {
            Arc::make_mut(&mut config).alpn_protocols.extend(self.also.iter().cloned());
        }
        let handshake = async {
            if plain::speaks_http(&stream).await? {
                plain::refuse(stream).await;
                return Ok(None);
            }
            tokio_rustls::TlsAcceptor::from(config).accept(stream).await.map(Some)
        };
        let why = match tokio::time::timeout(limit, handshake).await {
            Ok(Ok(Some(accepted))) => return Some(accepted),
            Ok(Ok(None)) => Why::Untrusted(words::PLAIN.to_owned()),
            Ok(Err(error)) => words::judge(&error, Side::Serving { ca: &self.renewed.group().ca_name() }),
            Err(_) => Why::Broken("no handshake in time".to_owned()),
        };
        self.tell(peer, why);
        None
    }

    fn tell(&self, peer: SocketAddr, why: Why) {
        match why {
            Why::Untrusted(why) if self.may_warn() => tracing::warn!(%peer, why, "a TLS handshake was refused"),
            Why::Untrusted(why) => tracing::debug!(%peer, why, "a TLS handshake was refused"),
            Why::Broken(why) => tracing::debug!(%peer, why, "a TLS handshake broke off"),
            // Somebody looked whether the port is open.
            Why::Closed => tracing::debug!(%peer, "closed before its TLS handshake"),
        }
    }

    fn may_warn(&self) -> bool {
        let mut warned = self.warned.lock();
        let may = warned.is_none_or(|at| at.elapsed() >= WARNING_PAUSE);
        if may {
            *warned = Some(Instant::now());
        }
        may
    }
}

fn config(material: &Material) -> Result<ServerConfig, TlsError> {
    let form = |why: String| TlsError::Form { file: "the certificate".to_owned(), why };
    let identity = material.identity.clone().ok_or_else(|| form("is missing; a server must have one".to_owned()))?;
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| form(error.to_string()))?;
    let builder = match &material.roots {
        Some(roots) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider()).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| form(error.to_string()))?)
        }
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
    config.alpn_protocols = vec![HTTP.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
