//! How messages travel: out as bytes that are encoded once and kept until they are acknowledged,
//! in as the generated types.

use bytes::{BufMut, Bytes};
use dasklet_protocol::{TARGET_MESSAGE_BYTES, v1};
use prost::Message;
use tonic::{
    Status,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

/// Encoded `ClientMessage`s out, `ClientEvent`s in.
#[derive(Debug, Default)]
pub(crate) struct SessionCodec;

impl Codec for SessionCodec {
    type Encode = Bytes;
    type Decode = v1::ClientEvent;
    type Encoder = Encoded;
    type Decoder = Events;

    fn encoder(&mut self) -> Encoded {
        Encoded
    }

    fn decoder(&mut self) -> Events {
        Events
    }
}

#[derive(Debug)]
pub(crate) struct Encoded;

impl Encoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, target: &mut EncodeBuf<'_>) -> Result<(), Status> {
        target.reserve(item.len());
        target.put(item);
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct Events;

impl Decoder for Events {
    type Item = v1::ClientEvent;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<v1::ClientEvent>, Status> {
        v1::ClientEvent::decode(source)
            .map(Some)
            .map_err(|error| Status::internal(error.to_string()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(64 << 10, TARGET_MESSAGE_BYTES)
    }
}
