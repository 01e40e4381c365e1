//! How one task stands, in twelve bytes: a session may have ten million of them.

/// Longest value that a cell holds itself; every MessagePack number fits.
pub(crate) const INLINE_BYTES: usize = 11;

const PENDING: u8 = 0;
const AWAITED: u8 = 1;
const REMOTE: u8 = 2;
const FAILED: u8 = 3;
const LARGE: u8 = 4;
const RELEASED: u8 = 5;
const INLINE: u8 = 16;

/// How a task stands. The first byte says which state; the others hold the holder, or a small
/// value itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell([u8; 1 + INLINE_BYTES]);

/// What a [`Cell`] says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Standing<'a> {
    /// Has not ended; `awaited` if somebody is to be woken.
    Pending { awaited: bool },
    /// Can be read from this worker.
    Remote { holder: u32 },
    /// The value.
    Inline(&'a [u8]),
    /// The value is in the table of larger values.
    Large,
    /// The failure is in the table of failures.
    Failed,
    /// No handle is left.
    Released,
}

impl Cell {
    pub(crate) const fn pending(awaited: bool) -> Self {
        Self::tagged(if awaited { AWAITED } else { PENDING })
    }

    pub(crate) fn remote(holder: u32) -> Self {
        let mut cell = Self::tagged(REMOTE);
        cell.0[1..5].copy_from_slice(&holder.to_le_bytes());
        cell
    }

    /// `None` if the value is too long.
    pub(crate) fn inline(value: &[u8]) -> Option<Self> {
        if value.len() > INLINE_BYTES {
            return None;
        }
        let mut cell = Self::tagged(INLINE + value.len() as u8);
        cell.0[1..=value.len()].copy_from_slice(value);
        Some(cell)
    }

    pub(crate) const fn large() -> Self {
        Self::tagged(LARGE)
    }

    pub(crate) const fn failed() -> Self {
        Self::tagged(FAILED)
    }

    pub(crate) const fn released() -> Self {
        Self::tagged(RELEASED)
    }

    const fn tagged(tag: u8) -> Self {
        let mut bytes = [0; 1 + INLINE_BYTES];
        bytes[0] = tag;
        Self(bytes)
    }

    pub(crate) fn standing(&self) -> Standing<'_> {
        match self.0[0] {
            PENDING => Standing::Pending { awaited: false },
            AWAITED => Standing::Pending { awaited: true },
            REMOTE => {
                let [_, a, b, c, d, ..] = self.0;
                Standing::Remote { holder: u32::from_le_bytes([a, b, c, d]) }
            }
            FAILED => Standing::Failed,
            LARGE => Standing::Large,
            RELEASED => Standing::Released,
            tag => Standing::Inline(&self.0[1..1 + usize::from(tag - INLINE)]),
        }
    }

    pub(crate) const fn is_pending(&self) -> bool {
        self.0[0] <= AWAITED
    }

    pub(crate) const fn is_failed(&self) -> bool {
        self.0[0] == FAILED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_says_what_was_put_in() {
        assert_eq!(size_of::<Cell>(), 12);
        assert_eq!(Cell::remote(70_000).standing(), Standing::Remote { holder: 70_000 });
        for length in 0..=INLINE_BYTES {
            let value: Vec<u8> = (0..length as u8).collect();
            let cell = Cell::inline(&value).unwrap();
            assert_eq!(cell.standing(), Standing::Inline(&value[..]));
            assert!(!cell.is_pending() && !cell.is_failed());
        }
        assert!(Cell::inline(&[0; INLINE_BYTES + 1]).is_none());
        assert!(Cell::pending(true).is_pending() && Cell::pending(false).is_pending());
        assert!(Cell::failed().is_failed());
    }
}
