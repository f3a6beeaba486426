//! Whether an entry waits for those who were just answered.
//!
//! Clients that each write again once they are answered fall into two halves: one is on the way while the other waits, and each entry,
//! whose cost hardly depends on what is in it, carries half of them. So an entry may wait, for a moment, until most of them are back. That pays only
//! if they do come back, which shows in the entry after: while one is on the way that carries nearly all, hardly anybody comes. Where
//! writes come whether or not others were answered, as many come as ever, and the wait is only lost time; then it is tried more and more rarely.
//!
//! The idea of waiting for others that are likely to commit is that of PostgreSQL's `commit_delay` and `commit_siblings`.

use std::time::Duration;

use tokio::time::Instant;

/// How long it is waited for them, at most, from when they were answered. Timers are as fine as a millisecond, so it can be twice that.
const PATIENCE: Duration = Duration::from_millis(1);
/// Requests that would gather, at least: one alone has nobody to wait for.
const CROWD_MIN: usize = 2;
/// Entries without a wait after one that was in vain: so many at first, doubled each time.
const REST_MIN: u32 = 1;
const REST_MAX: u32 = 1024;
/// So many waits one after the other that paid, and it is no accident.
const PROVEN: u32 = 4;

/// What a lane knows of those who write there.
#[derive(Debug)]
pub struct Crowd {
    /// What the next entry waits for, and until when.
    wanted: Option<(usize, Instant)>,
    /// Waits that paid, one after the other.
    paid: u32,
    /// Entries before the next try.
    resting: u32,
    /// Entries between the next two tries.
    rest: u32,
}

impl Default for Crowd {
    fn default() -> Self {
        Self { wanted: None, paid: 0, resting: 0, rest: REST_MIN }
    }
}

impl Crowd {
    /// Notes that so many requests are answered now, while so many others wait that came meanwhile.
    pub fn answered(&mut self, answered: usize, waiting: usize, now: Instant) {
        let crowd = answered + waiting;
        let paid = self.wanted.take().is_some_and(|(wanted, _)| answered * 4 >= wanted * 3 && waiting <= answered / 4);
        if crowd < CROWD_MIN {
            self.paid = 0;
            return;
        }
        if paid {
            self.paid = self.paid.saturating_add(1);
            if self.paid >= PROVEN {
                self.rest = REST_MIN;
            }
        } else if self.resting > 0 {
            self.paid = 0;
            self.resting -= 1;
            return;
        } else {
            self.paid = 0;
            self.resting = self.rest;
            self.rest = (self.rest * 2).min(REST_MAX);
        }
        self.wanted = Some((crowd - crowd / 16, now + PATIENCE));
    }

    /// How many requests the next entry waits for, and until when, if it waits at all.
    pub fn wanted(&self, now: Instant) -> Option<(usize, Instant)> {
        self.wanted.filter(|(_, until)| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What entries carry, one after the other, if so many requests come while one is on the way; `back` of those that it carried
    /// come again before the patience is over, and `others` beside them.
    fn entries(mut carried: usize, mut waiting: usize, back: bool, others: usize) -> Vec<(usize, bool)> {
        let (mut crowd, now) = (Crowd::default(), Instant::now());
        let mut all = Vec::new();
        for _ in 0..100 {
            crowd.answered(carried, waiting, now);
            let clients = if back { carried + waiting } else { waiting + others };
            let waited = crowd.wanted(now).map(|(wanted, _)| wanted);
            carried = waited.map_or(waiting, |wanted| wanted.min(clients).max(waiting));
            waiting = if back { clients - carried } else { others };
            all.push((carried, waited.is_some()));
        }
        all
    }

    #[test]
    fn two_halves_become_one_and_stay_so() {
        let all = entries(32, 32, true, 0);
        assert_eq!(all[0], (56, true));
        assert!(all[1..].iter().all(|(carried, waited)| *carried >= 56 && *waited), "{all:?}");
    }

    #[test]
    fn those_who_come_anyway_are_waited_for_ever_more_rarely() {
        let all = entries(20, 20, false, 20);
        let waits = all.iter().filter(|(_, waited)| *waited).count();
        assert!((2..8).contains(&waits), "{all:?}");
    }

    #[test]
    fn few_are_not_waited_for_and_nobody_is_for_long() {
        let (mut crowd, now) = (Crowd::default(), Instant::now());
        crowd.answered(CROWD_MIN / 2, CROWD_MIN / 2 - 1, now);
        assert_eq!(crowd.wanted(now), None);
        crowd.answered(64, 0, now);
        assert!(crowd.wanted(now).is_some());
        assert_eq!(crowd.wanted(now + PATIENCE), None);
        crowd.answered(1, 0, now);
        assert_eq!(crowd.wanted(now), None);
    }
}
