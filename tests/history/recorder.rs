//! Notes what clients do while they do it.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use super::{Action, Belief, Call, Ended, History, Moment};

/// Shared by all clients of a test; a clone notes into the same history.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    moments: AtomicU64,
    history: Mutex<History>,
}

impl Recorder {
    /// An empty history.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next moment.
    #[must_use]
    pub fn moment(&self) -> Moment {
        self.inner.moments.fetch_add(1, Ordering::SeqCst)
    }

    /// Notes that a call is about to be sent. Dropped without [`OpenCall::end`] (its task was cancelled, say) it is noted
    /// as [`Ended::Unknown`].
    #[must_use]
    pub fn call(&self, client: u32, action: Action) -> OpenCall {
        OpenCall { recorder: self.clone(), client, start: self.moment(), action: Some(action) }
    }

    /// Notes that `client` was sure of `lock` if `look` says so. The moment is taken before the look: a client that is
    /// held up after it has looked is never noted as sure at a moment at which it no longer was.
    pub fn belief(&self, client: u32, lock: &str, token: u64, look: impl FnOnce() -> bool) -> bool {
        let at = self.moment();
        let sure = look();
        if sure {
            self.note(|history| history.beliefs.push(Belief { client, lock: lock.to_owned(), token, at }));
        }
        sure
    }

    /// What was noted so far.
    #[must_use]
    pub fn history(&self) -> History {
        self.inner.history.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn note(&self, write: impl FnOnce(&mut History)) {
        write(&mut self.inner.history.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }
}

/// A call that was sent and whose end isn't known yet.
#[derive(Debug)]
pub struct OpenCall {
    recorder: Recorder,
    client: u32,
    start: Moment,
    action: Option<Action>,
}

impl OpenCall {
    /// Notes the end.
    pub fn end(mut self, ended: Ended) {
        self.finish(ended);
    }

    fn finish(&mut self, ended: Ended) {
        let Some(action) = self.action.take() else {
            return;
        };
        let end = self.recorder.moment();
        let call = Call { client: self.client, start: self.start, end, action, ended };
        self.recorder.note(|history| history.calls.push(call));
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.finish(Ended::Unknown);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_noted_with_its_moments() {
        let recorder = Recorder::new();
        let call = recorder.call(7, Action::Acquire { lock: "l".into() });
        let between = recorder.moment();
        call.end(Ended::Ok(3));
        let history = recorder.history();
        assert_eq!(history.calls.len(), 1);
        assert!(history.calls[0].start < between && between < history.calls[0].end);
        assert_eq!(history.calls[0].ended, Ended::Ok(3));
    }

    #[test]
    fn a_dropped_call_is_unknown() {
        let recorder = Recorder::new();
        drop(recorder.call(7, Action::Acquire { lock: "l".into() }));
        assert_eq!(recorder.history().calls[0].ended, Ended::Unknown);
    }

    #[test]
    fn a_belief_is_noted_only_where_it_was_held() {
        let recorder = Recorder::new();
        assert!(recorder.belief(1, "l", 5, || true));
        assert!(!recorder.belief(1, "l", 5, || false));
        assert_eq!(recorder.history().beliefs.len(), 1);
    }
}
