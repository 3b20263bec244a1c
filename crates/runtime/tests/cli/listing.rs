//! list and ps.

use serde_json::{Value, json};

use crate::bundle::Bundle;

#[test]
fn a_table_has_runc_s_columns() {
    let bundle = Bundle::sh("sleep 60");
    bundle.start();
    let table = bundle.must(&["list"]);
    let mut lines = table.lines();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(lines.next().unwrap()), ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
    let row = words(lines.next().unwrap());
    assert_eq!((row[0].as_str(), row[2].as_str(), row[5].as_str()), (bundle.id.as_str(), "running", "root"));
    assert_eq!(row[1], bundle.pid().to_string());
    assert_eq!(bundle.must(&["list", "--quiet"]), format!("{}\n", bundle.id));
    assert_eq!(bundle.try_verb(&["list", "--format", "yaml"]).code, 1);
}

#[test]
fn ps_shows_the_processes_of_the_container_only() {
    let bundle = Bundle::sh("sleep 60 & sleep 60 & wait");
    bundle.start();
    let json = || -> Vec<Value> {
        serde_json::from_str(&bundle.must(&["ps", "--format", "json", &bundle.id])).unwrap()
    };
    crate::bundle::eventually("three processes", || json().len() == 3);
    assert!(json().contains(&json!(bundle.pid())));
    let table = bundle.must(&["ps", &bundle.id]);
    assert_eq!(table.lines().count(), 4, "{table}");
    assert_eq!(table.lines().filter(|line| line.contains("sleep 60")).count(), 3, "{table}");
    let table = bundle.must(&["ps", &bundle.id, "-o", "pid,comm"]);
    assert!(table.trim_start().starts_with("PID COMMAND") && table.lines().count() == 4, "{table}");
}

#[test]
fn a_table_needs_the_column_by_which_processes_are_known() {
    let bundle = Bundle::sh("sleep 60");
    bundle.start();
    let outcome = bundle.try_verb(&["ps", &bundle.id, "-o", "comm"]);
    assert!(outcome.code == 1 && outcome.stderr.contains("PID"), "{outcome:?}");
}
