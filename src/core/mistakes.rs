//! Mistakes that the simulation can switch on, one at a time, to prove that its checkers find them. Each is a guard of a line or two at its place; what is
//! longer stands here. No program that serves anybody has them.

use bytes::Bytes;
use imbl::OrdSet;
use ringfence_probes::{Bug, on};

use crate::command::{Token, Which};
use crate::step::Step;

/// Records that a snapshot forgets.
pub(crate) fn forgotten<T>(bug: Bug, records: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
    records.filter(move |_| !on(bug))
}

/// Keys in the order of a hash map, which differs from map to map.
#[allow(clippy::disallowed_types, reason = "that is the mistake")]
pub(crate) fn in_some_order(keys: OrdSet<Bytes>) -> Vec<Bytes> {
    if on(Bug::HashMapOrder) {
        return keys.into_iter().collect::<std::collections::HashSet<_>>().into_iter().collect();
    }
    keys.into_iter().collect()
}

impl Step<'_> {
    /// Who owns the name now, if the claim that is to be released is gone: releases go by the name.
    pub(crate) fn successor_by_mistake(&self, name: &Bytes, which: &Which) -> Option<Token> {
        let Which::Token(token) = which else { return None };
        let queue = self.state.queues.get(name).filter(|_| on(Bug::ReleaseFreesSuccessor))?;
        if queue.get(*token).is_some() {
            return None;
        }
        queue.iter().next().map(|(owner, _)| owner)
    }
}
