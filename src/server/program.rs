//! The program: command line to exit code.

use std::{io::Write, process::ExitCode, time::Duration};

use ringfence_server::{
    config::{
        ConfigError, LogFormat, Settings,
        flags::{self, Loaded},
    },
    open_files,
    raft::{
        Ending,
        room::{enough, free_bytes},
    },
    server::Server,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};

use crate::{logs, offline};

/// The command line or the configuration is wrong.
const WRONG_CONFIGURATION: u8 = 2;
/// The server can't start.
pub const CANNOT_START: u8 = 3;
/// The server can't go on.
const CANNOT_GO_ON: u8 = 4;
/// How long a stop takes at most.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a full disk is looked at.
const ROOM_LOOK: Duration = Duration::from_millis(500);

pub fn main() -> ExitCode {
    // Help, the version and wrong flags end here, with 0 or 2.
    let matches = flags::command().get_matches();
    match matches.subcommand() {
        Some(("restore", matches)) => return offline::restore(matches),
        Some(("check", matches)) => return offline::check(matches),
        _ => {}
    }
    let loaded = match flags::load(&matches, |name| std::env::var(name).ok()) {
        Ok(loaded) => loaded,
        Err(error) => {
            return wrong_configuration(&error);
        }
    };
    if matches.get_flag("check-config") {
        say(loaded.settings.show(&loaded.values).trim_end());
        return ExitCode::SUCCESS;
    }
    logs::start(&loaded.settings);
    open_files::raise_limit();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(workers()).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&loaded.settings, &format!("threads can't be started: {error}"));
            return ExitCode::from(CANNOT_START);
        }
    };
    let code = runtime.block_on(run(&loaded));
    // A task that doesn't end must not hold up the process.
    runtime.shutdown_timeout(Duration::from_millis(200));
    drop(loaded);
    code
}

/// Threads that serve: one fewer than processors, since the log's writer has a thread of its own, and at least one. With one too many each message
/// wakes two, of which one finds nothing to do. What takes long is done by other threads.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| processors.get().saturating_sub(1).max(1))
}

/// Says all that is wrong with the configuration.
pub fn wrong_configuration(error: &ConfigError) -> ExitCode {
    eprintln!("ringfenced: the configuration is wrong:");
    error.problems().iter().for_each(|problem| eprintln!("  {problem}"));
    ExitCode::from(WRONG_CONFIGURATION)
}

/// The server's lives: a new one begins when a full disk has room again.
async fn run(loaded: &Loaded) -> ExitCode {
    let settings = &loaded.settings;
    let (Ok(terminate), Ok(interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        complain(settings, "signals can't be received");
        return ExitCode::from(CANNOT_START);
    };
    let mut signals = Signals { terminate, interrupt };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        cluster = settings.cluster,
        node_id = settings.node_id,
        client_listen = %settings.client_listen,
        peer_listen = %settings.peer_listen,
        "ringfenced starts"
    );
    loop {
        if let Some(code) = live(settings, &mut signals).await {
            return code;
        }
        tokio::select! {
            biased;
            name = signals.next() => {
                tracing::info!(signal = name, "stopped while the disk was full");
                return ExitCode::SUCCESS;
            }
            () = room(settings) => {}
        }
    }
}

/// From a start to an end. `None` if it ended for want of room on the disk.
async fn live(settings: &Settings, signals: &mut Signals) -> Option<ExitCode> {
    let started = tokio::select! {
        biased;
        name = signals.next() => {
            tracing::info!(signal = name, "stopped while starting");
            return Some(ExitCode::SUCCESS);
        }
        started = Server::start(settings.clone()) => started,
    };
    let server = match started {
        Ok(server) => server,
        Err(error) => {
            complain(settings, &format!("can't start: {error}"));
            return (!error.is_full()).then_some(ExitCode::from(CANNOT_START));
        }
    };
    tracing::info!(address = %server.address(), "clients are served");
    let code = tokio::select! {
        biased;
        name = signals.next() => {
            tracing::info!(signal = name, "stops; a second signal ends it at once");
            Some(ExitCode::SUCCESS)
        }
        Ending { message, full } = server.failed() => {
            complain(settings, &format!("can't go on: {message}"));
            (!full).then_some(ExitCode::from(CANNOT_GO_ON))
        }
        never = announce(&server, settings) => match never {},
    };
    if stop(&server, signals).await { code } else { Some(ExitCode::FAILURE) }
}

/// Waits until there is room on the disk again.
async fn room(settings: &Settings) {
    let wanted = enough(settings.disk_reserve_bytes);
    complain(
        settings,
        &format!("waits until {wanted} bytes are free on the disk of its data, and then goes on by itself"),
    );
    loop {
        let place = settings.data.clone();
        // Where the file system doesn't answer, the next start says why.
        match tokio::task::spawn_blocking(move || free_bytes(&place)).await {
            Ok(Ok(free)) if free < wanted => tokio::time::sleep(ROOM_LOOK).await,
            _ => break,
        }
    }
    tracing::info!("there is room on the disk again");
}

/// Says that the server is ready once a leader is known, and then nothing more.
async fn announce(server: &Server, settings: &Settings) -> std::convert::Infallible {
    let seen = server.ready().await;
    let leader = seen.leader.unwrap_or(0);
    tracing::info!(leader, term = seen.term, "ready");
    say(&format!(
        "ringfenced is ready on {} (node {} of cluster {}, leader {leader})",
        server.address(),
        settings.node_id,
        settings.cluster,
    ));
    std::future::pending().await
}

/// False if a second signal cut it short.
async fn stop(server: &Server, signals: &mut Signals) -> bool {
    tokio::select! {
        biased;
        name = signals.next() => {
            tracing::warn!(signal = name, "ends at once");
            return false;
        }
        stopped = timeout(STOP_TIMEOUT, server.stop()) => {
            if stopped.is_err() {
                tracing::warn!("could not stop in good order in time; what was acknowledged is on disk all the same");
            }
        }
    }
    tracing::info!("stopped");
    true
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// The next signal's name. Cancel safe.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Tells why it ends, in the form of the logs, and whatever their level is.
fn complain(settings: &Settings, message: &str) {
    match settings.log_format {
        LogFormat::Text => {
            let _ = writeln!(std::io::stderr(), "ringfenced: {message}");
        }
        LogFormat::Json => tracing::error!("{message}"),
    }
}

/// A line on standard output. Nobody may read it: that is no reason to end.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
