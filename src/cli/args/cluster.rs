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
        /// Even if it lags, or doesn't answer.
        #[arg(long)]
        force: bool,
    },
    /// Take a member out.
    #[command(after_help = "\
Examples:
  ringfence cluster remove 4
  ringfence cluster remove 4 --force                 although others are down

Stop its process afterwards. A removed node id can't come back: add the machine again under a new one.
A leader hands its leadership over first.

Refused (QUORUM_AT_RISK) if those of the voters left that answer now are no majority: remove the dead before the living.
With --force it is tried all the same. No write is done then until enough of the voters left are back; if they
aren't within a few seconds, the command ends with exit code 76, and the change is finished once they are.")]
    Remove {
        /// Node id.
        id: u64,
        /// Even if the voters left don't answer: the cluster may stand still.
        #[arg(long)]
        force: bool,
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
