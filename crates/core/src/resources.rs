//! What a task asks for and what a worker offers: amounts by name.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::quantity::{BadQuantity, parse_thousandths};

/// Name of the resource that counts slots: one task of the default size takes one.
pub const CPU: &str = "cpu";
/// Name of the resource that counts bytes of memory.
pub const MEMORY: &str = "memory";

/// Amounts by resource name, in thousandths of a unit (of a slot, of a byte, of a GPU).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Resources(BTreeMap<String, u64>);

impl Resources {
    /// What a task asks for when it says nothing: one slot.
    #[must_use]
    pub fn one_slot() -> Self {
        Self::default().with(CPU, 1000)
    }

    /// The same with `thousandths` of `name`.
    #[must_use]
    pub fn with(mut self, name: &str, thousandths: u64) -> Self {
        self.set(name, thousandths);
        self
    }

    /// Sets an amount; zero removes the name.
    pub fn set(&mut self, name: &str, thousandths: u64) {
        if thousandths == 0 {
            self.0.remove(name);
        } else {
            self.0.insert(name.to_owned(), thousandths);
        }
    }

    /// The amount of `name` in thousandths; zero where it is not named.
    #[must_use]
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Names and amounts in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, amount)| (name.as_str(), *amount))
    }

    /// True where nothing is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many requests of `self` fit into `offer` at once; `u64::MAX` if `self` is empty.
    #[must_use]
    pub fn times_in(&self, offer: &Self) -> u64 {
        self.0.iter().map(|(name, amount)| offer.get(name) / amount).min().unwrap_or(u64::MAX)
    }

    /// Reads names and Kubernetes quantities.
    ///
    /// # Errors
    /// The first quantity that is none.
    pub fn parse<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, BadQuantity> {
        let mut resources = Self::default();
        for (name, quantity) in pairs {
            resources.set(name, parse_thousandths(quantity)?);
        }
        Ok(resources)
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (name, amount)) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str(", ")?;
            }
            if name == MEMORY {
                write!(f, "{name} {}", crate::quantity::human_bytes(amount / 1000))?;
            } else {
                write!(f, "{name} {}", *amount as f64 / 1000.0)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_often_a_request_fits() {
        let offer = Resources::parse([("cpu", "4"), ("memory", "8Gi"), ("GPU", "1")]).unwrap();
        for (request, times) in [
            (vec![("cpu", "1")], 4),
            (vec![("cpu", "500m"), ("memory", "3Gi")], 2),
            (vec![("GPU", "1")], 1),
            (vec![("FPGA", "1")], 0),
        ] {
            assert_eq!(Resources::parse(request).unwrap().times_in(&offer), times);
        }
        assert_eq!(Resources::default().times_in(&offer), u64::MAX);
    }
}
