//! What must be the same on every system that is measured: how much there is of everything, which key is next, and how an event is known
//! to be that of a write.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

/// Clients, if nobody says how many.
pub const CLIENTS: u32 = 64;
/// Connections that clients share, at most, if nobody says how many.
pub const CONNECTIONS_MAX: u32 = 64;
/// Clients that write what others watch, if nobody says how many.
pub const WRITERS: u32 = 1;
/// Keys, if nobody says how many.
pub const KEYS: u32 = 1000;
/// Bytes of a value, if nobody says how many.
pub const VALUE_BYTES: u32 = 256;
/// Everything that is written begins with this, if nobody says otherwise.
pub const PREFIX: &str = "ringfence-bench/";
/// Calls that are made at the same time before it begins and after it has ended: keys that are written, sessions that are opened.
pub const CALLS_AT_ONCE: usize = 256;
/// Of sessions, and what corresponds to them elsewhere. They are renewed meanwhile, as in an application.
pub const TTL: Duration = Duration::from_secs(10);

/// So that clients that go through all keys are never at the same one for long: a prime far from powers of two.
const STRIDE: u64 = 7919;
/// In the mixed workload one of so many operations is a write.
const MIXED: u64 = 5;
/// Writes of which the beginning is known; a watcher that is further behind isn't measured any more.
const KEPT: u64 = 100_000;

/// One of so many keys.
#[must_use]
pub fn key(prefix: &str, number: u64, keys: u64) -> String {
    format!("{prefix}keys/{:08}", number % keys)
}

/// Prefixes of all keys of which each has a thousand keys at most: more than some thousand can't be deleted at once everywhere.
pub fn thousands(prefix: &str, keys: u64) -> impl Iterator<Item = String> {
    (0..keys.div_ceil(1000)).map(move |number| format!("{prefix}keys/{number:05}"))
}

/// What a client does one after another in the mixed workload, and which keys it takes in this and all others: whether it writes, and the
/// key's number.
pub fn walk(client: usize) -> impl Iterator<Item = (bool, u64)> {
    (client as u64..).map(|step| (step % MIXED == 0, step.wrapping_mul(STRIDE)))
}

/// When writes began; each is known by the number that its value begins with. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Begun(Arc<Mutex<BTreeMap<u64, Instant>>>);

impl Begun {
    /// Notes that a write begins, and puts its number into its value, which has eight bytes at least.
    pub fn note(&self, number: u64, begun: Instant, value: &mut [u8]) {
        if let Some(place) = value.first_chunk_mut() {
            *place = number.to_be_bytes();
        }
        let mut all = self.0.lock();
        all.insert(number, begun);
        all.remove(&number.wrapping_sub(KEPT));
    }

    /// When the write with this value began, if that is known.
    #[must_use]
    pub fn of(&self, value: &[u8]) -> Option<Instant> {
        let number = u64::from_be_bytes(*value.first_chunk()?);
        self.0.lock().get(&number).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_walk_apart_and_write_one_time_in_five() {
        let of = |client| walk(client).take(20).map(|(_, key)| key % 1000).collect::<Vec<_>>();
        assert_ne!(of(0)[0], of(1)[0]);
        assert_eq!(walk(3).take(20).filter(|(writes, _)| *writes).count(), 4);
        assert_eq!(key("p/", 1007, 1000), "p/keys/00000007");
        assert_eq!(thousands("p/", 1001).collect::<Vec<_>>(), ["p/keys/00000", "p/keys/00001"]);
        assert!(key("p/", 1000, 1001).starts_with("p/keys/00001"));
    }

    #[test]
    fn a_write_is_known_by_its_value() {
        let (begun, now, mut value) = (Begun::default(), Instant::now(), vec![b'v'; 16]);
        begun.note(7, now, &mut value);
        assert_eq!(begun.of(&value), Some(now));
        assert_eq!(begun.of(&[b'v'; 16]), None);
        assert_eq!(begun.of(b"short"), None);
        begun.note(7 + KEPT, now, &mut [0; 16]);
        assert_eq!(begun.of(&value), None, "what is too far back is forgotten");
    }
}
