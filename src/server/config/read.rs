//! Reads values by their types: what a key takes, and what it says to anything else.

use std::{collections::BTreeMap, net::SocketAddr, ops::RangeInclusive, path::PathBuf};

use tracing_subscriber::EnvFilter;

use super::{
    LogFormat, address,
    error::Problems,
    source::{Origin, Value, Values},
};
use crate::{raft::Member, tls::TlsFiles};

/// Largest node id: ids fit into signed 64 bits.
pub const NODE_ID_MAX: u64 = i64::MAX as u64;

/// Reads typed values, and notes what is wrong with them. A wrong value reads as if it weren't there.
pub struct Reader<'a> {
    /// What was given.
    pub values: &'a Values,
    /// What was found wrong.
    pub problems: Problems,
}

impl<'a> Reader<'a> {
    /// For these values.
    pub fn new(values: &'a Values) -> Self {
        Self { values, problems: Problems::default() }
    }

    /// Notes that a key must be given.
    pub fn missing(&mut self, key: &str, what: &str) {
        let variable = format!("RINGFENCE_{}", key.to_ascii_uppercase());
        let flag = key.replace('_', "-");
        self.problems
            .general(format!("{key} is missing; it must be {what} (in the file, by --{flag}, or in {variable})"));
    }

    /// Notes that a value isn't acceptable.
    pub fn bad(&mut self, key: &str, what: impl std::fmt::Display) {
        self.problems.at(&self.values.origin(key), key, what);
    }

    fn wrong(&mut self, key: &str, value: &Value, origin: &Origin, wanted: &str) {
        self.problems.at(origin, key, format!("is {value}; it must be {wanted}"));
    }

    /// A text.
    pub fn text(&mut self, key: &str, wanted: &str) -> Option<&'a str> {
        let (value, origin) = self.values.get(key)?;
        match value {
            Value::Word(text) | Value::Text(text) if !text.is_empty() => Some(text),
            _ => {
                self.wrong(key, value, origin, wanted);
                None
            }
        }
    }

    /// A whole number within a range.
    pub fn number(&mut self, key: &str, range: RangeInclusive<u64>, unit: &str) -> Option<u64> {
        let (value, origin) = self.values.get(key)?;
        if let Value::Word(digits) | Value::Number(digits) = value
            && let Ok(number) = digits.parse::<u64>()
            && range.contains(&number)
        {
            return Some(number);
        }
        let quotes = if matches!(value, Value::Text(_)) { ", without quotes" } else { "" };
        let wanted = format!("a whole number{unit} from {} to {}{quotes}", range.start(), range.end());
        self.wrong(key, value, origin, &wanted);
        None
    }

    /// Yes or no.
    pub fn flag(&mut self, key: &str) -> Option<bool> {
        let (value, origin) = self.values.get(key)?;
        match value {
            Value::Bool(yes) => Some(*yes),
            Value::Word(word) if word == "true" => Some(true),
            Value::Word(word) if word == "false" => Some(false),
            _ => {
                self.wrong(key, value, origin, "true or false");
                None
            }
        }
    }

    /// An address to listen on.
    pub fn listen(&mut self, key: &str) -> Option<SocketAddr> {
        const FORM: &str =
            "an IP address and a port from 1 to 65535, such as 127.0.0.1:7601, 0.0.0.0:7601 or [::]:7601";
        let text = self.text(key, FORM)?;
        match text.parse::<SocketAddr>() {
            Ok(listen) if listen.port() != 0 => Some(listen),
            _ => {
                self.bad(key, format!("is {text:?}; it must be {FORM}"));
                None
            }
        }
    }

    /// An address that is given to others.
    pub fn address(&mut self, key: &str) -> Option<String> {
        let text = self.text(key, "host:port, such as node1.example.org:7601")?;
        match address::check(text) {
            Ok(()) => Some(text.to_owned()),
            Err(why) => {
                self.bad(key, format!("is {text:?}, which {why}"));
                None
            }
        }
    }

    /// The cluster's name.
    pub fn cluster(&mut self) -> Option<String> {
        const FORM: &str = "a name of 1 to 64 letters, digits, dots, dashes and underscores";
        let name = self.text("cluster", FORM)?;
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if name.len() > 64 || !name.bytes().all(known) {
            self.bad("cluster", format!("is {name:?}; it must be {FORM}"));
            return None;
        }
        Some(name.to_owned())
    }

    /// The data directory.
    pub fn data_dir(&mut self) -> Option<PathBuf> {
        self.text("data_dir", "a directory").map(PathBuf::from)
    }

    /// The files of a port's TLS, of the keys `client_tls_…` or `peer_tls_…`: certificate and key together, and the CA, too, where it
    /// isn't left to choose.
    pub fn tls(&mut self, port: &str, with_ca: bool) -> Option<TlsFiles> {
        let keys = ["cert", "key", "ca"].map(|part| format!("{port}_tls_{part}"));
        let given = keys.each_ref().map(|key| self.values.get(key).is_some());
        if given == [false; 3] {
            return None;
        }
        let needed = [true, true, with_ca];
        for (key, (given, needed)) in keys.iter().zip(given.into_iter().zip(needed)) {
            if needed && !given {
                let group = if with_ca { keys.join(", ") } else { format!("{} and {}", keys[0], keys[1]) };
                self.missing(key, &format!("a file: {group} belong together, so that {port}s get TLS or none"));
            }
        }
        let [cert, key, ca] = keys.each_ref().map(|key| self.text(key, "the name of a file").map(PathBuf::from));
        Some(TlsFiles { cert: cert?, key: key?, ca })
    }

    /// The form of the logs.
    pub fn log_format(&mut self) -> Option<LogFormat> {
        match self.text("log_format", "\"text\" or \"json\"")? {
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            other => {
                self.bad("log_format", format!("is {other:?}; it must be \"text\" or \"json\""));
                None
            }
        }
    }

    /// What is logged.
    pub fn log_level(&mut self) -> Option<String> {
        const FORM: &str = "error, warn, info, debug, trace, off, or directives such as info,ringfence_server=debug";
        let level = self.text("log_level", FORM)?;
        // A lone word that is no level would be taken for a module's name, and nothing would be logged.
        let lone = level.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let known = ["error", "warn", "info", "debug", "trace", "off"].contains(&level.to_ascii_lowercase().as_str());
        if (lone && !known) || EnvFilter::try_new(level).is_err() {
            self.bad("log_level", format!("is {level:?}; it must be {FORM}"));
            return None;
        }
        Some(level.to_owned())
    }

    /// Who founds the cluster: in a file a list of tables, elsewhere `1=client/peer,2=client/peer`.
    pub fn members(&mut self) -> Option<Vec<Member>> {
        let (value, origin) = self.values.get("members")?;
        match value {
            Value::List(list) => {
                let mut members = Vec::new();
                for (fields, line) in list {
                    let place = match origin {
                        Origin::File { path, .. } => Origin::File { path: path.clone(), line: *line },
                        other => other.clone(),
                    };
                    members.push(self.member_of_table(fields, &place));
                }
                members.into_iter().collect()
            }
            Value::Word(word) => {
                let members: Vec<_> = word.split(',').map(|one| self.member_of_word(one.trim(), origin)).collect();
                members.into_iter().collect()
            }
            _ => {
                let wanted = "a list of tables, each [[members]] with id, client_address and peer_address";
                self.wrong("members", value, origin, wanted);
                None
            }
        }
    }

    fn member_of_table(&mut self, fields: &BTreeMap<String, Value>, place: &Origin) -> Option<Member> {
        let mut good = true;
        for name in fields.keys() {
            if !["id", "client_address", "peer_address"].contains(&name.as_str()) {
                let what = format!("has the unknown key {name}; known are id, client_address and peer_address");
                self.problems.at(place, "members", what);
                good = false;
            }
        }
        let text = |name| match fields.get(name) {
            Some(Value::Text(text)) => text.clone(),
            Some(Value::Number(digits)) => digits.clone(),
            _ => String::new(),
        };
        let member = self.member(&text("id"), &text("client_address"), &text("peer_address"), place);
        member.filter(|_| good)
    }

    fn member_of_word(&mut self, word: &str, place: &Origin) -> Option<Member> {
        let parts = word.split_once('=').and_then(|(id, rest)| Some((id, rest.split_once('/')?)));
        let Some((id, (client, peer))) = parts else {
            let what = format!(
                "has {word:?}; each must be id=client address/peer address, such as 1=10.0.0.1:7601/10.0.0.1:7611"
            );
            self.problems.at(place, "members", what);
            return None;
        };
        self.member(id, client, peer, place)
    }

    fn member(&mut self, id: &str, client: &str, peer: &str, place: &Origin) -> Option<Member> {
        let number = id.parse::<u64>().ok().filter(|id| (1..=NODE_ID_MAX).contains(id));
        let mut good = true;
        if number.is_none() {
            let what = format!("has {id:?} for an id; it must be a whole number from 1 to {NODE_ID_MAX}");
            self.problems.at(place, "members", what);
            good = false;
        }
        for (what, address) in [("client_address", client), ("peer_address", peer)] {
            if let Err(why) = address::check(address) {
                self.problems.at(place, "members", format!("has {address:?} for a {what}, which {why}"));
                good = false;
            }
        }
        let member =
            Member { id: number?, client_address: client.to_owned(), peer_address: peer.to_owned(), voter: true };
        good.then_some(member)
    }
}
