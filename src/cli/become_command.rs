//! How the command of a `run` starts: `ringfence` starts itself again, under [`VERB`], and that becomes the command.
//!
//! The step between is there to ask the kernel to kill the command should `ringfence` be killed: then nobody would be left to
//! stop it when the lock is lost. Only the process itself can ask for that, and the wish outlives `exec`.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::exit;
use crate::failure::Failure;

/// The first argument of such a start; the second is the process that must still be the parent, the rest the command. It
/// is no part of the command line that people see, help and completions included.
pub const VERB: &str = "__become";

/// Becomes the command, if these arguments (without the program's name) ask for it. Comes back with a failure only if that can't be done.
pub fn asked(mut arguments: impl Iterator<Item = OsString>) -> Option<Failure> {
    if arguments.next()? != VERB {
        return None;
    }
    let parent = arguments.next().and_then(|parent| parent.to_str()?.parse().ok());
    let (Some(parent), Some(program)) = (parent, arguments.next()) else {
        return Some(Failure::usage(format!("{VERB} is for ringfence itself")));
    };
    Some(become_command(parent, program, arguments))
}

fn become_command(parent: u32, program: OsString, arguments: impl Iterator<Item = OsString>) -> Failure {
    if let Err(failure) = die_with(parent) {
        return failure;
    }
    let error = Command::new(&program).args(arguments).exec();
    let name = crate::output::escape(program.as_encoded_bytes());
    if error.kind() == std::io::ErrorKind::NotFound {
        Failure::new(exit::NOT_FOUND, "COMMAND_NOT_FOUND", format!("the command `{name}` was not found"))
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
        return Err(Failure::new(exit::LOST, "PARENT_GONE", "ringfence was killed before the command started")
            .next("run it again; the command was not started"));
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn die_with(_parent: u32) -> Result<(), Failure> {
    Ok(())
}
