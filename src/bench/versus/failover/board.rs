//! What clients have done, and when.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Write,
    Grant,
    Event,
}

/// What was done since it was last cleared. Clones are the same.
#[derive(Clone)]
pub struct Board(Arc<Mutex<Since>>);

struct Since {
    cleared: Instant,
    done: Vec<(Kind, Instant)>,
}

impl Default for Board {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Since { cleared: Instant::now(), done: Vec::new() })))
    }
}

impl Board {
    pub fn note(&self, kind: Kind) {
        self.since().done.push((kind, Instant::now()));
    }

    pub fn clear(&self) {
        *self.since() = Since { cleared: Instant::now(), done: Vec::new() };
    }

    /// The longest times without each kind, in milliseconds.
    pub fn told(&self) -> serde_json::Value {
        let since = self.since();
        let longest = |kind| {
            let now = Instant::now();
            let moments = since.done.iter().filter(|(of, _)| *of == kind).map(|(_, at)| *at);
            let (mut before, mut longest) = (since.cleared, 0.0_f64);
            for at in moments.chain([now]) {
                longest = longest.max((at - before).as_secs_f64() * 1000.0);
                before = at;
            }
            (longest * 10.0).round() / 10.0
        };
        serde_json::json!({
            "write_ms": longest(Kind::Write), "grant_ms": longest(Kind::Grant), "event_ms": longest(Kind::Event),
        })
    }

    fn since(&self) -> MutexGuard<'_, Since> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
