//! What a client says on its stream.

use super::UpdateGraph;
use crate::value::{Map, ShapeError, Value};

/// One message of a client's stream. They are to be obeyed in their order: a release that follows
/// a graph is about that graph's keys.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientOp {
    /// Run this.
    UpdateGraph(Box<UpdateGraph>),
    /// The client wants these results no more.
    ReleaseKeys {
        /// Which.
        keys: Vec<Value>,
        /// Whose wish it was, if not the stream's client's: `fire-and-forget` is a client, too.
        client: Option<String>,
    },
    /// The client wants these results. What has happened to them is to be told again.
    DesireKeys {
        /// Which.
        keys: Vec<Value>,
        /// Whose wish it is, if not the stream's client's.
        client: Option<String>,
    },
    /// Do not run these, or stop; `force`: even if other clients want them.
    CancelKeys {
        /// Which; may be empty.
        keys: Vec<Value>,
        /// Against others' wishes.
        force: bool,
        /// For the client's exception.
        reason: String,
        /// For the client's exception.
        message: String,
    },
    /// Tell again what has happened to this key.
    ReportKey {
        /// Which.
        key: Value,
    },
    /// The client lives.
    Heartbeat,
    /// The client goes; the connection may be closed.
    Close,
    /// Anything else: variables, queues, topics, published data.
    Other {
        /// Its name.
        op: String,
        /// The rest.
        arguments: Map,
    },
}

impl ClientOp {
    /// Reads one message of a stream: a batch, or a single operation.
    ///
    /// # Errors
    /// One of them is misshapen; none counts then.
    pub fn batch(message: Value) -> Result<Vec<Self>, ShapeError> {
        match message {
            Value::List(operations) => operations.into_iter().map(Self::from_value).collect(),
            single => Ok(vec![Self::from_value(single)?]),
        }
    }

    fn from_value(operation: Value) -> Result<Self, ShapeError> {
        let mut map = operation.into_map("an operation")?;
        let op = match map.remove("op") {
            Some(Value::Str(op)) => op,
            _ => map.required("op")?.as_str("'op'")?.to_owned(),
        };
        match op.as_str() {
            "update-graph" => Ok(Self::UpdateGraph(Box::new(UpdateGraph::from_map(map)?))),
            "client-releases-keys" => {
                Ok(Self::ReleaseKeys { keys: keys(&mut map)?, client: text(&mut map, "client")? })
            }
            "client-desires-keys" => {
                Ok(Self::DesireKeys { keys: keys(&mut map)?, client: text(&mut map, "client")? })
            }
            "cancel-keys" => Ok(Self::CancelKeys {
                keys: keys(&mut map)?,
                force: map.get("force").map_or(Ok(false), |force| force.as_bool("'force'"))?,
                reason: text(&mut map, "reason")?.unwrap_or_default(),
                message: text(&mut map, "msg")?.unwrap_or_default(),
            }),
            "report-key" => Ok(Self::ReportKey { key: map.required("key")?.clone() }),
            "heartbeat-client" => Ok(Self::Heartbeat),
            "close-client" | "close-stream" => Ok(Self::Close),
            _ => Ok(Self::Other { op, arguments: map }),
        }
    }
}

fn keys(map: &mut Map) -> Result<Vec<Value>, ShapeError> {
    map.required("keys")?;
    match map.remove("keys") {
        Some(Value::List(keys) | Value::Set(keys)) => Ok(keys),
        other => other.unwrap_or(Value::Nil).as_list("'keys'").map(<[Value]>::to_vec),
    }
}

fn text(map: &mut Map, name: &str) -> Result<Option<String>, ShapeError> {
    match map.remove(name) {
        None | Some(Value::Nil) => Ok(None),
        Some(Value::Str(text)) => Ok(Some(text)),
        Some(other) => other.as_str(name).map(|text| Some(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Payload;

    #[test]
    fn a_batch_is_read_in_its_order() {
        let graph = Payload::of_pickle(b"N."[..].into());
        let key = Value::list([Value::from("x"), Value::Int(0)]);
        let priorities: Map = [(key.clone(), Value::Int(3))].into_iter().collect();
        let batch = Value::List(vec![
            Value::map([
                ("op", "update-graph".into()),
                ("expr_ser", graph.clone().into()),
                ("keys", Value::Set(vec![key.clone()])),
                ("internal_priority", priorities.into()),
                ("submitting_task", Value::Nil),
                ("fifo_timeout", "100 ms".into()),
                ("actors", false.into()),
            ]),
            Value::map([
                ("op", "client-releases-keys".into()),
                ("keys", Value::List(vec![key.clone()])),
                ("client", "Client-1".into()),
            ]),
            Value::map([("op", "cancel-keys".into()), ("keys", Value::List(vec![]))]),
            Value::map([("op", "heartbeat-client".into())]),
            Value::map([("op", "subscribe-topic".into()), ("topic", "print".into())]),
            Value::map([("op", "close-client".into())]),
        ]);
        let operations = ClientOp::batch(batch).unwrap();
        let ClientOp::UpdateGraph(update) = &operations[0] else { panic!("{operations:?}") };
        assert_eq!((&update.expression, &update.keys), (&graph, &vec![key.clone()]));
        assert_eq!(update.priorities, Some(vec![(key.clone(), 3)]));
        assert_eq!((&update.submitting_task, &update.annotations), (&None, &None));
        let client = Some("Client-1".to_owned());
        assert_eq!(operations[1], ClientOp::ReleaseKeys { keys: vec![key], client });
        assert!(matches!(&operations[2], ClientOp::CancelKeys { force: false, .. }));
        assert_eq!((&operations[3], &operations[5]), (&ClientOp::Heartbeat, &ClientOp::Close));
        assert!(matches!(&operations[4], ClientOp::Other { op, .. } if op == "subscribe-topic"));
    }

    #[test]
    fn a_single_operation_is_a_batch() {
        let single = Value::map([("op", "report-key".into()), ("key", "x".into())]);
        let expected = ClientOp::ReportKey { key: "x".into() };
        assert_eq!(ClientOp::batch(single), Ok(vec![expected]));
    }

    #[test]
    fn what_is_no_operation_is_told_why() {
        for (operation, reason) in [
            (Value::map([]), "'op' should be present"),
            (Value::map([("op", "client-releases-keys".into())]), "'keys' should be present"),
            (
                Value::map([("op", "client-desires-keys".into()), ("keys", "x".into())]),
                "'keys' should be a list and is a str",
            ),
            (Value::map([("op", "update-graph".into())]), "'expr_ser' should be present"),
            (
                Value::map([("op", "update-graph".into()), ("expr_ser", 1_i64.into())]),
                "'expr_ser' should be a serialized object and is an int",
            ),
            (Value::Int(1), "an operation should be a dict"),
        ] {
            let error = ClientOp::batch(Value::List(vec![operation])).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
