//! The Ringfence client: fenced locks, leader latches, watches, keys.
//!
//! ```no_run
//! # async fn example() -> ringfence_client::Result<()> {
//! use ringfence_client::{Client, LOCAL_ENDPOINTS, Op, Txn};
//!
//! let client = Client::connect(LOCAL_ENDPOINTS).await?;
//! let guard = client.lock("orders").acquire().await?;
//! let txn = Txn::new()
//!     .when_holds("orders", guard.token())
//!     .then(Op::put("orders/last", "4711"));
//! assert!(client.kv().txn(txn).await?.succeeded);
//! guard.release().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! - **Nothing is done twice.** A call is repeated only where that is safe: reads; writes that are the same done twice, such
//!   as claims; writes that surely weren't done; and writes through [`Session::kv`], which carry a number by which the
//!   cluster knows them again. A plain write whose answer was lost is [`Error::Unknown`], never repeated.
//! - **What is held here is held in the cluster.** A session's lease is counted from the moment its last acknowledged
//!   renewal was *sent*, less an allowance for clocks' drift. [`LockGuard::is_valid`] and
//!   [`LeaderLatch::has_leadership`] end before the cluster could give the lock or the leadership to somebody else, as
//!   long as clocks' rates differ by less than the allowance. Beyond that the fencing token protects what the lock
//!   protects.
//! - **A watch misses nothing and doubles nothing**, over broken connections and dead members: see [`Watcher`].
//! - **What is dropped is given up.** A guard, a session, a latch, or the future of a wait that is dropped releases what it
//!   had in the background; each also has a call that says when that is done.
//! - **Every future is cancel safe** in that dropping it leaks nothing. A write that was sent may still be done.
//!
//! # Words
//!
//! A *session* is this program's proof of being alive; keys and claims bound to it go when it ends. A *claim* is a place
//! in the queue of a lock or of an election; the oldest owns it. Its *token* is greater than every token granted before. A
//! *revision* counts the changes of all keys.
//!
//! # The way of a call
//!
//! A call picks a member (`route`): the leader for writes, this client's home for reads. It is asked on a connection for
//! short calls or, if it stays open, on one for long ones (`pool`). What is asked most goes over one stream for each member
//! (`attempt`, `pipeline`, `pipelined`), which is a `link` if the member has any. What an answer means is judged in one place
//! (`verdict`), and whether to ask again in another (`core`). Waits in a queue move to another member and keep their place
//! (`wait`). One task renews all sessions on one stream (`renewer`), counting leases by `lease`; one does what destructors
//! leave behind (`chores`); each watcher and each observer has one (`follow`, `election`).

mod attempt;
mod backoff;
mod backup;
mod cell;
mod chance;
mod chores;
mod client;
mod clock;
mod cluster;
mod convert;
mod core;
mod election;
mod error;
mod follow;
mod guard;
mod headed;
mod health;
mod kv;
mod latch;
mod lease;
#[cfg(not(madsim))]
mod link;
mod lock;
#[cfg(not(madsim))]
mod pipeline;
mod pipelined;
mod pool;
mod renewer;
mod route;
mod select;
mod session;
mod sessions;
#[cfg(not(madsim))]
mod tls;
mod txn;
mod types;
mod verdict;
mod wait;
mod watch;

pub use backoff::RetryPolicy;
pub use backup::Backup;
#[cfg(feature = "backup-files")]
pub use backup::{BackupSummary, inspect_backup};
pub use client::{Client, ClientBuilder, LOCAL_ENDPOINTS};
pub use cluster::Cluster;
pub use election::{Election, Observer};
pub use error::{Error, Result};
pub use guard::LockGuard;
pub use kv::{DeleteOptions, Freshness, GetOptions, Kv, PutOptions};
pub use latch::{LatchBuilder, LatchChanges, LatchState, LeaderLatch};
pub use lock::{Lock, Locks};
pub use session::{Loss, Session, SessionOptions};
pub use sessions::Sessions;
#[cfg(not(madsim))]
pub use tls::TlsOptions;
pub use txn::{Compare, CompareNumber, CompareValue, Op, Txn};
pub use types::*;
pub use watch::{WatchItem, WatchOptions, Watcher};
