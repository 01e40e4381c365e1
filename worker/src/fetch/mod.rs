//! Outputs of other workers that are wanted here: by runs that wait for them, or to be kept as
//! further copies.

mod book;
mod fetcher;
mod transfer;

pub(crate) use book::Wanted;
pub(crate) use fetcher::Fetcher;
