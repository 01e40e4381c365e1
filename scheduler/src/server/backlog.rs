//! Ends of tasks that a client is still to be told, as ranges: their news are read from the state
//! when there is room for them.

use dasklet_core::{SessionId, SpecId};

use super::limits;
use crate::state::{LocalRange, State};

/// Members `start..end` of each of the session's descriptions `first..last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    first: u64,
    last: u64,
    start: u32,
    end: u32,
}

impl Span {
    /// Grows by what follows it; false if the other does not follow.
    fn grow(&mut self, next: Self) -> bool {
        if (self.first, self.last) == (next.first, next.last) && self.end == next.start {
            self.end = next.end;
        } else if (self.start, self.end) == (next.start, next.end) && self.last == next.first {
            self.last = next.last;
        } else {
            return false;
        }
        true
    }

    /// Both, and what lies between them.
    fn cover(self, other: Self) -> Self {
        Self {
            first: self.first.min(other.first),
            last: self.last.max(other.last),
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }
}

/// A part of one description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// The session's number of the description.
    pub local: u64,
    /// Its id.
    pub spec: SpecId,
    /// The first member.
    pub start: u32,
    /// Before this member.
    pub end: u32,
}

/// Members whose ends are still to be told. Bounded: when there are too many ranges, neighbours
/// become one, with what lies between them, so that some ends are told twice.
#[derive(Debug, Default)]
pub(super) struct Backlog(Vec<Span>);

impl Backlog {
    /// Nothing is left to be told.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds members of one description.
    pub fn add(&mut self, local: u64, start: u32, end: u32) {
        self.push(Span { first: local, last: local.saturating_add(1), start, end });
    }

    /// Adds what a client names.
    pub fn add_range(&mut self, range: LocalRange) {
        let (first, last) = range.numbers();
        let (start, end) = range.members(u32::MAX);
        self.push(Span { first, last, start, end });
    }

    fn push(&mut self, span: Span) {
        if !self.0.last_mut().is_some_and(|last| last.grow(span)) {
            self.0.push(span);
        }
        if self.0.len() > limits::BACKLOG {
            self.shrink();
        }
    }

    fn shrink(&mut self) {
        self.0.sort_unstable();
        let mut exact: Vec<Span> = Vec::with_capacity(self.0.len());
        for span in self.0.drain(..) {
            if !exact.last_mut().is_some_and(|last| *last == span || last.grow(span)) {
                exact.push(span);
            }
        }
        while exact.len() > limits::BACKLOG / 2 {
            let cover = |pair: &[Span]| pair.iter().copied().reduce(Span::cover);
            exact = exact.chunks(2).filter_map(cover).collect();
        }
        self.0 = exact;
    }

    /// Takes out about so many members, or descriptions if these have less.
    pub fn take(&mut self, state: &State, session: SessionId, most: u32) -> Vec<Piece> {
        let (mut pieces, mut left) = (Vec::new(), most);
        while left > 0
            && let Some(span) = self.0.pop()
        {
            for (local, spec, len) in state.described(session, span.first, span.last) {
                let end = span.end.min(len);
                let start = span.start.min(end);
                let taken = (end - start).min(left);
                pieces.push(Piece { local, spec, start, end: start + taken });
                left -= taken.max(1);
                if left > 0 {
                    continue;
                }
                if local + 1 < span.last {
                    self.0.push(Span { first: local + 1, ..span });
                }
                if start + taken < end {
                    let (first, last) = (local, local + 1);
                    self.0.push(Span { first, last, start: start + taken, end });
                }
                break;
            }
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Config, SubmittedTask, TaskOptions, Time};

    #[test]
    fn what_follows_is_one_range() {
        let mut backlog = Backlog::default();
        for local in 0..1000 {
            backlog.add(local, 0, 1);
        }
        for member in 0..1000 {
            backlog.add(5000, member, member + 1);
        }
        backlog.add_range(LocalRange { local: 6000, start: 0, end: 0, count: 10 });
        assert_eq!(
            backlog.0,
            [
                Span { first: 0, last: 1000, start: 0, end: 1 },
                Span { first: 5000, last: 5001, start: 0, end: 1000 },
                Span { first: 6000, last: 6010, start: 0, end: u32::MAX },
            ]
        );
    }

    fn described(key: &str, array: Option<u32>) -> SubmittedTask {
        SubmittedTask {
            key: key.into(),
            body: Box::default(),
            dependencies: Vec::new(),
            options: 0,
            array,
            first_index: 0,
            outputs: 1,
            order: 0,
            wanted: true,
        }
    }

    #[test]
    fn ranges_are_taken_in_parts_that_miss_nothing() {
        let mut state = State::new(Config::default());
        let session = state.open_session(Time(0), "s").unwrap();
        state.open_job(Time(0), session, 0, "job", 1.0).unwrap();
        let lens = [None, Some(1000), None, None, Some(5), Some(64)];
        let tasks = lens.iter().map(|len| described("", *len)).collect();
        let options = vec![TaskOptions::default()];
        state.submit(Time(0), session, 0, 0, options, tasks).unwrap();
        let mut backlog = Backlog::default();
        backlog.add_range(LocalRange { local: 0, start: 0, end: 0, count: u64::MAX });
        let mut members = std::collections::BTreeSet::new();
        while !backlog.is_empty() {
            let pieces = backlog.take(&state, session, 64);
            let count: u32 = pieces.iter().map(|piece| piece.end - piece.start).sum();
            assert!(pieces.len() <= 64 && count <= 64);
            for piece in pieces {
                assert_eq!(u64::from(piece.spec.0), piece.local);
                for member in piece.start..piece.end {
                    assert!(members.insert((piece.local, member)), "told twice");
                }
            }
        }
        assert_eq!(members.len(), 3 + 1000 + 5 + 64);
    }

    #[test]
    fn however_ends_come_their_ranges_are_bounded_and_name_them_all() {
        let mut backlog = Backlog::default();
        let numbers = (0..1_000_000u64).map(|n| n * 7919 % 1_000_003);
        for local in numbers.clone() {
            backlog.add(local, (local % 3) as u32, (local % 3) as u32 + 1);
            assert!(backlog.0.len() <= limits::BACKLOG);
        }
        backlog.0.sort_unstable();
        for local in numbers.step_by(997) {
            let member = (local % 3) as u32;
            let named = |span: &Span| {
                (span.first..span.last).contains(&local) && (span.start..span.end).contains(&member)
            };
            assert!(backlog.0.iter().any(named), "{local} is missing");
        }
    }
}
