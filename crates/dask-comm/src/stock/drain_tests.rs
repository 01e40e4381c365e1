use super::*;
use crate::stock::observation::unmeasured;

fn reference(number: u32) -> WorkerRef {
    WorkerRef { name: format!("w{number}"), address: format!("tcp://h:{number}") }
}

struct Worker(WorkerIdentity);

impl Worker {
    fn new(number: u32) -> Self {
        let WorkerRef { name, address } = reference(number);
        let mut worker = unmeasured((name, address));
        worker.status = WorkerStatus::Retiring;
        Self(worker)
    }

    fn seen(mut self, time: f64, executing: u64) -> Self {
        self.0.last_seen = time;
        self.0.tasks = Some([("executing".to_owned(), executing)].into());
        self
    }

    fn status(mut self, status: WorkerStatus) -> Self {
        self.0.status = status;
        self
    }

    fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.0.name);
        self
    }
}

fn workers(workers: impl IntoIterator<Item = Worker>) -> Vec<WorkerIdentity> {
    workers.into_iter().map(|worker| worker.0).collect()
}

fn cordoned(numbers: &[u32]) -> Batch {
    let mut batch = Batch::new(numbers.iter().copied().map(reference).collect());
    let known = workers(numbers.iter().map(|number| Worker::new(*number).seen(1.0, 1)));
    batch.on_cordoned(&known, &known);
    assert_eq!(batch.to_watch().len(), numbers.len());
    batch
}

fn standings(batch: &Batch) -> Vec<Standing> {
    batch.standings().map(|(_, standing)| standing).collect()
}

#[test]
fn an_idle_worker_leaves_in_two_steps() {
    let mut batch = Batch::new(vec![reference(1)]);
    assert_eq!(batch.to_cordon(), ["tcp://h:1"]);
    let known = workers([Worker::new(1)]);
    batch.on_cordoned(&known, &known);
    batch.on_processing(&[("tcp://h:1".to_owned(), 0)].into());
    assert_eq!(batch.to_retire(), ["tcp://h:1"]);
    batch.on_retired(&known, &[]);
    assert!(batch.is_over());
    assert_eq!(standings(&batch), [Standing::Drained]);
}

#[test]
fn who_is_missing_in_the_answer_lives_on() {
    let mut batch = Batch::new(vec![reference(1), reference(2), reference(3)]);
    let known = workers([Worker::new(1), Worker::new(2)]);
    batch.on_cordoned(&known[..1], &known);
    assert_eq!(batch.to_watch(), ["tcp://h:1"]);
    assert_eq!(standings(&batch)[1..], [Standing::Refused, Standing::Unknown]);
}

#[test]
fn a_holder_that_starts_nothing_more_waits_for_somebody_who_takes_its_data() {
    let mut batch = cordoned(&[1, 2, 3]);
    batch.on_time(|_| true);
    let known = workers([Worker::new(1), Worker::new(2)]);
    batch.on_retired(&known[1..], &known[..1]);
    assert!(matches!(&standings(&batch)[0], Standing::Draining { trouble: Some(_) }));
    assert_eq!(standings(&batch)[1..], [Standing::Drained, Standing::Unknown]);
    assert_eq!((batch.to_retire(), batch.is_waiting()), (vec!["tcp://h:1".to_owned()], true));
    batch.on_workers(&[]);
    assert_eq!(standings(&batch)[0], Standing::Unknown, "it died with its data");

    let mut batch = cordoned(&[1]);
    batch.on_time(|_| true);
    batch.on_retired(&[], &known);
    batch.on_retired(&known, &[]);
    assert_eq!(standings(&batch), [Standing::Drained]);
}

#[test]
fn a_busy_worker_finishes_first() {
    let mut batch = cordoned(&[1]);
    batch.on_processing(&[("tcp://h:1".to_owned(), 3)].into());
    for time in [2.0, 3.0, 4.0] {
        batch.on_workers(&workers([Worker::new(1).seen(time, 1)]));
        assert_eq!(batch.to_retire(), Vec::<String>::new());
    }
    batch.on_workers(&workers([Worker::new(1).seen(5.0, 0)]));
    assert_eq!(batch.to_retire(), ["tcp://h:1"]);
}

#[test]
fn the_first_heartbeat_after_the_cordon_proves_nothing() {
    let mut batch = cordoned(&[1]);
    for time in [1.0, 1.0, 2.0, 2.0] {
        batch.on_workers(&workers([Worker::new(1).seen(time, 0)]));
        assert_eq!(batch.to_retire(), Vec::<String>::new(), "at {time}");
    }
    batch.on_workers(&workers([Worker::new(1).seen(3.0, 0)]));
    assert_eq!(batch.to_retire(), ["tcp://h:1"]);
}

#[test]
fn a_worker_that_does_not_tell_what_it_runs_is_waited_for_until_its_time_is_up() {
    let mut batch = cordoned(&[1]);
    for time in [2.0, 3.0, 4.0] {
        let mut silent = Worker::new(1).seen(time, 0);
        silent.0.tasks = None;
        batch.on_workers(&workers([silent]));
    }
    batch.on_time(|_| false);
    assert_eq!(batch.to_retire(), Vec::<String>::new());
    batch.on_time(|_| true);
    assert_eq!(batch.to_retire(), ["tcp://h:1"]);
}

#[test]
fn a_worker_that_takes_tasks_again_is_told_again() {
    let mut batch = cordoned(&[1]);
    batch.on_workers(&workers([Worker::new(1).seen(2.0, 0).status(WorkerStatus::Running)]));
    assert_eq!(batch.to_cordon(), ["tcp://h:1"]);
}

#[test]
fn a_worker_of_another_name_at_the_same_address_is_another() {
    let mut batch = Batch::new(vec![reference(1)]);
    batch.on_workers(&workers([Worker::new(1).named("newcomer")]));
    assert_eq!(standings(&batch), [Standing::Unknown]);
}

#[test]
fn who_vanishes_while_asked_to_go_has_gone_and_who_vanishes_before_has_died() {
    let mut batch = cordoned(&[1, 2]);
    batch.on_time(|worker| *worker == reference(1));
    batch.on_workers(&[]);
    assert_eq!(standings(&batch), [Standing::Drained, Standing::Unknown]);
}

#[test]
fn over_http_there_is_one_step() {
    let mut batch = Batch::new(vec![reference(1), reference(2)]);
    batch.on_workers(&workers([Worker::new(1)]));
    batch.retire_at_once();
    assert_eq!(batch.to_retire(), ["tcp://h:1"]);
    batch.on_retired_at_once(&workers([Worker::new(1)]));
    assert_eq!(standings(&batch), [Standing::Refused, Standing::Unknown]);

    let mut batch = Batch::new(vec![reference(1)]);
    batch.retire_at_once();
    batch.on_retired_at_once(&[]);
    assert_eq!(standings(&batch), [Standing::Drained]);
}
