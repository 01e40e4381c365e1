//! Reads values from msgpack, in one frame.

use bytes::Bytes;

use super::{Map, Value};
use crate::{
    error::CodecError,
    limits::Limits,
    message::{Payload, PayloadKind},
};

/// What is left of a message's limits.
#[derive(Debug)]
pub(crate) struct Budget {
    values: u32,
    limits: Limits,
}

impl Budget {
    pub(crate) const fn new(limits: Limits) -> Self {
        Self { values: limits.values, limits }
    }

    fn take(&mut self, values: usize) -> Result<(), CodecError> {
        let left = u32::try_from(values).ok().and_then(|values| self.values.checked_sub(values));
        let limit = u64::from(self.limits.values);
        let found = limit - u64::from(self.values) + values as u64;
        self.values = left.ok_or(CodecError::TooLarge { what: "values", found, limit })?;
        Ok(())
    }
}

/// Finds the payload that a placeholder stands for.
pub(crate) trait Placeholders {
    /// The payload whose header is frame `index`.
    fn payload(
        &mut self,
        kind: PayloadKind,
        index: u64,
        budget: &mut Budget,
    ) -> Result<Payload, CodecError>;
}

/// Reads one frame from front to end.
pub(crate) struct Decoder<'a, P> {
    frame: &'a Bytes,
    at: usize,
    budget: &'a mut Budget,
    /// `None` in headers, where a placeholder means nothing.
    placeholders: Option<&'a mut P>,
}

impl<'a, P: Placeholders> Decoder<'a, P> {
    pub(crate) const fn new(
        frame: &'a Bytes,
        budget: &'a mut Budget,
        placeholders: Option<&'a mut P>,
    ) -> Self {
        Self { frame, at: 0, budget, placeholders }
    }

    /// The one value that the frame is.
    pub(crate) fn frame(mut self) -> Result<Value, CodecError> {
        let value = self.value(0)?;
        if self.at == self.frame.len() { Ok(value) } else { Err(self.bad("more than one value")) }
    }

    fn value(&mut self, depth: u16) -> Result<Value, CodecError> {
        self.budget.take(1)?;
        let [marker] = self.array()?;
        match marker {
            0..=0x7f => Ok(Value::Int(marker.into())),
            0x80..=0x8f => self.map(usize::from(marker & 0xf), depth),
            0x90..=0x9f => self.list(usize::from(marker & 0xf), depth),
            0xa0..=0xbf => self.str(usize::from(marker & 0x1f)),
            0xc0 => Ok(Value::Nil),
            0xc2 => Ok(Value::Bool(false)),
            0xc3 => Ok(Value::Bool(true)),
            0xc4 => self.len8().and_then(|len| self.bin(len)),
            0xc5 => self.len16().and_then(|len| self.bin(len)),
            0xc6 => self.len32().and_then(|len| self.bin(len)),
            0xca => Ok(Value::Float(f32::from_be_bytes(self.array()?).into())),
            0xcb => Ok(Value::Float(f64::from_be_bytes(self.array()?))),
            0xcc => Ok(Value::Int(u8::from_be_bytes(self.array()?).into())),
            0xcd => Ok(Value::Int(u16::from_be_bytes(self.array()?).into())),
            0xce => Ok(Value::Int(u32::from_be_bytes(self.array()?).into())),
            0xcf => Ok(u64::from_be_bytes(self.array()?).into()),
            0xd0 => Ok(Value::Int(i8::from_be_bytes(self.array()?).into())),
            0xd1 => Ok(Value::Int(i16::from_be_bytes(self.array()?).into())),
            0xd2 => Ok(Value::Int(i32::from_be_bytes(self.array()?).into())),
            0xd3 => Ok(Value::Int(i64::from_be_bytes(self.array()?))),
            0xd9 => self.len8().and_then(|len| self.str(len)),
            0xda => self.len16().and_then(|len| self.str(len)),
            0xdb => self.len32().and_then(|len| self.str(len)),
            0xdc => self.len16().and_then(|len| self.list(len, depth)),
            0xdd => self.len32().and_then(|len| self.list(len, depth)),
            0xde => self.len16().and_then(|len| self.map(len, depth)),
            0xdf => self.len32().and_then(|len| self.map(len, depth)),
            0xe0..=0xff => Ok(Value::Int((marker as i8).into())),
            0xc1 => Err(self.bad("a marker that has no meaning")),
            0xc7..=0xc9 | 0xd4..=0xd8 => Err(self.bad("an extension type, which Dask never sends")),
        }
    }

    fn list(&mut self, len: usize, depth: u16) -> Result<Value, CodecError> {
        let depth = self.nested(depth)?;
        let mut items = Vec::with_capacity(self.plausible(len, 1)?);
        for _ in 0..len {
            items.push(self.value(depth)?);
        }
        Ok(Value::List(items))
    }

    fn map(&mut self, len: usize, depth: u16) -> Result<Value, CodecError> {
        let depth = self.nested(depth)?;
        let mut entries = Vec::with_capacity(self.plausible(len, 2)?);
        for _ in 0..len {
            let key = self.value(depth)?;
            entries.push((key, self.value(depth)?));
        }
        self.meaning(entries.into_iter().collect())
    }

    /// Maps with certain keys stand for something else.
    fn meaning(&mut self, mut map: Map) -> Result<Value, CodecError> {
        if map.len() == 2 && map.get("__Set__").is_some() {
            return match map.remove("as-list") {
                Some(Value::List(items)) => Ok(Value::Set(items)),
                _ => Err(self.bad("a set without its list")),
            };
        }
        let Some(placeholders) = &mut self.placeholders else { return Ok(Value::Map(map)) };
        for kind in [PayloadKind::Serialized, PayloadKind::Pickled] {
            let index = match map.get(kind.placeholder()) {
                Some(Value::Int(index)) => u64::try_from(*index).unwrap_or_default(),
                Some(Value::UInt(index)) => *index,
                _ => 0,
            };
            if index > 0 {
                return Ok(placeholders.payload(kind, index, self.budget)?.into());
            }
        }
        Ok(Value::Map(map))
    }

    fn nested(&self, depth: u16) -> Result<u16, CodecError> {
        let limit = self.budget.limits.depth;
        if depth >= limit {
            let found = u64::from(depth) + 1;
            return Err(CodecError::TooLarge { what: "levels", found, limit: limit.into() });
        }
        Ok(depth + 1)
    }

    /// A number of elements for which memory may be taken: each needs a byte at least.
    fn plausible(&self, len: usize, values_each: usize) -> Result<usize, CodecError> {
        if len.saturating_mul(values_each) > self.frame.len() - self.at {
            return Err(CodecError::Truncated { at: self.frame.len() });
        }
        if len.saturating_mul(values_each) > self.budget.values as usize {
            let limit = u64::from(self.budget.limits.values);
            let found = len as u64 * values_each as u64;
            return Err(CodecError::TooLarge { what: "values", found, limit });
        }
        Ok(len)
    }

    fn str(&mut self, len: usize) -> Result<Value, CodecError> {
        let start = self.at;
        let bytes = self.slice(len)?;
        std::str::from_utf8(bytes)
            .map(Value::from)
            .map_err(|_| CodecError::BadMsgpack { at: start, reason: "a str that is no UTF-8" })
    }

    fn bin(&mut self, len: usize) -> Result<Value, CodecError> {
        let start = self.at;
        self.slice(len)?;
        Ok(Value::Bin(self.frame.slice(start..start + len)))
    }

    fn len8(&mut self) -> Result<usize, CodecError> {
        self.array().map(|bytes| usize::from(u8::from_be_bytes(bytes)))
    }

    fn len16(&mut self) -> Result<usize, CodecError> {
        self.array().map(|bytes| usize::from(u16::from_be_bytes(bytes)))
    }

    fn len32(&mut self) -> Result<usize, CodecError> {
        self.array().map(|bytes| u32::from_be_bytes(bytes) as usize)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let bytes = self.frame.get(self.at..).and_then(|rest| rest.first_chunk());
        let bytes = bytes.copied().ok_or(CodecError::Truncated { at: self.frame.len() })?;
        self.at += N;
        Ok(bytes)
    }

    fn slice(&mut self, len: usize) -> Result<&'a [u8], CodecError> {
        let end = self.at.checked_add(len);
        let bytes = end.and_then(|end| self.frame.get(self.at..end));
        let bytes = bytes.ok_or(CodecError::Truncated { at: self.frame.len() })?;
        self.at += len;
        Ok(bytes)
    }

    const fn bad(&self, reason: &'static str) -> CodecError {
        CodecError::BadMsgpack { at: self.at, reason }
    }
}
