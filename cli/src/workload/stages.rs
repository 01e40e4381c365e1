//! The stages of a query as they go on: for the person who watches, and for the record.

use dasklet_query::StageProgress;

use crate::{
    console::JobLine,
    events::{Event, Journal},
};

/// Tells of the stages of one query.
pub struct StageWatch {
    job: String,
    line: JobLine,
    journal: Journal,
    /// Whether the end of each has been told.
    ended: Vec<bool>,
}

impl StageWatch {
    /// Stages of this job, shown with its line.
    pub const fn new(job: String, line: JobLine, journal: Journal) -> Self {
        Self { job, line, journal, ended: Vec::new() }
    }

    /// Shows how far they are, and records those that have ended since.
    pub fn show(&mut self, stages: &[StageProgress]) {
        self.ended.resize(stages.len(), false);
        self.line.stages(stages);
        for (number, (stage, ended)) in stages.iter().zip(&mut self.ended).enumerate() {
            if stage.done == stage.total && !std::mem::replace(ended, true) {
                self.journal.record(Event::StageEnded {
                    job: self.job.clone(),
                    stage: number,
                    name: stage.name.clone(),
                    tasks: stage.total,
                });
            }
        }
    }
}
