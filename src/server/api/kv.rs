//! `ringfence.v1.Kv`.

use ringfence_core::{
    Command, KeyView, OpReply, Refusal, Reply, RequestId, Span, Txn, TxnReply, limits,
    query::{HistoryAnswer, KeyHistory, Range, Select, Stats},
};
use ringfence_proto::v1::{self, kv_server};
use tonic::{Request, Response, Status};

use super::{
    convert::{key_value, range_response, txn_response},
    convert_request::{self, freshness, page, request_id},
    errors::{refused, unexpected_reply},
    parts::Parts,
};

/// The service.
pub struct Kv {
    parts: Parts,
}

impl Kv {
    /// On top of these.
    pub fn new(parts: Parts) -> Self {
        Self { parts }
    }

    async fn write_txn(&self, txn: Txn, id: Option<RequestId>) -> Result<TxnReply, Status> {
        match self.parts.write(Command::Txn(txn), id).await? {
            Reply::Txn(reply) => Ok(reply),
            _ => Err(unexpected_reply()),
        }
    }

    /// A transaction of one operation: its answer, and the revision.
    async fn write_op(&self, op: ringfence_core::Op, id: Option<RequestId>) -> Result<(OpReply, u64), Status> {
        let reply = self.write_txn(Txn { then: vec![op], ..Txn::default() }, id).await?;
        let result = reply.results.into_iter().next().ok_or_else(unexpected_reply)?;
        Ok((result, reply.revision))
    }
}

#[tonic::async_trait]
impl kv_server::Kv for Kv {
    async fn range(&self, request: Request<v1::RangeRequest>) -> Result<Response<v1::RangeResponse>, Status> {
        let request = request.into_inner();
        let freshness = freshness(request.consistency, request.min_revision)?;
        let range = convert_request::range(request)?;
        check_range(&range)?;
        let (answer, header) = self.parts.read_range(range, freshness).await?;
        let bytes = answer.keys.iter().map(weight).sum();
        self.parts.respond(range_response(answer, Some(header)), bytes)
    }

    async fn put(&self, request: Request<v1::PutRequest>) -> Result<Response<v1::PutResponse>, Status> {
        let request = request.into_inner();
        let id = request_id(request.request_id)?;
        let op = convert_request::put(request)?;
        match self.write_op(op, id).await? {
            (OpReply::Put { key, prev }, revision) => Ok(Response::new(v1::PutResponse {
                header: Some(self.parts.headers.at(revision)),
                key,
                prev_kv: prev.map(key_value),
            })),
            _ => Err(unexpected_reply()),
        }
    }

    async fn delete(&self, request: Request<v1::DeleteRequest>) -> Result<Response<v1::DeleteResponse>, Status> {
        let request = request.into_inner();
        let id = request_id(request.request_id)?;
        let op = convert_request::delete(request)?;
        match self.write_op(op, id).await? {
            (OpReply::Delete { deleted, prev }, revision) => Ok(Response::new(v1::DeleteResponse {
                header: Some(self.parts.headers.at(revision)),
                deleted,
                prev_kvs: prev.into_iter().map(key_value).collect(),
            })),
            _ => Err(unexpected_reply()),
        }
    }

    async fn txn(&self, request: Request<v1::TxnRequest>) -> Result<Response<v1::TxnResponse>, Status> {
        let request = request.into_inner();
        let id = request_id(request.request_id)?;
        let reply = self.write_txn(convert_request::txn(request)?, id).await?;
        let header = self.parts.headers.at(reply.revision);
        Ok(Response::new(txn_response(reply, header)))
    }

    async fn compact(&self, request: Request<v1::CompactRequest>) -> Result<Response<v1::CompactResponse>, Status> {
        let revision = request.into_inner().revision;
        match self.parts.write(Command::Compact { revision }, None).await? {
            Reply::Compacted => {
                Ok(Response::new(v1::CompactResponse { header: Some(self.parts.headers.now(revision)) }))
            }
            _ => Err(unexpected_reply()),
        }
    }

    async fn history(&self, request: Request<v1::HistoryRequest>) -> Result<Response<v1::HistoryResponse>, Status> {
        let request = request.into_inner();
        let freshness = freshness(request.consistency, request.min_revision)?;
        let limit = page(request.limit, limits::HISTORY_VERSIONS_MAX)?;
        check_key(&request.key)?;
        let query = HistoryAndCompaction(KeyHistory { key: request.key, limit });
        let ((history, compacted_revision), header) = self.parts.read(&query, freshness).await?;
        let version = |(view, deleted)| v1::KeyVersion { kv: Some(key_value(view)), deleted };
        let bytes = history.versions.iter().map(|(view, _)| weight(view)).sum();
        let message = v1::HistoryResponse {
            header: Some(header),
            versions: history.versions.into_iter().map(version).collect(),
            more: history.more,
            compacted_revision,
        };
        self.parts.respond(message, bytes)
    }
}

/// A key's history, and how far back it goes, of one state.
struct HistoryAndCompaction(KeyHistory);

impl ringfence_core::query::Query for HistoryAndCompaction {
    type Answer = (HistoryAnswer, u64);

    fn answer(&self, state: &ringfence_core::State) -> Result<Self::Answer, Refusal> {
        Ok((state.read(&self.0)?, state.read(&Stats)?.compacted))
    }
}

/// About how many bytes a key is on the wire.
fn weight(view: &KeyView) -> usize {
    const FIXED: usize = 48;
    FIXED + view.key.len() + view.value.len()
}

/// Refuses keys of a read by their length, before a quorum is asked for it.
fn check_range(range: &Range) -> Result<(), Status> {
    let long = |key: &[u8]| key.len() > limits::KEY_BYTES_MAX;
    match &range.select {
        Select::Span(Span::Key(key) | Span::Prefix(key)) | Select::Children(key) if long(key) => Err(too_long(key)),
        Select::Span(Span::Between { start, .. }) if long(start) => Err(too_long(start)),
        Select::Span(Span::Between { end, .. }) if long(end) => Err(too_long(end)),
        _ => Ok(()),
    }
}

fn check_key(key: &[u8]) -> Result<(), Status> {
    match key.len() {
        0 => Err(refused(Refusal::InvalidKey("it is empty".to_owned()))),
        length if length > limits::KEY_BYTES_MAX => Err(too_long(key)),
        _ => Ok(()),
    }
}

fn too_long(key: &[u8]) -> Status {
    refused(Refusal::LimitExceeded {
        what: "key bytes".to_owned(),
        limit: limits::KEY_BYTES_MAX as u64,
        actual: key.len() as u64,
    })
}
