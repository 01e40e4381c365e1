//! Bytes in, messages of frames out.

use bytes::{Buf, Bytes, BytesMut};

use crate::{error::CodecError, limits::Limits};

/// Up to here a frame's buffer is made at once; a longer one grows with what arrives.
const TRUSTED_FRAME_BYTES: usize = 64 << 10;

/// Cuts the bytes of one connection into messages, however they are split on the way.
///
/// Every frame has an allocation of its own, so that keeping one payload keeps nothing else.
#[derive(Debug)]
pub struct FrameReader {
    limits: Limits,
    stage: Stage,
    /// The prelude as far as it has come.
    prelude: BytesMut,
    lengths: Vec<u64>,
    frames: Vec<Bytes>,
    /// The frame that is being filled.
    partial: BytesMut,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// First read and number of frames.
    Counts,
    Lengths {
        first_read: u64,
        frames: usize,
    },
    Frames,
}

impl FrameReader {
    /// A reader at the start of a message.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            stage: Stage::Counts,
            prelude: BytesMut::new(),
            lengths: Vec::new(),
            frames: Vec::new(),
            partial: BytesMut::new(),
        }
    }

    /// Applies other limits from the next message on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// True between two messages: a stream that ends here has ended well.
    #[must_use]
    pub fn is_between_messages(&self) -> bool {
        self.stage == Stage::Counts && self.prelude.is_empty()
    }

    /// Takes bytes from the front of `input`. Returns the frames of the next message as soon as it
    /// is complete, and leaves what follows it; `None` if all bytes were taken and more are needed.
    ///
    /// # Errors
    /// The bytes are no Dask message, or exceed the limits.
    pub fn read(&mut self, input: &mut impl Buf) -> Result<Option<Vec<Bytes>>, CodecError> {
        loop {
            match self.stage {
                Stage::Counts => {
                    if !fill(&mut self.prelude, 16, input) {
                        return Ok(None);
                    }
                    self.read_counts()?;
                }
                Stage::Lengths { first_read, frames } => {
                    if !fill(&mut self.prelude, frames * 8, input) {
                        return Ok(None);
                    }
                    self.read_lengths(first_read)?;
                }
                Stage::Frames => {
                    let Some(length) = self.lengths.get(self.frames.len()) else {
                        self.stage = Stage::Counts;
                        return Ok(Some(std::mem::take(&mut self.frames)));
                    };
                    // Fits: the sum of the lengths is below the limit of bytes.
                    let length = *length as usize;
                    if self.partial.is_empty() {
                        self.partial.reserve(length.min(TRUSTED_FRAME_BYTES));
                    }
                    if !fill(&mut self.partial, length, input) {
                        return Ok(None);
                    }
                    self.frames.push(std::mem::take(&mut self.partial).freeze());
                }
            }
        }
    }

    fn read_counts(&mut self) -> Result<(), CodecError> {
        let start = self.prelude.split();
        let mut fields = &start[..];
        let (first_read, frames) = (fields.get_u64_le(), fields.get_u64_le());
        let prelude = frames.checked_mul(8).and_then(|lengths| lengths.checked_add(8));
        let plausible = prelude.is_some_and(|prelude| {
            frames > 0
                && first_read >= prelude
                && first_read - prelude < 1 << 48
                && frames < 1 << 32
        });
        if !plausible {
            return Err(not_dask(&start));
        }
        let limit = u64::from(self.limits.frames);
        if frames > limit {
            return Err(CodecError::TooLarge { what: "frames", found: frames, limit });
        }
        self.stage = Stage::Lengths { first_read, frames: frames as usize };
        Ok(())
    }

    fn read_lengths(&mut self, first_read: u64) -> Result<(), CodecError> {
        let start = self.prelude.split();
        self.lengths = start.chunks_exact(8).map(|mut length| length.get_u64_le()).collect();
        let limit = self.limits.message_bytes;
        let mut total = 0_u64;
        let mut end = 8 + start.len() as u64;
        let mut on_boundary = end == first_read;
        for length in &self.lengths {
            total = total.saturating_add(*length);
            if total > limit {
                return Err(CodecError::TooLarge { what: "bytes", found: total, limit });
            }
            end += length;
            on_boundary |= end == first_read;
        }
        if !on_boundary {
            return Err(not_dask(&start));
        }
        self.stage = Stage::Frames;
        Ok(())
    }
}

fn not_dask(start: &[u8]) -> CodecError {
    CodecError::NotDask { start: format!("\"{}\"", start[..start.len().min(16)].escape_ascii()) }
}

/// Moves bytes until `buffer` holds `length` of them; false if `input` ran dry before.
fn fill(buffer: &mut BytesMut, length: usize, input: &mut impl Buf) -> bool {
    while buffer.len() < length && input.has_remaining() {
        let chunk = input.chunk();
        let taken = chunk.len().min(length - buffer.len());
        if buffer.capacity() < buffer.len() + taken {
            // Doubling, but never beyond the frame: what is kept is what was sent.
            let more = (buffer.len() + taken).max(2 * buffer.len()).min(length) - buffer.len();
            buffer.reserve(more);
        }
        buffer.extend_from_slice(&chunk[..taken]);
        input.advance(taken);
    }
    buffer.len() >= length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prelude(first_read: u64, lengths: &[u64]) -> Vec<u8> {
        let mut bytes = first_read.to_le_bytes().to_vec();
        bytes.extend((lengths.len() as u64).to_le_bytes());
        bytes.extend(lengths.iter().flat_map(|length| length.to_le_bytes()));
        bytes
    }

    fn read(limits: Limits, bytes: &[u8]) -> Result<Option<Vec<Bytes>>, CodecError> {
        FrameReader::new(limits).read(&mut &bytes[..])
    }

    #[test]
    fn the_smallest_message_is_read() {
        let mut bytes = prelude(17, &[1]);
        bytes.push(0);
        let frames = read(Limits::CONTROL, &bytes).unwrap().unwrap();
        assert_eq!(frames, [Bytes::from_static(&[0])]);
    }

    #[test]
    fn empty_frames_are_frames() {
        let mut bytes = prelude(8 + 24 + 1, &[1, 0, 0]);
        bytes.push(0xc0);
        let frames = read(Limits::CONTROL, &bytes).unwrap().unwrap();
        assert_eq!(frames.iter().map(Bytes::len).collect::<Vec<_>>(), [1, 0, 0]);
    }

    #[test]
    fn other_protocols_are_recognised_by_their_first_bytes() {
        for start in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"\x00\x00\x18\x04\x00\x00\x00\x00\x00\x00\x04\x00\x40\x00\x00\x00",
            b"SSH-2.0-OpenSSH_9.6\r\n",
            &[0xff; 16],
            &[0; 16],
        ] {
            let error = read(Limits::PAYLOAD, start).unwrap_err();
            assert!(matches!(error, CodecError::NotDask { .. }), "{error}");
        }
        let error = read(Limits::CONTROL, b"HTTP/1.1 400 Bad Request\r\n").unwrap_err();
        assert!(error.to_string().contains("HTTP/1.1 400 Bad"), "{error}");
    }

    #[test]
    fn a_first_read_inside_a_frame_is_no_dask_message() {
        let mut bytes = prelude(8 + 16 + 3, &[5, 5]);
        bytes.extend([0; 10]);
        assert!(matches!(read(Limits::CONTROL, &bytes), Err(CodecError::NotDask { .. })));
    }

    #[test]
    fn announced_sizes_take_no_memory() {
        let limits = Limits { message_bytes: 1 << 40, frames: 1 << 30, ..Limits::CONTROL };
        let mut reader = FrameReader::new(limits);
        let mut bytes = &prelude(8 + 8 + (1 << 39), &[1 << 39])[..];
        assert_eq!(reader.read(&mut bytes), Ok(None));
        assert!(reader.partial.capacity() <= TRUSTED_FRAME_BYTES);

        let mut reader = FrameReader::new(limits);
        let many = (8_u64 + 8 * (1 << 29)).to_le_bytes();
        let mut bytes = &[many, (1_u64 << 29).to_le_bytes()].concat()[..];
        assert_eq!(reader.read(&mut bytes), Ok(None));
        assert_eq!(reader.prelude.capacity() + reader.lengths.capacity(), 0);
    }

    #[test]
    fn what_exceeds_a_limit_is_refused_before_it_comes() {
        let limits = Limits { message_bytes: 100, frames: 3, ..Limits::CONTROL };
        assert_eq!(
            read(limits, &prelude(8 + 16 + 101, &[1, 100])),
            Err(CodecError::TooLarge { what: "bytes", found: 101, limit: 100 })
        );
        assert_eq!(
            read(limits, &prelude(8 + 32, &[0; 4])),
            Err(CodecError::TooLarge { what: "frames", found: 4, limit: 3 })
        );
        let wraps = read(limits, &prelude(8 + 16, &[u64::MAX, u64::MAX]));
        assert!(matches!(wraps, Err(CodecError::TooLarge { what: "bytes", .. })), "{wraps:?}");
    }

    #[test]
    fn a_long_frame_keeps_no_more_than_itself() {
        let length = (1 << 20) + 17;
        let mut bytes = prelude(8 + 8 + length as u64, &[length as u64]);
        bytes.extend(vec![7; length]);
        let mut reader = FrameReader::new(Limits::CONTROL);
        for mut piece in bytes.chunks(1000) {
            assert!(reader.partial.capacity() <= length + TRUSTED_FRAME_BYTES);
            if let Some(frames) = reader.read(&mut piece).unwrap() {
                assert_eq!(frames[0].len(), length);
            }
        }
        assert!(reader.is_between_messages());
    }
}
