//! What a lock protects never goes back: the versions of a register that is written only under the lock's token
//! carry tokens that never get smaller, and each acknowledged fenced write carries its own.

use std::collections::BTreeMap;

use super::{Action, Ended, History, Verdict, Version, broken};

/// Checks the register `key` of `history`; `versions` are all versions of it (of others, too, if that is simpler).
///
/// # Errors
/// The first version for which it doesn't hold.
pub fn check(history: &History, versions: &[Version], key: &str) -> Verdict {
    let mut tokens: BTreeMap<&str, u64> = BTreeMap::new();
    for call in &history.calls {
        if let Action::FencedPut { token, key: written, value, .. } = &call.action
            && written == key
        {
            if matches!(call.ended, Ended::Ok(revision) if revision <= *token) {
                broken!("the write is older than the token it was made under: {call:?}");
            }
            tokens.insert(value, *token);
        }
    }
    let mut register: Vec<&Version> = versions.iter().filter(|version| version.key == key).collect();
    register.sort();
    let mut newest = (0, 0);
    for version in register {
        let Some(value) = &version.value else {
            continue;
        };
        let Some(&token) = tokens.get(value.as_str()) else { broken!("no fenced write made {version:?}") };
        if token < newest.0 {
            broken!("revision {} was written under token {}, and then {version:?} under {token}", newest.1, newest.0);
        }
        newest = (token, version.revision);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Call;
    use super::*;

    fn write(token: u64, value: &str, ended: Ended) -> Call {
        let action = Action::FencedPut { lock: "l".into(), token, key: "r".into(), value: value.into() };
        Call { client: 1, start: 0, end: 1, action, ended }
    }

    fn stored(revision: u64, value: &str) -> Version {
        Version { revision, key: "r".into(), value: Some(value.into()) }
    }

    fn verdict(calls: Vec<Call>, versions: &[Version]) -> Verdict {
        check(&History { calls, beliefs: vec![] }, versions, "r")
    }

    #[test]
    fn takes_tokens_that_grow() {
        let calls = vec![write(3, "a", Ended::Ok(4)), write(3, "b", Ended::Unknown), write(6, "c", Ended::Ok(7))];
        verdict(calls, &[stored(4, "a"), stored(5, "b"), stored(7, "c")]).unwrap();
    }

    #[test]
    fn rejects_an_old_owner_that_wrote_late() {
        let calls = vec![write(3, "a", Ended::Ok(7)), write(4, "b", Ended::Ok(5))];
        verdict(calls, &[stored(7, "a"), stored(5, "b")]).unwrap_err();
    }

    #[test]
    fn rejects_an_unfenced_value() {
        verdict(vec![], &[stored(7, "a")]).unwrap_err();
    }

    #[test]
    fn rejects_a_write_older_than_its_token() {
        verdict(vec![write(9, "a", Ended::Ok(7))], &[stored(7, "a")]).unwrap_err();
    }
}
