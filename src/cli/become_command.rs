//! How the command of a `run` starts: `ringfence` starts itself again, under [`VERB`], and that becomes the command.
//!
//! The step between is there to ask the kernel to kill the command should `ringfence` be killed: then nobody would be left to
//! stop it when the lock is lost. Only the process itself can ask for that, and the wish outlives `exec`.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::args::BecomeArgs;
use crate::exit;
use crate::failure::Failure;

/// The hidden verb.
pub const VERB: &str = "__become";

/// Becomes the command. Comes back only if that can't be done.
pub fn run(args: &BecomeArgs) -> Failure {
    if let Err(failure) = die_with(args.parent) {
        return failure;
    }
    let Some((program, arguments)) = args.command.split_first() else {
        return Failure::usage("no command is given after `--`");
    };
    let error = Command::new(program).args(arguments).exec();
    let name = crate::output::escape(program.as_encoded_bytes());
    if error.kind() == std::io::ErrorKind::NotFound {
        Failure::new(
            exit::NOT_FOUND,
            "COMMAND_NOT_FOUND",
            format!("the command `{name}` was not found"),
        )
        .next("check its name and PATH, or give its path")
    } else {
        Failure::new(
            exit::NOT_EXECUTABLE,
            "COMMAND_NOT_EXECUTABLE",
            format!("the command `{name}` can't be run: {error}"),
        )
        .next("check that it is a program and may be executed")
    }
}

#[cfg(target_os = "linux")]
fn die_with(parent: u32) -> Result<(), Failure> {
    use nix::sys::{prctl, signal::Signal};
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|error| Failure::io("prctl", &error.into()))?;
    // The parent may have died before the kernel was asked.
    if std::os::unix::process::parent_id() != parent {
        return Err(Failure::new(
            exit::LOST,
            "PARENT_GONE",
            "ringfence was killed before the command started",
        ));
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn die_with(_parent: u32) -> Result<(), Failure> {
    Ok(())
}
