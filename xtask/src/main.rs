//! The project's own chores, run as `cargo xtask VERB`.
//!
//! Everything that takes long to make is kept in the user's cache folder and made again only when what it is made of changes.

mod cache;
mod command;
mod debian;
mod images;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "The project's own chores")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make the test images from Debian's packages, and print where they are
    Images,
}

fn main() -> ExitCode {
    match run(Arguments::parse().verb) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<ExitCode> {
    match verb {
        Verb::Images => println!("{}", images::make()?.display()),
    }
    Ok(ExitCode::SUCCESS)
}
