//! `ringfence`: coordination from the shell.
//!
//! The way of a command: `args` reads the command line into a tree of types, one file for each noun; `main` makes a
//! client (`context`) and hands both to the noun's module (`kv`, `kv_list`, `watch`, `lock`, `elect`, `session`, `cluster`,
//! `backup`, `bench`).
//! That makes calls of the client and prints through `output`, in the shapes of `shapes`. What fails is a `failure`: one line, a next
//! step (of errors of the cluster in `next_step`), and one of the codes in `exit`.
//!
//! Commands that hold something go through `hold`, and those that run a program under it through `run`, which starts it by
//! way of `become_command`, passes `signals` on, lends it the `terminal`, and ends all of it when the claim is lost.
//!
//! Transactions are read by `txn_syntax` from arguments and by `txn_json` from JSON.

mod args;
mod backup;
mod become_command;
mod bench;
mod cluster;
mod context;
mod elect;
mod endpoints;
mod exit;
mod failure;
mod hold;
mod kv;
mod kv_list;
mod lock;
mod next_step;
mod output;
mod run;
mod session;
mod shapes;
mod signals;
mod terminal;
mod txn_json;
mod txn_syntax;
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::args::{Cli, Command};
use crate::context::{Context, Done};
use crate::failure::Failure;
use crate::output::{Object, Output};

fn main() -> ExitCode {
    if let Some(failure) = become_command::asked(std::env::args_os().skip(1)) {
        Output::new(false).failure(&failure);
        return ExitCode::from(failure.code);
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(usage(&error)),
    };
    let output = Output::new(cli.global.json);
    match run(cli) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            if !failure.is_closed_output() {
                output.failure(&failure);
            }
            ExitCode::from(failure.code)
        }
    }
}

fn run(cli: Cli) -> Done {
    let output = Output::new(cli.global.json);
    match &cli.command {
        Command::Completions { shell } => return completions(output, *shell),
        Command::ExitCodes => return exit_codes(output),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::io("the runtime can't be started", &error))?;
    let done = runtime.block_on(dispatch(cli));
    // What still runs in the background has no one left to report to.
    runtime.shutdown_background();
    done
}

async fn dispatch(cli: Cli) -> Done {
    let context = Context::new(&cli.global)?;
    match command(&context, cli.command).await {
        Err(failure) => Err(context.explain(failure).await),
        done => done,
    }
}

async fn command(context: &Context, command: Command) -> Done {
    match command {
        Command::Kv(command) => kv::run(context, command).await,
        Command::Watch(args) => watch::run(context, args).await,
        Command::Lock(command) => lock::run(context, command).await,
        Command::Elect(command) => elect::run(context, command).await,
        Command::Session(command) => session::run(context, command).await,
        Command::Cluster(command) => cluster::run(context, command).await,
        Command::Backup(args) => backup::run(context, args).await,
        Command::Bench(args) => bench::run(context, args).await,
        // These need no cluster and were done before.
        Command::Completions { .. } | Command::ExitCodes => Ok(exit::DONE),
    }
}

fn completions(output: Output, shell: clap_complete::Shell) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "ringfence", &mut script);
    output.bytes(&script)?;
    Ok(exit::DONE)
}

fn exit_codes(output: Output) -> Done {
    if output.is_json() {
        for (code, meaning) in exit::TABLE {
            output.object(Object::new().field("code", *code).field("meaning", *meaning))?;
        }
    } else {
        output.bytes(exit::help().as_bytes())?;
    }
    Ok(exit::DONE)
}

/// Prints what is wrong with the command line, or the help that was asked for.
fn usage(error: &clap::Error) -> u8 {
    let before_command = std::env::args_os().skip(1).take_while(|argument| argument != "--");
    if error.use_stderr() && before_command.into_iter().any(|argument| argument == "--json") {
        let failure = Failure::usage(one_line(&error.to_string()));
        Output::new(true).failure(&failure.next("`ringfence help` explains the commands"));
    } else {
        // Nobody to tell if that fails.
        let _ = error.print();
    }
    u8::try_from(error.exit_code()).unwrap_or(exit::USAGE)
}

/// The first paragraph of clap's message on one line, without its title.
fn one_line(message: &str) -> String {
    let paragraph = message.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    words.join(" ").trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_about_the_command_line_fits_on_one_line() {
        let error = Cli::try_parse_from(["ringfence", "elect", "run", "n"]).expect_err("incomplete");
        let line = one_line(&error.to_string());
        assert_eq!(line, "the following required arguments were not provided: --value <V> <CMD>...");
    }
}
