//! The subcommands.

mod arguments;
mod attached;
mod control_plane;
mod enter;
mod images;
mod inside;
mod outside;
mod run;
mod scale;

pub use arguments::Arguments;
