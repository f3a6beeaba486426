//! `ringfence session …`.

use clap::Subcommand;

use super::{ReadArgs, session_id};

/// What can be done with sessions.
#[derive(Debug, Subcommand)]
pub enum SessionCommand {
    /// List the sessions.
    #[command(after_help = "\
Examples:
  ringfence session list
  ringfence --json session list | jq -r 'select(.owner | startswith(\"web\")) | .session'")]
    List {
        #[command(flatten)]
        read: ReadArgs,
    },
    /// Show one session and the keys bound to it; exit code 3 if there is none.
    #[command(after_help = "\
Examples:
  ringfence session show 1f0c9a7be23d4455")]
    Show {
        /// The session's id, as hex digits.
        #[arg(value_parser = session_id)]
        id: u64,
        #[command(flatten)]
        read: ReadArgs,
    },
    /// End a session: its keys, locks and candidacies go in one revision.
    #[command(after_help = "\
Examples:
  ringfence session close 1f0c9a7be23d4455

Whoever uses the session loses its locks, and is told so.")]
    Close {
        /// The session's id, as hex digits.
        #[arg(value_parser = session_id)]
        id: u64,
    },
}
