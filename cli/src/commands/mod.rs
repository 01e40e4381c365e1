//! The subcommands, one module each, and the options that several of them share.

pub mod explain;
pub mod get;
pub mod lint;
pub mod roles;
pub mod run;
pub mod shared;
pub mod simulate;
pub mod sql;
pub mod submit;

pub use shared::{At, Output, columns, counted, print, print_json};
