//! What our images are called.

/// The version that tags them.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The operator's image.
pub fn operator() -> String {
    format!("docker.io/dasklet/operator:{VERSION}")
}

/// The engine's image.
pub fn engine() -> String {
    format!("docker.io/dasklet/engine:{VERSION}")
}

/// The engine's image with Python and Dask.
pub fn python() -> String {
    format!("docker.io/dasklet/python:{VERSION}")
}
