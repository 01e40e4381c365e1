//! What tasks have in common, interned: sets of options, and resource classes (what a run takes,
//! where it may run).

use std::collections::{HashMap, VecDeque};

use dasklet_core::{Resources, WorkerId, resources::CPU};
use smallvec::SmallVec;

use super::TaskOptions;

/// Weight of the newest run in a mean.
const NEWEST: f32 = 0.125;
/// Run time assumed where nothing is known, in microseconds.
pub(super) const UNKNOWN_MICROS: f32 = 500_000.0;

/// A moving mean of run times; negative while unknown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mean(f32);

impl Default for Mean {
    fn default() -> Self {
        Self(-1.0)
    }
}

impl Mean {
    pub fn add(&mut self, micros: u64) {
        let micros = micros as f32;
        self.0 = if self.0 < 0.0 { micros } else { self.0 + (micros - self.0) * NEWEST };
    }

    pub fn get(self) -> Option<f32> {
        (self.0 >= 0.0).then_some(self.0)
    }

    /// In microseconds, with an assumption where nothing is known.
    pub fn assumed(self) -> f32 {
        self.get().unwrap_or(UNKNOWN_MICROS)
    }
}

/// What decides where a run may be placed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ClassKey {
    resources: Resources,
    workers: Vec<String>,
    exact: bool,
}

/// Tasks that may run at the same places and take the same there.
#[derive(Debug)]
pub(super) struct Class {
    pub resources: Resources,
    /// Names of workers or groups; empty: any.
    pub workers: Vec<String>,
    /// Never handed out before there is a free slot: not idempotent tasks, of which an unstarted
    /// one cannot be told from a started one when its worker dies.
    pub exact: bool,
    /// Amounts by resource index.
    pub needs: SmallVec<[(u32, u64); 2]>,
    /// Workers with resources free for one more, some of them no longer.
    pub slots: VecDeque<WorkerId>,
    /// Workers that may get some more in advance, some of them no longer.
    pub prefill: VecDeque<WorkerId>,
    /// Workers that have some in advance, some of them no longer.
    pub surplus: VecDeque<WorkerId>,
    /// Runs asked back and not yet returned.
    pub returning: u32,
    /// How many more go to the first worker of `prefill` before the next one's turn.
    pub batch_left: u32,
    /// Workers that could run it if they had nothing else to do.
    pub capable: u32,
    pub ready: u64,
    /// Queues with ready tasks, some of them no longer.
    pub queues: Vec<u32>,
    pub mean: Mean,
}

/// Sets of options, resource classes and resource names by number.
#[derive(Debug, Default)]
pub(super) struct Interned {
    options: Vec<(TaskOptions, u32)>,
    option_ids: HashMap<TaskOptions, u32>,
    pub classes: Vec<Class>,
    class_ids: HashMap<ClassKey, u32>,
    names: Vec<String>,
    name_ids: HashMap<String, u32>,
}

impl Interned {
    pub fn options(&self, id: u32) -> &TaskOptions {
        &self.options[id as usize].0
    }

    pub fn class_of(&self, options: u32) -> u32 {
        self.options[options as usize].1
    }

    pub fn options_len(&self) -> usize {
        self.options.len()
    }

    pub fn has_options(&self, options: &TaskOptions) -> bool {
        self.option_ids.contains_key(options)
    }

    /// The options' number, and true if their class is new.
    pub fn intern(&mut self, options: &TaskOptions) -> (u32, bool) {
        if let Some(id) = self.option_ids.get(options) {
            return (*id, false);
        }
        let before = self.classes.len();
        let class = self.intern_class(options);
        let id = self.options.len() as u32;
        self.options.push((options.clone(), class));
        self.option_ids.insert(options.clone(), id);
        (id, self.classes.len() > before)
    }

    fn intern_class(&mut self, options: &TaskOptions) -> u32 {
        let mut workers = options.workers.clone();
        workers.sort_unstable();
        workers.dedup();
        let key = ClassKey {
            resources: options.resources.clone(),
            workers: workers.clone(),
            exact: !options.idempotent,
        };
        if let Some(id) = self.class_ids.get(&key) {
            return *id;
        }
        let mut needs: SmallVec<[(u32, u64); 2]> =
            options.resources.iter().map(|(name, amount)| (self.resource(name), amount)).collect();
        if needs.is_empty() {
            // Something must bound how many go to one worker.
            needs.push((self.resource(CPU), 1));
        }
        let id = self.classes.len() as u32;
        self.classes.push(Class {
            resources: options.resources.clone(),
            workers,
            exact: key.exact,
            needs,
            slots: VecDeque::new(),
            prefill: VecDeque::new(),
            surplus: VecDeque::new(),
            returning: 0,
            batch_left: 0,
            capable: 0,
            ready: 0,
            queues: Vec::new(),
            mean: Mean::default(),
        });
        self.class_ids.insert(key, id);
        id
    }

    /// The number of a resource name.
    fn resource(&mut self, name: &str) -> u32 {
        if let Some(id) = self.name_ids.get(name) {
            return *id;
        }
        let id = self.names.len() as u32;
        self.names.push(name.to_owned());
        self.name_ids.insert(name.to_owned(), id);
        id
    }

    /// An offer as amounts by resource number.
    pub fn amounts(&mut self, offer: &Resources) -> Vec<u64> {
        for (name, _) in offer.iter() {
            self.resource(name);
        }
        self.names.iter().map(|name| offer.get(name)).collect()
    }
}

impl Class {
    /// How many fit at once into these amounts, at most 4 million.
    pub fn times_in(&self, amounts: &[u64]) -> u32 {
        self.needs
            .iter()
            .map(|(resource, amount)| {
                let offered = amounts.get(*resource as usize).copied().unwrap_or(0);
                (offered / amount).min(1 << 22) as u32
            })
            .min()
            .unwrap_or(1 << 22)
    }

    pub fn fits(&self, free: &[u64]) -> bool {
        self.needs
            .iter()
            .all(|(resource, amount)| free.get(*resource as usize).is_some_and(|f| f >= amount))
    }

    /// A worker of this name and group is not excluded.
    pub fn allows(&self, name: &str, group: &str) -> bool {
        self.workers.is_empty()
            || self
                .workers
                .iter()
                .any(|allowed| allowed == name || !group.is_empty() && allowed == group)
    }
}
