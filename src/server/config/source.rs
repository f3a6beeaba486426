//! Where values come from: flags before the environment before the file. Each keeps its place, for the error about it.

use std::{collections::BTreeMap, fmt, path::Path};

use toml::de::{DeTable, DeValue};

use super::{
    error::{ConfigError, Problems},
    keys::{self, KEYS},
};

/// Where a value was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// On the command line, by this flag.
    Flag(String),
    /// In the environment, by this variable.
    Environment(String),
    /// In a file, on this line.
    File {
        /// The file, as it was named.
        path: String,
        /// 1 and up.
        line: usize,
    },
    /// By `--dev`.
    Dev,
    /// Nowhere.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "flag --{flag}"),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::File { path, line } => write!(f, "{path}, line {line}"),
            Self::Dev => f.write_str("--dev"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// On the command line or in the environment, where everything is a word.
    Word(String),
    /// A string in a file.
    Text(String),
    /// A number in a file, in its digits.
    Number(String),
    /// `true` or `false` in a file.
    Bool(bool),
    /// A list in a file: what each element holds, with its line.
    List(Vec<(BTreeMap<String, Value>, usize)>),
    /// Something else in a file, named by its type.
    Other(&'static str),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(text) | Self::Text(text) => write!(f, "{text:?}"),
            Self::Number(digits) => f.write_str(digits),
            Self::Bool(yes) => write!(f, "{yes}"),
            Self::List(_) => f.write_str("a list"),
            Self::Other(kind) => write!(f, "of type {kind}"),
        }
    }
}

/// All values that were given, each by its strongest source.
#[derive(Clone, Debug, Default)]
pub struct Values {
    by_key: BTreeMap<&'static str, (Value, Origin)>,
}

impl Values {
    /// The value of a key, with its place.
    pub fn get(&self, key: &str) -> Option<(&Value, &Origin)> {
        self.by_key.get(key).map(|(value, origin)| (value, origin))
    }

    /// Where the value of a key comes from.
    pub fn origin(&self, key: &str) -> Origin {
        self.by_key.get(key).map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    /// Sets one value.
    pub fn set(&mut self, key: &'static str, value: Value, origin: Origin) {
        self.by_key.insert(key, (value, origin));
    }

    /// Takes what stands in a file's text. Whatever was given before is weaker.
    ///
    /// # Errors
    /// Text that is no TOML; unknown keys, all of them.
    pub fn add_file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let path = path.display().to_string();
        let place = |offset: usize| Origin::File { path: path.clone(), line: line_of(text, offset) };
        let table = DeTable::parse(text).map_err(|error| {
            let origin = place(error.span().map_or(0, |span| span.start));
            ConfigError::new(format!("{origin}: this is not TOML: {}", error.message()))
        })?;
        let mut problems = Problems::default();
        for (name, value) in table.into_inner() {
            let origin = place(name.span().start);
            match keys::find(name.get_ref()) {
                Some(key) => {
                    self.by_key.insert(key.name, (from_toml(value.into_inner(), text), origin));
                }
                None => problems.at(&origin, name.get_ref(), unknown(name.get_ref())),
            }
        }
        problems.into_result()
    }

    /// Takes what stands in the environment. Whatever was given before is weaker. Variables that belong to no key are
    /// left alone: others share the prefix.
    pub fn add_environment(&mut self, variable: impl Fn(&str) -> Option<String>) {
        for key in KEYS {
            let name = key.variable();
            if let Some(value) = variable(&name) {
                self.by_key.insert(key.name, (Value::Word(value), Origin::Environment(name)));
            }
        }
    }

    /// Takes what stands on the command line. Whatever was given before is weaker.
    pub fn add_flags(&mut self, flag: impl Fn(&str) -> Option<String>) {
        for key in KEYS {
            if let Some(value) = flag(key.name) {
                self.by_key.insert(key.name, (Value::Word(value), Origin::Flag(key.flag())));
            }
        }
    }
}

/// What is said about a key that nobody knows.
fn unknown(name: &str) -> String {
    match keys::nearest(name) {
        Some(near) => format!("is not a known key; did you mean {near}?"),
        None => {
            let known: Vec<_> = KEYS.iter().map(|key| key.name).collect();
            format!("is not a known key; known are {}", known.join(", "))
        }
    }
}

/// The line on which this byte stands.
fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

fn from_toml(value: DeValue<'_>, text: &str) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) if number.radix() == 10 => Value::Number(number.as_str().to_owned()),
        DeValue::Boolean(yes) => Value::Bool(yes),
        DeValue::Array(elements) => {
            let mut list = Vec::new();
            for element in elements {
                let line = line_of(text, element.span().start);
                match element.into_inner() {
                    DeValue::Table(table) => list.push((fields(table, text), line)),
                    other => return Value::Other(list_of(other.type_str())),
                }
            }
            Value::List(list)
        }
        other => Value::Other(other.type_str()),
    }
}

fn fields(table: DeTable<'_>, text: &str) -> BTreeMap<String, Value> {
    table
        .into_iter()
        .map(|(name, value)| (name.into_inner().into_owned(), from_toml(value.into_inner(), text)))
        .collect()
}

/// The words for a list whose elements are no tables.
fn list_of(kind: &str) -> &'static str {
    match kind {
        "string" => "list of strings",
        "integer" => "list of numbers",
        _ => "list of something else than tables",
    }
}
