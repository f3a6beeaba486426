//! What the command line asks for.

use anyhow::{Context, Result, bail};

/// Times when the command line names no number.
const TIMES: usize = 30;
const TIMES_MAX: usize = 10_000;
const MINUTES_MAX: u64 = 7 * 24 * 60;

/// How the others lose whoever leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Killed,
    Stopped,
    CutOff,
}

#[derive(Clone, Debug)]
pub struct Arguments {
    pub how: How,
    pub times: usize,
    pub tight: bool,
    pub json: bool,
    /// Nobody is lost: full load for so many minutes.
    pub undisturbed: Option<u64>,
    /// The name of this run, in those of its networks.
    pub name: String,
    /// Only take away what the run of this name has left.
    pub clean: bool,
}

impl Arguments {
    pub fn read(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut read = Self {
            how: How::Killed,
            times: TIMES,
            tight: false,
            json: false,
            undisturbed: None,
            name: format!("{:x}", std::process::id()),
            clean: false,
        };
        let mut ways = Vec::new();
        while let Some(word) = words.next() {
            match (word.as_str(), word.parse()) {
                ("--json", _) => read.json = true,
                ("--tight", _) => read.tight = true,
                ("--stop", _) => ways.push(How::Stopped),
                ("--partition", _) => ways.push(How::CutOff),
                ("--undisturbed", _) => {
                    let minutes = words.next().and_then(|minutes| minutes.parse().ok());
                    let minutes = minutes.filter(|minutes| (1..=MINUTES_MAX).contains(minutes));
                    read.undisturbed =
                        Some(minutes.with_context(|| format!("--undisturbed needs minutes, from 1 to {MINUTES_MAX}"))?);
                }
                ("--name", _) => read.name = words.next().context("--name needs a name")?,
                ("--clean", _) => read.clean = true,
                (_, Ok(number @ 1..=TIMES_MAX)) => read.times = number,
                _ => bail!("{word} isn't understood; scripts/failover -h says what is"),
            }
        }
        match (ways.as_slice(), read.undisturbed) {
            ([], _) => {}
            ([how], None) => read.how = *how,
            _ => bail!("--stop, --partition and --undisturbed exclude each other"),
        }
        Ok(read)
    }

    /// As it is told in lines of JSON.
    pub fn settings(&self) -> &'static str {
        match (self.how, self.tight) {
            (How::Killed, false) => "default",
            (How::Killed, true) => "tight",
            (How::Stopped, false) => "asked to stop",
            (How::Stopped, true) => "asked to stop, tight",
            (How::CutOff, false) => "partition",
            (How::CutOff, true) => "partition, tight",
        }
    }
}
