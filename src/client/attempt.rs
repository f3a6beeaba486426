//! One attempt of a call at one member: over its pipeline, or by itself.

#[cfg(not(madsim))]
use std::sync::Arc;
use std::time::Duration;

#[cfg(madsim)]
use ringfence_probes::callers::Line;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::error::Result;
#[cfg(not(madsim))]
use crate::pipeline::{Pipeline, Unanswered};
use crate::pipelined::Pipelined;
use crate::pool::Pool;
use crate::route::Address;

/// The ways to a member.
pub(crate) struct Connection {
    channel: Channel,
    #[cfg(not(madsim))]
    pipeline: Arc<Pipeline>,
}

impl Connection {
    pub(crate) fn to(pool: &Pool, address: &Address) -> Result<Self> {
        Ok(Self {
            channel: pool.short(address)?,
            #[cfg(not(madsim))]
            pipeline: pool.pipeline(address)?,
        })
    }

    /// An attempt that ends after this time, for the member too.
    pub(crate) fn attempt(&self, timeout: Duration) -> Attempt {
        let mut envelope = Request::new(());
        envelope.set_timeout(whole_ms(timeout));
        Attempt {
            channel: self.channel.clone(),
            envelope,
            #[cfg(not(madsim))]
            pipeline: self.pipeline.clone(),
            #[cfg(not(madsim))]
            timeout,
        }
    }
}

/// See the module.
pub(crate) struct Attempt {
    pub(crate) channel: Channel,
    /// What goes along with a request.
    pub(crate) envelope: Request<()>,
    #[cfg(not(madsim))]
    pipeline: Arc<Pipeline>,
    #[cfg(not(madsim))]
    timeout: Duration,
}

impl Attempt {
    /// Which ends when this caller does.
    #[cfg(madsim)]
    pub(crate) fn of(mut self, line: &Line) -> Self {
        self.envelope.extensions_mut().insert(line.clone());
        self
    }

    /// Asks over the pipeline, and else by a call of its own.
    pub(crate) async fn ask<Q: Pipelined>(self, request: Q) -> Result<Q::Answer, Status> {
        #[cfg(not(madsim))]
        match self.pipeline.ask(request.clone(), Some(self.timeout)).await {
            Ok(answer) => return Ok(answer),
            Err(Unanswered::Failed(status)) => return Err(status),
            Err(Unanswered::Alone) => {}
        }
        Q::alone(self.channel, self.envelope.map(|()| request)).await.map(Response::into_inner)
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
