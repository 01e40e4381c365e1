//! Whose turn it is.

/// A queue's turn: lower first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    pub served: f64,
    pub key: u64,
    pub queue: u32,
}

impl PartialEq for Turn {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Turn {}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Turn {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.served
            .total_cmp(&other.served)
            .then(self.key.cmp(&other.key))
            .then(self.queue.cmp(&other.queue))
    }
}
