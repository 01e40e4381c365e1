//! Queries: the flights example, and `dasklet sql`.

use std::fs;

use serde_json::Value;

use crate::{
    manifest::{self, job_alone},
    support::{Scene, events, events_of, example, text},
};

/// Flights by carrier in the nycflights13 data, as anybody can count them.
pub const FLIGHTS: [(&str, u64); 16] = [
    ("United Air Lines Inc.", 58_665),
    ("JetBlue Airways", 54_635),
    ("ExpressJet Airlines Inc.", 54_173),
    ("Delta Air Lines Inc.", 48_110),
    ("American Airlines Inc.", 32_729),
    ("Envoy Air", 26_397),
    ("US Airways Inc.", 20_536),
    ("Endeavor Air Inc.", 18_460),
    ("Southwest Airlines Co.", 12_275),
    ("Virgin America", 5_162),
    ("AirTran Airways Corporation", 3_260),
    ("Alaska Airlines Inc.", 714),
    ("Frontier Airlines Inc.", 685),
    ("Mesa Airlines Inc.", 601),
    ("Hawaiian Airlines Inc.", 342),
    ("SkyWest Airlines Inc.", 32),
];

/// The rows of a result hold every carrier with its number of flights.
pub fn assert_counts_flights(rows: &[Value]) {
    assert_eq!(rows.len(), FLIGHTS.len(), "{rows:?}");
    for (carrier, flights) in FLIGHTS {
        let found = rows.iter().any(|row| {
            let cells = row.as_object().unwrap();
            cells.values().any(|cell| cell == carrier)
                && cells.values().any(|cell| cell.as_u64() == Some(flights))
        });
        assert!(found, "{carrier} with {flights} flights in {rows:?}");
    }
}

#[test]
fn the_flights_example_gives_the_right_answer() {
    let scene = Scene::new();
    let file = example("flights.yaml");
    let answer = scene.answer(&file);
    assert_counts_flights(answer["jobs"][0]["rows"].as_array().unwrap());
    scene.assert_nothing_runs();
}

/// A scene with 1,000 amounts for three keys.
fn amounts() -> Scene {
    let scene = Scene::new();
    let mut rows = "key,amount\n".to_owned();
    for row in 0..1000 {
        rows.push_str(&format!("k{},{row}\n", row % 3));
    }
    scene.file("amounts.csv", &rows);
    scene
}

const TABLE: [&str; 2] = ["--table", "t=amounts.csv"];

#[test]
fn sql_shows_its_stages() {
    let scene = amounts();
    let sql = "SELECT key, sum(amount) FROM t GROUP BY key ORDER BY key";
    let log = scene.path("events.jsonl");
    let ended = scene.run(&["sql", sql, TABLE[0], TABLE[1], "--events", text(&log)]);
    ended.assert_code(0).assert_says(&["query: stage 0 (scan t, aggregate) done, "]);
    let all = events(&log);
    let stages = events_of(&all, "stageEnded");
    let mut numbers: Vec<u64> = stages.iter().map(|e| e["stage"].as_u64().unwrap()).collect();
    numbers.sort_unstable();
    let expected: Vec<u64> = (0..numbers.len() as u64).collect();
    assert_eq!(numbers, expected, "each stage ends once");
    assert!(numbers.len() > 1, "{stages:?}");
}

#[test]
fn explain_runs_nothing() {
    let scene = amounts();
    let sql = "EXPLAIN SELECT key, sum(amount) FROM t GROUP BY key";
    let ended = scene.run(&["sql", sql, TABLE[0], TABLE[1]]);
    assert_eq!(ended.assert_code(0).err, "");
    for words in
        ["logical plan\n", "physical plan\n", "stages\n  stage 0: scan t, aggregate: 1 task"]
    {
        assert!(ended.out.contains(words), "no '{words}' in:\n{}", ended.out);
    }
    let json = scene.run(&["sql", sql, TABLE[0], TABLE[1], "--output", "json"]).json();
    assert_eq!(json["explanation"], ended.out);
    // The same as a job of a manifest.
    let workload = manifest::query("path: amounts.csv", sql);
    let file = scene.file("manifest.yaml", &job_alone("explained", "replicas: 1", &workload));
    let ran = scene.answer(&file);
    assert_eq!(ran["jobs"][0]["explanation"], ended.out);
}

#[test]
fn results_are_written_to_a_file_or_to_a_folder_of_parts() {
    let scene = amounts();
    let to = |path: &str, more: &[&str]| {
        let sql = "SELECT key, amount FROM t WHERE amount < 10";
        let mut args = vec!["sql", sql, TABLE[0], TABLE[1], "--to", path];
        args.extend(more);
        scene.run(&args)
    };
    assert!(to("small.csv", &[]).assert_code(0).out.contains("10 rows in "));
    let text = fs::read_to_string(scene.path("small.csv")).unwrap();
    assert_eq!((text.lines().next(), text.lines().count()), (Some("key,amount"), 11));

    let parts = to("parts/", &["--to-format", "json"]);
    assert!(parts.assert_code(0).out.contains("10 rows in 1 file of "), "{}", parts.out);
    let lines = fs::read_to_string(scene.path("parts/part-00000.json")).unwrap();
    assert_eq!(lines.lines().count(), 10);

    to("parts/", &[]).assert_code(2).assert_says(&["parts/", "--to-format"]);
    to("small.csv", &[]).assert_code(2).assert_says(&["small.csv", "exists", "--overwrite"]);
    to("small.csv", &["--overwrite"]).assert_code(0);
    let url = format!("file://{}", scene.path("far.csv").display());
    assert!(to(&url, &[]).assert_code(0).out.contains(&url));
    assert_eq!(fs::read_to_string(scene.path("far.csv")).unwrap(), text);
    to("nowhere://bucket/a.csv", &[]).assert_code(2).assert_says(&["nowhere://bucket/a.csv"]);
    to("a.csv.gz", &[]).assert_code(2).assert_says(&["a.csv.gz", "compressed"]);
    scene.assert_nothing_runs();
}

#[test]
fn sql_over_a_file_needs_no_manifest() {
    let scene = amounts();
    let ended = scene.run(&[
        "sql",
        "SELECT key, sum(amount) AS total FROM t GROUP BY key ORDER BY key",
        "--table",
        "t=amounts.csv",
        "--output",
        "json",
    ]);
    let answer = ended.assert_code(0).json();
    let totals: Vec<u64> = answer["jobs"][0]["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["total"].as_u64().unwrap())
        .collect();
    assert_eq!(totals, [166_833, 166_167, 166_500]);
    scene.assert_nothing_runs();
}
