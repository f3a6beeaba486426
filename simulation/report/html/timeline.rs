//! The time line of one seed: machines, locks, clients and watches as lanes, so that one sees a partition, and the lock moving.

use super::{
    escape, page,
    spans::{Span, Was, connections, lives, owners, rows, sessions},
    tiles,
};
use crate::{
    checkers::Verdict,
    history::{Ended, Fault, History, Machine, Time, Told},
    report::{Figures, SECOND, events::servers, seconds, text::singles, words},
};

/// Width of the names before the lanes.
const NAMES: u32 = 130;
/// Width of a simulated second, as long as the whole is not wider than [`WIDTH_MAX`].
const SECOND_WIDTH: f64 = 40.0;
/// Bounds of the width of the picture.
const WIDTH_MIN: f64 = 1000.0;
/// See [`WIDTH_MIN`].
const WIDTH_MAX: f64 = 8000.0;
/// Height of the axis.
const AXIS: f64 = 26.0;
/// Height of a lane of one row.
const LANE: f64 = 30.0;
/// Height of each row of bars in a lane.
const ROW: f64 = 17.0;
/// So many locks, and so many watches, are drawn at most; a page has to open.
const LANES_MAX: usize = 60;

/// Lanes in the making.
struct Picture<'a> {
    history: &'a History,
    scale: f64,
    width: f64,
    y: f64,
    names: String,
    lanes: String,
}

/// The page of one seed. `command` runs it again.
#[must_use]
pub fn seed_page(history: &History, seed: u64, verdict: &Verdict, figures: &Figures, command: &str) -> String {
    let mut body = format!("<h1>Seed {seed}</h1>\n");
    if verdict.broken.is_empty() {
        body.push_str("<p class=\"good\">Nothing is broken.</p>\n");
    }
    for broken in &verdict.broken {
        let (checker, what) = (escape(broken.checker), escape(&broken.what));
        body.push_str(&format!("<pre class=\"bad\"><b>{checker}</b> at {:.6} s: {what}</pre>\n", seconds(broken.at)));
    }
    for (checker, why) in &verdict.unknown {
        body.push_str(&format!("<p class=\"soft\">Not decided: {}: {}</p>\n", escape(checker), escape(why)));
    }
    body.push_str(&format!("<p><code>{}</code></p>\n", escape(command)));
    body.push_str(&picture(history, verdict));
    body.push_str(KEY);
    let mut numbers = vec![
        ("simulated seconds", format!("{:.1}", figures.simulated_seconds)),
        ("operations", figures.all_operations().to_string()),
        ("faults with an effect", figures.all_faults().to_string()),
    ];
    numbers.extend(singles(figures).into_iter().map(|(name, count)| (name, count.to_string())));
    body.push_str(&tiles(numbers));
    body.push_str(&fault_list(&history.faults));
    page(&format!("Seed {seed}"), &body)
}

const KEY: &str = "<div class=\"key\">\
<span><svg width=\"22\" height=\"12\"><rect width=\"22\" height=\"12\" fill=\"var(--up)\"/></svg>server runs</span>\
<span><svg width=\"22\" height=\"12\"><rect width=\"22\" height=\"12\" fill=\"url(#paused)\"/></svg>stands still</span>\
<span><svg width=\"22\" height=\"12\"><rect width=\"22\" height=\"8\" fill=\"var(--lead)\"/></svg>leads; the line is the election</span>\
<span><svg width=\"22\" height=\"12\"><rect width=\"11\" height=\"6\" fill=\"hsl(215 70% 55%)\"/><rect x=\"11\" width=\"11\" height=\"6\" \
fill=\"hsl(20 80% 55%)\"/></svg>sides of a partition</span>\
<span><svg width=\"22\" height=\"12\"><rect width=\"22\" height=\"6\" fill=\"var(--warn)\"/></svg>some links cut</span>\
<span>A lock's bar is its owner by the log, the thin line under it what its client believed, both in the client's colour. \
Everything tells more under the pointer.</span></div>\n";

const PATTERNS: &str = "<defs><pattern id=\"paused\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
<rect width=\"6\" height=\"6\" fill=\"var(--up)\"/><rect width=\"3\" height=\"6\" fill=\"var(--soft)\"/></pattern></defs>\n";

fn picture(history: &History, verdict: &Verdict) -> String {
    let whole = seconds(history.end).max(0.001);
    let width = (whole * SECOND_WIDTH).clamp(WIDTH_MIN, WIDTH_MAX);
    let (names, lanes) = (String::new(), String::new());
    let mut picture = Picture { history, scale: width / whole, width, y: AXIS, names, lanes };
    picture.faults();
    picture.servers();
    picture.locks();
    picture.clients();
    picture.watches();
    picture.axis(whole);
    for broken in &verdict.broken {
        let title = format!("{}: {}", broken.checker, broken.what);
        picture.upright(broken.at, AXIS - 6.0, picture.y, "var(--bad)", &title);
    }
    let Picture { y: height, names, lanes, .. } = picture;
    format!(
        "<div class=\"line\">\n<svg class=\"names\" width=\"{NAMES}\" height=\"{height}\">\n{names}</svg>\n\
         <div class=\"time\"><svg width=\"{width:.0}\" height=\"{height}\" role=\"img\">\n{PATTERNS}{lanes}</svg></div>\n</div>\n"
    )
}

impl Picture<'_> {
    fn x(&self, at: Time) -> f64 {
        seconds(at) * self.scale
    }

    /// Begins a lane; the next one stands under it.
    fn lane(&mut self, name: &str, height: f64) -> f64 {
        let y = self.y;
        let short = shortened(name, 19);
        self.names.push_str(&format!(
            "<text x=\"10\" y=\"{:.1}\">{}<title>{}</title></text>\n",
            y + 19.0,
            escape(&short),
            escape(name)
        ));
        self.y += height;
        let rule = self.y - 0.5;
        self.lanes.push_str(&format!("<path d=\"M0 {rule}H{:.0}\" stroke=\"var(--line)\"/>\n", self.width));
        self.names.push_str(&format!("<path d=\"M0 {rule}H{NAMES}\" stroke=\"var(--line)\"/>\n"));
        y
    }

    fn heading(&mut self, name: &str) {
        self.names.push_str(&format!(
            "<text class=\"head\" x=\"10\" y=\"{:.1}\">{}</text>\n",
            self.y + 18.0,
            escape(name)
        ));
        self.y += 24.0;
    }

    fn bar(&mut self, (from, until): (Time, Time), y: f64, height: f64, fill: &str, title: &str) {
        let x = self.x(from);
        let width = (self.x(until) - x).max(1.0);
        let title = format!("{:.3} – {:.3} s: {title}", seconds(from), seconds(until));
        self.lanes.push_str(&format!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{fill}\"><title>{}</title></rect>\n",
            escape(&title)
        ));
    }

    /// Words in a bar, if it is wide enough for them.
    fn label(&mut self, (from, until): (Time, Time), y: f64, words: &str) {
        let x = self.x(from);
        let room = self.x(until) - x;
        if words.chars().fold(8.0, |width, _| width + 6.0) <= room {
            let words = escape(words);
            self.lanes.push_str(&format!("<text class=\"on\" x=\"{:.1}\" y=\"{y:.1}\">{words}</text>\n", x + 4.0));
        }
    }

    fn upright(&mut self, at: Time, from: f64, until: f64, colour: &str, title: &str) {
        let title = format!("{:.6} s: {title}", seconds(at));
        self.lanes.push_str(&format!(
            "<path d=\"M{:.1} {from:.1}V{until:.1}\" stroke=\"{colour}\" stroke-width=\"2\"><title>{}</title></path>\n",
            self.x(at),
            escape(&title)
        ));
    }

    fn dot(&mut self, at: Time, y: f64, fill: &str, title: &str) {
        let title = format!("{:.6} s: {title}", seconds(at));
        self.lanes.push_str(&format!(
            "<circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{fill}\"><title>{}</title></circle>\n",
            self.x(at),
            escape(&title)
        ));
    }

    fn axis(&mut self, whole: f64) {
        let step = if whole > 300.0 {
            10
        } else if whole > 30.0 {
            5
        } else {
            1
        };
        let mut at = 0;
        while seconds(at) <= whole {
            let x = self.x(at);
            self.lanes.push_str(&format!(
                "<g class=\"soft\"><text class=\"small\" x=\"{:.1}\" y=\"14\">{} s</text></g>\
                 <path d=\"M{x:.1} 18V{AXIS}\" stroke=\"var(--line)\"/>\n",
                x + 2.0,
                at / SECOND
            ));
            at += step * SECOND;
        }
    }

    fn faults(&mut self) {
        let history = self.history;
        let y = self.lane("faults", LANE);
        for fault in &history.faults {
            let (fill, none) = if fault.effective { ("var(--bad)", "") } else { ("var(--soft)", " (without effect)") };
            self.dot(fault.at, y + LANE / 2.0, fill, &format!("{}: {}{none}", fault.kind, fault.what));
        }
    }

    fn servers(&mut self) {
        let history = self.history;
        let all = servers(history);
        for id in &all {
            let machine = Machine::Server(*id);
            let y = self.lane(&format!("server {id}"), LANE + 12.0);
            for life in lives(history, machine) {
                let (fill, what) = match life.what {
                    Was::Up => ("var(--up)", "runs"),
                    Was::Paused => ("url(#paused)", "stands still"),
                };
                self.bar((life.from, life.until), y + 5.0, 22.0, fill, &format!("server {id} {what}"));
            }
            for led in history.leaders.iter().filter(|led| led.server == *id) {
                let title = format!("server {id} leads in term {}", led.term);
                self.bar((led.from, led.until), y + 9.0, 14.0, "var(--lead)", &title);
                self.label((led.from, led.until), y + 20.0, &format!("leads, term {}", led.term));
                self.upright(led.from, y + 2.0, y + 30.0, "var(--lead)", &title);
            }
            for by in history.applied.iter().filter(|by| by.server == *id && by.installed) {
                let title = format!("server {id} installed a snapshot of {}", by.index);
                self.dot(by.at, y + 16.0, "var(--bar)", &title);
            }
            self.cuts(&all, machine, y + 31.0);
        }
    }

    /// The strip that says on which side a machine was.
    fn cuts(&mut self, servers: &[u64], machine: Machine, y: f64) {
        for span in connections(self.history, servers, machine) {
            let cut =
                if span.what.cut.is_empty() { String::new() } else { format!("; cut: {}", span.what.cut.join(" ")) };
            let (fill, title) = match span.what.side {
                // Far from each other on the colour circle, and none of them the warning's.
                Some(side) => (format!("hsl({} 70% 55%)", (215 + side * 165) % 360), format!("side {}{cut}", side + 1)),
                None => ("var(--warn)".to_owned(), cut.trim_start_matches("; ").to_owned()),
            };
            self.bar((span.from, span.until), y, 7.0, &fill, &title);
        }
    }

    fn locks(&mut self) {
        let locks = owners(self.history);
        if locks.is_empty() {
            return;
        }
        self.heading(&counted("Locks", locks.len()));
        for (lock, spans) in locks.iter().take(LANES_MAX) {
            let (places, count) = rows(spans);
            let y = self.lane(lock, rows_height(count, ROW + 4.0));
            for (span, row) in spans.iter().zip(places) {
                let (top, owner) = (y + 5.0 + height(row, ROW + 4.0), &span.what);
                let who = owner.client.map_or_else(|| "somebody".to_owned(), |client| format!("client {client}"));
                let title = format!("{who} owns {lock}, token {}, session {}", owner.token, owner.session);
                let fill = colour(owner.client);
                self.bar((span.from, span.until), top, ROW - 3.0, &fill, &title);
                self.label((span.from, span.until), top + 11.0, &format!("{who} · {}", owner.token));
                if let Some(believed) = owner.believed {
                    let title = format!("{who} saw itself as the owner of {lock}, token {}", owner.token);
                    self.bar(believed, top + ROW - 2.0, 3.0, &fill, &title);
                }
            }
        }
    }

    fn clients(&mut self) {
        let history = self.history;
        let sessions = sessions(history);
        let mut all: Vec<u32> = history.calls.iter().map(|call| call.client).collect();
        all.sort_unstable();
        all.dedup();
        if all.is_empty() {
            return;
        }
        self.heading("Clients");
        for client in all {
            let mine: Vec<Span<(u64, bool)>> = sessions
                .iter()
                .filter(|span| span.what.1 == Some(client))
                .map(|span| Span { from: span.from, until: span.until, what: (span.what.0, span.what.2) })
                .collect();
            let (places, count) = rows(&mine);
            let y = self.lane(&format!("client {client}"), rows_height(count, 12.0) + 12.0);
            self.calls(client, y + 3.0);
            for (span, row) in mine.iter().zip(places) {
                let (session, expired) = span.what;
                let top = y + 16.0 + height(row, 12.0);
                let title = format!("session {session}{}", if expired { ", which expired" } else { "" });
                self.bar((span.from, span.until), top, 9.0, &colour(Some(client)), &title);
                if expired {
                    self.dot(span.until, top + 4.5, "var(--bad)", &format!("session {session} expired"));
                }
            }
            self.cuts(&[], Machine::Client(client), self.y - 8.0);
        }
    }

    fn calls(&mut self, client: u32, y: f64) {
        let history = self.history;
        for call in history.calls.iter().filter(|call| call.client == client) {
            let fill = match call.ended {
                Ended::Ok(_) => "var(--good)",
                Ended::Refused(_) => "var(--warn)",
                Ended::Unknown => "var(--bad)",
            };
            let title = format!("{} → {}", words::action(&call.action), words::ended(&call.ended));
            self.bar((call.start, call.end), y, 9.0, fill, &title);
        }
    }

    fn watches(&mut self) {
        let history = self.history;
        if history.watches.is_empty() {
            return;
        }
        self.heading(&counted("Watches", history.watches.len()));
        for watch in history.watches.iter().take(LANES_MAX) {
            let name = format!("{} by {}", watch.prefix, watch.client);
            let y = self.lane(&name, LANE);
            let until = match watch.told.last() {
                Some((at, Told::Compacted { .. } | Told::Failed(_))) => *at,
                _ => history.end,
            };
            self.bar((watch.start, until), y + 13.0, 4.0, "var(--line)", &format!("watch {name} from {}", watch.from));
            for (at, told) in &watch.told {
                let fill = match told {
                    Told::Events(_) => colour(Some(watch.client)),
                    Told::Snapshot { .. } => "var(--bar)".to_owned(),
                    Told::Progress { .. } => "var(--soft)".to_owned(),
                    Told::Compacted { .. } | Told::Failed(_) => "var(--bad)".to_owned(),
                };
                self.dot(*at, y + LANE / 2.0, &fill, &words::told(told));
            }
        }
    }
}

/// A client's colour: neighbours are far from each other on the colour circle.
fn colour(client: Option<u32>) -> String {
    client.map_or_else(|| "var(--soft)".to_owned(), |client| format!("hsl({} 55% 45%)", u64::from(client) * 137 % 360))
}

fn height(rows: usize, each: f64) -> f64 {
    (0..rows).fold(0.0, |height, _| height + each)
}

fn rows_height(rows: usize, each: f64) -> f64 {
    (height(rows, each) + 9.0).max(LANE)
}

fn counted(name: &str, count: usize) -> String {
    if count > LANES_MAX { format!("{name}: {LANES_MAX} of {count}") } else { name.to_owned() }
}

/// Its beginning, if it is too long.
pub(super) fn shortened(name: &str, letters: usize) -> String {
    if name.chars().count() <= letters {
        return name.to_owned();
    }
    let mut short: String = name.chars().take(letters.saturating_sub(1)).collect();
    short.push('…');
    short
}

fn fault_list(faults: &[Fault]) -> String {
    if faults.is_empty() {
        return String::new();
    }
    let mut html = "<h2>Faults</h2>\n<table>\n".to_owned();
    for fault in faults {
        let class = if fault.effective { "" } else { " class=\"soft\"" };
        html.push_str(&format!(
            "<tr{class}><td class=\"n\">{:.3} s</td><td>{}</td><td>{}</td></tr>\n",
            seconds(fault.at),
            escape(fault.kind),
            escape(&fault.what)
        ));
    }
    html.push_str("</table>\n");
    html
}
