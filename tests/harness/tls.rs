//! TLS between a test and the nodes of a cluster that has it.

use std::{path::Path, time::Duration};

use ringfence_cluster::certs;
use ringfence_tls::{Connector, Group, Source};
use tonic::transport::{Channel, Endpoint};

/// The files of the client of a cluster's certificates.
#[must_use]
pub fn group(directory: &Path) -> Group {
    let own = certs::of_name(directory, "client");
    Group {
        identity: Some((Source::File(own.cert), Source::File(own.key))),
        ca: Some(Source::File(directory.join("ca.pem"))),
        member: None,
    }
}

/// A connection, made with the first call, to a port that has TLS.
///
/// # Panics
/// If the files can't be used.
#[must_use]
pub fn channel(address: &str, group: Group) -> Channel {
    let connector = Connector::new(group, None).unwrap_or_else(|error| panic!("{error}"));
    let endpoint = Endpoint::from_shared(format!("https://{address}")).expect("an address");
    endpoint
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_secs(40))
        .connect_with_connector_lazy(connector)
}
