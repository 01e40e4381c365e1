//! Writes protobuf fields straight into a buffer, for the messages of which there are millions.
//!
//! The message types of `dasklet_protocol` say the same with an allocation for each field; the
//! tests here read back with them what was written.

use bytes::BufMut;
use prost::encoding::{encode_varint, encoded_len_varint};

const VARINT: u64 = 0;
const LENGTH_DELIMITED: u64 = 2;

/// A field of an integer type without zigzag; nothing for zero, as proto3 has it.
pub(crate) fn put_integer(buffer: &mut impl BufMut, field: u32, value: u64) {
    if value != 0 {
        put_integer_or_zero(buffer, field, value);
    }
}

/// A field of an integer type that is written even when it is zero (a member of a `oneof`).
pub(crate) fn put_integer_or_zero(buffer: &mut impl BufMut, field: u32, value: u64) {
    encode_varint(u64::from(field) << 3 | VARINT, buffer);
    encode_varint(value, buffer);
}

/// A field of bytes, a string or a message; nothing if it is empty.
pub(crate) fn put_bytes(buffer: &mut impl BufMut, field: u32, value: &[u8]) {
    if !value.is_empty() {
        put_length(buffer, field, value.len());
        buffer.put_slice(value);
    }
}

/// The head of a field whose content of this length the caller writes next.
pub(crate) fn put_length(buffer: &mut impl BufMut, field: u32, length: usize) {
    encode_varint(u64::from(field) << 3 | LENGTH_DELIMITED, buffer);
    encode_varint(length as u64, buffer);
}

/// Bytes that [`put_length`] and content of this length take.
pub(crate) fn delimited_length(field: u32, length: usize) -> usize {
    encoded_len_varint(u64::from(field) << 3) + encoded_len_varint(length as u64) + length
}
