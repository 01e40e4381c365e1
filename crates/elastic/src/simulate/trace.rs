//! A trace: what arrived when, one JSON object a line.

use serde::{Deserialize, Serialize};

/// What happened to a cluster from outside, in the order of time.
///
/// Each line is a [`TraceEvent`]; empty lines and lines that begin with `#` are passed over.
///
/// ```
/// # use dasklet_elastic::simulate::Trace;
/// let trace = Trace::parse(
///     r#"{"time": 0, "startSeconds": 2, "slots": 2}
///        {"time": 1, "tasks": 500, "meanSeconds": 0.2}
///        {"time": 20, "kill": 1}
///        {"time": 90}"#,
/// )?;
/// assert_eq!(trace.events.len(), 4);
/// # Ok::<(), dasklet_elastic::simulate::BadTrace>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// In the order of time.
    pub events: Vec<TraceEvent>,
}

/// One line of a trace. What is not named stays as it was.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TraceEvent {
    /// Seconds from the start.
    pub time: f64,
    /// So many tasks become ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<u64>,
    /// Seconds that each of them runs. At first 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_seconds: Option<f64>,
    /// From here on, a member needs so long to serve. At first 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_seconds: Option<f64>,
    /// From here on, new members run so many tasks at once. At first 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// From here on, members do or do not fail to start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_fail: Option<bool>,
    /// From here on, the scheduler does or does not tell its demand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<bool>,
    /// So many serving members die.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kill: Option<u32>,
    /// From here on, somebody still wants results of so many bytes, or nobody does (0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_wanted: Option<u64>,
}

/// A trace that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BadTrace {
    /// A line is no event.
    #[error(
        "line {line} of the trace is no event: {problem}; write one JSON object a line, such as {{\"time\": 0, \"tasks\": 500, \"meanSeconds\": 0.2}}"
    )]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// There is no event at all.
    #[error(
        "the trace is empty: write one JSON object a line, such as {{\"time\": 0, \"tasks\": 500, \"meanSeconds\": 0.2}}"
    )]
    Empty,
}

impl Trace {
    /// Reads a trace; events may stand in any order.
    ///
    /// # Errors
    /// [`BadTrace`] with the line that is wrong.
    pub fn parse(text: &str) -> Result<Self, BadTrace> {
        let mut events: Vec<TraceEvent> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let content = line.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            let bad = |problem: String| BadTrace::Line { line: index + 1, problem };
            let event: TraceEvent =
                serde_json::from_str(content).map_err(|error| bad(told(&error)))?;
            event.check().map_err(|problem| bad(problem.to_owned()))?;
            events.push(event);
        }
        if events.is_empty() {
            return Err(BadTrace::Empty);
        }
        events.sort_by(|a, b| a.time.total_cmp(&b.time));
        Ok(Self { events })
    }

    /// When the last event is.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.events.last().map_or(0.0, |event| event.time)
    }
}

impl TraceEvent {
    fn check(&self) -> Result<(), &'static str> {
        let bad = |seconds: f64| !seconds.is_finite() || seconds < 0.0;
        if bad(self.time) || self.time > 1e7 {
            return Err("'time' must be seconds from the start, from 0 to 10,000,000");
        }
        if self.start_seconds.is_some_and(bad) {
            return Err("'startSeconds' must be 0 or more");
        }
        if self.mean_seconds.is_some_and(|seconds| bad(seconds) || seconds < 1e-6) {
            return Err("'meanSeconds' must be 0.000001 or more");
        }
        if self.slots == Some(0) {
            return Err("'slots' must be 1 or more");
        }
        Ok(())
    }
}

/// Without the position within the line, which says "line 1" of every line.
fn told(error: &serde_json::Error) -> String {
    let text = error.to_string().replace('`', "'");
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_line_is_named() {
        for (text, expected) in [
            ("", "the trace is empty"),
            ("# only words\n\n", "the trace is empty"),
            ("{\"time\": 0}\n{\"time\": -1}", "line 2 of the trace is no event: 'time' must be"),
            ("{\"time\": 0, \"task\": 1}", "line 1 of the trace is no event: unknown field 'task'"),
            ("{\"tasks\": 3}", "line 1 of the trace is no event: missing field 'time'"),
            ("nonsense", "line 1 of the trace is no event"),
            ("{\"time\": 0, \"slots\": 0}", "'slots' must be 1 or more"),
        ] {
            let told = Trace::parse(text).unwrap_err().to_string();
            assert!(told.contains(expected), "{text}: {told}");
        }
    }
}
