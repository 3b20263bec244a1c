//! A log that is written, rotated, cut and followed.

use super::super::{LogWriter, Stream};
use super::*;
use crate::settings::LogSettings;

fn text(iter: LogIter) -> Vec<String> {
    iter.map(|r| String::from_utf8(r.unwrap().bytes).unwrap()).collect()
}

fn written(lines: u32, max_size_bytes: u64, max_files: u32) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ctr.log");
    let settings = LogSettings { max_size_bytes: Some(max_size_bytes), max_files, ..LogSettings::default() };
    let mut writer = LogWriter::open(&path, &settings).unwrap();
    for n in 0..lines {
        writer.write(Stream::Stdout, format!("line {n}\n").as_bytes()).unwrap();
    }
    (dir, path)
}

#[test]
fn rotation_keeps_the_newest_lines_in_order() {
    let (_dir, path) = written(100, 1000, 3);
    let lines = text(LogIter::open(&path, LogsOptions::default(), Box::new(|| false)).unwrap());
    assert_eq!(lines.last().unwrap(), "line 99");
    assert!(lines.len() > 30 && lines.len() < 100, "{}", lines.len());
    let first = 100 - lines.len();
    assert_eq!(lines, (first..100).map(|n| format!("line {n}")).collect::<Vec<_>>());
    assert!(!rotated(&path, 3).exists());
}

#[test]
fn the_tail_counts_lines_over_file_boundaries() {
    let (_dir, path) = written(100, 1000, 3);
    let options = LogsOptions { tail: Some(25), ..LogsOptions::default() };
    let lines = text(LogIter::open(&path, options, Box::new(|| false)).unwrap());
    assert_eq!(lines, (75..100).map(|n| format!("line {n}")).collect::<Vec<_>>());
}

#[test]
fn following_reads_over_a_rotation_and_ends_with_the_sandbox() {
    let (_dir, path) = written(2, 1 << 20, 2);
    let settings = LogSettings { max_size_bytes: Some(150), max_files: 2, ..LogSettings::default() };
    let mut writer = LogWriter::open(&path, &settings).unwrap();
    let mut turns = 0;
    let alive = Box::new(move || {
        turns += 1;
        if turns <= 5 {
            writer.write(Stream::Stdout, format!("more {turns}\n").as_bytes()).unwrap();
        }
        turns < 6
    });
    let options = LogsOptions { follow: true, ..LogsOptions::default() };
    let lines = text(LogIter::open(&path, options, alive).unwrap());
    assert_eq!(lines, ["line 0", "line 1", "more 1", "more 2", "more 3", "more 4", "more 5"]);
}

#[test]
fn a_tail_of_nothing_and_one_longer_than_the_log_are_fine() {
    let (_dir, path) = written(5, 1 << 20, 2);
    let tail = |tail| {
        let options = LogsOptions { tail: Some(tail), ..LogsOptions::default() };
        text(LogIter::open(&path, options, Box::new(|| false)).unwrap()).len()
    };
    assert_eq!((tail(0), tail(1), tail(5), tail(6)), (0, 1, 5, 5));
}

#[test]
fn a_line_of_several_records_counts_once_in_a_tail() {
    let (_dir, path) = written(3, 1 << 20, 2);
    let mut writer = LogWriter::open(&path, &LogSettings::default()).unwrap();
    for part in ["a".repeat(70_000), "b".repeat(70_000), "end\n".to_owned(), "unfinished".to_owned()] {
        writer.write(Stream::Stdout, part.as_bytes()).unwrap();
    }
    let tail = |tail| {
        let options = LogsOptions { tail: Some(tail), ..LogsOptions::default() };
        text(LogIter::open(&path, options, Box::new(|| false)).unwrap())
    };
    assert_eq!(tail(1), ["unfinished"]);
    assert_eq!(tail(2).concat().len(), 140_000 + "endunfinished".len());
    assert_eq!(tail(3)[0], "line 2");
}

#[test]
fn following_misses_nothing_when_files_are_rotated_faster_than_they_are_read() {
    let (_dir, path) = written(1, 200, 1000);
    let settings = LogSettings { max_size_bytes: Some(200), max_files: 1000, ..LogSettings::default() };
    let mut writer = LogWriter::open(&path, &settings).unwrap();
    let mut turns = 0;
    let alive = Box::new(move || {
        for line in 0..50 {
            writer.write(Stream::Stdout, format!("{turns} {line}\n").as_bytes()).unwrap();
        }
        turns += 1;
        turns < 4
    });
    let options = LogsOptions { follow: true, ..LogsOptions::default() };
    let lines = text(LogIter::open(&path, options, alive).unwrap());
    let written: Vec<_> = (0..4).flat_map(|turn| (0..50).map(move |line| format!("{turn} {line}"))).collect();
    assert_eq!(lines[1..], written);
}

#[test]
fn a_single_file_that_is_begun_anew_is_followed_from_its_start() {
    let (_dir, path) = written(3, 1 << 20, 1);
    let settings = LogSettings { max_size_bytes: Some(100), max_files: 1, ..LogSettings::default() };
    let mut writer = LogWriter::open(&path, &settings).unwrap();
    let mut turns = 0;
    let alive = Box::new(move || {
        turns += 1;
        writer.write(Stream::Stdout, format!("new {turns}\n").as_bytes()).unwrap();
        turns < 2
    });
    let options = LogsOptions { follow: true, ..LogsOptions::default() };
    let lines = text(LogIter::open(&path, options, alive).unwrap());
    assert_eq!(lines, ["line 0", "line 1", "line 2", "new 1", "new 2"]);
}

#[test]
fn what_a_killed_writer_left_of_a_line_is_taken_away_before_the_next() {
    let (_dir, path) = written(2, 1 << 20, 2);
    let mut text_of_log = std::fs::read(&path).unwrap();
    text_of_log.extend_from_slice(b"2026-11-21T08:00:00.0000");
    std::fs::write(&path, &text_of_log).unwrap();
    let mut writer = LogWriter::open(&path, &LogSettings::default()).unwrap();
    writer.write(Stream::Stdout, b"line 2\n").unwrap();
    let lines = text(LogIter::open(&path, LogsOptions::default(), Box::new(|| false)).unwrap());
    assert_eq!(lines, ["line 0", "line 1", "line 2"]);
}
