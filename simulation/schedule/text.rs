//! A schedule as a file: a setting or a fault a line, `#` before remarks.
//!
//! ```text
//! seed 7
//! servers 3
//! 1 at 1250 kill whom=leader kept=nothing down_ms=800
//! 2 on entries-written 3 after 0 alone whom=there clients=none ms=2000
//! ```

use std::{fmt, str::FromStr};

use ringfence_probes::hooks::Happening;

use super::{Fault, Profile, Schedule, Timed, When, faults::Parts};

/// All to which a fault can be tied.
pub const HAPPENINGS: &[Happening] = &[
    Happening::VoteWritten,
    Happening::EntriesWritten,
    Happening::EntriesSynced,
    Happening::Granted,
    Happening::SnapshotHalfReceived,
    Happening::SnapshotReceived,
    Happening::MembersProposed,
    Happening::VotersHalfChanged,
    Happening::Led,
];

/// Its name in a file: `VoteWritten` is `vote-written`.
fn happening_name(happening: Happening) -> String {
    let mut name = String::new();
    for letter in format!("{happening:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            When::At(ms) => write!(f, "at {ms}"),
            When::On { happening, nth, delay_ms } => {
                write!(f, "on {} {nth} after {delay_ms}", happening_name(*happening))
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind())?;
        self.parts().into_iter().try_for_each(|(name, word)| write!(f, " {name}={word}"))
    }
}

impl fmt::Display for Timed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Timed { id, when, fault } = self;
        write!(f, "{id} {when} {fault}")
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "profile {}", self.profile.name())?;
        for (name, value) in self.numbers() {
            writeln!(f, "{name} {value}")?;
        }
        self.faults.iter().try_for_each(|timed| writeln!(f, "{timed}"))
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words[..] {
            ["at", ms] => Ok(When::At(number(ms)?)),
            ["on", name, nth, "after", delay] => {
                let known = HAPPENINGS.iter().find(|happening| happening_name(**happening) == name);
                let happening = *known.ok_or_else(|| format!("`{name}` is nothing that happens"))?;
                Ok(When::On { happening, nth: number(nth)?, delay_ms: number(delay)? })
            }
            _ => Err(format!("`{text}` is no moment: `at MS` or `on WHAT NTH after MS`")),
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let kind = words.next().ok_or("no fault")?;
        let parts = words.map(|word| word.split_once('=').ok_or_else(|| format!("`{word}` is not NAME=VALUE")));
        let mut parts = Parts(parts.collect::<Result<_, _>>()?);
        let fault = Fault::from_parts(kind, &mut parts)?;
        match parts.0.first() {
            Some((name, _)) => Err(format!("{kind} has no `{name}`")),
            None => Ok(fault),
        }
    }
}

impl FromStr for Timed {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let mut words = line.split_whitespace();
        let id = number(words.next().unwrap_or_default())?;
        let words: Vec<&str> = words.collect();
        // A moment has two words or five.
        let moment = if words.first() == Some(&"on") { 5 } else { 2 };
        let (when, fault) = words.split_at(moment.min(words.len()));
        Ok(Timed { id, when: when.join(" ").parse()?, fault: fault.join(" ").parse()? })
    }
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut schedule = Schedule::quiet(0, Profile::Calm);
        for (place, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() {
                schedule.line(line).map_err(|why| format!("line {}: {why}", place + 1))?;
            }
        }
        Ok(schedule)
    }
}

impl Schedule {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if line.starts_with(|first: char| first.is_ascii_digit()) {
            self.faults.push(line.parse()?);
            return Ok(());
        }
        let (name, value) = line.split_once(' ').ok_or_else(|| format!("`{name}` has no value", name = line))?;
        let value = value.trim();
        match name {
            "profile" => self.profile = value.parse()?,
            "seed" => self.seed = number(value)?,
            "servers" => self.servers = number(value)?,
            "clients" => self.clients = number(value)?,
            "seconds" => self.seconds = number(value)?,
            "heartbeat_ms" => self.heartbeat_ms = number(value)?,
            "election_ms" => self.election_ms = number(value)?,
            "snapshot_entries" => self.snapshot_entries = number(value)?,
            "keep_entries" => self.keep_entries = number(value)?,
            "sync_us" => self.sync_us = number(value)?,
            _ => return Err(format!("`{name}` is no setting")),
        }
        Ok(())
    }

    /// The settings that are numbers, with their names.
    fn numbers(&self) -> [(&'static str, u64); 9] {
        [
            ("seed", self.seed),
            ("servers", self.servers.into()),
            ("clients", self.clients.into()),
            ("seconds", self.seconds.into()),
            ("heartbeat_ms", self.heartbeat_ms),
            ("election_ms", self.election_ms),
            ("snapshot_entries", self.snapshot_entries),
            ("keep_entries", self.keep_entries),
            ("sync_us", self.sync_us),
        ]
    }
}

fn number<T: FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("`{word}` is no number of the right size"))
}
