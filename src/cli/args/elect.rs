//! `ringfence elect …`.

use std::ffi::OsString;

use clap::{Args, Subcommand};

use super::lock::{ClaimArgs, ReleaseArgs};
use super::{HoldArgs, ReadArgs, RunArgs};

/// What can be done with elections.
#[derive(Debug, Subcommand)]
pub enum ElectCommand {
    /// Run a command while, and only while, this candidate leads.
    #[command(after_help = "\
The command gets RINGFENCE_ELECTION (the name), RINGFENCE_TOKEN (the leader's fencing token), RINGFENCE_SESSION
and RINGFENCE_ENDPOINTS. All else is as with `ringfence help lock run`: process group, signals, exit codes 74 and 75.

Examples:
  ringfence elect run scheduler --value \"$(hostname):8080\" -- ./scheduler
  ringfence elect run scheduler --value a --wait 30s -- ./scheduler")]
    Run(ElectRunArgs),
    /// Print the leader's value; exit code 3 if nobody leads.
    #[command(after_help = "\
Examples:
  ringfence elect leader scheduler
  ringfence --json elect leader scheduler | jq .leader.token")]
    Leader {
        /// Name of the election.
        name: String,
        #[command(flatten)]
        read: ReadArgs,
    },
    /// Print the leader now, and after every change of it or of its value.
    #[command(after_help = "\
Examples:
  ringfence elect observe scheduler
  ringfence --json elect observe scheduler --count 1")]
    Observe {
        /// Name of the election.
        name: String,
        /// End after so many lines.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        count: Option<u64>,
    },
    /// Change the value that observers see, as the leader.
    #[command(after_help = "\
Within `elect run` nothing else is needed: RINGFENCE_SESSION and RINGFENCE_TOKEN say whose leadership it is. Elsewhere give
--session; the token is looked up if it isn't given. Exit code 3 if that session doesn't lead.

Examples:
  ringfence elect proclaim scheduler --value \"$(hostname):8080 draining\"
  ringfence elect proclaim scheduler --value b --session 1f0c9a7be23d4455")]
    Proclaim(ProclaimArgs),
    /// Leave an election, as leader or candidate; with --force make anybody leave.
    #[command(after_help = "\
Examples:
  ringfence elect resign scheduler --session 1f0c9a7be23d4455
  ringfence elect resign scheduler --token 42 --force   `ringfence lock show scheduler` shows the tokens

Within `elect run` the session is in RINGFENCE_SESSION.")]
    Resign(ReleaseArgs),
}

/// `elect proclaim`.
#[derive(Debug, Args)]
pub struct ProclaimArgs {
    #[command(flatten)]
    pub claim: ClaimArgs,
    /// What others see from now on.
    #[arg(long, value_name = "V")]
    pub value: OsString,
}

/// `elect run`.
#[derive(Debug, Args)]
pub struct ElectRunArgs {
    /// Name of the election.
    pub name: String,
    /// What others see while this candidate leads: an address, a host name.
    #[arg(long, value_name = "V")]
    pub value: OsString,
    #[command(flatten)]
    pub hold: HoldArgs,
    #[command(flatten)]
    pub run: RunArgs,
}
