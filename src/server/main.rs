//! ringfenced, the Ringfence server: reads its configuration, runs a [`Server`](ringfence_server::server::Server) until a
//! signal, and tells by its exit code how it ended.

#[cfg(not(madsim))]
mod logs;
#[cfg(not(madsim))]
mod offline;
#[cfg(not(madsim))]
mod program;

/// What many clients write and read is small, and is freed by other threads than took it. Figures in `docs/performance.md`.
#[cfg(not(madsim))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[cfg(not(madsim))]
fn main() -> std::process::ExitCode {
    program::main()
}

/// A simulation runs servers as a library; there is no process.
#[cfg(madsim)]
fn main() {}
