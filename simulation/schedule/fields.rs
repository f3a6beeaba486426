//! What a fault is made of: each part can be shown, read back, and made smaller.

use std::fmt::Write;

/// A part of a fault.
pub trait Field: Sized {
    /// As it stands in a file: one word, without spaces.
    fn show(&self) -> String;

    /// What [`Field::show`] wrote.
    ///
    /// # Errors
    /// What was expected instead.
    fn read(word: &str) -> Result<Self, String>;

    /// Something of the same kind that does less; `None` if there is nothing less.
    fn smaller(&self) -> Option<Self> {
        None
    }
}

/// A duration in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ms(pub u64);

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whom {
    /// The one with this id.
    Server(u64),
    /// Whoever leads at the moment.
    Leader,
    /// Among those that don't lead, the one at this place in order of their ids, from 1.
    Follower(u8),
    /// Where that happened to which the fault is tied.
    There,
}

impl Whom {
    /// The one that is meant among these servers, which are in order of their ids; `None` if there is none.
    #[must_use]
    pub fn among(self, servers: &[u64], leader: Option<u64>, there: Option<u64>) -> Option<u64> {
        match self {
            Self::Server(id) => servers.contains(&id).then_some(id),
            Self::Leader => leader,
            Self::Follower(place) => {
                let mut followers = servers.iter().copied().filter(|id| Some(*id) != leader);
                followers.nth(usize::from(place.max(1)) - 1)
            }
            Self::There => there.filter(|id| servers.contains(id)),
        }
    }
}

/// A machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    /// A server's, by its id.
    Server(u64),
    /// A client's, by its number.
    Client(u32),
}

/// What a power cut leaves of the writes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    /// Nothing.
    Nothing,
    /// The first so many.
    Writes(u32),
    /// All.
    All,
}

/// Whose messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Of {
    /// Between servers.
    Raft,
    /// Of clients.
    Calls,
    /// All.
    Both,
}

fn number<T: std::str::FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("`{word}` is no number of the right size"))
}

/// Half of it, down to 1.
fn half(number: u64) -> Option<u64> {
    (number > 1).then_some(number / 2)
}

impl Field for Ms {
    fn show(&self) -> String {
        self.0.to_string()
    }

    fn read(word: &str) -> Result<Self, String> {
        number(word).map(Self)
    }

    fn smaller(&self) -> Option<Self> {
        half(self.0).map(Self)
    }
}

impl Field for u64 {
    fn show(&self) -> String {
        self.to_string()
    }

    fn read(word: &str) -> Result<Self, String> {
        number(word)
    }
}

impl Field for u32 {
    fn show(&self) -> String {
        self.to_string()
    }

    fn read(word: &str) -> Result<Self, String> {
        number(word)
    }
}

impl Field for i64 {
    fn show(&self) -> String {
        self.to_string()
    }

    fn read(word: &str) -> Result<Self, String> {
        number(word)
    }
}

impl Field for Whom {
    fn show(&self) -> String {
        match self {
            Whom::Server(id) => id.to_string(),
            Whom::Leader => "leader".to_owned(),
            Whom::Follower(place) => format!("follower-{place}"),
            Whom::There => "there".to_owned(),
        }
    }

    fn read(word: &str) -> Result<Self, String> {
        match word {
            "leader" => Ok(Whom::Leader),
            "there" => Ok(Whom::There),
            word => match word.strip_prefix("follower-") {
                Some(place) => number(place).map(Whom::Follower),
                None => number(word)
                    .map(Whom::Server)
                    .map_err(|_| format!("`{word}` is no server: an id, leader, follower-N or there")),
            },
        }
    }
}

impl Field for Node {
    fn show(&self) -> String {
        match self {
            Node::Server(id) => format!("s{id}"),
            Node::Client(machine) => format!("c{machine}"),
        }
    }

    fn read(word: &str) -> Result<Self, String> {
        match (word.strip_prefix('s'), word.strip_prefix('c')) {
            (Some(id), _) => number(id).map(Node::Server),
            (_, Some(machine)) => number(machine).map(Node::Client),
            _ => Err(format!("`{word}` is no machine: sID for a server, cNUMBER for a client")),
        }
    }
}

impl Field for Kept {
    fn show(&self) -> String {
        match self {
            Kept::Nothing => "nothing".to_owned(),
            Kept::Writes(writes) => writes.to_string(),
            Kept::All => "all".to_owned(),
        }
    }

    fn read(word: &str) -> Result<Self, String> {
        match word {
            "nothing" => Ok(Kept::Nothing),
            "all" => Ok(Kept::All),
            writes => number(writes).map(Kept::Writes),
        }
    }
}

impl Field for Of {
    fn show(&self) -> String {
        match self {
            Of::Raft => "raft",
            Of::Calls => "calls",
            Of::Both => "both",
        }
        .to_owned()
    }

    fn read(word: &str) -> Result<Self, String> {
        match word {
            "raft" => Ok(Of::Raft),
            "calls" => Ok(Of::Calls),
            "both" => Ok(Of::Both),
            _ => Err(format!("`{word}` is no kind of messages: raft, calls or both")),
        }
    }
}

/// In order, with commas; `none` for an empty list.
impl<T: Field> Field for Vec<T> {
    fn show(&self) -> String {
        let mut words = String::new();
        for part in self {
            let comma = if words.is_empty() { "" } else { "," };
            // Writing to a string can't fail.
            let _ = write!(words, "{comma}{}", part.show());
        }
        if words.is_empty() { "none".to_owned() } else { words }
    }

    fn read(word: &str) -> Result<Self, String> {
        match word {
            "none" => Ok(Vec::new()),
            words => words.split(',').map(T::read).collect(),
        }
    }
}
