//! Keys: reading and putting one.

use ringfence_proto::v1;
use ringfence_proto::v1::kv_server::Kv;
use tonic::{Request, Response, Status};

use super::{Member, not_pretended};

#[tonic::async_trait]
impl Kv for Member {
    async fn range(&self, request: Request<v1::RangeRequest>) -> Result<Response<v1::RangeResponse>, Status> {
        self.serve("range", async || {
            let kvs: Vec<_> = self.world.get(&request.get_ref().key).into_iter().collect();
            Ok(v1::RangeResponse { header: self.header(), count: kvs.len() as u64, kvs, more: false })
        })
        .await
    }

    async fn put(&self, request: Request<v1::PutRequest>) -> Result<Response<v1::PutResponse>, Status> {
        self.serve("put", async || {
            let put = request.into_inner();
            let revision = self.world.put(&put.key, &put.value, put.request_id);
            let header = self.header().map(|header| v1::ResponseHeader { revision, ..header });
            Ok(v1::PutResponse { header, key: put.key, prev_kv: None })
        })
        .await
    }

    async fn delete(&self, _: Request<v1::DeleteRequest>) -> Result<Response<v1::DeleteResponse>, Status> {
        not_pretended()
    }

    async fn txn(&self, _: Request<v1::TxnRequest>) -> Result<Response<v1::TxnResponse>, Status> {
        not_pretended()
    }

    async fn compact(&self, _: Request<v1::CompactRequest>) -> Result<Response<v1::CompactResponse>, Status> {
        not_pretended()
    }

    async fn history(&self, _: Request<v1::HistoryRequest>) -> Result<Response<v1::HistoryResponse>, Status> {
        not_pretended()
    }
}
