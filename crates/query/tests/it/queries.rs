//! Queries on real data, cut into stages and run stage by stage, against DataFusion alone.

use std::sync::LazyLock;

use arrow::array::RecordBatch;
use dasklet_query::StagedQuery;
use datafusion::{datasource::MemTable, prelude::SessionContext};

use crate::support::{rows, staged};

/// The same tables, in memory, for DataFusion alone.
static ALONE: LazyLock<SessionContext> = LazyLock::new(|| {
    let context = SessionContext::new();
    for name in ["flights", "airlines", "airports", "planes", "weather"] {
        let (_, all) = staged(&format!("SELECT * FROM {name}"), 4);
        let table = MemTable::try_new(all.schema().clone(), vec![all.batches().to_vec()]).unwrap();
        context.register_table(name, std::sync::Arc::new(table)).unwrap();
    }
    context
});

fn alone(sql: &str) -> Vec<RecordBatch> {
    let context = &*ALONE;
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    tokio.block_on(async { context.sql(sql).await.unwrap().collect().await.unwrap() })
}

fn assert_same(sql: &str, partitions: usize) -> StagedQuery {
    let (query, result) = staged(sql, partitions);
    let (mut ours, mut theirs) = (rows(result.batches()), rows(&alone(sql)));
    ours.sort();
    theirs.sort();
    assert_eq!(ours.len(), theirs.len(), "rows of {sql}\n{}", query.explain());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs, "{sql}\n{}", query.explain());
    }
    query
}

/// Each shape of plan that is cut differently.
const QUERIES: &[&str] = &[
    "SELECT count(*) FROM flights",
    "SELECT count(*), count(dep_time), min(dep_delay), max(arr_delay), avg(air_time) FROM flights",
    "SELECT year, month, day, flight, tailnum FROM flights WHERE dep_delay > 300 AND origin = 'JFK'",
    "SELECT carrier, count(*), avg(arr_delay), sum(distance) FROM flights GROUP BY carrier",
    "SELECT origin, dest, month, count(*) FROM flights GROUP BY origin, dest, month HAVING count(*) > 300",
    "SELECT DISTINCT origin, carrier FROM flights",
    "SELECT count(DISTINCT tailnum), count(DISTINCT dest) FROM flights",
    // joins: with a small table, a middling one, on several keys, and with each kind of outer side
    "SELECT a.name, count(*) FROM flights f JOIN airlines a ON f.carrier = a.carrier GROUP BY a.name",
    "SELECT p.manufacturer, count(*), avg(f.air_time) FROM flights f JOIN planes p ON f.tailnum = p.tailnum GROUP BY p.manufacturer",
    "SELECT w.wind_dir, count(*) FROM flights f JOIN weather w ON f.origin = w.origin AND f.year = w.year AND f.month = w.month AND f.day = w.day AND f.hour = w.hour GROUP BY w.wind_dir",
    "SELECT f.dest, count(*) FROM flights f LEFT JOIN airports a ON f.dest = a.faa WHERE a.faa IS NULL GROUP BY f.dest",
    "SELECT a.faa, count(f.flight) FROM airports a LEFT JOIN flights f ON f.dest = a.faa GROUP BY a.faa",
    "SELECT count(*), count(p.tailnum), count(f.tailnum) FROM planes p RIGHT JOIN flights f ON f.tailnum = p.tailnum",
    "SELECT count(*), count(p.tailnum), count(f.tailnum) FROM (SELECT * FROM planes WHERE seats > 100) p FULL JOIN (SELECT * FROM flights WHERE month < 3) f ON f.tailnum = p.tailnum",
    "SELECT count(*) FROM planes WHERE tailnum IN (SELECT tailnum FROM flights WHERE month = 7)",
    "SELECT tailnum FROM planes WHERE tailnum NOT IN (SELECT tailnum FROM flights WHERE tailnum IS NOT NULL AND month < 9)",
    "SELECT faa FROM airports a WHERE NOT EXISTS (SELECT 1 FROM flights f WHERE f.dest = a.faa) AND tz = -5",
    "SELECT count(*) FROM airlines a CROSS JOIN airlines b",
    "SELECT a.carrier, b.carrier FROM airlines a LEFT JOIN airlines b ON a.carrier < b.carrier AND b.name LIKE 'A%'",
    "SELECT count(*) FROM planes p JOIN (SELECT tailnum, max(distance) AS far FROM flights GROUP BY tailnum) f ON p.tailnum = f.tailnum AND f.far > 2000",
    // unions, over everything that can be below them
    "SELECT origin AS place FROM flights WHERE month = 1 UNION SELECT dest FROM flights WHERE month = 1",
    "SELECT carrier AS c, count(*) AS n FROM flights GROUP BY carrier UNION ALL SELECT origin, count(*) FROM flights GROUP BY origin UNION ALL SELECT name, 1 FROM airlines",
    "SELECT c, sum(n) FROM (SELECT carrier AS c, count(*) AS n FROM flights GROUP BY carrier UNION ALL SELECT dest, count(*) FROM flights GROUP BY dest UNION ALL SELECT carrier, 1 FROM airlines) GROUP BY c",
    "SELECT count(*) FROM (SELECT tailnum FROM flights EXCEPT SELECT tailnum FROM planes)",
    "SELECT count(*) FROM (SELECT tailnum FROM flights INTERSECT SELECT tailnum FROM planes)",
    // windows, subqueries, common tables, values
    "SELECT carrier, month, n, rank() OVER (PARTITION BY carrier ORDER BY n DESC, month) FROM (SELECT carrier, month, count(*) AS n FROM flights GROUP BY carrier, month)",
    "SELECT month, n, sum(n) OVER (ORDER BY month) FROM (SELECT month, count(*) AS n FROM flights GROUP BY month)",
    "SELECT count(*) FROM flights WHERE distance > (SELECT avg(distance) FROM flights)",
    "SELECT carrier, count(*) FROM flights WHERE distance > (SELECT avg(distance) FROM flights WHERE origin = 'LGA') GROUP BY carrier HAVING count(*) > (SELECT count(*) FROM airlines)",
    "SELECT a.name, (SELECT count(*) FROM flights f WHERE f.carrier = a.carrier) FROM airlines a",
    "WITH late AS (SELECT * FROM flights WHERE arr_delay > 60) SELECT l.origin, count(*) FROM late l JOIN late m ON l.tailnum = m.tailnum AND l.day = m.day AND l.month = m.month GROUP BY l.origin",
    "SELECT x, y FROM (VALUES (1, 'a'), (2, 'b')) AS t(x, y)",
    "SELECT 1 + 1, upper('abc')",
    "SELECT month, approx_distinct(tailnum) > 1000, median(distance), stddev(arr_delay) FROM flights GROUP BY month",
    "SELECT origin, regexp_replace(dest, '^A', 'x'), date_part('month', time_hour), count(*) FROM flights WHERE dest LIKE 'A%' GROUP BY 1, 2, 3",
    "SELECT origin, carrier, grouping(carrier), count(*) FROM flights GROUP BY ROLLUP (origin, carrier)",
];

/// Queries whose rows come in a certain order.
const ORDERED: &[&str] = &[
    "SELECT carrier, count(*) AS n FROM flights GROUP BY carrier ORDER BY n DESC, carrier",
    "SELECT flight, tailnum, dep_delay FROM flights ORDER BY dep_delay DESC NULLS LAST, flight, tailnum LIMIT 25",
    "SELECT time_hour, flight, tailnum, carrier FROM flights WHERE month = 2 ORDER BY time_hour, flight, tailnum, carrier",
    "SELECT flight, dep_delay, time_hour FROM flights ORDER BY dep_delay DESC NULLS LAST, flight, time_hour LIMIT 5 OFFSET 10",
    "SELECT a.name, count(*) AS flights, avg(f.arr_delay) AS delay, avg(CASE WHEN f.dep_time IS NULL THEN 1.0 ELSE 0.0 END) AS cancelled FROM flights f JOIN airlines a ON f.carrier = a.carrier GROUP BY a.name ORDER BY delay DESC",
];

#[test]
fn stages_give_what_datafusion_alone_gives() {
    for sql in QUERIES {
        assert_same(sql, 5);
    }
}

#[test]
fn many_partitions_and_a_single_one_give_the_same() {
    for partitions in [1, 16] {
        for sql in QUERIES.iter().step_by(3).chain(&QUERIES[7..24]) {
            assert_same(sql, partitions);
        }
    }
}

#[test]
fn order_is_kept() {
    for sql in ORDERED {
        for partitions in [1, 7] {
            let (query, result) = staged(sql, partitions);
            assert_eq!(rows(result.batches()), rows(&alone(sql)), "{sql}\n{}", query.explain());
        }
    }
}

#[test]
fn limits_without_order_keep_that_many_rows() {
    for (sql, expected) in [
        ("SELECT * FROM flights LIMIT 17", 17),
        ("SELECT * FROM airlines LIMIT 100", 16),
        ("SELECT * FROM flights LIMIT 7 OFFSET 336772", 4),
    ] {
        assert_eq!(staged(sql, 5).1.rows(), expected, "{sql}");
    }
}
