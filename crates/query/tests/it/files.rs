//! Tables' files: what is wrong with them is told by its place, and types are found or given.

use std::fs;

use dasklet_query::{ColumnTypes, Output, OutputFormat, TableOptions, TableSource, Tables};

use crate::support::{folder, plan_over, rows, run_over, staged, tokio};

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

fn json_with(line: usize, wrong: &str, rows: usize) -> String {
    let row = |row| if row == line { wrong.to_owned() } else { format!("{{\"id\": {row}}}") };
    (1..=rows).map(row).collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn malformed_json_is_named_by_file_and_line() {
    for (wrong, words) in [
        ("{\"id\": }", "unexpected '}'"),
        ("{\"id\": \"late\"}", "field 'id'"),
        ("id: 7", "unexpected 'i'"),
    ] {
        // Near the beginning it is found while the types are read, later while the rows are.
        for (line, rows) in [(8, 50), (20_000, 30_000)] {
            let text = json_with(line, wrong, rows);
            let (folder, source) = folder(&[("a.json", "{\"id\": 1}\n"), ("b.json", &text)]);
            let id = ColumnTypes(vec![("id".to_owned(), "bigint".to_owned())]);
            let options = TableOptions { schema: Some(id), ..source.options };
            let tables = Tables::default().with("t", TableSource { options, ..source });
            let said = run_over(tables, "SELECT sum(id) FROM t", 4).unwrap_err();
            let place = format!("{}/b.json, line {line}: ", folder.path().display());
            assert!(said.contains(&place) && said.contains(words), "{said}");
        }
    }
}

#[test]
fn files_of_one_table_must_have_the_same_columns() {
    let (folder, source) = folder(&[("a.json", "{\"id\": 1}\n"), ("b.json", "{\"id\": 1.5}\n")]);
    let sum = |options| {
        let source = TableSource { options, ..source.clone() };
        run_over(Tables::default().with("t", source), "SELECT count(*), max(id) FROM t", 2)
    };
    let said = sum(TableOptions::default()).unwrap_err();
    let place = format!("{}/b.json: its columns are not", folder.path().display());
    assert!(said.contains(&place) && said.contains("'id'"), "{said}");
    // A type that both can have settles it.
    let id = ColumnTypes(vec![("id".to_owned(), "double".to_owned())]);
    let found = sum(TableOptions { schema: Some(id), ..TableOptions::default() }).unwrap();
    assert_eq!(rows(found.batches()), [["2", "1.50000000e0"]]);
}

#[test]
fn malformed_json_in_the_middle_of_a_split_file_has_its_line_in_the_whole_file() {
    let (folder, source) = folder(&[("big.json", &json_with(150_000, "{\"id\" 1}", 200_000))]);
    let tables = Tables::default().with("t", source);
    let query = plan_over(tables.clone(), "SELECT sum(id) FROM t", 8).unwrap();
    assert!(query.stages[0].tasks > 1, "the file is split\n{}", query.explain());
    let said = run_over(tables, "SELECT sum(id) FROM t", 8).unwrap_err();
    let place = format!("{}/big.json, line 150000: ", folder.path().display());
    assert!(said.contains(&place), "{said}");
}

#[test]
fn a_broken_parquet_file_is_named() {
    let sql = "SELECT carrier, name FROM airlines";
    let (folder, source) = folder(&[]);
    let path = folder.path().join("b.parquet");
    let output = Output::new(folder.path(), "b.parquet", OutputFormat::Parquet, false).unwrap();
    tokio().block_on(output.write(&staged(sql, 1).1)).unwrap();
    let whole = fs::read(&path).unwrap();
    let tables = Tables::default().with("t", source);
    assert_eq!(run_over(tables.clone(), "SELECT name FROM t", 2).unwrap().rows(), 16);

    // Without its end it is found while the types are read, with wrong pages while the rows are.
    let mut wrong_pages = whole.clone();
    wrong_pages[4..200].fill(0xff);
    for bytes in [&whole[..whole.len() / 2], &wrong_pages] {
        fs::write(&path, bytes).unwrap();
        let said = run_over(tables.clone(), "SELECT carrier, name FROM t", 2).unwrap_err();
        let place = format!("{}: cannot be read as Parquet", path.display());
        assert!(said.contains(&place), "{said}");
    }
}
