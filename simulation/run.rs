//! One seed, one world.

use std::{fmt, time::Duration};

use madsim::{Config, runtime::Runtime};

use crate::{scenario, trace::Trace};

/// Simulated time after which a world counts as stuck.
const TIME_LIMIT: Duration = Duration::from_secs(600);

/// A run without a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ran {
    /// Hash of the whole trace.
    pub trace: u64,
    /// Lines of the trace.
    pub lines: u64,
    /// Simulated time that passed.
    pub elapsed: Duration,
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ran { trace, lines, elapsed } = self;
        write!(f, "trace {trace:016x}, {lines} lines, {:.3} s", elapsed.as_secs_f64())
    }
}

/// Runs the scenario with this seed. With `print`, everything that happens goes to standard error.
///
/// # Errors
/// What went wrong: a promise that was broken, or a panic anywhere in the world.
pub fn run(seed: u64, print: bool) -> Result<Ran, String> {
    // On a thread of its own: the order of std's hash maps is seeded once for each thread.
    let world = std::thread::Builder::new().name(format!("seed {seed}")).spawn(move || {
        let trace = Trace::new(print);
        let ran = tracing::subscriber::with_default(trace.clone(), || {
            let mut runtime = Runtime::with_seed_and_config(seed, Config::default());
            runtime.set_time_limit(TIME_LIMIT);
            runtime.block_on(async {
                scenario::leader_is_cut_off().await?;
                Ok::<_, String>(madsim::time::TimeHandle::current().elapsed())
            })
        });
        ran.map(|elapsed| Ran { trace: trace.hash(), lines: trace.lines(), elapsed })
    });
    match world.map(std::thread::JoinHandle::join) {
        Ok(Ok(ran)) => ran,
        Ok(Err(_)) => Err("a panic; its message stands above".to_owned()),
        Err(error) => Err(format!("no thread for the world: {error}")),
    }
}
