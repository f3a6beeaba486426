//! Following changes.

use std::time::Duration;

use ringfence_client::{Event, EventKind, KeyValue, WatchItem, WatchOptions};

use crate::args::watch::WatchArgs;
use crate::context::{Context, Done};
use crate::exit;
use crate::failure::Failure;
use crate::kv::bytes_of;
use crate::output::{Object, Output, escape, reader_gone};
use crate::shapes;

/// Time between lines that say that nothing happened.
const PROGRESS: Duration = Duration::from_secs(10);

/// Prints events until there were enough, or nobody reads them any more.
pub async fn run(context: &Context, args: WatchArgs) -> Done {
    tokio::select! {
        biased;
        done = print(context, args) => done,
        () = reader_gone() => Ok(exit::DONE),
    }
}

async fn print(context: &Context, args: WatchArgs) -> Done {
    let mut watcher = context.client.watch(options(&args)?).await?;
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 {
        let Some(item) = watcher.next().await else {
            break;
        };
        match item? {
            WatchItem::Events(events) => {
                for event in &events {
                    if left == 0 {
                        break;
                    }
                    event_line(context.output, event, args.prev)?;
                    left -= 1;
                }
            }
            WatchItem::Snapshot { first, complete, revision, kvs } => {
                snapshot_lines(context.output, first, complete, revision, &kvs)?;
            }
            WatchItem::Progress(revision) if args.progress => marker(context.output, "progress", revision)?,
            _ => {}
        }
    }
    Ok(exit::DONE)
}

fn options(args: &WatchArgs) -> Result<WatchOptions, Failure> {
    let key = bytes_of(&args.prefix, args.base64)?;
    let mut options = if args.key { WatchOptions::key(key) } else { WatchOptions::prefix(key) };
    if let Some(revision) = args.from {
        options = options.from_revision(revision);
    }
    if args.snapshot {
        options = options.snapshot();
    }
    if args.no_put {
        options = options.no_put();
    }
    if args.no_delete {
        options = options.no_delete();
    }
    if args.prev {
        options = options.prev();
    }
    Ok(if args.progress { options.progress(PROGRESS) } else { options })
}

fn event_line(output: Output, event: &Event, with_prev: bool) -> Result<(), Failure> {
    let kv = &event.kv;
    let deleted = event.kind == EventKind::Delete;
    if output.is_json() {
        let object =
            Object::new().field("event", if deleted { "delete" } else { "put" }).field("revision", kv.mod_revision);
        let object = if deleted { object.bytes("key", &kv.key) } else { shapes::key_fields(object, kv) };
        let object = if with_prev { object.field("prev", shapes::prev(event.prev.as_ref())) } else { object };
        return output.object(object);
    }
    let was = event.prev.as_ref().map(|prev| format!("  (was {})", escape(&prev.value))).unwrap_or_default();
    if deleted {
        return output.line(&format!("{} delete    {}{was}", kv.mod_revision, escape(&kv.key)));
    }
    output.line(&format!("{} put       {}  {}{was}", kv.mod_revision, escape(&kv.key), escape(&kv.value)))
}

fn snapshot_lines(output: Output, first: bool, complete: bool, revision: u64, kvs: &[KeyValue]) -> Result<(), Failure> {
    if first {
        marker(output, "snapshot_start", revision)?;
    }
    for kv in kvs {
        let object = || shapes::key_fields(Object::new().field("event", "snapshot").field("revision", revision), kv);
        output.either(object, || format!("{revision} has       {}  {}", escape(&kv.key), escape(&kv.value)))?;
    }
    if complete {
        marker(output, "snapshot_end", revision)?;
    }
    Ok(())
}

/// A line that isn't about a key. People learn only where a snapshot ends.
fn marker(output: Output, event: &str, revision: u64) -> Result<(), Failure> {
    if output.is_json() {
        return output.object(Object::new().field("event", event).field("revision", revision));
    }
    match event {
        "snapshot_start" => Ok(()),
        "snapshot_end" => output.line(&format!("{revision} follows")),
        other => output.line(&format!("{revision} {other}")),
    }
}
