//! The standard worker: see `dasklet_worker::main`.

use std::process::ExitCode;

use dasklet_worker::Registry;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    dasklet_worker::main(Registry::standard())
}
