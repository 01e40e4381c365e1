//! A message in, frames out.

use bytes::{Bytes, BytesMut};

use super::Payload;
use crate::{
    frame::{Outgoing, SEPARATE_FRAME_BYTES},
    value::{self, Value},
};

/// Writes `message` into frames. Payloads are not copied. Those with large frames come last, so
/// that a reader takes all small frames at once.
#[must_use]
pub fn encode(message: &Value) -> Outgoing {
    let mut payloads = Vec::new();
    collect(message, &mut payloads);
    let mut order: Vec<usize> = (0..payloads.len()).collect();
    order.sort_by_key(|at| is_large(payloads[*at]));

    let mut indexes = vec![0; payloads.len()];
    let mut frames = vec![Bytes::new()];
    for at in order {
        indexes[at] = frames.len();
        frames.push(payloads[at].header().clone());
        frames.extend_from_slice(payloads[at].frames());
    }
    let mut main = BytesMut::new();
    value::encode(message, &mut indexes.into_iter(), &mut main);
    frames[0] = main.freeze();
    Outgoing::new(frames)
}

fn is_large(payload: &Payload) -> bool {
    payload.frames().iter().any(|frame| frame.len() >= SEPARATE_FRAME_BYTES)
}

/// In the order in which the encoder meets them.
fn collect<'a>(value: &'a Value, payloads: &mut Vec<&'a Payload>) {
    match value {
        Value::Payload(payload) => payloads.push(payload),
        Value::List(items) | Value::Set(items) => {
            for item in items {
                collect(item, payloads);
            }
        }
        Value::Map(map) => {
            for (key, value) in map.iter() {
                collect(key, payloads);
                collect(value, payloads);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{limits::Limits, message::decode};

    #[test]
    fn large_payloads_come_after_small_ones() {
        let large = Payload::of_pickle(vec![1; 1 << 20].into());
        let small = Payload::of_pickle(vec![2; 10].into());
        let message = Value::map([("a", large.into()), ("b", small.into())]);
        let outgoing = encode(&message);
        assert_eq!(outgoing.frames.iter().skip(1).map(Bytes::len).collect::<Vec<_>>()[1], 10);
        assert_eq!(decode(&outgoing.frames, Limits::CONTROL).unwrap(), message);
    }
}
