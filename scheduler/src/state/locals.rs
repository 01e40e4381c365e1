//! A session's own numbers for its descriptions.

use std::collections::BTreeMap;

use dasklet_core::SpecId;

/// Numbers of one page.
const PAGE: u64 = 128;
/// What has a number and is not there.
const NONE: SpecId = SpecId(u32::MAX);

/// Descriptions by the session's own numbers. A page goes with the last description in it, so that
/// one that lives long keeps only its neighbours' places.
#[derive(Debug, Default)]
pub(super) struct Locals {
    next: u64,
    pages: BTreeMap<u64, Box<Page>>,
}

#[derive(Debug)]
struct Page {
    specs: [SpecId; PAGE as usize],
    live: u32,
}

impl Locals {
    /// The number that the next description gets.
    pub const fn next(&self) -> u64 {
        self.next
    }

    pub fn get(&self, local: u64) -> Option<SpecId> {
        let page = self.pages.get(&(local / PAGE))?;
        Some(page.specs[(local % PAGE) as usize]).filter(|spec| *spec != NONE)
    }

    pub fn push(&mut self, spec: SpecId) {
        let page = self
            .pages
            .entry(self.next / PAGE)
            .or_insert_with(|| Box::new(Page { specs: [NONE; PAGE as usize], live: 0 }));
        page.specs[(self.next % PAGE) as usize] = spec;
        page.live += 1;
        self.next += 1;
    }

    /// Passes over numbers.
    pub const fn skip(&mut self, count: u64) {
        self.next += count;
    }

    pub fn forget(&mut self, local: u64) {
        let Some(page) = self.pages.get_mut(&(local / PAGE)) else { return };
        let spec = &mut page.specs[(local % PAGE) as usize];
        if std::mem::replace(spec, NONE) == NONE {
            return;
        }
        page.live -= 1;
        if page.live == 0 {
            self.pages.remove(&(local / PAGE));
        }
    }

    /// What there is from `first` to before `end`, with its numbers.
    pub fn range(&self, first: u64, end: u64) -> impl Iterator<Item = (u64, SpecId)> + '_ {
        // Not a range of pages, where nothing is between the two.
        let end = end.max(first);
        let pages = self.pages.range(first / PAGE..end.div_ceil(PAGE).max(first / PAGE));
        let all = pages.flat_map(|(page, found)| (page * PAGE..).zip(found.specs));
        all.filter(move |(local, spec)| (first..end).contains(local) && *spec != NONE)
    }

    #[cfg(test)]
    pub fn pages(&self) -> usize {
        self.pages.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_costs_nothing_whatever_is_left_before_it() {
        let mut locals = Locals::default();
        for number in 0..100_000 {
            locals.push(SpecId(number));
        }
        for local in 1..99_999 {
            locals.forget(local);
            locals.forget(local);
        }
        assert_eq!(locals.pages(), 2);
        assert_eq!((locals.get(0), locals.get(1)), (Some(SpecId(0)), None));
        let all = [(0, SpecId(0)), (99_999, SpecId(99_999))];
        assert_eq!(locals.range(0, u64::MAX).collect::<Vec<_>>(), all);
        assert_eq!(locals.range(1, 100_000).collect::<Vec<_>>(), all[1..]);
        assert_eq!(locals.range(5, 3).count() + locals.range(7, 7).count(), 0);
        locals.skip(1_000_000_000);
        locals.push(SpecId(7));
        assert_eq!(locals.get(1_000_100_000), Some(SpecId(7)));
        assert_eq!(locals.pages(), 3);
    }
}
