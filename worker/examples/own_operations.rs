//! A worker with an operation of its own. Run it beside a scheduler:
//! `cargo run --release --example own_operations -- --scheduler tcp://127.0.0.1:8786`

use std::process::ExitCode;

use dasklet_worker::Registry;

fn main() -> ExitCode {
    let mut registry = Registry::standard();
    registry.register("hypotenuse", |a: f64, b: f64| a.hypot(b));
    registry.register_fallible("parse", |text: String| text.trim().parse::<i64>());
    dasklet_worker::main(registry)
}
