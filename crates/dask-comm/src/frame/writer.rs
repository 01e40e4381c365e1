//! A message's frames, ready to be written.

use bytes::{BufMut, Bytes, BytesMut};

/// From here on a frame is read into a buffer of its own by Dask's clients.
pub const SEPARATE_FRAME_BYTES: usize = 32 << 10;

const SMALL_MESSAGE_BYTES: u64 = 128 << 10;
const MANY_FRAMES_BYTES: u64 = 32 << 20;

/// One message on its way out: the prelude, then the frames as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// First read, number of frames, lengths.
    pub prelude: Bytes,
    /// The main frame, then those of the payloads.
    pub frames: Vec<Bytes>,
}

impl Outgoing {
    /// Puts the prelude before `frames`, of which there must be at least one.
    #[must_use]
    pub fn new(frames: Vec<Bytes>) -> Self {
        let mut prelude = BytesMut::with_capacity(16 + 8 * frames.len());
        prelude.put_u64_le(8 + 8 * frames.len() as u64 + first_read(&frames));
        prelude.put_u64_le(frames.len() as u64);
        for frame in &frames {
            prelude.put_u64_le(frame.len() as u64);
        }
        Self { prelude: prelude.freeze(), frames }
    }

    /// Prelude and frames, in the order of the wire.
    pub fn chunks(&self) -> impl Iterator<Item = &Bytes> {
        std::iter::once(&self.prelude).chain(&self.frames)
    }

    /// All bytes in one piece.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        self.chunks()
            .fold(BytesMut::new(), |mut all, chunk| {
                all.extend_from_slice(chunk);
                all
            })
            .freeze()
    }
}

/// How many bytes of the frames a Dask client should read into one buffer. What is inside is
/// freed only together and may be unaligned; each frame outside has its own buffer, at the price
/// of a read for each.
fn first_read(frames: &[Bytes]) -> u64 {
    let total: u64 = frames.iter().map(|frame| frame.len() as u64).sum();
    let mean = total / frames.len().max(1) as u64;
    if total < SMALL_MESSAGE_BYTES
        || (mean < SEPARATE_FRAME_BYTES as u64 && total < MANY_FRAMES_BYTES)
    {
        return total;
    }
    let first = frames.first().map_or(0, Bytes::len);
    let small = frames.iter().skip(1).map(Bytes::len).take_while(|len| *len < SEPARATE_FRAME_BYTES);
    (first + small.sum::<usize>()) as u64
}

#[cfg(test)]
mod tests {
    use bytes::Buf;

    use super::*;

    fn announced(lengths: &[usize]) -> u64 {
        let frames = lengths.iter().map(|length| Bytes::from(vec![0; *length])).collect();
        Outgoing::new(frames).prelude.get_u64_le() - 8 - 8 * lengths.len() as u64
    }

    #[test]
    fn small_messages_are_read_at_once_and_large_frames_apart() {
        assert_eq!(announced(&[1]), 1);
        assert_eq!(announced(&[10, 20, 30_000]), 30_030);
        assert_eq!(announced(&[10, 20, 80_000_000]), 30);
        assert_eq!(announced(&[10, 20, 80_000_000, 5]), 30);
        assert_eq!(announced(&[1000; 2000]), 2_000_000);
        // A large main frame is decoded at once and dropped: it never needs a buffer of its own.
        assert_eq!(announced(&[40 << 20, 10]), (40 << 20) + 10);
    }

    #[test]
    fn the_prelude_tells_number_and_lengths() {
        let outgoing = Outgoing::new(vec![Bytes::from_static(b"\x00")]);
        let mut expected = vec![0x11, 0, 0, 0, 0, 0, 0, 0];
        expected.extend([1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(outgoing.to_bytes(), expected);
    }
}
