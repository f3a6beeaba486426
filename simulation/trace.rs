//! Everything that anybody in the world says through `tracing`, each line with the simulated time before it. Two runs
//! with the same trace took the same steps: what the servers, the consensus and the client log at their debug level is far finer than
//! what they promise.

use std::{
    fmt::{self, Write},
    fs::File,
    io::{BufWriter, Write as _},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};
use xxhash_rust::xxh3::Xxh3;

/// Whose words count: ours, and the consensus'.
const TARGETS: [&str; 2] = ["ringfence", "openraft"];

/// Where the lines go, beside into the hash.
pub enum To {
    /// Nowhere.
    Nowhere,
    /// To standard error.
    Stderr,
    /// Into a file.
    File(Mutex<BufWriter<File>>),
}

/// A trace in the making; a clone is the same one.
#[derive(Clone)]
pub struct Trace {
    inner: Arc<Inner>,
}

struct Inner {
    to: To,
    detail: bool,
    lines: AtomicU64,
    spans: AtomicU64,
    hash: Mutex<Xxh3>,
}

impl Trace {
    /// An empty one. With `detail` it has everything that is said at the debug level; else what we say at the level of information, which
    /// takes a fraction of the time.
    #[must_use]
    pub fn new(to: To, detail: bool) -> Self {
        let inner =
            Inner { to, detail, lines: AtomicU64::new(0), spans: AtomicU64::new(0), hash: Mutex::new(Xxh3::new()) };
        Self { inner: Arc::new(inner) }
    }

    /// Hash of all lines so far.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.inner.hash.lock().unwrap_or_else(PoisonError::into_inner).digest()
    }

    /// How many lines so far.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.inner.lines.load(Ordering::Relaxed)
    }

    /// One line more.
    pub fn add(&self, line: &str) {
        self.inner.lines.fetch_add(1, Ordering::Relaxed);
        let mut hash = self.inner.hash.lock().unwrap_or_else(PoisonError::into_inner);
        hash.update(line.as_bytes());
        hash.update(b"\n");
        match &self.inner.to {
            To::Nowhere => {}
            To::Stderr => eprintln!("{line}"),
            // A trace that can't be written is found out by who reads it.
            To::File(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                let _ = writeln!(file, "{line}");
            }
        }
    }
}

impl Subscriber for Trace {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let (level, targets) =
            if self.inner.detail { (Level::DEBUG, &TARGETS[..]) } else { (Level::INFO, &TARGETS[..1]) };
        *metadata.level() <= level
            && metadata.is_event()
            && targets.iter().any(|target| metadata.target().starts_with(target))
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(self.inner.spans.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let elapsed = madsim::time::TimeHandle::try_current().map(|time| time.elapsed()).unwrap_or_default();
        let mut line =
            format!("{:12.6} {:5} {}:", elapsed.as_secs_f64(), event.metadata().level(), event.metadata().target());
        event.record(&mut Words(&mut line));
        self.add(&line);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// Writes an event's fields as words.
struct Words<'a>(&'a mut String);

impl Visit for Words<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string can't fail.
        let _ = if field.name() == "message" {
            write!(self.0, " {value:?}")
        } else {
            write!(self.0, " {}={value:?}", field.name())
        };
    }
}
