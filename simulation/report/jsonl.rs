//! The report for programs: one JSON object a line for each seed, and the totals in the last one.

use super::figures::{Run, Totals};

/// A seed's line, without the line break.
///
/// # Errors
/// None that is known: everything in it has a form in JSON.
pub fn line(run: &Run) -> serde_json::Result<String> {
    serde_json::to_string(run)
}

/// The last line, without the line break: `{"totals": …}`.
///
/// # Errors
/// As [`line()`].
pub fn last(totals: &Totals) -> serde_json::Result<String> {
    serde_json::to_string(&serde_json::json!({ "totals": totals }))
}

/// Reads a seed's line: one that was written by another process, for the sum.
///
/// # Errors
/// If it isn't one.
pub fn read(line: &str) -> serde_json::Result<Run> {
    serde_json::from_str(line)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;

    use super::*;
    use crate::report::sample;

    #[test]
    fn a_seeds_line_is_one_line_and_is_read_as_it_was() {
        let run = sample::run();
        let text = line(&run).unwrap();
        assert!(!text.contains('\n'));
        assert_eq!(read(&text).unwrap(), run);
    }

    #[test]
    fn a_line_says_what_failed_in_fields() {
        let value: Value =
            serde_json::from_str(&line(&Run::failed(7, "a panic", Duration::from_secs(2))).unwrap()).unwrap();
        assert_eq!(value["seed"], 7);
        assert_eq!(value["passed"], false);
        assert_eq!(value["broken"][0]["what"], "a panic");
        assert_eq!(value["real_seconds"], 2.0);
    }

    #[test]
    fn the_last_line_has_the_totals() {
        let mut totals = Totals::default();
        totals.add(&sample::run());
        totals.add(&sample::run());
        let value: Value = serde_json::from_str(&last(&totals).unwrap()).unwrap();
        assert_eq!(value["totals"]["seeds"], 2);
        assert_eq!(value["totals"]["figures"]["faults"]["kill"], 2);
    }

    #[test]
    fn the_last_line_is_no_seeds_line() {
        assert!(read(&last(&Totals::default()).unwrap()).is_err());
    }
}
