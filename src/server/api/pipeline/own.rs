//! Calls that share nothing with the message that they came in.
//!
//! What is read from a message are slices of it. A write that waits in its lane counts with its own few bytes; without this it would keep
//! all of a message in memory whose other calls were answered long ago.

use bytes::Bytes;
use ringfence_proto::v1::{
    DeleteRequest, PutRequest, RangeRequest, TxnOp, TxnRequest, compare::Target, pipelined_call::Call, txn_op::Op,
};

/// Copies what the call says.
pub fn own(call: &mut Call) {
    match call {
        Call::Cancel(_) => {}
        Call::Range(request) => range(request),
        Call::Put(request) => put(request),
        Call::Delete(request) => delete(request),
        Call::Txn(request) => txn(request),
        Call::Acquire(request) => copy([&mut request.name, &mut request.suffix, &mut request.value]),
        Call::TryAcquire(request) => copy([&mut request.name, &mut request.suffix, &mut request.value]),
        Call::Release(request) => copy([&mut request.name, &mut request.suffix]),
        Call::Validate(request) => copy([&mut request.name]),
        Call::Campaign(request) => copy([&mut request.name, &mut request.suffix, &mut request.value]),
    }
}

fn copy<const N: usize>(all: [&mut Bytes; N]) {
    for bytes in all {
        *bytes = Bytes::copy_from_slice(bytes);
    }
}

fn range(request: &mut RangeRequest) {
    copy([&mut request.key, &mut request.range_end]);
}

fn put(request: &mut PutRequest) {
    copy([&mut request.key, &mut request.value]);
}

fn delete(request: &mut DeleteRequest) {
    copy([&mut request.key, &mut request.range_end]);
}

fn txn(request: &mut TxnRequest) {
    for compare in &mut request.compare {
        copy([&mut compare.key]);
        if let Some(Target::Value(value)) = &mut compare.target {
            copy([value]);
        }
    }
    request.then.iter_mut().chain(&mut request.r#else).for_each(op);
}

fn op(op: &mut TxnOp) {
    match &mut op.op {
        Some(Op::Range(request)) => range(request),
        Some(Op::Put(request)) => put(request),
        Some(Op::Delete(request)) => delete(request),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use ringfence_proto::v1::{Compare, LockAcquireRequest, PipelineRequest, PipelinedCall};

    use super::*;

    #[test]
    fn what_was_copied_is_the_same_and_leaves_the_message_free() {
        let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
        let put = PutRequest { key: bytes("key"), value: bytes("value"), ..PutRequest::default() };
        let compare = Compare { key: bytes("key"), target: Some(Target::Value(bytes("is"))), ..Compare::default() };
        let ops = [
            Op::Put(put.clone()),
            Op::Range(RangeRequest { key: bytes("a"), range_end: bytes("b"), ..RangeRequest::default() }),
            Op::Delete(DeleteRequest { key: bytes("c"), range_end: bytes("d"), ..DeleteRequest::default() }),
        ];
        let ops = ops.map(|op| TxnOp { op: Some(op) }).to_vec();
        let acquire =
            LockAcquireRequest { name: bytes("l"), suffix: bytes("s"), value: bytes("v"), ..Default::default() };
        let calls = [
            Call::Put(put),
            Call::Txn(TxnRequest { compare: vec![compare], then: ops.clone(), r#else: ops, request_id: None }),
            Call::Acquire(acquire),
        ];
        let calls = calls.map(|call| PipelinedCall { id: 1, timeout_ms: 0, call: Some(call) }).to_vec();
        let sent = PipelineRequest { calls };
        let message = Bytes::from(sent.encode_to_vec());
        let mut read = PipelineRequest::decode(message.clone()).unwrap();
        assert!(!message.is_unique(), "what is read are slices");
        for call in &mut read.calls {
            own(call.call.as_mut().unwrap());
        }
        assert_eq!(read, sent);
        assert!(message.is_unique());
    }
}
