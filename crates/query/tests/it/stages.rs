//! What a session refuses, and how one task of a stage behaves.

use dasklet_query::worker::{run_stage, run_stage_unless};

use crate::support::{plan_over, rows, runtime, staged, tables};

#[test]
fn what_is_wrong_is_named() {
    let table = [
        ("SELEC 1", "the SQL cannot be parsed"),
        ("SELECT * FROM flihgts", "there is no table 'flihgts'. Did you mean 'flights'?"),
        ("SELECT carier FROM flights", "carier"),
        ("SELECT carier FROM flights", "flights.carrier"),
        ("SELECT carrier + interval '1 day' FROM flights", "Cannot coerce"),
        ("SELECT nosuch(carrier) FROM flights", "nosuch"),
        ("SELECT sum(carrier) FROM flights", "sum"),
        ("SELECT carrier, count(*) FROM flights", "GROUP BY"),
        ("DROP TABLE flights", "only queries can be run"),
        ("CREATE TABLE t AS SELECT 1", "only queries can be run"),
        (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
            "not supported",
        ),
    ];
    for (sql, expected) in table {
        let error = plan_over(tables(), sql, 4).unwrap_err();
        assert!(error.contains(expected), "{sql}: {error}");
    }
}

#[test]
fn little_memory_spills_and_changes_nothing() {
    let sql = "SELECT flight, tailnum, time_hour, dep_delay FROM flights \
               ORDER BY tailnum, flight, time_hour";
    let query = plan_over(tables(), sql, 2).unwrap();
    let (small, _scratch) = runtime(Some(24 << 20));
    let result = dasklet_query::run_here(&query, &small).unwrap();
    let (_, expected) = staged(sql, 2);
    assert_eq!(rows(result.batches()), rows(expected.batches()));
}

#[test]
fn a_cancelled_task_says_so() {
    let query = plan_over(tables(), "SELECT * FROM flights", 4).unwrap();
    let (runtime, _scratch) = runtime(None);
    let body = &query.stages[0].body;
    let asked = std::cell::Cell::new(0);
    let cancelled = || asked.replace(asked.get() + 1) > 1;
    let error = run_stage_unless(body, 0, vec![], &runtime, &cancelled).unwrap_err();
    assert_eq!(error.class, dasklet_core::ErrorClass::Cancelled);
    assert!(error.to_string().contains("cancelled"), "{error}");
}

#[test]
fn a_recomputed_task_gives_the_same_bytes_where_the_stage_says_so() {
    let sql = "SELECT a.name, count(*), sum(f.distance) FROM flights f \
               JOIN airlines a ON f.carrier = a.carrier GROUP BY a.name";
    let query = plan_over(tables(), sql, 4).unwrap();
    assert!(query.stages.iter().all(|stage| stage.deterministic), "{}", query.explain());
    let (runtime, _scratch) = runtime(None);
    for stage in query.stages.iter().filter(|stage| stage.inputs.is_empty()) {
        for index in 0..stage.tasks {
            let once = run_stage(&stage.body, index, vec![], &runtime).unwrap();
            let again = run_stage(&stage.body, index, vec![], &runtime).unwrap();
            assert_eq!(once, again);
        }
    }
    for sql in ["SELECT * FROM flights LIMIT 3", "SELECT random() FROM airlines"] {
        let query = plan_over(tables(), sql, 4).unwrap();
        assert!(query.stages.iter().any(|stage| !stage.deterministic), "{}", query.explain());
    }
}

#[test]
fn a_body_from_another_version_is_refused() {
    let query = plan_over(tables(), "SELECT 1", 1).unwrap();
    let mut body = query.stages[0].body.to_vec();
    body[2] = b'9';
    let (runtime, _scratch) = runtime(None);
    let error = run_stage(&body, 0, vec![], &runtime).unwrap_err();
    assert!(error.message.contains("same version"), "{error}");
}
