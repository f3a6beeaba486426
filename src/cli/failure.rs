//! Failures as people and scripts see them: one line that says what, one that says what to do next, an exit code.

use crate::exit;

/// Why the program ends without having done what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// One of [`crate::exit`].
    pub code: u8,
    /// A stable upper-case name, for `--json`.
    pub reason: String,
    /// One line.
    pub message: String,
    /// What the reader can do now.
    pub next: String,
}

impl Failure {
    /// A failure with this exit code, stable name and message, and the next step that fits the code.
    pub fn new(code: u8, reason: &str, message: impl Into<String>) -> Self {
        Self { code, reason: reason.to_owned(), message: message.into(), next: usual_step(code).to_owned() }
    }

    /// The command line or the input is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(exit::USAGE, "USAGE", message)
    }

    /// The answer is no.
    pub fn no(reason: &str, message: impl Into<String>) -> Self {
        Self::new(exit::NO, reason, message)
    }

    /// Input or output failed.
    pub fn io(what: &str, error: &std::io::Error) -> Self {
        Self::new(exit::IO, "IO", format!("{what}: {error}"))
    }

    /// The same with a next step that fits better.
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = next.into();
        self
    }

    /// Nobody reads standard output any more. No fault of this program: it ends without a word.
    pub fn is_closed_output(&self) -> bool {
        self.reason == CLOSED_OUTPUT
    }

    /// Standard output failed.
    pub fn output(error: &std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::new(exit::DONE, CLOSED_OUTPUT, "standard output was closed");
        }
        Self::io("standard output", error)
    }
}

/// What can be done where nothing more is known than the exit code.
fn usual_step(code: u8) -> &'static str {
    match code {
        exit::USAGE => "`ringfence help NOUN VERB` shows the forms, with examples",
        exit::IO => "check that the file or the pipe is there, may be used, and has room",
        exit::INTERNAL => "please report it, with the command and what `ringfence cluster status` prints",
        _ => "`ringfence cluster status` shows how the cluster is, `ringfence exit-codes` what the exit code means",
    }
}

const CLOSED_OUTPUT: &str = "CLOSED_OUTPUT";
