//! TLS between this client and the members.

use std::path::PathBuf;

use ringfence_tls::{Connector, Group, Source};

use crate::error::{Error, Result};

/// Settings of TLS: with them a client makes no other connections. See [`ClientBuilder::tls`](crate::ClientBuilder::tls).
///
/// Files are looked at again as connections are made, so that they can be renewed while the client lives. Contents that can't be
/// used are passed over until they are mended.
#[derive(Clone, Debug, Default)]
pub struct TlsOptions {
    ca: Option<Source>,
    identity: Option<(Source, Source)>,
    server_name: Option<String>,
}

impl TlsOptions {
    /// None yet; a CA must be given.
    pub fn new() -> Self {
        Self::default()
    }

    /// A file with the CAs, PEM, one of which signed the members' certificates.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca = Some(Source::File(path.into()));
        self
    }

    /// The same as bytes, which stay as they are.
    pub fn ca_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca = Some(Source::Given { name: "the given CA", pem: pem.into() });
        self
    }

    /// Files, PEM, with this client's certificate and its key, for servers that require one.
    pub fn identity_files(mut self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.identity = Some((Source::File(cert.into()), Source::File(key.into())));
        self
    }

    /// The same as bytes, which stay as they are.
    pub fn identity_pem(mut self, cert: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.identity = Some((
            Source::Given { name: "the given certificate", pem: cert.into() },
            Source::Given { name: "the given key", pem: key.into() },
        ));
        self
    }

    /// The name that all members' certificates must be for, instead of the host that each is reached under: where a proxy or a
    /// forwarded port stands in between.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Reads the files.
    pub(crate) fn connector(self) -> Result<Connector> {
        let group = Group { identity: self.identity, ca: self.ca, member: None };
        let connector = Connector::new(group, self.server_name.as_deref());
        connector.map_err(|error| Error::InvalidArgument { message: error.to_string() })
    }
}
