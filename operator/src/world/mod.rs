//! What is known of the API server's objects: kept in memory, by the cluster they belong to.
//!
//! [`World`] is synchronous and knows no client. Whoever hears of an object tells it, a watch or
//! the answer to a write; an older version of an object never replaces a newer one.

mod index;
mod object;

pub use index::{Change, World};
pub use object::Object;
