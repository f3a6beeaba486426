//! One seed, one world: the cluster, its clients, the faults; then a majority is mended, in which everything has to work, and then all
//! the rest, which has to come to the same state.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs::File,
    io::BufWriter,
    panic::{self, AssertUnwindSafe},
    path::PathBuf,
    sync::{
        Mutex, Once,
        mpsc::{self, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use madsim::{Config, runtime::Runtime, time::TimeHandle};
use rand::{SeedableRng, rngs::SmallRng};
use ringfence_probes::{Bug, bugs, marks};
use tracing::info;

use crate::{
    checkers::{self, Broken, Verdict},
    history::{Fault, History, Liveness, Recorder, Time},
    report::{Figures, Run},
    schedule::{Profile, Schedule, apply::Faults, draw::SECONDS},
    trace::{To, Trace},
    workload::{self, Stop, Weights},
    world::{Plan, World},
};

/// A world that isn't over so long after its last fault counts as stuck.
const STUCK_AFTER: Duration = Duration::from_secs(900);
/// A world that isn't over after so much real time is given up: its simulated time may stand still. A world takes a few seconds.
const REAL_TIME_MAX: Duration = Duration::from_secs(300);
/// How long one of each operation may take once a majority is mended.
const WORKS_WITHIN: Duration = Duration::from_secs(60);
/// How long all members may take to come to the same state, once everything is mended.
const SAME_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(250);
/// The world is deep where futures hold futures.
pub(crate) const STACK: usize = 16 << 20;

/// How a seed is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// For what its faults are drawn.
    pub profile: Profile,
    /// Simulated seconds with faults.
    pub seconds: u32,
    /// A mistake to be made.
    pub bug: Option<Bug>,
    /// The faults, if they aren't to be drawn from the seed.
    pub schedule: Option<Schedule>,
    /// Everything that happens goes to standard error.
    pub print: bool,
    /// Everything that happens goes into this file.
    pub trace_to: Option<PathBuf>,
    /// The trace has everything that is said at the debug level; so it has with `print` and `trace_to`.
    pub detail: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            profile: Profile::Default,
            seconds: SECONDS,
            bug: None,
            schedule: None,
            print: false,
            trace_to: None,
            detail: false,
        }
    }
}

/// What came of a seed.
#[derive(Debug)]
pub struct Outcome {
    /// What went wrong in it, in full.
    pub schedule: Schedule,
    /// All that happened.
    pub history: History,
    /// What the checkers said of it, and what they didn't need to look at: a panic, a world that is stuck, an operation that didn't work.
    pub verdict: Verdict,
    /// Hash of the trace.
    pub trace: u64,
    /// Lines of the trace.
    pub lines: u64,
    /// States that were reached.
    pub marks: BTreeMap<&'static str, u64>,
    /// Real time that it took.
    pub real: Duration,
}

impl Outcome {
    /// The promise that was broken first.
    #[must_use]
    pub fn first_broken(&self) -> Option<&Broken> {
        self.verdict.broken.iter().min_by_key(|broken| broken.at)
    }

    /// In figures.
    #[must_use]
    pub fn figures(&self) -> Run {
        let figures = Figures::of(&self.history, &self.marks);
        Run::of(self.schedule.seed, self.trace, &self.verdict, self.real, figures)
    }
}

/// Runs a seed, on a thread of its own: the order of std's hash maps is seeded once for each thread, and so is what
/// switches mistakes on.
#[must_use]
pub fn run(seed: u64, options: &Options) -> Outcome {
    hear_panics();
    let drawn = || Schedule::draw(seed, options.profile, options.seconds);
    let schedule = options.schedule.clone().unwrap_or_else(drawn);
    let (options, copy, begun) = (options.clone(), schedule.clone(), Instant::now());
    let thread = std::thread::Builder::new().name(format!("{THREAD} {seed}")).stack_size(STACK);
    let (tell, ended) = mpsc::channel();
    // Nobody listens any more where it took too long.
    let ran = thread.spawn(move || drop(tell.send(one(&copy, &options))));
    let mut outcome = match ran.map(|_| ended.recv_timeout(REAL_TIME_MAX)) {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(RecvTimeoutError::Disconnected)) => nothing(schedule, "the thread of the world panicked outside of it"),
        Ok(Err(RecvTimeoutError::Timeout)) => nothing(
            schedule,
            "the world takes too much real time: a task that never waits, or a checker without an end",
        ),
        Err(error) => nothing(schedule, &format!("no thread for the world: {error}")),
    };
    outcome.real = begun.elapsed();
    outcome
}

/// The outcome of a world that couldn't be made.
fn nothing(schedule: Schedule, why: &str) -> Outcome {
    let broken = vec![Broken { checker: "no panic", at: 0, what: why.to_owned() }];
    Outcome {
        schedule,
        history: History::default(),
        verdict: Verdict { broken, unknown: Vec::new() },
        trace: 0,
        lines: 0,
        marks: BTreeMap::new(),
        real: Duration::ZERO,
    }
}

/// Names of worlds' threads begin so.
const THREAD: &str = "world";

thread_local! {
    /// The last panic on this thread: when in its world, and what.
    static PANIC: RefCell<Option<(Time, String)>> = const { RefCell::new(None) };
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Panics of worlds are findings, kept for the report; others are told as ever.
fn hear_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !std::thread::current().name().is_some_and(|name| name.starts_with(THREAD)) {
                return before(info);
            }
            let at = TimeHandle::try_current().map_or(0, |time| nanoseconds(time.elapsed()));
            let what = info.payload_as_str().unwrap_or("a panic without words");
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            // The first one counts: others may follow from it.
            PANIC.with_borrow_mut(|panic| {
                panic.get_or_insert((at, format!("{place}: {what}")));
            });
        }));
    });
}

/// On the world's thread.
fn one(schedule: &Schedule, options: &Options) -> Outcome {
    bugs::switch(options.bug);
    drop(marks::take());
    let to = match &options.trace_to {
        _ if options.print => To::Stderr,
        Some(path) => File::create(path).map_or(To::Nowhere, |file| To::File(Mutex::new(BufWriter::new(file)))),
        None => To::Nowhere,
    };
    let detail = options.detail || options.print || options.trace_to.is_some();
    let trace = Trace::new(to, detail);
    let recorder = Recorder::simulated();
    let (story, limit) = (recorder.clone(), STUCK_AFTER + Duration::from_secs(schedule.seconds.into()));
    let ended = tracing::subscriber::with_default(trace.clone(), || {
        panic::catch_unwind(AssertUnwindSafe(|| {
            let mut runtime = Runtime::with_seed_and_config(schedule.seed, Config::default());
            runtime.set_time_limit(limit);
            // sled has threads of its own.
            runtime.set_allow_system_thread(schedule.profile.has_real_disks());
            runtime.block_on(async { tell(schedule, story).await })
        }))
    });
    // A world that fell apart has not finished its history.
    let panicked = PANIC.take();
    let (history, wrong) = match ended {
        Ok(ended) => ended,
        Err(_) => {
            let (at, what) = panicked.unwrap_or((0, "a panic that nobody heard".to_owned()));
            let mut history = recorder.finish();
            history.end = history.end.max(at);
            (history, vec![Broken { checker: "no panic", at, what }])
        }
    };
    history_lines(&trace, &history);
    let mut verdict = checkers::check(&history);
    verdict.broken.extend(wrong);
    verdict.broken.extend(history.liveness.iter().filter_map(too_late));
    verdict.broken.sort_by_key(|broken| broken.at);
    Outcome {
        schedule: schedule.clone(),
        verdict,
        trace: trace.hash(),
        lines: trace.lines(),
        marks: marks::take(),
        history,
        real: Duration::ZERO,
    }
}

/// What had to work at the end, and didn't.
fn too_late(tried: &Liveness) -> Option<Broken> {
    let what = format!("{} does not work after all was mended; the last attempt said: {}", tried.what, tried.last);
    tried.done.is_none().then_some(Broken { checker: "liveness", at: tried.from, what })
}

/// What the recorder saw belongs to the trace.
fn history_lines(trace: &Trace, history: &History) {
    history.calls.iter().for_each(|call| trace.add(&format!("{call:?}")));
    history.applied.iter().for_each(|applied| trace.add(&format!("{applied:?}")));
    history.watches.iter().for_each(|watch| trace.add(&format!("{watch:?}")));
    history.observed.iter().for_each(|observed| trace.add(&format!("{observed:?}")));
    history.beliefs.iter().for_each(|belief| trace.add(&format!("{belief:?}")));
    history.faults.iter().for_each(|fault: &Fault| trace.add(&format!("{fault:?}")));
}

fn plan(schedule: &Schedule) -> Plan {
    Plan {
        servers: schedule.servers,
        clients: schedule.clients,
        seed: schedule.seed,
        snapshot_entries: schedule.snapshot_entries,
        keep_entries: schedule.keep_entries,
        heartbeat_ms: schedule.heartbeat_ms,
        election_timeout_ms_min: schedule.election_ms,
        election_timeout_ms_max: schedule.election_ms * 2,
        sync_time: Duration::from_micros(schedule.sync_us),
        real_disks: schedule.profile.has_real_disks(),
    }
}

/// The whole story of a world, and what can't be seen in its history.
async fn tell(schedule: &Schedule, recorder: Recorder) -> (History, Vec<Broken>) {
    let world = World::start(&plan(schedule), recorder);
    let weights = Weights::draw(&mut SmallRng::seed_from_u64(schedule.seed));
    let faults = Faults::start(&world, schedule);
    let mut clients = workload::start(&world, &weights, schedule.seed, Stop::new());
    tokio::time::sleep(Duration::from_secs(schedule.seconds.into())).await;

    faults.end();
    info!("no more faults");
    let core: Vec<u64> = faults.mend_core().into_iter().collect();
    workload::liveness_at(&world, &core, WORKS_WITHIN).await;
    faults.mend_all();
    clients.finish().await;
    let mut wrong = Vec::new();
    all_replaced(&world, &faults).await;
    if let Err(what) = workload::final_read(&mut clients).await {
        wrong.push(Broken { checker: "liveness", at: world.recorder().now(), what });
    }
    same_state(&world, &faults).await;
    world.record_logs();
    let history = world.recorder().finish();
    world.end().await;
    (history, wrong)
}

/// Waits until `look` says nothing more, and records whether it came so far in time.
async fn in_time<F>(world: &World, what: &str, look: impl Fn() -> F)
where
    F: Future<Output = Result<(), String>>,
{
    let from = world.recorder().now();
    let until = from + nanoseconds(SAME_WITHIN);
    let mut last = String::new();
    let mut done = None;
    while done.is_none() && world.recorder().now() < until {
        match look().await {
            Ok(()) => done = Some(world.recorder().now()),
            Err(why) => last = why,
        }
        tokio::time::sleep(POLL).await;
    }
    world.recorder().liveness(Liveness { what: what.to_owned(), from, done, last });
}

/// Every server that lost its disk has a successor.
async fn all_replaced(world: &World, faults: &Faults) {
    let look = async || if faults.operator().replaced_all() { Ok(()) } else { Err("one is still missing".to_owned()) };
    in_time(world, "servers without disks are replaced", look).await;
}

/// All members have applied as much as each other, and came to the same state.
async fn same_state(world: &World, faults: &Faults) {
    let look = async || {
        let members = faults.operator().members().await.ok_or("the members are not known")?;
        let states: Vec<_> = members.members.iter().map(|member| (member.id, last_state(world, member.id))).collect();
        match states.first() {
            Some((_, first)) if states.iter().all(|(_, state)| state == first) => Ok(()),
            _ => Err(format!("index and hash of each: {states:x?}")),
        }
    };
    in_time(world, "all members come to the same state", look).await;
}

/// The last index that a server applied, with the state's hash there.
fn last_state(world: &World, server: u64) -> Option<(u64, u64)> {
    let last = |history: &History| {
        let applied = history.applied.iter().rev().find(|applied| applied.server == server)?;
        Some((applied.index, applied.hash))
    };
    world.recorder().read(last)
}
