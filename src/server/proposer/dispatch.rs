//! How waiting writes leave: as entries of this node where it leads, else to the leader.
//!
//! A *runner* of each lane does it, and a few more while there is more than one entry can hold. It takes what waits there, all of it that fits,
//! sends it and waits for the outcome; a runner that finds nothing ends. So a lone write leaves at once, and the writes that come while it is on
//! the way leave together; where many write again as soon as they are answered, most of them are waited for ([`crate::crowd`]). When who leads
//! changes meanwhile, nobody waits any longer for what went the old way but those who sent it.

use std::{pin::pin, sync::Arc, time::Duration};

use ringfence_core::Entry;
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    Inner, WriteError,
    clock::Clock,
    lanes::Kind,
    queue::{Group, Queue, Replies},
    wall_ms,
};
use crate::raft::{ForwardError, Leadership, ProposeError};

/// How long is waited after a refusal before asking again, unless the leader changes sooner.
const BACK_OFF: Duration = Duration::from_millis(25);
/// What is left to a batch at the end of its patience, so that it isn't sent only to be given up.
const FORWARD_TIME_MIN: Duration = Duration::from_millis(200);

/// Where writes go now.
enum Way {
    /// This node leads, and has its clock.
    Here(Arc<Clock>),
    /// That one does.
    There(u64),
}

/// What became of a batch.
enum Fate {
    Done(Replies),
    /// Surely nothing.
    NotDone,
    /// Nobody knows.
    Unknown,
    Stopped,
}

/// Has what waits in this lane sent, unless enough do that.
pub(super) fn begin(inner: &Arc<Inner>, kind: Kind) {
    if inner.lanes.of(kind).begin_runner() {
        tokio::spawn(run(inner.clone(), kind));
    }
}

/// One runner of this lane, until it has nothing to do.
async fn run(inner: Arc<Inner>, kind: Kind) {
    let lane = inner.lanes.of(kind);
    while !lane.end_runner() {
        lane.queue.assemble().await;
        let Some((way, seen)) = way(&inner, &lane.queue).await else { continue };
        let batch = gather(&lane.queue, &way);
        if !batch.is_empty() && carry(&inner, kind, &way, &seen, batch).await {
            return;
        }
    }
}

/// Sends a batch, and sees to what becomes of it. True if that took a change of who leads: then the lane has gone on without this runner.
async fn carry(inner: &Arc<Inner>, kind: Kind, way: &Way, seen: &Leadership, batch: Vec<Group>) -> bool {
    let lane = inner.lanes.of(kind);
    let (fate, overtaken) = {
        let mut sent = pin!(send(inner, way, &batch));
        tokio::select! {
            biased;
            fate = &mut sent => (fate, false),
            () = changed(inner, seen) => {
                lane.leave_runner();
                begin(inner, kind);
                (sent.await, true)
            }
        }
    };
    settle(inner, &lane.queue, batch, fate).await;
    if overtaken {
        // It may have put something back.
        begin(inner, kind);
    }
    overtaken
}

/// Waits until something about who leads differs from this.
async fn changed(inner: &Inner, seen: &Leadership) {
    match inner.node() {
        Some(node) => drop(node.leadership_changed(seen).await),
        None => std::future::pending().await,
    }
}

/// Waits until there is a way; answers meanwhile who has waited long enough. `None`: nobody waits any more.
async fn way(inner: &Inner, queue: &Queue) -> Option<(Way, Leadership)> {
    loop {
        // Enlisted before the look, so that a clock that comes in between isn't missed.
        let mut clock_came = std::pin::pin!(inner.clock_came.notified());
        clock_came.as_mut().enable();
        if inner.stopping.is_stopping() {
            answer_all(queue.take_where(|_| true), &WriteError::Stopping);
            return None;
        }
        let node = inner.node()?;
        let seen = node.leadership();
        if seen.is_me {
            if let Some(clock) = inner.clock(seen.term) {
                return Some((Way::Here(clock), seen));
            }
        } else {
            // Whoever forwarded it looks for the leader itself; and a member that was cut off won't find it.
            answer_all(queue.take_where(|group| group.here_only || seen.cut_off), &WriteError::NoLeader);
            if let Some(leader) = seen.leader {
                return Some((Way::There(leader), seen));
            }
        }
        let now = Instant::now();
        answer_all(queue.take_where(|group| group.deadline <= now), &WriteError::NoLeader);
        let deadline = queue.next_deadline()?;
        tokio::select! {
            biased;
            () = inner.stopping.wait() => {}
            () = clock_came => {}
            _ = node.leadership_changed(&seen) => {}
            () = sleep_until(deadline) => {}
        }
    }
}

/// What leaves now. Groups that waited too long are answered, and those that may not be forwarded.
fn gather(queue: &Queue, way: &Way) -> Vec<Group> {
    let now = Instant::now();
    let mut batch = Vec::new();
    for group in queue.gather() {
        let stranded = group.here_only && matches!(way, Way::There(_));
        if stranded || group.deadline <= now {
            group.answer(Err(WriteError::NoLeader));
        } else {
            batch.push(group);
        }
    }
    batch
}

async fn send(inner: &Inner, way: &Way, batch: &[Group]) -> Fate {
    let Some(node) = inner.node() else {
        return Fate::Stopped;
    };
    let requests: Vec<_> = batch.iter().flat_map(|group| group.requests.iter().cloned()).collect();
    let count = requests.len();
    let fate = match way {
        Way::Here(clock) => {
            let entry = Entry { clock_ms: clock.now_ms(), wall_ms: wall_ms(), requests };
            #[cfg(madsim)]
            inner.replica.foresee(&entry);
            match node.propose(entry).await {
                Ok(proposed) => Fate::Done(proposed.replies),
                Err(ProposeError::NotLeader { .. }) => Fate::NotDone,
                Err(ProposeError::Unknown) => {
                    #[cfg(madsim)]
                    ringfence_probes::hit(ringfence_probes::marks::WRITE_WITHOUT_QUORUM);
                    Fate::Unknown
                }
                Err(ProposeError::Stopped) => Fate::Stopped,
            }
        }
        Way::There(leader) => {
            let last = batch.iter().map(|group| group.deadline).max().unwrap_or_else(Instant::now);
            let left = last.saturating_duration_since(Instant::now()).max(FORWARD_TIME_MIN);
            // By mistake an answer is waited for too briefly, and what may have been done is sent again.
            #[cfg(madsim)]
            let (left, twice) = match ringfence_probes::on(ringfence_probes::Bug::ForwardedTwice) {
                true => (left / 8, true),
                false => (left, false),
            };
            match node.forward_propose(*leader, requests, left).await {
                Ok(replies) => {
                    #[cfg(madsim)]
                    ringfence_probes::hit(ringfence_probes::marks::WRITE_FORWARDED);
                    Fate::Done(replies)
                }
                #[cfg(madsim)]
                Err(ForwardError::Unknown(_)) if twice => Fate::NotDone,
                Err(ForwardError::NotLeader { .. } | ForwardError::Unreachable(_)) => Fate::NotDone,
                Err(ForwardError::Unknown(_)) => Fate::Unknown,
            }
        }
    };
    match fate {
        // A peer that counts differently is not to be trusted with who gets which reply.
        Fate::Done(replies) if replies.len() != count => Fate::Unknown,
        fate => fate,
    }
}

/// Answers a batch, or puts it back where doing so is safe.
async fn settle(inner: &Inner, queue: &Queue, batch: Vec<Group>, fate: Fate) {
    match fate {
        Fate::Done(replies) => {
            queue.answered(replies.len());
            let mut replies = replies.into_iter();
            for group in batch {
                let own: Replies = replies.by_ref().take(group.requests.len()).collect();
                group.answer(Ok(own));
            }
        }
        Fate::Stopped => answer_all(batch, &WriteError::Stopping),
        Fate::NotDone => {
            queue.put_back(batch);
            back_off(inner).await;
        }
        Fate::Unknown => {
            let now = Instant::now();
            let batch = batch.into_iter().map(|group| Group { maybe_done: true, ..group });
            let (again, over): (Vec<_>, Vec<_>) = batch.partition(|group| group.repeatable && group.deadline > now);
            answer_all(over, &WriteError::Unknown);
            if !again.is_empty() {
                queue.put_back(again);
                back_off(inner).await;
            }
        }
    }
}

async fn back_off(inner: &Inner) {
    let Some(node) = inner.node() else { return };
    let seen = node.leadership();
    tokio::select! {
        biased;
        () = inner.stopping.wait() => {}
        _ = node.leadership_changed(&seen) => {}
        () = sleep(BACK_OFF) => {}
    }
}

fn answer_all(groups: Vec<Group>, error: &WriteError) {
    for group in groups {
        group.answer(Err(error.clone()));
    }
}
