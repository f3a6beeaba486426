//! A trial: one life of a disk, from a seed, with the images that power cuts during it could leave, and what became of each.

use std::{
    cell::RefCell,
    fmt, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Once,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rand::{RngExt, SeedableRng, rngs::SmallRng};

use crate::{
    image::{Disk, Kind, Names, Writes},
    promise::{Promise, Step},
    recording::{Note, Op, Record, Recording, Tree},
    work::{self, DATA, Life, Load, Worker},
};

/// Steps of the life that begins with an image.
const SECOND_STEPS: usize = 6;
/// Cuts in each such life.
const SECOND_CUTS: usize = 3;
/// One image in so many lives on.
const SECOND_EVERY: usize = 4;

/// What is tried.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Everything follows from it.
    pub seed: u64,
    /// What is written.
    pub load: Load,
    /// The node's setting, which says how much stands before the log's database.
    pub snapshot_bytes: u64,
    /// How many cuts of the first life. One in four leads to a second life, and three more images.
    pub cuts: usize,
    /// Only this one of the cuts, if only one is of interest.
    pub only: Option<usize>,
}

impl Plan {
    /// With so many cuts. Every third seed has the same load, and after that every third the same setting: with the first one everything goes into the
    /// log's database at once, with the second one some does, and with the third hardly anything.
    pub fn new(seed: u64, cuts: usize, only: Option<usize>) -> Self {
        let load = match seed % 3 {
            0 => Load::Mixed,
            1 => Load::Bulk,
            _ => Load::Large,
        };
        let snapshot_bytes = match seed / 3 % 3 {
            0 => 1 << 20,
            1 => 4 << 20,
            _ => 64 << 20,
        };
        Self { seed, load, snapshot_bytes, cuts, only }
    }
}

/// A cut after which something was wrong.
#[derive(Clone, Debug)]
pub struct Loss {
    /// Of the plan.
    pub seed: u64,
    /// Of the plan.
    pub load: Load,
    /// Which of the plan's cuts.
    pub cut: usize,
    /// Where the power was cut: after so many of how many operations, and what was being done.
    pub place: String,
    /// The same of the second cut, if it was that.
    pub second: Option<String>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}, load {:?}, cut {}: {}", self.seed, self.load, self.cut, self.what)?;
        write!(f, "  the power was cut {}", self.place)?;
        if let Some(second) = &self.second {
            write!(f, "\n  and in the life after that {second}")?;
        }
        write!(f, "\n  again: scripts/power-cuts --seed {} --cut {}", self.seed, self.cut)
    }
}

/// What came of a trial.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Images that were opened.
    pub images: usize,
    /// Those with which something was wrong.
    pub losses: Vec<Loss>,
}

/// Tries a plan.
///
/// # Errors
/// If the life itself fails, before any power is cut; or if a call was missed, so that what is recorded isn't what was done.
pub fn run(plan: Plan) -> Result<Outcome> {
    keep_quiet_in_trials();
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let scratch = scratch()?;
    let root = scratch.path().join("first");
    fs::create_dir(&root)?;
    let (record, life) = runtime.block_on(first_life(&root, plan))?;
    fs::remove_dir_all(&root)?;
    let cuts = Cuts::of(&record);
    let mut chosen: Vec<(usize, usize)> =
        (0..plan.cuts).map(|number| (cuts.draw(&mut generator(plan, number)), number)).collect();
    chosen.sort_unstable();
    let mut disk = Disk::new(&record);
    let mut outcome = Outcome::default();
    for (at, number) in chosen.into_iter().filter(|(_, number)| plan.only.is_none_or(|only| only == *number)) {
        let mut rng = generator(plan, number);
        // The same numbers as were drawn for the place.
        cuts.draw(&mut rng);
        disk.advance(at);
        let (begun, done) = cuts.notes(at);
        let (promise, doing) = if done == 0 { (Promise::default(), Some(&Step::Open)) } else { life.at(begun, done) };
        let cut = Cut { disk: &disk, at, of: record.ops.len(), promise, doing };
        let trial = Trial { plan, number, image: scratch.path().join("image") };
        trial.first(&runtime, &cut, &mut rng, &mut outcome);
    }
    Ok(outcome)
}

fn generator(plan: Plan, number: usize) -> SmallRng {
    SmallRng::seed_from_u64(plan.seed << 20 ^ number as u64 ^ 0x5eed)
}

/// In memory where there is a file system of it: no power is going to be cut, so nothing need be on a disk.
fn scratch() -> Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    Ok(if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }?)
}

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
    static IN_TRIAL: RefCell<bool> = const { RefCell::new(false) };
}

/// What panics on a broken image is a finding, and is told as one.
fn keep_quiet_in_trials() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if IN_TRIAL.with_borrow(|inside| *inside) {
                PANIC.set(Some(info.to_string().replace('\n', " ")));
            } else {
                usual(info);
            }
        }));
    });
}

async fn first_life(root: &Path, plan: Plan) -> Result<(Record, Life)> {
    let mut rng = SmallRng::seed_from_u64(plan.seed);
    let recording = Recording::begin(root)?;
    let (life, worker) = Life::live(root, plan.snapshot_bytes, &recording, plan.load, None, &mut rng, |found| {
        Promise::default().check(None, found, false).map_err(|what| anyhow!(what))
    })
    .await?;
    worker.close().await;
    let record = recording.end();
    let mut disk = Disk::new(&record);
    disk.advance(record.ops.len());
    let recorded = disk.image(Kind { names: Names::Kept, writes: Writes::Kept }, &mut rng);
    let there = Tree::read(root)?;
    ensure!(recorded.contents().keys().eq(there.contents().keys()), "a call was missed: there are other files");
    for ((path, recorded), there) in recorded.contents().into_iter().zip(there.contents().into_values()) {
        ensure!(recorded == there, "a call was missed: {} isn't what was recorded", path.display());
    }
    Ok((record, life))
}

/// Moments of a recording at which to cut.
struct Cuts {
    begun: Vec<usize>,
    done: Vec<usize>,
    ops: usize,
}

impl Cuts {
    fn of(record: &Record) -> Self {
        let places = |wanted: Note| {
            let found =
                record.ops.iter().enumerate().filter(move |(_, op)| matches!(op, Op::Note(note) if *note == wanted));
            found.map(|(at, _)| at).collect()
        };
        Self { begun: places(Note::Begun), done: places(Note::Done), ops: record.ops.len() }
    }

    /// While the disk is opened, right after something was acknowledged, in the middle of a step, or anywhere: each often enough, since a large
    /// step may be few operations and opening is many.
    fn draw(&self, rng: &mut SmallRng) -> usize {
        let opened = self.done.first().copied().unwrap_or(self.ops);
        match rng.random_range(0..10) {
            0..2 => rng.random_range(0..=opened),
            2..5 if !self.done.is_empty() => self.done[rng.random_range(0..self.done.len())] + 1,
            5..8 if !self.done.is_empty() => {
                let step = rng.random_range(0..self.done.len());
                rng.random_range(self.begun[step]..=self.done[step])
            }
            _ => rng.random_range(0..=self.ops),
        }
    }

    /// How many steps were begun, and how many acknowledged.
    fn notes(&self, at: usize) -> (usize, usize) {
        (self.begun.partition_point(|place| *place < at), self.done.partition_point(|place| *place < at))
    }
}

/// A moment at which the power is cut.
struct Cut<'a> {
    disk: &'a Disk<'a>,
    at: usize,
    of: usize,
    promise: Promise,
    doing: Option<&'a Step>,
}

impl Cut<'_> {
    fn place(&self, kind: Kind, torn: bool) -> String {
        let doing = self.doing.map_or("nothing".to_owned(), work::brief);
        let torn = if torn { ", and the newest snapshot is torn" } else { "" };
        format!("after operation {} of {}, doing: {doing}; the image has {kind}{torn}", self.at, self.of)
    }
}

/// One of the plan's cuts.
struct Trial {
    plan: Plan,
    number: usize,
    image: PathBuf,
}

impl Trial {
    fn loss(&self, place: String, second: Option<String>, what: String) -> Loss {
        Loss { seed: self.plan.seed, load: self.plan.load, cut: self.number, place, second, what }
    }

    /// Makes the image of a cut, and says of which kind it is.
    fn make(&self, cut: &Cut<'_>, may_tear: bool, rng: &mut SmallRng) -> Result<(Kind, bool)> {
        let kind = Kind::draw(rng);
        let mut tree = cut.disk.image(kind, rng);
        let tear = rng.random_range(0..8) == 0 && may_tear && !matches!(cut.doing, Some(Step::Snapshot(_)));
        let torn = tear && cut.promise.snapshots.len() > 1 && tear_snapshot(&mut tree, rng);
        if self.image.exists() {
            fs::remove_dir_all(&self.image)?;
        }
        fs::create_dir(&self.image)?;
        tree.write(&self.image)?;
        Ok((kind, torn))
    }

    fn first(&self, runtime: &tokio::runtime::Runtime, cut: &Cut<'_>, rng: &mut SmallRng, outcome: &mut Outcome) {
        let made = self.make(cut, true, rng);
        let (kind, torn) = match made {
            Ok(made) => made,
            Err(error) => {
                outcome.losses.push(self.loss(String::new(), None, format!("the image can't be made: {error}")));
                return;
            }
        };
        outcome.images += 1;
        let place = cut.place(kind, torn);
        if !self.number.is_multiple_of(SECOND_EVERY) {
            if let Err(what) = caught(|| runtime.block_on(self.opened(cut, torn))) {
                outcome.losses.push(self.loss(place, None, what));
            }
            return;
        }
        let lived = caught(|| runtime.block_on(self.second_life(cut, torn, rng)));
        let (record, life) = match lived {
            Ok(lived) => lived,
            Err(what) => {
                outcome.losses.push(self.loss(place, None, what));
                return;
            }
        };
        let cuts = Cuts::of(&record);
        let mut chosen: Vec<usize> = (0..SECOND_CUTS).map(|_| cuts.draw(rng)).collect();
        chosen.sort_unstable();
        let mut disk = Disk::new(&record);
        for at in chosen {
            disk.advance(at);
            let (begun, done) = cuts.notes(at);
            // Until it was open, nobody had seen what the first cut left.
            let (promise, doing) = if done == 0 { (cut.promise.clone(), cut.doing) } else { life.at(begun, done) };
            let second = Cut { disk: &disk, at, of: record.ops.len(), promise, doing };
            let checked = self.make(&second, false, rng).map_err(|error| error.to_string()).and_then(|(kind, _)| {
                outcome.images += 1;
                let torn = torn && done == 0;
                caught(|| runtime.block_on(self.opened(&second, torn)))
                    .map_err(|what| format!("{what}\u{0}{}", second.place(kind, false)))
            });
            if let Err(what) = checked {
                let (what, second) = what.split_once('\u{0}').unwrap_or((&what, ""));
                outcome.losses.push(self.loss(place.clone(), Some(second.to_owned()), what.to_owned()));
            }
        }
    }

    /// Opens an image and works on it.
    async fn second_life(&self, cut: &Cut<'_>, torn: bool, rng: &mut SmallRng) -> Result<(Record, Life)> {
        let recording = Recording::begin(&self.image)?;
        let check = |found: &_| cut.promise.check(cut.doing, found, torn).map_err(|what| anyhow!(what));
        let (life, worker) =
            Life::live(&self.image, self.plan.snapshot_bytes, &recording, Load::Mixed, Some(SECOND_STEPS), rng, check)
                .await?;
        let record = recording.end();
        worker.close().await;
        Ok((record, life))
    }

    /// Opens the image, and holds what is there against what must be.
    async fn opened(&self, cut: &Cut<'_>, torn: bool) -> Result<()> {
        let mut worker = Worker::open(&self.image, self.plan.snapshot_bytes)?;
        let found = worker.look().await?;
        worker.close().await;
        cut.promise.check(cut.doing, &found, torn).map_err(|what| anyhow!(what))
    }
}

/// Tries something on an image. What is wrong, if it fails or panics.
fn caught<T>(attempt: impl FnOnce() -> Result<T>) -> Result<T, String> {
    IN_TRIAL.set(true);
    let result = catch_unwind(AssertUnwindSafe(attempt));
    IN_TRIAL.set(false);
    match result {
        Ok(result) => result.map_err(|error| format!("{error:#}")),
        Err(_) => Err(format!("it panicked: {}", PANIC.take().unwrap_or_default())),
    }
}

/// Takes a sector out of the newest snapshot, as if the disk had lied. False if there aren't two.
fn tear_snapshot(tree: &mut Tree, rng: &mut SmallRng) -> bool {
    let snapshots = Path::new(DATA).join("snapshots");
    let mut node = crate::recording::ROOT;
    for part in &snapshots {
        match tree.directories.get(&node).and_then(|names| names.get(part)) {
            Some((child, true)) => node = *child,
            _ => return false,
        }
    }
    let names = tree.directories.get(&node).into_iter().flatten();
    let files: Vec<_> = names.filter(|(name, _)| name.to_string_lossy().ends_with(".snapshot")).collect();
    let (Some((_, (newest, _))), true) = (files.last(), files.len() > 1) else { return false };
    let Some(file) = tree.files.get_mut(newest).filter(|file| !file.is_empty()) else { return false };
    let begin = rng.random_range(0..file.len()) / 512 * 512;
    let end = file.len().min(begin + 512);
    file[begin..end].fill(0);
    true
}

/// As [`run`], and a life that fails is a loss, too: with a broken rule it may.
///
/// # Errors
/// None but what [`run`] finds wrong with the recording.
pub fn run_broken(plan: Plan) -> Result<Outcome> {
    match run(plan) {
        Err(error) if error.to_string().starts_with("a call was missed") => bail!(error),
        Err(error) => {
            let what = format!("the life itself failed: {error:#}");
            let loss = Loss { seed: plan.seed, load: plan.load, cut: 0, place: String::new(), second: None, what };
            Ok(Outcome { images: 0, losses: vec![loss] })
        }
        done => done.context("a trial"),
    }
}
