//! Listing keys: all of them, page by page, as of one revision.

use ringfence_client::{GetOptions, KeyValue, RangeResult};

use crate::args::kv::ListArgs;
use crate::context::{Context, Done, freshness};
use crate::exit;
use crate::failure::Failure;
use crate::kv::bytes_of;
use crate::output::{Object, Table};
use crate::shapes;

/// Keys asked for at once; also the most that a member answers.
const PAGE: u32 = 10_000;
/// Above every key, which is 4096 bytes at most, but one.
const KEY_BYTES_MAX: usize = 4096;

/// Lists keys.
pub async fn run(context: &Context, args: ListArgs) -> Done {
    let mut select = Selection::new(&args)?;
    if args.count {
        let range = context.client.kv().get_with(options(&args, select.options()).count_only()).await?;
        let object = || Object::new().field("count", range.count).field("revision", range.revision);
        context.output.either(object, || range.count.to_string())?;
        return Ok(exit::DONE);
    }
    let mut wanted = args.limit.unwrap_or(u64::MAX);
    let mut revision = args.revision.unwrap_or(0);
    let mut first = true;
    while wanted > 0 {
        let limit = u32::try_from(wanted).unwrap_or(PAGE).min(PAGE);
        let asked = options(&args, select.options()).limit(limit).at_revision(revision);
        let range = context.client.kv().get_with(asked).await?;
        if first || !range.kvs.is_empty() {
            print(context, &range, args.keys_only, first)?;
        }
        wanted = wanted.saturating_sub(range.kvs.len() as u64);
        // Further pages are of the same revision: what changes meanwhile is neither doubled nor missing.
        revision = if revision == 0 { range.revision } else { revision };
        first = false;
        match range.kvs.last() {
            Some(last) if range.more && wanted > 0 => select = select.after(&last.key, args.reverse)?,
            _ => break,
        }
    }
    Ok(exit::DONE)
}

fn options(args: &ListArgs, mut options: GetOptions) -> GetOptions {
    if args.keys_only {
        options = options.keys_only();
    }
    if args.reverse {
        options = options.descending();
    }
    options.at_revision(args.revision.unwrap_or(0)).freshness(freshness(args.read))
}

fn print(context: &Context, range: &RangeResult, keys_only: bool, first: bool) -> Result<(), Failure> {
    let output = context.output;
    if keys_only {
        return if output.is_json() {
            range.kvs.iter().try_for_each(|kv| output.object(Object::new().bytes("key", &kv.key)))
        } else {
            range.kvs.iter().try_for_each(|kv| output.line(&crate::output::escape(&kv.key)))
        };
    }
    let header = if first { shapes::KEY_HEADER } else { &[] };
    output.rows(&range.kvs, |kv: &KeyValue| shapes::key(kv), &Table { header, row: shapes::key_row }, "no such keys")
}

/// Which keys are still to come.
enum Selection {
    Children(Vec<u8>),
    Prefix(Vec<u8>),
    Range(Vec<u8>, Vec<u8>),
}

impl Selection {
    fn new(args: &ListArgs) -> Result<Self, Failure> {
        if let Some(from) = &args.from {
            let start = bytes_of(from, args.base64)?;
            let end = match &args.to {
                Some(to) => bytes_of(to, args.base64)?,
                None => vec![0xff; KEY_BYTES_MAX],
            };
            return Ok(Self::Range(start, end));
        }
        let prefix = args.prefix.as_deref().unwrap_or_default();
        let prefix = bytes_of(prefix, args.base64)?;
        Ok(if args.children { Self::Children(prefix) } else { Self::Prefix(prefix) })
    }

    fn options(&self) -> GetOptions {
        match self {
            Self::Children(path) => GetOptions::children(path),
            Self::Prefix(prefix) => GetOptions::prefix(prefix),
            Self::Range(start, end) => GetOptions::range(start, end),
        }
    }

    /// What is left after a page that ended with this key.
    fn after(self, last: &[u8], reverse: bool) -> Result<Self, Failure> {
        let (start, end) = match self {
            Self::Children(_) => {
                return Err(Failure::new(
                    exit::REFUSED,
                    "LIMIT_EXCEEDED",
                    format!("there are more than {PAGE} children"),
                )
                .next("list the keys themselves, without --children"));
            }
            Self::Prefix(prefix) => {
                let end = prefix_end(&prefix);
                (prefix, end)
            }
            Self::Range(start, end) => (start, end),
        };
        Ok(if reverse { Self::Range(start, last.to_vec()) } else { Self::Range([last, &[0]].concat(), end) })
    }
}

/// The end of the range of all keys with a prefix.
fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return end;
        }
    }
    vec![0xff; KEY_BYTES_MAX]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_one() {
        assert_eq!(prefix_end(b"a/"), b"a0");
        assert_eq!(prefix_end(b"a\xff\xff"), b"b");
        assert_eq!(prefix_end(b"").len(), KEY_BYTES_MAX);
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_overlap() {
        let next = |reverse| match Selection::Prefix(b"a/".to_vec()).after(b"a/5", reverse) {
            Ok(Selection::Range(start, end)) => (start, end),
            _ => panic!("a prefix goes on as a range"),
        };
        assert_eq!(next(false), (b"a/5\0".to_vec(), b"a0".to_vec()));
        assert_eq!(next(true), (b"a/".to_vec(), b"a/5".to_vec()));
    }
}
