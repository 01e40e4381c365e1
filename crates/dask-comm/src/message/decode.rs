//! Frames in, a message out.

use bytes::Bytes;

use super::{Payload, PayloadKind};
use crate::{
    error::CodecError,
    limits::Limits,
    value::{Budget, Decoder, Placeholders, Value},
};

/// Reads the message that `frames` are.
///
/// # Errors
/// They are none, or exceed the limits.
pub fn decode(frames: &[Bytes], limits: Limits) -> Result<Value, CodecError> {
    let main = frames.first().ok_or(CodecError::Truncated { at: 0 })?;
    let mut budget = Budget::new(limits);
    let mut unclaimed = Unclaimed { frames, claimed: vec![false; frames.len()] };
    Decoder::new(main, &mut budget, Some(&mut unclaimed)).frame()
}

/// The frames after the main one. Each belongs to one payload at most, so that a few bytes cannot
/// stand for many copies of a payload.
struct Unclaimed<'a> {
    frames: &'a [Bytes],
    claimed: Vec<bool>,
}

impl Placeholders for Unclaimed<'_> {
    fn payload(
        &mut self,
        kind: PayloadKind,
        index: u64,
        budget: &mut Budget,
    ) -> Result<Payload, CodecError> {
        let bad = |reason| CodecError::BadPlaceholder { index, frames: self.frames.len(), reason };
        let start = usize::try_from(index).map_err(|_| bad("there is no such frame"))?;
        let header = self.frames.get(start).ok_or_else(|| bad("there is no such frame"))?;
        let parsed = Decoder::<Self>::new(header, budget, None).frame()?;
        let count = match &parsed {
            Value::Map(map) => map.get("num-sub-frames"),
            _ => None,
        };
        let count = count.and_then(|count| count.as_u64("").ok());
        let count = count.ok_or_else(|| bad("its header does not tell how many frames it has"))?;
        let end = usize::try_from(count).ok().and_then(|count| (start + 1).checked_add(count));
        let end = end
            .filter(|end| *end <= self.frames.len())
            .ok_or_else(|| bad("its header tells of more frames than there are"))?;
        if self.claimed[start..end].contains(&true) {
            return Err(bad("two payloads claim the same frame"));
        }
        self.claimed[start..end].fill(true);
        Ok(Payload::received(kind, header.clone(), self.frames[start + 1..end].to_vec()))
    }
}
