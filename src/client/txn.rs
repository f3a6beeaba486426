//! Building transactions: compare, then one list of operations or the other, in one revision.

use bytes::Bytes;

use crate::kv::{DeleteOptions, GetOptions, PutOptions};
use crate::types::{Revision, SessionId, Token};

/// A transaction. All comparisons must hold for `then`; otherwise `otherwise` is done. Either is done as a whole, in
/// one revision. At most 128 comparisons, and 128 operations in each list.
///
/// ```
/// use ringfence_client::{Compare, Op, Txn};
/// let txn = Txn::new()
///     .when(Compare::version("stock/apples").equals(0))
///     .when_holds("stock", 42)
///     .then(Op::put("stock/apples", "7"))
///     .otherwise(Op::get("stock/apples"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a transaction does nothing until it is given to `Kv::txn`"]
pub struct Txn {
    pub(crate) compare: Vec<Compare>,
    pub(crate) then: Vec<Op>,
    pub(crate) otherwise: Vec<Op>,
}

impl Txn {
    /// An empty one, which succeeds and does nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a comparison.
    pub fn when(mut self, compare: Compare) -> Self {
        self.compare.push(compare);
        self
    }

    /// Adds the comparison that `token` is a current owner of the lock or the election `name`: the fence.
    pub fn when_holds(self, name: impl AsRef<[u8]>, token: Token) -> Self {
        self.when(Compare::holds(name, token))
    }

    /// Adds an operation to be done if all comparisons hold.
    pub fn then(mut self, op: Op) -> Self {
        self.then.push(op);
        self
    }

    /// Adds an operation to be done if one comparison doesn't hold.
    pub fn otherwise(mut self, op: Op) -> Self {
        self.otherwise.push(op);
        self
    }

    /// It writes nothing, whatever the comparisons say.
    pub(crate) fn only_reads(&self) -> bool {
        let mut ops = self.then.iter().chain(&self.otherwise);
        ops.all(|op| matches!(op, Op::Range(_)))
    }

    /// The first session that a put binds its key to.
    pub(crate) fn bound(&self) -> Option<SessionId> {
        let mut ops = self.then.iter().chain(&self.otherwise);
        ops.find_map(|op| match op {
            Op::Put { options, .. } => options.session,
            _ => None,
        })
    }
}

/// One comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare {
    pub(crate) key: Bytes,
    pub(crate) relation: Relation,
    pub(crate) operand: Operand,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    Equal,
    NotEqual,
    Less,
    Greater,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    Value(Bytes),
    CreateRevision(Revision),
    ModRevision(Revision),
    Version(u64),
    Session(SessionId),
    Holds(Token),
}

impl Compare {
    /// Looks at a key's value. An absent key is unequal to any value, and neither less nor greater.
    pub fn value(key: impl AsRef<[u8]>) -> CompareValue {
        CompareValue { key: copy(key) }
    }

    /// Looks at the revision in which the key was created; 0 for an absent key.
    pub fn create_revision(key: impl AsRef<[u8]>) -> CompareNumber {
        CompareNumber { key: copy(key), what: Operand::CreateRevision }
    }

    /// Looks at the revision of the key's last change; 0 for an absent key.
    pub fn mod_revision(key: impl AsRef<[u8]>) -> CompareNumber {
        CompareNumber { key: copy(key), what: Operand::ModRevision }
    }

    /// Looks at how often the key was written since it was created; 0 for an absent key.
    pub fn version(key: impl AsRef<[u8]>) -> CompareNumber {
        CompareNumber { key: copy(key), what: Operand::Version }
    }

    /// Looks at the session the key is bound to; 0 for none and for an absent key.
    pub fn session(key: impl AsRef<[u8]>) -> CompareNumber {
        CompareNumber { key: copy(key), what: Operand::Session }
    }

    /// The key exists.
    pub fn exists(key: impl AsRef<[u8]>) -> Compare {
        Compare::version(key).greater_than(0)
    }

    /// The key doesn't exist.
    pub fn absent(key: impl AsRef<[u8]>) -> Compare {
        Compare::version(key).equals(0)
    }

    /// `token` is a current owner of the lock or the election `name`.
    pub fn holds(name: impl AsRef<[u8]>, token: Token) -> Compare {
        Compare { key: copy(name), relation: Relation::Equal, operand: Operand::Holds(token) }
    }
}

/// A comparison of a value that still wants its operand.
#[derive(Clone, Debug)]
#[must_use = "say what it is compared with"]
pub struct CompareValue {
    key: Bytes,
}

impl CompareValue {
    /// The value is this.
    pub fn equals(self, value: impl AsRef<[u8]>) -> Compare {
        self.with(Relation::Equal, value)
    }

    /// The value is another, or there is none.
    pub fn differs(self, value: impl AsRef<[u8]>) -> Compare {
        self.with(Relation::NotEqual, value)
    }

    /// The value is less, byte by byte.
    pub fn less_than(self, value: impl AsRef<[u8]>) -> Compare {
        self.with(Relation::Less, value)
    }

    /// The value is greater, byte by byte.
    pub fn greater_than(self, value: impl AsRef<[u8]>) -> Compare {
        self.with(Relation::Greater, value)
    }

    fn with(self, relation: Relation, value: impl AsRef<[u8]>) -> Compare {
        Compare { key: self.key, relation, operand: Operand::Value(copy(value)) }
    }
}

/// A comparison of a number that still wants its operand.
#[derive(Clone, Debug)]
#[must_use = "say what it is compared with"]
pub struct CompareNumber {
    key: Bytes,
    what: fn(u64) -> Operand,
}

impl CompareNumber {
    /// The number is this.
    pub fn equals(self, number: u64) -> Compare {
        self.with(Relation::Equal, number)
    }

    /// The number is another.
    pub fn differs(self, number: u64) -> Compare {
        self.with(Relation::NotEqual, number)
    }

    /// The number is less.
    pub fn less_than(self, number: u64) -> Compare {
        self.with(Relation::Less, number)
    }

    /// The number is greater.
    pub fn greater_than(self, number: u64) -> Compare {
        self.with(Relation::Greater, number)
    }

    fn with(self, relation: Relation, number: u64) -> Compare {
        Compare { key: self.key, relation, operand: (self.what)(number) }
    }
}

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Op {
    /// Write a key.
    Put {
        /// The key.
        key: Bytes,
        /// The value.
        value: Bytes,
        /// See there.
        options: PutOptions,
    },
    /// Delete keys.
    Delete(DeleteOptions),
    /// Read keys; sees what operations before it wrote. Revision and freshness in the options must be unset.
    Range(GetOptions),
}

impl Op {
    /// Writes a key.
    pub fn put(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Op {
        Op::put_with(key, value, PutOptions::new())
    }

    /// Writes a key, with options.
    pub fn put_with(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>, options: PutOptions) -> Op {
        Op::Put { key: copy(key), value: copy(value), options }
    }

    /// Deletes a key.
    pub fn delete(key: impl AsRef<[u8]>) -> Op {
        Op::Delete(DeleteOptions::key(key))
    }

    /// Deletes several keys, or says what was deleted.
    pub fn delete_with(options: DeleteOptions) -> Op {
        Op::Delete(options)
    }

    /// Reads a key.
    pub fn get(key: impl AsRef<[u8]>) -> Op {
        Op::Range(GetOptions::key(key))
    }

    /// Reads several keys.
    pub fn get_with(options: GetOptions) -> Op {
        Op::Range(options)
    }
}

pub(crate) fn copy(bytes: impl AsRef<[u8]>) -> Bytes {
    Bytes::copy_from_slice(bytes.as_ref())
}
