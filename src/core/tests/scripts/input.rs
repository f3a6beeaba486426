//! From a script's line to a request or a question.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;

use bytes::Bytes;
use goldenscript::Argument;
use ringfence_core::query::{
    Changes, ClaimByKey, KeyHistory, Owner, Queue, Queues, Range, Select, Session, Sessions, Stats,
};
use ringfence_core::{
    Claim, Command, Compare, Mode, Op, Put, Relation, Request, RequestId, SessionId, Span, Target, Txn, Which,
};

type Parsed<T> = Result<T, Box<dyn Error>>;

/// What one line asks for.
pub enum Input {
    Requests(Vec<Request>),
    Ask(Question),
    Clock(u64),
    Tick(u64),
    Begin,
    Apply,
    ShowChanges,
    Snapshot,
}

/// What can be read.
pub enum Question {
    Range(Range),
    History(KeyHistory),
    Session(Session),
    Sessions(Sessions),
    Queue(Queue),
    Queues(Queues),
    Owner(Owner),
    Claim(ClaimByKey),
    Changes(Changes),
    Stats(Stats),
}

/// The words after a line's first one.
#[derive(Default)]
struct Words<'a> {
    plain: VecDeque<&'a str>,
    keyed: BTreeMap<&'a str, &'a str>,
}

impl<'a> Words<'a> {
    fn next_pos(&mut self) -> Option<&'a str> {
        self.plain.pop_front()
    }

    fn take_key(&mut self, key: &str) -> Option<&'a str> {
        self.keyed.remove(key)
    }

    fn reject_rest(&self) -> Parsed<()> {
        match self.plain.front().or_else(|| self.keyed.keys().next()) {
            Some(word) => Err(format!("{word} is not understood").into()),
            None => Ok(()),
        }
    }
}

impl<'a> From<&'a goldenscript::Command> for Words<'a> {
    fn from(line: &'a goldenscript::Command) -> Self {
        let mut words = Words::default();
        for argument in &line.args {
            match argument {
                Argument::Positional(word) => words.plain.push_back(word),
                Argument::KeyValue(key, value) => drop(words.keyed.insert(key, value)),
                other => unreachable!("{other:?}"),
            }
        }
        words
    }
}

impl<'a> From<&'a str> for Words<'a> {
    fn from(text: &'a str) -> Self {
        let mut words = Words::default();
        for word in text.split(' ') {
            match word.split_once('=').filter(|(key, _)| !key.is_empty()) {
                Some((key, value)) => drop(words.keyed.insert(key, value)),
                None => words.plain.push_back(word),
            }
        }
        words
    }
}

pub fn parse(line: &goldenscript::Command) -> Parsed<Input> {
    let mut args = Words::from(line);
    let id = args.take_key("request").map(request_id).transpose()?;
    let parsed = match line.name.as_str() {
        "clock" => Input::Clock(number(&mut args)?),
        "tick" => Input::Tick(number(&mut args)?),
        "begin" => Input::Begin,
        "apply" => Input::Apply,
        "show-changes" => Input::ShowChanges,
        "snapshot" => Input::Snapshot,
        name => match question(name, &mut args)? {
            Some(question) => Input::Ask(question),
            None => Input::Requests(requests(id, name, &mut args)?),
        },
    };
    args.reject_rest()?;
    Ok(parsed)
}

/// One request, or as many sessions to open as `count` says, with one id after the other.
fn requests(id: Option<RequestId>, name: &str, args: &mut Words<'_>) -> Parsed<Vec<Request>> {
    let count = key_number(args, "count")?.unwrap_or(1);
    let first = Request { id, command: command(name, args)? };
    let mut requests = vec![first; count as usize];
    for (at, request) in requests.iter_mut().enumerate() {
        if let Command::OpenSession { id, .. } = &mut request.command {
            id.0 += at as u64;
        }
    }
    Ok(requests)
}

/// `session/sequence`
fn request_id(text: &str) -> Parsed<RequestId> {
    let (session, sequence) = text.split_once('/').ok_or("a request is <session>/<sequence>")?;
    Ok(RequestId { session: SessionId(session.parse()?), sequence: sequence.parse()? })
}

fn word<'a>(args: &mut Words<'a>) -> Parsed<&'a str> {
    args.next_pos().ok_or_else(|| "an argument is missing".into())
}

fn number(args: &mut Words<'_>) -> Parsed<u64> {
    Ok(word(args)?.parse()?)
}

fn key_number(args: &mut Words<'_>, key: &str) -> Parsed<Option<u64>> {
    Ok(args.take_key(key).map(str::parse).transpose()?)
}

/// `<text>`, or `<count>*<character>` for a long one as in `4097*x`.
fn bytes(text: &str) -> Bytes {
    if let Some((count, fill)) = text.split_once('*')
        && let Ok(count) = count.parse()
    {
        return fill.repeat(count).into();
    }
    Bytes::copy_from_slice(text.as_bytes())
}

/// `key`, `from..to`, `prefix*`.
fn span(text: &str) -> Span {
    if let Some((start, end)) = text.split_once("..") {
        return Span::Between { start: bytes(start), end: bytes(end) };
    }
    match text.strip_suffix('*') {
        Some(prefix) => Span::Prefix(bytes(prefix)),
        None => Span::Key(bytes(text)),
    }
}

/// Words that may follow in any order.
fn flags<const N: usize>(args: &mut Words<'_>, names: [&str; N]) -> Parsed<[bool; N]> {
    let mut found = [false; N];
    while let Some(word) = args.next_pos() {
        let at = names.iter().position(|name| *name == word).ok_or_else(|| format!("unknown word {word}"))?;
        found[at] = true;
    }
    Ok(found)
}

fn command(name: &str, args: &mut Words<'_>) -> Parsed<Command> {
    Ok(match name {
        "put" => alone(Op::Put(put(args)?)),
        "delete" => alone(delete(args)?),
        "txn" => Command::Txn(txn(args)?),
        "compact" => Command::Compact { revision: number(args)? },
        "open" => {
            let ttl_ms = key_number(args, "ttl")?.unwrap_or(10_000);
            let owner = args.take_key("owner").unwrap_or("app");
            let owner = String::from_utf8(bytes(owner).to_vec())?;
            Command::OpenSession { id: SessionId(number(args)?), ttl_ms, owner }
        }
        "renew" => {
            let ids: Result<Vec<u64>, _> = std::iter::from_fn(|| args.next_pos()).map(str::parse).collect();
            Command::RenewSessions { ids: ids?.into_iter().map(SessionId).collect() }
        }
        "close" => Command::CloseSession { id: SessionId(number(args)?) },
        "raise-level" => Command::RaiseLevel { level: u32::try_from(number(args)?)? },
        "claim" => Command::Claim(claim(args, false)?),
        "try" => Command::Claim(claim(args, true)?),
        "release" => release(args)?,
        "force-release" => Command::ForceRelease { name: bytes(word(args)?), token: number(args)? },
        "proclaim" => {
            let session = session(args)?;
            Command::Proclaim { name: bytes(word(args)?), session, token: number(args)?, value: bytes(word(args)?) }
        }
        other => return Err(format!("unknown command {other}").into()),
    })
}

fn alone(op: Op) -> Command {
    Command::Txn(Txn { then: vec![op], ..Txn::default() })
}

fn session(args: &mut Words<'_>) -> Parsed<SessionId> {
    Ok(SessionId(key_number(args, "session")?.ok_or("session=… is missing")?))
}

fn put(args: &mut Words<'_>) -> Parsed<Put> {
    let session = key_number(args, "session")?.map(SessionId);
    let (key, value) = (bytes(word(args)?), bytes(word(args)?));
    let [sequential, prev] = flags(args, ["sequential", "prev"])?;
    Ok(Put { key, value, session, sequential, prev })
}

fn delete(args: &mut Words<'_>) -> Parsed<Op> {
    let span = span(word(args)?);
    let [prev] = flags(args, ["prev"])?;
    Ok(Op::Delete { span, prev })
}

fn claim(args: &mut Words<'_>, only_if_free: bool) -> Parsed<Claim> {
    let name = bytes(word(args)?);
    let [shared] = flags(args, ["shared"])?;
    let permits = args.take_key("permits").map(str::parse).transpose()?;
    Ok(Claim {
        name,
        session: session(args)?,
        suffix: bytes(args.take_key("suffix").unwrap_or_default()),
        mode: permits.map_or(if shared { Mode::Shared } else { Mode::Exclusive }, Mode::Semaphore),
        value: bytes(args.take_key("value").unwrap_or_default()),
        attempt: key_number(args, "attempt")?.unwrap_or(0),
        only_if_free,
    })
}

fn release(args: &mut Words<'_>) -> Parsed<Command> {
    let session = session(args)?;
    let suffix = args.take_key("suffix").map(bytes);
    let which = match (key_number(args, "token")?, key_number(args, "attempt")?) {
        (Some(token), _) => Which::Token(token),
        (None, Some(attempt)) => Which::Attempt { suffix: suffix.unwrap_or_default(), attempt },
        (None, None) => Which::Suffix(suffix.unwrap_or_default()),
    };
    Ok(Command::Release { name: bytes(word(args)?), session, which })
}

/// Each argument is one part: `"if version a = 1"`, `"then put a 1"`, `"else get a"`.
fn txn(args: &mut Words<'_>) -> Parsed<Txn> {
    let mut txn = Txn::default();
    while let Some(part) = args.next_pos() {
        let (kind, rest) = part.split_once(' ').ok_or("if …, then …, or else …")?;
        match kind {
            "if" => txn.compare.push(compare(rest)?),
            "then" => txn.then.push(op(rest)?),
            "else" => txn.otherwise.push(op(rest)?),
            other => return Err(format!("unknown part {other}").into()),
        }
    }
    Ok(txn)
}

/// `version a = 1`, and for holds `lock holds 1`.
fn compare(text: &str) -> Parsed<Compare> {
    let words: Vec<_> = text.split(' ').collect();
    if let [name, "holds", token] = words[..] {
        let target = Target::Holds(token.parse()?);
        return Ok(Compare { key: bytes(name), relation: Relation::Equal, target });
    }
    let [target, key, relation, operand] = words[..] else {
        return Err("<target> <key> <relation> <operand>".into());
    };
    let relation = match relation {
        "=" => Relation::Equal,
        "!=" => Relation::NotEqual,
        "<" => Relation::Less,
        ">" => Relation::Greater,
        other => return Err(format!("unknown relation {other}").into()),
    };
    let target = match target {
        "value" => Target::Value(bytes(operand)),
        "created" => Target::CreateRevision(operand.parse()?),
        "changed" => Target::ModRevision(operand.parse()?),
        "version" => Target::Version(operand.parse()?),
        "session" => Target::Session(operand.parse()?),
        other => return Err(format!("unknown target {other}").into()),
    };
    Ok(Compare { key: bytes(key), relation, target })
}

fn op(text: &str) -> Parsed<Op> {
    let (name, rest) = text.split_once(' ').ok_or("an operation has a key")?;
    let mut args = Words::from(rest);
    let op = match name {
        "put" => Op::Put(put(&mut args)?),
        "delete" => delete(&mut args)?,
        name => match question(name, &mut args)? {
            Some(Question::Range(range)) => Op::Range(range),
            _ => return Err(format!("{name} is no operation").into()),
        },
    };
    args.reject_rest()?;
    Ok(op)
}

fn question(name: &str, args: &mut Words<'_>) -> Parsed<Option<Question>> {
    let limit = key_number(args, "limit")?.map(|limit| limit as usize);
    let limit_or_all = limit.unwrap_or(1000);
    Ok(Some(match name {
        "get" => Question::Range(range(args, limit, |text| Select::Span(span(text)))?),
        "children" => Question::Range(range(args, limit, |text| Select::Children(bytes(text)))?),
        "history" => Question::History(KeyHistory { key: bytes(word(args)?), limit: limit_or_all }),
        "session" => Question::Session(Session(SessionId(number(args)?))),
        "sessions" => {
            Question::Sessions(Sessions { after: key_number(args, "after")?.unwrap_or(0), limit: limit_or_all })
        }
        "queue" => Question::Queue(Queue { name: bytes(word(args)?), limit: limit_or_all }),
        "queues" => Question::Queues(Queues {
            after: bytes(args.take_key("after").unwrap_or_default()),
            prefix: bytes(args.next_pos().unwrap_or_default()),
            limit: limit_or_all,
        }),
        "owner" => Question::Owner(Owner { name: bytes(word(args)?), token: number(args)? }),
        "claim-by-key" => Question::Claim(ClaimByKey { key: bytes(word(args)?) }),
        "changes" => {
            let bytes_max = key_number(args, "bytes")?.unwrap_or(1 << 20) as usize;
            Question::Changes(Changes { from: number(args)?, bytes_max })
        }
        "stats" => Question::Stats(Stats),
        _ => return Ok(None),
    }))
}

fn range(args: &mut Words<'_>, limit: Option<usize>, select: fn(&str) -> Select) -> Parsed<Range> {
    let revision = key_number(args, "revision")?.unwrap_or(0);
    let select = select(word(args)?);
    let [keys_only, count_only, descending] = flags(args, ["keys", "count", "descending"])?;
    Ok(Range { select, limit: limit.unwrap_or(10_000), keys_only, count_only, revision, descending })
}
