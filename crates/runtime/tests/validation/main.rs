//! The validation programs of github.com/opencontainers/runtime-tools, each of which is one test here.
//!
//! `cargo xtask peers` builds them where Go is at hand; without them everything here is skipped, visibly. They run as
//! root. Which of them are left out, and why, is in `programs` and in docs/oci-runtime.md.
//!
//! A harness of its own, which speaks as Rust's: the programs are files, and some of them must not run side by side.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod host;
mod programs;
mod suite;
mod tally;

use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

use programs::Program;
use suite::Suite;
use tally::Tally;

/// How many run side by side: they spend their time waiting.
const SIDE_BY_SIDE: usize = 4;

fn main() -> ExitCode {
    let started = Instant::now();
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    let programs: Vec<&'static Program> =
        programs::PASS.iter().filter(|program| wanted(program.name)).collect();
    println!("\nrunning {} tests", programs.len());
    let mut tally = Tally::of("validation");
    match Suite::find() {
        Some(suite) => run(&suite, &programs, &mut tally),
        None => {
            let why = "the programs are not built: `cargo xtask peers` does it where Go is at hand";
            programs.iter().for_each(|program| tally.ignore(program.name, why));
        }
    }
    tally.conclude(started)
}

fn run(suite: &Suite, programs: &[&'static Program], tally: &mut Tally) {
    suite.check_names();
    // Whoever is left without a parent comes to us, and keeps its id until we end: hooks_stdin compares ids of
    // containers that may have ended.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let (able, unable): (Vec<&'static Program>, _) =
        programs.iter().partition(|program| host::lacks(program).is_none());
    for program in unable {
        tally.ignore(program.name, &host::lacks(program).unwrap_or_default());
    }
    // Those about cgroups use the same names.
    let (alone, others): (VecDeque<&'static Program>, VecDeque<&'static Program>) =
        able.into_iter().partition(|program| program.name.starts_with("linux_cgroups"));
    let (alone, others, failed) = (Mutex::new(alone), Mutex::new(others), Mutex::new(Vec::new()));
    let shared = Mutex::new(tally);
    let work = |queue: &Mutex<VecDeque<&'static Program>>| {
        loop {
            let Some(program) = queue.lock().unwrap().pop_front() else { return };
            match suite.run(program) {
                Ok(()) => shared.lock().unwrap().pass(program.name),
                Err(_) => failed.lock().unwrap().push(program),
            }
        }
    };
    let (alone, others) = (&alone, &others);
    std::thread::scope(|scope| {
        scope.spawn(|| work(alone));
        (1..SIDE_BY_SIDE).for_each(|_| drop(scope.spawn(|| work(others))));
    });
    // They wait for fixed times, one second for a hook: on a busy machine only one that runs alone is a fair test.
    for program in failed.into_inner().unwrap() {
        let attempts = if programs::TIES.contains(&program.name) { 10 } else { 1 };
        let first = suite.run(program);
        match (1..attempts).fold(first, |result, _| result.or_else(|_| suite.run(program))) {
            Ok(()) => shared.lock().unwrap().pass(program.name),
            Err(why) => shared.lock().unwrap().fail(program.name, why),
        }
    }
}
