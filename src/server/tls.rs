//! TLS of the two ports: which files, and what is made of them. In simulation there are no files and no TLS.

use std::path::PathBuf;

/// The files of one port's TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// This member's certificate, PEM, with the intermediate ones after it.
    pub cert: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// The CAs that sign the certificates of those who connect, PEM. Without it they need none.
    pub ca: Option<PathBuf>,
}

#[cfg(not(madsim))]
mod files {
    use ringfence_tls::{Acceptor, Connector, Group, Source, TlsError};

    use super::TlsFiles;

    impl TlsFiles {
        /// For the client port.
        pub fn of_client_port(&self) -> Group {
            let file = |path: &std::path::Path| Source::File(path.to_owned());
            Group {
                identity: Some((file(&self.cert), file(&self.key))),
                ca: self.ca.as_deref().map(file),
                member: None,
            }
        }

        /// For the peer port of the member that the others find at this address, `host:port`.
        pub fn of_peer_port(&self, address: &str) -> Group {
            let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
            Group { member: Some(host.to_owned()), ..self.of_client_port() }
        }
    }

    /// Both directions between members, by one group of files.
    pub struct BetweenMembers {
        /// For those who connect.
        pub acceptor: Acceptor,
        /// For connecting.
        pub connector: Connector,
    }

    impl BetweenMembers {
        /// Reads the files of the member that the others find at this address.
        ///
        /// # Errors
        /// What is wrong with them.
        pub fn read(files: &TlsFiles, address: &str) -> Result<Self, TlsError> {
            let group = files.of_peer_port(address);
            let connector = Connector::new(group.clone(), None)?.telling();
            Ok(Self { acceptor: Acceptor::new(group)?, connector })
        }
    }
}

#[cfg(not(madsim))]
pub use files::BetweenMembers;
