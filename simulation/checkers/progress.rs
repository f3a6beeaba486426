//! Liveness: once the faults are over, all but those that leave a majority, one of every operation is done within its bound.

use super::Findings;
use super::facts::{Facts, ms};

pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings) {
    for tried in facts.history.liveness.iter().filter(|tried| tried.done.is_none()) {
        let (what, from, last) = (&tried.what, ms(tried.from), &tried.last);
        findings
            .broken(tried.from, format!("{what} could work from {from} on, and wasn't done within its bound: {last}"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::hand::{accepts, rejects};
    use super::check;
    use crate::history::{History, Liveness};

    fn tried(done: Option<u64>) -> History {
        let liveness = vec![Liveness { what: "a put".into(), from: 5, done, last: "no leader".into() }];
        History { liveness, ..History::default() }
    }

    #[test]
    fn what_is_not_done_in_time_is_rejected() {
        accepts(check, &tried(Some(9)));
        rejects(check, &tried(None), "a put");
    }
}
