//! (Skeleton: empty answers, so that what is built upon the core compiles. Goes when the real ones come.)
use std::sync::Arc;

use crate::{Change, ClaimView, Refusal, State, query::*};

macro_rules! empty {
    ($($query:ty => $answer:ty),* $(,)?) => {
        $(impl Query for $query {
            type Answer = $answer;
            fn answer(&self, _: &State) -> Result<$answer, Refusal> {
                Ok(Default::default())
            }
        })*
    };
}

empty! {
    Range => RangeAnswer,
    Queue => QueueAnswer,
    Queues => Vec<QueueSummary>,
    Sessions => Vec<SessionView>,
    ClaimByKey => Option<ClaimView>,
    Changes => Vec<Arc<Change>>,
    Stats => StatsAnswer,
}

impl Query for Session {
    type Answer = SessionView;
    fn answer(&self, _: &State) -> Result<SessionView, Refusal> {
        Err(Refusal::SessionUnknown(self.0))
    }
}

impl Query for Owner {
    type Answer = OwnerAnswer;
    fn answer(&self, _: &State) -> Result<OwnerAnswer, Refusal> {
        Ok(OwnerAnswer { owner: false, current: 0 })
    }
}

impl Query for KeyHistory {
    type Answer = HistoryAnswer;
    fn answer(&self, _: &State) -> Result<HistoryAnswer, Refusal> {
        Ok(HistoryAnswer { versions: Vec::new(), more: false })
    }
}
