//! `EXPLAIN`.

use dasklet_query::Planned;

use crate::support::{plan_over, planned, tables};

#[test]
fn explain_shows_the_plans_and_the_stages() {
    let sql = "SELECT a.name, count(*) AS n FROM flights f JOIN airlines a ON f.carrier = a.carrier \
               GROUP BY a.name ORDER BY n DESC";
    let Planned::Explanation(text) = planned(tables(), &format!("EXPLAIN {sql};"), 4).unwrap()
    else {
        panic!("explained, not planned");
    };
    for words in ["logical plan\n", "TableScan: flights", "physical plan\n", "HashJoinExec"] {
        assert!(text.contains(words), "no '{words}' in\n{text}");
    }
    let query = plan_over(tables(), sql, 4).unwrap();
    assert!(query.stages.len() > 1);
    for line in query.explain().lines() {
        assert!(text.contains(&format!("  {line}\n")), "no '{line}' in\n{text}");
    }
}

#[test]
fn stages_have_names_that_say_what_they_do() {
    let sql = "SELECT a.name, count(*) AS n FROM flights f JOIN airlines a ON f.carrier = a.carrier \
               GROUP BY a.name ORDER BY n DESC";
    let query = plan_over(tables(), sql, 4).unwrap();
    let names: Vec<&str> = query.stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(names[0], "scan airlines", "{}", query.explain());
    assert!(names.iter().any(|name| name.starts_with("scan flights, join")), "{names:?}");
    assert!(names.contains(&"aggregate, sort"), "{names:?}");
    assert_eq!(names.last(), Some(&"merge"), "{names:?}");
}

#[test]
fn other_forms_of_explain_are_refused() {
    for (sql, words) in [
        ("EXPLAIN ANALYZE SELECT 1", "EXPLAIN ANALYZE is not supported"),
        ("EXPLAIN VERBOSE SELECT 1", "leave VERBOSE"),
        ("EXPLAIN DROP TABLE flights", "only queries can be run"),
        ("EXPLAIN SELECT * FROM flihgts", "Did you mean 'flights'?"),
    ] {
        let error = planned(tables(), sql, 4).unwrap_err();
        assert!(error.contains(words), "{sql}: {error}");
    }
}
