//! What tasks have in common, by number: sets of options, the resource classes these belong to, and
//! the names of resources. A number is used again once nothing has it any more.

use std::collections::{HashMap, VecDeque};

use dasklet_core::{Resources, resources::CPU};
use smallvec::SmallVec;

use super::{TaskOptions, bits::Bits, classes::Class};

/// So many sets of options that no task has at the moment are kept: the next tasks often have them
/// again, and what was learned of the run times of their classes would be lost.
pub(super) const IDLE_SETS: usize = 64;

/// What decides where a run may be placed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ClassKey {
    resources: Resources,
    workers: Vec<String>,
    exact: bool,
}

impl ClassKey {
    fn of(class: &Class) -> Self {
        let (resources, workers) = (class.resources.clone(), class.workers.clone());
        Self { resources, workers, exact: class.exact }
    }
}

/// One set of options.
#[derive(Debug, Default)]
struct OptionSet {
    options: TaskOptions,
    class: u32,
    /// Descriptions that have it.
    uses: u32,
    /// Listed in `Interned::idle`.
    idle: bool,
}

/// Sets of options, resource classes and resource names by number.
#[derive(Debug, Default)]
pub(super) struct Interned {
    sets: Vec<OptionSet>,
    free_sets: Vec<u32>,
    set_ids: HashMap<TaskOptions, u32>,
    /// Sets that nothing had, some of them in use again, the oldest first.
    idle: VecDeque<u32>,
    pub classes: Vec<Class>,
    free_classes: Vec<u32>,
    class_ids: HashMap<ClassKey, u32>,
    names: Names,
    /// Classes with ready tasks.
    pub ready: Bits,
    /// Classes with workers in `Class::surplus`, and others that had some.
    pub surplus: Bits,
}

impl Interned {
    pub fn options(&self, id: u32) -> &TaskOptions {
        &self.sets[id as usize].options
    }

    pub fn class_of(&self, options: u32) -> u32 {
        self.sets[options as usize].class
    }

    /// How many sets there are.
    pub fn sets(&self) -> usize {
        self.set_ids.len()
    }

    pub fn has_options(&self, options: &TaskOptions) -> bool {
        self.set_ids.contains_key(options)
    }

    /// The options' number, and true if their class is new. Nothing has them until
    /// [`Interned::hold`].
    pub fn intern(&mut self, options: &TaskOptions) -> (u32, bool) {
        if let Some(id) = self.set_ids.get(options) {
            return (*id, false);
        }
        let (class, new) = self.intern_class(options);
        self.classes[class as usize].sets += 1;
        let set = OptionSet { options: options.clone(), class, uses: 0, idle: false };
        let id = match self.free_sets.pop() {
            Some(id) => {
                self.sets[id as usize] = set;
                id
            }
            None => {
                self.sets.push(set);
                self.sets.len() as u32 - 1
            }
        };
        self.set_ids.insert(options.clone(), id);
        (id, new)
    }

    /// One more description has these options.
    pub fn hold(&mut self, options: u32) {
        self.sets[options as usize].uses += 1;
    }

    /// One description less has these options. Answers the class of a set that was dropped: the
    /// class is to be looked at.
    pub fn let_go(&mut self, options: u32) -> Option<u32> {
        let set = &mut self.sets[options as usize];
        set.uses -= 1;
        if set.uses > 0 || set.idle {
            return None;
        }
        set.idle = true;
        self.idle.push_back(options);
        if self.idle.len() <= IDLE_SETS {
            return None;
        }
        let oldest = self.idle.pop_front()?;
        let set = &mut self.sets[oldest as usize];
        set.idle = false;
        if set.uses > 0 {
            return None;
        }
        let set = std::mem::take(set);
        self.set_ids.remove(&set.options);
        self.free_sets.push(oldest);
        self.classes[set.class as usize].sets -= 1;
        Some(set.class)
    }

    fn intern_class(&mut self, options: &TaskOptions) -> (u32, bool) {
        let mut workers = options.workers.clone();
        workers.sort_unstable();
        workers.dedup();
        let resources = options.resources.clone();
        let key = ClassKey { resources, workers, exact: !options.idempotent };
        if let Some(id) = self.class_ids.get(&key) {
            return (*id, false);
        }
        let mut needs: SmallVec<[(u32, u64); 2]> = SmallVec::new();
        for (name, amount) in key.resources.iter() {
            needs.push((self.names.hold(name), amount));
        }
        if needs.is_empty() {
            // Something must bound how many go to one worker.
            needs.push((self.names.hold(CPU), 1));
        }
        let class = Class {
            resources: key.resources.clone(),
            workers: key.workers.clone(),
            exact: key.exact,
            needs,
            ..Class::default()
        };
        let id = match self.free_classes.pop() {
            Some(id) => {
                self.classes[id as usize] = class;
                id
            }
            None => {
                self.classes.push(class);
                self.classes.len() as u32 - 1
            }
        };
        self.class_ids.insert(key, id);
        (id, true)
    }

    /// Forgets a class that nothing is of. No worker has its number any more.
    pub fn drop_class(&mut self, id: u32) {
        let class = std::mem::take(&mut self.classes[id as usize]);
        self.class_ids.remove(&ClassKey::of(&class));
        for (resource, _) in &class.needs {
            self.names.let_go(*resource);
        }
        self.ready.remove(id);
        self.surplus.remove(id);
        self.free_classes.push(id);
    }

    /// A worker's offer as amounts by resource number. The numbers of what it names stay until
    /// [`Interned::withdraw`].
    pub fn offer(&mut self, offer: &Resources) -> Vec<u64> {
        let mut amounts = Vec::new();
        for (name, amount) in offer.iter() {
            let number = self.names.hold(name) as usize;
            if amounts.len() <= number {
                amounts.resize(number + 1, 0);
            }
            amounts[number] = amount;
        }
        amounts
    }

    /// The worker that offered this is gone.
    pub fn withdraw(&mut self, offer: &Resources) {
        for (name, _) in offer.iter() {
            self.names.let_go_of(name);
        }
    }

    #[cfg(test)]
    pub fn names(&self) -> usize {
        self.names.ids.len()
    }

    /// Panics if what is counted of sets and classes is wrong: `uses` of each set, by number.
    pub fn check(&self, uses: &HashMap<u32, u32>) {
        let mut sets = vec![0; self.classes.len()];
        for (options, id) in &self.set_ids {
            let set = &self.sets[*id as usize];
            assert_eq!(set.options, *options, "options of set {id}");
            assert_eq!(set.uses, uses.get(id).copied().unwrap_or(0), "uses of set {id}");
            assert!(set.uses > 0 || set.idle, "set {id} is kept though nothing has it");
            assert_eq!(set.idle, self.idle.contains(id), "listing of set {id}");
            sets[set.class as usize] += 1;
        }
        assert!(self.idle.len() <= IDLE_SETS, "sets that nothing has");
        for (id, class) in self.classes.iter().enumerate() {
            assert_eq!(class.sets, sets[id], "sets of class {id}");
            let known = self.class_ids.get(&ClassKey::of(class)) == Some(&(id as u32));
            assert!(known || !class.in_use(), "class {id} is in use and not found");
            assert_ne!(class.in_use(), self.free_classes.contains(&(id as u32)), "class {id}");
        }
        assert_eq!(self.set_ids.len() + self.free_sets.len(), self.sets.len(), "free sets");
    }
}

/// Names of resources by number, with how many classes and workers name them.
#[derive(Debug, Default)]
struct Names {
    slots: Vec<(String, u32)>,
    free: Vec<u32>,
    ids: HashMap<String, u32>,
}

impl Names {
    fn hold(&mut self, name: &str) -> u32 {
        if let Some(id) = self.ids.get(name) {
            self.slots[*id as usize].1 += 1;
            return *id;
        }
        let slot = (name.to_owned(), 1);
        let id = match self.free.pop() {
            Some(id) => {
                self.slots[id as usize] = slot;
                id
            }
            None => {
                self.slots.push(slot);
                self.slots.len() as u32 - 1
            }
        };
        self.ids.insert(name.to_owned(), id);
        id
    }

    fn let_go(&mut self, id: u32) {
        let (name, uses) = &mut self.slots[id as usize];
        *uses -= 1;
        if *uses == 0 {
            self.ids.remove(&std::mem::take(name));
            self.free.push(id);
        }
    }

    fn let_go_of(&mut self, name: &str) {
        if let Some(id) = self.ids.get(name).copied() {
            self.let_go(id);
        }
    }
}
