//! The state that a new cluster begins with, out of the state in a backup.
//!
//! The old cluster went on after the backup was taken: it gave out tokens and revisions that the backup doesn't know. A new
//! cluster must give none of them out a second time, and nobody may take the old history for its own. So:
//!
//! - *The revision jumps ahead*, further than the old cluster can have come since.
//! - *History up to the new revision is compacted.* Who watches from an old revision hears that, and never misses
//!   anything without a word. The keys themselves keep their revisions, and so do claims their tokens.
//! - *Claims that wait are taken out.* Granted later, they would own their names under tokens that are smaller than some
//!   that the old cluster granted after the backup. Whoever still waits asks again, and gets a token above all of them.
//! - *Sessions have their whole TTL before them*: their clients could not renew while there was no cluster. One that was
//!   over already stays over.

use bytes::Bytes;

use crate::command::{Revision, Token};
use crate::hash::Digest;
use crate::queues::Queue;
use crate::restore::REVISION_MAX;
use crate::state::State;

/// The revision can't jump so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadJump {
    /// Revisions, and with them tokens, would be given out a second time.
    #[error("the revision must jump by 1 at least")]
    Zero,
    /// There would be no room for further revisions.
    #[error("a jump from revision {revision} by {jump} passes the greatest revision, {REVISION_MAX}")]
    TooFar {
        /// The backup's.
        revision: Revision,
        /// What was asked for.
        jump: u64,
    },
}

impl State {
    /// What a new cluster begins with, if this is the state in a backup; see the module. The new revision is `jump` above
    /// the backup's.
    ///
    /// # Errors
    /// See [`BadJump`].
    pub fn restored_from_backup(mut self, jump: u64) -> Result<State, BadJump> {
        let revision = self.keyspace.revision;
        if jump == 0 {
            return Err(BadJump::Zero);
        }
        let newest = revision.checked_add(jump).filter(|newest| *newest <= REVISION_MAX);
        let newest = newest.ok_or(BadJump::TooFar { revision, jump })?;
        self.keyspace.revision = newest - 1;
        self.drop_waiters();
        self.keyspace.revision = newest;
        self.keyspace.compact(newest);
        let ids: Vec<_> = self.sessions.iter().map(|(id, _)| id).collect();
        for id in ids {
            self.sessions.renew(id, self.clock_ms);
        }
        // Another state than the backup's, which members must not take for the same.
        self.hash = Digest::default().bytes(b"restored from backup").number(newest).chain(self.hash);
        Ok(self)
    }

    /// Takes all claims out that wait, in one revision.
    fn drop_waiters(&mut self) {
        let names = self.queues.from(std::ops::Bound::Unbounded).filter(|(_, queue)| queue.waiting() > 0);
        let waiting: Vec<(Bytes, Vec<Token>)> = names.map(|(name, queue)| (name.clone(), waiters(queue))).collect();
        let mut draft = self.keyspace.draft(0);
        for (name, tokens) in waiting {
            for token in tokens {
                let Some((place, _)) = self.queues.leave(&name, token) else { continue };
                self.keyspace.delete(&mut draft, &place.key);
                if let Some(session) = self.sessions.get_mut(place.session) {
                    session.keys.remove(&place.key);
                }
            }
            // Nobody waits any more, so that nothing is granted.
            self.queues.settle(&name, 0);
        }
        self.keyspace.commit(draft);
    }
}

fn waiters(queue: &Queue) -> Vec<Token> {
    queue.waiters().map(|(token, _)| token).collect()
}
