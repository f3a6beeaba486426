//! What is printed: aligned tables for people, one JSON object a line for programs.

use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Map, Value};
use tabwriter::TabWriter;

use crate::failure::Failure;

/// Where results go, and in which form.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
}

impl Output {
    /// With `json`, every result is one object on a line of its own.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether results are JSON.
    pub fn is_json(self) -> bool {
        self.json
    }

    /// Prints one object on one line.
    pub fn object(self, object: Object) -> Result<(), Failure> {
        self.line(&object.to_line())
    }

    /// Prints one line as it is.
    pub fn line(self, line: &str) -> Result<(), Failure> {
        self.bytes(format!("{line}\n").as_bytes())
    }

    /// Prints bytes as they are.
    pub fn bytes(self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| Failure::output(&error))
    }

    /// The object for programs, the line for people.
    pub fn either(self, object: impl FnOnce() -> Object, line: impl FnOnce() -> String) -> Result<(), Failure> {
        if self.json { self.object(object()) } else { self.line(&line()) }
    }

    /// Rows as objects for programs, as an aligned table for people. Without rows people get the sentence `empty` on
    /// standard error, so that a pipe gets nothing.
    pub fn rows<T>(
        self,
        rows: &[T],
        object: impl Fn(&T) -> Object,
        table: &Table<'_, T>,
        empty: &str,
    ) -> Result<(), Failure> {
        if self.json {
            return rows.iter().try_for_each(|row| self.object(object(row)));
        }
        if rows.is_empty() {
            note(empty);
            return Ok(());
        }
        self.bytes(aligned(table.header, rows.iter().map(table.row)).as_bytes())
    }

    /// Prints a failure on standard error: an object for programs, else a line and the next step.
    pub fn failure(self, failure: &Failure) {
        let text = if self.json {
            Object::new()
                .field("error", failure.reason.as_str())
                .field("message", failure.message.as_str())
                .field("next", failure.next.as_str())
                .field("exit_code", failure.code)
                .to_line()
        } else {
            format!("ringfence: {}\n  next: {}", failure.message, failure.next)
        };
        // Standard error is the last place to complain to.
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    /// Tells people on standard error what goes on. Programs (`--json`) and log files get nothing.
    pub fn progress(self, message: &str) {
        if !self.json && std::io::stderr().is_terminal() {
            note(message);
        }
    }

    /// The same on one line that is written over each time; empty: nothing is left of it.
    pub fn progress_line(self, message: &str) {
        if !self.json && std::io::stderr().is_terminal() {
            let mut err = std::io::stderr().lock();
            // To the beginning of the line, and clear it.
            let _ = write!(err, "\r\x1b[K{message}").and_then(|()| err.flush());
        }
    }
}

/// Waits until nobody reads standard output any more: `ringfence watch | head -1` shall end when `head` has, and not with
/// the next event only. Never ready where standard output is a file.
pub async fn reader_gone() {
    let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
    // A thread of its own: one that polls can't be stopped, and the runtime would wait for one of its own at the end.
    std::thread::spawn(move || {
        let stdout = std::io::stdout();
        // An error and a hang-up are told without being asked for.
        let mut watched = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
        while poll(&mut watched, PollTimeout::NONE) == Err(Errno::EINTR) {}
        drop(sender);
    });
    let _ = receiver.await;
}

/// How rows of one kind look in a table.
pub struct Table<'a, T> {
    /// Column titles.
    pub header: &'a [&'a str],
    /// The cells of one row, as many as titles.
    pub row: fn(&T) -> Vec<String>,
}

fn note(message: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{message}");
}

/// Lines of cells under a header (none if it is empty), in columns two spaces apart. Cells must not hold tabs or line
/// ends; [`escape`] removes them.
pub fn aligned(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let header = (!header.is_empty()).then(|| header.join("\t"));
    let text =
        header.into_iter().chain(rows.map(|row| row.join("\t"))).fold(String::new(), |text, line| text + &line + "\n");
    let mut writer = TabWriter::new(Vec::new()).padding(2).minwidth(0);
    let written = writer.write_all(text.as_bytes()).and_then(|()| writer.flush());
    let aligned = match (written, writer.into_inner()) {
        (Ok(()), Ok(bytes)) => String::from_utf8(bytes).unwrap_or(text),
        _ => text,
    };
    aligned.lines().fold(String::with_capacity(aligned.len()), |mut all, line| {
        all.push_str(line.trim_end());
        all.push('\n');
        all
    })
}

/// One JSON object; its fields keep the order in which they were set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Object(Map<String, Value>);

impl Object {
    /// An empty object.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a field.
    pub fn field(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// Sets `name` to a string if the bytes are UTF-8, else `name_base64`.
    pub fn bytes(self, name: &str, bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.field(name, text),
            Err(_) => self.field(&format!("{name}_base64"), STANDARD.encode(bytes)),
        }
    }

    /// Sets a list of objects.
    pub fn list(self, name: &str, items: impl Iterator<Item = Object>) -> Self {
        self.field(name, items.map(Value::from).collect::<Vec<_>>())
    }

    /// All on one line.
    pub fn to_line(&self) -> String {
        // Maps with string keys always serialize.
        serde_json::to_string(&self.0).unwrap_or_default()
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object.0)
    }
}

/// A session's id as in claim keys: sixteen lower-case hex digits.
pub fn session_hex(id: u64) -> String {
    format!("{id:016x}")
}

/// A session's id for JSON, null where there is none: a string, since numbers above 2^53 are cut by many readers.
pub fn session_or_null(id: u64) -> Value {
    if id == 0 { Value::Null } else { Value::String(session_hex(id)) }
}

/// A session's id for a table, `-` where there is none.
pub fn session_or_dash(id: u64) -> String {
    if id == 0 { "-".to_owned() } else { session_hex(id) }
}

/// The wall clock for people: `2026-01-31T12:00:00Z`, `-` for 0.
pub fn wall_time(ms: u64) -> String {
    if ms == 0 {
        return "-".to_owned();
    }
    let time = std::time::UNIX_EPOCH.checked_add(std::time::Duration::from_millis(ms));
    match time {
        // Later than the year 9999 the formatter gives up, and so do people.
        Some(time) if ms < 253_402_300_800_000 => humantime::format_rfc3339_seconds(time).to_string(),
        _ => format!("{ms}ms"),
    }
}

/// A duration in milliseconds for people: `1m 30s`.
pub fn duration(ms: u64) -> String {
    humantime::format_duration(std::time::Duration::from_millis(ms)).to_string()
}

/// Bytes for people: `512B`, `1.5MiB`.
pub fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{bytes}B") } else { format!("{value:.1}{unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1}TiB")
}

/// Bytes for a terminal: printable text stays; control characters, backslashes and what isn't UTF-8 are written as the
/// escapes that `kv txn` reads inside quotes.
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' | '\'' => text.push(character),
                other => text.extend(other.escape_debug()),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printable_text_stays_and_the_rest_is_escaped() {
        assert_eq!(escape("größe=\"1\" it's".as_bytes()), "größe=\"1\" it's");
        assert_eq!(escape(b"a\tb\nc\\d\x1b[0m"), "a\\tb\\nc\\\\d\\u{1b}[0m");
        assert_eq!(escape(&[b'k', 0xff, 0x00, b'z']), "k\\xff\\0z");
        assert_eq!(escape("\u{202e}evil".as_bytes()), "\\u{202e}evil", "direction marks can't reorder a line");
    }

    #[test]
    fn bytes_are_text_where_they_can_be() {
        let object = Object::new().bytes("key", b"a\"b").bytes("value", &[0xff]).field("revision", 7);
        assert_eq!(object.to_line(), r#"{"key":"a\"b","value_base64":"/w==","revision":7}"#);
    }

    #[test]
    fn columns_line_up_and_lines_end_clean() {
        let rows = [vec!["a".to_owned(), "1".to_owned()], vec!["longer".to_owned(), String::new()]];
        assert_eq!(aligned(&["KEY", "REV"], rows.into_iter()), "KEY     REV\na       1\nlonger\n");
    }

    #[test]
    fn wide_letters_are_counted_by_columns() {
        let rows = [vec!["größe".to_owned(), "1".to_owned()]];
        assert_eq!(aligned(&["KEY", "REV"], rows.into_iter()), "KEY    REV\ngröße  1\n");
    }

    #[test]
    fn sizes_read_well() {
        assert_eq!(size(0), "0B");
        assert_eq!(size(1023), "1023B");
        assert_eq!(size(1536 * 1024), "1.5MiB");
        assert_eq!(size(5 << 40), "5.0TiB");
    }

    #[test]
    fn ids_and_times_read_well() {
        assert_eq!(session_hex(0x1f), "000000000000001f");
        assert_eq!(session_or_null(0), Value::Null);
        assert_eq!(session_or_dash(0), "-");
        assert_eq!(wall_time(0), "-");
        assert_eq!(wall_time(1_769_860_800_000), "2026-01-31T12:00:00Z");
        assert_eq!(wall_time(u64::MAX), format!("{}ms", u64::MAX));
        assert_eq!(duration(90_000), "1m 30s");
    }
}
