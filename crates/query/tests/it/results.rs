//! Results: shown, counted, and written to files.

use std::{fs, path::Path};

use dasklet_query::{Output, OutputFormat, QueryResult, TableSource, Tables};

use crate::support::{rows, run_over, staged, tokio};

const FORMATS: [(&str, OutputFormat); 3] =
    [("csv", OutputFormat::Csv), ("parquet", OutputFormat::Parquet), ("json", OutputFormat::Json)];

fn result(partitions: usize) -> QueryResult {
    let sql = "SELECT carrier, count(*) AS n, avg(dep_delay) AS late FROM flights GROUP BY carrier";
    staged(sql, partitions).1
}

fn write(output: &Output, result: &QueryResult) -> Result<usize, String> {
    tokio().block_on(output.write(result)).map_err(|error| error.to_string())
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn assert_reads_back(path: &Path, result: &QueryResult) {
    let tables = Tables::default().with("t", TableSource::at(path.to_str().unwrap()));
    let back = run_over(tables, "SELECT carrier, n, late FROM t", 3).unwrap();
    let (mut wrote, mut read) = (rows(result.batches()), rows(back.batches()));
    wrote.sort();
    read.sort();
    assert_eq!(wrote, read, "{}", path.display());
}

#[test]
fn a_file_is_written_whole_and_reads_back_as_a_table() {
    let result = result(4);
    let folder = tempfile::tempdir().unwrap();
    for (extension, format) in FORMATS {
        let name = format!("a.{extension}");
        let output = Output::new(folder.path(), &name, format, false).unwrap();
        assert!(!output.is_folder());
        assert_eq!(write(&output, &result).unwrap(), 1);
        // The second time it takes the place of the first only if it may.
        let refused = write(&output, &result).unwrap_err();
        assert!(refused.contains(&name) && refused.contains("exists already"), "{refused}");
        assert_eq!(write(&output.overwriting(), &result).unwrap(), 1);
        assert_reads_back(&folder.path().join(name), &result);
    }
    assert_eq!(names(folder.path()), ["a.csv", "a.json", "a.parquet"]);
}

#[test]
fn a_folder_gets_a_file_for_each_partition() {
    let result = result(4);
    assert_eq!(result.partitions().count(), 4);
    let place = tempfile::tempdir().unwrap();
    for (extension, format) in FORMATS {
        let folder = place.path().join(extension);
        let path = format!("{extension}/");
        let slashed = Output::new(place.path(), &path, format, false).unwrap();
        assert!(slashed.is_folder());
        assert_eq!(write(&slashed, &result).unwrap(), 4);
        let parts: Vec<String> = (0..4).map(|n| format!("part-0000{n}.{extension}")).collect();
        assert_eq!(names(&folder), parts);
        assert_reads_back(&folder, &result);
        for (part, rows) in parts.iter().zip(result.partitions()) {
            let lines = fs::read(folder.join(part)).unwrap();
            let lines = lines.iter().filter(|byte| **byte == b'\n').count();
            let expected = rows.iter().map(|batch| batch.num_rows()).sum::<usize>();
            match format {
                OutputFormat::Csv => assert_eq!(lines, expected + 1, "{part}"),
                OutputFormat::Json => assert_eq!(lines, expected, "{part}"),
                OutputFormat::Parquet => {}
            }
        }
    }
}

#[test]
fn parts_of_an_earlier_result_are_replaced_and_nothing_else() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("notes.txt"), "mine").unwrap();
    // A folder that is there needs no slash.
    let path = place.path().to_str().unwrap();
    let output = Output::new(Path::new("."), path, OutputFormat::Csv, false).unwrap();
    write(&output, &result(4)).unwrap();
    let fewer = result(2);
    let refused = write(&output, &fewer).unwrap_err();
    assert!(refused.contains("holds part files already"), "{refused}");
    assert_eq!(write(&output.overwriting(), &fewer).unwrap(), 2);
    assert_eq!(names(place.path()), ["notes.txt", "part-00000.csv", "part-00001.csv"]);
    fs::remove_file(place.path().join("notes.txt")).unwrap();
    assert_reads_back(place.path(), &fewer);
}

#[test]
fn a_store_takes_results_as_a_folder_of_this_machine_does() {
    // A store of this machine's files: the same steps as for one far away.
    let place = tempfile::tempdir().unwrap();
    let url = |name: &str| format!("file://{}/{name}", place.path().display());
    for (extension, format) in FORMATS {
        let result = result(4);
        let name = format!("one/a.{extension}");
        let output = Output::new(Path::new("/none"), &url(&name), format, false).unwrap();
        assert_eq!(write(&output, &result).unwrap(), 1);
        let refused = write(&output, &result).unwrap_err();
        assert!(refused.contains("file://") && refused.contains("exists already"), "{refused}");
        assert_eq!(write(&output.overwriting(), &result).unwrap(), 1);
        assert_reads_back(&place.path().join(name), &result);
    }
    let parts = |overwrite| {
        Output::new(Path::new("/none"), &url("parts/"), OutputFormat::Csv, overwrite).unwrap()
    };
    assert_eq!(write(&parts(false), &result(4)).unwrap(), 4);
    fs::write(place.path().join("parts/notes.txt"), "mine").unwrap();
    let fewer = result(2);
    let refused = write(&parts(false), &fewer).unwrap_err();
    assert!(refused.contains("holds part files already"), "{refused}");
    assert_eq!(write(&parts(true), &fewer).unwrap(), 2);
    let folder = place.path().join("parts");
    assert_eq!(names(&folder), ["notes.txt", "part-00000.csv", "part-00001.csv"]);
    fs::remove_file(folder.join("notes.txt")).unwrap();
    assert_reads_back(&folder, &fewer);
}

#[test]
fn a_store_that_cannot_be_used_is_named() {
    let url = "nowhere://bucket/a.csv";
    let output = Output::new(Path::new("."), url, OutputFormat::Csv, false).unwrap();
    let error = write(&output, &result(1)).unwrap_err();
    assert!(error.contains(url) && error.contains("credentials"), "{error}");
}

#[test]
fn a_result_in_order_is_one_part() {
    let sql = "SELECT carrier, count(*) AS n FROM flights GROUP BY carrier ORDER BY carrier";
    let (_, result) = staged(sql, 4);
    assert_eq!(result.partitions().count(), 1);
}

#[test]
fn where_nothing_can_be_written_is_named() {
    for path in ["/proc/no/a.csv", "/proc/no/"] {
        let output = Output::new(Path::new("."), path, OutputFormat::Csv, false).unwrap();
        let error = write(&output, &result(1)).unwrap_err();
        assert!(error.contains(path), "{error}");
    }
}

#[test]
fn a_result_is_shown_in_part_and_told_whole() {
    let (_, months) = staged("SELECT month, count(*) AS n FROM flights GROUP BY month", 4);
    assert_eq!(months.rows(), 12);
    assert!(months.table(3).unwrap().contains("and 9 more rows"));
    assert_eq!(months.json_lines().unwrap().lines().count(), 12);
}
