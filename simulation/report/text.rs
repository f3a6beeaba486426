//! The report at the end, for people.

use std::{fmt::Display, io::Write};

use tabwriter::{Alignment, TabWriter};

use super::figures::{Figures, SEEDS_FOR_ALL_MARKS, Totals};

impl Totals {
    /// The report in aligned columns. `all_marks`: those that a good set of seeds hits.
    #[must_use]
    pub fn text(&self, all_marks: &[&str]) -> String {
        format!("{}{}{}", self.heading(), self.story_text(), self.marks_text(all_marks))
    }

    /// Failures, operations, faults and what else happened: the report without its heading and the marks.
    #[must_use]
    pub fn story_text(&self) -> String {
        let mut text = self.failures_text();
        text.push_str(&section("Operations", &operations(&self.figures)));
        let mut faults = counts(self.figures.faults.iter());
        faults.push(vec!["without effect".to_owned(), self.figures.faults_without_effect.to_string()]);
        text.push_str(&section("Faults that had an effect", &faults));
        text.push_str(&section("What happened", &events(&self.figures)));
        let unknown = counts(self.unknown.iter());
        if !unknown.is_empty() {
            text.push_str(&section("Checkers that gave up on a part, in how many seeds", &unknown));
        }
        text
    }

    fn heading(&self) -> String {
        let passed = self.seeds - self.failed;
        let speed = if self.real_seconds > 0.0 { self.figures.simulated_seconds / self.real_seconds } else { 0.0 };
        let rows = vec![
            vec!["seeds".to_owned(), self.seeds.to_string()],
            vec!["passed".to_owned(), passed.to_string()],
            vec!["failed".to_owned(), self.failed.to_string()],
            vec!["simulated time".to_owned(), duration(self.figures.simulated_seconds)],
            vec!["real time".to_owned(), duration(self.real_seconds)],
            vec!["simulated seconds a second".to_owned(), format!("{speed:.1}")],
            vec!["operations".to_owned(), self.figures.all_operations().to_string()],
            vec!["faults with an effect".to_owned(), self.figures.all_faults().to_string()],
        ];
        section("Simulation", &rows)
    }

    fn failures_text(&self) -> String {
        let failures = self.failures();
        if failures.is_empty() {
            return String::new();
        }
        let mut text = "\nFailed\n".to_owned();
        for run in failures {
            if let Some(broken) = &run.broken {
                let what = broken.what.lines().next().unwrap_or_default();
                text.push_str(&format!("  seed {}: {}: {what}\n", run.seed, broken.checker));
            }
        }
        text
    }

    fn marks_text(&self, all_marks: &[&str]) -> String {
        let mut text = String::new();
        let hit = counts(self.figures.marks.iter().filter(|(_, hits)| **hits > 0));
        if !hit.is_empty() {
            text.push_str(&section("Marks that were hit", &hit));
        }
        let missed = self.never_hit(all_marks);
        if !missed.is_empty() {
            text.push_str(&format!("\nMarks never hit (from {SEEDS_FOR_ALL_MARKS} seeds on, that is a failure)\n"));
            for mark in missed {
                text.push_str(&format!("  {mark}\n"));
            }
        }
        text
    }
}

fn operations(figures: &Figures) -> Vec<Vec<String>> {
    let row = |name: &str, cells: [&dyn Display; 4]| {
        let mut row = vec![name.to_owned()];
        row.extend(cells.iter().map(ToString::to_string));
        row
    };
    let mut rows = vec![row("", [&"all", &"done", &"refused", &"unknown"])];
    for (kind, ends) in &figures.operations {
        rows.push(row(kind, [&ends.all(), &ends.ok, &ends.refused, &ends.unknown]));
    }
    rows
}

/// What is counted once, with its name.
pub(super) fn singles(figures: &Figures) -> [(&'static str, u64); 12] {
    [
        ("elections", figures.elections),
        ("lives of servers", figures.lives),
        ("snapshots installed", figures.snapshots_installed),
        ("membership changes", figures.membership_changes),
        ("log entries", figures.log_entries),
        ("sessions opened", figures.sessions_opened),
        ("sessions expired", figures.sessions_expired),
        ("locks granted", figures.locks_granted),
        ("locks handed over", figures.locks_handed_over),
        ("watches", figures.watches),
        ("watch events", figures.watch_events),
        ("operations refused", figures.refusals.values().sum()),
    ]
}

fn events(figures: &Figures) -> Vec<Vec<String>> {
    singles(figures).iter().map(|(name, count)| vec![(*name).to_owned(), count.to_string()]).collect()
}

fn counts<'a>(all: impl Iterator<Item = (&'a String, &'a u64)>) -> Vec<Vec<String>> {
    all.map(|(name, count)| vec![name.clone(), count.to_string()]).collect()
}

/// A title, and rows under it: the first cell to the left, numbers to the right.
#[must_use]
pub fn section(title: &str, rows: &[Vec<String>]) -> String {
    let width = rows.iter().filter_map(|row| row.first()).map(|name| name.chars().count()).max().unwrap_or_default();
    let mut table = TabWriter::new(Vec::new()).alignment(Alignment::Right).padding(2);
    for row in rows {
        let mut cells = row.iter();
        let name = cells.next().map_or("", String::as_str);
        let rest: Vec<&str> = cells.map(String::as_str).collect();
        // A right-aligned column ends with a tab; the first one is of equal width already. Writing to memory can't fail.
        let _ = writeln!(table, "  {name:width$}\t{}\t", rest.join("\t"));
    }
    let text = table.into_inner().ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    let lines: String = text.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    format!("\n{title}\n{lines}")
}

/// A stretch of time as a person says it.
#[must_use]
pub fn duration(seconds: f64) -> String {
    if seconds < 120.0 {
        format!("{seconds:.1} s")
    } else if seconds < 7200.0 {
        format!("{:.1} min", seconds / 60.0)
    } else {
        format!("{:.1} h", seconds / 3600.0)
    }
}
