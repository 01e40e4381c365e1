//! A dict with keys of any kind.

use super::Value;

/// Entries in the order of the wire. Keys may be of any kind: Dask's task keys are often tuples.
/// Of equal keys the last one counts, as in Python.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Map(Vec<(Value, Value)>);

impl Map {
    /// No entries.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().rev().find(|(key, _)| is_name(key, name)).map(|(_, value)| value)
    }

    /// Takes the value of a name out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().rposition(|(key, _)| is_name(key, name))?;
        Some(self.0.remove(at).1)
    }

    /// Adds an entry.
    pub fn push(&mut self, key: impl Into<Value>, value: impl Into<Value>) {
        self.0.push((key.into(), value.into()));
    }

    /// The same with one entry more.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.push(key, value);
        self
    }

    /// All entries.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &(Value, Value)> {
        self.0.iter()
    }

    /// How many entries there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn is_name(key: &Value, name: &str) -> bool {
    matches!(key, Value::Str(text) if text == name)
}

impl FromIterator<(Value, Value)> for Map {
    fn from_iter<I: IntoIterator<Item = (Value, Value)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl IntoIterator for Map {
    type Item = (Value, Value);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equal_keys_the_last_counts() {
        let mut map = Map::new().with("a", 1_i64).with("b", 2_i64).with("a", 3_i64);
        assert_eq!(map.get("a"), Some(&Value::Int(3)));
        assert_eq!(map.remove("a"), Some(Value::Int(3)));
        assert_eq!(map.get("a"), Some(&Value::Int(1)));
        assert_eq!(map.get("c"), None);
    }

    #[test]
    fn a_key_of_another_kind_is_no_name() {
        let map: Map = [(Value::Bin(b"a"[..].into()), Value::Nil)].into_iter().collect();
        assert_eq!(map.get("a"), None);
        assert_eq!(map.len(), 1);
    }
}
