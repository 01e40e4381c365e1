//! What a scenario is.

use std::{pin::Pin, sync::Arc, time::Duration};

use anyhow::Result;

use crate::runner::World;

/// What must be there for a scenario to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Any cluster with the images.
    Cluster,
    /// A cluster with the operator's chart.
    Operator,
    /// The same, and the image with Python.
    Python,
}

type Body = fn(Arc<World>) -> Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// One story of a user, told by itself: in a namespace of its own, in any order with the others.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// Its name, also that of its namespace.
    pub name: &'static str,
    /// What it shows, in a line.
    pub about: &'static str,
    /// What it needs.
    pub needs: Needs,
    /// After this long it has failed.
    pub limit: Duration,
    /// The story.
    pub body: Body,
}

/// A scenario of at most two minutes.
pub const fn scenario(
    name: &'static str,
    about: &'static str,
    needs: Needs,
    body: Body,
) -> Scenario {
    Scenario { name, about, needs, limit: Duration::from_secs(120), body }
}

impl Scenario {
    /// The same with another limit.
    pub const fn within(self, seconds: u64) -> Self {
        Self { limit: Duration::from_secs(seconds), ..self }
    }
}
