//! Asks nodes how they are, over their own API.

use std::{path::Path, time::Duration};

use ringfence_proto::v1::{ClusterStatusRequest, ClusterStatusResponse, cluster_client::ClusterClient};
use ringfence_tls::{Connector, Group, Source};
use tonic::transport::Endpoint;

use crate::{
    certs,
    error::ClusterError,
    node::Node,
    settings::{CLIENT_TLS_CA, CLIENT_TLS_CERT},
};

/// How long a node that is up may take to accept a connection, and then to answer.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
const ANSWER_LIMIT: Duration = Duration::from_secs(3);

/// A node's account of the cluster; with `local`, of itself alone.
///
/// # Errors
/// [`ClusterError::Rpc`] if it doesn't answer in time, or refuses.
pub(crate) async fn status(node: &Node, local: bool) -> Result<ClusterStatusResponse, ClusterError> {
    let failed = |message: String| ClusterError::Rpc { id: node.id(), message };
    let endpoint = Endpoint::from_shared(node.endpoint())
        .map_err(|error| failed(error.to_string()))?
        .connect_timeout(CONNECT_LIMIT)
        .timeout(ANSWER_LIMIT);
    // A paused node's system still accepts connections, so that only the limit ends the wait for its first words.
    let asked = async {
        let connected = match connector(node)? {
            Some(connector) => endpoint.connect_with_connector(connector).await,
            None => endpoint.connect().await,
        };
        let channel = connected.map_err(|error| failed(chain(&error)))?;
        let answer = ClusterClient::new(channel).status(ClusterStatusRequest { local }).await;
        answer.map(tonic::Response::into_inner).map_err(|status| failed(status.message().to_owned()))
    };
    tokio::time::timeout(CONNECT_LIMIT + ANSWER_LIMIT, asked)
        .await
        .unwrap_or_else(|_| Err(failed("no answer in time".to_owned())))
}

/// For a node with TLS: beside the CA that its settings name is the client's certificate.
fn connector(node: &Node) -> Result<Option<Connector>, ClusterError> {
    let file = |key: &str| node.settings().other.get(key).and_then(toml::Value::as_str).map(Path::new);
    if file(CLIENT_TLS_CERT).is_none() {
        return Ok(None);
    }
    let Some(ca) = file(CLIENT_TLS_CA) else { return Ok(None) };
    let own = certs::of_name(ca.parent().unwrap_or(Path::new(".")), "client");
    let there = own.cert.exists();
    let identity = there.then_some((Source::File(own.cert), Source::File(own.key)));
    let group = Group { identity, ca: Some(Source::File(ca.to_owned())), member: None };
    let connector = Connector::new(group, None);
    connector.map(Some).map_err(|error| ClusterError::Certificates { message: error.to_string() })
}

/// An error with its causes; the transport's own says little.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
