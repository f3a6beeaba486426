//! What can go wrong, sorted by what the caller can do about it.

use std::path::PathBuf;

use super::failure::is_full;

/// Why a node doesn't start. The message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings contradict themselves.
    #[error("the settings of the node are not usable: {0}")]
    Settings(String),
    /// The files of the peer port's TLS can't be used.
    #[cfg(not(madsim))]
    #[error("the peer port can't have TLS: {0}")]
    Tls(#[from] ringfence_tls::TlsError),
    /// The data directory can't be created, read or written.
    #[error("{path}: {error}; check that the directory exists and that this user may write to it", path = .path.display())]
    Io {
        /// What was to be opened.
        path: PathBuf,
        /// What the system answered.
        error: std::io::Error,
    },
    /// Another process has the data directory open.
    #[error("{path} is in use by another process; stop it, or name another data directory", path = .path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The data are another cluster's.
    #[error(
        "{path} holds the data of another cluster (id {found:016x}, and this node is configured for {expected:016x}); name \
         this cluster's data directory, or correct the cluster's name in the configuration", path = .path.display()
    )]
    OtherCluster {
        /// The directory.
        path: PathBuf,
        /// The cluster in the data.
        found: u64,
        /// The cluster in the settings.
        expected: u64,
    },
    /// The data are another node's.
    #[error(
        "{path} holds the data of node {found}, and this node is configured as {expected}; name this node's data \
         directory, or correct the node's id in the configuration", path = .path.display()
    )]
    OtherNode {
        /// The directory.
        path: PathBuf,
        /// The node in the data.
        found: u64,
        /// The node in the settings.
        expected: u64,
    },
    /// The data were written by a newer version.
    #[error("{path} is of format {found}, and this version reads up to {newest}; run the newer version", path = .path.display())]
    NewerFormat {
        /// The directory.
        path: PathBuf,
        /// The data's format.
        found: u32,
        /// The newest that is known.
        newest: u32,
    },
    /// A restore was cut off.
    #[error("a restore into {path} was cut off; empty the directory, and restore the backup again", path = .path.display())]
    HalfRestored {
        /// The directory.
        path: PathBuf,
    },
    /// Something on the disk can't be right.
    #[error(
        "{place}: {what}; the node doesn't guess on. Remove it from the cluster, move its data directory away and add it \
         again under a new node id: it then gets everything from the others"
    )]
    Damaged {
        /// Which tree and index, or which file.
        place: String,
        /// What is wrong.
        what: String,
    },
    /// The peer port can't be opened.
    #[error("the peer port {address} can't be opened: {error}; another process may have it")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system answered.
        error: std::io::Error,
    },
    /// Raft refuses to start.
    #[error("raft doesn't start: {0}")]
    Raft(String),
}

impl StartError {
    /// The disk has no room for a start.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { error, .. } if is_full(error))
    }
}

/// Why a new cluster isn't made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BootstrapError {
    /// The list is empty, has an id twice, or lacks this node.
    #[error("the list of initial members is not usable: {0}")]
    Members(String),
    /// The node is stopping or has failed.
    #[error("the node has stopped")]
    Stopped,
    /// It can't be said whether it was done. Bootstrap again.
    #[error("bootstrapping did not complete: {0}")]
    Unknown(String),
}

/// Why an entry may not have been applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// This node doesn't lead. The entry is surely not in the log.
    #[error("this node doesn't lead")]
    NotLeader {
        /// Who does, if that is known.
        leader: Option<u64>,
    },
    /// The entry may be applied, now or later, or never.
    #[error("it is not known whether the write was done")]
    Unknown,
    /// The node is stopping or has failed. The entry is surely not in the log.
    #[error("the node has stopped")]
    Stopped,
}

/// Why there is no read index.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadIndexError {
    /// This node doesn't lead.
    #[error("this node doesn't lead")]
    NotLeader {
        /// Who does, if that is known.
        leader: Option<u64>,
    },
    /// No quorum confirmed in time that this node still leads.
    #[error("no quorum answered in time")]
    NoQuorum,
    /// The node is stopping or has failed.
    #[error("the node has stopped")]
    Stopped,
}

/// Why a request to another member got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// That member doesn't lead. Surely nothing was done.
    #[error("the member doesn't lead")]
    NotLeader {
        /// Who does, as far as that member knows.
        leader: Option<u64>,
    },
    /// The member can't be reached, isn't known, or refuses this cluster. Surely nothing was done.
    #[error("the member can't be reached: {0}")]
    Unreachable(String),
    /// The request was sent and may be done, now or later, or never.
    #[error("no answer came, and it is not known whether it was done: {0}")]
    Unknown(String),
}

/// Why the members don't change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// This node doesn't lead. Nothing was done.
    #[error("this node doesn't lead")]
    NotLeader {
        /// Who does, if that is known.
        leader: Option<u64>,
    },
    /// The id is a member's already.
    #[error("node {0} is a member already")]
    MemberExists(u64),
    /// No such member.
    #[error("node {0} is not a member")]
    MemberUnknown(u64),
    /// An address or an id that can't be one.
    #[error("not usable: {0}")]
    InvalidAddress(String),
    /// The learner is too far behind to vote, or doesn't answer.
    #[error(
        "node {id} {}lacks {behind} entries of the log; a learner must answer, have taken some, and lack at most {limit}, unless the \
         promotion is forced", if *.silent { "doesn't answer, and " } else { "" }
    )]
    LearnerLags {
        /// The learner.
        id: u64,
        /// How many entries it lacks.
        behind: u64,
        /// How many it may lack.
        limit: u64,
        /// It doesn't answer.
        silent: bool,
    },
    /// Without this voter those left could not decide. Nothing was done.
    #[error(
        "without node {id} the cluster would stand still: {needed} of the voters left must answer, and {reachable} do; no answer from \
         node {}", listed(.silent)
    )]
    QuorumAtRisk {
        /// The voter that was to be removed.
        id: u64,
        /// How many of the voters left answer.
        reachable: u64,
        /// How many of them are a majority.
        needed: u64,
        /// Those that don't.
        silent: Vec<u64>,
    },
    /// Without this voter nobody could vote.
    #[error("node {0} is the last voter")]
    LastVoter(u64),
    /// Only voters can lead.
    #[error("node {0} is not a voter")]
    NotAVoter(u64),
    /// Another change is under way. Nothing was done.
    #[error("another change of the members is under way")]
    Busy,
    /// It may be done, now or later, or never: look at the members.
    #[error("it is not known whether it was done: {0}")]
    Unknown(String),
    /// The member that leads can't be reached. Nothing was done.
    #[error("the member can't be reached: {0}")]
    Unreachable(String),
    /// The node is stopping or has failed. Nothing was done.
    #[error("the node has stopped")]
    Stopped,
}

/// Node ids, for people and for metadata.
pub fn listed(ids: &[u64]) -> String {
    ids.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}
