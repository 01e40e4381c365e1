//! Writes values as msgpack.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Map, Value};
use crate::message::PayloadKind;

/// Frame indexes of the payloads, in the order in which [`encode`] meets them.
pub(super) type Indexes<'a> = dyn Iterator<Item = usize> + 'a;

/// Appends `value`; each payload becomes a placeholder with the next of `indexes`.
pub(crate) fn encode(value: &Value, indexes: &mut Indexes<'_>, out: &mut BytesMut) {
    match value {
        Value::Nil => out.put_u8(0xc0),
        Value::Bool(value) => out.put_u8(if *value { 0xc3 } else { 0xc2 }),
        Value::Int(value) => int(*value, out),
        Value::UInt(value) => uint(*value, out),
        Value::Float(value) => {
            out.put_u8(0xcb);
            out.put_f64(*value);
        }
        Value::Str(text) => str(text, out),
        Value::Bin(bytes) => bin(bytes, out),
        Value::List(items) => list(items, indexes, out),
        Value::Map(entries) => map(entries, indexes, out),
        Value::Set(items) => {
            out.put_u8(0x82);
            str("__Set__", out);
            out.put_u8(0xc3);
            str("as-list", out);
            list(items, indexes, out);
        }
        Value::Payload(payload) => {
            out.put_u8(0x81);
            str(
                match payload.kind() {
                    PayloadKind::Serialized => "__Serialized__",
                    PayloadKind::Pickled => "__Pickled__",
                },
                out,
            );
            uint(indexes.next().unwrap_or_default() as u64, out);
        }
    }
}

fn list(items: &[Value], indexes: &mut Indexes<'_>, out: &mut BytesMut) {
    length(items.len(), 0x90, 15, [None, Some(0xdc), Some(0xdd)], out);
    for item in items {
        encode(item, indexes, out);
    }
}

fn map(entries: &Map, indexes: &mut Indexes<'_>, out: &mut BytesMut) {
    length(entries.len(), 0x80, 15, [None, Some(0xde), Some(0xdf)], out);
    for (key, value) in entries.iter() {
        encode(key, indexes, out);
        encode(value, indexes, out);
    }
}

fn str(text: &str, out: &mut BytesMut) {
    length(text.len(), 0xa0, 31, [Some(0xd9), Some(0xda), Some(0xdb)], out);
    out.put_slice(text.as_bytes());
}

fn bin(bytes: &Bytes, out: &mut BytesMut) {
    length(bytes.len(), 0, 0, [Some(0xc4), Some(0xc5), Some(0xc6)], out);
    out.put_slice(bytes);
}

/// A length in the shortest form: in the marker itself up to `in_marker` (if there is such a
/// form), else in 8, 16 or 32 bits. Nothing here reaches 2^32: frames are far smaller.
fn length(len: usize, marker: u8, in_marker: usize, wide: [Option<u8>; 3], out: &mut BytesMut) {
    match (len, wide) {
        _ if in_marker > 0 && len <= in_marker => out.put_u8(marker | len as u8),
        (..=0xff, [Some(marker), ..]) => {
            out.put_u8(marker);
            out.put_u8(len as u8);
        }
        (..=0xffff, [_, Some(marker), _]) => {
            out.put_u8(marker);
            out.put_u16(len as u16);
        }
        (_, [.., marker]) => {
            out.put_u8(marker.unwrap_or_default());
            out.put_u32(len as u32);
        }
    }
}

fn int(value: i64, out: &mut BytesMut) {
    if let Ok(value) = u64::try_from(value) {
        return uint(value, out);
    }
    if value >= -32 {
        out.put_i8(value as i8);
    } else if let Ok(value) = i8::try_from(value) {
        out.put_u8(0xd0);
        out.put_i8(value);
    } else if let Ok(value) = i16::try_from(value) {
        out.put_u8(0xd1);
        out.put_i16(value);
    } else if let Ok(value) = i32::try_from(value) {
        out.put_u8(0xd2);
        out.put_i32(value);
    } else {
        out.put_u8(0xd3);
        out.put_i64(value);
    }
}

fn uint(value: u64, out: &mut BytesMut) {
    match value {
        0..=0x7f => out.put_u8(value as u8),
        0x80..=0xff => {
            out.put_u8(0xcc);
            out.put_u8(value as u8);
        }
        0x100..=0xffff => {
            out.put_u8(0xcd);
            out.put_u16(value as u16);
        }
        0x1_0000..=0xffff_ffff => {
            out.put_u8(0xce);
            out.put_u32(value as u32);
        }
        _ => {
            out.put_u8(0xcf);
            out.put_u64(value);
        }
    }
}
