//! Submissions that were refused: their numbers are used up, and their tasks have failed.

use std::{ops::Range, sync::Arc};

use super::limits;
use crate::state::{LocalRange, SubmitError};

/// Refused submissions that follow each other without gaps.
#[derive(Debug)]
pub(super) struct Refused {
    /// Number of the first task.
    first: u64,
    /// For each task, whether it is a task array.
    arrays: Vec<bool>,
    /// From which number on they were refused for what reason. What follows is refused for the
    /// sake of what came before most often, so not every reason is kept for ever.
    reasons: Vec<(u64, Arc<str>)>,
}

impl Refused {
    fn numbers(&self) -> Range<u64> {
        self.first..self.first + self.arrays.len() as u64
    }

    fn reason(&self, local: u64) -> Arc<str> {
        let after = self.reasons.partition_point(|(from, _)| *from <= local);
        self.reasons[after.max(1) - 1].1.clone()
    }
}

/// All refused submissions of a session.
#[derive(Debug, Default)]
pub(super) struct Refusals(Vec<Refused>);

impl Refusals {
    /// Notes that these numbers were refused.
    ///
    /// # Errors
    /// There are too many.
    pub fn note(
        &mut self,
        first: u64,
        arrays: Vec<bool>,
        reason: &Arc<str>,
    ) -> Result<(), SubmitError> {
        if let Some(last) = self.0.last_mut().filter(|last| last.numbers().end == first) {
            last.arrays.extend(arrays);
            let known = last.reasons.last().is_some_and(|(_, known)| known == reason);
            if !known && last.reasons.len() < limits::REASONS {
                last.reasons.push((first, reason.clone()));
            }
            return Ok(());
        }
        let what = "number of refused submissions of a session";
        limits::check(what, self.0.len() + 1, limits::REFUSED)?;
        self.0.push(Refused { first, arrays, reasons: vec![(first, reason.clone())] });
        Ok(())
    }

    /// Those in one of these ranges: number, whether it is a task array, and why.
    pub fn among<'a>(
        &'a self,
        ranges: &'a [LocalRange],
    ) -> impl Iterator<Item = (u64, bool, Arc<str>)> + 'a {
        let pairs =
            ranges.iter().flat_map(move |range| self.0.iter().map(move |refused| (range, refused)));
        pairs.flat_map(|(range, refused)| {
            let ((from, to), own) = (range.numbers(), refused.numbers());
            (own.start.max(from)..own.end.min(to)).map(move |local| {
                let array = refused.arrays[(local - refused.first) as usize];
                (local, array, refused.reason(local))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_keeps_its_own_reason() {
        let mut refusals = Refusals::default();
        let reasons: Vec<Arc<str>> = ["a", "b", "b", "c"].into_iter().map(Arc::from).collect();
        for (number, reason) in reasons.iter().enumerate() {
            refusals.note(10 + 2 * number as u64, vec![false, true], reason).unwrap();
        }
        refusals.note(100, vec![true], &Arc::from("d")).unwrap();
        let range = |local, count| LocalRange { local, start: 0, end: 0, count };
        let told: Vec<(u64, bool, String)> = refusals
            .among(&[range(11, 6), range(90, 20)])
            .map(|(local, array, reason)| (local, array, reason.to_string()))
            .collect();
        let expected = [
            (11, true, "a"),
            (12, false, "b"),
            (13, true, "b"),
            (14, false, "b"),
            (15, true, "b"),
            (16, false, "c"),
            (100, true, "d"),
        ];
        assert_eq!(told, expected.map(|(local, array, why)| (local, array, why.to_owned())));
        assert_eq!(refusals.0[0].reasons.len(), 3);
        for number in 0..2 * limits::REASONS as u64 {
            refusals.note(101 + number, vec![false], &Arc::from(number.to_string())).unwrap();
        }
        assert_eq!(refusals.0[1].reasons.len(), limits::REASONS);
    }
}
