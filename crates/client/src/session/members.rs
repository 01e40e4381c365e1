//! The members of a task array, twelve bytes each once something is known of them.

use std::sync::Arc;

use dasklet_protocol::v1;

use super::cell::Cell;
use crate::error::Failure;

const CHUNK: usize = 1024;
/// More ranges than this are merged when the session resumes; being told too much does no harm.
pub(super) const MAX_PENDING_RANGES: usize = 4096;

/// The members of a task array.
pub(super) struct Members {
    length: u32,
    chunks: Vec<Option<Box<[Cell; CHUNK]>>>,
    /// The whole description was refused.
    refused: Option<Arc<Failure>>,
}

impl Members {
    /// A task array of so many members.
    pub(super) fn new(length: u32) -> Self {
        let chunks = (0..(length as usize).div_ceil(CHUNK)).map(|_| None).collect();
        Self { length, chunks, refused: None }
    }

    pub(super) fn cell(&self, index: u32) -> Cell {
        if self.refused.is_some() {
            return Cell::failed();
        }
        match self.chunks.get(index as usize / CHUNK) {
            Some(Some(chunk)) => chunk[index as usize % CHUNK],
            Some(None) => Cell::pending(false),
            None => Cell::released(),
        }
    }

    pub(super) fn cell_mut(&mut self, index: u32) -> Option<&mut Cell> {
        if index >= self.length {
            return None;
        }
        let chunk = self.chunks.get_mut(index as usize / CHUNK)?;
        let cells = chunk.get_or_insert_with(|| Box::new([Cell::pending(false); CHUNK]));
        Some(&mut cells[index as usize % CHUNK])
    }

    /// Refuses all of them.
    pub(super) fn refuse(&mut self, failure: Arc<Failure>) {
        self.refused = Some(failure);
        self.chunks.iter_mut().for_each(|chunk| *chunk = None);
    }

    /// Why all were refused, if they were.
    pub(super) fn refusal(&self) -> Option<&Arc<Failure>> {
        self.refused.as_ref()
    }

    /// The members that something is known of, with their indexes.
    pub(super) fn known(&self) -> impl Iterator<Item = (u32, Cell)> + '_ {
        (0..).step_by(CHUNK).zip(&self.chunks).flat_map(|(start, chunk)| {
            (start..).zip(chunk.iter().flat_map(|cells| cells.iter().copied()))
        })
    }

    /// Adds what has not ended of them, the array being number `local`.
    pub(super) fn pending(&self, local: u64, ranges: &mut Vec<v1::LocalRange>) {
        if self.refused.is_some() {
            return;
        }
        let mut run: Option<u32> = None;
        let push = |start, end, ranges: &mut Vec<v1::LocalRange>| {
            let crowded = ranges.len() >= MAX_PENDING_RANGES;
            match ranges.last_mut() {
                Some(last) if crowded && last.local == local && last.count == 0 => last.end = end,
                _ => ranges.push(v1::LocalRange { local, start, end, count: 0 }),
            }
        };
        for (chunk_start, chunk) in (0..).step_by(CHUNK).zip(&self.chunks) {
            let Some(cells) = chunk else {
                run.get_or_insert(chunk_start);
                continue;
            };
            for (index, cell) in (chunk_start..self.length).zip(cells.iter()) {
                match (cell.is_pending(), run) {
                    (true, None) => run = Some(index),
                    (false, Some(start)) => {
                        push(start, index, ranges);
                        run = None;
                    }
                    _ => {}
                }
            }
        }
        if let Some(start) = run {
            push(start, self.length, ranges);
        }
    }
}
