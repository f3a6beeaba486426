//! Everything that anybody in the world says through `tracing`, each line with the simulated time before it. Two runs
//! with the same trace took the same steps: what the servers, the consensus and the client log at their debug level is far finer than
//! what they promise.

use std::{
    fmt::{self, Write},
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

/// A trace in the making; a clone is the same one.
#[derive(Clone)]
pub struct Trace {
    inner: Arc<Inner>,
}

struct Inner {
    print: bool,
    lines: AtomicU64,
    spans: AtomicU64,
    hash: Mutex<Xxh3>,
}

impl Trace {
    /// An empty one. With `print` each line goes to standard error, too.
    #[must_use]
    pub fn new(print: bool) -> Self {
        let inner = Inner { print, lines: AtomicU64::new(0), spans: AtomicU64::new(0), hash: Mutex::new(Xxh3::new()) };
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

    fn add(&self, line: &str) {
        self.inner.lines.fetch_add(1, Ordering::Relaxed);
        let mut hash = self.inner.hash.lock().unwrap_or_else(PoisonError::into_inner);
        hash.update(line.as_bytes());
        hash.update(b"\n");
        if self.inner.print {
            eprintln!("{line}");
        }
    }
}

impl Subscriber for Trace {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::DEBUG
            && metadata.is_event()
            && TARGETS.iter().any(|target| metadata.target().starts_with(target))
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
