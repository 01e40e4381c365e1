//! Queries on real data, cut into stages and run stage by stage, against DataFusion alone.
#![allow(clippy::unwrap_used)]

use std::{path::PathBuf, sync::LazyLock};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{DataType, Float64Type},
    util::display::{ArrayFormatter, FormatOptions},
};
use dasklet_query::{
    ColumnTypes, OutputFormat, QueryOptions, QueryResult, QuerySession, StagedQuery, TableOptions,
    TableSource, Tables, run_here,
    worker::{StageRuntime, run_stage, run_stage_unless},
};
use datafusion::{datasource::MemTable, prelude::SessionContext};

fn data() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/data/nycflights13")
}

fn tables() -> Tables {
    let options = TableOptions { null_value: Some("NA".to_owned()), ..TableOptions::default() };
    let table = |path: &str| TableSource { options: options.clone(), ..TableSource::at(path) };
    Tables::default()
        .with("flights", table("flights/*.csv.gz"))
        .with("airlines", table("airlines.csv.gz"))
        .with("airports", table("airports.csv.gz"))
        .with("planes", table("planes.csv.gz"))
        .with("weather", table("weather.csv.gz"))
        .relative_to(&data())
}

fn tokio() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn runtime(memory: Option<u64>) -> (StageRuntime, tempfile::TempDir) {
    let scratch = tempfile::tempdir().unwrap();
    (StageRuntime::new(memory, scratch.path().to_owned()).unwrap(), scratch)
}

fn plan_over(tables: Tables, sql: &str, partitions: usize) -> Result<StagedQuery, String> {
    let options = QueryOptions { partitions: Some(partitions) };
    let session = QuerySession::new(tables).with_options(options);
    tokio().block_on(session.plan(sql)).map_err(|error| error.to_string())
}

fn staged(sql: &str, partitions: usize) -> (StagedQuery, QueryResult) {
    let query = plan_over(tables(), sql, partitions).unwrap_or_else(|e| panic!("{sql}: {e}"));
    let (runtime, _scratch) = runtime(None);
    let result =
        run_here(&query, &runtime).unwrap_or_else(|e| panic!("{sql}: {e}\n{}", query.explain()));
    (query, result)
}

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

/// Rows as text; floating-point sums depend on the order of adding, so their last digits go.
fn rows(batches: &[RecordBatch]) -> Vec<Vec<String>> {
    let options = FormatOptions::default().with_null("null");
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let cell = |column: &dyn Array| match column.data_type() {
                DataType::Float64 if column.is_valid(row) => {
                    format!("{:.8e}", column.as_primitive::<Float64Type>().value(row))
                }
                _ => ArrayFormatter::try_new(column, &options).unwrap().value(row).to_string(),
            };
            rows.push(batch.columns().iter().map(|column| cell(column)).collect());
        }
    }
    rows
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

/// Writes files into a folder of its own, and gives a table over it.
fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, TableSource) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let source = TableSource::at(folder.path().to_str().unwrap());
    (folder, source)
}

fn run_over(tables: Tables, sql: &str, partitions: usize) -> Result<QueryResult, String> {
    let query = plan_over(tables, sql, partitions)?;
    let (runtime, _scratch) = runtime(None);
    run_here(&query, &runtime).map_err(|error| error.to_string())
}

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
fn a_missing_file_is_named() {
    let tables = Tables::default()
        .with("one", TableSource::at("/nowhere/one.csv"))
        .with("many", TableSource::at("/nowhere/*.csv"));
    for (sql, expected) in [
        ("SELECT * FROM one", "table 'one': there is no file or folder '/nowhere/one.csv'"),
        ("SELECT * FROM many", "table 'many': no file matches '/nowhere/*.csv'"),
    ] {
        let error = plan_over(tables.clone(), sql, 4).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

/// A file of `rows` good rows, with one line in the place of line `line`.
fn file_with(line: usize, wrong: &str, rows: usize) -> String {
    let mut text = String::from("id,delay\n");
    for row in 2..=rows + 1 {
        if row == line {
            text.push_str(wrong);
        } else {
            text.push_str(&format!("{row},{}", row * 10));
        }
        text.push('\n');
    }
    text
}

#[test]
fn a_malformed_row_is_named_by_file_and_line() {
    let good = file_with(0, "", 50);
    let expected = [
        ("7,late", "column 'delay': 'late' is not a value of type Int64"),
        ("7,70,700", "fields where 2 are expected"),
        ("7", "has 1 fields where 2 are expected"),
    ];
    for (wrong, sentence) in expected {
        // Near the beginning it is found while the types are read, later while the rows are.
        for (line, rows) in [(8, 50), (20_000, 30_000)] {
            let bad = file_with(line, wrong, rows);
            let (folder, source) = folder(&[("a.csv", &good), ("b.csv", &bad)]);
            let path = folder.path().join("b.csv").display().to_string();
            let delay = ColumnTypes(vec![("delay".to_owned(), "bigint".to_owned())]);
            let options = TableOptions { schema: Some(delay), ..source.options };
            let tables = Tables::default().with("t", TableSource { path, options, ..source });
            let text = run_over(tables, "SELECT sum(delay) FROM t", 4).unwrap_err();
            let place = format!("{}/b.csv, line {line}: ", folder.path().display());
            assert!(text.contains(&place) && text.contains(sentence), "{text}");
        }
    }
}

#[test]
fn a_malformed_row_in_the_middle_of_a_split_file_has_its_line_in_the_whole_file() {
    let bad = file_with(150_000, "x,y", 200_000);
    let (folder, source) = folder(&[("big.csv", &bad)]);
    let tables = Tables::default().with("t", source);
    let query = plan_over(tables.clone(), "SELECT sum(delay) FROM t", 8).unwrap();
    assert!(query.stages[0].tasks > 1, "the file is split\n{}", query.explain());
    let text = run_over(tables, "SELECT sum(delay) FROM t", 8).unwrap_err();
    let place = format!("{}/big.csv, line 150000: column 'delay': 'y'", folder.path().display());
    assert!(text.contains(&place), "{text}");
}

#[test]
fn types_come_from_the_rows_or_from_the_user() {
    let text = "code,when,amount\n007,2024-01-02,1.5\n008,,\n,2024-01-03,2.5\n";
    let (_folder, source) = folder(&[("a.csv", text)]);
    let sql = "SELECT code, \"when\", amount FROM t ORDER BY amount NULLS FIRST";
    let found = run_over(Tables::default().with("t", source.clone()), sql, 2).unwrap();
    assert_eq!(
        rows(found.batches()),
        [
            ["8", "null", "null"],
            ["7", "2024-01-02", "1.50000000e0"],
            ["null", "2024-01-03", "2.50000000e0"]
        ]
    );
    let code = ColumnTypes(vec![("code".to_owned(), "text".to_owned())]);
    let options = TableOptions { schema: Some(code), ..TableOptions::default() };
    let told = TableSource { options, ..source.clone() };
    let found = run_over(Tables::default().with("t", told), sql, 2).unwrap();
    assert_eq!(rows(found.batches())[1][0], "007");
    for (column, column_type, expected) in [
        ("cod", "text", "names column 'cod'"),
        ("code", "words", "'words' in `options.schema` is no type"),
    ] {
        let types = ColumnTypes(vec![(column.to_owned(), column_type.to_owned())]);
        let options = TableOptions { schema: Some(types), ..TableOptions::default() };
        let told = TableSource { options, ..source.clone() };
        let error = run_over(Tables::default().with("t", told), sql, 2).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn results_are_written_whole_and_read_back_as_tables() {
    let sql = "SELECT carrier, count(*) AS n, avg(dep_delay) AS late FROM flights GROUP BY carrier";
    let (_, result) = staged(sql, 4);
    let folder = tempfile::tempdir().unwrap();
    for (name, format) in [
        ("a.csv", OutputFormat::Csv),
        ("a.parquet", OutputFormat::Parquet),
        ("a.json", OutputFormat::Json),
    ] {
        let path = folder.path().join(name);
        result.write(&path, format).unwrap();
        let tables = Tables::default().with("t", TableSource::at(path.to_str().unwrap()));
        let back = run_over(tables, "SELECT carrier, n, late FROM t", 3).unwrap();
        let (mut wrote, mut read) = (rows(result.batches()), rows(back.batches()));
        wrote.sort();
        read.sort();
        assert_eq!(wrote, read, "{name}");
    }
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 3, "no temporary file is left");
    let error =
        result.write(std::path::Path::new("/proc/no/a.csv"), OutputFormat::Csv).unwrap_err();
    assert!(error.to_string().contains("/proc/no/a.csv"), "{error}");
}

#[test]
fn compressed_json_and_several_files_read_like_one() {
    let (_, months) = staged("SELECT month, count(*) AS n FROM flights GROUP BY month", 4);
    assert_eq!(months.rows(), 12);
    assert!(months.table(3).unwrap().contains("and 9 more rows"));
    assert_eq!(months.json_lines().unwrap().lines().count(), 12);
}

#[test]
fn little_memory_spills_and_changes_nothing() {
    let sql = "SELECT flight, tailnum, time_hour, dep_delay FROM flights \
               ORDER BY tailnum, flight, time_hour";
    let query = plan_over(tables(), sql, 2).unwrap();
    let (small, _scratch) = runtime(Some(24 << 20));
    let result = run_here(&query, &small).unwrap();
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
fn limits_without_order_keep_that_many_rows() {
    for (sql, expected) in [
        ("SELECT * FROM flights LIMIT 17", 17),
        ("SELECT * FROM airlines LIMIT 100", 16),
        ("SELECT * FROM flights LIMIT 7 OFFSET 336772", 4),
    ] {
        assert_eq!(staged(sql, 5).1.rows(), expected, "{sql}");
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
