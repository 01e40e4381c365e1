//! Random graphs.

use dasklet_core::{Key, Resources};
use dasklet_scheduler::state::{Dependency, Members, Output, Source, SubmittedTask, TaskOptions};
use rand::{Rng, rngs::SmallRng};

use super::world::Mode;

/// What a consumer may choose from.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    pub local: u64,
    pub array: Option<u32>,
    pub outputs: u32,
}

/// A submission of a few descriptions that read what is known and each other.
pub fn submission(
    rng: &mut SmallRng,
    mode: Mode,
    first: u64,
    known: &[Known],
) -> (Vec<TaskOptions>, Vec<SubmittedTask>, Vec<Known>) {
    let count = rng.random_range(1..12);
    let (mut options, mut tasks, mut new) = (Vec::new(), Vec::new(), Vec::new());
    for position in 0..count {
        let mut sources: Vec<Known> = known.to_vec();
        sources.extend(&new);
        let array = rng.random_bool(0.4).then(|| {
            if rng.random_bool(0.01) { rng.random_range(200..600) } else { rng.random_range(1..12) }
        });
        let mut dependencies = Vec::new();
        for _ in 0..rng.random_range(0..4) {
            if let Some(source) = pick(rng, &sources) {
                dependencies.extend(dependency(rng, source, array));
            }
        }
        let own = Known {
            local: first + position,
            array,
            outputs: if rng.random_bool(0.2) { rng.random_range(2..12) } else { 1 },
        };
        let key = if rng.random_bool(0.3) { format!("key-{}", own.local) } else { String::new() };
        tasks.push(SubmittedTask {
            key: Key::from(key.as_str()),
            body: Box::default(),
            dependencies,
            options: options.len() as u32,
            array,
            first_index: 0,
            outputs: own.outputs,
            order: rng.random_range(0..5),
            wanted: rng.random_bool(0.5),
        });
        options.push(task_options(rng, mode));
        new.push(own);
    }
    (options, tasks, new)
}

fn pick(rng: &mut SmallRng, sources: &[Known]) -> Option<Known> {
    (!sources.is_empty()).then(|| {
        // Mostly the latest, so that graphs get deep.
        let back = rng.random_range(0..sources.len().min(6));
        sources[sources.len() - 1 - back]
    })
}

fn dependency(rng: &mut SmallRng, source: Known, array: Option<u32>) -> Option<Dependency> {
    let len = source.array.unwrap_or(1);
    let own = array.unwrap_or(1);
    let members = match rng.random_range(0..3) {
        0 => Members::One(rng.random_range(0..len)),
        1 if own <= len => Members::SameIndex,
        _ => Members::All,
    };
    let output = if own <= source.outputs && rng.random_bool(0.5) {
        Output::MyIndex
    } else {
        Output::Fixed(rng.random_range(0..source.outputs))
    };
    Some(Dependency { source: Source::Local(source.local), members, output })
}

fn task_options(rng: &mut SmallRng, mode: Mode) -> TaskOptions {
    let mut options = TaskOptions { max_deaths: 1000, retries: 2, ..TaskOptions::default() };
    match rng.random_range(0..12) {
        0 => options.resources = Resources::default().with("cpu", 500),
        1 => options.resources = Resources::default().with("cpu", 1000).with("GPU", 1000),
        2 => options.workers = vec!["w1".to_owned(), "w2".to_owned()],
        3 => options.priority = rng.random_range(-2..3),
        4 => options.retry_delay_micros = rng.random_range(0..50_000),
        5 if mode == Mode::Chaos => options.idempotent = false,
        6 if mode == Mode::Chaos => options.max_deaths = rng.random_range(1..3),
        10 => options.resources = Resources::default().with("cpu", rng.random_range(1..1000)),
        11 => options.timeout_micros = Some(60_000_000),
        5..=7 if mode == Mode::Varying => options.deterministic = false,
        _ => {}
    }
    options
}
