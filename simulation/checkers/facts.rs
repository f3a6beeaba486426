//! What several checkers want to know of a history, worked out once.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::history::{Action, Answer, Call, Ended, History, Mode, Time, Version};

/// One claim, through its whole life in the log.
#[derive(Clone, Debug)]
pub(super) struct Claim<'a> {
    pub name: &'a str,
    pub session: u64,
    /// How it shares its name, if the log or a call says so.
    pub mode: Option<Mode>,
    /// Index of the entry that made it an owner.
    pub granted: Option<u64>,
    /// Index of the entry that ended it.
    pub ended: Option<u64>,
    /// The revision that deleted its key.
    pub deleted: Option<u64>,
}

/// See the module.
pub(super) struct Facts<'a> {
    pub history: &'a History,
    /// When each entry was first applied by anybody.
    applied: BTreeMap<u64, Time>,
    /// The same, apart from what only those knew who were told that they own a lock.
    told: BTreeMap<u64, Time>,
    /// All versions in the order of the log, with the index of their entry.
    pub versions: Vec<(u64, &'a Version)>,
    /// The versions of each key, oldest first.
    pub by_key: BTreeMap<&'a str, Vec<&'a Version>>,
    /// Index of the entry that made each revision.
    pub made_in: BTreeMap<u64, u64>,
    /// By their tokens.
    pub claims: BTreeMap<u64, Claim<'a>>,
    /// Moments and the newest revision from then on, both growing.
    newest: Vec<(Time, u64)>,
}

impl<'a> Facts<'a> {
    pub fn of(history: &'a History) -> Self {
        let mut applied = BTreeMap::new();
        for one in history.applied.iter().filter(|one| !one.installed) {
            let first: &mut Time = applied.entry(one.index).or_insert(one.at);
            *first = one.at.min(*first);
        }
        for (index, at) in &history.known {
            applied.entry(*index).or_insert(*at);
        }
        let told = applied.clone();
        let mut facts = Self {
            history,
            applied,
            told,
            versions: Vec::new(),
            by_key: BTreeMap::new(),
            made_in: BTreeMap::new(),
            claims: BTreeMap::new(),
            newest: Vec::new(),
        };
        for (&index, entry) in &history.entries {
            for version in &entry.changes {
                facts.versions.push((index, version));
                facts.by_key.entry(&version.key).or_default().push(version);
                facts.made_in.entry(version.revision).or_insert(index);
            }
        }
        facts.fill_claims();
        facts.fill_granted();
        facts.fill_newest();
        facts
    }

    /// Where no replica tells what it applies, whoever was told that it owns a lock knows that this was applied, and all before it.
    fn fill_granted(&mut self) {
        if self.history.known.is_empty() {
            return;
        }
        let granted = |(call, token): (&Call, u64)| Some((call.end, self.claims.get(&token)?.granted?));
        let mut granted: Vec<(Time, u64)> = acquired(self.history).filter_map(granted).collect();
        granted.sort_unstable();
        let mut newest = 0;
        for (at, index) in granted {
            for entry in (newest + 1)..=index {
                let first = self.applied.entry(entry).or_insert(at);
                *first = at.min(*first);
            }
            newest = index.max(newest);
        }
    }

    fn fill_newest(&mut self) {
        let mut made: Vec<(Time, u64)> = self
            .versions
            .iter()
            .filter_map(|(index, version)| Some((self.applied_at(*index)?, version.revision)))
            .collect();
        made.sort_unstable();
        for (at, revision) in made {
            match self.newest.last_mut() {
                Some((_, newest)) if *newest >= revision => {}
                Some((then, newest)) if *then == at => *newest = revision,
                _ => self.newest.push((at, revision)),
            }
        }
    }

    fn fill_claims(&mut self) {
        let history = self.history;
        for (&index, entry) in &history.entries {
            let told = entry.claimed.iter().map(|(name, session, token, mode)| (name, session, token, Some(*mode)));
            for (name, session, token, mode) in told {
                self.claim(name, *session, *token).mode = mode;
            }
            for (name, session, token) in &entry.granted {
                self.claim(name, *session, *token).granted.get_or_insert(index);
            }
            for (name, session, token) in &entry.ended {
                self.claim(name, *session, *token).ended.get_or_insert(index);
            }
        }
        for (call, token) in acquired(history) {
            if let Action::Acquire { lock, mode, .. } = &call.action
                && let Some(claim) = self.claims.get_mut(&token).filter(|claim| claim.name == lock)
            {
                claim.mode = claim.mode.or(Some(*mode));
            }
        }
        self.fill_deletions();
    }

    /// A claim's key is the one that was written in the revision of its token, and that lies under the claim's name.
    fn fill_deletions(&mut self) {
        let mut key_of = BTreeMap::new();
        for (_, version) in &self.versions {
            match self.claims.get(&version.revision) {
                Some(claim) if version.value.is_some() && under(&version.key, claim.name) => {
                    key_of.insert(version.key.as_str(), version.revision);
                }
                _ if version.value.is_none() => {
                    let token = key_of.remove(version.key.as_str());
                    if let Some(claim) = token.and_then(|token| self.claims.get_mut(&token)) {
                        claim.deleted = Some(version.revision);
                    }
                }
                _ => {}
            }
        }
    }

    fn claim(&mut self, name: &'a str, session: u64, token: u64) -> &mut Claim<'a> {
        let new = Claim { name, session, mode: None, granted: None, ended: None, deleted: None };
        self.claims.entry(token).or_insert(new)
    }

    /// When an entry was first applied, if anybody was seen applying it.
    pub fn applied_at(&self, index: u64) -> Option<Time> {
        self.applied.get(&index).copied()
    }

    /// When an entry was first applied; the world's end where that isn't known.
    pub fn shown_at(&self, index: u64) -> Time {
        self.applied_at(index).unwrap_or(self.history.end)
    }

    /// When a claim was gone that this entry ended; the world's end where that isn't known. That somebody else was told that it owns the lock
    /// doesn't show it: it may have been told too early.
    pub fn gone_at(&self, ended: u64) -> Time {
        self.told.get(&ended).copied().unwrap_or(self.history.end)
    }

    /// Moments at which entries were first applied, in the order of the log.
    pub fn applications(&self) -> impl Iterator<Item = (u64, Time)> + '_ {
        self.applied.iter().map(|(index, at)| (*index, *at))
    }

    /// The newest revision that anybody had applied at this moment; `None` if the history doesn't say when anything was applied.
    pub fn newest_at(&self, at: Time) -> Option<u64> {
        if self.newest.is_empty() {
            return None;
        }
        let behind = self.newest.partition_point(|(then, _)| *then <= at);
        Some(behind.checked_sub(1).map_or(0, |last| self.newest[last].1))
    }

    /// The revision at which the keyspace was read at the end, up to which those who watched to the end waited. A write whose caller had given
    /// up can come after it, as long as a server may have kept it waiting for a leader.
    pub fn last_revision(&self) -> u64 {
        match self.history.last_revision {
            0 => u64::MAX,
            read => read,
        }
    }

    /// The value of a key at a revision, with the revision of that version.
    pub fn value_at(&self, key: &str, revision: u64) -> Option<(&'a str, u64)> {
        let versions = self.by_key.get(key)?;
        let behind = versions.partition_point(|version| version.revision <= revision);
        let version = versions[behind.checked_sub(1)?];
        Some((version.value.as_deref()?, version.revision))
    }

    /// All keys with a prefix that have ever been written, in order.
    pub fn keys_under<'s>(&'s self, prefix: &'s str) -> impl Iterator<Item = &'a str> + 's {
        self.by_key
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .map(|(key, _)| *key)
            .take_while(move |key| key.starts_with(prefix))
    }
}

/// A claim's key lies directly under its name.
fn under(key: &str, name: &str) -> bool {
    key.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'))
}

/// Acquisitions that were answered, with their tokens.
pub(super) fn acquired(history: &History) -> impl Iterator<Item = (&Call, u64)> {
    history.calls.iter().filter_map(|call| match (&call.action, &call.ended) {
        (Action::Acquire { .. }, Ended::Ok(Answer::Token { token })) => Some((call, *token)),
        _ => None,
    })
}

/// A call in words.
pub(super) fn say(call: &Call) -> String {
    format!("client {} [{}..{}] {:?} -> {:?}", call.client, ms(call.start), ms(call.end), call.action, call.ended)
}

/// A moment in words.
pub(super) fn ms(at: Time) -> String {
    format!("{}.{:03} ms", at / 1_000_000, at / 1_000 % 1_000)
}
