//! `ringfence kv …`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{ReadArgs, holds, session_id};

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub enum KvCommand {
    /// Write one key.
    #[command(after_help = "\
Examples:
  ringfence kv put config/rate 100
  ringfence kv put config/site.toml --file site.toml
  echo hello | ringfence kv put greeting                     without VALUE: standard input, to its end
  ringfence kv put jobs/ payload --sequential                jobs/00000000000000000001
  ringfence kv put result 42 --holds \"$RINGFENCE_LOCK=$RINGFENCE_TOKEN\"
                                                             refused (exit code 3) once the lock has moved on")]
    Put(PutArgs),
    /// Print the value of one key.
    #[command(after_help = "\
Examples:
  ringfence kv get config/rate
  ringfence kv get config/rate --revision 17       as it was then
  ringfence kv get logo.png --raw > logo.png       the bytes, with no line end added
  ringfence --json kv get config/rate --stale      from whichever member answers, without a quorum

Exit code 3 if there is no such key.")]
    Get(GetArgs),
    /// List keys in order.
    #[command(after_help = "\
Examples:
  ringfence kv list                                every key
  ringfence kv list config/                        keys that begin so
  ringfence kv list --from a --to m --limit 20     a <= key < m
  ringfence kv list services --children            services/NAME, each NAME once
  ringfence kv list jobs/ --count")]
    List(ListArgs),
    /// Delete one key, a prefix or a range.
    #[command(after_help = "\
Examples:
  ringfence kv delete config/rate
  ringfence kv delete config/ --prefix --prev      says what was deleted
  ringfence kv delete a --to m                     a <= key < m

Deleting nothing is no error.")]
    Delete(DeleteArgs),
    /// Show the versions of one key, newest first, back to the last compaction.
    #[command(after_help = "\
Examples:
  ringfence kv history config/rate
  ringfence kv history config/rate --limit 1")]
    History(HistoryArgs),
    /// Compare, then do all of one list of operations or all of the other, in one revision.
    #[command(after_help = TXN_HELP)]
    Txn(TxnArgs),
    /// Forget all versions that are not the newest at a revision.
    #[command(after_help = "\
Examples:
  ringfence kv compact 1000

Reads and watches from below the revision are refused afterwards.")]
    Compact {
        /// The revision: 1 to the newest.
        revision: u64,
    },
}

const TXN_HELP: &str = "\
Comparisons (--if), all of which must hold; relations are = != < >
  version(KEY)=N   create(KEY)=REV   mod(KEY)=REV   session(KEY)=ID   numbers of an absent key are 0
  value(KEY)=TEXT
  exists(KEY)      absent(KEY)
  holds(LOCK)=TOKEN                  the token is a current owner of the lock or the election

Operations (--then, --else), done in order
  put KEY VALUE [session=ID] [sequential] [prev]
  get KEY
  list PREFIX [keys-only] [count] [limit=N]
  delete KEY [prefix] [prev]

Quote keys and values with blanks, brackets or odd bytes: \"two words\" (escapes \\n \\t \\r \\0 \\\" \\\\ \\xNN \\u{N})
or 'as it is'.

Examples:
  ringfence kv txn --if 'absent(config/rate)' --then 'put config/rate 100' --else 'get config/rate'
  ringfence kv txn --if 'holds(nightly)=12' --then 'put result done' --then 'delete todo'
  ringfence kv txn --file txn.json
  echo '{\"if\":[{\"key\":\"k\",\"version\":0}],\"then\":[{\"put\":{\"key\":\"k\",\"value\":\"v\"}}]}' | ringfence kv txn

Without --if, --then, --else and --file the transaction is read from standard input, as JSON (see docs/cli.md).
Exit code 3 if a comparison doesn't hold, even where --else was done.";

/// `kv put`.
#[derive(Debug, Args)]
pub struct PutArgs {
    /// The key; with --sequential what it begins with.
    pub key: OsString,
    /// The value. Without it: standard input.
    pub value: Option<OsString>,
    /// Read the value from this file.
    #[arg(long, value_name = "PATH", conflicts_with = "value")]
    pub file: Option<PathBuf>,
    /// Bind the key to this session: it goes when the session ends.
    #[arg(long, value_name = "ID", value_parser = session_id)]
    pub session: Option<u64>,
    /// Append twenty digits of a counter that never goes back, and print the key.
    #[arg(long)]
    pub sequential: bool,
    /// Print the version that was replaced, too.
    #[arg(long)]
    pub prev: bool,
    /// Write only if this token is a current owner of this lock.
    #[arg(long, value_name = "LOCK=TOKEN", value_parser = holds)]
    pub holds: Option<(String, u64)>,
    /// KEY and VALUE are base64.
    #[arg(long)]
    pub base64: bool,
}

/// `kv get`.
#[derive(Debug, Args)]
pub struct GetArgs {
    /// The key.
    pub key: OsString,
    /// As of this revision.
    #[arg(long, value_name = "REV")]
    pub revision: Option<u64>,
    /// Print the value's bytes and nothing else, no line end either.
    #[arg(long, conflicts_with = "json")]
    pub raw: bool,
    #[command(flatten)]
    pub read: ReadArgs,
    /// KEY is base64.
    #[arg(long)]
    pub base64: bool,
}

/// `kv list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Keys that begin so; with --children the path above them.
    pub prefix: Option<OsString>,
    /// Keys from this one on.
    #[arg(long, value_name = "KEY", conflicts_with_all = ["prefix", "children"])]
    pub from: Option<OsString>,
    /// Keys below this one.
    #[arg(long, value_name = "KEY", conflicts_with_all = ["prefix", "children"], requires = "from")]
    pub to: Option<OsString>,
    /// Only the direct children of the path PREFIX.
    #[arg(long, requires = "prefix")]
    pub children: bool,
    /// Leave values out.
    #[arg(long)]
    pub keys_only: bool,
    /// Print only how many there are.
    #[arg(long, conflicts_with_all = ["limit", "reverse", "keys_only"])]
    pub count: bool,
    /// At most so many keys. Without it: all, page by page.
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Greatest key first.
    #[arg(long)]
    pub reverse: bool,
    /// As of this revision.
    #[arg(long, value_name = "REV")]
    pub revision: Option<u64>,
    #[command(flatten)]
    pub read: ReadArgs,
    /// PREFIX, --from and --to are base64.
    #[arg(long)]
    pub base64: bool,
}

/// `kv delete`.
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// The key, the prefix, or the first key.
    pub key: OsString,
    /// All keys that begin with KEY.
    #[arg(long, conflicts_with = "to")]
    pub prefix: bool,
    /// All keys from KEY on and below this one.
    #[arg(long, value_name = "END")]
    pub to: Option<OsString>,
    /// Print what was deleted.
    #[arg(long)]
    pub prev: bool,
    /// Delete only if this token is a current owner of this lock.
    #[arg(long, value_name = "LOCK=TOKEN", value_parser = holds)]
    pub holds: Option<(String, u64)>,
    /// KEY and --to are base64.
    #[arg(long)]
    pub base64: bool,
}

/// `kv history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// The key.
    pub key: OsString,
    /// At most so many versions, 1 to 1000.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
    #[command(flatten)]
    pub read: ReadArgs,
    /// KEY is base64.
    #[arg(long)]
    pub base64: bool,
}

/// `kv txn`.
#[derive(Debug, Args)]
pub struct TxnArgs {
    /// A comparison; may be repeated, all must hold.
    #[arg(long = "if", value_name = "COMPARISON")]
    pub compare: Vec<String>,
    /// An operation to do if all hold; may be repeated.
    #[arg(long, value_name = "OPERATION")]
    pub then: Vec<String>,
    /// An operation to do if not; may be repeated.
    #[arg(long = "else", value_name = "OPERATION")]
    pub otherwise: Vec<String>,
    /// Read the transaction from this file, as JSON; `-` is standard input.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["compare", "then", "otherwise"])]
    pub file: Option<PathBuf>,
}
