//! The lasting cluster that `scripts/cluster` works on.
//!
//! Its directory holds `node1`, `node2`, …, each with the node's `data`, `log` and `pid`. Three nodes on the usual ports
//! run from the files in `cluster/local`, which people may read and edit; any other shape gets files of its own in the
//! nodes' directories. How many nodes there are is how many such directories there are: it can't be changed later by
//! starting more, since they would be another cluster.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    binary,
    builder::{CERTS, CLIENT_PORT_FIRST, NODES_MAX, PEER_PORT_FIRST, Ports},
    certs::{Authority, LOCAL_NAMES, Validity},
    cluster::Cluster,
    error::ClusterError,
    node::{Keeping, Node},
    ports,
    process::Condition,
    settings::{CLIENT_TLS_CERT, NodeSettings, member_on, members_from},
};

/// Nodes of a cluster that nobody asked to be larger or smaller.
const NODES_DEFAULT: usize = 3;
/// The name of every cluster on this machine alone.
const CLUSTER: &str = "local";

/// Where the lasting cluster is, and how it is to be made if it isn't there.
#[derive(Clone, Debug)]
pub struct Place {
    /// Data, logs and pids.
    pub directory: PathBuf,
    /// The files for three nodes on the usual ports.
    pub configuration: PathBuf,
}

impl Place {
    /// The cluster that is there. One that was never started has no nodes.
    ///
    /// # Errors
    /// If a node's configuration can't be read, or there is no server to start.
    pub fn open(&self) -> Result<Cluster, ClusterError> {
        let binary = binary::find("ringfenced", binary::VARIABLE)?;
        let mut nodes = Vec::new();
        for id in (1..).take(self.size()) {
            let own = self.node_directory(id);
            let generated = own.join("config.toml");
            let config = if generated.exists() { generated } else { self.configuration.join(format!("node{id}.toml")) };
            let settings = NodeSettings::load(&config)?;
            nodes.push(Node::new(settings, config, &own, binary.clone(), Vec::new(), Keeping::OnTheirOwn));
        }
        Ok(Cluster::lasting(nodes, self.directory.clone()))
    }

    /// The cluster that is there, or a new one of this shape. Nothing is started.
    ///
    /// # Errors
    /// If there is one of another size, or one without TLS where it is asked for, and as [`Place::open`].
    pub fn open_or_create(
        &self,
        nodes: Option<usize>,
        ports: Option<Ports>,
        tls: bool,
    ) -> Result<Cluster, ClusterError> {
        match (self.size(), nodes) {
            (0, asked) => self.create(asked.unwrap_or(NODES_DEFAULT), ports, tls)?,
            (present, Some(asked)) if present != asked => {
                return Err(ClusterError::OtherSize { directory: self.directory.clone(), present, asked });
            }
            _ => {}
        }
        let cluster = self.open()?;
        if tls && cluster.nodes().iter().any(|node| !node.settings().other.contains_key(CLIENT_TLS_CERT)) {
            return Err(ClusterError::WithoutTls { directory: self.directory.clone() });
        }
        Ok(cluster)
    }

    /// Kills what runs, and deletes the nodes' directories. Nothing else in the directory is touched.
    ///
    /// # Errors
    /// If a process can't be ended or a file can't be deleted.
    pub async fn wipe(&self) -> Result<(), ClusterError> {
        if self.size() > 0 {
            self.open()?.kill_all().await?;
        }
        for id in (1..).take(self.size()) {
            let own = self.node_directory(id);
            fs::remove_dir_all(&own).map_err(|error| ClusterError::io("delete", &own, error))?;
        }
        // It stays if somebody has put something else there.
        let _ = fs::remove_dir(&self.directory);
        Ok(())
    }

    /// Fails if a port that a node needs, which doesn't run yet, is taken.
    ///
    /// # Errors
    /// [`ClusterError::PortInUse`].
    pub fn check_ports(cluster: &Cluster) -> Result<(), ClusterError> {
        for node in cluster.nodes().iter().filter(|node| node.condition() == Condition::Gone) {
            for address in [node.client_address(), node.peer_address()] {
                let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
                if port.is_some_and(|port| !ports::is_free(port)) {
                    return Err(ClusterError::PortInUse { id: node.id(), address: address.to_owned() });
                }
            }
        }
        Ok(())
    }

    pub(crate) fn create(&self, count: usize, ports: Option<Ports>, tls: bool) -> Result<(), ClusterError> {
        let members = match ports {
            Some(Ports::Auto) => {
                let reserved = ports::reserve(count * 2)?;
                let (client, peer) = reserved.split_at(count);
                let pairs = client.iter().zip(peer);
                (1..).zip(pairs).map(|(id, (client, peer))| member_on(id, client.number(), peer.number())).collect()
            }
            Some(Ports::From { client, peer }) => members_from(count, client, peer),
            None => members_from(count, CLIENT_PORT_FIRST, PEER_PORT_FIRST),
        };
        let authority = if tls {
            let authority = Authority::open(&self.directory.join(CERTS))?;
            authority.sign_all(count, &LOCAL_NAMES, Validity::Days(365))?;
            Some(authority)
        } else {
            None
        };
        for mut settings in NodeSettings::of_members(CLUSTER, &members, &self.directory) {
            if let Some(authority) = &authority {
                authority.configure(&mut settings);
            }
            let own = self.node_directory(settings.node_id);
            fs::create_dir_all(&own).map_err(|error| ClusterError::io("create", &own, error))?;
            if tls || !self.has_file_for(&settings) {
                settings.save(&own.join("config.toml"))?;
            }
        }
        Ok(())
    }

    /// The files that people may edit are for this very node.
    fn has_file_for(&self, settings: &NodeSettings) -> bool {
        let file = self.configuration.join(format!("node{}.toml", settings.node_id));
        let same = |there: NodeSettings| {
            there.members == settings.members
                && there.client_listen == settings.client_listen
                && there.peer_listen == settings.peer_listen
                && there.data_dir == settings.data_dir
        };
        NodeSettings::load(&file).is_ok_and(same)
    }

    /// How many nodes there are.
    pub(crate) fn size(&self) -> usize {
        (1..).take(NODES_MAX).take_while(|id| self.node_directory(*id).is_dir()).count()
    }

    fn node_directory(&self, id: u64) -> PathBuf {
        node_directory(&self.directory, id)
    }
}

fn node_directory(directory: &Path, id: u64) -> PathBuf {
    directory.join(format!("node{id}"))
}
