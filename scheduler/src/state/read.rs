//! What the shells read when they write messages.

use dasklet_core::{RunId, SpecId, TaskId, WorkerId};

use super::{
    AssignmentView, DefinitionView, InputView, ManyView, MemberInput, State, TaskState,
    members::{COPIES, SIZES},
    spec::{Edge, EdgeOutput},
};

/// Where nobody holds an output.
const NOBODY: WorkerId = WorkerId(u32::MAX);

impl State {
    /// What to tell the worker of a run; `None` if the run is over.
    #[must_use]
    pub fn assignment(&self, run: RunId) -> Option<AssignmentView<'_>> {
        let found = self.runs.get(run).filter(|run| !run.abandoned)?;
        let spec = self.specs.get(found.task.spec)?;
        Some(AssignmentView {
            task: found.task,
            worker: found.worker,
            attempt: found.attempt,
            announce_start: found.announce_start,
            recovers: found.recovers,
            spec: found.task.spec,
            is_array: spec.is_array(),
            run,
            state: self,
        })
    }

    /// A description as workers need it; `None` if it is forgotten.
    #[must_use]
    pub fn definition(&self, spec: SpecId) -> Option<DefinitionView<'_>> {
        let spec = self.specs.get(spec)?;
        Some(DefinitionView { spec, options: self.interned.options(spec.options) })
    }

    /// Bytes of all outputs of a task; zero if it has none.
    #[must_use]
    pub fn task_bytes(&self, task: TaskId) -> u64 {
        self.specs.cell(task).map_or(0, |cell| cell.nbytes)
    }

    /// The workers that hold a task's outputs.
    #[must_use]
    pub fn task_holders(&self, task: TaskId) -> Vec<WorkerId> {
        self.holders(task).to_vec()
    }

    pub(super) fn input(&self, task: TaskId, edge: &Edge) -> InputView<'_> {
        let output = match edge.output {
            EdgeOutput::Fixed(output) => output,
            EdgeOutput::MyIndex => task.index,
        };
        let varying = self.specs.get(edge.source).is_some_and(|spec| spec.varying);
        let Some(source) = Self::source_task(task, edge) else {
            let members = self.specs.get(edge.source).map_or(0, |spec| spec.len());
            let spec = edge.source;
            return InputView::Many(ManyView { spec, output, members, varying, state: self });
        };
        InputView::One {
            task: source,
            output,
            holders: self.holders_slice(source),
            caches: self.caches_of(source),
            nbytes: self.output_bytes(source, output),
            inline: self.inline.get(&source).map(AsRef::as_ref),
            varying,
        }
    }

    fn holders_slice(&self, task: TaskId) -> &[WorkerId] {
        match self.specs.cell(task) {
            Some(cell) if cell.state == TaskState::Done => {}
            _ => return &[],
        }
        if let Some(holders) = self.copies.get(&task) {
            return holders;
        }
        // The one holder is a number in the cell; the table of workers has it as an id.
        self.workers.id_slice(self.specs.cell(task).map_or(u32::MAX, |cell| cell.at))
    }

    pub(super) fn member_input(&self, task: TaskId, output: u32) -> MemberInput<'_> {
        let Some(cell) = self.specs.cell(task).filter(|cell| cell.state == TaskState::Done) else {
            return MemberInput { holder: NOBODY, nbytes: 0, inline: None };
        };
        let holder = if cell.has(COPIES) {
            self.copies.get(&task).and_then(|holders| holders.first().copied())
        } else {
            Some(WorkerId(cell.at))
        };
        MemberInput {
            holder: holder.unwrap_or(NOBODY),
            nbytes: self.output_bytes(task, output),
            inline: if cell.has(super::members::INLINE) {
                self.inline.get(&task).map(AsRef::as_ref)
            } else {
                None
            },
        }
    }

    /// Bytes of one output; of a task whose sizes are not known one by one, its share.
    fn output_bytes(&self, task: TaskId, output: u32) -> u64 {
        let Some(spec) = self.specs.get(task.spec) else { return 0 };
        let cell = spec.cell(task.index);
        if cell.has(SIZES)
            && let Some(sizes) = self.sizes.get(&task)
        {
            return sizes.get(output as usize).copied().unwrap_or(0);
        }
        cell.nbytes / u64::from(spec.outputs.max(1))
    }
}
