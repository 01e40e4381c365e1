//! The few pieces of MessagePack that are written or read by hand.

use std::fmt::Write as _;

use bytes::{BufMut, Bytes, BytesMut};

/// The value "nothing".
pub(crate) const NIL: Bytes = Bytes::from_static(&[0xc0]);

/// Longest text that [`show`] gives.
const SHOWN: usize = 80;

/// A list of values that are MessagePack already.
pub(crate) fn list(values: &[Bytes]) -> Bytes {
    let mut list = BytesMut::with_capacity(5 + values.iter().map(Bytes::len).sum::<usize>());
    match values.len() {
        n @ 0..=15 => list.put_u8(0x90 | n as u8),
        n @ 16..=0xffff => {
            list.put_u8(0xdc);
            list.put_u16(n as u16);
        }
        n => {
            list.put_u8(0xdd);
            list.put_u32(n as u32);
        }
    }
    for value in values {
        list.put_slice(value);
    }
    list.freeze()
}

/// A number without sign.
pub(crate) fn unsigned(number: u32) -> Bytes {
    let mut value = BytesMut::with_capacity(5);
    if number < 128 {
        value.put_u8(number as u8);
    } else {
        value.put_u8(0xce);
        value.put_u32(number);
    }
    value.freeze()
}

/// A binary value: its header and `fill` for its content.
pub(crate) fn binary(length: usize, fill: impl FnOnce(&mut [u8])) -> Bytes {
    let mut value = Vec::with_capacity(5 + length);
    value.push(0xc6);
    value.extend_from_slice(&(length as u32).to_be_bytes());
    value.resize(5 + length, 0);
    fill(&mut value[5..]);
    Bytes::from(value)
}

/// The content of a binary or text value; `None` for any other.
pub(crate) fn content(value: &Bytes) -> Option<Bytes> {
    let first = *value.first()?;
    let header = match first {
        0xa0..=0xbf => 1,
        0xc4 | 0xd9 => 2,
        0xc5 | 0xda => 3,
        0xc6 | 0xdb => 5,
        _ => return None,
    };
    let length = match header {
        1 => usize::from(first & 0x1f),
        2 => usize::from(*value.get(1)?),
        3 => usize::from(u16::from_be_bytes(value.get(1..3)?.try_into().ok()?)),
        _ => u32::from_be_bytes(value.get(1..5)?.try_into().ok()?) as usize,
    };
    (value.len() >= header + length).then(|| value.slice(header..header + length))
}

/// A value for people, as an error names it: shortened where it is long.
pub(crate) fn show(value: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = value;
    if show_one(&mut rest, &mut text, 0).is_none() {
        text.push('…');
    }
    text
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(count)?;
    *rest = tail;
    Some(head)
}

fn number(rest: &mut &[u8], count: usize) -> Option<u64> {
    Some(take(rest, count)?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

fn signed(rest: &mut &[u8], count: usize) -> Option<i64> {
    let shift = 64 - 8 * count as u32;
    Some((number(rest, count)? << shift) as i64 >> shift)
}

/// `None` once the text is long enough, or the value breaks off.
fn show_one(rest: &mut &[u8], text: &mut String, depth: u32) -> Option<()> {
    if text.len() > SHOWN || depth > 8 {
        return None;
    }
    let first = number(rest, 1)? as u8;
    match first {
        0x00..=0x7f => write!(text, "{first}").ok()?,
        0xe0..=0xff => write!(text, "{}", first as i8).ok()?,
        0xc0 => text.push_str("nil"),
        0xc2 => text.push_str("false"),
        0xc3 => text.push_str("true"),
        0xca => write!(text, "{}", f32::from_bits(number(rest, 4)? as u32)).ok()?,
        0xcb => write!(text, "{}", f64::from_bits(number(rest, 8)?)).ok()?,
        0xcc..=0xcf => write!(text, "{}", number(rest, 1 << (first - 0xcc))?).ok()?,
        0xd0..=0xd3 => write!(text, "{}", signed(rest, 1 << (first - 0xd0))?).ok()?,
        0xa0..=0xbf => show_text(rest, text, u64::from(first & 0x1f))?,
        0xd9..=0xdb => {
            let length = number(rest, 1 << (first - 0xd9))?;
            show_text(rest, text, length)?;
        }
        0xc4..=0xc6 => {
            let length = number(rest, 1 << (first - 0xc4))?;
            write!(text, "{length} bytes").ok()?;
            take(rest, usize::try_from(length).ok()?)?;
        }
        0x90..=0x9f => show_many(rest, text, depth, u64::from(first & 0xf), false)?,
        0xdc | 0xdd => {
            let count = number(rest, 2 << (first - 0xdc))?;
            show_many(rest, text, depth, count, false)?;
        }
        0x80..=0x8f => show_many(rest, text, depth, u64::from(first & 0xf), true)?,
        0xde | 0xdf => {
            let count = number(rest, 2 << (first - 0xde))?;
            show_many(rest, text, depth, count, true)?;
        }
        _ => return None,
    }
    Some(())
}

fn show_text(rest: &mut &[u8], text: &mut String, length: u64) -> Option<()> {
    let content = take(rest, usize::try_from(length).ok()?)?;
    let content = String::from_utf8_lossy(content);
    let short: String = content.chars().take(SHOWN / 2).collect();
    let more = if short.len() < content.len() { "…" } else { "" };
    write!(text, "\"{short}{more}\"").ok()
}

fn show_many(rest: &mut &[u8], text: &mut String, depth: u32, count: u64, map: bool) -> Option<()> {
    text.push(if map { '{' } else { '[' });
    for position in 0..count {
        if position > 0 {
            text.push_str(", ");
        }
        show_one(rest, text, depth + 1)?;
        if map {
            text.push_str(": ");
            show_one(rest, text, depth + 1)?;
        }
    }
    text.push(if map { '}' } else { ']' });
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack<T: serde::Serialize>(value: T) -> Bytes {
        Bytes::from(rmp_serde::to_vec(&value).unwrap())
    }

    #[test]
    fn values_read_well() {
        for (value, shown) in [
            (pack(3), "3"),
            (pack(-70_000), "-70000"),
            (pack(1.5), "1.5"),
            (pack("abc"), "\"abc\""),
            (pack((1, "a", vec![true])), "[1, \"a\", [true]]"),
            (pack(()), "nil"),
            (binary(300, |_| ()), "300 bytes"),
            (Bytes::from_static(&[0xcd, 1]), "…"),
        ] {
            assert_eq!(show(&value), shown);
        }
        assert!(show(&pack(vec![1234567; 1000])).len() < 120);
    }

    #[test]
    fn lists_and_numbers_are_what_a_reader_expects() {
        for n in [0, 15, 16, 70_000] {
            let values: Vec<Bytes> = (0..n).map(unsigned).collect();
            let read: Vec<u32> = rmp_serde::from_slice(&list(&values)).unwrap();
            assert_eq!(read, (0..n).collect::<Vec<_>>());
        }
    }

    #[test]
    fn content_of_binary_and_text() {
        assert_eq!(content(&binary(4, |b| b.fill(7))).unwrap(), vec![7; 4]);
        assert_eq!(content(&pack("hello")).unwrap(), "hello");
        assert_eq!(content(&pack("x".repeat(300))).unwrap(), "x".repeat(300));
        assert_eq!(content(&pack(1)), None);
    }
}
