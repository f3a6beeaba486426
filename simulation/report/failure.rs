//! A failure as text: what is broken, what happened before, node by node, and the command that shows it again.

use super::{
    events::{Event, Lane, events, servers},
    seconds,
};
use crate::{checkers::Verdict, history::History};

/// How many events are shown before the broken one's moment.
const EVENTS_BEFORE: usize = 40;
/// How many are shown after it: an answer that comes late often tells why.
const EVENTS_AFTER: usize = 6;
/// Characters of a line, without the time; the columns share them.
const WIDTH: usize = 168;
/// Characters of the time.
const TIME_WIDTH: usize = 10;

/// A failed seed, for a person at a terminal. `options` are those of the command line that the run depended on, such as `--profile disk`. Nothing
/// if nothing is broken.
#[must_use]
pub fn failure_text(history: &History, seed: u64, verdict: &Verdict, options: &str) -> String {
    let mut text = failure_story(history, seed, verdict);
    if text.is_empty() {
        return text;
    }
    let options = if options.is_empty() { String::new() } else { format!(" {options}") };
    text.push_str(&format!("\nRun it again:              scripts/simulate --seed {seed}{options}\n"));
    text.push_str(&format!("With all that happens:     scripts/simulate --seed {seed}{options} --trace\n"));
    text.push_str(&format!("The fewest faults for it:  scripts/simulate --shrink {seed}{options}\n"));
    text
}

/// The same without the commands. Nothing if nothing is broken.
#[must_use]
pub fn failure_story(history: &History, seed: u64, verdict: &Verdict) -> String {
    let Some(first) = verdict.broken.iter().min_by_key(|broken| broken.at) else { return String::new() };
    let mut text = format!("SEED {seed} FAILED: {} at {:.6} s\n", first.checker, seconds(first.at));
    for line in first.what.lines() {
        text.push_str(&format!("  {line}\n"));
    }
    let events = events(history);
    let after = events.partition_point(|event| event.at <= first.at);
    let shown = &events[after.saturating_sub(EVENTS_BEFORE)..(after + EVENTS_AFTER).min(events.len())];
    let mut lanes = vec![Lane::World];
    lanes.extend(servers(history).into_iter().map(Lane::Server));
    lanes.push(Lane::Clients);
    text.push('\n');
    text.push_str(&table(shown, &lanes, after.min(EVENTS_BEFORE)));
    text.push_str(&others(verdict));
    text
}

/// Broken promises beyond the first, one line each, and what nobody could decide.
fn others(verdict: &Verdict) -> String {
    let mut broken: Vec<_> = verdict.broken.iter().collect();
    broken.sort_by_key(|broken| broken.at);
    let mut text = String::new();
    if broken.len() > 1 {
        text.push_str("\nBroken after that:\n");
        for other in broken.iter().skip(1) {
            let what = other.what.lines().next().unwrap_or_default();
            text.push_str(&format!("  {:>10.6} s  {}: {what}\n", seconds(other.at), other.checker));
        }
    }
    for (checker, why) in &verdict.unknown {
        text.push_str(&format!("Not decided: {checker}: {why}\n"));
    }
    text
}

/// Events in columns; a rule after the first `before` of them.
fn table(events: &[Event], lanes: &[Lane], before: usize) -> String {
    // The clients and the world say most.
    let share = (WIDTH / (lanes.len() + 2)).max(14);
    let width = |lane: &Lane| if *lane == Lane::Clients { share * 3 } else { share };
    let header: Vec<String> = lanes.iter().map(|lane| title(*lane)).collect();
    let mut text = row("seconds", &header, lanes, width);
    let rule: Vec<String> = lanes.iter().map(|lane| "─".repeat(width(lane))).collect();
    text.push_str(&row(&"─".repeat(TIME_WIDTH), &rule, lanes, width));
    for (number, event) in events.iter().enumerate() {
        if number == before && before > 0 {
            text.push_str(&row("▲ broken ▲", &rule, lanes, width));
        }
        let cells: Vec<String> =
            lanes.iter().map(|lane| if *lane == event.lane { event.text.clone() } else { String::new() }).collect();
        text.push_str(&row(&format!("{:10.6}", seconds(event.at)), &cells, lanes, width));
    }
    text
}

fn title(lane: Lane) -> String {
    match lane {
        Lane::World => "faults".to_owned(),
        Lane::Server(id) => format!("server {id}"),
        Lane::Clients => "clients".to_owned(),
    }
}

/// A row of as many lines as its longest cell needs.
fn row(time: &str, cells: &[String], lanes: &[Lane], width: impl Fn(&Lane) -> usize) -> String {
    let cells: Vec<(usize, Vec<String>)> =
        cells.iter().zip(lanes).map(|(cell, lane)| (width(lane), wrap(cell, width(lane)))).collect();
    let lines = cells.iter().map(|(_, lines)| lines.len()).max().unwrap_or_default().max(1);
    let mut text = String::new();
    for number in 0..lines {
        let mut line = format!("{:TIME_WIDTH$}", if number == 0 { time } else { "" });
        for (width, wrapped) in &cells {
            let words = wrapped.get(number).map_or("", String::as_str);
            line.push_str(&format!(" │ {words:width$}"));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Breaks at spaces, and inside of words that are too long.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let mut letters: Vec<char> = word.chars().collect();
        if let Some(last) = lines.last_mut()
            && last.chars().count() + 1 + letters.len() <= width
        {
            last.push(' ');
            last.extend(&letters);
            continue;
        }
        while letters.len() > width {
            let rest = letters.split_off(width);
            lines.push(letters.iter().collect());
            letters = rest;
        }
        lines.push(letters.iter().collect());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{checkers::Broken, report::sample};

    #[test]
    fn a_failure_says_what_when_where_and_how_to_see_it_again() {
        let text = failure_text(&sample::history(), 42, &sample::verdict(), "--profile disk");
        assert!(text.starts_with("SEED 42 FAILED: one owner at 5.000000 s\n  1 and 2 own `l` <both>\n"), "{text}");
        assert!(text.contains("scripts/simulate --seed 42 --profile disk\n"));
        assert!(text.contains("scripts/simulate --shrink 42 --profile disk\n"));
        assert!(text.contains("Not decided: linearizable: too many calls at once\n"));
    }

    #[test]
    fn each_event_stands_in_its_column() {
        let text = failure_text(&sample::history(), 42, &sample::verdict(), "");
        let columns = |wanted: &str| {
            let line = text.lines().find(|line| line.contains(wanted)).unwrap_or_else(|| panic!("{wanted}: {text}"));
            line.split('│').position(|cell| cell.contains(wanted)).unwrap()
        };
        assert_eq!(columns("faults"), 1);
        assert_eq!(columns("kill server"), 1);
        assert_eq!(columns("DOWN"), 2);
        assert_eq!(columns("LEADS in term 0-2"), 3);
        assert_eq!(columns("installed a"), 4);
        assert_eq!(columns("1: put k=v …"), 5);
    }

    #[test]
    fn what_happens_after_the_break_stands_under_the_rule() {
        let text = failure_text(&sample::history(), 42, &sample::verdict(), "");
        let place = |wanted: &str| text.find(wanted).unwrap_or_else(|| panic!("{wanted}: {text}"));
        assert!(place("cut 1→2") < place("▲ broken ▲"));
        assert!(place("▲ broken ▲") < place("mended 1→2"));
    }

    #[test]
    fn the_first_broken_promise_leads_and_others_follow() {
        let mut verdict = sample::verdict();
        verdict.broken.push(Broken { checker: "tokens", at: 1, what: "goes back".to_owned() });
        let text = failure_text(&sample::history(), 1, &verdict, "");
        assert!(text.starts_with("SEED 1 FAILED: tokens at"), "{text}");
        assert!(text.contains("Broken after that:\n    5.000000 s  one owner: 1 and 2 own"), "{text}");
    }

    #[test]
    fn nothing_broken_is_nothing_to_say() {
        assert_eq!(failure_text(&sample::history(), 1, &Verdict::default(), ""), "");
    }

    #[test]
    fn words_are_wrapped_and_long_ones_broken() {
        assert_eq!(wrap("a bc def", 4), ["a bc", "def"]);
        assert_eq!(wrap("→→→→→ x", 3), ["→→→", "→→", "x"]);
        assert!(wrap("", 3).is_empty());
    }
}
