//! Keys: reading, writing, transactions.

use ringfence_proto::v1;

use crate::client::Client;
use crate::convert::{
    delete_request, delete_result, history, put_request, put_result, range_request, range_result, txn_request,
    txn_result,
};
use crate::core::{Failure, Plan, Safety};
use crate::error::{Error, Result};
use crate::headed::Headed as _;
use crate::pipelined::kv;
use crate::select::Select;
use crate::session::{Number, Session};
use crate::txn::{Txn, copy};
use crate::types::{DeleteResult, History, KeyValue, PutResult, RangeResult, Revision, SessionId, TxnResult};

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Freshness {
    /// Sees every write that was acknowledged before the read was sent. Costs a round among the members.
    #[default]
    Linearizable,
    /// What the member that is asked has applied, which may be old, but at least this revision (0: whatever it has).
    /// Costs one local look-up.
    Stale {
        /// The member waits until it has applied this.
        min_revision: Revision,
    },
}

/// Which keys to read, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetOptions {
    pub(crate) select: Select,
    pub(crate) limit: u32,
    pub(crate) keys_only: bool,
    pub(crate) count_only: bool,
    pub(crate) revision: Revision,
    pub(crate) freshness: Freshness,
    pub(crate) descending: bool,
}

impl GetOptions {
    fn new(select: Select) -> Self {
        Self {
            select,
            limit: 0,
            keys_only: false,
            count_only: false,
            revision: 0,
            freshness: Freshness::Linearizable,
            descending: false,
        }
    }

    /// One key.
    pub fn key(key: impl AsRef<[u8]>) -> Self {
        Self::new(Select::key(key))
    }

    /// All keys from `start` on and below `end`.
    pub fn range(start: impl AsRef<[u8]>, end: impl AsRef<[u8]>) -> Self {
        Self::new(Select::range(start, end))
    }

    /// All keys that begin so; empty: all keys.
    pub fn prefix(prefix: impl AsRef<[u8]>) -> Self {
        Self::new(Select::prefix(prefix))
    }

    /// The direct children of a path (`path/name`, no further `/`); deeper keys give one entry for the child, without
    /// a value.
    pub fn children(path: impl AsRef<[u8]>) -> Self {
        Self::new(Select::children(path))
    }

    /// At most so many entries, 1 to 10000, which is also the default.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }

    /// Leaves values out.
    pub fn keys_only(mut self) -> Self {
        self.keys_only = true;
        self
    }

    /// Only counts.
    pub fn count_only(mut self) -> Self {
        self.count_only = true;
        self
    }

    /// As of this revision.
    pub fn at_revision(mut self, revision: Revision) -> Self {
        self.revision = revision;
        self
    }

    /// Answered by whichever member is asked from what it has; see [`Freshness::Stale`].
    pub fn stale(self) -> Self {
        self.freshness(Freshness::Stale { min_revision: 0 })
    }

    /// Like [`GetOptions::stale`], but not older than this revision.
    pub fn min_revision(self, min_revision: Revision) -> Self {
        self.freshness(Freshness::Stale { min_revision })
    }

    /// How fresh the answer must be.
    pub fn freshness(mut self, freshness: Freshness) -> Self {
        self.freshness = freshness;
        self
    }

    /// Greatest key first.
    pub fn descending(mut self) -> Self {
        self.descending = true;
        self
    }
}

/// How to write a key.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PutOptions {
    pub(crate) session: Option<SessionId>,
    pub(crate) sequential: bool,
    pub(crate) prev: bool,
}

impl PutOptions {
    /// A plain put.
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds the key to a session: it goes when that ends.
    pub fn bind(self, session: &Session) -> Self {
        self.bind_id(session.id())
    }

    /// Binds the key to the session with this id.
    pub fn bind_id(mut self, session: SessionId) -> Self {
        self.session = Some(session);
        self
    }

    /// Takes the key as a prefix and appends twenty digits of a counter that never goes back.
    pub fn sequential(mut self) -> Self {
        self.sequential = true;
        self
    }

    /// Answers with the version that was replaced.
    pub fn prev(mut self) -> Self {
        self.prev = true;
        self
    }
}

/// Which keys to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteOptions {
    pub(crate) select: Select,
    pub(crate) prev: bool,
}

impl DeleteOptions {
    fn new(select: Select) -> Self {
        Self { select, prev: false }
    }

    /// One key.
    pub fn key(key: impl AsRef<[u8]>) -> Self {
        Self::new(Select::key(key))
    }

    /// All keys from `start` on and below `end`; at most 10000.
    pub fn range(start: impl AsRef<[u8]>, end: impl AsRef<[u8]>) -> Self {
        Self::new(Select::range(start, end))
    }

    /// All keys that begin so; not empty; at most 10000.
    pub fn prefix(prefix: impl AsRef<[u8]>) -> Self {
        Self::new(Select::prefix(prefix))
    }

    /// Answers with what was deleted.
    pub fn prev(mut self) -> Self {
        self.prev = true;
        self
    }
}

/// The keys. From [`Client::kv`], or, with exactly-once writes, from [`Session::kv`]. Cheap to clone.
///
/// Dropping a call's future stops waiting; a write that was sent may still be done.
#[derive(Clone, Debug)]
pub struct Kv {
    pub(crate) client: Client,
    pub(crate) session: Option<Session>,
}

impl Kv {
    /// Reads one key, linearizably. Retried while the call's deadline allows.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Timeout`], and refusals.
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<KeyValue>> {
        Ok(self.get_with(GetOptions::key(key)).await?.kvs.pop())
    }

    /// Reads keys in order.
    ///
    /// # Errors
    /// As [`Kv::get`], and [`Error::Compacted`] for a revision whose history is gone.
    pub async fn get_with(&self, options: GetOptions) -> Result<RangeResult> {
        let request = range_request(options);
        let plan = self.client.read("get");
        Ok(range_result(self.client.core().ask_pipelined(plan, || request.clone()).await?.body))
    }

    /// Writes one key.
    ///
    /// # Errors
    /// [`Error::Unknown`] if it can't be known whether it was done (never with
    /// [`Session::kv`] while the session lives); [`Error::Unavailable`] if it surely wasn't;
    /// refusals.
    pub async fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<PutResult> {
        self.put_with(key, value, PutOptions::new()).await
    }

    /// Writes one key, with options.
    ///
    /// # Errors
    /// As [`Kv::put`]; [`Error::SessionLost`] if the session it is bound to is over.
    pub async fn put_with(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        options: PutOptions,
    ) -> Result<PutResult> {
        let bound = options.session;
        let request = put_request(copy(key), copy(value), options);
        let number = self.number().await?;
        let request = v1::PutRequest { request_id: number.as_ref().map(|number| number.id), ..request };
        let plan = self.plan("put", bound);
        let answer = self.client.core().ask_pipelined(plan, || request.clone()).await;
        Ok(put_result(answer.map_err(written)?.body))
    }

    /// Deletes one key. Deleting nothing is no error.
    ///
    /// # Errors
    /// As [`Kv::put`].
    pub async fn delete(&self, key: impl AsRef<[u8]>) -> Result<DeleteResult> {
        self.delete_with(DeleteOptions::key(key)).await
    }

    /// Deletes keys.
    ///
    /// # Errors
    /// As [`Kv::put`].
    pub async fn delete_with(&self, options: DeleteOptions) -> Result<DeleteResult> {
        let number = self.number().await?;
        let request =
            v1::DeleteRequest { request_id: number.as_ref().map(|number| number.id), ..delete_request(options) };
        let plan = self.plan("delete", None);
        let answer = self.client.core().ask_pipelined(plan, || request.clone()).await;
        Ok(delete_result(answer.map_err(written)?.body))
    }

    /// Does a transaction. One without writes is read only, and retried like a read.
    ///
    /// # Errors
    /// As [`Kv::put`]. That the comparisons didn't hold is no error: see [`TxnResult::succeeded`].
    pub async fn txn(&self, txn: Txn) -> Result<TxnResult> {
        let bound = txn.bound();
        let reads = txn.only_reads();
        let number = match reads {
            true => None,
            false => self.number().await?,
        };
        let request = v1::TxnRequest { request_id: number.as_ref().map(|number| number.id), ..txn_request(txn) };
        let plan = match reads {
            true => self.client.read("transaction"),
            false => self.plan("transaction", bound),
        };
        let answer = self.client.core().ask_pipelined(plan, || request.clone()).await;
        txn_result(answer.map_err(written)?.body)
    }

    /// Forgets all versions that are not the newest at `revision`, for everybody. Reads and watches from below it are
    /// refused afterwards. Gives the revision of the cluster.
    ///
    /// # Errors
    /// [`Error::Compacted`] if that is compacted already; refusals.
    pub async fn compact(&self, revision: Revision) -> Result<Revision> {
        let request = v1::CompactRequest { revision };
        let plan = self.client.write("compact", Safety::Idempotent);
        let answer = self
            .client
            .core()
            .call(plan, request, |channel, request| async move { kv(channel).compact(request).await });
        match answer.await {
            Ok(answer) => Ok(answer.body.revision()),
            // An earlier attempt of this call has done it.
            Err(Failure { error: Error::Compacted { compacted }, repeated: true }) if compacted >= revision => {
                Ok(compacted)
            }
            Err(failure) => Err(failure.error),
        }
    }

    /// Versions of one key since the last compaction, newest first, at most `limit` (1 to 1000; 0 means 1000).
    ///
    /// # Errors
    /// As [`Kv::get`].
    pub async fn history(&self, key: impl AsRef<[u8]>, limit: u32) -> Result<History> {
        let (consistency, min_revision) = self.client.consistency();
        let request = v1::HistoryRequest { key: copy(key), limit, consistency, min_revision };
        let plan = self.client.read("history");
        let answer = self
            .client
            .core()
            .call(plan, request, |channel, request| async move { kv(channel).history(request).await });
        Ok(history(answer.await?.body))
    }

    /// The number of a write, where it has one.
    async fn number(&self) -> Result<Option<Number<'_>>> {
        match &self.session {
            Some(session) => Ok(Some(session.number().await?)),
            None => Ok(None),
        }
    }

    /// A write within a session has one effect, however often it is sent; another may be sent only once.
    fn plan(&self, what: &'static str, bound: Option<SessionId>) -> Plan {
        let own = self.session.as_ref().map(Session::id);
        let safety = match own {
            Some(_) => Safety::Idempotent,
            None => Safety::Once,
        };
        let subject = bound.or(own).unwrap_or_default();
        self.client.write(what, safety).about(subject, 0)
    }
}

/// The error of a write. If an earlier attempt may have been done, a refusal says that this one wasn't, not that none was.
fn written(failure: Failure) -> Error {
    let told = match &failure.error {
        Error::SessionLost { .. } => true,
        Error::Refused { reason, .. } => reason == "SEQUENCE_TOO_OLD",
        _ => false,
    };
    match failure.repeated && told {
        true => Error::Unknown {
            message: format!("an earlier attempt may have been done; the last one says: {}", failure.error),
        },
        false => failure.error,
    }
}
