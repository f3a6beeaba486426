//! Messages in frames: a length in four bytes, the greatest first, and a message of protobuf.

use std::marker::PhantomData;

use bytes::{Buf, BufMut, BytesMut};
use prost::Message;
use tokio_util::codec::{Decoder, Encoder};
use tonic::Status;

/// Messages that are sent, and those that come.
pub struct Frames<Sent, Come> {
    bytes_max: usize,
    messages: PhantomData<fn(Sent) -> Come>,
}

impl<Sent, Come> Frames<Sent, Come> {
    /// Of messages of so many bytes at most, either way.
    pub const fn new(bytes_max: usize) -> Self {
        Self { bytes_max, messages: PhantomData }
    }
}

impl<Sent: Message, Come> Encoder<Sent> for Frames<Sent, Come> {
    type Error = Status;

    fn encode(&mut self, message: Sent, bytes: &mut BytesMut) -> Result<(), Status> {
        let length = message.encoded_len();
        let stated = u32::try_from(length).ok().filter(|_| length <= self.bytes_max);
        let stated = stated.ok_or_else(|| Status::out_of_range(format!("a message of {length} bytes is too long")))?;
        bytes.reserve(size_of::<u32>() + length);
        bytes.put_u32(stated);
        message.encode(bytes).map_err(|error| Status::internal(error.to_string()))
    }
}

impl<Sent, Come: Message + Default> Decoder for Frames<Sent, Come> {
    type Item = Come;
    type Error = Status;

    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<Come>, Status> {
        let Some(stated) = bytes.first_chunk().copied().map(u32::from_be_bytes) else { return Ok(None) };
        let length = usize::try_from(stated).unwrap_or(usize::MAX);
        if length > self.bytes_max {
            return Err(Status::out_of_range(format!("a frame of {length} bytes is too long")));
        }
        let whole = size_of::<u32>() + length;
        if bytes.len() < whole {
            bytes.reserve(whole - bytes.len());
            return Ok(None);
        }
        let mut frame = bytes.split_to(whole).freeze();
        frame.advance(size_of::<u32>());
        let message = Come::decode(frame).map_err(|error| Status::invalid_argument(error.to_string()))?;
        Ok(Some(message))
    }
}
