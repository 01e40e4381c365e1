//! What a person sees while a run goes on: bars on a terminal, plain lines elsewhere, nothing
//! when asked for quiet. Always on standard error, so that results alone are on standard output.

use std::{
    io::{IsTerminal, Write},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use dasklet_query::StageProgress;
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
        if matches!((&self.mode, event), (Mode::Bars(_), Event::StageEnded { .. })) {
            // The stage's bar is full.
            return;
        }
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
            shown: Arc::new(Mutex::new(Shown {
                at: Instant::now(),
                sight: Sight::default(),
                stages: Vec::new(),
                bars: Vec::new(),
            })),
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

fn stage_style() -> ProgressStyle {
    ProgressStyle::with_template("  {prefix:.dim} {wide_bar:.cyan/dim} {pos}/{len}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// The progress of one job.
#[derive(Debug, Clone)]
pub struct JobLine {
    console: Console,
    name: String,
    bar: Option<ProgressBar>,
    shown: Arc<Mutex<Shown>>,
}

/// What is shown of a job.
#[derive(Debug)]
struct Shown {
    /// When the last line was written.
    at: Instant,
    sight: Sight,
    stages: Vec<StageProgress>,
    /// On a terminal, a bar for each stage.
    bars: Vec<ProgressBar>,
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
        let mut shown = self.shown();
        if shown.sight == sight || shown.at.elapsed() < LINE_EVERY {
            return;
        }
        shown.at = Instant::now();
        shown.sight = sight;
        let going = going(&shown.stages);
        drop(shown);
        let (name, Sight { done, total, .. }) = (&self.name, sight);
        self.console.line(&format!("{name}: {done} of {total} tasks, {details}{going}"));
    }

    /// Shows how far the stages of the job's query are.
    pub fn stages(&self, stages: &[StageProgress]) {
        let mut shown = self.shown();
        shown.stages = stages.to_vec();
        let (Mode::Bars(bars), Some(first)) = (&self.console.mode, &self.bar) else { return };
        if shown.bars.len() != stages.len() {
            let width = stages.iter().map(|stage| stage.name.chars().count()).max().unwrap_or(0);
            let mut above = first.clone();
            shown.bars = stages
                .iter()
                .map(|stage| {
                    let bar = ProgressBar::new(u64::from(stage.total));
                    let bar = bars.insert_after(&above, bar);
                    bar.set_style(stage_style());
                    bar.set_prefix(format!("{:width$}", stage.name));
                    above = bar.clone();
                    bar
                })
                .collect();
        }
        for (bar, stage) in shown.bars.iter().zip(stages) {
            bar.set_position(u64::from(stage.done));
        }
    }

    /// Takes the line away: the job is over.
    pub fn finish(&self) {
        let shown = self.shown();
        for bar in shown.bars.iter().chain(&self.bar) {
            bar.finish_and_clear();
        }
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The stages that have begun and have not ended, after what is said of the whole.
fn going(stages: &[StageProgress]) -> String {
    let going: Vec<String> = stages
        .iter()
        .filter(|stage| stage.done > 0 && stage.done < stage.total)
        .map(|stage| format!("{} {}/{}", stage.name, stage.done, stage.total))
        .collect();
    if going.is_empty() { String::new() } else { format!("; {}", going.join("; ")) }
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
        Event::SchedulerDied { cluster, reason } => {
            let name = cluster.style(paint.bad);
            format!("cluster {name}: its scheduler died and is started again: {reason}")
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
        Event::StageEnded { job, stage, name, tasks } => {
            format!("{job}: stage {stage} ({name}) done, {}", counted(u64::from(*tasks), "task"))
        }
        Event::JobEnded { job, succeeded: true, seconds, .. } => {
            format!("job {job} succeeded after {seconds:.2} s")
        }
        Event::JobEnded { job, seconds, .. } => {
            format!("job {} failed after {seconds:.2} s", job.style(paint.bad))
        }
    })
}
