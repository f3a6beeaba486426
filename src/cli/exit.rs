//! Exit codes: what a script can tell apart without reading a message.

/// Done; for `run` commands the command's own 0.
pub const DONE: u8 = 0;
/// The cluster understood the request and refused it.
pub const REFUSED: u8 = 1;
/// The command line, or what was read from standard input, is wrong.
pub const USAGE: u8 = 2;
/// The answer is no: the key, session, member or leader asked for isn't there, a comparison doesn't hold, a backup is
/// damaged.
pub const NO: u8 = 3;
/// No member answered in time, or the cluster has no leader.
pub const UNAVAILABLE: u8 = 69;
/// The cluster, or this program, did what it should never do.
pub const INTERNAL: u8 = 70;
/// A file, standard input or standard output failed.
pub const IO: u8 = 71;
/// The lock or the leadership was not granted within the wait.
pub const NOT_GRANTED: u8 = 74;
/// The lock or the leadership was lost while it was needed.
pub const LOST: u8 = 75;
/// A write was sent, and no answer came: it may or may not have been done.
pub const UNKNOWN: u8 = 76;
/// The command of `run` exists and can't be executed.
pub const NOT_EXECUTABLE: u8 = 126;
/// The command of `run` was not found.
pub const NOT_FOUND: u8 = 127;
/// Added to the number of the signal that ended the command, or this program.
pub const SIGNALLED: u8 = 128;

/// The codes with what they mean, for `ringfence exit-codes` and for the manual.
pub const TABLE: &[(&str, &str)] = &[
    ("0", "done (for `run`: the command ended with 0)"),
    ("1", "refused: the cluster understood the request and will not do it; the message says why"),
    ("2", "usage: the command line or the input is wrong"),
    ("3", "no: what was asked for is absent, a comparison (--if, --holds) doesn't hold, or a backup is damaged"),
    ("69", "unavailable: no member answered within --timeout, or the cluster has no leader"),
    ("70", "internal: an answer that makes no sense"),
    ("71", "input/output: a file, standard input or standard output failed"),
    ("74", "not granted: the lock or the leadership was not free within --wait"),
    ("75", "lost: the lock or the leadership ended while it was held; the command was stopped"),
    ("76", "unknown: a write was sent and no answer came; it may or may not have been done"),
    ("126", "the command after `--` can't be executed"),
    ("127", "the command after `--` was not found"),
    ("128+N", "the command after `--`, or the wait for it, was ended by signal N (130: Ctrl-C, 143: TERM)"),
    ("other", "the exit code of the command after `--`"),
];

/// The table as text.
pub fn help() -> String {
    TABLE.iter().fold("Exit codes:\n".to_owned(), |text, (code, meaning)| text + &format!("  {code:<6} {meaning}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_lists_the_same_codes_in_the_same_words() {
        let manual = include_str!("../../docs/cli.md");
        let plain = manual.replace('`', "");
        for (code, meaning) in TABLE.iter().filter(|(code, _)| !["126", "127"].contains(code)) {
            let row = format!("| {code} | {} |", meaning.replace('`', ""));
            assert!(plain.contains(&row), "docs/cli.md lacks the row {row}");
        }
    }
}
