//! Outputs of other workers that are wanted here: by runs that wait for them, or to be kept as
//! further copies.

mod book;
mod fetcher;
mod transfer;
mod waiting;

pub(crate) use fetcher::Fetcher;
pub(crate) use waiting::Wanted;
