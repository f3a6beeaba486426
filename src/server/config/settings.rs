//! The settings of a server: every value there, checked, and fitting together.

use std::{net::SocketAddr, path::PathBuf};

use super::{
    error::ConfigError,
    read::{NODE_ID_MAX, Reader},
    source::Values,
};
use crate::{
    raft::{DataPlace, Member, NodeSettings},
    tls::TlsFiles,
};

/// Form of the logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// An object a line, for programs.
    Json,
}

/// All that a server must know. `docs/configuration.md` describes the keys.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The cluster's name.
    pub cluster: String,
    /// This member's id.
    pub node_id: u64,
    /// Where log and snapshots are.
    pub data: DataPlace,
    /// Where to listen for clients.
    pub client_listen: SocketAddr,
    /// Where clients find this member.
    pub client_address: String,
    /// Where to listen for members.
    pub peer_listen: SocketAddr,
    /// Where members find this one.
    pub peer_address: String,
    /// The client port has TLS, with these files. Means nothing in simulation, nor does the other.
    pub client_tls: Option<TlsFiles>,
    /// Members speak TLS to each other, with these files.
    pub peer_tls: Option<TlsFiles>,
    /// Where to answer over HTTP.
    pub http_listen: Option<SocketAddr>,
    /// Wait to be added to a cluster that runs.
    pub join: bool,
    /// Who founds the cluster; means nothing where `join` is set or the data know a cluster already.
    pub members: Vec<Member>,
    /// How often a leader is heard, in milliseconds.
    pub heartbeat_ms: u64,
    /// Shortest silence of the leader before an election, in milliseconds.
    pub election_timeout_ms_min: u64,
    /// Longest one.
    pub election_timeout_ms_max: u64,
    /// Entries between snapshots.
    pub snapshot_entries: u64,
    /// Bytes of entries between snapshots.
    pub snapshot_bytes: u64,
    /// Entries kept before a snapshot.
    pub keep_entries: u64,
    /// Bytes of the disk that are kept back.
    pub disk_reserve_bytes: u64,
    /// The newest [feature level](ringfence_core::levels) that this member understands. No key of the configuration: it comes with
    /// the version.
    pub level: u32,
    /// Form of the logs.
    pub log_format: LogFormat,
    /// What is logged: a level or directives.
    pub log_level: String,
}

impl Settings {
    /// Settings of the only founding member of a cluster, with all defaults. For a cluster of several, set
    /// [`Settings::members`].
    pub fn new(
        cluster: &str,
        node_id: u64,
        client_listen: SocketAddr,
        peer_listen: SocketAddr,
        data: DataPlace,
    ) -> Self {
        let raft = NodeSettings::new(1, node_id, peer_listen, data.clone());
        let (client_address, peer_address) = (client_listen.to_string(), peer_listen.to_string());
        Self {
            cluster: cluster.to_owned(),
            node_id,
            data,
            client_listen,
            peer_listen,
            client_tls: None,
            peer_tls: None,
            http_listen: None,
            join: false,
            members: vec![Member {
                id: node_id,
                client_address: client_address.clone(),
                peer_address: peer_address.clone(),
                voter: true,
            }],
            client_address,
            peer_address,
            heartbeat_ms: raft.heartbeat_ms,
            election_timeout_ms_min: raft.election_timeout_ms_min,
            election_timeout_ms_max: raft.election_timeout_ms_max,
            snapshot_entries: raft.snapshot_entries,
            snapshot_bytes: raft.snapshot_bytes,
            keep_entries: raft.keep_entries,
            disk_reserve_bytes: raft.disk_reserve_bytes,
            level: raft.level,
            log_format: LogFormat::Text,
            log_level: "info".to_owned(),
        }
    }

    /// The settings that these values say.
    ///
    /// # Errors
    /// Everything that is wrong with them: each problem with its key, its place and what would be acceptable.
    pub fn from_values(values: &Values) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(values);
        let settings = Self::read(&mut reader);
        if let Some(settings) = &settings
            && reader.problems.is_empty()
        {
            settings.check(&mut reader);
        }
        reader.problems.into_result()?;
        settings.ok_or_else(|| ConfigError::new("the configuration is incomplete"))
    }

    /// Reads all values, so that all problems are found; `None` if a required one isn't there.
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let cluster = required(reader, "cluster", "a name, the same on all members", Reader::cluster);
        let node_id = required(reader, "node_id", "a whole number, another one for each member", |reader| {
            reader.number("node_id", 1..=NODE_ID_MAX, "")
        });
        let data_dir = required(reader, "data_dir", "a directory of this member's own", Reader::data_dir);
        let listen = "an IP address and a port";
        let client_listen = required(reader, "client_listen", listen, |reader| reader.listen("client_listen"));
        let peer_listen = required(reader, "peer_listen", listen, |reader| reader.listen("peer_listen"));
        let client_address = reader.address("client_address");
        let peer_address = reader.address("peer_address");
        let client_tls = reader.tls("client", false);
        let peer_tls = reader.tls("peer", true);
        let http_listen = reader.listen("http_listen");
        let join = reader.flag("join");
        let members = reader.members();
        let heartbeat_ms = reader.number("heartbeat_ms", 10..=10_000, " of milliseconds");
        let election_min = reader.number("election_timeout_ms_min", 30..=60_000, " of milliseconds");
        let election_max = reader.number("election_timeout_ms_max", 31..=120_000, " of milliseconds");
        let snapshot_entries = reader.number("snapshot_entries", 100..=1_000_000_000, "");
        let snapshot_bytes = reader.number("snapshot_bytes", 1 << 20..=1 << 40, " of bytes");
        let keep_entries = reader.number("keep_entries", 0..=1_000_000_000, "");
        let disk_reserve_bytes = reader.number("disk_reserve_bytes", 1 << 20..=1 << 40, " of bytes");
        let log_format = reader.log_format();
        let log_level = reader.log_level();

        let data = DataPlace::Directory(data_dir?);
        let mut settings = Self::new(&cluster?, node_id?, client_listen?, peer_listen?, data);
        settings.members = members.unwrap_or_default();
        // A member that the list names need not say its addresses again.
        let own = settings.members.iter().find(|member| member.id == settings.node_id).cloned();
        let own_client = own.as_ref().map(|own| own.client_address.clone());
        let own_peer = own.map(|own| own.peer_address);
        settings.client_address = client_address.or(own_client).unwrap_or(settings.client_address);
        settings.peer_address = peer_address.or(own_peer).unwrap_or(settings.peer_address);
        settings.client_tls = client_tls;
        settings.peer_tls = peer_tls;
        settings.http_listen = http_listen;
        settings.join = join.unwrap_or(settings.join);
        settings.heartbeat_ms = heartbeat_ms.unwrap_or(settings.heartbeat_ms);
        settings.election_timeout_ms_min = election_min.unwrap_or(settings.election_timeout_ms_min);
        settings.election_timeout_ms_max = election_max.unwrap_or(settings.election_timeout_ms_max);
        settings.snapshot_entries = snapshot_entries.unwrap_or(settings.snapshot_entries);
        settings.snapshot_bytes = snapshot_bytes.unwrap_or(settings.snapshot_bytes);
        settings.keep_entries = keep_entries.unwrap_or(settings.keep_entries);
        settings.disk_reserve_bytes = disk_reserve_bytes.unwrap_or(settings.disk_reserve_bytes);
        settings.log_format = log_format.unwrap_or(settings.log_format);
        settings.log_level = log_level.unwrap_or(settings.log_level);
        Some(settings)
    }

    /// Checks how the values fit together.
    fn check(&self, reader: &mut Reader<'_>) {
        self.check_addresses(reader);
        self.check_members(reader);
        #[cfg(not(madsim))]
        super::tls::check(self, reader);
        let (min, max) = (self.election_timeout_ms_min, self.election_timeout_ms_max);
        // One heartbeat may be lost and one late without an election.
        let least = self.heartbeat_ms.saturating_mul(3);
        if min < least {
            let what =
                format!("is {min}; it must be at least three times heartbeat_ms ({}), so {least}", self.heartbeat_ms);
            reader.bad("election_timeout_ms_min", what);
        }
        // Equal time-outs would let the members split their votes again and again.
        if max <= min {
            reader
                .bad("election_timeout_ms_max", format!("is {max}; it must be above election_timeout_ms_min ({min})"));
        }
    }

    fn check_addresses(&self, reader: &mut Reader<'_>) {
        for (key, other, same) in [
            ("peer_listen", "client_listen", self.peer_listen == self.client_listen),
            ("http_listen", "client_listen", self.http_listen == Some(self.client_listen)),
            ("http_listen", "peer_listen", self.http_listen == Some(self.peer_listen)),
        ] {
            if same {
                reader.bad(key, format!("is the same as {other}; each needs a port of its own"));
            }
        }
        for (key, listen, address) in [
            ("client_address", self.client_listen, &self.client_address),
            ("peer_address", self.peer_listen, &self.peer_address),
        ] {
            if *address == listen.to_string() && listen.ip().is_unspecified() {
                let from = key.replace("address", "listen");
                reader.missing(
                    key,
                    &format!("host:port, since others can't connect to {listen}, on which {from} listens"),
                );
            }
        }
    }

    fn check_members(&self, reader: &mut Reader<'_>) {
        let mut seen = std::collections::BTreeMap::new();
        for member in &self.members {
            let names = [
                format!("id {}", member.id),
                format!("the address {}", member.client_address),
                format!("the address {}", member.peer_address),
            ];
            for name in names {
                if seen.insert(name.clone(), ()).is_some() {
                    reader.bad("members", format!("has {name} twice; each must be unique"));
                }
            }
        }
        if self.join {
            return;
        }
        let Some(own) = self.members.iter().find(|member| member.id == self.node_id) else {
            return self.not_a_member(reader);
        };
        for (key, own, given) in [
            ("client_address", &own.client_address, &self.client_address),
            ("peer_address", &own.peer_address, &self.peer_address),
        ] {
            if own != given {
                let what =
                    format!("is {given:?}, and members says {own:?} for node {}; they must be equal", self.node_id);
                reader.bad(key, what);
            }
        }
    }

    fn not_a_member(&self, reader: &mut Reader<'_>) {
        if self.members.is_empty() {
            let what = "the list of all founding members, this one included; or set join = true to wait until this member is added";
            reader.missing("members", what);
        } else {
            let ids: Vec<_> = self.members.iter().map(|member| member.id.to_string()).collect();
            let what = format!(
                "is {}, which isn't among members ({}); correct one of them, or set join = true to wait until this member is added",
                self.node_id,
                ids.join(", ")
            );
            reader.bad("node_id", what);
        }
    }

    /// The cluster's id: a hash of its name, never 0.
    pub fn cluster_id(&self) -> u64 {
        Self::cluster_id_of(&self.cluster)
    }

    /// The id of the cluster with this name.
    pub fn cluster_id_of(name: &str) -> u64 {
        // FNV-1a: fixed for ever, since data directories carry it.
        let hash = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        hash.max(1)
    }

    /// What raft must know.
    pub fn raft(&self) -> NodeSettings {
        let mut raft = NodeSettings::new(self.cluster_id(), self.node_id, self.peer_listen, self.data.clone());
        raft.client_address.clone_from(&self.client_address);
        raft.peer_address.clone_from(&self.peer_address);
        raft.peer_tls.clone_from(&self.peer_tls);
        raft.heartbeat_ms = self.heartbeat_ms;
        raft.election_timeout_ms_min = self.election_timeout_ms_min;
        raft.election_timeout_ms_max = self.election_timeout_ms_max;
        raft.snapshot_entries = self.snapshot_entries;
        raft.snapshot_bytes = self.snapshot_bytes;
        raft.keep_entries = self.keep_entries;
        raft.disk_reserve_bytes = self.disk_reserve_bytes;
        raft.level = self.level;
        raft
    }

    /// The data directory; `None` where the disk is simulated.
    pub fn data_dir(&self) -> Option<&PathBuf> {
        match &self.data {
            DataPlace::Directory(path) => Some(path),
            DataPlace::Memory(_) => None,
        }
    }
}

fn required<'a, T>(
    reader: &mut Reader<'a>,
    key: &str,
    what: &str,
    read: impl FnOnce(&mut Reader<'a>) -> Option<T>,
) -> Option<T> {
    if reader.values.get(key).is_none() {
        reader.missing(key, what);
        return None;
    }
    read(reader)
}
