//! Charts of many seeds.

use super::{escape, page, tiles};
use crate::report::{
    figures::Totals,
    text::{duration, singles},
};

/// Width of a bar chart.
const WIDTH: f64 = 560.0;
/// Where the bars begin.
const NAMES: f64 = 190.0;
/// What is left for numbers behind the longest bar.
const NUMBERS: f64 = 80.0;
/// Height of a bar with what is between it and the next.
const STEP: f64 = 22.0;
/// Bars of the chart of durations.
const DURATION_BARS: usize = 40;

/// A part of a bar: how much, in which colour, and what it is.
type Part<'a> = (u64, &'a str, &'a str);

/// The page of a set of seeds. `all_marks`: those that a good set hits; `options`: those of the command line.
#[must_use]
pub fn batch_page(totals: &Totals, all_marks: &[&str], options: &str) -> String {
    let figures = &totals.figures;
    let mut body = format!("<h1>Simulation: {} seeds</h1>\n", totals.seeds);
    body.push_str(&match totals.failed {
        0 => "<p class=\"good\">Nothing is broken.</p>\n".to_owned(),
        failed => format!("<p class=\"bad\">{failed} failed.</p>\n"),
    });
    if let Some(missed) = totals.marks_missed(all_marks) {
        body.push_str(&format!("<pre class=\"bad\">{}</pre>\n", escape(&missed)));
    }
    let speed = if totals.real_seconds > 0.0 { figures.simulated_seconds / totals.real_seconds } else { 0.0 };
    let mut numbers = vec![
        ("simulated time", duration(figures.simulated_seconds)),
        ("real time", duration(totals.real_seconds)),
        ("simulated seconds a second", format!("{speed:.1}")),
        ("operations", figures.all_operations().to_string()),
        ("faults with an effect", figures.all_faults().to_string()),
    ];
    numbers.extend(singles(figures).into_iter().map(|(name, count)| (name, count.to_string())));
    body.push_str(&tiles(numbers));
    body.push_str(&failures(totals, options));
    body.push_str("<div class=\"charts\">\n");
    let plain = |all: &std::collections::BTreeMap<String, u64>| {
        let bars = all.iter().map(|(name, count)| (name.clone(), vec![(*count, "var(--bar)", "")]));
        bars.collect::<Vec<_>>()
    };
    body.push_str(&chart("Faults that had an effect", plain(&figures.faults)));
    let operations = figures.operations.iter().map(|(kind, ends)| {
        let parts: Vec<Part<'_>> = vec![
            (ends.ok, "var(--good)", "done"),
            (ends.refused, "var(--warn)", "refused"),
            (ends.unknown, "var(--bad)", "no answer"),
        ];
        (kind.clone(), parts)
    });
    body.push_str(&chart("Operations: done, refused, without an answer", operations.collect()));
    body.push_str(&chart("Refusals", plain(&figures.refusals)));
    body.push_str(&durations(totals));
    let mut marks = plain(&figures.marks);
    let never = totals.never_hit(all_marks);
    marks.retain(|(name, _)| !never.contains(&name.as_str()));
    marks.extend(never.iter().map(|mark| ((*mark).to_owned(), vec![(0, "var(--bar)", "")])));
    body.push_str(&chart("Marks", marks));
    body.push_str(&chart("Checkers that gave up on a part, in how many seeds", plain(&totals.unknown)));
    body.push_str("</div>\n");
    page(&format!("Simulation: {} seeds", totals.seeds), &body)
}

fn failures(totals: &Totals, options: &str) -> String {
    let failures = totals.failures();
    if failures.is_empty() {
        return String::new();
    }
    let options = if options.is_empty() { String::new() } else { format!(" {}", escape(options)) };
    let mut html =
        "<h2>Failed</h2>\n<table>\n<tr><th>seed</th><th>broken</th><th>at</th><th>what</th><th></th></tr>\n".to_owned();
    for run in failures {
        let Some(broken) = &run.broken else { continue };
        html.push_str(&format!(
            "<tr><td class=\"n\">{0}</td><td>{1}</td><td class=\"n\">{2:.3} s</td><td><pre>{3}</pre></td>\
             <td><code>scripts/simulate --seed {0}{options}</code></td></tr>\n",
            run.seed,
            escape(&broken.checker),
            broken.at_seconds,
            escape(&broken.what)
        ));
    }
    html.push_str("</table>\n");
    html
}

#[expect(clippy::cast_precision_loss, reason = "lengths of bars on a screen")]
fn chart(title: &str, mut bars: Vec<(String, Vec<Part<'_>>)>) -> String {
    if bars.is_empty() {
        return String::new();
    }
    let sum = |parts: &[Part<'_>]| parts.iter().map(|(count, ..)| count).sum::<u64>();
    // Largest first; those of the same size stay in the order of their names.
    bars.sort_by_key(|(_, parts)| std::cmp::Reverse(sum(parts)));
    let most = bars.iter().map(|(_, parts)| sum(parts)).max().unwrap_or_default().max(1);
    let scale = (WIDTH - NAMES - NUMBERS) / most as f64;
    let height = STEP * bars.len() as f64;
    let mut svg = format!(
        "<div><h2>{}</h2>\n<svg viewBox=\"0 0 {WIDTH} {height}\" width=\"100%\" role=\"img\">\n",
        escape(title)
    );
    for (place, (name, parts)) in bars.iter().enumerate() {
        let y = STEP * place as f64;
        let all = sum(parts);
        let short = super::timeline::shortened(name, 32);
        let colour = if all == 0 { " style=\"fill:var(--bad)\"" } else { "" };
        svg.push_str(&format!(
            "<g><title>{}</title><text x=\"{}\" y=\"{}\" text-anchor=\"end\"{colour}>{}</text>\n",
            escape(name),
            NAMES - 8.0,
            y + 15.0,
            escape(&short)
        ));
        let mut x = NAMES;
        for (count, colour, what) in parts.iter().filter(|(count, ..)| *count > 0) {
            let width = *count as f64 * scale;
            let title = if what.is_empty() { String::new() } else { format!("{what}: {count}") };
            let bar = y + 3.0;
            svg.push_str(&format!(
                "<rect x=\"{x:.1}\" y=\"{bar}\" width=\"{width:.1}\" height=\"16\" fill=\"{colour}\"><title>{}</title></rect>",
                escape(&format!("{name}: {}", if title.is_empty() { count.to_string() } else { title }))
            ));
            x += width;
        }
        svg.push_str(&format!("<text x=\"{:.1}\" y=\"{}\">{all}</text></g>\n", x + 6.0, y + 15.0));
    }
    svg.push_str("</svg></div>\n");
    svg
}

/// How many seeds took how long.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bars on a screen"
)]
fn durations(totals: &Totals) -> String {
    let longest = totals.runs.iter().map(|run| run.real_seconds).fold(0.0, f64::max);
    if longest <= 0.0 {
        return String::new();
    }
    let mut bars = [0_u64; DURATION_BARS];
    for run in &totals.runs {
        let place = (run.real_seconds / longest * DURATION_BARS as f64) as usize;
        bars[place.min(DURATION_BARS - 1)] += 1;
    }
    let most = bars.iter().max().copied().unwrap_or_default().max(1) as f64;
    let step = WIDTH / DURATION_BARS as f64;
    let mut svg = format!(
        "<div><h2>Real seconds of a seed</h2>\n<svg viewBox=\"0 0 {WIDTH} 160\" width=\"100%\" role=\"img\">\n"
    );
    for (place, count) in bars.iter().enumerate() {
        let (height, x) = (*count as f64 / most * 130.0, place as f64 * step);
        let from = longest * place as f64 / DURATION_BARS as f64;
        let until = from + longest / DURATION_BARS as f64;
        svg.push_str(&format!(
            "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\" fill=\"var(--bar)\">\
             <title>{count} seeds: {from:.2} to {until:.2} s</title></rect>\n",
            135.0 - height,
            step - 2.0
        ));
    }
    svg.push_str(&format!(
        "<g class=\"soft\"><text x=\"0\" y=\"153\">0</text><text x=\"{WIDTH}\" y=\"153\" text-anchor=\"end\">{longest:.2} s</text></g>\n"
    ));
    svg.push_str("</svg></div>\n");
    svg
}
