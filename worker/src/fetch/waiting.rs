//! Runs that wait for inputs, and the outputs that they wait for: pure.

use dasklet_core::TaskId;
use foldhash::HashMap;
use smallvec::SmallVec;

use crate::{
    news::Lost,
    spec::{Input, Run},
};

/// An output that a run needs, and where in its inputs it goes.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub task: TaskId,
    pub output: u32,
    pub holders: SmallVec<[u32; 2]>,
    pub nbytes: u64,
    /// It may be kept as a cache.
    pub keep: bool,
    pub position: u32,
    pub member: Option<u32>,
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub run: Run,
    pub missing: usize,
    pub lost: Vec<Lost>,
}

#[derive(Debug)]
pub(super) enum Waiter {
    Input { run: u64, position: u32, member: Option<u32> },
    Replica,
}

/// An output on its way, or in a peer's queue.
#[derive(Debug)]
pub(super) struct Sought {
    pub nbytes: u64,
    pub keep: bool,
    pub holders: SmallVec<[u32; 2]>,
    /// With whether it answered that it has not got it.
    pub tried: SmallVec<[(u32, bool); 2]>,
    pub next: usize,
    pub round: u32,
    pub waiters: SmallVec<[Waiter; 1]>,
}

impl Sought {
    /// False where those that needed it were given back, or cancelled.
    pub fn is_wanted(&self, waiting: &HashMap<u64, Waiting>) -> bool {
        self.waiters.iter().any(|waiter| match waiter {
            Waiter::Input { run, .. } => waiting.contains_key(run),
            Waiter::Replica => true,
        })
    }
}

impl Waiting {
    pub fn fill(&mut self, position: u32, member: Option<u32>, input: Input) {
        let place = match (self.run.inputs.get_mut(position as usize), member) {
            (Some(Input::Many(many)), Some(member)) => many.get_mut(member as usize),
            (place, _) => place,
        };
        if let Some(place) = place {
            *place = input;
        }
    }
}
