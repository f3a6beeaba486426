//! The keys: one table from which the file, the flags, the environment, the help and the documentation's test all come.

/// A key of the configuration.
#[derive(Debug)]
pub struct Key {
    /// As it stands in the file. The flag is `--` and the name with dashes, the variable `RINGFENCE_` and the name in capitals.
    pub name: &'static str,
    /// How a value looks, for the help.
    pub form: &'static str,
    /// One sentence for people.
    pub help: &'static str,
}

impl Key {
    /// The flag, without the dashes before it.
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// The environment's variable.
    pub fn variable(&self) -> String {
        format!("RINGFENCE_{}", self.name.to_ascii_uppercase())
    }
}

const fn key(name: &'static str, form: &'static str, help: &'static str) -> Key {
    Key { name, form, help }
}

/// All keys, in the order in which they are shown.
pub const KEYS: &[Key] = &[
    key("cluster", "NAME", "Name of the cluster, the same on all members; members and data of another one are refused"),
    key("node_id", "NUMBER", "This member's number in the cluster; never one that another member had before"),
    key("data_dir", "DIRECTORY", "Where the log and the snapshots are; relative to where the server is started"),
    key("client_listen", "IP:PORT", "Where to listen for clients"),
    key("client_address", "HOST:PORT", "Where clients find this member, if that isn't client_listen"),
    key("peer_listen", "IP:PORT", "Where to listen for the other members"),
    key("peer_address", "HOST:PORT", "Where the other members find this one, if that isn't peer_listen"),
    key("client_tls_cert", "FILE", "Certificate for clients, PEM; with it and its key the client port has TLS alone"),
    key("client_tls_key", "FILE", "Its key, PEM"),
    key("client_tls_ca", "FILE", "CAs of clients' certificates, PEM; with it clients must present one"),
    key(
        "peer_tls_cert",
        "FILE",
        "Certificate for the other members, PEM; with it, its key and the CA members speak TLS alone",
    ),
    key("peer_tls_key", "FILE", "Its key, PEM"),
    key("peer_tls_ca", "FILE", "CAs of the members' certificates, PEM"),
    key("http_listen", "IP:PORT", "Where to answer /livez, /readyz and /metrics; nowhere unless given"),
    key("join", "BOOL", "Wait to be added to a running cluster, instead of founding one"),
    key(
        "members",
        "ID=CLIENT/PEER,…",
        "Who founds the cluster; in the file a list of tables with id, client_address and peer_address",
    ),
    key("heartbeat_ms", "MS", "How often a leader that has nothing to say is heard"),
    key("election_timeout_ms_min", "MS", "Shortest silence of the leader after which a member stands for election"),
    key("election_timeout_ms_max", "MS", "Longest such silence; each member draws its own between the two"),
    key("snapshot_entries", "NUMBER", "A snapshot is written after so many log entries"),
    key("snapshot_bytes", "BYTES", "A snapshot is also written after so many bytes of log entries"),
    key("keep_entries", "NUMBER", "So many entries before a snapshot stay in the log, for members that lag a little"),
    key(
        "disk_reserve_bytes",
        "BYTES",
        "With less room on the disk than this, no more writes are taken until there is room",
    ),
    key("log_format", "text|json", "Form of the logs on standard error"),
    key("log_level", "LEVEL", "error, warn, info, debug, trace, or directives such as info,ringfence_server=debug"),
];

/// The key of this name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The key whose name is most like this one, if one is like it at all.
pub fn nearest(name: &str) -> Option<&'static str> {
    let like = name.to_ascii_lowercase().replace('-', "_");
    KEYS.iter()
        .map(|key| (distance(&like, key.name), key.name))
        .filter(|(distance, known)| *distance <= known.len() / 3)
        .min()
        .map(|(_, known)| known)
}

/// Levenshtein's distance, in bytes: names are ASCII.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = i;
        let mut before = i + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(right.bytes()) {
            let changed = diagonal + usize::from(a != b);
            diagonal = *cell;
            before = changed.min(*cell + 1).min(before + 1);
            *cell = before;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}
