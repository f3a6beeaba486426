//! Writes a history while it happens. Everybody in a world has the same recorder.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    Action, Answer, Applied, Belief, Call, Changed, ClientId, Condition, Ended, Entry, Fault, History, Led, Level,
    Liveness, Log, Mode, Observed, Renewed, Seen, Server, Time, Told, Voted, Voters, Watch, Weather,
};

/// A history in the making; a clone is the same one.
#[derive(Clone)]
pub struct Recorder {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Box<dyn Fn() -> Time + Send + Sync>,
    book: Mutex<Book>,
}

struct Book {
    history: History,
    /// Sessions whose opening is told in an entry already: a retry is answered as the first was.
    opened: BTreeSet<u64>,
    closed: bool,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder")
    }
}

impl Recorder {
    /// An empty history, by a clock that tells true time.
    #[must_use]
    pub fn new(clock: impl Fn() -> Time + Send + Sync + 'static) -> Self {
        Self { inner: Arc::new(Inner { clock: Box::new(clock), book: Mutex::default() }) }
    }

    /// An empty history by the simulated clock.
    #[cfg(madsim)]
    #[must_use]
    pub fn simulated() -> Self {
        let nanoseconds = |elapsed: std::time::Duration| u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        Self::new(move || madsim::time::TimeHandle::try_current().map_or(0, |time| nanoseconds(time.elapsed())))
    }

    /// True time now.
    #[must_use]
    pub fn now(&self) -> Time {
        (self.inner.clock)()
    }

    /// A client is about to call. Dropped without an end, the call's outcome is unknown.
    #[must_use]
    pub fn call(&self, client: ClientId, action: Action) -> OpenCall {
        self.call_since(client, self.now(), action)
    }

    /// A client is about to call, or has called since this moment: what it does by itself is known only afterwards.
    #[must_use]
    pub fn call_since(&self, client: ClientId, since: Time, action: Action) -> OpenCall {
        OpenCall { recorder: self.clone(), call: Some((client, since, action)) }
    }

    /// A client looks whether it owns a lock; recorded if `look` says so. No time passes meanwhile.
    pub fn belief(&self, client: ClientId, lock: &str, mode: Mode, token: u64, look: impl FnOnce() -> bool) -> bool {
        let owns = look();
        if owns {
            let belief = Belief { client, lock: lock.to_owned(), mode, token, at: self.now() };
            self.write(|book| book.history.beliefs.push(belief));
        }
        owns
    }

    /// A client asks for a watch of all keys with a prefix, from a revision on (0: from the next change on).
    #[must_use]
    pub fn watch(&self, client: ClientId, prefix: &str, from: u64, snapshot: bool) -> OpenWatch {
        let start = self.now();
        let watch =
            Watch { client, start, prefix: prefix.to_owned(), from, snapshot, told: Vec::new(), to_the_end: false };
        // After the end there is no place.
        let mut place = usize::MAX;
        self.write(|book| {
            place = book.history.watches.len();
            book.history.watches.push(watch);
        });
        OpenWatch { recorder: self.clone(), place }
    }

    /// An observer of an election was told who leads it.
    pub fn observed(&self, observed: Observed) {
        self.write(|book| book.history.observed.push(observed));
    }

    /// A renewal was acknowledged.
    pub fn renewed(&self, session: u64, ttl_ms: u64, sent: Time) {
        let renewed = Renewed { session, ttl_ms, sent, acknowledged: self.now() };
        self.write(|book| book.history.renewals.push(renewed));
    }

    /// A fault was done; `effective`: it changed something.
    pub fn fault(&self, kind: &'static str, what: impl Into<String>, effective: bool) {
        let fault = Fault { at: self.now(), kind, what: what.into(), effective };
        self.write(|book| book.history.faults.push(fault));
    }

    /// From now on, a machine or a link is like this.
    pub fn condition(&self, now: Condition) {
        let changed = Changed { at: self.now(), now };
        self.write(|book| book.history.conditions.push(changed));
    }

    /// From now on, messages between servers come through like this.
    pub fn weather(&self, late: Duration, lossy: bool) {
        let late = Time::try_from(late.as_nanos()).unwrap_or(Time::MAX);
        let now = Weather { at: self.now(), late, lossy };
        self.write(|book| {
            let weather = &mut book.history.weather;
            if weather.last().is_none_or(|last| (last.late, last.lossy) != (late, lossy)) {
                weather.push(now);
            }
        });
    }

    /// Something that had to work was tried.
    pub fn liveness(&self, liveness: Liveness) {
        self.write(|book| book.history.liveness.push(liveness));
    }

    /// The keyspace at the end.
    pub fn last(&self, seen: Vec<Seen>, revision: u64) {
        self.write(|book| (book.history.last, book.history.last_revision) = (seen, revision));
    }

    /// The greatest difference of a clock's rate from true time, and whether that is within the allowance. The greatest that was said
    /// counts.
    pub fn drift(&self, ppm: u64, within_allowance: bool) {
        self.write(|book| {
            let history = &mut book.history;
            history.drift_ppm_max = history.drift_ppm_max.max(ppm);
            history.clocks_within_allowance &= within_allowance;
        });
    }

    /// A replica applied an entry or installed a snapshot; at the given moment.
    pub fn applied(&self, applied: Applied) {
        self.write(|book| book.history.applied.push(applied));
    }

    /// Nobody told yet what this entry did.
    #[must_use]
    pub fn is_news(&self, index: u64) -> bool {
        !self.book().history.entries.contains_key(&index)
    }

    /// A server starts that understands this feature level.
    pub fn level(&self, server: Server, level: u32) {
        let at = self.now();
        self.write(|book| book.history.levels.push(Level { at, server, level }));
    }

    /// These vote from this entry on: one group, or two while they are being changed.
    pub fn voters(&self, index: u64, groups: Vec<Vec<Server>>) {
        self.write(|book| book.history.voters.push(Voters { index, groups }));
    }

    /// What an entry did, as the first replica that applied it tells; later ones aren't heard. True if this was the first.
    pub fn entry(&self, index: u64, mut entry: Entry) -> bool {
        let mut book = self.book();
        if book.closed || book.history.entries.contains_key(&index) {
            return false;
        }
        entry.opened.retain(|(session, _)| book.opened.insert(*session));
        book.history.entries.insert(index, entry);
        true
    }

    /// By this moment this entry had been applied somewhere, as is seen from outside.
    pub fn known(&self, index: u64, at: Time) {
        self.write(|book| book.history.known.push((index, at)));
    }

    /// A server was seen to lead in a term now, whether for the first time or again.
    pub fn leads(&self, server: Server, term: u64) {
        let now = self.now();
        self.write(|book| {
            let led = book.history.leaders.iter_mut().rev().find(|led| led.server == server && led.term == term);
            match led {
                Some(led) => led.until = now,
                None => book.history.leaders.push(Led { server, term, from: now, until: now }),
            }
        });
    }

    /// A server is about to answer that it votes for a leadership.
    pub fn voted(&self, server: Server, term: u64) {
        let voted = Voted { server, term, at: self.now() };
        self.write(|book| book.history.votes.push(voted));
    }

    /// What stands in a server's log.
    pub fn log(&self, log: Log) {
        self.write(|book| book.history.logs.push(log));
    }

    /// Reads what is there so far.
    pub fn read<T>(&self, read: impl FnOnce(&History) -> T) -> T {
        read(&self.book().history)
    }

    /// The history, with everything that is still open recorded as such. What is told afterwards isn't heard.
    #[must_use]
    pub fn finish(&self) -> History {
        let end = self.now();
        let mut book = self.book();
        book.closed = true;
        let mut history = std::mem::take(&mut book.history);
        history.end = end;
        name_sessions(&mut history);
        history.calls.sort_by_key(|call| call.end);
        history.beliefs.sort_by_key(|belief| belief.at);
        history.renewals.sort_by_key(|renewed| renewed.acknowledged);
        history.voters.sort_by_key(|voters| voters.index);
        history
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.inner.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, write: impl FnOnce(&mut Book)) {
        let mut book = self.book();
        if !book.closed {
            write(&mut book);
        }
    }
}

/// A client that opens a session of its own for a lock doesn't say which: the log knows to whom the token was granted.
fn name_sessions(history: &mut History) {
    let granted: BTreeMap<(&str, u64), u64> = history
        .entries
        .values()
        .flat_map(|entry| &entry.granted)
        .map(|(name, session, token)| ((name.as_str(), *token), *session))
        .collect();
    for call in &mut history.calls {
        if let (Action::Acquire { lock, session, .. }, Ended::Ok(Answer::Token { token })) =
            (&mut call.action, &call.ended)
            && *session == 0
        {
            *session = granted.get(&(lock.as_str(), *token)).copied().unwrap_or(0);
        }
    }
}

impl Default for Book {
    fn default() -> Self {
        let history = History { clocks_within_allowance: true, ..History::default() };
        Self { history, opened: BTreeSet::new(), closed: false }
    }
}

/// A call that is under way.
#[derive(Debug)]
pub struct OpenCall {
    recorder: Recorder,
    call: Option<(ClientId, Time, Action)>,
}

impl OpenCall {
    /// It ended like this, now.
    pub fn end(mut self, ended: Ended) {
        self.close(ended);
    }

    /// When it began.
    #[must_use]
    pub fn start(&self) -> Time {
        self.call.as_ref().map_or(0, |(_, start, _)| *start)
    }

    fn close(&mut self, ended: Ended) {
        if let Some((client, start, action)) = self.call.take() {
            let call = Call { client, start, end: self.recorder.now(), action, ended };
            self.recorder.write(|book| book.history.calls.push(call));
        }
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.close(Ended::Unknown);
    }
}

/// A watch that is recorded; a clone is the same one.
#[derive(Clone, Debug)]
pub struct OpenWatch {
    recorder: Recorder,
    place: usize,
}

impl OpenWatch {
    /// The watcher was told this, now.
    pub fn told(&self, told: Told) {
        let now = self.recorder.now();
        self.with(|watch| watch.told.push((now, told)));
    }

    /// It was open, undisturbed, until everything was still at the world's end.
    pub fn stayed_to_the_end(&self) {
        self.with(|watch| watch.to_the_end = true);
    }

    fn with(&self, change: impl FnOnce(&mut Watch)) {
        let place = self.place;
        self.recorder.write(|book| {
            if let Some(watch) = book.history.watches.get_mut(place) {
                change(watch);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::history::Answer;

    fn recorder() -> (Recorder, Arc<AtomicU64>) {
        let clock = Arc::new(AtomicU64::new(1));
        let read = clock.clone();
        (Recorder::new(move || read.load(Ordering::Relaxed)), clock)
    }

    #[test]
    fn a_call_that_is_dropped_is_unknown_and_calls_stand_by_their_ends() {
        let (recorder, clock) = recorder();
        let first = recorder.call(1, Action::Compact { revision: 1 });
        let second = recorder.call(2, Action::Compact { revision: 2 });
        clock.store(5, Ordering::Relaxed);
        second.end(Ended::Ok(Answer::Done));
        clock.store(9, Ordering::Relaxed);
        drop(first);
        let history = recorder.finish();
        let calls: Vec<_> = history.calls.iter().map(|call| (call.client, call.start, call.end)).collect();
        assert_eq!(calls, [(2, 1, 5), (1, 1, 9)]);
        assert_eq!(history.calls[1].ended, Ended::Unknown);
        assert!(history.clocks_within_allowance);
    }

    #[test]
    fn the_first_replica_tells_what_an_entry_did_and_a_session_opens_once() {
        let (recorder, _) = recorder();
        let entry = Entry { opened: vec![(7, 1000)], ..Entry::default() };
        assert!(recorder.entry(3, entry.clone()));
        assert!(!recorder.entry(3, Entry::default()));
        assert!(recorder.entry(4, entry));
        let history = recorder.finish();
        assert_eq!(history.entries[&3].opened, [(7, 1000)]);
        assert_eq!(history.entries[&4].opened, []);
    }

    #[test]
    fn who_leads_in_a_term_is_one_line_that_grows() {
        let (recorder, clock) = recorder();
        recorder.leads(2, 1);
        clock.store(8, Ordering::Relaxed);
        recorder.leads(2, 1);
        recorder.leads(3, 2);
        let leaders = recorder.finish().leaders;
        assert_eq!(
            leaders,
            [Led { server: 2, term: 1, from: 1, until: 8 }, Led { server: 3, term: 2, from: 8, until: 8 }]
        );
    }

    /// From a round of torture, whose clients are threads: two watches that began at once had the same place.
    #[test]
    fn watches_that_begin_at_the_same_time_are_told_apart() {
        const EACH: u64 = 200;
        let (recorder, _) = recorder();
        std::thread::scope(|threads| {
            for client in 0..4 {
                let recorder = recorder.clone();
                threads.spawn(move || {
                    for revision in 0..EACH {
                        recorder.watch(client, "", revision, false).told(Told::Progress { revision });
                    }
                });
            }
        });
        let watches = recorder.finish().watches;
        assert_eq!(watches.len() as u64, 4 * EACH);
        for watch in watches {
            assert!(
                matches!(watch.told[..], [(_, Told::Progress { revision })] if revision == watch.from),
                "{watch:?}"
            );
        }
    }
}
