//! Sessions: list, show, close.

use std::time::Duration;

use ringfence_client::{SessionDescription, SessionInfo};

use crate::args::ReadArgs;
use crate::args::session::SessionCommand;
use crate::context::{Context, Done};
use crate::exit;
use crate::output::{Object, Table, duration, escape, session_hex, wall_time};

/// Sessions asked for at once; also the most that a member answers.
const PAGE: u32 = 1000;

/// Does one of the commands.
pub async fn run(context: &Context, command: SessionCommand) -> Done {
    match command {
        SessionCommand::List { read } => list(context, read).await,
        SessionCommand::Show { id, read } => {
            let description = context.reading(read).sessions().describe(id).await?;
            context.output.either(|| description_object(&description), || description_lines(&description))?;
            Ok(exit::DONE)
        }
        SessionCommand::Close { id } => {
            let deleted = context.client.sessions().close(id).await?;
            let object = || Object::new().field("session", session_hex(id)).field("deleted", deleted);
            context.output.either(object, || format!("closed; {deleted} keys and claims went with it"))?;
            Ok(exit::DONE)
        }
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn info_object(info: &SessionInfo) -> Object {
    Object::new()
        .field("session", session_hex(info.id))
        .field("owner", info.owner.as_str())
        .field("ttl_ms", ms(info.ttl))
        .field("remaining_ms", ms(info.remaining))
        .field("opened_wall_ms", info.opened_wall_ms)
        .field("keys", info.keys)
}

async fn list(context: &Context, read: ReadArgs) -> Done {
    let sessions = context.reading(read).sessions();
    let row = |info: &SessionInfo| {
        vec![
            session_hex(info.id),
            duration(ms(info.ttl)),
            duration(ms(info.remaining)),
            wall_time(info.opened_wall_ms),
            info.keys.to_string(),
            escape(info.owner.as_bytes()),
        ]
    };
    let mut header: &[&str] = &["SESSION", "TTL", "REMAINING", "OPENED", "KEYS", "OWNER"];
    let mut after = 0;
    loop {
        let page = sessions.list(after, PAGE).await?;
        context.output.rows(&page.items, info_object, &Table { header, row }, "no session is open")?;
        match page.items.last() {
            Some(last) if page.more => after = last.id,
            _ => return Ok(exit::DONE),
        }
        header = &[];
    }
}

fn description_object(description: &SessionDescription) -> Object {
    let keys = description.keys.iter().map(|key| Object::new().bytes("key", key));
    info_object(&description.session).list("bound", keys)
}

fn description_lines(description: &SessionDescription) -> String {
    let info = &description.session;
    let mut lines = vec![
        format!("session    {}", session_hex(info.id)),
        format!("owner      {}", escape(info.owner.as_bytes())),
        format!("ttl        {}", duration(ms(info.ttl))),
        format!("remaining  {}", duration(ms(info.remaining))),
        format!("opened     {}", wall_time(info.opened_wall_ms)),
        format!("keys       {}", info.keys),
    ];
    lines.extend(description.keys.iter().map(|key| format!("  {}", escape(key))));
    let hidden = info.keys.saturating_sub(description.keys.len() as u64);
    if hidden > 0 {
        lines.push(format!("  and {hidden} more"));
    }
    lines.join("\n")
}
