//! The codec as a whole: what is written is read, however it arrives, and nothing a peer sends
//! makes us fail otherwise than by an error.

#![allow(clippy::unwrap_used)]

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use dasklet_dask_comm::{
    CodecError, Limits, Map, Value,
    frame::FrameReader,
    message::{self, Payload, PayloadKind},
};
use proptest::{collection::vec, prelude::*, sample::Index};

fn read_all(chunks: impl IntoIterator<Item = Bytes>) -> Result<Vec<Value>, CodecError> {
    let mut reader = FrameReader::new(Limits::CONTROL);
    let mut messages = Vec::new();
    for mut chunk in chunks {
        while let Some(frames) = reader.read(&mut chunk)? {
            messages.push(message::decode(&frames, Limits::CONTROL)?);
        }
    }
    Ok(messages)
}

fn key() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        "[a-z_-]{0,40}".prop_map(Value::Str),
        any::<i64>().prop_map(Value::Int),
        (-1e9..1e9).prop_map(Value::Float),
        vec(any::<u8>(), 0..20).prop_map(|bytes| Value::Bin(bytes.into())),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| vec(inner, 0..4).prop_map(Value::List))
}

fn payload() -> impl Strategy<Value = Value> {
    let frames = vec(vec(any::<u8>(), 0..300).prop_map(Bytes::from), 0..4);
    (any::<bool>(), frames, any::<bool>()).prop_map(|(pickled, mut frames, large)| {
        if large {
            frames.push(vec![7; 40_000].into());
        }
        let (kind, header) = match pickled {
            true => {
                let pickle = Bytes::from_static(b"pickle");
                (PayloadKind::Pickled, Map::new().with("pickled-obj", pickle))
            }
            false => (PayloadKind::Serialized, Map::new().with("serializer", "dask")),
        };
        Payload::new(kind, header, frames).into()
    })
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-200_i64..200).prop_map(Value::Int),
        any::<u64>().prop_map(Value::from),
        (-1e300..1e300).prop_map(Value::Float),
        "\\PC{0,300}".prop_map(Value::Str),
        vec(any::<u8>(), 0..300).prop_map(|bytes| Value::Bin(bytes.into())),
        payload(),
    ];
    leaf.prop_recursive(4, 64, 20, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..20).prop_map(Value::List),
            vec(inner.clone(), 0..20).prop_map(Value::Set),
            vec((key(), inner), 0..20)
                .prop_map(|entries| Value::Map(entries.into_iter().collect())),
        ]
    })
}

/// Cuts `bytes` at these places.
fn cut(bytes: &Bytes, places: &[Index]) -> Vec<Bytes> {
    let mut ends: Vec<usize> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let ranges: Vec<Range<usize>> = starts.zip(&ends).map(|(start, end)| start..*end).collect();
    ranges.into_iter().map(|range| bytes.slice(range)).collect()
}

fn written(messages: &[Value]) -> Bytes {
    let mut bytes = BytesMut::new();
    for message in messages {
        bytes.extend_from_slice(&message::encode(message).to_bytes());
    }
    bytes.freeze()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn messages_are_read_as_written_however_they_are_split(
        messages in vec(value(), 1..4),
        places in vec(any::<Index>(), 0..12),
    ) {
        let bytes = written(&messages);
        prop_assert_eq!(read_all(cut(&bytes, &places)).unwrap(), messages);
    }

    #[test]
    fn a_message_without_its_end_is_never_read(message in value(), end in any::<Index>()) {
        let bytes = written(std::slice::from_ref(&message));
        let read = read_all([bytes.slice(..end.index(bytes.len()))]).unwrap();
        prop_assert!(read.is_empty());
    }

    #[test]
    fn a_frame_without_its_end_is_an_error(message in value(), end in any::<Index>()) {
        let mut frames = message::encode(&message).frames;
        frames[0] = frames[0].slice(..end.index(frames[0].len()));
        prop_assert!(message::decode(&frames, Limits::CONTROL).is_err());
    }

    #[test]
    fn damaged_messages_are_errors_or_other_messages(
        message in value(),
        damage in vec((any::<Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = BytesMut::from(&written(&[message])[..]);
        for (place, byte) in damage {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        // Whatever comes out: no panic, and what was read can be written and read again.
        if let Ok(messages) = read_all([bytes.freeze()]) {
            prop_assert_eq!(read_all([written(&messages)]).unwrap().len(), messages.len());
        }
    }

    #[test]
    fn any_bytes_are_an_error_or_a_message(frames in vec(vec(any::<u8>(), 0..200), 1..4)) {
        let frames: Vec<Bytes> = frames.into_iter().map(Bytes::from).collect();
        let _ = message::decode(&frames, Limits::CONTROL);
    }
}

#[test]
fn the_example_on_the_wire_is_ours() {
    let request = Value::map([
        ("op", "workers_to_close".into()),
        ("n", 1_i64.into()),
        ("attribute", "name".into()),
    ]);
    let mut expected = vec![0x37, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    expected.extend([0x27, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend(b"\x83\xa2op\xb0workers_to_close\xa1n\x01\xa9attribute\xa4name");
    assert_eq!(message::encode(&request).to_bytes(), expected);
}

#[test]
fn numbers_keep_their_kind_and_their_bits() {
    for value in [
        Value::Int(i64::MIN),
        Value::Int(i64::from(i32::MIN) - 1),
        Value::Int(-129),
        Value::Int(-33),
        Value::Int(i64::MAX),
        Value::UInt(u64::MAX),
        Value::Float(1.0),
        Value::Float(f64::INFINITY),
        Value::Int(1),
    ] {
        assert_eq!(read_all([written(std::slice::from_ref(&value))]).unwrap(), [value]);
    }
    let nan = read_all([written(&[Value::Float(f64::NAN)])]).unwrap();
    assert!(matches!(nan[..], [Value::Float(value)] if value.is_nan()));
}

#[test]
fn a_float_of_half_the_size_is_read() {
    let frame = Bytes::from_static(b"\xca\x3f\xc0\x00\x00");
    assert_eq!(message::decode(&[frame], Limits::CONTROL), Ok(Value::Float(1.5)));
}

fn decode_one(frame: &[u8], limits: Limits) -> Result<Value, CodecError> {
    message::decode(&[Bytes::copy_from_slice(frame)], limits)
}

#[test]
fn announced_elements_must_be_there() {
    for frame in [
        &b"\xdd\xff\xff\xff\xff"[..],
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xdc\x00\x05\x01",
    ] {
        let error = decode_one(frame, Limits::CONTROL).unwrap_err();
        assert!(matches!(error, CodecError::Truncated { .. }), "{error}");
    }
}

#[test]
fn deep_nesting_is_an_error_and_no_overflow() {
    for marker in [0x91_u8, 0x81] {
        let error = decode_one(&vec![marker; 1 << 20], Limits::PAYLOAD).unwrap_err();
        assert!(matches!(error, CodecError::TooLarge { what: "levels", .. }), "{error}");
    }
}

#[test]
fn many_small_values_are_an_error_before_they_take_memory() {
    let limits = Limits { values: 1000, ..Limits::CONTROL };
    let mut frame = vec![0xdd, 0, 0, 0x10, 0];
    frame.extend([0xc0; 0x1000]);
    let error = decode_one(&frame, limits).unwrap_err();
    assert_eq!(error, CodecError::TooLarge { what: "values", found: 0x1000, limit: 1000 });
    let lists = [vec![0xdc, 0x03, 0xe0], vec![0x91; 992], vec![0xc0; 992]].concat();
    assert!(decode_one(&lists, limits).is_err());
}

#[test]
fn what_dask_never_sends_is_an_error() {
    for frame in [&b"\xc1"[..], b"\xd4\x01\x02", b"\xc7\x00\x05", b"\xa2\xff\xfe", b"\x01\x02"] {
        let error = decode_one(frame, Limits::CONTROL).unwrap_err();
        assert!(matches!(error, CodecError::BadMsgpack { .. }), "{error}");
    }
}

#[test]
fn placeholders_must_fit_their_frames() {
    let header = |frames: u64| {
        let map = Map::new().with("num-sub-frames", frames);
        message::encode(&Value::Map(map)).frames.remove(0)
    };
    let at = |index: i64| Value::map([("__Serialized__", index.into())]);
    let main =
        |placeholders: Vec<Value>| message::encode(&Value::List(placeholders)).frames.remove(0);
    let data = Bytes::from_static(b"data");
    for (frames, reason) in [
        (vec![main(vec![at(1)])], "no such frame"),
        (vec![main(vec![at(i64::MAX)])], "no such frame"),
        (vec![main(vec![at(1)]), header(2), data.clone()], "more frames than there are"),
        (vec![main(vec![at(1)]), header(u64::MAX), data.clone()], "more frames than there are"),
        (vec![main(vec![at(1)]), main(vec![])], "does not tell how many"),
        (vec![main(vec![at(1), at(1)]), header(1), data.clone()], "claim the same frame"),
        (vec![main(vec![at(1), at(2)]), header(1), header(0)], "claim the same frame"),
    ] {
        let error = message::decode(&frames, Limits::CONTROL).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    let frames = [main(vec![at(1), at(0)]), header(1), data];
    let Value::List(items) = message::decode(&frames, Limits::CONTROL).unwrap() else { panic!() };
    assert!(matches!(&items[0], Value::Payload(payload) if payload.frames().len() == 1));
    assert!(matches!(&items[1], Value::Map(_)));
}
