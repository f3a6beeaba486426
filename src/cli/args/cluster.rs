//! `ringfence cluster …`.

use clap::Subcommand;

use super::ReadArgs;

/// What can be done with the cluster's members.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Show the leader and every member's own account of itself.
    #[command(after_help = "\
Examples:
  ringfence cluster status
  ringfence --json cluster status | jq .leader       the leader's node id, null if there is none

Answers without a leader, too. Exit code 0 as soon as one member answers.")]
    Status,
    /// List the members.
    #[command(after_help = "\
Examples:
  ringfence cluster members")]
    Members {
        #[command(flatten)]
        read: ReadArgs,
    },
    /// Add a member that receives the log and doesn't vote yet.
    #[command(after_help = "\
Examples:
  ringfence cluster add 4 --client 10.0.0.4:7601 --peer 10.0.0.4:7701
  ringfence cluster promote 4                        once it has caught up")]
    Add {
        /// Node id, never one that this cluster had before.
        #[arg(value_parser = clap::value_parser!(u64).range(1..=i64::MAX as u64))]
        id: u64,
        /// Where clients reach it.
        #[arg(long, value_name = "HOST:PORT")]
        client: String,
        /// Where members reach it.
        #[arg(long, value_name = "HOST:PORT")]
        peer: String,
    },
    /// Make a learner a voter.
    #[command(after_help = "\
Examples:
  ringfence cluster promote 4")]
    Promote {
        /// Node id.
        id: u64,
        /// Even if it lags.
        #[arg(long)]
        force: bool,
    },
    /// Take a member out.
    #[command(after_help = "\
Examples:
  ringfence cluster remove 4

Stop its process afterwards. A removed node id can't come back: add the machine again under a new one.")]
    Remove {
        /// Node id.
        id: u64,
    },
    /// Hand leadership over.
    #[command(after_help = "\
Examples:
  ringfence cluster transfer-leader                  to whoever is most up to date
  ringfence cluster transfer-leader 2")]
    TransferLeader {
        /// Node id.
        id: Option<u64>,
    },
}
