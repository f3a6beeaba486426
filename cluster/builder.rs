//! Describes a cluster, and writes its files.

use std::{collections::BTreeMap, fs, path::PathBuf};

use tempfile::TempDir;

use crate::{
    binary,
    certs::{Authority, LOCAL_NAMES, Validity},
    cluster::Cluster,
    error::ClusterError,
    node::{Keeping, Node},
    ports::{self, ReservedPort},
    settings::{HTTP_LISTEN, MemberSettings, NodeSettings, member_on, members_from},
};

/// The first client port of the local cluster; node i listens on this plus i - 1.
pub const CLIENT_PORT_FIRST: u16 = 7601;
/// The first peer port of the local cluster.
pub const PEER_PORT_FIRST: u16 = 7611;
/// The ports above must not run into each other.
pub const NODES_MAX: usize = 9;

/// The folder of the certificates in a cluster's directory.
pub(crate) const CERTS: &str = "certs";

/// Where the nodes listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// On free ports, reserved for as long as the cluster lives.
    Auto,
    /// On consecutive ones.
    From {
        /// Of node 1, for clients.
        client: u16,
        /// Of node 1, for members.
        peer: u16,
    },
}

/// Describes a cluster of processes on this machine. Three nodes on free ports, in a temporary directory, that end with
/// the value, unless told otherwise.
#[derive(Debug)]
pub struct Builder {
    name: String,
    nodes: usize,
    directory: Option<PathBuf>,
    ports: Ports,
    binary: Option<PathBuf>,
    settings: toml::Table,
    http: bool,
    tls: bool,
    environment: Vec<(String, String)>,
    members: Vec<MemberSettings>,
    through: BTreeMap<u64, Vec<String>>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            name: "test".to_owned(),
            nodes: 3,
            directory: None,
            ports: Ports::Auto,
            binary: None,
            settings: toml::Table::new(),
            http: false,
            tls: false,
            environment: Vec::new(),
            members: Vec::new(),
            through: BTreeMap::new(),
        }
    }
}

impl Builder {
    /// The cluster's name, "test" unless told otherwise.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    /// How many nodes found the cluster.
    #[must_use]
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// Where configuration, data and logs go, instead of a temporary directory. It is never deleted by the cluster.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Where the nodes listen.
    #[must_use]
    pub fn ports(mut self, ports: Ports) -> Self {
        self.ports = ports;
        self
    }

    /// These members, at their own addresses, instead of a number of them on the loopback address: for nodes in networks of their own.
    #[must_use]
    pub fn members(mut self, members: Vec<MemberSettings>) -> Self {
        self.members = members;
        self
    }

    /// Starts a node through this command, whose last argument is followed by the server's own: for a node in a network of its own. It must become
    /// the server itself, under the same process id.
    #[must_use]
    pub fn through(mut self, id: u64, command: Vec<String>) -> Self {
        self.through.insert(id, command);
        self
    }

    /// The server to start, instead of the one that [`binary::find`] finds.
    #[must_use]
    pub fn binary(mut self, binary: impl Into<PathBuf>) -> Self {
        self.binary = Some(binary.into());
        self
    }

    /// A key of every node's configuration file, for example `snapshot_entries`.
    #[must_use]
    pub fn setting(mut self, key: &str, value: impl Into<toml::Value>) -> Self {
        self.settings.insert(key.to_owned(), value.into());
        self
    }

    /// Each node serves its HTTP side, on a free port of its own: [`Node::http_address`].
    #[must_use]
    pub fn http(mut self) -> Self {
        self.http = true;
        self
    }

    /// Both ports of every node have TLS, with certificates in [`Cluster::certs`].
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// An environment variable of every node. Of the caller's own, those that begin with `RINGFENCE` don't reach the nodes.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes the files; nothing runs yet.
    ///
    /// # Errors
    /// If there is no server to start, there are no free ports, or a file can't be written.
    pub fn build(self) -> Result<Cluster, ClusterError> {
        let binary = match self.binary {
            Some(path) => path,
            None => binary::find("ringfenced", binary::VARIABLE)?,
        };
        let (directory, temporary) = match self.directory {
            Some(directory) => (directory, None),
            None => {
                let parent = std::env::temp_dir();
                let made = TempDir::with_prefix("ringfence-")
                    .map_err(|error| ClusterError::io("create a directory in", &parent, error))?;
                (made.path().to_owned(), Some(made))
            }
        };
        let (members, mut reserved) = match self.members.is_empty() {
            true => place(self.nodes, self.ports)?,
            false => (self.members, Vec::new()),
        };
        let authority = if self.tls {
            let authority = Authority::open(&directory.join(CERTS))?;
            authority.sign_all(members.len(), &LOCAL_NAMES, Validity::Days(365))?;
            Some(authority)
        } else {
            None
        };
        let mut nodes = Vec::with_capacity(members.len());
        for mut settings in NodeSettings::of_members(&self.name, &members, &directory) {
            if let Some(authority) = &authority {
                authority.configure(&mut settings);
            }
            settings.other.extend(self.settings.clone());
            if self.http {
                let port = ports::reserve_one()?;
                settings.other.insert(HTTP_LISTEN.to_owned(), format!("127.0.0.1:{}", port.number()).into());
                reserved.push(port);
            }
            let own = directory.join(format!("node{}", settings.node_id));
            fs::create_dir_all(&own).map_err(|error| ClusterError::io("create", &own, error))?;
            let config = own.join("config.toml");
            settings.save(&config)?;
            let through = self.through.get(&settings.node_id).cloned().unwrap_or_default();
            let node = Node::new(settings, config, &own, binary.clone(), self.environment.clone(), Keeping::WithUs);
            nodes.push(node.through(through));
        }
        Ok(Cluster::new(nodes, directory, temporary, reserved))
    }

    /// Writes the files, starts all nodes, and waits until they have agreed on a leader.
    ///
    /// # Errors
    /// As [`Builder::build`] and [`Cluster::start`].
    pub async fn start(self) -> Result<Cluster, ClusterError> {
        let cluster = self.build()?;
        cluster.start().await?;
        Ok(cluster)
    }
}

fn place(nodes: usize, ports: Ports) -> Result<(Vec<MemberSettings>, Vec<ReservedPort>), ClusterError> {
    match ports {
        Ports::From { client, peer } => Ok((members_from(nodes, client, peer), Vec::new())),
        Ports::Auto => {
            let reserved = ports::reserve(nodes * 2)?;
            let pairs = reserved.chunks_exact(2);
            let members = (1..)
                .zip(pairs)
                .filter_map(|(id, pair)| match pair {
                    [client, peer] => Some(member_on(id, client.number(), peer.number())),
                    _ => None,
                })
                .collect();
            Ok((members, reserved))
        }
    }
}
