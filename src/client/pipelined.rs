//! Calls that may go over a pipeline, each with the call of its own that is the same.

use std::future::Future;

use ringfence_proto::v1;
use ringfence_proto::v1::election_client::ElectionClient;
use ringfence_proto::v1::kv_client::KvClient;
use ringfence_proto::v1::lock_client::LockClient;
#[cfg(not(madsim))]
use ringfence_proto::v1::{pipelined_answer::Answer as AnyAnswer, pipelined_call::Call};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::core::MESSAGE_BYTES_MAX;
use crate::headed::Headed;

/// The request of such a call.
pub(crate) trait Pipelined: Clone + Send + Sized + 'static {
    type Answer: Headed + Send + 'static;

    /// As a call by itself.
    fn alone(
        channel: Channel,
        request: Request<Self>,
    ) -> impl Future<Output = Result<Response<Self::Answer>, Status>> + Send;

    /// Whether its answer is small, as far as can be told.
    #[cfg(not(madsim))]
    fn fits(&self) -> bool {
        true
    }

    #[cfg(not(madsim))]
    fn call(self) -> Call;

    /// `None` if it is the answer of another.
    #[cfg(not(madsim))]
    fn answer(answer: AnyAnswer) -> Option<Self::Answer>;
}

macro_rules! pipelined {
    ($($request:ident, $call:ident => $answer:ident, $any:ident: |$channel:ident| $client:expr, $method:ident
        $(, |$this:ident| $fits:expr)?;)*) => {
        $(impl Pipelined for v1::$request {
            type Answer = v1::$answer;

            async fn alone($channel: Channel, request: Request<Self>) -> Result<Response<v1::$answer>, Status> {
                $client.$method(request).await
            }

            $(#[cfg(not(madsim))]
            fn fits(&self) -> bool {
                let $this = self;
                $fits
            })?

            #[cfg(not(madsim))]
            fn call(self) -> Call {
                Call::$call(self)
            }

            #[cfg(not(madsim))]
            fn answer(answer: AnyAnswer) -> Option<v1::$answer> {
                match answer {
                    AnyAnswer::$any(answer) => Some(answer),
                    _ => None,
                }
            }
        })*
    };
}

pipelined! {
    RangeRequest, Range => RangeResponse, Range: |channel| kv(channel), range, |range| is_short(range);
    PutRequest, Put => PutResponse, Put: |channel| kv(channel), put;
    DeleteRequest, Delete => DeleteResponse, Delete: |channel| kv(channel), delete;
    TxnRequest, Txn => TxnResponse, Txn: |channel| kv(channel), txn;
    LockAcquireRequest, Acquire => LockAcquireResponse, Acquire: |channel| LockClient::new(channel), acquire;
    LockTryAcquireRequest, TryAcquire => LockAcquireResponse, Acquire: |channel| LockClient::new(channel), try_acquire;
    LockReleaseRequest, Release => LockReleaseResponse, Release: |channel| LockClient::new(channel), release;
    LockValidateRequest, Validate => LockValidateResponse, Validate: |channel| LockClient::new(channel), validate;
    ElectionCampaignRequest, Campaign => ElectionCampaignResponse, Campaign: |channel| ElectionClient::new(channel), campaign;
}

pub(crate) fn kv(channel: Channel) -> KvClient<Channel> {
    KvClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

/// A range of few keys. Of more, the member says itself whether they are too many.
#[cfg(not(madsim))]
fn is_short(range: &v1::RangeRequest) -> bool {
    const FEW: u32 = 100;
    let one = range.range_end.is_empty() && !range.prefix && !range.children;
    one || range.count_only || (1..=FEW).contains(&range.limit)
}
