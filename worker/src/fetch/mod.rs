//! Outputs of other workers that are wanted here: by runs that wait for them, or to be kept as
//! further copies.

mod book;
mod transfer;

pub(crate) use book::{Fetcher, Wanted};
