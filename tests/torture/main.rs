//! Tortures servers that run as processes. See the crate's own essay.
#![cfg_attr(madsim, allow(unused))]

#[cfg(not(madsim))]
mod command;

fn main() -> std::process::ExitCode {
    #[cfg(not(madsim))]
    return command::main();
    #[cfg(madsim)]
    std::process::ExitCode::FAILURE
}
