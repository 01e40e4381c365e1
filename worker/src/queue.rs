//! Tasks that could start, and the resources they take: pure.
//!
//! Order is (priority, arrival). A task that does not fit holds back the resources it lacks:
//! later tasks may pass it only if they ask for none of these, so that large tasks do not
//! starve.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use dasklet_core::{Resources, resources::CPU};
use smallvec::SmallVec;

/// A set of amounts that tasks ask for, known by its number.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Class {
    id: u32,
    /// Position in the worker's list of resources, and thousandths.
    needs: SmallVec<[(u16, u64); 2]>,
}

/// All classes seen, and what the worker offers.
#[derive(Debug)]
pub(crate) struct Classes {
    names: Vec<String>,
    offer: Vec<u64>,
    known: Vec<(Resources, Arc<Class>)>,
}

impl Classes {
    pub fn new(offer: &Resources) -> Self {
        let (names, offer) = offer.iter().map(|(name, amount)| (name.to_owned(), amount)).unzip();
        Self { names, offer, known: Vec::new() }
    }

    pub fn offer(&self) -> Vec<u64> {
        self.offer.clone()
    }

    /// The class of a request; nothing asked means one slot.
    ///
    /// # Errors
    /// A sentence, where this worker could never run it.
    pub fn class(&mut self, request: &[(&str, u64)]) -> Result<Arc<Class>, String> {
        let matches = |known: &Resources| {
            known.iter().count() == request.len()
                && request.iter().all(|(name, amount)| known.get(name) == *amount)
        };
        if let Some((_, class)) = self.known.iter().find(|(known, _)| matches(known)) {
            return Ok(class.clone());
        }
        let mut resources = Resources::default();
        for (name, amount) in request {
            resources.set(name, *amount);
        }
        let asked = if resources.is_empty() { Resources::one_slot() } else { resources.clone() };
        let mut needs = SmallVec::new();
        for (name, amount) in asked.iter() {
            let position = self.names.iter().position(|known| known == name);
            let offered = position.map_or(0, |position| self.offer[position]);
            match position {
                Some(position) if amount <= offered => needs.push((position as u16, amount)),
                _ => {
                    let unit = if name == CPU { "slots" } else { name };
                    return Err(format!(
                        "the task asks for {asked}, but this worker offers {} {unit}: ask for less, or run workers with more",
                        offered as f64 / 1000.0
                    ));
                }
            }
        }
        let class = Arc::new(Class { id: self.known.len() as u32, needs });
        self.known.push((resources, class.clone()));
        Ok(class)
    }
}

#[derive(Debug)]
struct Lane<T> {
    class: Arc<Class>,
    queue: VecDeque<(u64, T)>,
}

#[derive(Debug)]
struct Level<T> {
    lanes: SmallVec<[Lane<T>; 1]>,
}

/// What was taken, and where from.
#[derive(Debug)]
pub(crate) struct Taken<T> {
    pub item: T,
    pub class: Arc<Class>,
    priority: i32,
}

/// The queue together with what is free.
#[derive(Debug)]
pub(crate) struct ReadyQueue<T> {
    levels: BTreeMap<Reverse<i32>, Level<T>>,
    free: Vec<u64>,
    arrivals: u64,
    len: usize,
}

impl<T> ReadyQueue<T> {
    pub fn new(offer: Vec<u64>) -> Self {
        Self { levels: BTreeMap::new(), free: offer, arrivals: 0, len: 0 }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn push(&mut self, priority: i32, class: &Arc<Class>, item: T) {
        let level = self
            .levels
            .entry(Reverse(priority))
            .or_insert_with(|| Level { lanes: SmallVec::new() });
        let lane = match level.lanes.iter_mut().position(|lane| lane.class.id == class.id) {
            Some(position) => &mut level.lanes[position],
            None => {
                level.lanes.push(Lane { class: class.clone(), queue: VecDeque::new() });
                let last = level.lanes.len() - 1;
                &mut level.lanes[last]
            }
        };
        lane.queue.push_back((self.arrivals, item));
        self.arrivals += 1;
        self.len += 1;
    }

    /// The next task that may start.
    pub fn peek(&self) -> Option<&T> {
        let (priority, lane) = self.find()?;
        self.levels.get(&priority)?.lanes[lane].queue.front().map(|(_, item)| item)
    }

    /// Takes the next task that may start, and what it asks for.
    pub fn pop(&mut self) -> Option<Taken<T>> {
        let (priority, position) = self.find()?;
        let level = self.levels.get_mut(&priority)?;
        let lane = &mut level.lanes[position];
        let (_, item) = lane.queue.pop_front()?;
        let class = lane.class.clone();
        if lane.queue.is_empty() && level.lanes.len() > 1 {
            level.lanes.remove(position);
        }
        if self.levels.len() > 1
            && self.levels[&priority].lanes.iter().all(|lane| lane.queue.is_empty())
        {
            self.levels.remove(&priority);
        }
        for (resource, amount) in &class.needs {
            self.free[usize::from(*resource)] -= amount;
        }
        self.len -= 1;
        Some(Taken { item, class, priority: priority.0 })
    }

    /// Takes one more task to run after `taken` on what that one took, if `suits`.
    pub fn pop_like(&mut self, taken: &Taken<T>, suits: impl FnOnce(&T) -> bool) -> Option<T> {
        let (highest, level) = self.levels.first_key_value()?;
        if highest.0 != taken.priority {
            return None;
        }
        let position = level.lanes.iter().position(|lane| lane.class.id == taken.class.id)?;
        let lane = &mut self.levels.first_entry()?.into_mut().lanes[position];
        if !suits(&lane.queue.front()?.1) {
            return None;
        }
        self.len -= 1;
        lane.queue.pop_front().map(|(_, item)| item)
    }

    /// Gives back what a task took.
    pub fn give_back(&mut self, class: &Class) {
        for (resource, amount) in &class.needs {
            self.free[usize::from(*resource)] += amount;
        }
    }

    /// Removes what matches.
    pub fn remove_where(&mut self, mut matches: impl FnMut(&T) -> bool, removed: &mut Vec<T>) {
        for level in self.levels.values_mut() {
            for lane in &mut level.lanes {
                if !lane.queue.iter().any(|(_, item)| matches(item)) {
                    continue;
                }
                let kept = VecDeque::with_capacity(lane.queue.len());
                for (arrival, item) in std::mem::replace(&mut lane.queue, kept) {
                    if matches(&item) {
                        removed.push(item);
                        self.len -= 1;
                    } else {
                        lane.queue.push_back((arrival, item));
                    }
                }
            }
        }
    }

    fn find(&self) -> Option<(Reverse<i32>, usize)> {
        if self.len == 0 {
            return None;
        }
        let mut lacking: SmallVec<[u16; 4]> = SmallVec::new();
        for (priority, level) in &self.levels {
            let mut passed: SmallVec<[usize; 4]> = SmallVec::new();
            while let Some((position, lane)) = level
                .lanes
                .iter()
                .enumerate()
                .filter(|(position, lane)| !lane.queue.is_empty() && !passed.contains(position))
                .min_by_key(|(_, lane)| lane.queue.front().map(|(arrival, _)| *arrival))
            {
                let needs = &lane.class.needs;
                let before = lacking.len();
                let held_back = needs.iter().any(|(resource, _)| lacking.contains(resource));
                lacking.extend(
                    needs
                        .iter()
                        .filter(|(resource, amount)| self.free[usize::from(*resource)] < *amount)
                        .map(|(resource, _)| *resource),
                );
                if !held_back && lacking.len() == before {
                    return Some((*priority, position));
                }
                passed.push(position);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes() -> Classes {
        Classes::new(&Resources::parse([("cpu", "4"), ("GPU", "1")]).unwrap())
    }

    #[test]
    fn order_is_priority_then_arrival() {
        let mut classes = classes();
        let one = classes.class(&[]).unwrap();
        let half = classes.class(&[("cpu", 500)]).unwrap();
        let mut queue = ReadyQueue::new(classes.offer());
        for (priority, class, name) in
            [(0, &one, "a"), (1, &half, "b"), (0, &half, "c"), (1, &one, "d"), (0, &one, "e")]
        {
            queue.push(priority, class, name);
        }
        let order: Vec<&str> = std::iter::from_fn(|| queue.pop().map(|t| t.item)).collect();
        assert_eq!(order, ["b", "d", "a", "c", "e"]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn a_task_that_does_not_fit_holds_back_only_what_it_lacks() {
        let mut classes = classes();
        let one = classes.class(&[]).unwrap();
        let gpu = classes.class(&[("GPU", 1000)]).unwrap();
        let four = classes.class(&[("cpu", 4000)]).unwrap();
        let mut queue = ReadyQueue::new(classes.offer());
        for (class, name) in [(&gpu, "g1"), (&gpu, "g2"), (&one, "a"), (&four, "big"), (&one, "b")]
        {
            queue.push(0, class, name);
        }
        let mut taken: Vec<Taken<&str>> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(taken.iter().map(|t| t.item).collect::<Vec<_>>(), ["g1", "a"]);
        queue.give_back(&taken.remove(1).class);
        assert_eq!(queue.peek(), Some(&"big"));
        let big = queue.pop().unwrap();
        assert!(queue.pop().is_none());
        queue.give_back(&big.class);
        assert_eq!(queue.pop().unwrap().item, "b");
        queue.give_back(&taken.remove(0).class);
        assert_eq!(queue.pop().unwrap().item, "g2");
    }

    #[test]
    fn batches_take_one_share_only() {
        let mut classes = classes();
        let four = classes.class(&[("cpu", 4000)]).unwrap();
        let mut queue = ReadyQueue::new(classes.offer());
        for n in 0..5 {
            queue.push(0, &four, n);
        }
        let first = queue.pop().unwrap();
        assert!(queue.pop().is_none());
        assert_eq!(queue.pop_like(&first, |n| *n == 1), Some(1));
        assert_eq!(queue.pop_like(&first, |n| *n != 2), None);
        queue.give_back(&first.class);
        assert_eq!(queue.pop().unwrap().item, 2);
        assert_eq!(queue.len(), 2);
    }

    #[test]
    fn what_can_never_fit_is_refused_in_words() {
        let mut classes = classes();
        for (request, words) in [
            (("cpu", 5000), "the task asks for cpu 5, but this worker offers 4 slots"),
            (("FPGA", 1000), "the task asks for FPGA 1, but this worker offers 0 FPGA"),
        ] {
            let error = classes.class(&[request]).unwrap_err();
            assert!(error.starts_with(words), "{error}");
        }
    }

    #[test]
    fn removal_keeps_the_order_of_the_rest() {
        let mut classes = classes();
        let one = classes.class(&[]).unwrap();
        let mut queue = ReadyQueue::new(classes.offer());
        for n in 0..10 {
            queue.push(n % 2, &one, n);
        }
        let mut removed = Vec::new();
        queue.remove_where(|n| n % 3 == 0, &mut removed);
        removed.sort_unstable();
        assert_eq!(removed, [0, 3, 6, 9]);
        let rest: Vec<i32> = std::iter::from_fn(|| {
            queue.pop().map(|taken| {
                queue.give_back(&taken.class);
                taken.item
            })
        })
        .collect();
        assert_eq!(rest, [1, 5, 7, 2, 4, 8]);
    }
}
