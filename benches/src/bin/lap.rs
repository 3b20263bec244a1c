//! Times commands of milliseconds in turns: `lap ROUNDS CONTENDER , CONTENDER ...`
//!
//! A contender is one command or several separated by `;`; `wait` among them waits for everything that was left running,
//! untimed. One line for each contender comes out: the median of the times in ns from before a command's start to after
//! its end, those of several commands added up, and the most memory in kB that a process of it had resident
//! (getrusage(2), `ru_maxrss`). The first round is not counted. A command that fails ends everything.

use std::ffi::OsString;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// One step of a contender.
enum Step {
    Run(Command),
    Wait,
}

#[derive(Default)]
struct Figures {
    times_ns: Vec<u128>,
    peak_kb: i64,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lap: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    // What a command leaves running becomes our child, to be waited for.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|error| format!("cannot become a subreaper: {error}"))?;
    let mut words = std::env::args_os().skip(1);
    let rounds = words.next().and_then(|rounds| rounds.to_str()?.parse().ok());
    let rounds: usize = rounds.ok_or("usage: lap ROUNDS COMMAND [; COMMAND]... [, COMMAND...]...")?;
    let words: Vec<OsString> = words.collect();
    let mut contenders: Vec<Vec<Step>> = words
        .split(|word| word == ",")
        .map(|contender| contender.split(|word| word == ";").filter_map(step).collect())
        .collect();
    let mut figures: Vec<Figures> = contenders.iter().map(|_| Figures::default()).collect();
    for round in 0..=rounds {
        for (contender, figures) in contenders.iter_mut().zip(&mut figures) {
            let mut took_ns = 0;
            for step in contender {
                match step {
                    Step::Wait => wait_for_the_rest(),
                    Step::Run(command) => took_ns += time(command, &mut figures.peak_kb)?,
                }
            }
            if round > 0 {
                figures.times_ns.push(took_ns);
            }
        }
    }
    for Figures { mut times_ns, peak_kb } in figures {
        times_ns.sort_unstable();
        println!("{} {peak_kb}", times_ns.get(times_ns.len() / 2).ok_or("nothing was measured")?);
    }
    Ok(())
}

fn step(words: &[OsString]) -> Option<Step> {
    let (program, arguments) = words.split_first()?;
    if program == "wait" {
        return Some(Step::Wait);
    }
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    Some(Step::Run(command))
}

fn time(command: &mut Command, peak_kb: &mut i64) -> Result<u128, String> {
    let started = Instant::now();
    let child = command.spawn().map_err(|error| format!("{command:?} could not be started: {error}"))?;
    let pid = libc::pid_t::try_from(child.id()).map_err(|error| error.to_string())?;
    let mut status = 0;
    // SAFETY: rusage is a plain structure of numbers, for which zeros are values.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to variables of ours of the types that wait4 fills.
    let ended = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
    let took = started.elapsed();
    if ended != pid || status != 0 {
        return Err(format!("{command:?} failed (wait status {status})"));
    }
    *peak_kb = usage.ru_maxrss.max(*peak_kb);
    Ok(took.as_nanos())
}

/// Until there are no children any more.
fn wait_for_the_rest() {
    while rustix::process::wait(rustix::process::WaitOptions::empty()).is_ok() {}
}
