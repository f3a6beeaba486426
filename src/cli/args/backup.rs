//! `ringfence backup …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// A backup, or what can be done with one.
#[derive(Debug, Args)]
#[command(
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  ringfence backup ringfence.backup                  the whole state, as it is now
  ringfence --json backup ringfence.backup | jq .revision
  ringfence backup inspect ringfence.backup          check the file, and show what is in it

The file holds the state at one revision, with all that was acknowledged before. It is written under the name FILE.partial,
checked, synced, and then gets its name. `ringfenced restore` makes a new cluster of it.
A file that is called inspect is written ./inspect."
)]
pub struct BackupArgs {
    #[command(subcommand)]
    pub command: Option<BackupCommand>,
    /// The file to write.
    #[arg(required = true, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Even if there is such a file; it is replaced once the new one is whole.
    #[arg(long)]
    pub force: bool,
}

/// What can be done with a backup file. No server is asked.
#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Check all of a backup file and show what is in it.
    #[command(after_help = "\
Examples:
  ringfence backup inspect ringfence.backup
  ringfence --json backup inspect ringfence.backup | jq .taken_wall_ms

Exit code 0: the file is whole. 3: it is damaged or was cut off.")]
    Inspect {
        /// The file.
        file: PathBuf,
    },
}
