//! The Ringfence client: fenced locks, leader latches, watches, keys.

mod client;
mod cluster;
mod election;
mod error;
mod guard;
mod kv;
mod latch;
mod lock;
mod session;
mod sessions;
mod txn;
mod types;
mod watch;

pub use client::{Client, ClientBuilder, LOCAL_ENDPOINTS, RetryPolicy};
pub use cluster::Cluster;
pub use election::{Election, Observer};
pub use error::{Error, Result};
pub use guard::LockGuard;
pub use kv::{DeleteOptions, Freshness, GetOptions, Kv, PutOptions};
pub use latch::{LatchBuilder, LatchChanges, LatchState, LeaderLatch};
pub use lock::{Lock, Locks};
pub use session::{Loss, Session, SessionOptions};
pub use sessions::Sessions;
pub use txn::{Compare, CompareNumber, CompareValue, Op, Txn};
pub use types::*;
pub use watch::{WatchItem, WatchOptions, Watcher};
