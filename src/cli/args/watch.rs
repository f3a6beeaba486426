//! `ringfence watch …`.

use std::ffi::OsString;

use clap::Args;

/// `watch`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ringfence watch config/                     what changes from now on
  ringfence watch config/ --snapshot          what is there now, then what changes
  ringfence watch config/ --from 120          everything since revision 120, then on
  ringfence watch config/rate --key --count 1 wait for the next change of one key
  ringfence watch ''                          every key
  ringfence --json watch jobs/ | jq .key

Every event comes once and in order, over reconnections too. Ends by Ctrl-C, after --count events, or with exit code 1
if the revisions that are needed next were compacted away.")]
pub struct WatchArgs {
    /// Keys that begin so; with --key this one key.
    pub prefix: OsString,
    /// Watch the one key.
    #[arg(long)]
    pub key: bool,
    /// First revision to print.
    #[arg(long, value_name = "REV", conflicts_with = "snapshot", value_parser = clap::value_parser!(u64).range(1..))]
    pub from: Option<u64>,
    /// First print what is there.
    #[arg(long)]
    pub snapshot: bool,
    /// Leave deletions out.
    #[arg(long, conflicts_with = "no_put")]
    pub no_delete: bool,
    /// Leave puts out.
    #[arg(long)]
    pub no_put: bool,
    /// Print the version before, too.
    #[arg(long)]
    pub prev: bool,
    /// Print up to which revision everything was seen, while nothing happens.
    #[arg(long)]
    pub progress: bool,
    /// End after so many events. What a snapshot prints isn't counted.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// PREFIX is base64.
    #[arg(long)]
    pub base64: bool,
}
