//! Keys: put, get, delete, history, txn, compact. Listing has its own file, [`crate::kv_list`].

use std::ffi::OsStr;
use std::io::{IsTerminal, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ringfence_client::{
    DeleteOptions, DeleteResult, GetOptions, KeyVersion, Op, OpResult, PutOptions, PutResult, Txn, TxnResult,
};

use crate::args::kv::{DeleteArgs, GetArgs, HistoryArgs, KvCommand, PutArgs, TxnArgs};
use crate::context::{Context, Done, freshness};
use crate::exit;
use crate::failure::Failure;
use crate::kv_list;
use crate::output::{Object, Output, Table, escape, wall_time};
use crate::{shapes, txn_json, txn_syntax};

/// Does one of the commands.
pub async fn run(context: &Context, command: KvCommand) -> Done {
    match command {
        KvCommand::Put(args) => put(context, args).await,
        KvCommand::Get(args) => get(context, args).await,
        KvCommand::List(args) => kv_list::run(context, args).await,
        KvCommand::Delete(args) => delete(context, args).await,
        KvCommand::History(args) => history(context, args).await,
        KvCommand::Txn(args) => txn(context, args).await,
        KvCommand::Compact { revision } => {
            let newest = context.client.kv().compact(revision).await?;
            let object = || Object::new().field("compacted", revision).field("revision", newest);
            context.output.either(object, || format!("compacted up to revision {revision}"))?;
            Ok(exit::DONE)
        }
    }
}

/// The bytes of an argument.
pub fn bytes_of(text: &OsStr, base64: bool) -> Result<Vec<u8>, Failure> {
    if !base64 {
        return Ok(text.as_bytes().to_vec());
    }
    STANDARD.decode(text.as_bytes()).map_err(|error| {
        Failure::usage(format!("`{}` is not base64: {error}", escape(text.as_bytes())))
            .next("leave --base64 out for plain text")
    })
}

async fn put(context: &Context, args: PutArgs) -> Done {
    let key = bytes_of(&args.key, args.base64)?;
    let value = match (&args.value, &args.file) {
        (Some(value), _) => bytes_of(value, args.base64)?,
        (None, Some(path)) => read(context.output, path)?,
        (None, None) => read(context.output, Path::new("-"))?,
    };
    let mut options = PutOptions::new();
    if let Some(session) = args.session {
        options = options.bind_id(session);
    }
    if args.sequential {
        options = options.sequential();
    }
    if args.prev {
        options = options.prev();
    }
    let result = match &args.holds {
        None => context.client.kv().put_with(key, value, options).await?,
        Some(holds) => match fenced(context, holds, Op::put_with(key, value, options)).await? {
            OpResult::Put(result) => result,
            _ => return Err(odd_answer()),
        },
    };
    let prev = args.prev;
    context.output.either(|| shapes::put(&result, prev), || put_line(&result, args.sequential))?;
    Ok(exit::DONE)
}

/// A sequential key alone on its line, so that a shell can take it; else the revision.
fn put_line(result: &PutResult, sequential: bool) -> String {
    let mut line = if sequential { escape(&result.key) } else { format!("revision {}", result.revision) };
    if let Some(prev) = &result.prev {
        line.push_str(&format!("\nreplaced revision {}: {}", prev.mod_revision, escape(&prev.value)));
    }
    line
}

async fn get(context: &Context, args: GetArgs) -> Done {
    let key = bytes_of(&args.key, args.base64)?;
    let options = GetOptions::key(&key).at_revision(args.revision.unwrap_or(0)).freshness(freshness(args.read));
    let range = context.client.kv().get_with(options).await?;
    let Some(kv) = range.kvs.first() else {
        return Err(no_key(&key));
    };
    if context.output.is_json() {
        context.output.object(shapes::key(kv).field("revision", range.revision))?;
    } else {
        context.output.bytes(&kv.value)?;
        if !args.raw {
            context.output.line("")?;
        }
    }
    Ok(exit::DONE)
}

fn no_key(key: &[u8]) -> Failure {
    Failure::no("NO_SUCH_KEY", format!("there is no key `{}`", escape(key)))
        .next("`ringfence kv list PREFIX` shows the keys there are")
}

async fn delete(context: &Context, args: DeleteArgs) -> Done {
    let key = bytes_of(&args.key, args.base64)?;
    let mut options = match &args.to {
        Some(end) => DeleteOptions::range(&key, bytes_of(end, args.base64)?),
        None if args.prefix => DeleteOptions::prefix(&key),
        None => DeleteOptions::key(&key),
    };
    if args.prev {
        options = options.prev();
    }
    let result = match &args.holds {
        None => context.client.kv().delete_with(options).await?,
        Some(holds) => match fenced(context, holds, Op::delete_with(options)).await? {
            OpResult::Delete(result) => result,
            _ => return Err(odd_answer()),
        },
    };
    let prev = args.prev;
    context.output.either(|| shapes::delete(&result, prev), || delete_line(&result))?;
    Ok(exit::DONE)
}

fn delete_line(result: &DeleteResult) -> String {
    let mut line = format!("deleted {}", result.deleted);
    for kv in &result.prev {
        line.push_str(&format!("\n{}  {}", escape(&kv.key), escape(&kv.value)));
    }
    line
}

/// Does one operation if the token holds the lock.
async fn fenced(context: &Context, (name, token): &(String, u64), op: Op) -> Result<OpResult, Failure> {
    let result = context.client.kv().txn(Txn::new().when_holds(name, *token).then(op)).await?;
    if !result.succeeded {
        let message = format!("token {token} doesn't hold `{}`; nothing was written", escape(name.as_bytes()));
        return Err(Failure::no("NOT_HELD", message).next("`ringfence lock show NAME` shows who holds it now"));
    }
    let revision = result.revision;
    match result.results.into_iter().next() {
        // An operation's own answer doesn't always repeat the revision of the whole.
        Some(OpResult::Put(mut put)) => {
            put.revision = revision;
            Ok(OpResult::Put(put))
        }
        Some(OpResult::Delete(mut delete)) => {
            delete.revision = revision;
            Ok(OpResult::Delete(delete))
        }
        _ => Err(odd_answer()),
    }
}

fn odd_answer() -> Failure {
    Failure::new(exit::INTERNAL, "PROTOCOL", "the answer doesn't fit the request")
        .next("check with `ringfence --version` and `ringfence cluster status` that the versions fit")
}

async fn history(context: &Context, args: HistoryArgs) -> Done {
    let key = bytes_of(&args.key, args.base64)?;
    let history = context.reading(args.read).kv().history(&key, args.limit).await?;
    if history.versions.is_empty() {
        return Err(no_key(&key));
    }
    let object = |version: &KeyVersion| shapes::key(&version.kv).field("deleted", version.deleted);
    let table = Table {
        header: &["REVISION", "VERSION", "WHEN", "VALUE"],
        row: |version: &KeyVersion| {
            let kv = &version.kv;
            let (number, value) = if version.deleted {
                ("-".to_owned(), "(deleted)".to_owned())
            } else {
                (kv.version.to_string(), escape(&kv.value))
            };
            vec![kv.mod_revision.to_string(), number, wall_time(kv.modified_wall_ms), value]
        },
    };
    context.output.rows(&history.versions, object, &table, "")?;
    if history.more {
        context.output.progress("there are older versions; ask for more with --limit");
    }
    Ok(exit::DONE)
}

async fn txn(context: &Context, args: TxnArgs) -> Done {
    let given = !(args.compare.is_empty() && args.then.is_empty() && args.otherwise.is_empty());
    let txn = if given {
        txn_syntax::txn(&args.compare, &args.then, &args.otherwise)
            .map_err(|error| Failure::usage(error.to_string()).next("`ringfence help kv txn` shows the forms"))?
    } else {
        let text = read(context.output, args.file.as_deref().unwrap_or(Path::new("-")))?;
        let text = String::from_utf8(text).map_err(|_| {
            Failure::usage("the transaction is not UTF-8").next("write such bytes as `key_base64`, `value_base64`")
        })?;
        txn_json::txn(&text).map_err(|error| Failure::usage(error.to_string()).next("docs/cli.md shows the form"))?
    };
    let result = context.client.kv().txn(txn).await?;
    context.output.either(|| shapes::txn(&result), || txn_lines(&result))?;
    Ok(if result.succeeded { exit::DONE } else { exit::NO })
}

fn txn_lines(result: &TxnResult) -> String {
    let held = if result.succeeded { "all comparisons hold" } else { "a comparison doesn't hold" };
    let mut lines = vec![format!("{held}; revision {}", result.revision)];
    for result in &result.results {
        match result {
            OpResult::Put(put) => lines.push(format!("put {}", escape(&put.key))),
            OpResult::Delete(delete) => lines.push(delete_line(delete)),
            OpResult::Range(range) if range.kvs.is_empty() => lines.push(format!("found {}", range.count)),
            OpResult::Range(range) => {
                lines.extend(range.kvs.iter().map(|kv| format!("{}  {}", escape(&kv.key), escape(&kv.value))));
            }
            _ => {}
        }
    }
    lines.join("\n")
}

/// A file to its end; `-` is standard input.
fn read(output: Output, path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        if std::io::stdin().is_terminal() {
            output.progress("reading standard input, to its end (Ctrl-D)");
        }
        std::io::stdin().lock().read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes))
    };
    read.map_err(|error| Failure::io(&path.display().to_string(), &error))?;
    Ok(bytes)
}
