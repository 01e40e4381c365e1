//! What the scheduler sends to be run, parsed once.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use dasklet_core::{SpecId, TaskError, TaskId};
use dasklet_protocol::v1;
use prost::Message;

use crate::{
    queue::{Class, Classes},
    registry::{Operation, Registry},
    store::Reading,
    worker::lock,
};

/// A description, ready to run.
#[derive(Debug)]
pub(crate) struct Spec {
    pub id: SpecId,
    pub key: Bytes,
    pub outputs: u32,
    pub priority: i32,
    pub timeout: Option<Duration>,
    pub is_array: bool,
    /// The index of the first member as people count.
    pub first_index: u32,
    /// `None` where this worker can never run it; the body then says why.
    pub class: Option<Arc<Class>>,
    pub body: Body,
}

/// What to run.
#[derive(Debug)]
pub(crate) enum Body {
    Native { operation: Arc<Operation>, args: Box<[Arg]> },
    Command(Box<v1::Command>),
    Stage(Bytes),
    Unusable(TaskError),
}

/// Where an argument comes from.
#[derive(Debug)]
pub(crate) enum Arg {
    Literal(Bytes),
    Input(u32),
    Index,
}

impl Spec {
    pub fn is_command(&self) -> bool {
        matches!(self.body, Body::Command(_))
    }

    /// The task as people know it: its key, or its number.
    pub fn name(&self, index: u32) -> String {
        match (self.key.is_empty(), self.is_array) {
            (true, _) => TaskId::new(self.id, index).to_string(),
            (false, true) => {
                format!("{}[{}]", self.key.escape_ascii(), self.first_index.saturating_add(index))
            }
            (false, false) => String::from_utf8_lossy(&self.key).into_owned(),
        }
    }
}

/// One input of a task, where its bytes are.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    Value(Bytes),
    /// Read from another worker.
    Read(Arc<Reading>),
    /// In the store of this worker.
    Stored {
        task: TaskId,
        output: u32,
    },
    /// One for each member of an array.
    Many(Box<[Input]>),
}

impl Input {
    /// The task whose output it is, where that may have to be read again.
    pub fn task(&self) -> Option<TaskId> {
        match self {
            Self::Read(reading) => Some(reading.task()),
            Self::Stored { task, .. } => Some(*task),
            Self::Value(_) | Self::Many(_) => None,
        }
    }
}

/// A run that has been dispatched here.
#[derive(Debug)]
pub(crate) struct Run {
    pub id: u64,
    pub spec: Arc<Spec>,
    pub index: u32,
    pub attempt: u32,
    pub announce: bool,
    pub inputs: Box<[Input]>,
}

impl Run {
    pub fn task(&self) -> TaskId {
        TaskId::new(self.spec.id, self.index)
    }

    /// The member's index as people count.
    pub fn shown_index(&self) -> u32 {
        self.spec.first_index.saturating_add(self.index)
    }

    /// True where it is known to end at once, and may share a trip to the agenda.
    pub fn is_short(&self) -> bool {
        match &self.spec.body {
            Body::Native { operation, .. } => {
                operation.is_short() && !self.announce && self.spec.timeout.is_none()
            }
            _ => false,
        }
    }
}

/// Parses descriptions.
#[derive(Debug)]
pub(crate) struct Parser {
    registry: Registry,
    classes: Mutex<Classes>,
}

impl Parser {
    pub fn new(registry: Registry, classes: Classes) -> Self {
        Self { registry, classes: Mutex::new(classes) }
    }

    /// Never fails: what cannot run here says so when it is run.
    pub fn parse(&self, define: v1::DefineSpec, is_array: bool) -> Arc<Spec> {
        let request: smallvec::SmallVec<[(&str, u64); 2]> = define
            .resources
            .iter()
            .filter(|amount| amount.thousandths > 0)
            .map(|amount| (amount.name.as_str(), amount.thousandths))
            .collect();
        let (class, body) = match lock(&self.classes).class(&request) {
            Ok(class) => (Some(class), self.body(define.body)),
            Err(sentence) => (None, Body::Unusable(TaskError::worker_fault(sentence))),
        };
        Arc::new(Spec {
            id: SpecId(define.spec),
            key: define.key,
            outputs: define.outputs.max(1),
            priority: define.priority,
            timeout: (define.timeout_millis > 0)
                .then(|| Duration::from_millis(define.timeout_millis)),
            is_array,
            first_index: define.first_index,
            class,
            body,
        })
    }

    fn body(&self, bytes: Bytes) -> Body {
        let unusable = |message: &str| Body::Unusable(TaskError::fatal(message));
        let body = match v1::TaskBody::decode(bytes) {
            Ok(body) => body,
            Err(error) => return unusable(&format!("the task's body cannot be read: {error}")),
        };
        match body.kind {
            Some(v1::task_body::Kind::Native(native)) => self.native(native),
            Some(v1::task_body::Kind::Command(command)) if command.argv.is_empty() => {
                unusable("the command is empty: give at least the program's name")
            }
            Some(v1::task_body::Kind::Command(command)) => Body::Command(Box::new(command)),
            Some(v1::task_body::Kind::Stage(stage)) => Body::Stage(stage),
            Some(v1::task_body::Kind::Python(_)) => {
                unusable("this worker does not run Python tasks: use native operations or commands")
            }
            None => unusable("the task says nothing to run: its body is empty"),
        }
    }

    fn native(&self, native: v1::NativeOperation) -> Body {
        let operation = match self.registry.find(&native.name) {
            Ok(operation) => operation,
            Err(error) => return Body::Unusable(error),
        };
        let args = native
            .args
            .into_iter()
            .map(|arg| match arg.value {
                Some(v1::argument::Value::Literal(value)) => Arg::Literal(value),
                Some(v1::argument::Value::Input(position)) => Arg::Input(position),
                Some(v1::argument::Value::Index(_)) => Arg::Index,
                None => Arg::Literal(crate::msgpack::NIL),
            })
            .collect();
        Body::Native { operation, args }
    }
}
