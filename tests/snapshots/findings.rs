//! What writes waited for while a snapshot was under way, and while none was.

use std::{
    fmt::{self, Display},
    time::Duration,
};

use anyhow::bail;
use ringfence_cluster::times::{ms, within};

/// From one moment to another, both since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its beginning.
    pub from: Duration,
    /// Its end.
    pub to: Duration,
}

impl Span {
    fn meets(self, other: Self) -> bool {
        self.from < other.to && other.from < self.to
    }

    fn length(self) -> Duration {
        self.to.saturating_sub(self.from)
    }
}

/// A write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write {
    /// When it was meant to begin.
    pub meant: Duration,
    /// From then on.
    pub took: Duration,
    /// It wasn't done, or nobody knows whether it was.
    pub failed: bool,
}

impl Write {
    fn span(self) -> Span {
        Span { from: self.meant, to: self.meant + self.took }
    }
}

/// How long writes took, the shortest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waits(Vec<Duration>);

impl Waits {
    fn of(writes: &[Write]) -> Self {
        let mut all: Vec<Duration> = writes.iter().map(|write| write.took).collect();
        all.sort_unstable();
        Self(all)
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The time within which so many of a thousand were over, in milliseconds.
    #[must_use]
    pub fn ms(&self, permille: usize) -> f64 {
        ms(within(&self.0, permille))
    }
}

/// What was found.
///
/// The slowest of many writes is slower than the slowest of few, and one slow write in minutes, of whatever cause, says nothing. So
/// **longer** compares like with like, and more than once: of each time that snapshots were under way the slowest write, and of each window of that length
/// in which none was the slowest write; and the middle of the former less the middle of the latter. A write belongs to a snapshot if it was under way at any
/// moment of it, from the moment at which it was meant to begin.
#[derive(Debug)]
pub struct Findings {
    /// How long each snapshot took, the shortest first.
    pub snapshots: Vec<Duration>,
    /// The slowest write of each time that any was under way, the shortest first. Snapshots of several members that overlap are one time.
    pub worst_during: Vec<Duration>,
    /// The slowest write of each window without one, likewise.
    pub worst_without: Vec<Duration>,
    /// How long those windows are: as long as the middle one of the times with one.
    pub window: Duration,
    /// Writes while one was under way.
    pub during: Waits,
    /// All others.
    pub without: Waits,
    /// Of all of them, those that failed. The time that they took counts, too.
    pub failed: usize,
}

impl Findings {
    /// Sorts writes by snapshots. `around`: what else belongs to a snapshot, before and after it.
    ///
    /// # Errors
    /// If there were no snapshots or no time without one.
    pub fn of(
        writes: Vec<Write>,
        written: Vec<Span>,
        whole: Span,
        (before, after): (Duration, Duration),
    ) -> anyhow::Result<Self> {
        let mut snapshots: Vec<Duration> = written.iter().map(|span| span.length()).collect();
        snapshots.sort_unstable();
        let times = joined(&written, before, after);
        let mut lengths: Vec<Duration> = times.iter().map(|time| time.length()).collect();
        lengths.sort_unstable();
        let window = within(&lengths, 500);
        let failed = writes.iter().filter(|write| write.failed).count();
        let (during, without): (Vec<Write>, Vec<Write>) =
            writes.into_iter().partition(|write| times.iter().any(|time| time.meets(write.span())));
        let worst_during = worst(&during, &times);
        let worst_without = worst(&without, &windows(&times, whole, window));
        if worst_during.is_empty() {
            bail!("no write met a snapshot");
        }
        if worst_without.is_empty() {
            bail!(
                "snapshots followed each other so closely that no write was without one: this disk needs a lower rate"
            );
        }
        let (during, without) = (Waits::of(&during), Waits::of(&without));
        Ok(Self { snapshots, worst_during, worst_without, window, during, without, failed })
    }

    /// How much longer the slowest writes wait, in milliseconds; below zero if they wait less.
    #[must_use]
    pub fn longer_ms(&self) -> f64 {
        ms(within(&self.worst_during, 500)) - ms(within(&self.worst_without, 500))
    }
}

impl Display for Findings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{:<26}{:>9}{:>9}{:>9}{:>9}{:>9}", "", "writes", "p50 ms", "p99 ms", "p99.9 ms", "max ms")?;
        for (what, waits) in [("while a snapshot is written", &self.during), ("without", &self.without)] {
            let [p50, p99, p999, max] = [500, 990, 999, 1000].map(|permille| waits.ms(permille));
            writeln!(formatter, "{what:<26}{:>9}{p50:>9.2}{p99:>9.2}{p999:>9.2}{max:>9.1}", waits.count())?;
        }
        let [middle, longest] = [500, 1000].map(|permille| within(&self.snapshots, permille).as_secs_f64());
        writeln!(
            formatter,
            "{} snapshots at {} times, p50 {middle:.2} s, most {longest:.2} s; {} windows of {:.2} s without; {} writes failed",
            self.snapshots.len(),
            self.worst_during.len(),
            self.worst_without.len(),
            self.window.as_secs_f64(),
            self.failed
        )?;
        let [during, without] = [&self.worst_during, &self.worst_without].map(|worst| ms(within(worst, 500)));
        write!(
            formatter,
            "slowest write of a snapshot {during:.1} ms, of as long a time without {without:.1} ms (middles): {:.1} ms longer",
            self.longer_ms()
        )
    }
}

/// Spans with what belongs to them before and after, in order; those that meet are one.
pub fn joined(spans: &[Span], before: Duration, after: Duration) -> Vec<Span> {
    let mut all: Vec<Span> =
        spans.iter().map(|span| Span { from: span.from.saturating_sub(before), to: span.to + after }).collect();
    all.sort_unstable_by_key(|span| span.from);
    let mut joined: Vec<Span> = Vec::new();
    for span in all {
        match joined.last_mut().filter(|last| span.from <= last.to) {
            Some(last) => last.to = last.to.max(span.to),
            None => joined.push(span),
        }
    }
    joined
}

/// Windows of a length in all that isn't in `times`, which are in order and apart. What is left of a gap isn't in any.
fn windows(times: &[Span], whole: Span, length: Duration) -> Vec<Span> {
    let mut windows = Vec::new();
    if length.is_zero() {
        return windows;
    }
    let mut from = whole.from;
    for time in times.iter().copied().chain([Span { from: whole.to, to: whole.to }]) {
        while from + length <= time.from {
            windows.push(Span { from, to: from + length });
            from += length;
        }
        from = from.max(time.to);
    }
    windows
}

/// The slowest write of each span that has any, the shortest first.
fn worst(writes: &[Write], spans: &[Span]) -> Vec<Duration> {
    let slowest = |span: &Span| {
        let meeting = writes.iter().filter(|write| write.span().meets(*span));
        meeting.map(|write| write.took).max()
    };
    let mut worst: Vec<Duration> = spans.iter().filter_map(slowest).collect();
    worst.sort_unstable();
    worst
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Duration = Duration::ZERO;

    fn time(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn span(from: u64, to: u64) -> Span {
        Span { from: time(from), to: time(to) }
    }

    fn write(meant: u64, took: u64) -> Write {
        Write { meant: time(meant), took: time(took), failed: false }
    }

    #[test]
    fn snapshots_that_meet_are_one_time() {
        let spans = [span(100, 200), span(10, 20), span(150, 300), span(305, 310)];
        assert_eq!(joined(&spans, NONE, NONE), [span(10, 20), span(100, 300), span(305, 310)]);
        assert_eq!(joined(&spans, time(50), time(5)), [span(0, 25), span(50, 315)]);
    }

    #[test]
    fn windows_lie_in_what_is_without_a_snapshot() {
        let times = [span(100, 200), span(230, 300)];
        let found = windows(&times, span(0, 390), time(40));
        assert_eq!(found, [span(0, 40), span(40, 80), span(300, 340), span(340, 380)]);
        assert_eq!(windows(&[span(0, 500)], span(10, 390), time(40)), []);
        assert_eq!(windows(&[], span(0, 100), NONE), []);
    }

    #[test]
    fn a_write_belongs_to_a_snapshot_that_it_met() {
        let writes = vec![
            write(10, 7),
            // It waited into the snapshot.
            write(90, 30),
            write(150, 5),
            // It was late because of it, which isn't seen in when it began.
            write(195, 20),
            write(250, 9),
            write(350, 3),
        ];
        let found = Findings::of(writes, vec![span(100, 200)], span(0, 400), (NONE, NONE)).expect("findings");
        assert_eq!((found.during.count(), found.without.count(), found.window), (3, 3, time(100)));
        assert_eq!(found.worst_during, [time(30)]);
        assert_eq!(found.worst_without, [time(3), time(7), time(9)]);
        assert_eq!(found.longer_ms(), 23.0);
        assert_eq!((found.during.ms(500), found.without.ms(1000)), (20.0, 9.0));
    }

    #[test]
    fn one_slow_write_is_not_the_middle() {
        let writes = (0..100).map(|number| write(number * 10, if number == 55 { 9 } else { 2 })).collect();
        let snapshots = vec![span(100, 200), span(500, 600), span(800, 900)];
        let found = Findings::of(writes, snapshots.clone(), span(0, 1000), (NONE, NONE)).expect("findings");
        assert_eq!((found.longer_ms(), found.during.ms(1000), found.snapshots.len()), (0.0, 9.0, 3));
        let late = (0..100).map(|number| write(number * 10, if number % 10 == 5 { 9 } else { 2 })).collect();
        assert_eq!(Findings::of(late, snapshots, span(0, 1000), (NONE, NONE)).expect("findings").longer_ms(), 0.0);
    }

    #[test]
    fn without_anything_to_compare_it_says_so() {
        let writes = vec![write(10, 2)];
        assert!(Findings::of(writes.clone(), Vec::new(), span(0, 100), (NONE, NONE)).is_err());
        assert!(Findings::of(writes, vec![span(0, 100)], span(0, 100), (NONE, NONE)).is_err());
    }
}
