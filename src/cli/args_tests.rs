use clap::CommandFactory;

use super::*;

fn parse(line: &str) -> Result<Cli, clap::error::ErrorKind> {
    Cli::try_parse_from(line.split(' ')).map_err(|error| error.kind())
}

#[test]
fn the_tree_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_explains_itself_with_examples() {
    fn check(command: &clap::Command, path: &str) {
        for child in command.get_subcommands().filter(|child| !child.is_hide_set() && child.get_name() != "help") {
            let path = format!("{path} {}", child.get_name());
            assert!(child.get_about().is_some(), "{path} has no help");
            if child.has_subcommands() {
                check(child, &path);
            } else if child.get_name() != "exit-codes" {
                let examples = child.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(examples.contains("Examples:\n"), "{path} has no examples");
                assert!(
                    examples.contains(path.trim_start_matches("ringfence ")),
                    "the examples of {path} don't use it"
                );
            }
        }
    }
    check(&Cli::command(), "ringfence");
}

#[test]
fn options_may_stand_anywhere_before_the_command() {
    let cli = parse("ringfence --json lock run nightly --ttl 5s --endpoints a:1,b:2 --wait 1m30s -- sh -c --json")
        .expect("parses");
    assert!(cli.global.json);
    assert_eq!(cli.global.endpoints.0, ["http://a:1", "http://b:2"]);
    let Command::Lock(lock::LockCommand::Run(run)) = cli.command else { panic!("is lock run") };
    assert_eq!((run.hold.ttl.ttl, run.hold.wait), (Duration::from_secs(5), Some(Duration::from_secs(90))));
    assert_eq!(run.run.command, ["sh", "-c", "--json"]);
}

#[test]
fn what_contradicts_itself_is_refused() {
    use clap::error::ErrorKind::{
        ArgumentConflict, InvalidSubcommand, MissingRequiredArgument, UnknownArgument, ValueValidation,
    };
    let cases = [
        ("ringfence lock run x", MissingRequiredArgument),
        ("ringfence lock run x --shared --permits 3 -- true", ArgumentConflict),
        ("ringfence lock run x --permits 0 -- true", ValueValidation),
        ("ringfence lock run x --ttl 10 -- true", ValueValidation),
        ("ringfence lock acquire x --detach --stdin", ArgumentConflict),
        ("ringfence elect run x -- true", MissingRequiredArgument),
        ("ringfence elect proclaim x --session 1f", MissingRequiredArgument),
        ("ringfence elect resign x --force", MissingRequiredArgument),
        ("ringfence watch x --from 0", ValueValidation),
        ("ringfence watch x --from 1 --snapshot", ArgumentConflict),
        ("ringfence kv put k v --holds lock", ValueValidation),
        ("ringfence kv put k v --session zz", ValueValidation),
        ("ringfence kv list --to m", MissingRequiredArgument),
        ("ringfence kv list a --from b", ArgumentConflict),
        ("ringfence kv txn --file f --if exists(k)", ArgumentConflict),
        ("ringfence --endpoints db1 kv get k", ValueValidation),
        ("ringfence kv drop k", InvalidSubcommand),
        ("ringfence kv get k --frob", UnknownArgument),
        ("ringfence cluster add 0 --client a:1 --peer a:2", ValueValidation),
    ];
    for (line, wanted) in cases {
        assert_eq!(parse(line).err(), Some(wanted), "{line}");
    }
}

#[test]
fn durations_need_a_unit() {
    assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
    assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
    assert_eq!(duration("0s"), Ok(Duration::ZERO));
    for wrong in ["10", "", "-1s", "1 fortnight"] {
        assert!(duration(wrong).expect_err(wrong).contains("10s"), "{wrong}");
    }
}

#[test]
fn session_ids_are_hex() {
    assert_eq!(session_id("000000000000001f"), Ok(0x1f));
    assert_eq!(session_id("0x1F"), Ok(0x1f));
    for wrong in ["", "0", "0x", "+1", "g", "8000000000000000", "11112222333344445"] {
        assert!(session_id(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn the_last_equals_sign_parts_lock_and_token() {
    assert_eq!(holds("a=b=12"), Ok(("a=b".to_owned(), 12)));
    for wrong in ["a", "=1", "a=", "a=x", "a=-1"] {
        assert!(holds(wrong).is_err(), "{wrong}");
    }
}
