//! All invariants at once: for tests, and for states that come from outside.

use crate::keyspace::name as readable;
use crate::state::State;

impl State {
    /// Checks every invariant that the files of this crate list at their heads. O(n log n), and changes nothing.
    ///
    /// # Errors
    /// Which one is broken, and where.
    pub fn verify_invariants(&self) -> Result<(), String> {
        self.keyspace.verify()?;
        self.sessions.verify(self.clock_ms)?;
        self.queues.verify()?;
        self.verify_bonds()?;
        #[cfg(madsim)]
        if ringfence_probes::on(ringfence_probes::Bug::QueueMissingInSnapshot) {
            return Ok(());
        }
        self.verify_claims()
    }

    /// Every key that is bound to a session is among that session's keys, and the reverse.
    fn verify_bonds(&self) -> Result<(), String> {
        let mut bound = 0;
        for version in self.keyspace.live() {
            let Some(id) = version.session() else { continue };
            bound += 1;
            if !self.sessions.get(id).is_some_and(|session| session.keys.contains(version.key())) {
                return Err(format!("key {} is not among those of its session {id}", readable(version.key())));
            }
        }
        let listed: usize = self.sessions.iter().map(|(_, session)| session.keys.len()).sum();
        if listed != bound {
            return Err(format!("{bound} keys are bound, and sessions list {listed}"));
        }
        Ok(())
    }

    /// Every live key that is a claim stands in its name's queue under its token, and the reverse.
    fn verify_claims(&self) -> Result<(), String> {
        let mut claims = 0;
        for version in self.keyspace.live().filter(|version| version.is_claim()) {
            claims += 1;
            let place = self.claim_of(version.key()).and_then(|(name, token)| self.place(&name, token));
            if !place.is_some_and(|place| place.key == version.key() && Some(place.session) == version.session()) {
                return Err(format!("claim {} is not in its queue", readable(version.key())));
            }
        }
        let queued: usize = self.queues.iter().map(|queue| queue.owners() + queue.waiting()).sum();
        if queued != claims {
            return Err(format!("{claims} keys are claims, and queues hold {queued}"));
        }
        Ok(())
    }
}
