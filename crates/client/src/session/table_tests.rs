use dasklet_core::ErrorClass;

use super::*;

fn failure(message: &str) -> Arc<Failure> {
    Arc::new(Failure {
        class: ErrorClass::Fatal,
        message: message.to_owned(),
        attempts: Vec::new(),
        origin: None,
    })
}

fn end(table: &Table, member: Member) -> String {
    let mut scratch = Cell::pending(false);
    match table.end(member, &mut scratch) {
        End::Pending => "pending".to_owned(),
        End::Remote { holder, spec } => format!("spec {spec} on {holder}"),
        End::Value(value) => format!("{value:?}"),
        End::Failed(failure) => failure.message.clone(),
        End::Released => "released".to_owned(),
    }
}

#[test]
fn ends_are_kept_by_number_and_index() {
    let mut table = Table::default();
    let mut wake = Vec::new();
    let single = table.push_described();
    let array = table.push_array(3000);
    table.accepted(0, &[40, 41]);
    table.done((single, 0), 7, None, &mut wake);
    table.done((array, 2999), 0, Some(&[1, 2]), &mut wake);
    table.done((array, 5), 0, Some(&[9; 100]), &mut wake);
    table.failed((array, 6), failure("no"), &mut wake);
    for (member, expected) in [
        ((single, 0), "spec 40 on 7".to_owned()),
        ((array, 2999), "[1, 2]".to_owned()),
        ((array, 5), format!("{:?}", [9; 100])),
        ((array, 6), "no".to_owned()),
        ((array, 7), "pending".to_owned()),
        ((99, 0), "released".to_owned()),
    ] {
        assert_eq!(end(&table, member), expected);
    }
    table.done((array, 3000), 1, None, &mut wake);
    assert!(wake.is_empty(), "nobody waits");
}

#[test]
fn a_lost_output_is_pending_again_unless_it_has_a_newer_holder() {
    let mut table = Table::default();
    let task = table.push_described();
    table.accepted(0, &[1]);
    table.done((task, 0), 3, None, &mut Vec::new());
    assert!(!table.lost((task, 0), 2));
    assert!(table.lost((task, 0), 3));
    assert!(table.is_pending((task, 0)));
    assert!(!table.lost((task, 0), 3), "once is enough");
}

#[test]
fn a_refused_array_fails_as_a_whole() {
    let mut table = Table::default();
    let array = table.push_array(10_000_000);
    let mut wake = Vec::new();
    assert!(table.wait((array, 77), Waiter::Wake(1, futures::task::noop_waker())));
    table.failed((array, 0), failure("limit"), &mut wake);
    assert_eq!(wake.len(), 1);
    assert_eq!(end(&table, (array, 9_999_999)), "limit");
    let waits = table.wait((array, 5), Waiter::Wake(1, futures::task::noop_waker()));
    assert!(!waits, "it has failed with all others");
    assert!(table.pending_ranges().is_empty());
}

#[test]
fn released_numbers_leave_nothing_behind() {
    let mut table = Table::default();
    let mut wake = Vec::new();
    for _ in 0..10 {
        table.push_described();
    }
    let array = table.push_array(4);
    table.accepted(0, &[0; 11]);
    table.done((1, 0), 0, Some(&[0; 50]), &mut wake);
    table.done((array, 1), 0, Some(&[0; 50]), &mut wake);
    table.failed((2, 0), failure("x"), &mut wake);
    table.wait((array, 2), Waiter::Wake(1, futures::task::noop_waker()));
    table.release(1, 9);
    assert_eq!(table.locals.len(), 11, "number 0 is still held");
    table.release(array, 1);
    table.release(0, 1);
    assert_eq!((table.locals.len(), table.base, table.next()), (0, 11, 11));
    assert!(table.large.is_empty() && table.failures.is_empty() && table.waiters.is_empty());
    table.done((1, 0), 0, None, &mut wake);
    assert_eq!(end(&table, (1, 0)), "released");
}

#[test]
fn pending_ranges_cover_what_has_not_ended() {
    let mut table = Table::default();
    let mut wake = Vec::new();
    for _ in 0..6 {
        table.push_described();
    }
    let array = table.push_array(2000);
    table.push_described();
    table.accepted(0, &[0; 8]);
    table.done((2, 0), 0, None, &mut wake);
    for index in 10..1500 {
        table.done((array, index), 0, Some(&[]), &mut wake);
    }
    let ranges: Vec<_> = table
        .pending_ranges()
        .iter()
        .map(|range| (range.local, range.start, range.end, range.count))
        .collect();
    let expected = [(0, 0, 0, 2), (3, 0, 0, 3), (6, 0, 10, 0), (6, 1500, 2000, 0), (7, 0, 0, 1)];
    assert_eq!(ranges, expected);
}

#[test]
fn very_many_arrays_are_told_of_in_few_ranges() {
    let mut table = Table::default();
    for _ in 0..20_000 {
        table.push_array(2);
        table.push_described();
        table.done((table.next() - 1, 0), 0, None, &mut Vec::new());
    }
    table.accepted(0, &vec![0; 40_000]);
    let ranges = table.pending_ranges();
    assert!(ranges.len() <= MAX_PENDING_RANGES + 2, "{}", ranges.len());
    let covered = |local: u64| {
        let covers = |range: &v1::LocalRange| {
            range.local == local || (range.local..range.local + range.count).contains(&local)
        };
        ranges.iter().any(covers)
    };
    assert!((0..40_000).step_by(2).all(covered));
}
