//! Signals that end a wait or are passed on to a command.

use std::future::poll_fn;
use std::task::Poll;

use nix::sys::signal::Signal;
use tokio::signal::unix::{self, SignalKind};

use crate::exit;
use crate::failure::Failure;

const CAUGHT: [Signal; 6] =
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2];

/// Signals caught from its creation on.
pub struct Signals {
    streams: Vec<(Signal, unix::Signal)>,
}

impl Signals {
    /// Starts catching. A hang-up stays ignored where it was (`nohup`).
    pub fn new() -> Result<Self, Failure> {
        let ignored = ignored();
        let mut streams = Vec::with_capacity(CAUGHT.len());
        for signal in CAUGHT {
            if signal == Signal::SIGHUP && ignored & (1 << (signal as u32 - 1)) != 0 {
                continue;
            }
            let stream =
                unix::signal(SignalKind::from_raw(signal as i32)).map_err(|error| Failure::io("signals", &error))?;
            streams.push((signal, stream));
        }
        Ok(Self { streams })
    }

    /// The next one that arrives. Cancel safe.
    pub async fn next(&mut self) -> Signal {
        poll_fn(|context| {
            for (signal, stream) in &mut self.streams {
                if stream.poll_recv(context) == Poll::Ready(Some(())) {
                    return Poll::Ready(*signal);
                }
            }
            Poll::Pending
        })
        .await
    }

    /// The next one that asks this program itself to end. Cancel safe.
    pub async fn next_end(&mut self) -> Signal {
        loop {
            let signal = self.next().await;
            if !matches!(signal, Signal::SIGUSR1 | Signal::SIGUSR2) {
                return signal;
            }
        }
    }
}

/// The exit code of something that a signal ended.
pub fn exit_code(signal: i32) -> u8 {
    u8::try_from(signal).ok().and_then(|signal| exit::SIGNALLED.checked_add(signal)).unwrap_or(u8::MAX)
}

/// Signals that were ignored when this program started, as a bit mask; none where the system doesn't tell.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
