//! Container images, written as archives without a container engine.

pub mod archive;
pub mod engine;
pub mod layer;
pub mod names;
pub mod operator;
pub mod pause;
mod program;
pub mod python;
pub mod recipe;
pub mod s3;
