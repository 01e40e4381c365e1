//! Objects that are passed on unopened.

use bytes::{Bytes, BytesMut};

use crate::value::{Map, Value};

/// Which of Dask's two wrappers holds the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadKind {
    /// `Serialize`: a family of serializers is named in the header.
    Serialized,
    /// `ToPickle`: the header has the pickle, the frames its large buffers.
    Pickled,
}

impl PayloadKind {
    /// The key that makes a map a placeholder.
    #[must_use]
    pub const fn placeholder(self) -> &'static str {
        match self {
            Self::Serialized => "__Serialized__",
            Self::Pickled => "__Pickled__",
        }
    }
}

/// A Python object in frames of its own: a header, which is msgpack and says how to read the
/// rest, and data frames. Both are kept as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    kind: PayloadKind,
    header: Bytes,
    frames: Vec<Bytes>,
}

impl Payload {
    /// A payload whose `header` already tells the number of `frames`.
    pub(crate) const fn received(kind: PayloadKind, header: Bytes, frames: Vec<Bytes>) -> Self {
        Self { kind, header, frames }
    }

    /// A payload of one's own making; the number of frames is added to the header.
    #[must_use]
    pub fn new(kind: PayloadKind, header: Map, frames: Vec<Bytes>) -> Self {
        let header = header.with("num-sub-frames", frames.len() as u64);
        let mut bytes = BytesMut::new();
        crate::value::encode(&Value::Map(header), &mut std::iter::empty(), &mut bytes);
        Self { kind, header: bytes.freeze(), frames }
    }

    /// A pickled object without large buffers, as `Serialize` would send it.
    #[must_use]
    pub fn of_pickle(pickle: Bytes) -> Self {
        let header =
            Map::new().with("serializer", "pickle").with("writeable", Value::List(Vec::new()));
        Self::new(PayloadKind::Serialized, header, vec![pickle])
    }

    /// Which wrapper it is.
    #[must_use]
    pub const fn kind(&self) -> PayloadKind {
        self.kind
    }

    /// The header, as msgpack.
    #[must_use]
    pub const fn header(&self) -> &Bytes {
        &self.header
    }

    /// The data frames.
    #[must_use]
    pub fn frames(&self) -> &[Bytes] {
        &self.frames
    }

    /// Bytes of header and frames.
    #[must_use]
    pub fn nbytes(&self) -> u64 {
        self.header.len() as u64 + self.frames.iter().map(|frame| frame.len() as u64).sum::<u64>()
    }
}
