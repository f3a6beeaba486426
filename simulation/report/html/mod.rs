//! Pages to look at: one file each, without anything from elsewhere and without scripts, in light and in dark.
//!
//! - [`seed_page`]: the time line of one seed.
//! - [`batch_page`]: charts of many.
//! - `spans`: a history as stretches of time.
//! - `timeline`: those stretches as a picture.

mod batch;
mod spans;
mod timeline;

#[cfg(test)]
mod tests;

pub use batch::batch_page;
pub use timeline::seed_page;

/// What stands between text and markup.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // Not allowed in a document, whatever it stands for.
            control if control.is_control() && control != '\n' => safe.push('\u{fffd}'),
            other => safe.push(other),
        }
    }
    safe
}

const STYLE: &str = "
:root { color-scheme: light dark; --back: #fbfbf9; --card: #fff; --ink: #20242b; --soft: #6b7280; --line: #dcdfe4;
  --up: #dfe7e2; --bar: #4d7ea8; --good: #3f8f5f; --warn: #c98a1b; --bad: #c83a3a; --lead: #2f6f4f; }
@media (prefers-color-scheme: dark) { :root { --back: #15181c; --card: #1d2127; --ink: #e4e7eb; --soft: #98a1ad;
  --line: #343a43; --up: #2b3a33; --bar: #6ea3cf; --good: #5fbf86; --warn: #e0ac4a; --bad: #ef6a6a; --lead: #58b587; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 24px 28px 60px; background: var(--back); color: var(--ink); font: 14px/1.5 system-ui, sans-serif; }
h1 { font-size: 22px; margin: 0 0 4px; } h2 { font-size: 16px; margin: 30px 0 8px; }
p { margin: 4px 0; max-width: 110ch; } .soft, .soft text { color: var(--soft); fill: var(--soft); }
code { font: 13px/1.4 ui-monospace, monospace; background: var(--card); border: 1px solid var(--line); padding: 1px 6px; border-radius: 4px; }
.good { color: var(--good); } .bad { color: var(--bad); } pre { white-space: pre-wrap; margin: 4px 0; }
.tiles { display: flex; flex-wrap: wrap; gap: 10px; margin-top: 16px; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 8px 14px; min-width: 120px; }
.tile b { display: block; font-size: 20px; font-variant-numeric: tabular-nums; } .tile span { color: var(--soft); font-size: 12px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(480px, 1fr)); gap: 0 28px; }
table { border-collapse: collapse; } td, th { text-align: left; padding: 3px 18px 3px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
svg { display: block; } svg text { font: 12px system-ui, sans-serif; fill: var(--ink); }
.line { display: flex; border: 1px solid var(--line); border-radius: 8px; background: var(--card); overflow: hidden; margin-top: 14px; }
.line .names { flex: none; border-right: 1px solid var(--line); } .line .time { overflow-x: auto; flex: 1; }
svg .small { font-size: 10px; } svg .head { font-weight: 600; } svg .on { fill: #fff; font-size: 10px; pointer-events: none; }
.key { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 10px 0 0; font-size: 12px; color: var(--soft); align-items: center; }
.key svg { display: inline-block; vertical-align: -2px; margin-right: 5px; }
";

/// A whole page.
fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )
}

/// Some numbers with their names.
fn tiles<'a>(all: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut html = "<div class=\"tiles\">\n".to_owned();
    for (name, value) in all {
        html.push_str(&format!("<div class=\"tile\"><b>{}</b><span>{}</span></div>\n", escape(&value), escape(name)));
    }
    html.push_str("</div>\n");
    html
}
