//! Queries: the flights example, and `dasklet sql`.

use serde_json::Value;

use crate::support::{Scene, example, text};

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
    let ended = scene.run(&["run", "-f", text(&file), "--output", "json"]);
    ended.assert_code(0);
    let answer = ended.json();
    assert_counts_flights(answer["jobs"][0]["rows"].as_array().unwrap());
    scene.assert_nothing_runs();
}

#[test]
fn sql_over_a_file_needs_no_manifest() {
    let scene = Scene::new();
    let mut rows = "key,amount\n".to_owned();
    for row in 0..1000 {
        rows.push_str(&format!("k{},{row}\n", row % 3));
    }
    scene.file("amounts.csv", &rows);
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
