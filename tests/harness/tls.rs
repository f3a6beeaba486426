//! TLS between a test and the nodes of a cluster that has it.

use std::{path::Path, time::Duration};

use ringfence_client::{Client, ClientBuilder, TlsOptions};
use ringfence_cluster::{Cluster, certs};
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

/// Settings of the client of a cluster's certificates.
#[must_use]
pub fn options(directory: &Path) -> TlsOptions {
    let own = certs::of_name(directory, "client");
    TlsOptions::new().ca_file(directory.join("ca.pem")).identity_files(own.cert, own.key)
}

/// The cluster has TLS on its client ports.
#[must_use]
pub fn is_on(cluster: &Cluster) -> bool {
    cluster.endpoints().iter().any(|endpoint| endpoint.starts_with("https:"))
}

/// A client of all nodes, with the cluster's own certificates if it has TLS. Not connected yet.
#[must_use]
pub fn client(cluster: &Cluster) -> ClientBuilder {
    let builder = Client::builder(cluster.endpoints());
    if is_on(cluster) { builder.tls(options(&cluster.certs())) } else { builder }
}
