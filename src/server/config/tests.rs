//! Each wrong configuration, and what is said about it.

use std::path::Path;

use super::{
    ConfigError, Settings, Values, flags,
    keys::{self, KEYS},
};

const GOOD: &str = r#"cluster = "test"
node_id = 2
data_dir = "data"
client_listen = "127.0.0.1:7602"
peer_listen = "127.0.0.1:7612"

[[members]]
id = 1
client_address = "127.0.0.1:7601"
peer_address = "127.0.0.1:7611"

[[members]]
id = 2
client_address = "127.0.0.1:7602"
peer_address = "127.0.0.1:7612"
"#;

fn read(text: &str) -> Result<Settings, ConfigError> {
    let mut values = Values::default();
    values.add_file(Path::new("node.toml"), text)?;
    Settings::from_values(&values)
}

/// The only problem that a text has.
fn problem(text: &str) -> String {
    let error = read(text).expect_err(text);
    assert_eq!(error.problems().len(), 1, "{error}");
    error.to_string()
}

/// The only problem after a line of the good file was replaced.
fn after(line: &str, instead: &str) -> String {
    assert!(GOOD.contains(line), "{line}");
    problem(&GOOD.replacen(line, instead, 1))
}

/// The only problem after a line was put before the good file.
fn with(line: &str) -> String {
    problem(&format!("{line}\n{GOOD}"))
}

#[test]
fn a_good_file_gives_its_values_and_the_defaults() {
    let settings = read(GOOD).unwrap();
    assert_eq!(settings.cluster, "test");
    assert_eq!(settings.node_id, 2);
    assert_eq!(settings.client_address, "127.0.0.1:7602");
    assert_eq!(settings.members.len(), 2);
    assert_eq!(settings.heartbeat_ms, 100);
    assert!(!settings.join);
    assert!(settings.http_listen.is_none());
}

#[test]
fn what_is_no_toml_names_the_line() {
    assert_eq!(problem("cluster = \"a\"\nnode_id = = 2\n").split(": ").next().unwrap(), "node.toml, line 2",);
}

#[test]
fn unknown_keys_are_rejected_with_the_nearest_known() {
    assert_eq!(with("heartbeat = 100"), "node.toml, line 1: heartbeat is not a known key; did you mean heartbeat_ms?");
    assert_eq!(
        with("client-listen = \"127.0.0.1:1\""),
        "node.toml, line 1: client-listen is not a known key; did you mean client_listen?"
    );
    assert!(
        with("colour = 1").starts_with("node.toml, line 1: colour is not a known key; known are cluster, node_id, ")
    );
    assert_eq!(
        after("id = 1\n", "id = 1\nname = \"a\"\n"),
        "node.toml, line 7: members has the unknown key name; known are id, client_address and peer_address"
    );
}

#[test]
fn missing_keys_are_told_all_at_once() {
    let error = read("join = true\n").unwrap_err();
    let keys: Vec<_> = error.problems().iter().map(|problem| problem.split(' ').next().unwrap()).collect();
    assert_eq!(keys, ["cluster", "node_id", "data_dir", "client_listen", "peer_listen"]);
    assert_eq!(
        error.problems()[1],
        "node_id is missing; it must be a whole number, another one for each member (in the file, by --node-id, or in RINGFENCE_NODE_ID)"
    );
}

#[test]
fn numbers_are_checked_for_type_and_range() {
    assert_eq!(
        with("heartbeat_ms = \"100\""),
        "node.toml, line 1: heartbeat_ms is \"100\"; it must be a whole number of milliseconds from 10 to 10000, without quotes"
    );
    assert_eq!(
        with("heartbeat_ms = 5"),
        "node.toml, line 1: heartbeat_ms is 5; it must be a whole number of milliseconds from 10 to 10000"
    );
    assert!(with("heartbeat_ms = -1").contains("is -1; it must be"));
    assert!(with("snapshot_entries = 1.5").contains("is of type float; it must be"));
    assert!(after("node_id = 2", "node_id = 0").contains("line 2: node_id is 0; it must be a whole number from 1 to"));
}

#[test]
fn addresses_are_checked() {
    assert_eq!(
        after("client_listen = \"127.0.0.1:7602\"", "client_listen = \"localhost\""),
        "node.toml, line 4: client_listen is \"localhost\"; it must be an IP address and a port from 1 to 65535, such as \
         127.0.0.1:7601, 0.0.0.0:7601 or [::]:7601"
    );
    assert!(after("\"127.0.0.1:7612\"", "\"127.0.0.1:0\"").contains("peer_listen is \"127.0.0.1:0\"; it must be"));
    assert!(
        with("client_address = \"host\"")
            .contains("client_address is \"host\", which has no port; it must be host:port")
    );
    assert!(with("peer_address = \"a b:1\"").contains("peer_address is \"a b:1\", which has \"a b\" for a host"));
    assert!(with("peer_address = \"0.0.0.0:1\"").contains("is an address to listen on"));
}

#[test]
fn an_address_must_be_given_where_all_interfaces_are_listened_on() {
    let text = "cluster = \"c\"\nnode_id = 1\ndata_dir = \"d\"\njoin = true\nclient_listen = \"0.0.0.0:7601\"\npeer_listen = \"127.0.0.1:1\"";
    assert!(
        problem(text)
            .starts_with("client_address is missing; it must be host:port, since others can't connect to 0.0.0.0:7601")
    );
}

#[test]
fn ports_of_its_own_for_each_use() {
    let text = GOOD.replacen("peer_listen = \"127.0.0.1:7612\"", "peer_listen = \"127.0.0.1:7602\"", 1);
    let error = read(&text).unwrap_err();
    assert_eq!(
        error.problems()[0],
        "node.toml, line 5: peer_listen is the same as client_listen; each needs a port of its own"
    );
    assert!(with("http_listen = \"127.0.0.1:7612\"").contains("http_listen is the same as peer_listen"));
}

#[test]
fn members_must_fit() {
    assert_eq!(
        after("node_id = 2", "node_id = 3"),
        "node.toml, line 2: node_id is 3, which isn't among members (1, 2); correct one of them, or set join = true to wait \
         until this member is added"
    );
    assert_eq!(after("id = 1\n", "id = 2\n"), "node.toml, line 7: members has id 2 twice; each must be unique");
    assert!(after("id = 1\n", "id = 0\n").contains("members has \"0\" for an id"));
    assert!(with("client_address = \"other:7602\"").contains(
        "client_address is \"other:7602\", and members says \"127.0.0.1:7602\" for node 2; they must be equal"
    ));
    let none = GOOD.split("[[").next().unwrap();
    assert!(
        problem(none).starts_with("members is missing; it must be the list of all founding members, this one included")
    );
    assert!(read(&format!("join = true\n{none}")).is_ok());
}

#[test]
fn elections_must_be_longer_than_heartbeats() {
    assert_eq!(
        with("heartbeat_ms = 150"),
        "default: election_timeout_ms_min is 300; it must be at least three times heartbeat_ms (150), so 450"
    );
    assert_eq!(
        with("election_timeout_ms_max = 300"),
        "node.toml, line 1: election_timeout_ms_max is 300; it must be above election_timeout_ms_min (300)"
    );
}

#[test]
fn words_are_checked() {
    assert!(with("log_format = \"xml\"").contains("log_format is \"xml\"; it must be \"text\" or \"json\""));
    assert!(with("log_level = \"loud\"").contains("log_level is \"loud\"; it must be error, warn,"));
    assert!(with("log_level = \"info,=\"").contains("log_level is"));
    assert!(with("join = 1").contains("join is 1; it must be true or false"));
    assert!(after("\"test\"", "\"te st\"").contains("cluster is \"te st\"; it must be a name of 1 to 64"));
    assert!(after("\"data\"", "\"\"").contains("data_dir is \"\"; it must be a directory"));
}

#[test]
fn files_of_tls_belong_together_and_are_looked_into() {
    assert!(with("client_tls_cert = \"c.pem\"").starts_with("client_tls_key is missing; it must be a file: "));
    let error = read(&format!("peer_tls_ca = \"ca.pem\"\n{GOOD}")).unwrap_err();
    let keys: Vec<_> = error.problems().iter().map(|problem| problem.split(' ').next().unwrap()).collect();
    assert_eq!(keys, ["peer_tls_cert", "peer_tls_key"]);
    assert!(
        with("peer_tls_cert = 1\npeer_tls_key = \"k\"\npeer_tls_ca = \"ca\"").contains("it must be the name of a file")
    );
    let files = "peer_tls_cert = \"/nowhere/c\"\npeer_tls_key = \"/nowhere/k\"\npeer_tls_ca = \"/nowhere/ca\"";
    assert!(with(files).contains("line 1: peer_tls_cert can't be used: /nowhere/c can't be read: No such file"));
}

fn load(arguments: &[&str], environment: &[(&str, &str)]) -> Result<flags::Loaded, ConfigError> {
    let matches = flags::command().try_get_matches_from([&["ringfenced"], arguments].concat()).unwrap();
    flags::load(&matches, |name| {
        environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    })
}

#[test]
fn a_flag_goes_before_a_variable_before_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.toml");
    std::fs::write(&path, format!("heartbeat_ms = 50\nsnapshot_entries = 500\nkeep_entries = 5\n{GOOD}")).unwrap();
    let path = path.to_str().unwrap();
    let environment =
        [("RINGFENCE_SNAPSHOT_ENTRIES", "600"), ("RINGFENCE_KEEP_ENTRIES", "6"), ("RINGFENCE_OTHER", "x")];
    let loaded = load(&["--config", path, "--keep-entries", "7"], &environment).unwrap();
    let settings = &loaded.settings;
    assert_eq!((settings.heartbeat_ms, settings.snapshot_entries, settings.keep_entries), (50, 600, 7));
    let shown = settings.show(&loaded.values);
    assert!(shown.contains("keep_entries = 7  # flag --keep-entries\n"), "{shown}");
    assert!(shown.contains("snapshot_entries = 600  # environment RINGFENCE_SNAPSHOT_ENTRIES\n"), "{shown}");
    assert!(shown.contains("node.toml, line 1\n"), "{shown}");
    // What is shown is a configuration that says the same.
    assert_eq!(read(&shown).unwrap().show(&Values::default()), settings.show(&Values::default()));
}

#[test]
fn the_bytes_between_snapshots_reach_raft() {
    let settings = read(GOOD).unwrap();
    assert_eq!((settings.snapshot_bytes, settings.raft().snapshot_bytes), (64 << 20, 64 << 20));
    let settings = read(&format!("snapshot_bytes = 1048576\n{GOOD}")).unwrap();
    assert_eq!(settings.raft().snapshot_bytes, 1 << 20);
    assert!(settings.show(&Values::default()).contains("snapshot_bytes = 1048576  #"));
    assert_eq!(
        with("snapshot_bytes = 1000"),
        "node.toml, line 1: snapshot_bytes is 1000; it must be a whole number of bytes from 1048576 to 1099511627776"
    );
    let arguments = ["--dev", "--snapshot-bytes", "2097152"];
    assert_eq!(load(&arguments, &[]).unwrap().settings.snapshot_bytes, 2 << 20);
    let environment = [("RINGFENCE_SNAPSHOT_BYTES", "3145728")];
    assert_eq!(load(&["--dev"], &environment).unwrap().settings.snapshot_bytes, 3 << 20);
}

#[test]
fn everything_can_be_said_without_a_file() {
    let arguments = [
        "--cluster=c",
        "--node-id=1",
        "--data-dir=d",
        "--client-listen=10.0.0.1:7601",
        "--peer-listen=10.0.0.1:7611",
        "--members=1=10.0.0.1:7601/10.0.0.1:7611, 2=b:7601/b:7611",
    ];
    assert_eq!(load(&arguments, &[]).unwrap().settings.members.len(), 2);
    let error = load(&arguments, &[("RINGFENCE_HEARTBEAT_MS", "often")]).unwrap_err();
    assert!(
        error.to_string().starts_with("environment RINGFENCE_HEARTBEAT_MS: heartbeat_ms is \"often\"; it must be"),
        "{error}"
    );
    let error = load(&["--members=1"], &[]).unwrap_err();
    assert!(
        error.to_string().contains("flag --members: members has \"1\"; each must be id=client address/peer address"),
        "{error}"
    );
    assert!(load(&["--join", "--members=1"], &[]).is_err());
}

#[test]
fn nothing_said_is_told_what_to_do() {
    assert!(load(&[], &[]).unwrap_err().to_string().contains("--config FILE"));
    assert!(
        load(&["--config", "/nowhere/x.toml"], &[])
            .unwrap_err()
            .to_string()
            .starts_with("/nowhere/x.toml: the configuration can't be read")
    );
}

#[test]
fn dev_needs_nothing_else() {
    let loaded = load(&["--dev"], &[]).unwrap();
    assert_eq!(loaded.settings.client_listen.to_string(), "127.0.0.1:7601");
    assert!(loaded.temporary.is_some());
    let loaded = load(&["--dev", "--client-listen", "127.0.0.1:7700"], &[]).unwrap();
    assert_eq!(loaded.settings.members[0].client_address, "127.0.0.1:7700");
}

#[test]
fn every_key_is_in_the_documentation() {
    let text = include_str!("../../../docs/configuration.md");
    for key in KEYS {
        assert!(text.contains(&format!("| `{}` |", key.name)), "docs/configuration.md lacks {}", key.name);
        assert!(keys::find(key.name).is_some());
    }
}
