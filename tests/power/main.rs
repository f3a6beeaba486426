//! Cuts the power of a disk as often as is wanted. See the crate's own essay.
#![cfg_attr(madsim, allow(unused))]

#[cfg(not(madsim))]
mod command;

fn main() -> std::process::ExitCode {
    #[cfg(not(madsim))]
    return command::main();
    #[cfg(madsim)]
    std::process::ExitCode::FAILURE
}
