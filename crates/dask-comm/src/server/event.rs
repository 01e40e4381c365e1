//! What a scheduler says on a client's stream.

use bytes::Bytes;

use crate::value::{Map, Value};

/// Something that a client should know. Events about keys that it does not know are ignored by
/// it. None has a field `status`: clients take some of its values for the end of the stream.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientEvent {
    /// The result is there.
    KeyInMemory {
        /// Of the task.
        key: Value,
        /// The pickled class of the result, for people.
        class: Option<Bytes>,
    },
    /// The task has failed, or one that it needs; also one for each wanted key that needs it.
    TaskErred {
        /// Of the task.
        key: Value,
        /// The pickled exception of the task that failed first.
        exception: Bytes,
        /// The pickled traceback.
        traceback: Option<Bytes>,
    },
    /// These are cancelled: the client's futures raise.
    CancelledKeys {
        /// Which.
        keys: Vec<Value>,
        /// For the client's exception.
        reason: String,
        /// For the client's exception.
        message: String,
    },
    /// A result is gone, and will come again.
    LostData {
        /// Of the task.
        key: Value,
    },
    /// A task that had failed runs again.
    TaskRetried {
        /// Of the task.
        key: Value,
    },
    /// Everything begins anew: all futures are cancelled.
    Restart,
    /// How often the client should say that it lives.
    HeartbeatInterval {
        /// Between two heartbeats.
        seconds: f64,
    },
}

impl From<ClientEvent> for Value {
    fn from(event: ClientEvent) -> Self {
        let named = |op: &str| Map::new().with("op", op);
        let map = match event {
            ClientEvent::KeyInMemory { key, class } => {
                let map = named("key-in-memory").with("key", key);
                match class {
                    Some(class) => map.with("type", class),
                    None => map,
                }
            }
            ClientEvent::TaskErred { key, exception, traceback } => named("task-erred")
                .with("key", key)
                .with("exception", exception)
                .with("traceback", traceback),
            ClientEvent::CancelledKeys { keys, reason, message } => named("cancelled-keys")
                .with("keys", Self::List(keys))
                .with("reason", reason)
                .with("msg", message),
            ClientEvent::LostData { key } => named("lost-data").with("key", key),
            ClientEvent::TaskRetried { key } => named("task-retried").with("key", key),
            ClientEvent::Restart => named("restart"),
            ClientEvent::HeartbeatInterval { seconds } => {
                named("adjust-heartbeat-interval").with("interval", seconds)
            }
        };
        Self::Map(map)
    }
}

/// The first message of a stream, which comes alone. A `warning` is shown to the user; an `error`
/// makes `Client()` raise it.
#[must_use]
pub fn welcome(warning: &str, error: &str) -> Value {
    let start = Map::new().with("op", "stream-start").with("warning", warning);
    Value::List(vec![start.with("error", error).into()])
}

/// One message with all these events.
#[must_use]
pub fn batch(events: impl IntoIterator<Item = ClientEvent>) -> Value {
    Value::list(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_event_has_a_status() {
        let key = || Value::from("x");
        let keys = vec![key()];
        let pickle = Bytes::from_static(b"N.");
        let (reason, message) = (String::new(), String::new());
        let Value::List(events) = batch([
            ClientEvent::KeyInMemory { key: key(), class: Some(pickle.clone()) },
            ClientEvent::TaskErred { key: key(), exception: pickle, traceback: None },
            ClientEvent::CancelledKeys { keys, reason, message },
            ClientEvent::LostData { key: key() },
            ClientEvent::TaskRetried { key: key() },
            ClientEvent::Restart,
            ClientEvent::HeartbeatInterval { seconds: 5.0 },
        ]) else {
            panic!("no batch")
        };
        assert_eq!(events.len(), 7);
        for event in events {
            let map = event.into_map("an event").unwrap();
            assert!(map.get("op").is_some() && map.get("status").is_none(), "{map:?}");
        }
    }
}
