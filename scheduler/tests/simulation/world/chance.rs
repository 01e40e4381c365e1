//! What happens next, by chance.

use dasklet_core::{DeathCause, TaskId, demand::MemberRef};
use rand::Rng;

use super::{Mode, World};
use crate::{client::End, worker::Report};

impl World {
    pub(super) fn chance(&mut self) {
        let kind = self.rng.random_range(0..26);
        let index = self.rng.random_range(0..self.workers.len());
        let risky = self.mode != Mode::Drains;
        match kind {
            0..=6 => self.submit(),
            7 => self.put(),
            8..=9 => self.release_one(),
            10 if risky => self.cancel_one(),
            11..=12 if risky => self.kill(index),
            13..=14 if risky => {
                self.disconnect(index, DeathCause::ConnectionLost);
            }
            15 if risky => self.connect(index),
            16 if self.workers.len() < 6 => self.join(),
            17 if self.workers[index].id.is_none() => self.connect(index),
            18..=19 => {
                let m = self.member(index);
                let deadline = self.rng.random_bool(0.5).then_some(10_000);
                self.state.drain(self.time(), &m, deadline);
            }
            20 => {
                let m = self.member(index);
                self.state.undrain(self.time(), &m);
            }
            21 if self.workers[index].id.is_some() && self.workers.len() > 2 => {
                self.workers[index].leaving = true;
                let id = self.workers[index].id.unwrap();
                self.send_up(id, Report::Leaving);
            }
            22 => {
                if self.client.connected {
                    self.client.connected = false;
                    self.state.session_disconnected(self.time(), self.session);
                } else {
                    self.resume();
                }
            }
            23 if risky => {
                // Someone outside knows better, perhaps of someone who is gone.
                let m = self.member(index);
                if self.workers[index].id.is_none() {
                    self.state.lost(self.time(), &m, DeathCause::Evicted);
                }
            }
            24 => self.drop_caches(index),
            25 if risky => self.lose_silently(index),
            _ => {}
        }
    }

    /// The worker's memory is short.
    pub(super) fn drop_caches(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        let Some(id) = worker.id else { return };
        let mut dropped: Vec<TaskId> =
            worker.store.iter().filter(|(_, s)| s.cache).map(|(task, _)| *task).collect();
        dropped.sort_unstable();
        worker.store.retain(|_, stored| !stored.cache);
        for task in dropped {
            self.send_up(id, Report::Dropped(task));
        }
    }

    /// An output is damaged, which is found out only when the client reads it.
    pub(super) fn lose_silently(&mut self, index: usize) {
        let Some(id) = self.workers[index].id else { return };
        let ended = self.client.ends.iter().filter(|(_, end)| **end == End::Done(id));
        let Some((local, member)) = ended.map(|(member, _)| *member).min() else { return };
        let known = self.client.descriptions.iter().find(|d| d.known.local == local);
        let Some(description) = known.filter(|d| !d.released && self.client.connected) else {
            return;
        };
        let task = TaskId::new(description.spec, member);
        if self.workers[index].store.remove(&task).is_some() {
            self.client.ends.remove(&(local, member));
            self.state.refetch(self.time(), self.session, local, member, id, true);
        }
    }

    pub(super) fn member(&self, index: usize) -> MemberRef {
        MemberRef { name: self.workers[index].name.clone(), instance: None }
    }
}
