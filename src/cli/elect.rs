//! Elections: run a command as the leader, ask for the leader, observe, resign.

use std::os::unix::ffi::OsStrExt;

use ringfence_client::{LeaderView, LockMode};

use crate::args::ReadArgs;
use crate::args::elect::{ElectCommand, ElectRunArgs};
use crate::context::{Context, Done};
use crate::exit;
use crate::failure::Failure;
use crate::hold::{self, Noun, Request};
use crate::lock;
use crate::output::{Object, escape, reader_gone};
use crate::shapes;

/// Does one of the commands.
pub async fn run(context: &Context, command: ElectCommand) -> Done {
    match command {
        ElectCommand::Run(args) => run_as_leader(context, args).await,
        ElectCommand::Leader { name, read } => leader(context, &name, read).await,
        ElectCommand::Observe { name, count } => observe(context, &name, count).await,
        ElectCommand::Resign(args) => lock::release(context, args).await,
    }
}

async fn run_as_leader(context: &Context, args: ElectRunArgs) -> Done {
    let request = Request {
        noun: Noun::Leadership,
        name: &args.name,
        mode: LockMode::Exclusive,
        value: args.value.as_bytes(),
        ttl: args.hold.ttl,
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
