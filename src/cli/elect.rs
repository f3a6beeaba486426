//! Elections: run a command as the leader, ask for the leader, observe, proclaim, resign.

use std::os::unix::ffi::OsStrExt;

use ringfence_client::{LeaderView, LockMode};

use crate::args::ReadArgs;
use crate::args::elect::{ElectCommand, ElectRunArgs, ProclaimArgs};
use crate::args::lock::ClaimArgs;
use crate::context::{Context, Done};
use crate::exit;
use crate::failure::Failure;
use crate::hold::{self, Noun, Request};
use crate::lock;
use crate::output::{Object, escape, reader_gone, session_hex};
use crate::shapes;

/// Does one of the commands.
pub async fn run(context: &Context, command: ElectCommand) -> Done {
    match command {
        ElectCommand::Run(args) => run_as_leader(context, args).await,
        ElectCommand::Leader { name, read } => leader(context, &name, read).await,
        ElectCommand::Observe { name, count } => observe(context, &name, count).await,
        ElectCommand::Proclaim(args) => proclaim(context, args).await,
        ElectCommand::Resign(args) => lock::release(context, args).await,
    }
}

async fn run_as_leader(context: &Context, args: ElectRunArgs) -> Done {
    let request = Request {
        noun: Noun::Leadership,
        name: &args.name,
        mode: LockMode::Exclusive,
        value: args.value.as_bytes(),
        ttl: args.hold.ttl.ttl,
        wait: args.hold.wait,
        purpose: hold::purpose(&args.run),
    };
    hold::run_command(context, &request, &args.run, "RINGFENCE_ELECTION").await
}

fn view_object(name: &str, view: &LeaderView) -> Object {
    Object::new()
        .field("name", name)
        .field("leader", view.leader.as_ref().map(|claim| serde_json::Value::from(shapes::claim(claim))))
        .field("waiting", view.waiting)
        .field("revision", view.revision)
}

async fn leader(context: &Context, name: &str, read: ReadArgs) -> Done {
    let view = context.reading(read).election(name).leader().await?;
    if context.output.is_json() {
        context.output.object(view_object(name, &view))?;
        return Ok(if view.leader.is_some() { exit::DONE } else { exit::NO });
    }
    let Some(claim) = &view.leader else {
        return Err(Failure::no("NO_LEADER_NOW", format!("nobody leads `{}` now", escape(name.as_bytes())))
            .next("`ringfence elect observe NAME` says when somebody does"));
    };
    context.output.bytes(&claim.value)?;
    context.output.line("")?;
    Ok(exit::DONE)
}

async fn proclaim(context: &Context, args: ProclaimArgs) -> Done {
    let ClaimArgs { name, token, session } = args.claim;
    let Some(session) = session else {
        return Err(Failure::usage("say whose leadership it is")
            .next("give --session ID, which `ringfence lock show NAME` shows; within `elect run` it is known"));
    };
    // The oldest claim of the session is the one that leads, if any does.
    let token = match token {
        Some(token) => token,
        None => lock::claims_of(context, &name, session).await?.first().map_or(0, |claim| claim.token),
    };
    let value = args.value.as_bytes();
    context.client.election(&name).proclaim(session, token, value).await?;
    let object = || {
        let object = Object::new().field("name", name.as_str()).field("token", token);
        object.field("session", session_hex(session)).bytes("value", value)
    };
    context.output.either(object, || format!("proclaimed {}, token {token}", escape(value)))?;
    Ok(exit::DONE)
}

/// Prints leaders until there were enough, or nobody reads them any more.
async fn observe(context: &Context, name: &str, count: Option<u64>) -> Done {
    tokio::select! {
        biased;
        done = print_leaders(context, name, count) => done,
        () = reader_gone() => Ok(exit::DONE),
    }
}

async fn print_leaders(context: &Context, name: &str, count: Option<u64>) -> Done {
    let mut observer = context.client.election(name).observe();
    let mut left = count.unwrap_or(u64::MAX);
    while left > 0 {
        let Some(view) = observer.next().await else {
            break;
        };
        let view = view?;
        context.output.either(|| view_object(name, &view), || view_line(&view))?;
        left -= 1;
    }
    Ok(exit::DONE)
}

fn view_line(view: &LeaderView) -> String {
    view.leader.as_ref().map_or_else(
        || "no leader now".to_owned(),
        |claim| {
            let (value, owner) = (escape(&claim.value), escape(claim.session_owner.as_bytes()));
            format!("leader {value}  token {}  ({owner})", claim.token)
        },
    )
}
