//! The OCI runtime's command line: a thin face on the library.

mod args;
mod relay;
mod verbs;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match verbs::run(&words) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            let mut text = format!("gaufre-oci: {}", failure.error);
            let mut source = failure.error.source();
            let mut last = failure.error.to_string();
            while let Some(error) = source {
                // A transparent wrapper reads the same as what it wraps.
                if error.to_string() != last {
                    last = error.to_string();
                    text.push_str(": ");
                    text.push_str(&last);
                }
                source = error.source();
            }
            eprintln!("{text}");
            ExitCode::from(failure.code)
        }
    }
}
