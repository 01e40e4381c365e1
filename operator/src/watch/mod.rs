//! Hears what changes on the API server and tells the world.

mod follow;
mod wire;

pub use follow::{Watches, follow};
pub use wire::{parse, read};
