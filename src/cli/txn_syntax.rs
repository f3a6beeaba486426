//! Transactions as the shell writes them: one comparison or operation in each argument.
//!
//! ```text
//! comparison = function "(" key ")" [ relation operand ]
//! function   = version | create | mod | session | value | holds | exists | absent
//! relation   = "=" | "!=" | "<" | ">"
//! operation  = put key value { session=ID | sequential | prev }
//!            | get key | list prefix { keys-only | count | limit=N } | delete key { prefix | prev }
//! word       = bare text | "text with \n \t \r \0 \" \' \\ \xNN \u{N}" | 'text as it is'
//! ```
//!
//! Both this form and JSON ([`crate::txn_json`]) end in the client's [`Txn`].

use ringfence_client::{Compare, CompareNumber, DeleteOptions, GetOptions, Op, PutOptions, Txn};

use crate::args;

/// Why a comparison or an operation can't be read. Columns count characters from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// Nothing there.
    #[error("is empty")]
    Empty,
    /// A quote that is never closed.
    #[error("the quote opened at column {0} is not closed")]
    OpenQuote(usize),
    /// An escape that means nothing.
    #[error("unknown escape at column {0}; \\n \\t \\r \\0 \\\" \\' \\\\ \\xNN \\u{{N}} are known")]
    Escape(usize),
    /// Text right after a closing quote.
    #[error("a blank or the end is expected after the quote, at column {0}")]
    AfterQuote(usize),
    /// No function that compares.
    #[error("`{0}` compares nothing; value, version, create, mod, session, holds, exists and absent do")]
    Function(String),
    /// Brackets are missing or wrong.
    #[error("`{function}` wants its {what} in brackets: {function}({what})")]
    Brackets {
        /// The function.
        function: String,
        /// Key, or name of a lock.
        what: &'static str,
    },
    /// A relation is missing or unknown.
    #[error("after `{0}(…)` one of = != < > is expected")]
    Relation(String),
    /// `holds` only knows equality.
    #[error("holds(…) takes = only: the token owns the lock, or it doesn't")]
    HoldsRelation,
    /// `exists` and `absent` take no operand.
    #[error("`{0}(…)` stands alone, without a relation")]
    StandsAlone(String),
    /// The operand is no number.
    #[error("`{0}` is not a number from 0 to 18446744073709551615")]
    Number(String),
    /// The operand is no session's id.
    #[error("`{0}` is not a session's id; write its hex digits, or 0 for none")]
    Session(String),
    /// No such operation.
    #[error("`{0}` is no operation; put, get, list and delete are")]
    Operation(String),
    /// A word is missing.
    #[error("`{operation}` wants {wants}")]
    Missing {
        /// The operation.
        operation: &'static str,
        /// What comes after it.
        wants: &'static str,
    },
    /// A word that the operation doesn't know.
    #[error("`{operation}` doesn't know `{word}`; it takes {takes}")]
    Option {
        /// The operation.
        operation: &'static str,
        /// The word.
        word: String,
        /// What it does know.
        takes: &'static str,
    },
}

/// Which argument was wrong, for the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{flag} '{text}': {error}")]
pub struct ArgumentError {
    /// `--if`, `--then` or `--else`.
    pub flag: &'static str,
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub error: SyntaxError,
}

/// Reads the three lists of arguments.
pub fn txn(compare: &[String], then: &[String], otherwise: &[String]) -> Result<Txn, ArgumentError> {
    let named = |flag, text: &String| {
        let text = text.clone();
        move |error| ArgumentError { flag, text, error }
    };
    let mut txn = Txn::new();
    for text in compare {
        txn = txn.when(comparison(text).map_err(named("--if", text))?);
    }
    for text in then {
        txn = txn.then(operation(text).map_err(named("--then", text))?);
    }
    for text in otherwise {
        txn = txn.otherwise(operation(text).map_err(named("--else", text))?);
    }
    Ok(txn)
}

/// How a target compares with its operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `>`
    Greater,
}

/// Compares a number of a key.
pub fn number(left: CompareNumber, relation: Relation, right: u64) -> Compare {
    match relation {
        Relation::Equal => left.equals(right),
        Relation::NotEqual => left.differs(right),
        Relation::Less => left.less_than(right),
        Relation::Greater => left.greater_than(right),
    }
}

/// Compares the value of a key.
pub fn value(key: &[u8], relation: Relation, right: &[u8]) -> Compare {
    let left = Compare::value(key);
    match relation {
        Relation::Equal => left.equals(right),
        Relation::NotEqual => left.differs(right),
        Relation::Less => left.less_than(right),
        Relation::Greater => left.greater_than(right),
    }
}

/// Reads one comparison.
pub fn comparison(text: &str) -> Result<Compare, SyntaxError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(SyntaxError::Empty);
    }
    let (function, rest) = text.split_once('(').map_or((text, None), |(name, rest)| (name.trim(), Some(rest)));
    let what = match function {
        "holds" => "lock",
        "value" | "version" | "create" | "mod" | "session" | "exists" | "absent" => "key",
        other => return Err(SyntaxError::Function(other.to_owned())),
    };
    let brackets = || SyntaxError::Brackets { function: function.to_owned(), what };
    let mut reader = Reader::new(text, rest.ok_or_else(brackets)?);
    let key = reader.until_bracket()?.filter(|key| !key.is_empty()).ok_or_else(brackets)?;
    reader.blanks();
    if matches!(function, "exists" | "absent") {
        if !reader.rest.is_empty() {
            return Err(SyntaxError::StandsAlone(function.to_owned()));
        }
        return Ok(if function == "exists" { Compare::exists(key) } else { Compare::absent(key) });
    }
    let relation = reader.relation().ok_or_else(|| SyntaxError::Relation(function.to_owned()))?;
    reader.blanks();
    let operand = reader.operand()?;
    let parsed = || parse_number(&operand);
    Ok(match function {
        "value" => value(&key, relation, &operand),
        "version" => number(Compare::version(key), relation, parsed()?),
        "create" => number(Compare::create_revision(key), relation, parsed()?),
        "mod" => number(Compare::mod_revision(key), relation, parsed()?),
        "session" => number(Compare::session(key), relation, parse_session(&operand)?),
        _ if relation == Relation::Equal => Compare::holds(key, parsed()?),
        _ => return Err(SyntaxError::HoldsRelation),
    })
}

/// Reads one operation.
pub fn operation(text: &str) -> Result<Op, SyntaxError> {
    let mut words = words(text)?.into_iter();
    let verb = words.next().ok_or(SyntaxError::Empty)?;
    match verb.as_slice() {
        b"put" => put(words),
        b"get" => {
            let key = words.next().ok_or(SyntaxError::Missing { operation: "get", wants: "a key" })?;
            match words.next() {
                None => Ok(Op::get(key)),
                Some(word) => Err(unknown("get", &word, "a key alone")),
            }
        }
        b"list" => list(words),
        b"delete" => delete(words),
        other => Err(SyntaxError::Operation(lossy(other))),
    }
}

fn put(mut words: impl Iterator<Item = Vec<u8>>) -> Result<Op, SyntaxError> {
    let (Some(key), Some(value)) = (words.next(), words.next()) else {
        return Err(SyntaxError::Missing { operation: "put", wants: "a key and a value" });
    };
    let mut options = PutOptions::new();
    for word in words {
        options = match word.as_slice() {
            b"sequential" => options.sequential(),
            b"prev" => options.prev(),
            other => match other.strip_prefix(b"session=") {
                Some(id) => match parse_session(id)? {
                    0 => return Err(SyntaxError::Session(lossy(id))),
                    id => options.bind_id(id),
                },
                None => {
                    return Err(unknown("put", other, "session=ID, sequential and prev after key and value"));
                }
            },
        };
    }
    Ok(Op::put_with(key, value, options))
}

fn list(mut words: impl Iterator<Item = Vec<u8>>) -> Result<Op, SyntaxError> {
    let prefix = words.next().ok_or(SyntaxError::Missing { operation: "list", wants: "a prefix ('' for all keys)" })?;
    let mut options = GetOptions::prefix(prefix);
    for word in words {
        options = match word.as_slice() {
            b"keys-only" => options.keys_only(),
            b"count" => options.count_only(),
            other => match other.strip_prefix(b"limit=") {
                Some(limit) => {
                    let limit = parse_number(limit)?;
                    options.limit(u32::try_from(limit).map_err(|_| SyntaxError::Number(limit.to_string()))?)
                }
                None => {
                    return Err(unknown("list", other, "keys-only, count and limit=N after the prefix"));
                }
            },
        };
    }
    Ok(Op::get_with(options))
}

fn delete(mut words: impl Iterator<Item = Vec<u8>>) -> Result<Op, SyntaxError> {
    let key = words.next().ok_or(SyntaxError::Missing { operation: "delete", wants: "a key" })?;
    let (mut prefix, mut prev) = (false, false);
    for word in words {
        match word.as_slice() {
            b"prefix" => prefix = true,
            b"prev" => prev = true,
            other => return Err(unknown("delete", other, "prefix and prev after the key")),
        }
    }
    let options = if prefix { DeleteOptions::prefix(key) } else { DeleteOptions::key(key) };
    Ok(Op::delete_with(if prev { options.prev() } else { options }))
}

fn unknown(operation: &'static str, word: &[u8], takes: &'static str) -> SyntaxError {
    SyntaxError::Option { operation, word: lossy(word), takes }
}

fn lossy(bytes: &[u8]) -> String {
    crate::output::escape(bytes)
}

fn parse_number(bytes: &[u8]) -> Result<u64, SyntaxError> {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or_else(|| SyntaxError::Number(lossy(bytes)))
}

fn parse_session(bytes: &[u8]) -> Result<u64, SyntaxError> {
    if bytes == b"0" {
        return Ok(0);
    }
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    args::session_id(text).map_err(|_| SyntaxError::Session(lossy(bytes)))
}

/// Splits a text into words; quotes hold blanks together.
pub fn words(text: &str) -> Result<Vec<Vec<u8>>, SyntaxError> {
    let mut reader = Reader::new(text, text);
    let mut words = Vec::new();
    loop {
        reader.blanks();
        match reader.rest.chars().next() {
            None => return Ok(words),
            Some('"' | '\'') => {
                words.push(reader.quoted()?);
                if reader.rest.starts_with(|next: char| !next.is_whitespace()) {
                    return Err(SyntaxError::AfterQuote(reader.column()));
                }
            }
            Some(_) => {
                let end = reader.rest.find(char::is_whitespace).unwrap_or(reader.rest.len());
                words.push(reader.take(end).as_bytes().to_vec());
            }
        }
    }
}

/// What is left of a text, and the whole of it for telling columns.
struct Reader<'a> {
    whole: &'a str,
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// `rest` must be a tail of `whole`.
    fn new(whole: &'a str, rest: &'a str) -> Self {
        Self { whole, rest }
    }

    fn column(&self) -> usize {
        self.whole.chars().count() - self.rest.chars().count() + 1
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest.chars().next()?;
        self.take(next.len_utf8());
        Some(next)
    }

    /// A bare or quoted word up to the closing bracket, which is taken too; `None` if there is no such bracket.
    fn until_bracket(&mut self) -> Result<Option<Vec<u8>>, SyntaxError> {
        self.blanks();
        if self.rest.starts_with(['"', '\'']) {
            let word = self.quoted()?;
            self.blanks();
            return Ok((self.next() == Some(')')).then_some(word));
        }
        Ok(self.rest.find(')').map(|end| {
            let word = self.take(end).trim_end().as_bytes().to_vec();
            self.take(1);
            word
        }))
    }

    fn relation(&mut self) -> Option<Relation> {
        let known = [
            ("!=", Relation::NotEqual),
            ("==", Relation::Equal),
            ("=", Relation::Equal),
            ("<", Relation::Less),
            (">", Relation::Greater),
        ];
        let (sign, relation) = known.into_iter().find(|(sign, _)| self.rest.starts_with(sign))?;
        self.take(sign.len());
        // `<=` and `>=` are no relations; without this they would compare with "=5".
        (!(matches!(relation, Relation::Less | Relation::Greater) && self.rest.starts_with('='))).then_some(relation)
    }

    /// The operand: quoted, or everything to the end.
    fn operand(&mut self) -> Result<Vec<u8>, SyntaxError> {
        if !self.rest.starts_with(['"', '\'']) {
            return Ok(self.take(self.rest.len()).as_bytes().to_vec());
        }
        let word = self.quoted()?;
        self.blanks();
        if self.rest.is_empty() { Ok(word) } else { Err(SyntaxError::AfterQuote(self.column())) }
    }

    fn quoted(&mut self) -> Result<Vec<u8>, SyntaxError> {
        let opened = self.column();
        let quote = self.next();
        let mut word = Vec::new();
        loop {
            let column = self.column();
            match self.next() {
                None => return Err(SyntaxError::OpenQuote(opened)),
                next if next == quote => return Ok(word),
                Some('\\') if quote == Some('"') => self.escape(&mut word).ok_or(SyntaxError::Escape(column))?,
                Some(next) => word.extend_from_slice(next.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }

    fn escape(&mut self, word: &mut Vec<u8>) -> Option<()> {
        match self.next()? {
            'n' => word.push(b'\n'),
            't' => word.push(b'\t'),
            'r' => word.push(b'\r'),
            '0' => word.push(0),
            same @ ('"' | '\'' | '\\') => word.push(same as u8),
            'x' => {
                let digits = self.rest.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
                word.push(u8::from_str_radix(digits, 16).ok()?);
                self.take(2);
            }
            'u' => {
                let (digits, _) = self.rest.strip_prefix('{')?.split_once('}')?;
                let character = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
                word.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                self.take(digits.len() + 2);
            }
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
#[path = "txn_syntax_tests.rs"]
mod tests;
