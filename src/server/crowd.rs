//! Whether an entry waits for those who were just answered; or a round of reads, of which the same holds.
//!
//! Clients that each write again once they are answered fall into two halves: one is on the way while the other waits, and each entry,
//! whose cost hardly depends on what is in it, carries half of them. So an entry may wait, for a moment, until most of them are back. That pays only
//! if they do come back, which shows in the entry after: while one is on the way that carries nearly all, hardly anybody comes. Where
//! writes come whether or not others were answered, as many come as ever, and the wait is only lost time; then it is tried more and more rarely.
//!
//! The idea of waiting for others that are likely to commit is that of PostgreSQL's `commit_delay` and `commit_siblings`.

use std::time::Duration;

use tokio::time::Instant;

/// How long it is waited for them, at most, from when they were answered, unless another patience is given. Timers are as fine as a millisecond, so it
/// can be one more than that.
const PATIENCE: Duration = Duration::from_millis(1);
/// Requests that would gather, at least: one alone has nobody to wait for.
const CROWD_MIN: usize = 2;
/// Entries without a wait after one that was in vain: so many at first, doubled each time.
const REST_MIN: u32 = 1;
const REST_MAX: u32 = 1024;
/// A crowd of which some may be late, and it is a crowd all the same.
const MANY: usize = 16;
/// So many waits one after the other that paid, and it is no accident.
const PROVEN: u32 = 4;

/// What a lane knows of those who write there, or a member of those who read there.
#[derive(Debug)]
pub struct Crowd {
    patience: Duration,
    /// What the next entry waits for, and until when.
    wanted: Option<(usize, Instant)>,
    /// Waits that paid, one after the other.
    paid: u32,
    /// The last wait was tried again at once, for more.
    again: bool,
    /// Entries before the next try.
    resting: u32,
    /// Entries between the next two tries.
    rest: u32,
}

impl Default for Crowd {
    fn default() -> Self {
        Self::with(PATIENCE)
    }
}

impl Crowd {
    /// One that waits for so long at most.
    pub fn with(patience: Duration) -> Self {
        Self { patience, wanted: None, paid: 0, again: false, resting: 0, rest: REST_MIN }
    }

    /// Notes that so many requests are answered now, while so many others wait that came meanwhile.
    pub fn answered(&mut self, answered: usize, waiting: usize, now: Instant) {
        let crowd = answered + waiting;
        let wanted = self.wanted.take().map(|(wanted, _)| wanted);
        let paid = wanted.is_some_and(|wanted| paid(wanted, answered, waiting));
        // All came, and others meanwhile, who may have been on their way when it was counted who there is.
        let again = !paid && !self.again && wanted.is_some_and(|wanted| answered >= enough(wanted));
        self.again = again;
        if !paid {
            self.paid = 0;
        }
        if crowd < CROWD_MIN {
            return;
        }
        if paid {
            self.paid = self.paid.saturating_add(1);
            if self.paid >= PROVEN {
                self.rest = REST_MIN;
            }
        } else if !again && self.resting > 0 {
            self.resting -= 1;
            return;
        } else if !again {
            self.resting = self.rest;
            self.rest = (self.rest * 2).min(REST_MAX);
        }
        self.wanted = Some((crowd - crowd / 16, now + self.patience));
    }

    /// Some of those who are waited for were held up until now.
    pub fn held_up(&mut self, now: Instant) {
        if let Some((_, until)) = &mut self.wanted {
            *until = now + self.patience;
        }
    }

    /// How many requests the next entry waits for, and until when, if it waits at all.
    pub fn wanted(&self, now: Instant) -> Option<(usize, Instant)> {
        self.wanted.filter(|(_, until)| now < *until)
    }
}

/// Whether an entry that waited for so many, with so many that came, was worth it: so many came meanwhile.
fn paid(wanted: usize, came: usize, meanwhile: usize) -> bool {
    came >= enough(wanted) && meanwhile <= came / 4
}

/// How many of those that an entry waited for are most of them.
fn enough(wanted: usize) -> usize {
    if wanted < MANY { wanted } else { wanted - wanted / 4 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What entries carry, and whether they waited. `back` clients write again at once when they are answered; while an entry is on the way so many
    /// `others` come, and as many more while one waits in vain.
    fn entries(back: usize, others: usize) -> Vec<(usize, bool)> {
        let (mut crowd, now) = (Crowd::default(), Instant::now());
        // They begin in two halves.
        let (mut carried, mut waiting) = (back / 2 + others, back - back / 2 + others);
        let mut all = Vec::new();
        for _ in 0..1000 {
            crowd.answered(carried, waiting, now);
            let wanted = crowd.wanted(now).map(|(wanted, _)| wanted);
            let regulars = back + others;
            let came = match wanted {
                Some(wanted) if wanted <= regulars => wanted.max(waiting),
                Some(wanted) => wanted.min(regulars + others),
                None => waiting,
            };
            // Who is back, and doesn't go now, waits for the next one.
            waiting = (back - back.min(came)) + others;
            carried = came;
            all.push((came, wanted.is_some()));
        }
        all
    }

    #[test]
    fn two_halves_become_one_and_stay_so() {
        for clients in [2, 3, 8, 64, 100] {
            let all = entries(clients, 0);
            let most = clients - clients / 16;
            assert!(all.iter().all(|(carried, waited)| *carried >= most && *waited), "{clients}: {all:?}");
        }
    }

    #[test]
    fn those_who_come_anyway_are_waited_for_ever_more_rarely() {
        for others in [1, 2, 5, 20] {
            let waits = entries(0, others).iter().filter(|(_, waited)| *waited).count();
            assert!((1..30).contains(&waits), "{others}: {waits} waits");
        }
    }

    #[test]
    fn whoever_is_seldom_there_is_not_waited_for() {
        let (mut crowd, now) = (Crowd::default(), Instant::now());
        let (mut in_vain, mut carried) = (0, 4);
        for entry in 0..1000 {
            // Four come back at once each time; each third time a fifth has come who doesn't.
            let fifth = usize::from(entry % 3 == 0);
            crowd.answered(carried, fifth, now);
            let (wanted, _) = crowd.wanted(now).unwrap_or((0, now));
            in_vain += usize::from(wanted > 4 + fifth);
            carried = 4 + fifth;
        }
        assert!(in_vain < 50, "{in_vain}");
    }

    #[test]
    fn who_was_on_the_way_when_it_was_counted_is_waited_for_at_once() {
        let (mut crowd, now) = (Crowd::default(), Instant::now());
        // Of 22 who come back at once each time, ten are on their way.
        crowd.answered(3, 9, now);
        assert_eq!(crowd.wanted(now).map(|(wanted, _)| wanted), Some(12));
        crowd.answered(12, 10, now);
        assert_eq!(crowd.wanted(now).map(|(wanted, _)| wanted), Some(21));
        crowd.answered(21, 1, now);
        assert_eq!(crowd.wanted(now).map(|(wanted, _)| wanted), Some(21));
        // But not a third time.
        crowd.answered(21, 20, now);
        assert!(crowd.wanted(now).is_some());
        crowd.answered(40, 40, now);
        assert_eq!(crowd.wanted(now), None);
    }

    #[test]
    fn one_alone_waits_for_nobody_and_nobody_waits_for_long() {
        let (mut crowd, now) = (Crowd::default(), Instant::now());
        crowd.answered(1, 0, now);
        assert_eq!(crowd.wanted(now), None);
        crowd.answered(64, 0, now);
        assert!(crowd.wanted(now).is_some());
        assert_eq!(crowd.wanted(now + PATIENCE), None);
    }
}
