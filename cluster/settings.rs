//! A node's configuration file, as this crate writes and reads it.
//!
//! The server owns the meaning of the keys and checks them; a test holds what is written here against the server's own
//! reading.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::error::ClusterError;

/// The key of where a node serves its HTTP side. Nowhere without it.
pub const HTTP_LISTEN: &str = "http_listen";

/// The key of a node's certificate for clients. No TLS for them without it.
pub const CLIENT_TLS_CERT: &str = "client_tls_cert";
/// The key of the CAs of clients' certificates. The same CA signed the node's own, in clusters that this crate makes.
pub const CLIENT_TLS_CA: &str = "client_tls_ca";

/// A member as every node's file lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberSettings {
    /// 1 and up.
    pub id: u64,
    /// `host:port` for clients.
    pub client_address: String,
    /// `host:port` for members.
    pub peer_address: String,
}

/// One node's file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeSettings {
    /// The cluster's name; members of another cluster are refused.
    pub cluster: String,
    /// Which of the members this is.
    pub node_id: u64,
    /// Where log and snapshots are; relative to the directory in which the server was started.
    pub data_dir: PathBuf,
    /// Address and port to listen on for clients.
    pub client_listen: String,
    /// What clients are told to connect to.
    pub client_address: String,
    /// Address and port to listen on for members.
    pub peer_listen: String,
    /// What members are told to connect to.
    pub peer_address: String,
    /// This node waits to be added to a running cluster, instead of founding one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub join: bool,
    /// Everything else that stands in the file.
    #[serde(flatten)]
    pub other: toml::Table,
    /// Who founds the cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<MemberSettings>,
}

impl NodeSettings {
    /// The files' contents for a cluster of these members, all on the loopback address, with data under `directory`.
    pub fn of_members(cluster: &str, members: &[MemberSettings], directory: &Path) -> Vec<Self> {
        let of_member = |member: &MemberSettings| Self {
            cluster: cluster.to_owned(),
            node_id: member.id,
            data_dir: directory.join(format!("node{}", member.id)).join("data"),
            client_listen: member.client_address.clone(),
            client_address: member.client_address.clone(),
            peer_listen: member.peer_address.clone(),
            peer_address: member.peer_address.clone(),
            join: false,
            other: toml::Table::new(),
            members: members.to_vec(),
        };
        members.iter().map(of_member).collect()
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If it can't be read, or is no node's configuration.
    pub fn load(path: &Path) -> Result<Self, ClusterError> {
        let text = fs::read_to_string(path).map_err(|error| ClusterError::io("read", path, error))?;
        toml::from_str(&text)
            .map_err(|error| ClusterError::Settings { path: path.to_owned(), message: error.message().to_owned() })
    }

    /// Writes a file.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn save(&self, path: &Path) -> Result<(), ClusterError> {
        let text = toml::to_string(self)
            .map_err(|error| ClusterError::Settings { path: path.to_owned(), message: error.to_string() })?;
        fs::write(path, text).map_err(|error| ClusterError::io("write", path, error))
    }
}

/// Members on consecutive ports of the loopback address, numbered from 1: node i listens on `client + i - 1` for clients
/// and on `peer + i - 1` for members.
pub fn members_from(count: usize, client: u16, peer: u16) -> Vec<MemberSettings> {
    (0..)
        .zip(1..)
        .take(count)
        .map(|(step, id)| member_on(id, client.saturating_add(step), peer.saturating_add(step)))
        .collect()
}

/// A member on two ports of the loopback address.
pub fn member_on(id: u64, client: u16, peer: u16) -> MemberSettings {
    MemberSettings { id, client_address: format!("127.0.0.1:{client}"), peer_address: format!("127.0.0.1:{peer}") }
}
