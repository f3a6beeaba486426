//! Structured logs on standard error.

use ringfence_server::config::{LogFormat, Settings};
use tracing_subscriber::EnvFilter;

/// What the crates below us tell at `info` is of use to their authors only.
const QUIET: &str = "openraft=error,sled=warn,h2=warn,hyper=warn,hyper_util=warn,tower=warn,tonic=warn";

/// Starts logging. Call it once.
pub fn start(settings: &Settings) {
    let level = &settings.log_level;
    let lone = level.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let directives = if lone { format!("{level},{QUIET}") } else { level.clone() };
    // The configuration has checked it.
    let filter = EnvFilter::try_new(directives).unwrap_or_default();
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match settings.log_format {
        LogFormat::Text => {
            let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
            logs.with_ansi(colours).with_target(false).try_init()
        }
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    };
    if let Err(error) = started {
        eprintln!("ringfenced: logging can't be started: {error}");
    }
    log_panics();
}

/// Logs a panic and ends the process: a part that is missing would make promises that nobody keeps.
fn log_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tracing::error!(%panic, "this is a bug in ringfenced, which ends now; please report it");
        before(panic);
        std::process::abort();
    }));
}
