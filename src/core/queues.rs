//! The claims of each name, in the order of their tokens, and who among them are owners.
//!
//! Invariants:
//!
//! - The owners are the longest prefix of the queue whose claims are compatible: one exclusive claim, or shared claims
//!   up to the first other one, or up to as many semaphore claims as there are permits. [`Queues::settle`] restores this
//!   after every change, in O(log n) for each claim that it grants, because a prefix stays compatible when claims leave.
//! - All semaphore claims of a queue name the same number of permits.
//! - A queue is never empty, so it always has an owner.
//! - An owner stays one until it leaves: nothing that joins comes before it.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use imbl::OrdMap;

use crate::command::{Mode, SessionId, Token};

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queues {
    by_name: OrdMap<Bytes, Arc<Queue>>,
}

/// The claims of one name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    claims: OrdMap<Token, Arc<Place>>,
    /// How many are owners.
    owners: usize,
    /// The highest token among the owners, 0 if there are none.
    frontier: Token,
    /// The permits that the semaphore claims name, and how many of these claims there are.
    semaphores: Option<(u32, u64)>,
    /// Readers that own the name although a writer waits in front of them: a mistake that the simulation can switch on.
    #[cfg(madsim)]
    pub(crate) overtakers: imbl::OrdSet<Token>,
}

/// A claim's place in a queue. Its value and the revision of its last change are with its key.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub key: Bytes,
    pub session: SessionId,
    pub suffix: Bytes,
    pub mode: Mode,
    pub attempt: u64,
    pub claimed_wall_ms: u64,
    /// 0 while it waits.
    pub granted_wall_ms: u64,
}

impl Queues {
    pub fn get(&self, name: &[u8]) -> Option<&Queue> {
        self.by_name.get(name).map(|queue| &**queue)
    }

    fn get_mut(&mut self, name: &[u8]) -> Option<&mut Queue> {
        self.by_name.get_mut(name).map(Arc::make_mut)
    }

    /// How many names have a queue.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// In the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Queue> {
        self.by_name.values().map(|queue| &**queue)
    }

    /// Names from one on, in order.
    pub fn from(&self, start: Bound<&[u8]>) -> impl Iterator<Item = (&Bytes, &Queue)> + Send + use<'_> {
        let names = self.by_name.range::<_, [u8]>((start, Bound::Unbounded));
        names.map(|(name, queue)| (name, &**queue))
    }

    /// Puts a claim at the end of a queue. [`Self::settle`] must follow.
    pub fn join(&mut self, name: &Bytes, token: Token, place: Place) {
        let queue = Arc::make_mut(self.by_name.entry(name.clone()).or_default());
        debug_assert!(queue.claims.get_max().is_none_or(|(last, _)| *last < token), "tokens only grow");
        queue.count(place.mode, 1);
        queue.claims.insert(token, Arc::new(place));
    }

    /// Takes a claim out, and says whether it was an owner. [`Self::settle`] must follow.
    pub fn leave(&mut self, name: &[u8], token: Token) -> Option<(Arc<Place>, bool)> {
        let queue = self.get_mut(name)?;
        let owner = queue.is_owner(token);
        let place = queue.claims.remove(&token)?;
        queue.count(place.mode, -1);
        #[cfg(madsim)]
        if queue.overtakers.remove(&token).is_some() {
            return Some((place, owner));
        }
        if owner {
            queue.owners -= 1;
            if queue.frontier == token {
                queue.frontier = queue.claims.get_prev(&token).map_or(0, |(before, _)| *before);
            }
        }
        Some((place, owner))
    }

    /// Makes owners of all claims that now can be, and gives their tokens in order. Removes a queue that nobody is in.
    pub fn settle(&mut self, name: &[u8], wall_ms: u64) -> Vec<Token> {
        let mut granted = Vec::new();
        let Some(queue) = self.get_mut(name) else {
            return granted;
        };
        while let Some((token, place)) = queue.next() {
            if !queue.admits(place.mode) {
                break;
            }
            #[cfg(madsim)]
            match queue.meets_overtakers(token, place.mode) {
                Some(true) => continue,
                Some(false) => break,
                None => {}
            }
            if let Some(place) = queue.claims.get_mut(&token) {
                Arc::make_mut(place).granted_wall_ms = wall_ms;
            }
            queue.owners += 1;
            queue.frontier = token;
            granted.push(token);
        }
        #[cfg(madsim)]
        queue.overtake(&mut granted);
        if queue.claims.is_empty() {
            self.by_name.remove(name);
        }
        granted
    }

    /// Notes the latest attempt at waiting for a claim.
    pub fn set_attempt(&mut self, name: &[u8], token: Token, attempt: u64) {
        if let Some(place) = self.get_mut(name).and_then(|queue| queue.claims.get_mut(&token)) {
            Arc::make_mut(place).attempt = attempt;
        }
    }

    /// Puts a claim of a snapshot back, whose claims come in the order of names and tokens. Owners are found again from
    /// their places; when they were granted is kept.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn restore(&mut self, name: &Bytes, token: Token, place: Place) -> Result<(), String> {
        if self.get(name).and_then(|queue| queue.claims.get_max()).is_some_and(|(last, _)| *last >= token) {
            return Err(format!("claim {token} is out of order"));
        }
        let granted_wall_ms = place.granted_wall_ms;
        self.join(name, token, place);
        if !self.settle(name, granted_wall_ms).is_empty() || granted_wall_ms == 0 {
            return Ok(());
        }
        Err(format!("claim {token} waits and was granted"))
    }

    /// Checks the invariants of the module. O(n).
    ///
    /// # Errors
    /// Which one is broken.
    pub fn verify(&self) -> Result<(), String> {
        for (name, queue) in &self.by_name {
            queue.verify().map_err(|broken| format!("queue {}: {broken}", String::from_utf8_lossy(name)))?;
        }
        Ok(())
    }
}

impl Queue {
    pub fn get(&self, token: Token) -> Option<&Place> {
        self.claims.get(&token).map(|place| &**place)
    }

    pub fn is_owner(&self, token: Token) -> bool {
        #[cfg(madsim)]
        if self.overtakers.contains(&token) {
            return true;
        }
        token <= self.frontier && self.claims.contains_key(&token)
    }

    /// The highest token among the owners, 0 if there are none.
    pub fn frontier(&self) -> Token {
        self.frontier
    }

    pub fn owners(&self) -> usize {
        self.owners
    }

    pub fn waiting(&self) -> usize {
        self.claims.len() - self.owners
    }

    /// All claims in order: the owners, then the waiters.
    pub fn iter(&self) -> impl Iterator<Item = (Token, &Place)> + Send + '_ {
        self.claims.iter().map(|(token, place)| (*token, &**place))
    }

    /// The claims that wait, in order.
    pub fn waiters(&self) -> impl Iterator<Item = (Token, &Place)> {
        let behind = (Bound::Excluded(self.frontier), Bound::Unbounded);
        self.claims.range(behind).map(|(token, place)| (*token, &**place))
    }

    /// The number of permits, if there is a semaphore claim.
    pub fn permits(&self) -> Option<u32> {
        self.semaphores.map(|(permits, _)| permits)
    }

    /// The claim that keeps one more of this mode from being an owner at once, if there is one: the oldest owner, or,
    /// where the owners would let it in, the first who waits.
    pub fn obstacle(&self, mode: Mode) -> Option<(Token, &Place)> {
        if self.admits(mode) { self.next() } else { self.iter().next() }
    }

    /// The first who waits.
    fn next(&self) -> Option<(Token, &Place)> {
        self.waiters().next()
    }

    /// One more of this mode can share with all owners.
    fn admits(&self, mode: Mode) -> bool {
        let Some((_, first)) = self.claims.get_min().filter(|_| self.owners > 0) else {
            return true;
        };
        match (first.mode, mode) {
            (Mode::Shared, Mode::Shared) => true,
            #[cfg(madsim)]
            (Mode::Semaphore(permits), Mode::Semaphore(_))
                if ringfence_probes::on(ringfence_probes::Bug::SemaphoreOneTooMany) =>
            {
                self.owners <= permits as usize
            }
            (Mode::Semaphore(permits), Mode::Semaphore(_)) => self.owners < permits as usize,
            _ => false,
        }
    }

    /// By mistake: whoever reads comes in where readers own, whoever waits in front.
    #[cfg(madsim)]
    fn overtake(&mut self, granted: &mut Vec<Token>) {
        let first = self.claims.get_min().filter(|_| self.owners > 0);
        if !ringfence_probes::on(ringfence_probes::Bug::ReaderOvertakesWriter)
            || first.is_none_or(|(_, first)| first.mode != Mode::Shared)
        {
            return;
        }
        let readers = self.waiters().filter(|(token, place)| place.mode == Mode::Shared && !self.is_owner(*token));
        let readers: Vec<Token> = readers.map(|(token, _)| token).collect();
        for token in readers {
            if let Some(place) = self.claims.get_mut(&token) {
                Arc::make_mut(place).granted_wall_ms = place.claimed_wall_ms.max(1);
            }
            self.overtakers.insert(token);
            granted.push(token);
        }
    }

    /// The next in the queue where some overtook: it is one of them, and owns already (true), or must wait for them (false).
    #[cfg(madsim)]
    fn meets_overtakers(&mut self, token: Token, mode: Mode) -> Option<bool> {
        if self.overtakers.remove(&token).is_some() {
            self.owners += 1;
            self.frontier = token;
            return Some(true);
        }
        (mode != Mode::Shared && !self.overtakers.is_empty()).then_some(false)
    }

    fn verify(&self) -> Result<(), String> {
        #[cfg(madsim)]
        if !self.overtakers.is_empty() {
            return Ok(());
        }
        let mut expected = Queue::default();
        for (token, place) in &self.claims {
            if let Mode::Semaphore(permits) = place.mode
                && self.permits() != Some(permits)
            {
                return Err(format!("claim {token} names {permits} permits"));
            }
            expected.count(place.mode, 1);
            expected.claims.insert(*token, place.clone());
            if expected.owners + 1 == expected.claims.len() && expected.admits(place.mode) {
                expected.owners += 1;
                expected.frontier = *token;
            }
        }
        let figures = |queue: &Queue| (queue.owners, queue.frontier, queue.semaphores);
        if self.owners == 0 || figures(self) != figures(&expected) {
            return Err(format!("owners are {:?} and should be {:?}", figures(self), figures(&expected)));
        }
        Ok(())
    }

    /// Counts semaphore claims in and out.
    fn count(&mut self, mode: Mode, change: i64) {
        if let Mode::Semaphore(permits) = mode {
            let before = self.semaphores.map_or(0, |(_, claims)| claims);
            let claims = before.saturating_add_signed(change);
            self.semaphores = (claims > 0).then_some((permits, claims));
        }
    }
}
