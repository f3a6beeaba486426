//! The command line, and the way from it to settings.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
};

use clap::{Arg, ArgAction, ArgMatches, Command, builder::styling::Styles};

use super::{
    ConfigError, Settings,
    dev_data::DevData,
    keys::KEYS,
    offline,
    source::{Origin, Value, Values},
};

/// Where `--dev` listens for clients, unless told otherwise: the first of the local cluster's ports.
pub const DEV_CLIENT_LISTEN: &str = "127.0.0.1:7601";

const AFTER_HELP: &str = "\
Every key of the file is also a flag and a variable, RINGFENCE_ and the key in capitals. A flag goes before a variable, a variable before the file.

Examples:
  ringfenced --dev                                  one member, temporary data, on 127.0.0.1:7601
  ringfenced --dev --client-listen 127.0.0.1:7700   the same on another port
  ringfenced --config node1.toml                    a member of a cluster
  ringfenced --config node1.toml --check-config     show what it would run with
  ringfenced restore FILE --config node1.toml       the first member of a new cluster, out of a backup
  ringfenced check DATA_DIR                         is all of a member's data sound?

Exit codes:
  0  stopped in good order
  2  the command line or the configuration is wrong
  3  it can't start: data directory, port, damaged or foreign data
  4  it can't go on: the disk failed while it ran";

/// The command line.
pub fn command() -> Command {
    let command = Command::new("ringfenced")
        .version(env!("CARGO_PKG_VERSION"))
        .about("The Ringfence server: locks with fencing tokens, elections, sessions, watches, configuration.")
        .after_help(AFTER_HELP)
        .styles(Styles::plain())
        .max_term_width(110)
        .args_conflicts_with_subcommands(true)
        .subcommand(offline::restore())
        .subcommand(offline::check())
        .arg(config_arg())
        .arg(
            Arg::new("dev")
                .long("dev")
                .action(ArgAction::SetTrue)
                .conflicts_with("config")
                .help("Run one member on 127.0.0.1:7601 with temporary data, for trying things"),
        )
        .arg(
            Arg::new("check-config")
                .long("check-config")
                .action(ArgAction::SetTrue)
                .help("Check the configuration, show the effective one, and end"),
        );
    with_keys(command)
}

/// The flag that names the file.
pub(super) fn config_arg() -> Arg {
    Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .help("The configuration, a TOML file")
}

/// Adds a flag for each key.
pub(super) fn with_keys(command: Command) -> Command {
    KEYS.iter().fold(command, |command, key| {
        let arg = Arg::new(key.name)
            .long(key.flag())
            .value_name(key.form)
            .help(key.help)
            .help_heading("Keys of the configuration");
        // `--join` alone says yes.
        let arg = if key.form == "BOOL" {
            arg.num_args(0..=1).require_equals(true).default_missing_value("true")
        } else {
            arg
        };
        command.arg(arg)
    })
}

/// What a start was told.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// What they were made from.
    pub values: Values,
    /// Data that go when this is dropped.
    pub temporary: Option<DevData>,
}

/// The settings that a command line, the environment and the file say.
///
/// # Errors
/// See [`ConfigError`]; a file that can't be read is one.
pub fn load(matches: &ArgMatches, variable: impl Fn(&str) -> Option<String>) -> Result<Loaded, ConfigError> {
    let mut values = Values::default();
    let dev = matches.get_flag("dev");
    if dev {
        add_dev(&mut values)?;
    }
    let mut values = given(values, matches, variable)?;
    let given = KEYS.iter().any(|key| values.get(key.name).is_some());
    if !given {
        return Err(ConfigError::new(
            "no configuration: name a file with --config FILE, or try things with --dev; --help tells more",
        ));
    }
    let mut temporary = None;
    if dev {
        if values.get("data_dir").is_none() {
            let directory = DevData::within(&std::env::temp_dir());
            let directory = directory.map_err(|error| ConfigError::new(format!("no temporary directory: {error}")))?;
            values.set("data_dir", Value::Word(directory.path().display().to_string()), Origin::Dev);
            temporary = Some(directory);
        }
        found_alone(&mut values);
    }
    let settings = Settings::from_values(&values)?;
    Ok(Loaded { settings, values, temporary })
}

/// Adds what the file, the environment and the flags say.
pub(super) fn given(
    mut values: Values,
    matches: &ArgMatches,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Values, ConfigError> {
    if let Some(path) = matches.get_one::<PathBuf>("config") {
        let text = std::fs::read_to_string(path).map_err(|error| {
            ConfigError::new(format!("{}: the configuration can't be read: {error}", path.display()))
        })?;
        values.add_file(path, &text)?;
    }
    values.add_environment(variable);
    values.add_flags(|key| matches.get_one::<String>(key).cloned());
    Ok(values)
}

/// What `--dev` gives, weaker than everything else.
fn add_dev(values: &mut Values) -> Result<(), ConfigError> {
    let port = free_port().map_err(|error| ConfigError::new(format!("no free port for members: {error}")))?;
    for (key, word) in [
        ("cluster", "dev".to_owned()),
        ("node_id", "1".to_owned()),
        ("client_listen", DEV_CLIENT_LISTEN.to_owned()),
        ("peer_listen", format!("127.0.0.1:{port}")),
    ] {
        values.set(key, Value::Word(word), Origin::Dev);
    }
    Ok(())
}

/// Makes a member that runs for trying things the only founder of its cluster, with the addresses it was given.
fn found_alone(values: &mut Values) {
    let word = |key: &str| match values.get(key) {
        Some((Value::Word(word), _)) => word.clone(),
        _ => String::new(),
    };
    if values.get("members").is_some() || values.get("join").is_some() {
        return;
    }
    let or = |address: String, listen: String| if address.is_empty() { listen } else { address };
    let client = or(word("client_address"), word("client_listen").replace("0.0.0.0", "127.0.0.1"));
    let peer = or(word("peer_address"), word("peer_listen").replace("0.0.0.0", "127.0.0.1"));
    let members = format!("{}={client}/{peer}", word("node_id"));
    values.set("members", Value::Word(members), Origin::Dev);
}

/// A port on which nobody listens now.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
