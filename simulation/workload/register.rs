//! What locks protect: a register for each, outside of the cluster, that accepts a write only with a token not lower than the highest it
//! has seen.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// The registers, by lock.
#[derive(Debug, Default)]
pub(super) struct Registers {
    highest: Mutex<BTreeMap<String, u64>>,
}

impl Registers {
    /// Writes, with a token. True if it was accepted.
    pub(super) fn write(&self, lock: &str, token: u64) -> bool {
        let mut highest = self.highest.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = highest.entry(lock.to_owned()).or_default();
        let accepted = token >= *seen;
        *seen = token.max(*seen);
        accepted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_token_is_refused_for_its_lock_alone() {
        let registers = Registers::default();
        assert!(registers.write("a", 5));
        assert!(registers.write("a", 5));
        assert!(!registers.write("a", 4));
        assert!(registers.write("b", 4));
        assert!(registers.write("a", 6));
    }
}
