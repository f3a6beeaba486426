//! Members that applied the same have the same state: at one applied index there is one revision and one hash.

use std::collections::BTreeMap;

use super::{Verdict, broken};

/// What a member says of its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// The member.
    pub node: u64,
    /// The log index that it has applied.
    pub applied: u64,
    /// Its state's revision.
    pub revision: u64,
    /// Its state's running hash.
    pub hash: u64,
}

/// Checks accounts taken at any times.
///
/// # Errors
/// The first two accounts of one index that differ, or of one member that went back.
pub fn check(accounts: &[Account]) -> Verdict {
    let mut states: BTreeMap<u64, Account> = BTreeMap::new();
    for account in accounts {
        let other = states.entry(account.applied).or_insert(*account);
        if (other.revision, other.hash) != (account.revision, account.hash) {
            broken!("states differ after the same entries: {other:?} and {account:?}");
        }
    }
    let mut newest: Option<Account> = None;
    for account in states.into_values() {
        if let Some(before) = newest
            && before.revision > account.revision
        {
            broken!("the revision went back from one entry to a later one: {before:?} and {account:?}");
        }
        newest = Some(account);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(node: u64, applied: u64, revision: u64, hash: u64) -> Account {
        Account { node, applied, revision, hash }
    }

    #[test]
    fn takes_equal_states() {
        check(&[account(1, 4, 3, 77), account(2, 4, 3, 77), account(3, 3, 3, 66), account(1, 9, 5, 1)]).unwrap();
    }

    #[test]
    fn rejects_another_hash() {
        check(&[account(1, 4, 3, 77), account(2, 4, 3, 78)]).unwrap_err();
    }

    #[test]
    fn rejects_another_revision() {
        check(&[account(1, 4, 3, 77), account(2, 4, 2, 77)]).unwrap_err();
    }

    #[test]
    fn rejects_a_revision_that_went_back() {
        check(&[account(1, 4, 3, 77), account(2, 5, 2, 78)]).unwrap_err();
    }
}
