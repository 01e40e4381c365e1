//! The registry: from names to operations.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use dasklet_core::TaskError;
use foldhash::HashMap;
use serde::Serialize;

use super::{
    TaskContext,
    call::{Fallible, Function, encode},
    standard,
};
use crate::{StageRunner, query::QueryStages};

/// Runs below this mean time may share a trip to the agenda.
const SHORT_NANOS: u32 = 20_000;
/// Mean of an operation that has not run yet.
const UNKNOWN: u32 = u32::MAX;

/// What an operation gave.
#[derive(Debug)]
pub(crate) enum Returned {
    One(Bytes),
    Many(Vec<Bytes>),
}

type Call = dyn Fn(&TaskContext, &[Bytes]) -> Result<Returned, TaskError> + Send + Sync;

/// A registered operation, with what is known of its run time.
pub(crate) struct Operation {
    pub name: String,
    call: Box<Call>,
    mean_nanos: AtomicU32,
    quick: AtomicBool,
}

impl Operation {
    pub fn call(&self, context: &TaskContext, args: &[Bytes]) -> Result<Returned, TaskError> {
        (self.call)(context, args)
    }

    /// True once past runs were so short that fetching tasks one by one would cost more.
    pub fn is_short(&self) -> bool {
        self.mean_nanos.load(Ordering::Relaxed) < SHORT_NANOS
    }

    /// True where it was registered as quick, and has shown nothing else.
    pub fn is_quick(&self) -> bool {
        self.quick.load(Ordering::Relaxed) && self.is_short()
    }

    /// Learns from a run: quickly that it is long, slowly that it is short.
    pub fn ran(&self, nanos: u64) {
        let nanos = nanos.min(u64::from(UNKNOWN - 1));
        let mean = match self.mean_nanos.load(Ordering::Relaxed) {
            UNKNOWN => nanos,
            mean => {
                let mean = u64::from(mean);
                if nanos > mean { (mean + nanos) / 2 } else { (7 * mean + nanos) / 8 }
            }
        };
        self.mean_nanos.store(mean as u32, Ordering::Relaxed);
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Operation({})", self.name)
    }
}

/// One line of [`Registry::describe`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Described {
    /// The name tasks use.
    pub name: String,
    /// What it takes, gives and does; empty for operations of your own.
    pub text: String,
}

/// The operations a worker knows by name.
///
/// ```
/// use dasklet_worker::Registry;
///
/// let mut registry = Registry::standard();
/// registry.register("hypotenuse", |a: f64, b: f64| a.hypot(b));
/// registry.register_fallible("parse", |text: String| text.parse::<i64>());
/// assert!(registry.describe().iter().any(|operation| operation.name == "parse"));
/// ```
#[derive(Clone, Default)]
pub struct Registry {
    operations: HashMap<String, Arc<Operation>>,
    texts: BTreeMap<String, &'static str>,
    problems: Vec<String>,
    stages: Option<Arc<dyn StageRunner>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.operations.keys()).finish()
    }
}

impl Registry {
    /// No operations at all.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Query stages, and the standard operations, which [`Registry::describe`] lists.
    #[must_use]
    pub fn standard() -> Self {
        let mut registry = Self::empty();
        standard::register_all(&mut registry);
        registry.run_stages_with(Arc::new(QueryStages::default()));
        registry
    }

    /// Registers a function of up to six arguments. Arguments are read from MessagePack, and
    /// what it returns is written as such. Replaces an operation of the same name.
    ///
    /// A function that returns a `Result` belongs to [`Registry::register_fallible`]; given
    /// here it makes the worker refuse to start, with a sentence that says so.
    pub fn register<F, A, R>(&mut self, name: &str, function: F)
    where
        F: Function<A, R> + Send + Sync + 'static,
        R: Serialize,
    {
        if std::any::type_name::<R>().starts_with("core::result::Result<") {
            self.problems.push(format!(
                "operation '{name}' returns a Result: register it with register_fallible, so that its errors fail the task"
            ));
        }
        let owned = name.to_owned();
        self.insert(name, move |_, args| {
            encode(&owned, &function.apply(&owned, args)?).map(Returned::One)
        });
    }

    /// The same for a function that returns a `Result`: its error fails the task.
    pub fn register_fallible<F, A, R, E>(&mut self, name: &str, function: F)
    where
        F: Fallible<A, R, E> + Send + Sync + 'static,
        R: Serialize,
        E: fmt::Display,
    {
        let owned = name.to_owned();
        self.insert(name, move |_, args| match function.apply(&owned, args)? {
            Ok(value) => encode(&owned, &value).map(Returned::One),
            Err(error) => Err(TaskError::fatal(error.to_string())),
        });
    }

    /// Registers a function over bytes: it gets each argument as MessagePack, and returns the
    /// bytes of each of the task's outputs.
    pub fn register_raw<F>(&mut self, name: &str, function: F)
    where
        F: Fn(&TaskContext, Vec<Bytes>) -> Result<Vec<Bytes>, TaskError> + Send + Sync + 'static,
    {
        self.insert(name, move |context, args| {
            function(context, args.to_vec()).map(Returned::Many)
        });
    }

    /// Promises that the operation of this name ends within some microseconds, whatever small
    /// arguments it gets, and waits for nothing. As long as that is so, the worker runs it without
    /// handing it to another thread, which halves the time of a single task; but while it runs,
    /// the worker hears and sends nothing.
    ///
    /// ```
    /// let mut registry = dasklet_worker::Registry::standard();
    /// registry.register("next", |n: i64| n + 1);
    /// registry.promise_quick("next");
    /// ```
    pub fn promise_quick(&mut self, name: &str) {
        match self.operations.get(name) {
            Some(operation) => operation.quick.store(true, Ordering::Relaxed),
            None => self.problems.push(format!(
                "operation '{name}' is promised to be quick, but not registered: register it first"
            )),
        }
    }

    /// Runs query stages with `runner`.
    pub fn run_stages_with(&mut self, runner: Arc<dyn StageRunner>) {
        self.stages = Some(runner);
    }

    pub(crate) fn stages(&self) -> Option<&dyn StageRunner> {
        self.stages.as_deref()
    }

    /// All operations by name.
    #[must_use]
    pub fn describe(&self) -> Vec<Described> {
        let mut described: Vec<Described> = self
            .operations
            .keys()
            .map(|name| Described {
                name: name.clone(),
                text: self.texts.get(name).copied().unwrap_or("").to_owned(),
            })
            .collect();
        described.sort_by(|a, b| a.name.cmp(&b.name));
        described
    }

    pub(crate) fn insert<F>(&mut self, name: &str, call: F)
    where
        F: Fn(&TaskContext, &[Bytes]) -> Result<Returned, TaskError> + Send + Sync + 'static,
    {
        let operation = Operation {
            name: name.to_owned(),
            call: Box::new(call),
            mean_nanos: AtomicU32::new(UNKNOWN),
            quick: AtomicBool::new(false),
        };
        self.operations.insert(name.to_owned(), Arc::new(operation));
        self.texts.remove(name);
    }

    pub(crate) fn explain(&mut self, name: &str, text: &'static str) {
        self.texts.insert(name.to_owned(), text);
    }

    pub(crate) fn problems(&self) -> &[String] {
        &self.problems
    }

    /// The operation of this name.
    ///
    /// # Errors
    /// Names the ones there are.
    pub(crate) fn find(&self, name: &str) -> Result<Arc<Operation>, TaskError> {
        self.operations.get(name).cloned().ok_or_else(|| {
            let mut known: Vec<&str> = self.operations.keys().map(String::as_str).collect();
            known.sort_unstable();
            TaskError::fatal(format!(
                "unknown operation '{name}': this worker knows {}; check the name, or run workers that register it",
                known.join(", ")
            ))
        })
    }
}
