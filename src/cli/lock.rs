//! Locks: run a command under one, acquire, try, show, list, validate, release.

use std::time::Duration;

use ringfence_client::{Claim, LockDescription, LockMode, LockSummary};

use crate::args::ReadArgs;
use crate::args::lock::{
    ClaimArgs, KeepArgs, LockAcquireArgs, LockCommand, LockRunArgs, LockTryArgs, ModeArgs, ReleaseArgs,
};
use crate::context::{Context, Done};
use crate::exit;
use crate::failure::Failure;
use crate::hold::{self, Held, Noun, Request};
use crate::output::{Object, Table, aligned, duration, escape, session_hex, wall_time};
use crate::shapes;
use crate::signals::Signals;

/// Names asked for at once; also the most that a member answers.
const PAGE: u32 = 1000;

/// Does one of the commands.
pub async fn run(context: &Context, command: LockCommand) -> Done {
    match command {
        LockCommand::Run(args) => run_under(context, args).await,
        LockCommand::Acquire(args) => acquire(context, args).await,
        LockCommand::Try(LockTryArgs { name, ttl, mode, keep }) => {
            let request = request(&name, &mode, ttl.ttl, Some(Duration::ZERO), "lock try".to_owned());
            keep_lock(context, &request, keep).await
        }
        LockCommand::Show { name, limit, read } => show(context, &name, limit, read).await,
        LockCommand::List { prefix, read } => list(context, &prefix, read).await,
        LockCommand::Validate { name, token, read } => validate(context, &name, token, read).await,
        LockCommand::Release(args) => release(context, args).await,
    }
}

fn request<'a>(
    name: &'a str,
    mode: &'a ModeArgs,
    ttl: Duration,
    wait: Option<Duration>,
    purpose: String,
) -> Request<'a> {
    let sharing = match (mode.shared, mode.permits) {
        (true, _) => LockMode::Shared,
        (false, Some(permits)) => LockMode::Semaphore(permits),
        (false, None) => LockMode::Exclusive,
    };
    Request { noun: Noun::Lock, name, mode: sharing, value: mode.value.as_bytes(), ttl, wait, purpose }
}

async fn run_under(context: &Context, args: LockRunArgs) -> Done {
    let request = request(&args.name, &args.mode, args.hold.ttl.ttl, args.hold.wait, hold::purpose(&args.run));
    hold::run_command(context, &request, &args.run, "RINGFENCE_LOCK").await
}

async fn acquire(context: &Context, args: LockAcquireArgs) -> Done {
    let request = request(&args.name, &args.mode, args.hold.ttl.ttl, args.hold.wait, "lock acquire".to_owned());
    keep_lock(context, &request, args.keep).await
}

async fn keep_lock(context: &Context, request: &Request<'_>, keep: KeepArgs) -> Done {
    let mut signals = Signals::new()?;
    let held = hold::acquire(context, &mut signals, request).await?;
    if let Err(failure) = announce(context, request, &held, keep) {
        // Nobody learnt the token, so nobody can use the lock.
        let _ = held.give_up(context.output).await;
        return Err(failure);
    }
    if keep.detach {
        held.leave();
        return Ok(exit::DONE);
    }
    tokio::select! {
        biased;
        loss = held.lost() => return Err(held.loss(loss)),
        _ = signals.next_end() => {}
        () = stdin_ended(keep.stdin) => {}
    }
    let (name, token) = (request.name.to_owned(), held.claim().token);
    held.give_up(context.output).await?;
    if context.output.is_json() {
        context.output.object(Object::new().field("event", "released").field("name", name).field("token", token))?;
    }
    Ok(exit::DONE)
}

fn announce(context: &Context, request: &Request<'_>, held: &Held, keep: KeepArgs) -> Result<(), Failure> {
    let claim = held.claim();
    let ttl_ms = u64::try_from(request.ttl.as_millis()).unwrap_or(u64::MAX);
    if context.output.is_json() {
        let object = shapes::claim_fields(Object::new().field("event", "acquired"), claim);
        return context.output.object(object.field("ttl_ms", ttl_ms).field("detached", keep.detach));
    }
    context.output.line(&claim.token.to_string())?;
    let session = session_hex(claim.session);
    context.output.progress(&if keep.detach {
        let ttl = duration(ttl_ms);
        format!("held for {ttl}; give it up with `ringfence session close {session}`")
    } else {
        format!("held by session {session} until Ctrl-C")
    });
    Ok(())
}

/// Ready at the end of standard input, if that is wanted.
async fn stdin_ended(wanted: bool) {
    if !wanted {
        return std::future::pending().await;
    }
    let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
    // A thread of its own: one that reads can't be stopped, and the runtime would wait for one of its own at the end.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        drop(sender);
    });
    let _ = receiver.await;
}

async fn show(context: &Context, name: &str, limit: u32, read: ReadArgs) -> Done {
    let queue = context.reading(read).locks().describe(name, limit).await?;
    let object = || {
        Object::new()
            .field("name", name)
            .list("owners", queue.owners.iter().map(shapes::claim))
            .field("owning", queue.owning)
            .list("waiters", queue.waiters.iter().map(shapes::claim))
            .field("waiting", queue.waiting)
            .field("revision", queue.revision)
    };
    context.output.either(object, || queue_lines(name, &queue))?;
    Ok(exit::DONE)
}

fn queue_lines(name: &str, queue: &LockDescription) -> String {
    let name = escape(name.as_bytes());
    if queue.owners.is_empty() && queue.waiters.is_empty() {
        return format!("{name} is free");
    }
    let rows = queue.owners.iter().chain(&queue.waiters).map(|claim: &Claim| {
        let (state, since) =
            if claim.owner { ("holds", claim.granted_wall_ms) } else { ("waits", claim.claimed_wall_ms) };
        vec![
            state.to_owned(),
            claim.token.to_string(),
            mode_word(claim.mode),
            wall_time(since),
            session_hex(claim.session),
            escape(&claim.value),
            escape(claim.session_owner.as_bytes()),
        ]
    });
    let mut lines = aligned(&["STATE", "TOKEN", "MODE", "SINCE", "SESSION", "VALUE", "OWNER"], rows);
    for (all, shown, verb) in
        [(queue.owning, queue.owners.len(), "hold it"), (queue.waiting, queue.waiters.len(), "wait")]
    {
        let hidden = all.saturating_sub(shown as u64);
        if hidden > 0 {
            lines.push_str(&format!("and {hidden} more {verb}\n"));
        }
    }
    lines.trim_end().to_owned()
}

fn mode_word(mode: LockMode) -> String {
    match mode {
        LockMode::Semaphore(permits) => format!("1 of {permits}"),
        other => shapes::mode(other).to_owned(),
    }
}

async fn list(context: &Context, prefix: &str, read: ReadArgs) -> Done {
    let locks = context.reading(read).locks();
    let table = |header| Table {
        header,
        row: |lock: &LockSummary| {
            vec![
                escape(&lock.name),
                lock.owner.token.to_string(),
                mode_word(lock.owner.mode),
                lock.owners.to_string(),
                lock.waiting.to_string(),
                wall_time(lock.owner.granted_wall_ms),
                escape(lock.owner.session_owner.as_bytes()),
            ]
        },
    };
    let object = |lock: &LockSummary| {
        Object::new()
            .bytes("name", &lock.name)
            .field("owners", lock.owners)
            .field("waiting", lock.waiting)
            .field("owner", shapes::claim(&lock.owner))
    };
    let mut header: &[&str] = &["NAME", "TOKEN", "MODE", "OWNERS", "WAITING", "SINCE", "OWNER"];
    let mut after = Vec::new();
    loop {
        let page = locks.list(prefix, &after, PAGE).await?;
        context.output.rows(&page.items, object, &table(header), "nobody claims such a lock")?;
        match page.items.last() {
            Some(last) if page.more => after = last.name.to_vec(),
            _ => return Ok(exit::DONE),
        }
        header = &[];
    }
}

async fn validate(context: &Context, name: &str, token: u64, read: ReadArgs) -> Done {
    let answer = context.reading(read).locks().validate(name, token).await?;
    let current = (answer.current_token > 0).then_some(answer.current_token);
    let object = || {
        let object = Object::new().field("name", name).field("token", token);
        object.field("owner", answer.owner).field("current_token", current)
    };
    let line = || match (answer.owner, current) {
        (true, _) => format!("token {token} holds {}", escape(name.as_bytes())),
        (false, Some(current)) => {
            format!("token {token} doesn't hold {}; token {current} does", escape(name.as_bytes()))
        }
        (false, None) => format!("token {token} doesn't hold {}; nobody does", escape(name.as_bytes())),
    };
    context.output.either(object, line)?;
    Ok(if answer.owner { exit::DONE } else { exit::NO })
}

/// Gives claims up; of locks and of elections.
pub async fn release(context: &Context, args: ReleaseArgs) -> Done {
    let locks = context.client.locks();
    let ClaimArgs { name, token, session } = args.claim;
    let claims = match (args.force, session, token) {
        (true, _, Some(token)) => vec![locks.force_release(&name, token).await?],
        (false, Some(session), Some(token)) => vec![locks.release(&name, session, token).await?],
        (false, Some(session), None) => {
            let mut released = Vec::new();
            for claim in claims_of(context, &name, session).await? {
                released.push(locks.release(&name, session, claim.token).await?);
            }
            released
        }
        _ => {
            return Err(Failure::usage("say whose claim it is")
                .next("give --session ID for your own, or --token TOKEN --force to take it away from whoever has it"));
        }
    };
    for claim in &claims {
        let line = || format!("released {}, token {}", escape(&claim.name), claim.token);
        context.output.either(|| shapes::claim(claim), line)?;
    }
    Ok(exit::DONE)
}

/// The claims that a session has under a name, the oldest first; at least one.
pub async fn claims_of(context: &Context, name: &str, session: u64) -> Result<Vec<Claim>, Failure> {
    let queue = context.client.locks().describe(name, 0).await?;
    let all = queue.owners.into_iter().chain(queue.waiters);
    let own: Vec<Claim> = all.filter(|claim| claim.session == session).collect();
    if own.is_empty() {
        let message = format!("session {} has no claim to `{}`", session_hex(session), escape(name.as_bytes()));
        return Err(Failure::no("NOT_HELD", message)
            .next("`ringfence lock show NAME` shows who has; where there are very many, give --token, too"));
    }
    Ok(own)
}
