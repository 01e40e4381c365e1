//! What to do about a Lease, without a client and without trusting anybody's clock.

/// The Lease as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Term {
    /// Who has it; empty: nobody.
    pub holder: String,
    /// Its version.
    pub version: String,
    /// How long it lasts without being renewed, in microseconds.
    pub lasts_micros: u64,
    /// How often it has changed hands.
    pub transitions: u32,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Make the Lease.
    Create,
    /// Take or renew it.
    Write,
    /// Look again later.
    Wait,
}

/// Decides. `unchanged_micros`: for how long, by our own clock, the Lease has had this version.
/// A holder that does not renew is gone when the Lease has not changed for as long as it lasts:
/// no clock of another machine takes part.
#[must_use]
pub fn decide(term: Option<&Term>, identity: &str, unchanged_micros: u64) -> Step {
    match term {
        None => Step::Create,
        Some(term) if term.holder.is_empty() || term.holder == identity => Step::Write,
        Some(term) if unchanged_micros > term.lasts_micros => Step::Write,
        Some(_) => Step::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps() {
        let held =
            |holder: &str| Term { holder: holder.to_owned(), lasts_micros: 15, ..Term::default() };
        for (term, unchanged, step) in [
            (None, 0, Step::Create),
            (Some(held("me")), 0, Step::Write),
            (Some(held("")), 0, Step::Write),
            (Some(held("other")), 15, Step::Wait),
            (Some(held("other")), 16, Step::Write),
        ] {
            assert_eq!(decide(term.as_ref(), "me", unchanged), step);
        }
    }
}
