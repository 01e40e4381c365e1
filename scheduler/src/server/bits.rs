//! A growing set of dense ids.

/// Ids below some thousands, one bit each.
#[derive(Debug, Default)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    /// Adds an id; true if it was not there.
    pub fn insert(&mut self, id: u32) -> bool {
        let (word, bit) = (id as usize / 64, 1u64 << (id % 64));
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        let added = self.0[word] & bit == 0;
        self.0[word] |= bit;
        added
    }

    /// True if the id is there.
    pub fn contains(&self, id: u32) -> bool {
        self.0.get(id as usize / 64).is_some_and(|word| word & (1 << (id % 64)) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_go_in_once() {
        let mut bits = Bits::default();
        for id in [0, 63, 64, 1000] {
            assert!(!bits.contains(id));
            assert!(bits.insert(id));
            assert!(!bits.insert(id));
            assert!(bits.contains(id));
        }
        assert!(!bits.contains(100_000));
    }
}
