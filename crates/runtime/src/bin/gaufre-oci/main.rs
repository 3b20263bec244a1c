//! The OCI runtime's command line, as conmon, containerd's runc shim, Docker and CRI-O drive it: a thin face on the
//! library.

mod args;
mod command;
mod console;
#[cfg(target_arch = "x86_64")]
mod entry_x86_64;
mod fds;
mod foreground;
mod global;
mod log;
mod making;
mod report;
mod signal_names;
mod verbs;

use std::process::ExitCode;

use report::Report;

fn main() -> ExitCode {
    let words: Vec<String> = match std::env::args_os().skip(1).map(std::ffi::OsString::into_string).collect()
    {
        Ok(words) => words,
        Err(word) => {
            eprintln!("gaufre-oci: {} is not UTF-8", word.display());
            return ExitCode::FAILURE;
        }
    };
    let mut report = Report::default();
    match command::run(&words, &mut report) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            report.failure(&*failure.error);
            ExitCode::from(failure.code)
        }
    }
}
