//! Calls and answers as words, short enough for a column.

use crate::history::{Action, Answer, Ended, Mode, Read, Told};

/// What kind of operation it is, as it is counted.
#[must_use]
pub fn kind(action: &Action) -> String {
    let kind = match action {
        Action::Put { .. } => "put",
        Action::Swap { .. } => "compare and set",
        Action::Delete { .. } => "delete",
        Action::PutAll { .. } => "transaction",
        Action::FencedPut { .. } => "fenced put",
        Action::Get { read: Read::Linearizable, .. } => "get",
        Action::Get { read: Read::Stale { .. }, .. } => "stale get",
        Action::List { read: Read::Linearizable, .. } => "list",
        Action::List { read: Read::Stale { .. }, .. } => "stale list",
        Action::OpenSession { .. } => "open session",
        Action::CloseSession { .. } => "close session",
        Action::Acquire { only_if_free: true, .. } => "try acquire",
        Action::Acquire { .. } => "acquire",
        Action::Release { .. } => "release",
        Action::Describe { .. } => "describe",
        Action::Proclaim { .. } => "proclaim",
        Action::Compact { .. } => "compact",
        Action::Admin { what } => return format!("admin: {}", what.split_whitespace().next().unwrap_or("other")),
        Action::Register { .. } => "register",
    };
    kind.to_owned()
}

/// What was asked for.
#[must_use]
pub fn action(action: &Action) -> String {
    match action {
        Action::Put { key, value, session: 0 } => format!("put {key}={value}"),
        Action::Put { key, value, session } => format!("put {key}={value} in session {session}"),
        Action::Swap { key, expected: Some(expected), value } => format!("set {key}={value} if it is {expected}"),
        Action::Swap { key, expected: None, value } => format!("set {key}={value} if there is none"),
        Action::Delete { key } => format!("delete {key}"),
        Action::PutAll { pairs } => {
            let pairs: Vec<_> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!("put {}", pairs.join(" "))
        }
        Action::FencedPut { lock, token, key, value } => format!("put {key}={value} if {token} owns {lock}"),
        Action::Get { key, read: how } => format!("get {key}{}", read(*how)),
        Action::List { prefix, read: how } => format!("list {prefix}{}", read(*how)),
        Action::OpenSession { ttl_ms } => format!("open a session of {ttl_ms} ms"),
        Action::CloseSession { session } => format!("close session {session}"),
        Action::Acquire { lock, mode: how, session, only_if_free, .. } => {
            let verb = if *only_if_free { "try" } else { "acquire" };
            format!("{verb} {lock}{} in session {session}", mode(*how))
        }
        Action::Release { lock, token, .. } => format!("release {lock}, token {token}"),
        Action::Describe { lock } => format!("describe {lock}"),
        Action::Proclaim { lock, token, value } => format!("proclaim {value} in {lock}, token {token}"),
        Action::Compact { revision } => format!("compact to {revision}"),
        Action::Admin { what } => what.clone(),
        Action::Register { lock, token } => format!("write the register of {lock}, token {token}"),
    }
}

fn read(read: Read) -> String {
    match read {
        Read::Linearizable => String::new(),
        Read::Stale { min_revision: 0 } => ", stale".to_owned(),
        Read::Stale { min_revision } => format!(", stale from revision {min_revision}"),
    }
}

/// How a claim shares its name; nothing for an exclusive one.
#[must_use]
pub fn mode(mode: Mode) -> String {
    match mode {
        Mode::Exclusive => String::new(),
        Mode::Shared => " shared".to_owned(),
        Mode::Permits(permits) => format!(" with {permits} permits"),
    }
}

/// How a call ended.
#[must_use]
pub fn ended(ended: &Ended) -> String {
    match ended {
        Ended::Ok(answered) => answer(answered),
        Ended::Refused(kind) => format!("refused: {kind}"),
        Ended::Unknown => "no answer".to_owned(),
    }
}

fn answer(answer: &Answer) -> String {
    match answer {
        Answer::Wrote { revision } => format!("done at {revision}"),
        Answer::Unchanged { revision } => format!("unchanged at {revision}"),
        Answer::Read { found, revision } => match found.as_slice() {
            [] => format!("nothing at {revision}"),
            [one] => format!("{} (of {}) at {revision}", one.value, one.mod_revision),
            more => format!("{} keys at {revision}", more.len()),
        },
        Answer::Session { id } => format!("session {id}"),
        Answer::Token { token } => format!("token {token}"),
        Answer::Queue { owners, waiters, revision } => format!("owners {owners:?}, waiters {waiters:?} at {revision}"),
        Answer::Done => "done".to_owned(),
    }
}

/// What a watcher was told.
#[must_use]
pub fn told(told: &Told) -> String {
    match told {
        Told::Snapshot { revision, found } => format!("state at {revision}: {} keys", found.len()),
        Told::Events(versions) => {
            let all: Vec<_> = versions
                .iter()
                .map(|version| match &version.value {
                    Some(value) => format!("{}: {}={value}", version.revision, version.key),
                    None => format!("{}: {} deleted", version.revision, version.key),
                })
                .collect();
            all.join(", ")
        }
        Told::Progress { revision } => format!("everything up to {revision}"),
        Told::Compacted { oldest } => format!("ended: compacted, oldest {oldest}"),
        Told::Failed(why) => format!("ended: {why}"),
    }
}
