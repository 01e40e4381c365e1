//! The outputs this worker holds, and the inputs that its runs have read: in memory, and spilled
//! to disk where memory is short.

mod entries;
mod holdings;
mod inputs;
mod keep;
mod scratch;
mod spill_file;
#[cfg(test)]
mod tests;

pub(crate) use entries::Found;
pub(crate) use inputs::Reading;
pub(crate) use keep::Store;
pub(crate) use scratch::Scratch;
pub(crate) use spill_file::SpillFile;
