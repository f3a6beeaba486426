//! Each seed in two processes, compared step by step.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The first step that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its line in both traces, from 1.
    pub line: u64,
    /// What the first process did; `None`: it was at its end.
    pub first: Option<String>,
    /// What the second one did.
    pub second: Option<String>,
}

/// Runs this program twice with the arguments of a seed, and compares the traces. Gives how many steps they have in common, if all.
///
/// # Errors
/// If a process can't be run, or a trace can't be read.
pub fn compare(seed: u64, arguments: &[String]) -> io::Result<Result<u64, Difference>> {
    let paths = ["first", "second"].map(|which| file(seed, which));
    let ran = both(seed, arguments, &paths).and_then(|()| first_difference(&paths[0], &paths[1]));
    for path in &paths {
        // What can't be removed is in a directory for such.
        let _ = std::fs::remove_file(path);
    }
    ran
}

fn file(seed: u64, which: &str) -> PathBuf {
    std::env::temp_dir().join(format!("ringfence-simulation-{}-{seed}-{which}.trace", std::process::id()))
}

fn both(seed: u64, arguments: &[String], paths: &[PathBuf; 2]) -> io::Result<()> {
    let program = std::env::current_exe()?;
    let start = |path: &Path| {
        Command::new(&program)
            .args(["--seed", &seed.to_string(), "--trace-to"])
            .arg(path)
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    };
    let mut processes = [start(&paths[0])?, start(&paths[1])?];
    // A seed that fails is compared like one that passes.
    processes.iter_mut().try_for_each(|process| process.wait().map(drop))
}

/// Reads two traces side by side.
///
/// # Errors
/// If one can't be read.
pub fn first_difference(first: &Path, second: &Path) -> io::Result<Result<u64, Difference>> {
    let open = |path| File::open(path).map(|file| BufReader::new(file).lines());
    let (mut first, mut second) = (open(first)?, open(second)?);
    let mut line = 0;
    loop {
        let (one, other) = (first.next().transpose()?, second.next().transpose()?);
        if one != other {
            return Ok(Err(Difference { line: line + 1, first: one, second: other }));
        }
        if one.is_none() {
            return Ok(Ok(line));
        }
        line += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(first: &str, second: &str) -> Result<u64, Difference> {
        let place = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| {
            let path = place.path().join(name);
            std::fs::write(&path, text).expect("a file");
            path
        };
        first_difference(&write("first", first), &write("second", second)).expect("both are read")
    }

    #[test]
    fn the_first_line_that_differs_is_found() {
        assert_eq!(compared("a\nb\n", "a\nb\n"), Ok(2));
        let words = |word: &str| Some(word.to_owned());
        assert_eq!(
            compared("a\nb\nd\n", "a\nc\nd\n"),
            Err(Difference { line: 2, first: words("b"), second: words("c") })
        );
        assert_eq!(compared("a\n", "a\nb\n"), Err(Difference { line: 2, first: None, second: words("b") }));
    }
}
