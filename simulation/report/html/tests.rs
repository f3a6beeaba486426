use std::time::Duration;

use super::{spans::*, *};
use crate::{
    checkers::Verdict,
    history::{Machine, Time},
    report::{SECOND, Totals, figures::Run, sample},
};

fn seed() -> String {
    seed_page(&sample::history(), 42, &sample::verdict(), &sample::figures(), "scripts/simulate --seed 42 <x>")
}

fn batch() -> String {
    let mut totals = Totals::default();
    totals.add(&sample::run());
    totals.add(&Run { seed: 43, broken: Vec::new(), passed: true, ..sample::run() });
    totals.took(Duration::from_secs(3));
    batch_page(&totals, &["a leader fell", "a disk was full"], "--profile disk")
}

/// Every element that is opened is closed, in order.
fn assert_well_formed(html: &str) {
    let mut open: Vec<&str> = Vec::new();
    for tag in html.split('<').skip(1).filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag) {
        let name = tag.split_whitespace().next().unwrap();
        if let Some(name) = name.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "<{tag}>");
        } else if !tag.ends_with('/') && !["!DOCTYPE", "meta"].contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "still open: {open:?}");
}

#[test]
fn what_is_markup_is_escaped() {
    assert_eq!(escape("<a href='x'>\"&\u{1}"), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;\u{fffd}");
    let html = seed();
    assert!(html.contains("server 1 &amp; nobody &lt;else&gt;") && !html.contains("<else>"));
    assert!(html.contains("1 and 2 own `l` &lt;both&gt;") && !html.contains("<both>"));
    assert!(html.contains("--seed 42 &lt;x&gt;") && !html.contains("<x>"));
}

#[test]
fn pages_are_well_formed_and_need_nothing_from_elsewhere() {
    for html in [seed(), batch()] {
        assert_well_formed(&html);
        for foreign in ["http:", "https:", "src=", "href=", "<script", "@import"] {
            assert!(!html.contains(foreign), "{foreign}");
        }
        assert!(html.contains("prefers-color-scheme: dark"));
    }
}

#[test]
fn a_seeds_page_shows_the_partition_and_the_lock_moving() {
    let html = seed();
    for wanted in [
        "2.000 – 7.000 s: side 1; cut: 1→2 1→3 2→1 3→1",
        "2.000 – 7.000 s: side 2; cut: 1→2 2→1",
        "0.000 – 4.000 s: server 1 runs",
        "server 2 leads in term 2",
        "server 3 installed a snapshot of 3",
        "1.000 – 4.000 s: client 1 owns l, token 5, session 11",
        "4.000 – 8.000 s: client 2 owns l, token 6, session 12",
        "2.000 – 3.000 s: client 1 saw itself as the owner of l, token 5",
        "session 11, which expired",
        "put k=v → no answer",
        "6: k=v",
        "5.000000 s: one owner: 1 and 2 own",
    ] {
        assert!(html.contains(wanted), "{wanted}\n{html}");
    }
}

#[test]
fn a_batchs_page_has_its_failures_and_charts() {
    let html = batch();
    for wanted in [
        "<h1>Simulation: 2 seeds</h1>",
        "<p class=\"bad\">1 failed.</p>",
        "<code>scripts/simulate --seed 42 --profile disk</code>",
        "kill: 2",
        "put: no answer: 2",
        "open session: done: 4",
        "2 seeds: 1.46 to 1.50 s",
        "<title>a disk was full</title>",
        "unavailable: 2",
    ] {
        assert!(html.contains(wanted), "{wanted}\n{html}");
    }
    assert!(!html.contains("--seed 43"));
}

#[test]
fn an_empty_history_and_no_seeds_make_pages_too() {
    assert_well_formed(&seed_page(
        &crate::history::History::default(),
        1,
        &Verdict::default(),
        &Default::default(),
        "",
    ));
    assert_well_formed(&batch_page(&Totals::default(), &[], ""));
}

#[test]
fn a_bridge_has_one_side_and_some_cuts() {
    let mut history = sample::history();
    history.conditions.retain(|changed| {
        use crate::history::Condition::{Cut, Mended};
        let (one, three) = (Machine::Server(1), Machine::Server(3));
        !matches!(changed.now, Cut(from, to) | Mended(from, to) if (from, to) == (one, three) || (from, to) == (three, one))
    });
    let spans = connections(&history, &[1, 2, 3], Machine::Server(1));
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].what, Connected { side: None, cut: vec!["1→2".to_owned(), "2→1".to_owned()] });
    assert!(connections(&history, &[1, 2, 3], Machine::Server(3)).is_empty());
}

#[test]
fn spans_that_overlap_stand_in_rows_of_their_own() {
    let span = |from: Time, until: Time| Span { from: from * SECOND, until: until * SECOND, what: () };
    assert_eq!(rows(&[span(0, 3), span(1, 2), span(2, 4), span(3, 5)]), (vec![0, 1, 1, 0], 2));
}
