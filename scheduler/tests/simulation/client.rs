//! A model client: what it submitted, wants, and was told.

use std::collections::HashMap;

use dasklet_core::{SpecId, WorkerId};

use super::graph::Known;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Done(WorkerId),
    Failed,
}

#[derive(Debug)]
pub struct Description {
    pub known: Known,
    pub spec: SpecId,
    pub wanted: bool,
    pub is_put: bool,
    pub released: bool,
}

impl Description {
    pub fn members(&self) -> u32 {
        self.known.array.unwrap_or(1)
    }
}

#[derive(Debug, Default)]
pub struct SimClient {
    pub connected: bool,
    pub next: u64,
    pub descriptions: Vec<Description>,
    pub ends: HashMap<(u64, u32), End>,
}

impl SimClient {
    /// What it waits for.
    pub fn pending(&self) -> Vec<(u64, u32)> {
        self.descriptions
            .iter()
            .filter(|description| description.wanted && !description.released)
            .flat_map(|description| {
                (0..description.members()).map(|index| (description.known.local, index))
            })
            .filter(|member| !self.ends.contains_key(member))
            .collect()
    }

    pub fn known(&self) -> Vec<Known> {
        let usable = |description: &&Description| !description.released && description.wanted;
        self.descriptions.iter().filter(usable).map(|description| description.known).collect()
    }
}
