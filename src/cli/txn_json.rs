//! Transactions as programs write them: one JSON object.
//!
//! ```json
//! {"if":   [{"key": "k", "version": 0}, {"key": "k", "value": "v", "is": "!="}, {"lock": "l", "holds": 12}],
//!  "then": [{"put": {"key": "k", "value": "v", "session": "1f", "sequential": true, "prev": true}},
//!           {"delete": {"prefix": "jobs/", "prev": true}}],
//!  "else": [{"get": {"key": "k"}}, {"list": {"prefix": "jobs/", "keys_only": true, "limit": 5}}]}
//! ```
//!
//! Wherever a key, prefix, value or lock is given, `key_base64` and so on takes any bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ringfence_client::{Compare, DeleteOptions, GetOptions, Op, PutOptions, Txn};
use serde::Deserialize;

use crate::args;
use crate::txn_syntax::{Relation, number, value};

/// Why a JSON transaction can't be read.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Not JSON, or not of this form.
    #[error("the transaction is not acceptable JSON: {0}")]
    Form(#[from] serde_json::Error),
    /// A field is missing, given twice in two forms, or doesn't fit the others.
    #[error("{place}: {what}")]
    Field {
        /// Which list and entry, such as `if[0]`.
        place: String,
        /// What is wrong.
        what: String,
    },
}

/// Reads a transaction.
pub fn txn(text: &str) -> Result<Txn, JsonError> {
    let json: TxnJson = serde_json::from_str(text)?;
    let mut txn = Txn::new();
    for (index, compare) in json.compare.into_iter().enumerate() {
        txn = txn.when(compare.read().map_err(at("if", index))?);
    }
    for (index, op) in json.then.into_iter().enumerate() {
        txn = txn.then(op.read().map_err(at("then", index))?);
    }
    for (index, op) in json.otherwise.into_iter().enumerate() {
        txn = txn.otherwise(op.read().map_err(at("else", index))?);
    }
    Ok(txn)
}

fn at(list: &'static str, index: usize) -> impl Fn(String) -> JsonError {
    move |what| JsonError::Field { place: format!("{list}[{index}]"), what }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TxnJson {
    #[serde(default, rename = "if")]
    compare: Vec<CompareJson>,
    #[serde(default)]
    then: Vec<OpJson>,
    #[serde(default, rename = "else")]
    otherwise: Vec<OpJson>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CompareJson {
    key: Option<String>,
    key_base64: Option<String>,
    lock: Option<String>,
    #[serde(default, rename = "is")]
    relation: RelationJson,
    value: Option<String>,
    value_base64: Option<String>,
    version: Option<u64>,
    create: Option<u64>,
    #[serde(rename = "mod")]
    modified: Option<u64>,
    session: Option<String>,
    holds: Option<u64>,
}

#[derive(Deserialize, Default, Clone, Copy)]
enum RelationJson {
    #[default]
    #[serde(rename = "=")]
    Equal,
    #[serde(rename = "!=")]
    NotEqual,
    #[serde(rename = "<")]
    Less,
    #[serde(rename = ">")]
    Greater,
}

impl From<RelationJson> for Relation {
    fn from(relation: RelationJson) -> Self {
        match relation {
            RelationJson::Equal => Self::Equal,
            RelationJson::NotEqual => Self::NotEqual,
            RelationJson::Less => Self::Less,
            RelationJson::Greater => Self::Greater,
        }
    }
}

impl CompareJson {
    fn read(self) -> Result<Compare, String> {
        let relation = Relation::from(self.relation);
        if let (Some(lock), Some(token)) = (&self.lock, self.holds) {
            let alone = self.key.is_none() && self.key_base64.is_none() && self.targets() == 1;
            if !alone || relation != Relation::Equal {
                return Err("`lock` and `holds` stand alone, and compare with = only".to_owned());
            }
            return Ok(Compare::holds(lock, token));
        }
        if self.lock.is_some() || self.holds.is_some() {
            return Err("`lock` and `holds` go together".to_owned());
        }
        if self.targets() != 1 {
            return Err("give one of value, version, create, mod, session".to_owned());
        }
        let key = required("key", self.key, self.key_base64)?;
        if let Some(version) = self.version {
            return Ok(number(Compare::version(key), relation, version));
        }
        if let Some(revision) = self.create {
            return Ok(number(Compare::create_revision(key), relation, revision));
        }
        if let Some(revision) = self.modified {
            return Ok(number(Compare::mod_revision(key), relation, revision));
        }
        if let Some(session) = self.session {
            let id = if session == "0" { 0 } else { args::session_id(&session)? };
            return Ok(number(Compare::session(key), relation, id));
        }
        Ok(value(&key, relation, &required("value", self.value, self.value_base64)?))
    }

    fn targets(&self) -> usize {
        let numbers = [self.version, self.create, self.modified, self.holds];
        let texts = [&self.value, &self.value_base64, &self.session];
        numbers.iter().flatten().count() + texts.iter().filter(|text| text.is_some()).count()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum OpJson {
    Put(PutJson),
    Get(KeyJson),
    List(ListJson),
    Delete(DeleteJson),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PutJson {
    key: Option<String>,
    key_base64: Option<String>,
    value: Option<String>,
    value_base64: Option<String>,
    session: Option<String>,
    #[serde(default)]
    sequential: bool,
    #[serde(default)]
    prev: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyJson {
    key: Option<String>,
    key_base64: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListJson {
    prefix: Option<String>,
    prefix_base64: Option<String>,
    #[serde(default)]
    keys_only: bool,
    #[serde(default)]
    count: bool,
    #[serde(default)]
    limit: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteJson {
    key: Option<String>,
    key_base64: Option<String>,
    prefix: Option<String>,
    prefix_base64: Option<String>,
    #[serde(default)]
    prev: bool,
}

impl OpJson {
    fn read(self) -> Result<Op, String> {
        match self {
            Self::Put(put) => put.read(),
            Self::Get(get) => Ok(Op::get(required("key", get.key, get.key_base64)?)),
            Self::List(list) => {
                let mut options = GetOptions::prefix(required("prefix", list.prefix, list.prefix_base64)?);
                if list.keys_only {
                    options = options.keys_only();
                }
                if list.count {
                    options = options.count_only();
                }
                Ok(Op::get_with(options.limit(list.limit)))
            }
            Self::Delete(delete) => delete.read(),
        }
    }
}

impl PutJson {
    fn read(self) -> Result<Op, String> {
        let mut options = PutOptions::new();
        if let Some(session) = self.session {
            options = options.bind_id(args::session_id(&session)?);
        }
        if self.sequential {
            options = options.sequential();
        }
        if self.prev {
            options = options.prev();
        }
        let key = required("key", self.key, self.key_base64)?;
        Ok(Op::put_with(key, required("value", self.value, self.value_base64)?, options))
    }
}

impl DeleteJson {
    fn read(self) -> Result<Op, String> {
        let options =
            match (bytes("key", self.key, self.key_base64)?, bytes("prefix", self.prefix, self.prefix_base64)?) {
                (Some(key), None) => DeleteOptions::key(key),
                (None, Some(prefix)) => DeleteOptions::prefix(prefix),
                _ => return Err("give one of key and prefix".to_owned()),
            };
        Ok(Op::delete_with(if self.prev { options.prev() } else { options }))
    }
}

fn required(name: &str, text: Option<String>, base64: Option<String>) -> Result<Vec<u8>, String> {
    bytes(name, text, base64)?.ok_or_else(|| format!("`{name}` is missing"))
}

fn bytes(name: &str, text: Option<String>, base64: Option<String>) -> Result<Option<Vec<u8>>, String> {
    match (text, base64) {
        (Some(_), Some(_)) => Err(format!("give one of {name} and {name}_base64")),
        (Some(text), None) => Ok(Some(text.into_bytes())),
        (None, Some(coded)) => {
            STANDARD.decode(coded).map(Some).map_err(|error| format!("{name}_base64 is not base64: {error}"))
        }
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manuals_example_is_read() {
        let read = txn(r#"{
            "if": [{"key": "k", "version": 0}, {"key": "k", "value": "v", "is": "!="}, {"lock": "l", "holds": 12}],
            "then": [{"put": {"key": "k", "value": "v", "session": "1f", "sequential": true, "prev": true}},
                     {"delete": {"prefix": "jobs/", "prev": true}}],
            "else": [{"get": {"key_base64": "/w=="}}, {"list": {"prefix": "jobs/", "keys_only": true, "limit": 5}}]
        }"#);
        let wanted = Txn::new()
            .when(Compare::version("k").equals(0))
            .when(Compare::value("k").differs("v"))
            .when(Compare::holds("l", 12))
            .then(Op::put_with("k", "v", PutOptions::new().bind_id(0x1f).sequential().prev()))
            .then(Op::delete_with(DeleteOptions::prefix("jobs/").prev()))
            .otherwise(Op::get([0xff]))
            .otherwise(Op::get_with(GetOptions::prefix("jobs/").keys_only().limit(5)));
        assert_eq!(read.expect("is a transaction"), wanted);
    }

    #[test]
    fn an_empty_object_is_an_empty_transaction() {
        assert_eq!(txn("{}").expect("is a transaction"), Txn::new());
    }

    #[test]
    fn wrong_fields_are_named_with_their_place() {
        let cases = [
            (r#"{"if":[{"version":0}]}"#, "if[0]: `key` is missing"),
            (r#"{"if":[{"key":"k"}]}"#, "if[0]: give one of value, version, create, mod, session"),
            (
                r#"{"if":[{"key":"k","version":0,"create":1}]}"#,
                "if[0]: give one of value, version, create, mod, session",
            ),
            (r#"{"if":[{"key":"k","holds":1}]}"#, "if[0]: `lock` and `holds` go together"),
            (
                r#"{"if":[{"lock":"k","holds":1,"is":">"}]}"#,
                "if[0]: `lock` and `holds` stand alone, and compare with = only",
            ),
            (r#"{"if":[{"key":"k","key_base64":"aw==","version":0}]}"#, "if[0]: give one of key and key_base64"),
            (r#"{"then":[{"get":{"key":"k"}},{"put":{"key":"k"}}]}"#, "then[1]: `value` is missing"),
            (r#"{"else":[{"delete":{}}]}"#, "else[0]: give one of key and prefix"),
        ];
        for (text, wanted) in cases {
            assert_eq!(txn(text).expect_err(text).to_string(), wanted, "{text}");
        }
        for form in [
            r#"{"unless":[]}"#,
            "[",
            r#"{"then":[{"drop":{"key":"k"}}]}"#,
            r#"{"if":[{"key":"k","is":"~","version":1}]}"#,
        ] {
            assert!(matches!(txn(form), Err(JsonError::Form(_))), "{form}");
        }
        assert!(
            txn(r#"{"then":[{"get":{"key_base64":"?"}}]}"#).expect_err("no base64").to_string().contains("not base64")
        );
    }
}
