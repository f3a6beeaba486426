//! `ringfence lock …`.

use clap::{Args, Subcommand};

use super::{HoldArgs, ReadArgs, RunArgs, TtlArgs, session_id};

/// What can be done with locks.
#[derive(Debug, Subcommand)]
pub enum LockCommand {
    /// Run a command while, and only while, the lock is held.
    #[command(after_help = RUN_HELP)]
    Run(LockRunArgs),
    /// Take a lock, print its token, and hold it until interrupted.
    #[command(after_help = ACQUIRE_HELP)]
    Acquire(LockAcquireArgs),
    /// Take a lock if it is free; else exit code 74 at once. Like `acquire --wait 0s`.
    #[command(after_help = "\
Examples:
  ringfence lock try deploy
  ringfence lock try deploy --detach --ttl 10m && echo mine for ten minutes")]
    Try(LockTryArgs),
    /// Show who holds a lock, and who waits for it.
    #[command(after_help = "\
Examples:
  ringfence lock show deploy
  ringfence --json lock show deploy | jq '.owners[0].token'

A lock that nobody holds is shown as free; that is no error.")]
    Show {
        /// Name of the lock.
        name: String,
        /// At most so many owners, and so many waiters, 1 to 1000.
        #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        #[command(flatten)]
        read: ReadArgs,
    },
    /// List the locks and elections that somebody claims.
    #[command(after_help = "\
Examples:
  ringfence lock list
  ringfence lock list jobs/")]
    List {
        /// Names that begin so.
        #[arg(default_value = "")]
        prefix: String,
        #[command(flatten)]
        read: ReadArgs,
    },
    /// Ask whether a token is a current owner; exit code 3 if not.
    #[command(after_help = "\
Examples:
  ringfence lock validate deploy 42 && echo still mine")]
    Validate {
        /// Name of the lock.
        name: String,
        /// The token.
        token: u64,
        #[command(flatten)]
        read: ReadArgs,
    },
    /// Give a claim up, one's own or, with --force, anybody's.
    #[command(after_help = "\
Examples:
  ringfence lock release deploy --session 1f0c9a7be23d4455
  ringfence lock release deploy --token 42 --force      take it away from whoever holds it with this token

Within `lock run` the session is in RINGFENCE_SESSION. What `lock acquire --detach` has left is best ended with its session:
`ringfence session close ID`.")]
    Release(ReleaseArgs),
}

const RUN_HELP: &str = "\
The command gets RINGFENCE_LOCK (the name), RINGFENCE_TOKEN (the fencing token), RINGFENCE_SESSION and
RINGFENCE_ENDPOINTS. It runs in a process group of its own, all of which is ended when the lock is lost or the command
itself has ended. INT, TERM, HUP, QUIT, USR1 and USR2 that reach `ringfence` are passed on; the lock is given up
after the command has ended.

Exit codes: the command's own; 128+N if signal N ended it; 74 if the lock was not granted within --wait; 75 if the
lock was lost, and the command was stopped (TERM, after --grace KILL); see `ringfence help exit-codes`.

Examples:
  ringfence lock run nightly --wait 30s -- ./job.sh
  ringfence lock run db --shared -- ./report.sh               readers together, writers alone
  ringfence lock run gpu --permits 4 -- ./train.sh            at most four at a time
  ringfence lock run deploy --ttl 5s -- sh -c 'ringfence kv put version 7 --holds deploy=$RINGFENCE_TOKEN'";

const ACQUIRE_HELP: &str = "\
The first line on standard output is the token, printed once the lock is granted. The lock is held until SIGINT, SIGTERM or
SIGHUP (or, with --stdin, the end of standard input), and then given up. If it is lost, the exit code is 75.
With --detach the program ends at once and the lock stays until its TTL has passed: nobody renews it.

Examples:
  ringfence lock acquire deploy
  coproc L { ringfence lock acquire deploy --stdin; }; read -r token <&${L[0]}
  ringfence --json lock acquire deploy --detach --ttl 10m";

/// How a lock is shared.
#[derive(Debug, Clone, Args)]
pub struct ModeArgs {
    /// Share the lock with other shared holders.
    #[arg(long, conflicts_with = "permits")]
    pub shared: bool,
    /// Be one of up to N holders; all who use the name must give the same N, 1 to 1048576.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub permits: Option<u32>,
    /// Text for people to read in `lock show`.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub value: String,
}

/// `lock run`.
#[derive(Debug, Args)]
pub struct LockRunArgs {
    /// Name of the lock.
    pub name: String,
    #[command(flatten)]
    pub hold: HoldArgs,
    #[command(flatten)]
    pub mode: ModeArgs,
    #[command(flatten)]
    pub run: RunArgs,
}

/// `lock acquire`.
#[derive(Debug, Args)]
pub struct LockAcquireArgs {
    /// Name of the lock.
    pub name: String,
    #[command(flatten)]
    pub hold: HoldArgs,
    #[command(flatten)]
    pub mode: ModeArgs,
    #[command(flatten)]
    pub keep: KeepArgs,
}

/// `lock try`.
#[derive(Debug, Args)]
pub struct LockTryArgs {
    /// Name of the lock.
    pub name: String,
    #[command(flatten)]
    pub ttl: TtlArgs,
    #[command(flatten)]
    pub mode: ModeArgs,
    #[command(flatten)]
    pub keep: KeepArgs,
}

/// How long an acquired lock is kept.
#[derive(Debug, Clone, Copy, Args)]
pub struct KeepArgs {
    /// End at once and leave the lock to its TTL.
    #[arg(long, conflicts_with = "stdin")]
    pub detach: bool,
    /// Give the lock up when standard input ends, too.
    #[arg(long)]
    pub stdin: bool,
}

/// Which claim; of `lock release`, `elect resign` and `elect proclaim`.
#[derive(Debug, Args)]
pub struct ClaimArgs {
    /// Name of the lock or the election.
    pub name: String,
    /// The claim's token. Without it: whatever the session claims under the name.
    #[arg(long, value_name = "TOKEN", env = "RINGFENCE_TOKEN")]
    pub token: Option<u64>,
    /// The session that claimed; proof that the claim is one's own.
    #[arg(long, value_name = "ID", env = "RINGFENCE_SESSION", value_parser = session_id)]
    pub session: Option<u64>,
}

/// `lock release` and `elect resign`.
#[derive(Debug, Args)]
pub struct ReleaseArgs {
    #[command(flatten)]
    pub claim: ClaimArgs,
    /// Take the claim away whosever it is; needs --token, so that nobody else's is hit.
    #[arg(long, requires = "token")]
    pub force: bool,
}
