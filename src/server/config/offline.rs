//! The command lines of what is done without a running server: `ringfenced restore`, `ringfenced check`.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{
    ConfigError, Settings,
    flags::{self, config_arg, with_keys},
    source::{Origin, Value, Values},
};

/// How far the revision jumps unless told otherwise: 14 hours of 20 000 changes a second, which is more than a cluster does,
/// while there is room for thousands of millions of such jumps.
pub const REVISION_JUMP: u64 = 1_000_000_000;
/// The least: a minute of that. A smaller jump could give tokens out again that the old cluster gave out after the backup.
pub const REVISION_JUMP_MIN: u64 = 1_000_000;
/// The most: with it there is still room for another one.
const REVISION_JUMP_MAX: u64 = 1 << 61;

/// Where the log is copied to, for the process that checks.
pub const COPIES: &str = "copies";

const AFTER_RESTORE: &str = "\
Makes the data directory of the first member of a new cluster, which must have another name than the old one. Its settings are those with
which the server is started afterwards, from the same file or the same flags. Only this member is restored: the others are started
with empty directories and join = true, and are added with `ringfence cluster add` and `ringfence cluster promote`.

The revision jumps ahead, so that every fencing token of the new cluster is greater than all that the old one gave out, also after the backup
was taken. If the old cluster may have made more than a thousand million changes since, give a larger --revision-jump. History before the
restore counts as compacted, sessions have their whole TTL before them, locks stay with who held them, and who waited asks again.

Examples:
  ringfenced restore ringfence.backup --config node1.toml
  ringfenced restore ringfence.backup --data-dir /var/lib/ringfence --cluster prod-2 --node-id 1 \\
      --client-listen 10.0.0.1:7601 --peer-listen 10.0.0.1:7611

Exit codes:
  0  restored
  2  the command line or the configuration is wrong
  3  not restored: the backup is damaged or of a newer format, or the directory isn't empty or can't be written";

const AFTER_CHECK: &str = "\
Reads whose the data are, every record of the log, the vote and the marks, and every snapshot. No server may run on the directory. Nothing in
it is changed: the log is copied into a temporary directory first (TMPDIR names the place), and the copy is opened.

Examples:
  ringfenced check /var/lib/ringfence
  ringfenced check /var/lib/ringfence --json

Exit codes:
  0  all of it is sound
  2  the command line is wrong
  3  something is damaged, or the directory can't be checked: in use, or no data directory";

/// `ringfenced restore`.
pub fn restore() -> Command {
    let command = Command::new("restore")
        .about("Make the first member of a new cluster out of a backup")
        .after_help(AFTER_RESTORE)
        .arg(
            Arg::new("file")
                .required(true)
                .value_name("FILE")
                .value_parser(clap::value_parser!(PathBuf))
                .help("The backup, as `ringfence backup` wrote it"),
        )
        .arg(config_arg())
        .arg(
            Arg::new("revision-jump")
                .long("revision-jump")
                .value_name("NUMBER")
                .default_value(REVISION_JUMP.to_string())
                .value_parser(clap::value_parser!(u64).range(REVISION_JUMP_MIN..=REVISION_JUMP_MAX))
                .help("How far the revision, and with it every token, jumps ahead of the backup's"),
        )
        .arg(json());
    with_keys(command)
}

/// `ringfenced check`.
pub fn check() -> Command {
    Command::new("check")
        .about("Check all of a member's data directory, and change nothing")
        .after_help(AFTER_CHECK)
        .arg(
            Arg::new("directory")
                .required(true)
                .value_name("DATA_DIR")
                .value_parser(clap::value_parser!(PathBuf))
                .help("The directory that data_dir names"),
        )
        .arg(json())
        .arg(
            Arg::new(COPIES)
                .long(COPIES)
                .hide(true)
                .value_parser(clap::value_parser!(PathBuf))
                .help("Set by the program itself"),
        )
}

fn json() -> Arg {
    Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print one JSON object")
}

/// The settings of the member that is restored: as for a start of the server, but `members` need not be given, and names
/// nobody else.
///
/// # Errors
/// See [`ConfigError`].
pub fn load_restore(matches: &ArgMatches, variable: impl Fn(&str) -> Option<String>) -> Result<Settings, ConfigError> {
    let mut values = flags::given(Values::default(), matches, variable)?;
    found_alone(&mut values);
    let settings = Settings::from_values(&values)?;
    if settings.join || settings.members.iter().any(|member| member.id != settings.node_id) {
        return Err(ConfigError::new(
            "restore makes the one member that founds the new cluster: name this member alone in members (or nobody), without \
             join; start the others with empty directories and join = true, and add them",
        ));
    }
    Ok(settings)
}

/// Names this member as the only founder, where nobody is named.
fn found_alone(values: &mut Values) {
    let word = |key: &str| match values.get(key) {
        Some((Value::Word(word) | Value::Text(word) | Value::Number(word), _)) => word.clone(),
        _ => String::new(),
    };
    if values.get("members").is_some() || values.get("join").is_some() {
        return;
    }
    let or = |address: String, listen: String| if address.is_empty() { listen } else { address };
    let client = or(word("client_address"), word("client_listen"));
    let peer = or(word("peer_address"), word("peer_listen"));
    let node_id = word("node_id");
    if [&client, &peer, &node_id].iter().any(|word| word.is_empty()) {
        // What is missing is said by its own name.
        return;
    }
    values.set("members", Value::Word(format!("{node_id}={client}/{peer}")), Origin::Default);
}
