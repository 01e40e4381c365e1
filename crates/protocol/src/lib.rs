//! The gRPC messages between client, scheduler and worker.
//!
//! The messages are generated from `proto/dasklet.proto`, which says what each means. Here
//! live also the few rules both ends must agree on: the version of the protocol, limits, and
//! how ids travel. No I/O. Start with the proto file.

/// The generated messages, clients and servers.
#[allow(missing_docs, clippy::all, clippy::unwrap_used)]
pub mod v1 {
    tonic::include_proto!("dasklet.v1");
}

/// Version of this protocol. Both ends must speak the same one; the scheduler refuses any
/// other with a sentence that names both.
pub const PROTOCOL_VERSION: u32 = 1;

/// Largest message either side accepts, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 8 << 20;

/// Size at which a writer starts the next message, in bytes.
pub const TARGET_MESSAGE_BYTES: usize = 1 << 20;

/// Most bytes that describe a task: what it runs with its arguments and files, its key, and the
/// list of what it reads. Larger values are put on a worker, and tasks read them from there.
pub const TASK_BYTES: usize = 3 << 20;

/// Payload of one data chunk, in bytes.
pub const CHUNK_BYTES: usize = 512 << 10;
