//! Tells the recorder what replicas apply.

use std::sync::Weak;

use ringfence_core::{EventKind, Grant, Outcome, Refusal, Reply, State, query::Stats};
use ringfence_probes::hooks::Happening;
use ringfence_server::replica::{Observer, Replica};

use super::World;
use crate::history::{Applied, Entry, Mode, Version};

/// Follows one replica in one life of its server.
pub(super) struct Follower {
    pub(super) world: World,
    pub(super) server: u64,
    pub(super) life: u32,
    /// Weakly, since the replica holds its observers.
    pub(super) replica: Weak<Replica>,
}

impl Follower {
    fn applied(&self, index: u64, (hash, revision): (u64, u64), installed: bool) {
        let (server, life) = (self.server, self.life);
        let recorder = self.world.recorder();
        recorder.applied(Applied { server, life, at: recorder.now(), index, hash, revision, installed });
    }
}

impl Observer for Follower {
    fn applied(&self, index: u64, outcome: &Outcome) {
        let renewed = ringfence_probes::renewals::take();
        let voters = ringfence_probes::voters::take();
        if index == 0 && !outcome.replies.is_empty() {
            // A mistake that is made on purpose: nothing was applied yet.
            return;
        }
        let stats = self.replica.upgrade().and_then(|replica| replica.read(&Stats).ok()).unwrap_or_default();
        self.applied(index, (stats.hash, stats.revision), false);
        let recorder = self.world.recorder();
        if recorder.is_news(index) {
            let granted = !outcome.granted.is_empty();
            recorder.entry(index, entry(outcome, renewed));
            if let Some(groups) = voters {
                recorder.voters(index, groups);
            }
            if granted {
                self.world.tell(self.server, Happening::Granted);
            }
        }
    }

    fn installed(&self, index: u64, state: &State) {
        let stats = state.read(&Stats).unwrap_or_default();
        self.applied(index, (stats.hash, stats.revision), true);
    }
}

/// What an outcome says, for the history, and whose the renewals were.
fn entry(outcome: &Outcome, renewed: Vec<u64>) -> Entry {
    let events = outcome.changes.iter().flat_map(|change| &change.events);
    let version = |event: &ringfence_core::Event| Version {
        revision: event.key.mod_revision,
        key: text(&event.key.key),
        value: (event.kind == EventKind::Put).then(|| text(&event.key.value)),
    };
    let grants =
        |grants: &[Grant]| grants.iter().map(|grant| (text(&grant.name), grant.session.0, grant.token)).collect();
    let opened = outcome.replies.iter().filter_map(|reply| match reply {
        Ok(Reply::SessionOpened { id, ttl_ms }) => Some((id.0, *ttl_ms)),
        _ => None,
    });
    Entry {
        changes: events.map(version).collect(),
        expired: outcome.expired.iter().map(|id| id.0).collect(),
        opened: opened.collect(),
        granted: grants(&outcome.granted),
        ended: grants(&outcome.ended),
        claimed: outcome.replies.iter().filter_map(claimed).collect(),
        renewed,
        level: outcome.level,
    }
}

/// The claim that was made, or asked for again.
fn claimed(reply: &Result<Reply, Refusal>) -> Option<(String, u64, u64, Mode)> {
    let Ok(Reply::Claimed(claim)) = reply else { return None };
    let mode = match claim.mode {
        ringfence_core::Mode::Exclusive => Mode::Exclusive,
        ringfence_core::Mode::Shared => Mode::Shared,
        ringfence_core::Mode::Semaphore(permits) => Mode::Permits(permits),
    };
    Some((text(&claim.name), claim.session.0, claim.token, mode))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
