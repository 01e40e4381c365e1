//! From one task as it is written to the task that is meant.

use std::collections::BTreeMap;

use dasklet_core::Resources;
use serde_json::Value;

use super::{
    array::IndexRange,
    spec::TaskEntry,
    task_names::Names,
    typed::{Action, Arg, Member, Source, Stdin, WorkloadTask},
};
use crate::validate::Problem;

/// Reads one entry, collecting problems.
pub(super) struct Reader<'a> {
    pub(super) entry: &'a TaskEntry,
    pub(super) position: usize,
    pub(super) names: &'a Names<'a>,
    pub(super) problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn problem(&mut self, field: &str, message: impl Into<String>) {
        let path = format!("tasks[{}].{field}", self.position);
        self.problems.push(Problem::new(path, message));
    }

    pub(super) fn task(&mut self) -> WorkloadTask {
        let entry = self.entry;
        for (at, name) in entry.after.iter().flatten().enumerate() {
            if let Err(message) = self.names.find(name) {
                self.problem(&format!("after[{at}]"), message);
            }
        }
        self.seconds("retryDelaySeconds", entry.retry_delay_seconds, true);
        self.seconds("timeoutSeconds", entry.timeout_seconds, false);
        WorkloadTask {
            name: entry.name.clone(),
            action: self.action(),
            array: entry.array,
            after: entry.after.clone().unwrap_or_default(),
            resources: self.resources(),
            retries: entry.retries.unwrap_or(0),
            retry_delay_seconds: entry.retry_delay_seconds.unwrap_or(0.0),
            timeout_seconds: entry.timeout_seconds,
            priority: entry.priority.unwrap_or(0),
            idempotent: entry.idempotent.unwrap_or(true),
            deterministic: entry.deterministic.unwrap_or(true),
            max_deaths: entry.max_deaths,
            workers: entry.workers.clone().unwrap_or_default(),
            result: true,
        }
    }

    fn seconds(&mut self, field: &str, seconds: Option<f64>, zero_allowed: bool) {
        if let Some(seconds) = seconds {
            let fine = seconds.is_finite() && (seconds > 0.0 || zero_allowed && seconds == 0.0);
            if !fine {
                let least = if zero_allowed { "0 or more" } else { "more than 0" };
                self.problem(field, format!("must be {least} seconds, not {seconds}"));
            }
        }
    }

    fn resources(&mut self) -> Resources {
        let mut resources = Resources::one_slot();
        for (name, quantity) in self.entry.resources.iter().flatten() {
            match quantity.thousandths() {
                Ok(amount) => resources.set(name, amount),
                Err(error) => self.problem(&format!("resources.{name}"), error.to_string()),
            }
        }
        resources
    }

    fn action(&mut self) -> Action {
        match (&self.entry.command, &self.entry.op) {
            (Some(argv), None) => self.command(argv),
            (None, Some(op)) => self.operation(op),
            (command, _) => {
                let field = if command.is_some() { "op" } else { "name" };
                self.problem(field, "a task needs either 'command' or 'op', and not both");
                Action::Operation { name: String::new(), args: Vec::new() }
            }
        }
    }

    fn operation(&mut self, op: &str) -> Action {
        let entry = self.entry;
        let stray = [
            ("env", entry.env.is_some()),
            ("stdin", entry.stdin.is_some()),
            ("files", entry.files.is_some()),
            ("inputs", entry.inputs.is_some()),
        ];
        for (field, given) in stray {
            if given {
                self.problem(
                    field,
                    format!("'{field}' belongs to 'command'; an operation takes 'args'"),
                );
            }
        }
        if op.trim().is_empty() {
            self.problem("op", "the operation's name is empty");
        }
        let values = entry.args.as_deref().unwrap_or_default();
        let args = values
            .iter()
            .enumerate()
            .map(|(at, value)| self.arg(&format!("args[{at}]"), value).unwrap_or(Arg::Index));
        Action::Operation { name: op.to_owned(), args: args.collect() }
    }

    fn command(&mut self, argv: &[String]) -> Action {
        let entry = self.entry;
        if argv.first().is_none_or(|program| program.is_empty()) {
            self.problem("command", "the command is empty: name a program and its arguments");
        }
        if entry.args.is_some() {
            self.problem(
                "args",
                "'args' belongs to 'op'; a command's arguments follow its program",
            );
        }
        let stdin = match &entry.stdin {
            None | Some(Value::Null) => Stdin::Empty,
            Some(Value::String(text)) => Stdin::Text(text.clone()),
            Some(value) => match self.arg("stdin", value) {
                Some(Arg::From(source)) => Stdin::From(source),
                Some(_) => {
                    self.problem("stdin", "must be a text or {from: TASK}");
                    Stdin::Empty
                }
                None => Stdin::Empty,
            },
        };
        let mut inputs = BTreeMap::new();
        for (file, value) in entry.inputs.iter().flatten() {
            let field = format!("inputs.{file}");
            match self.arg(&field, value) {
                Some(Arg::From(source)) => {
                    inputs.insert(file.clone(), source);
                }
                Some(_) => self.problem(&field, "must be {from: TASK}"),
                None => {}
            }
        }
        for (field, file) in entry
            .files
            .iter()
            .flatten()
            .map(|(file, _)| ("files", file))
            .chain(entry.inputs.iter().flatten().map(|(file, _)| ("inputs", file)))
        {
            if file.starts_with('/') || file.split('/').any(|part| matches!(part, "" | "." | ".."))
            {
                let message = format!("'{file}' must be a path inside the task's own folder");
                self.problem(&format!("{field}.{file}"), message);
            }
        }
        Action::Command {
            argv: argv.to_vec(),
            env: entry.env.clone().unwrap_or_default(),
            stdin,
            files: entry.files.clone().unwrap_or_default(),
            inputs,
        }
    }

    /// Reads one argument; none: a problem was reported.
    fn arg(&mut self, field: &str, value: &Value) -> Option<Arg> {
        let Value::Object(fields) = value else {
            return Some(Arg::Literal(value.clone()));
        };
        let keys: Vec<&str> = fields.keys().map(String::as_str).collect();
        match keys.as_slice() {
            ["value"] => Some(Arg::Literal(fields["value"].clone())),
            ["index"] if fields["index"] == Value::Bool(true) => {
                if self.entry.array.is_none() {
                    self.problem(field, "{index: true} needs a task array: add 'array'");
                }
                Some(Arg::Index)
            }
            _ if fields.contains_key("from") => self.source(field, fields).map(Arg::From),
            _ if keys.iter().any(|key| matches!(*key, "index" | "value")) => {
                self.problem(
                    field,
                    "is neither {from: TASK}, {from: TASK, index: same}, {index: true} nor \
                     {value: ...}; write {value: {...}} for a literal",
                );
                None
            }
            _ => Some(Arg::Literal(value.clone())),
        }
    }

    fn source(&mut self, field: &str, fields: &serde_json::Map<String, Value>) -> Option<Source> {
        if let Some(stray) = fields.keys().find(|key| !matches!(key.as_str(), "from" | "index")) {
            self.problem(field, format!("'{stray}' cannot stand beside 'from'; only 'index' can"));
            return None;
        }
        let Some(name) = fields["from"].as_str() else {
            self.problem(field, "'from' must be the name of a task");
            return None;
        };
        let of = match self.names.find(name) {
            Ok(position) => self.names.arrays[position],
            Err(message) => {
                self.problem(field, message);
                return None;
            }
        };
        match member(name, of, self.entry.array, fields.get("index")) {
            Ok(member) => Some(Source { task: name.to_owned(), member }),
            Err(message) => {
                self.problem(field, message);
                None
            }
        }
    }
}

fn member(
    name: &str,
    of: Option<IndexRange>,
    own: Option<IndexRange>,
    index: Option<&Value>,
) -> Result<Member, String> {
    match (of, index) {
        (None, None) => Ok(Member::One),
        (None, Some(_)) => Err(format!("'{name}' is no task array: leave 'index' away")),
        (Some(_), None) => Ok(Member::All),
        (Some(of), Some(Value::String(word))) if word == "same" => match own {
            Some(own) if own.len() == of.len() => Ok(Member::Same),
            Some(own) => Err(format!(
                "'{name}' has {} members and this array {}: {{index: same}} needs as many",
                of.len(),
                own.len()
            )),
            None => Err(format!("{{index: same}} of '{name}' needs a task array: add 'array'")),
        },
        (Some(of), Some(index)) => index
            .as_u64()
            .filter(|index| (u64::from(of.start)..u64::from(of.end)).contains(index))
            .map(|index| Member::At(index as u32 - of.start))
            .ok_or_else(|| {
                format!("'{name}' has the indexes {of}: {index} is neither one of them nor 'same'")
            }),
    }
}
