//! The outputs this worker holds: in memory, and spilled to disk where memory is short.

mod entries;
mod keep;
mod scratch;
mod spill_file;
#[cfg(test)]
mod tests;

pub(crate) use entries::Found;
pub(crate) use keep::Store;
pub(crate) use scratch::Scratch;
pub(crate) use spill_file::SpillFile;
