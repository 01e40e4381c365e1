//! Links with delays: messages arrive late, some twice, some never.

use std::cmp::Reverse;

use dasklet_core::{DeathCause, RunId, WorkerId};
use dasklet_scheduler::state::ToWorker;
use rand::Rng;

use super::World;
use crate::worker::{Assigned, Report};

#[derive(Debug)]
pub(super) enum Event {
    ToWorker(WorkerId, Order),
    FromWorker(WorkerId, Report),
    RunEnds(usize, RunId),
    Chance,
    Rejoin(usize),
    Lost(WorkerId, DeathCause),
}

#[derive(Debug, Clone)]
pub(super) enum Order {
    Assign(Assigned),
    Other(ToWorker),
}

impl World {
    pub(super) fn at(&mut self, time: u64, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((time, self.sequence)));
        self.bodies.insert(self.sequence, event);
    }

    pub(super) fn send_up(&mut self, from: WorkerId, report: Report) {
        let delay = self.rng.random_range(1..3000);
        let last = self.up.entry(from).or_default();
        *last = (*last).max(self.now + delay);
        let time = *last;
        if self.rng.random_bool(0.03) {
            self.at(time, Event::FromWorker(from, report.clone()));
        }
        self.at(time, Event::FromWorker(from, report));
    }

    pub(super) fn send_down(&mut self, to: WorkerId, order: Order) {
        let delay = self.rng.random_range(1..3000);
        let last = self.down.entry(to).or_default();
        *last = (*last).max(self.now + delay);
        let time = *last;
        self.at(time, Event::ToWorker(to, order));
    }

    pub(super) fn drop_messages(&mut self, id: WorkerId) {
        let keep_some = self.rng.random_bool(0.5);
        self.bodies.retain(|sequence, event| match event {
            Event::ToWorker(to, _) => *to != id,
            Event::FromWorker(from, _) => *from != id || keep_some && sequence % 2 == 0,
            _ => true,
        });
    }
}
