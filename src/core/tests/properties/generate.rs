//! Random entries over a universe so small that things meet: a few sessions, keys and names, times about the length of a
//! TTL. One number in a while is wild, because a log can hold anything.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use ringfence_core::query::{Range, Select};
use ringfence_core::{
    Claim, Command, Compare, Entry, Mode, Op, Put, Relation, Request, RequestId, SessionId, Span, Target, Txn, Which,
};

/// Keys that nest, that sort between others, and that look like claims.
const KEYS: [&str; 9] = [
    "a",
    "a-b",
    "a/b",
    "a/b/c",
    "b",
    "lock/0000000000000001",
    "lock/0000000000000002-x",
    "n/0000000000000001",
    "q/00000000000000000002",
];
const NAMES: [&str; 3] = ["lock", "n", "a"];

/// Small, and rarely anything at all.
fn number(small: u64) -> impl Strategy<Value = u64> {
    prop_oneof![60 => 0..=small, 1 => any::<u64>()]
}

fn key() -> impl Strategy<Value = Bytes> {
    let odd = vec(any::<u8>(), 0..4).prop_map(Bytes::from);
    prop_oneof![40 => prop::sample::select(&KEYS[..]).prop_map(Bytes::from), 1 => odd]
}

fn name() -> impl Strategy<Value = Bytes> {
    let odd = vec(any::<u8>(), 0..4).prop_map(Bytes::from);
    prop_oneof![40 => prop::sample::select(&NAMES[..]).prop_map(Bytes::from), 1 => odd]
}

fn value() -> impl Strategy<Value = Bytes> {
    prop_oneof![Just(Bytes::new()), (0..100_u8).prop_map(|byte| vec![byte; 3].into()), Just(Bytes::from(vec![7; 100]))]
}

fn session() -> impl Strategy<Value = SessionId> {
    prop_oneof![60 => 1..=4_u64, 1 => any::<u64>()].prop_map(SessionId)
}

fn suffix() -> impl Strategy<Value = Bytes> {
    prop::sample::select(&["", "", "x", "y.z"][..]).prop_map(Bytes::from)
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![
        3 => Just(Mode::Exclusive),
        3 => Just(Mode::Shared),
        2 => Just(Mode::Semaphore(2)),
        1 => number(3).prop_map(|permits| Mode::Semaphore(u32::try_from(permits).unwrap_or(u32::MAX))),
    ]
}

fn span() -> impl Strategy<Value = Span> {
    prop_oneof![
        4 => key().prop_map(Span::Key),
        2 => (key(), key()).prop_map(|(start, end)| Span::Between { start, end }),
        2 => key().prop_map(|key| Span::Prefix(key.slice(..key.len().min(2)))),
    ]
}

pub fn range() -> impl Strategy<Value = Range> {
    let path = prop_oneof![Just(Bytes::new()), key()];
    let select = prop_oneof![3 => span().prop_map(Select::Span), 1 => path.prop_map(Select::Children)];
    let limit = prop_oneof![Just(10_000_usize), 0..4_usize];
    (select, limit, any::<[bool; 3]>(), Just(0)).prop_map(|(select, limit, flags, revision)| {
        let [keys_only, count_only, descending] = flags;
        Range { select, limit, keys_only, count_only, revision, descending }
    })
}

fn op() -> impl Strategy<Value = Op> {
    let put = (key(), value(), prop::option::of(session()), prop::bool::weighted(0.2), any::<bool>());
    prop_oneof![
        4 => put.prop_map(|(key, value, session, sequential, prev)| Op::Put(Put { key, value, session, sequential, prev })),
        2 => (span(), any::<bool>()).prop_map(|(span, prev)| Op::Delete { span, prev }),
        1 => range().prop_map(Op::Range),
    ]
}

fn compare() -> impl Strategy<Value = Compare> {
    let relations = [Relation::Equal, Relation::NotEqual, Relation::Less, Relation::Greater];
    let target = prop_oneof![
        value().prop_map(Target::Value),
        number(20).prop_map(Target::CreateRevision),
        number(20).prop_map(Target::ModRevision),
        number(3).prop_map(Target::Version),
        number(4).prop_map(Target::Session),
        number(20).prop_map(Target::Holds),
    ];
    (key(), prop::sample::select(relations.to_vec()), target).prop_map(|(key, relation, target)| Compare {
        key,
        relation,
        target,
    })
}

fn txn() -> impl Strategy<Value = Command> {
    let lists = (vec(compare(), 0..2), vec(op(), 0..4), vec(op(), 0..3));
    lists.prop_map(|(compare, then, otherwise)| Command::Txn(Txn { compare, then, otherwise }))
}

fn claim() -> impl Strategy<Value = Command> {
    (name(), session(), suffix(), mode(), value(), number(3), any::<bool>()).prop_map(
        |(name, session, suffix, mode, value, attempt, only_if_free)| {
            Command::Claim(Claim { name, session, suffix, mode, value, attempt, only_if_free })
        },
    )
}

fn release() -> impl Strategy<Value = Command> {
    let which = prop_oneof![
        number(20).prop_map(Which::Token),
        suffix().prop_map(Which::Suffix),
        (suffix(), number(3)).prop_map(|(suffix, attempt)| Which::Attempt { suffix, attempt }),
    ];
    (name(), session(), which).prop_map(|(name, session, which)| Command::Release { name, session, which })
}

pub fn command() -> impl Strategy<Value = Command> {
    let ttl_ms = prop_oneof![10 => 500..1500_u64, 1 => any::<u64>()];
    let proclaim = (name(), session(), number(20), value());
    prop_oneof![
        6 => txn(),
        1 => number(20).prop_map(|revision| Command::Compact { revision }),
        4 => (session(), ttl_ms).prop_map(|(id, ttl_ms)| Command::OpenSession { id, ttl_ms, owner: "app".to_owned() }),
        3 => vec(session(), 0..4).prop_map(|ids| Command::RenewSessions { ids }),
        1 => session().prop_map(|id| Command::CloseSession { id }),
        1 => (0..4_u32).prop_map(|level| Command::RaiseLevel { level }),
        6 => claim(),
        3 => release(),
        1 => (name(), number(20)).prop_map(|(name, token)| Command::ForceRelease { name, token }),
        1 => proclaim.prop_map(|(name, session, token, value)| Command::Proclaim { name, session, token, value }),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let sequence = prop_oneof![10 => 0..6_u64, 2 => 60..140_u64, 1 => any::<u64>()];
    let id = prop::option::weighted(0.3, (session(), sequence));
    (id, command()).prop_map(|(id, command)| {
        let id = id.map(|(session, sequence)| RequestId { session, sequence });
        Request { id, command }
    })
}

/// Steps of the clock, mostly forward, and once in a while to anywhere.
fn clock_steps() -> impl Strategy<Value = (u64, bool)> {
    prop_oneof![
        200 => (0..400_u64).prop_map(|step| (step, false)),
        4 => Just((0, true)),
        1 => any::<u64>().prop_map(|to| (to, true)),
    ]
}

/// A log.
pub fn entries(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Entry>> {
    let entry = (clock_steps(), number(1_000_000), vec(request(), 0..4));
    vec(entry, length).prop_map(|entries| {
        let mut clock_ms = 0_u64;
        let stamped = entries.into_iter().map(|((step, absolute), wall_ms, requests)| {
            clock_ms = if absolute { step } else { clock_ms.saturating_add(step) };
            Entry { clock_ms, wall_ms, requests }
        });
        let mut stamped: Vec<_> = stamped.collect();
        // A session from the start on, so that something comes of the rest.
        let open =
            |id| Request::from(Command::OpenSession { id: SessionId(id), ttl_ms: 1400, owner: "app".to_owned() });
        stamped.insert(0, Entry { clock_ms: 0, wall_ms: 1, requests: (1..=3).map(open).collect() });
        stamped
    })
}
