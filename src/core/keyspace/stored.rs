//! One version of a key, all in one piece of memory: a state is made of millions of them, and what a piece costs beside its bytes counts for each.
//!
//! The layout: the key's length in four bytes, the key, a byte of flags, then as varints the revision of the version, the distance to that of creation,
//! the version's number, the wall clock, and the session if there is one; then the value. It is never written anywhere, so it may change.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::sync::Arc;

use bytes::{Buf, Bytes};

use crate::command::{Revision, SessionId};
use crate::outcome::KeyView;
use crate::snapshot::Version;

const LENGTH_BYTES: usize = size_of::<u32>();
/// All numbers of a version as varints, at their longest.
const NUMBERS_BYTES_MAX: usize = 5 * 10;

mod flag {
    pub const SESSION: u8 = 1;
    pub const CLAIM: u8 = 2;
    pub const DELETED: u8 = 4;
}

/// See the module. Equal and in order as its key is.
#[derive(Clone, Debug)]
pub(crate) struct Stored(Arc<[u8]>);

/// What a version is beside key and value; see [`Version`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub create_revision: Revision,
    pub mod_revision: Revision,
    pub version: u64,
    pub session: Option<SessionId>,
    pub wall_ms: u64,
    pub claim: bool,
    pub deleted: bool,
}

impl Stored {
    pub fn new(key: &[u8], value: &[u8], facts: &Facts) -> Self {
        let mut bytes = Vec::with_capacity(LENGTH_BYTES + key.len() + 1 + NUMBERS_BYTES_MAX + value.len());
        // Keys are bounded far below that.
        bytes.extend_from_slice(&(key.len() as u32).to_le_bytes());
        bytes.extend_from_slice(key);
        let flags =
            [(facts.session.is_some(), flag::SESSION), (facts.claim, flag::CLAIM), (facts.deleted, flag::DELETED)];
        bytes.push(flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).sum());
        put_varint(&mut bytes, facts.mod_revision);
        // What a damaged snapshot says may be out of order, and is still read as it was said.
        put_varint(&mut bytes, facts.mod_revision.wrapping_sub(facts.create_revision));
        put_varint(&mut bytes, facts.version);
        put_varint(&mut bytes, facts.wall_ms);
        if let Some(session) = facts.session {
            put_varint(&mut bytes, session.0);
        }
        bytes.extend_from_slice(value);
        Self(bytes.into())
    }

    pub fn of(version: &Version) -> Self {
        let facts = Facts {
            create_revision: version.create_revision,
            mod_revision: version.mod_revision,
            version: version.version,
            session: version.session,
            wall_ms: version.wall_ms,
            claim: version.claim,
            deleted: version.deleted,
        };
        Self::new(&version.key, &version.value, &facts)
    }

    /// Where the key ends.
    fn key_end(&self) -> usize {
        let length = self.0.first_chunk().map_or(0, |length| u32::from_le_bytes(*length));
        LENGTH_BYTES + length as usize
    }

    pub fn key(&self) -> &[u8] {
        &self.0[LENGTH_BYTES..self.key_end()]
    }

    /// A copy of the key that keeps nothing else in memory.
    pub fn own_key(&self) -> Bytes {
        Bytes::copy_from_slice(self.key())
    }

    fn after_key(&self) -> (u8, &[u8]) {
        let rest = &self.0[self.key_end()..];
        rest.split_first().map_or((0, rest), |(flags, rest)| (*flags, rest))
    }

    fn parts(&self) -> (Facts, &[u8]) {
        let (flags, mut rest) = self.after_key();
        let mod_revision = take_varint(&mut rest);
        let facts = Facts {
            create_revision: mod_revision.wrapping_sub(take_varint(&mut rest)),
            mod_revision,
            version: take_varint(&mut rest),
            wall_ms: take_varint(&mut rest),
            session: (flags & flag::SESSION != 0).then(|| SessionId(take_varint(&mut rest))),
            claim: flags & flag::CLAIM != 0,
            deleted: flags & flag::DELETED != 0,
        };
        (facts, rest)
    }

    pub fn facts(&self) -> Facts {
        self.parts().0
    }

    pub fn value(&self) -> &[u8] {
        self.parts().1
    }

    pub fn mod_revision(&self) -> Revision {
        take_varint(&mut self.after_key().1)
    }

    pub fn create_revision(&self) -> Revision {
        self.facts().create_revision
    }

    pub fn version(&self) -> u64 {
        self.facts().version
    }

    pub fn session(&self) -> Option<SessionId> {
        self.facts().session
    }

    pub fn is_claim(&self) -> bool {
        self.after_key().0 & flag::CLAIM != 0
    }

    pub fn is_deleted(&self) -> bool {
        self.after_key().0 & flag::DELETED != 0
    }

    /// Bytes of key and value.
    pub fn size(&self) -> usize {
        self.key().len() + self.value().len()
    }

    /// The same piece of memory.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Key, the rest, and value. The two share the memory of this version, and keep it.
    fn shared(&self) -> (Bytes, Facts, Bytes) {
        let (facts, value) = self.parts();
        let mut key = Bytes::from_owner(self.clone());
        let value = key.split_off(self.0.len() - value.len());
        key.truncate(self.key_end());
        key.advance(LENGTH_BYTES);
        (key, facts, value)
    }

    /// As readers see it.
    pub fn view(&self, with_value: bool) -> KeyView {
        let (key, facts, value) = if with_value { self.shared() } else { (self.own_key(), self.facts(), Bytes::new()) };
        KeyView {
            key,
            value,
            create_revision: facts.create_revision,
            mod_revision: facts.mod_revision,
            version: facts.version,
            session: facts.session,
            wall_ms: facts.wall_ms,
            claim: facts.claim,
        }
    }

    /// As snapshots have it.
    pub fn record(&self) -> Version {
        let (key, facts, value) = self.shared();
        Version {
            key,
            value,
            create_revision: facts.create_revision,
            mod_revision: facts.mod_revision,
            version: facts.version,
            session: facts.session,
            wall_ms: facts.wall_ms,
            claim: facts.claim,
            deleted: facts.deleted,
        }
    }
}

impl AsRef<[u8]> for Stored {
    /// All of it; what [`Bytes`] that share it are pieces of.
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for Stored {
    /// Its key, by which it is looked up.
    fn borrow(&self) -> &[u8] {
        self.key()
    }
}

impl PartialEq for Stored {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Stored {}

impl PartialOrd for Stored {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Stored {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(other.key())
    }
}

fn put_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take_varint(bytes: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    while let Some((byte, rest)) = bytes.split_first() {
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 || shift >= u64::BITS {
            break;
        }
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_as_it_was_put() {
        let numbers = [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX - 1, u64::MAX];
        for (nth, number) in numbers.into_iter().enumerate() {
            let other = numbers[(nth + 3) % numbers.len()];
            let version = Version {
                key: Bytes::from(vec![b'k'; nth * 50]),
                value: Bytes::from(vec![b'v'; nth * 1000]),
                create_revision: other,
                mod_revision: number,
                version: other,
                session: (nth % 2 == 0).then_some(SessionId(number)),
                wall_ms: number,
                claim: nth % 3 == 0,
                deleted: nth % 4 == 0,
            };
            let stored = Stored::of(&version);
            assert_eq!(stored.record(), version);
            assert_eq!((stored.key(), stored.value()), (&version.key[..], &version.value[..]));
            assert_eq!(stored.mod_revision(), number);
            assert_eq!((stored.create_revision(), stored.version()), (other, other));
            assert_eq!((stored.session(), stored.is_claim()), (version.session, version.claim));
            assert_eq!(stored.is_deleted(), version.deleted);
            assert_eq!(stored.size(), version.key.len() + version.value.len());
            let view = stored.view(true);
            assert_eq!((&view.key, &view.value), (&version.key, &version.value));
            assert!(stored.view(false).value.is_empty());
        }
    }

    #[test]
    fn versions_are_in_the_order_of_their_keys() {
        let facts = Stored::of(&version(b"")).facts();
        let keys: [&[u8]; 5] = [b"", b"a", b"a/b", b"aa", b"b"];
        let mut stored: Vec<_> = keys.iter().rev().map(|key| Stored::new(key, b"zz", &facts)).collect();
        stored.sort();
        assert!(stored.iter().map(Stored::key).eq(keys));
    }

    fn version(key: &'static [u8]) -> Version {
        let (key, value) = (Bytes::from_static(key), Bytes::new());
        let (session, claim, deleted) = (None, false, false);
        Version { key, value, create_revision: 1, mod_revision: 1, version: 1, session, wall_ms: 0, claim, deleted }
    }
}
