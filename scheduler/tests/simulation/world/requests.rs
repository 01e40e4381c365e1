//! What the client asks for, and what it is told.

use dasklet_core::WorkerId;
use dasklet_scheduler::state::{LocalRange, ToSession};
use rand::Rng;

use super::{Mode, World};
use crate::{
    client::{Description, End},
    graph::{self, Known},
    worker::{Provenance, Report, Stored},
};

impl World {
    pub(super) fn submit(&mut self) {
        let known = self.client.known();
        let first = self.client.next;
        let (options, tasks, new) = graph::submission(&mut self.rng, self.mode, first, &known);
        let wanted: Vec<bool> = tasks.iter().map(|task| task.wanted).collect();
        let job = self.rng.random_range(0..2);
        let specs =
            self.state.submit(self.time(), self.session, job, first, options, tasks).unwrap();
        self.client.next += new.len() as u64;
        for ((known, spec), wanted) in new.into_iter().zip(specs).zip(wanted) {
            self.client.descriptions.push(Description {
                known,
                spec,
                wanted,
                is_put: false,
                released: false,
            });
        }
    }

    pub(super) fn put(&mut self) {
        let local = self.client.next;
        let copies = self.rng.random_range(1..3);
        let spec =
            self.state.put(self.time(), self.session, local, "".into(), 100, copies).unwrap();
        self.client.next += 1;
        self.client.descriptions.push(Description {
            known: Known { local, array: None, outputs: 1 },
            spec,
            wanted: true,
            is_put: true,
            released: false,
        });
    }

    pub(super) fn hear(&mut self, news: ToSession) {
        match news {
            ToSession::Done { local, index, holder, .. } => {
                self.client.ends.insert((local, index), End::Done(holder));
            }
            ToSession::Failed { local, index } => {
                self.client.ends.insert((local, index), End::Failed);
                let failure = self.state.failure(self.session, local, index);
                let failure = failure.expect("a failed task says why");
                assert!(!failure.message.is_empty());
                if self.mode == Mode::Drains {
                    panic!("a planned removal failed {local}[{index}]: {failure:?}");
                }
            }
            ToSession::Ended { local, start, end } => self.ask_for_ends(local, start, end),
            ToSession::PutTarget { task, workers, .. } => {
                for id in workers {
                    if let Some(index) = self.index_of(id) {
                        let made_of = Provenance::from([(task, 0)]);
                        self.workers[index]
                            .store
                            .insert(task, Stored { nbytes: 100, made_of, cache: false });
                        self.send_up(id, Report::Copy(task, 100));
                    }
                }
            }
        }
    }

    fn ask_for_ends(&mut self, local: u64, start: u32, end: u32) {
        let described = self.state.described(self.session, local, local + 1);
        let ends = described.flat_map(|(_, id, _)| self.state.ends(id, start, end));
        for news in ends.collect::<Vec<_>>() {
            self.hear(news);
        }
    }

    pub(super) fn resume(&mut self) {
        self.client.connected = true;
        self.state.session_resumed(self.time(), self.session);
        for (local, index) in self.client.pending() {
            self.ask_for_ends(local, index, index + 1);
        }
        // Where values were to be put it was told while it was away: it asks again.
        let lost_puts: Vec<u64> = self
            .client
            .descriptions
            .iter()
            .filter(|d| d.is_put)
            .filter(|d| !self.client.ends.contains_key(&(d.known.local, 0)))
            .map(|d| d.known.local)
            .collect();
        for local in lost_puts {
            let nobody = WorkerId(u32::MAX);
            self.state.refetch(self.time(), self.session, local, 0, nobody, false);
        }
    }

    pub(super) fn release_one(&mut self) {
        if self.client.descriptions.is_empty() {
            return;
        }
        let position = self.rng.random_range(0..self.client.descriptions.len());
        let local = self.client.descriptions[position].known.local;
        self.client.descriptions[position].released = true;
        let members = self.client.descriptions[position].members();
        if self.rng.random_bool(0.5) {
            for start in 0..members {
                let range = LocalRange { local, start, end: start + 1, count: 1 };
                self.state.release(self.time(), self.session, range);
            }
        } else {
            let range = LocalRange { local, start: 0, end: 0, count: 1 };
            self.state.release(self.time(), self.session, range);
        }
    }

    pub(super) fn cancel_one(&mut self) {
        if let Some((local, index)) = self.client.pending().first().copied() {
            let (start, end) = match self.rng.random_range(0..3) {
                0 => (0, 0),
                1 => (index, index + 1),
                _ => (index, index + self.rng.random_range(1..300)),
            };
            let range = LocalRange { local, start, end, count: 1 };
            self.state.cancel(self.time(), self.session, range);
        }
    }
}
