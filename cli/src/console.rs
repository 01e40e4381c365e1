//! What a person sees while a run goes on: bars on a terminal, plain lines elsewhere, nothing
//! when asked for quiet. Always on standard error, so that results alone are on standard output.

use std::{
    io::{IsTerminal, Write},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use owo_colors::{OwoColorize, Style};

use crate::{commands::counted, events::Event};

/// Least time between two lines about a job, where there are no bars.
const LINE_EVERY: Duration = Duration::from_secs(2);

/// Longest time that a bar on a terminal stays as it was drawn.
const DRAW_EVERY: Duration = Duration::from_millis(200);

/// Where people read along. Clones write to the same place.
#[derive(Debug, Clone)]
pub struct Console {
    mode: Mode,
}

#[derive(Debug, Clone)]
enum Mode {
    Silent,
    Lines,
    Bars(MultiProgress),
}

/// How far a job is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sight {
    /// Tasks in all.
    pub total: u64,
    /// Ended well.
    pub done: u64,
    /// Handed to workers.
    pub running: u64,
    /// Failed.
    pub failed: u64,
    /// Run again because their outputs were lost.
    pub recomputed: u64,
    /// Workers connected.
    pub workers: u32,
}

impl Console {
    /// Bars if a person watches on a terminal, else lines.
    pub fn new() -> Self {
        let mode = if std::io::stderr().is_terminal() {
            Mode::Bars(MultiProgress::new())
        } else {
            Mode::Lines
        };
        Self { mode }
    }

    /// Says nothing.
    pub const fn silent() -> Self {
        Self { mode: Mode::Silent }
    }

    /// Shows an event to whoever watches.
    pub fn event(&self, seconds: f64, event: &Event) {
        if let Some(text) = sentence(event, &self.paint()) {
            self.line(&format!("{seconds:>8.2} s  {text}"));
        }
    }

    /// Colours are for terminals alone.
    fn paint(&self) -> Paint {
        match self.mode {
            Mode::Bars(_) => Paint { bad: Style::new().red(), odd: Style::new().yellow() },
            Mode::Silent | Mode::Lines => Paint { bad: Style::new(), odd: Style::new() },
        }
    }

    /// Shows a line.
    pub fn line(&self, text: &str) {
        match &self.mode {
            Mode::Silent => {}
            // Nobody reads a closed standard error; the work goes on.
            Mode::Lines => {
                let _ = writeln!(std::io::stderr(), "{text}");
            }
            Mode::Bars(bars) => {
                let _ = bars.println(text);
            }
        }
    }

    /// A line about the progress of a job, which changes in place on a terminal.
    pub fn job(&self, name: &str) -> JobLine {
        let bar = match &self.mode {
            Mode::Bars(bars) => {
                let bar = bars.add(ProgressBar::new(0));
                bar.set_style(bar_style());
                bar.set_prefix(name.to_owned());
                // Draws what came too soon after the last change to be drawn at once.
                bar.enable_steady_tick(DRAW_EVERY);
                Some(bar)
            }
            _ => None,
        };
        JobLine {
            console: self.clone(),
            name: name.to_owned(),
            bar,
            last: Arc::new(Mutex::new((Instant::now(), Sight::default()))),
        }
    }
}

/// How words stand out.
struct Paint {
    bad: Style,
    odd: Style,
}

fn bar_style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix:.bold} {wide_bar:.cyan/dim} {pos}/{len} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// The progress of one job.
#[derive(Debug, Clone)]
pub struct JobLine {
    console: Console,
    name: String,
    bar: Option<ProgressBar>,
    last: Arc<Mutex<(Instant, Sight)>>,
}

impl JobLine {
    /// Shows how far the job is.
    pub fn show(&self, sight: Sight) {
        let details = details(sight);
        if let Some(bar) = &self.bar {
            bar.set_length(sight.total);
            bar.set_position(sight.done + sight.failed);
            bar.set_message(details);
            return;
        }
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if last.1 == sight || last.0.elapsed() < LINE_EVERY {
            return;
        }
        *last = (Instant::now(), sight);
        drop(last);
        self.console
            .line(&format!("{}: {} of {} tasks, {details}", self.name, sight.done, sight.total));
    }

    /// Takes the line away: the job is over.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn details(sight: Sight) -> String {
    let workers = counted(u64::from(sight.workers), "worker");
    let mut text = format!("{} running, {workers}", sight.running);
    for (count, word) in [(sight.recomputed, "recomputed"), (sight.failed, "failed")] {
        if count > 0 {
            text.push_str(&format!(", {count} {word}"));
        }
    }
    text
}

/// An event in words; `None` for those that would only distract.
fn sentence(event: &Event, paint: &Paint) -> Option<String> {
    Some(match event {
        Event::ClusterStarted { cluster, scheduler, dashboard } => {
            format!("cluster {cluster}: scheduler at {scheduler}, dashboard {dashboard}")
        }
        Event::Decision { group, from, to, reason, .. } => {
            format!("{group}: {from} -> {to} workers: {reason}")
        }
        Event::WorkerStarted { .. }
        | Event::WorkerServing { .. }
        | Event::WorkerKept { .. }
        | Event::JobProgress { .. } => return None,
        Event::WorkerDraining { worker, .. } => format!("{worker}: draining"),
        Event::WorkerEnded { planned: true, .. } => return None,
        Event::WorkerEnded { worker, pid, reason, log, .. } => {
            let mut text = format!("{} (process {pid}) died: {reason}", worker.style(paint.bad));
            for line in log {
                text.push_str(&format!("\n            | {line}"));
            }
            text
        }
        Event::Blocked { tasks, resources, reason, .. } => {
            let (tasks, verb) = match tasks {
                1 => ("1 task".to_owned(), "waits"),
                more => (format!("{more} tasks"), "wait"),
            };
            format!("{} {tasks} for {resources} {verb}: {reason}", "blocked:".style(paint.odd))
        }
        Event::DemandMissing { cluster, reason } => {
            format!("cluster {cluster}: no answer about its demand, sizes stay: {reason}")
        }
        Event::JobStarted { job, .. } => format!("job {job} started"),
        Event::JobEnded { job, succeeded: true, seconds, .. } => {
            format!("job {job} succeeded after {seconds:.2} s")
        }
        Event::JobEnded { job, seconds, .. } => {
            format!("job {} failed after {seconds:.2} s", job.style(paint.bad))
        }
    })
}
