//! From outcomes and answers to lines that people read.

use std::fmt::Write as _;
use std::sync::Arc;

use ringfence_core::query::{
    HistoryAnswer, OwnerAnswer, QueueAnswer, QueueSummary, Range, RangeAnswer, SessionView, StatsAnswer,
};
use ringfence_core::{
    Change, ClaimView, Command, Entry, EventKind, Grant, KeyView, Mode, Op, OpReply, Outcome, Refusal, Reply,
    SessionId, TxnReply,
};

/// Replies to an entry's requests, then what happened besides.
pub fn outcome(entry: &Entry, outcome: &Outcome, show_changes: bool) -> String {
    let mut out = String::new();
    for (request, reply) in entry.requests.iter().zip(&outcome.replies) {
        match reply {
            Ok(given) => reply_lines(&mut out, &request.command, given),
            Err(refusal) => line(&mut out, &refused(refusal)),
        }
    }
    match &outcome.expired[..] {
        [first, .., last] if outcome.expired.len() > 10 => {
            let count = outcome.expired.len();
            line(&mut out, &format!("  {count} sessions expired, {} to {}", first.0, last.0));
        }
        expired => expired.iter().for_each(|id| line(&mut out, &format!("  session {} expired", id.0))),
    }
    for Grant { name, session, token, .. } in &outcome.ended {
        line(&mut out, &format!("  {}: token {token} of session {} ended", text(name), session.0));
    }
    for Grant { name, session, token, .. } in &outcome.granted {
        line(&mut out, &format!("  {}: token {token} of session {} granted", text(name), session.0));
    }
    if show_changes {
        for change in &outcome.changes {
            line(&mut out, &format!("  {}", change_line(change)));
        }
        if !outcome.queues.is_empty() {
            let names: Vec<_> = outcome.queues.iter().map(|name| text(name)).collect();
            line(&mut out, &format!("  owners changed: {}", names.join(" ")));
        }
    }
    out
}

pub fn line(out: &mut String, line: &str) {
    writeln!(out, "{line}").unwrap();
}

pub fn refused(refusal: &Refusal) -> String {
    format!("refused, {}: {refusal}", variant(refusal))
}

/// The name of the variant, as the service's reasons are called.
fn variant(refusal: &Refusal) -> String {
    let debug = format!("{refusal:?}");
    debug.split(|character: char| !character.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

fn reply_lines(out: &mut String, command: &Command, reply: &Reply) {
    match reply {
        Reply::Txn(reply) => txn_lines(out, command, reply),
        Reply::Compacted => line(out, "compacted"),
        Reply::SessionOpened { id, ttl_ms } => line(out, &format!("session {} is open, TTL {ttl_ms} ms", id.0)),
        Reply::SessionsRenewed(ttls) => {
            let alive =
                |ttl_ms: &Option<u64>| ttl_ms.map_or("not alive".to_owned(), |ttl_ms| format!("alive for {ttl_ms} ms"));
            let ttls: Vec<_> = ttls.iter().map(alive).collect();
            line(out, &ttls.join(", "));
        }
        Reply::SessionClosed { deleted } => line(out, &format!("closed, and {deleted} keys deleted")),
        Reply::Claimed(view) => line(out, &claim(view)),
        Reply::Released(view) => line(out, &format!("released {}", claim(view))),
        Reply::Proclaimed => line(out, "proclaimed"),
        Reply::LevelRaised { level } => line(out, &format!("the level is {level}")),
    }
}

fn txn_lines(out: &mut String, command: &Command, reply: &TxnReply) {
    let Command::Txn(txn) = command else { return };
    let single = txn.compare.is_empty() && txn.then.len() == 1;
    let mut indent = "";
    if !single {
        let branch = if reply.succeeded { "then" } else { "else" };
        line(out, &format!("{branch}, revision {}", reply.revision));
        indent = "  ";
    }
    let ops = if reply.succeeded { &txn.then } else { &txn.otherwise };
    for (op, result) in ops.iter().zip(&reply.results) {
        for result in op_result(op, result, reply.revision).lines() {
            line(out, &format!("{indent}{result}"));
        }
    }
}

fn op_result(op: &Op, result: &OpReply, revision: u64) -> String {
    match result {
        OpReply::Put { key, prev } => {
            let was = prev.as_ref().map_or(String::new(), |prev| format!(", was {}", key_line(prev)));
            format!("put {} in revision {revision}{was}", text(key))
        }
        OpReply::Delete { deleted, prev } => {
            let mut out = format!("deleted {deleted}, revision {revision}\n");
            prev.iter().for_each(|prev| line(&mut out, &format!("  was {}", key_line(prev))));
            out
        }
        OpReply::Range(answer) => {
            let Op::Range(query) = op else {
                return String::new();
            };
            range(query, answer)
        }
    }
}

/// Bytes as text; long runs of one character are said to be so.
pub fn text(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "\"\"".to_owned();
    }
    if bytes.len() > 100 {
        return format!("{} bytes", bytes.len());
    }
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn bond(session: Option<SessionId>) -> String {
    session.map_or(String::new(), |id| format!(", session {}", id.0))
}

fn key_line(view: &KeyView) -> String {
    let KeyView { key, value, create_revision, mod_revision, version, session, claim, .. } = view;
    if *version == 0 {
        return format!("{}/…", text(key));
    }
    let claim = if *claim { ", claim" } else { "" };
    let bond = bond(*session);
    format!(
        "{} = {} (created {create_revision}, changed {mod_revision}, version {version}{bond}{claim})",
        text(key),
        text(value)
    )
}

pub fn range(query: &Range, answer: &RangeAnswer) -> String {
    let mut out = String::new();
    for view in &answer.keys {
        line(&mut out, &key_line(view));
    }
    let more = if answer.more { ", and there are more" } else { "" };
    if query.count_only || answer.more || answer.keys.len() as u64 != answer.count {
        line(&mut out, &format!("{} of {}{more}", answer.keys.len(), answer.count));
    } else if answer.keys.is_empty() {
        line(&mut out, "nothing");
    }
    out
}

pub fn history(answer: &HistoryAnswer) -> String {
    let mut out = String::new();
    for (view, deleted) in &answer.versions {
        let deletion = format!("{} was deleted in {}", text(&view.key), view.mod_revision);
        line(&mut out, &if *deleted { deletion } else { key_line(view) });
    }
    if answer.more {
        line(&mut out, "and there are more");
    }
    if out.is_empty() { "nothing".to_owned() } else { out }
}

pub fn sessions(views: &[SessionView]) -> String {
    let mut out = String::new();
    for SessionView { id, owner, ttl_ms, remaining_ms, opened_wall_ms, keys } in views {
        let keys: Vec<_> = keys.iter().map(|key| text(key)).collect();
        let of = format!("session {} of {}, opened at {opened_wall_ms}", id.0, text(owner.as_bytes()));
        line(&mut out, &format!("{of}: {remaining_ms} of {ttl_ms} ms remain; keys: [{}]", keys.join(" ")));
    }
    if out.is_empty() { "nothing".to_owned() } else { out }
}

/// One claim.
fn claim(view: &ClaimView) -> String {
    let mode = match view.mode {
        Mode::Exclusive => String::new(),
        Mode::Shared => ", shared".to_owned(),
        Mode::Semaphore(permits) => format!(", one of {permits}"),
    };
    let place = if view.owner { "owner" } else { "waits" };
    let value = if view.value.is_empty() { String::new() } else { format!(", value {}", text(&view.value)) };
    let suffix = if view.suffix.is_empty() { String::new() } else { format!("-{}", text(&view.suffix)) };
    format!("{}: token {} of session {}{suffix}, {place}{mode}{value}", text(&view.name), view.token, view.session.0)
}

pub fn queue(answer: &QueueAnswer) -> String {
    let mut out = String::new();
    for view in answer.owners.iter().chain(&answer.waiters) {
        let granted = if view.owner { format!(", granted at {}", view.granted_wall_ms) } else { String::new() };
        line(&mut out, &format!("{} (claimed at {}{granted})", claim(view), view.claimed_wall_ms));
    }
    if answer.owners.len() as u64 != answer.owning {
        line(&mut out, &format!("{} own it", answer.owning));
    }
    if answer.waiters.len() as u64 != answer.waiting {
        line(&mut out, &format!("{} wait", answer.waiting));
    }
    if out.is_empty() { "nobody".to_owned() } else { out }
}

pub fn queues(answer: &[QueueSummary]) -> String {
    let mut out = String::new();
    for QueueSummary { name, owner, owners, waiting } in answer {
        let owner = owner.session.0;
        line(&mut out, &format!("{}: {owners} own it, oldest session {owner}; {waiting} wait", text(name)));
    }
    if out.is_empty() { "nothing".to_owned() } else { out }
}

pub fn owner(answer: &OwnerAnswer) -> String {
    let owner = if answer.owner { "yes" } else { "no" };
    format!("{owner}; the highest owner's token is {}", answer.current)
}

pub fn claim_by_key(answer: &Option<ClaimView>) -> String {
    answer.as_ref().map_or("no claim".to_owned(), claim)
}

fn change_line(change: &Change) -> String {
    let mut out = format!("revision {}:", change.revision);
    for event in &change.events {
        let key = text(&event.key.key);
        match event.kind {
            EventKind::Put => write!(out, " put {key} = {}", text(&event.key.value)).unwrap(),
            EventKind::Delete => write!(out, " delete {key}").unwrap(),
        }
        if let Some(prev) = &event.prev {
            write!(out, " (was {} from {})", text(&prev.value), prev.mod_revision).unwrap();
        }
        out.push(',');
    }
    out.trim_end_matches(',').to_owned()
}

pub fn changes(changes: &[Arc<Change>]) -> String {
    let lines: Vec<_> = changes.iter().map(|change| change_line(change)).collect();
    if lines.is_empty() { "nothing".to_owned() } else { lines.join("\n") }
}

pub fn stats(stats: &StatsAnswer) -> String {
    // The hash is left out: it says nothing to a reader, and the property tests compare it.
    let StatsAnswer {
        revision, compacted, clock_ms, next_deadline_ms, ttl_min_ms, keys, sessions, queues, bytes, ..
    } = stats;
    let or_none = |number: &Option<u64>| number.map_or("none".to_owned(), |number| number.to_string());
    let (deadline, ttl) = (or_none(next_deadline_ms), or_none(ttl_min_ms));
    format!(
        "revision {revision}, compacted {compacted}; clock {clock_ms}, next deadline {deadline}, smallest TTL {ttl}\n\
         {keys} keys, {sessions} sessions, {queues} queues; {bytes} bytes"
    )
}
