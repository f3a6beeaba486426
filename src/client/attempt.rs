//! One attempt of a call at one member: over its pipeline, or by itself.

use std::time::Duration;

#[cfg(madsim)]
use ringfence_probes::callers::Line;
use tonic::{Request, Response, Status};

#[cfg(not(madsim))]
use crate::pipeline::Unanswered;
use crate::pipelined::Pipelined;
use crate::pool::Short;

/// See the module.
pub(crate) struct Attempt {
    pub(crate) short: Short,
    /// What goes along with a request.
    pub(crate) envelope: Request<()>,
    #[cfg(not(madsim))]
    timeout: Duration,
}

impl Attempt {
    /// One that ends after this time, for the member too.
    pub(crate) fn new(short: Short, timeout: Duration) -> Self {
        let mut envelope = Request::new(());
        envelope.set_timeout(whole_ms(timeout));
        Self {
            short,
            envelope,
            #[cfg(not(madsim))]
            timeout,
        }
    }

    /// Which ends when this caller does.
    #[cfg(madsim)]
    pub(crate) fn of(mut self, line: &Line) -> Self {
        self.envelope.extensions_mut().insert(line.clone());
        self
    }

    /// Asks over the pipeline, and else by a call of its own.
    pub(crate) async fn ask<Q: Pipelined>(self, request: Q) -> Result<Q::Answer, Status> {
        #[cfg(not(madsim))]
        match self.short.pipeline.ask(request.clone(), Some(self.timeout)).await {
            Ok(answer) => return Ok(answer),
            Err(Unanswered::Failed(status)) => return Err(status),
            Err(Unanswered::Alone) => {}
        }
        Q::alone(self.short.channel, self.envelope.map(|()| request)).await.map(Response::into_inner)
    }
}

/// The next whole millisecond: times that differ by microseconds alone are then the same header, which HTTP/2 sends and keeps once.
pub(crate) fn whole_ms(time: Duration) -> Duration {
    let ms = u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
    Duration::from_millis(ms)
}

#[cfg(all(test, not(madsim)))]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_call_is_told_in_whole_milliseconds_and_never_shorter() {
        for (us, ms) in [(0, 0), (1, 1), (4_999_001, 5000), (5_000_000, 5000)] {
            assert_eq!(whole_ms(Duration::from_micros(us)), Duration::from_millis(ms));
        }
    }
}
