//! Decisions as tables and as properties.

mod behavior;
mod groups;
mod plans;
mod properties;
mod replay;
mod support;
