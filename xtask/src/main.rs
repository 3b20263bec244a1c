//! The project's own chores, run as `cargo xtask VERB`.
//!
//! Everything that takes long to make is kept in the user's cache folder and made again only when what it is made of changes.

mod apt;
mod bench;
mod binaries;
mod cache;
mod command;
mod debian;
mod images;
mod peers;
mod soak;
mod test;
mod vm;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

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
    /// Set up everything that the tests need, and run all of them
    Test {
        /// The kernels of the test VM to run the runtime's tests on
        #[arg(long, value_enum, value_delimiter = ',', default_values_t = vm::Release::ALL)]
        kernels: Vec<vm::Release>,
        /// Leave the test VM out
        #[arg(long, conflicts_with = "kernels")]
        no_vm: bool,
    },
    /// Make the newest peers available from Debian unstable, and print their versions
    Peers {
        /// Make them anew
        #[arg(long)]
        refresh: bool,
    },
    /// Run the long forms of the tests that look for rare faults
    Soak {
        /// Only these soaks
        #[arg(value_enum)]
        only: Vec<soak::Soak>,
        /// How many times to kill a process of ours
        #[arg(long, default_value_t = 300)]
        count: usize,
        /// Repeat a former run
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Measure gaufre beside its peers, and write benches/RESULTS.md
    Bench {
        /// Only these benches (oci, run, pull, ps), printed and not written
        only: Vec<String>,
        /// Measure this build of gaufre instead of making one
        #[arg(long)]
        binary: Option<PathBuf>,
    },
    /// Boot the test VM and run a command in it, or the runtime's tests
    Vm(VmArguments),
}

#[derive(Debug, Args)]
struct VmArguments {
    /// Which of Debian's kernels to boot
    #[arg(long, value_enum, default_value = "6.1")]
    kernel: vm::Release,
    /// Memory of the VM in MiB
    #[arg(long, default_value_t = 1024)]
    memory: u32,
    /// End the VM after so many seconds
    #[arg(long, default_value_t = 1800)]
    timeout: u64,
    /// Put a file into the VM, as HOST:GUEST
    #[arg(long, value_name = "HOST:GUEST")]
    file: Vec<String>,
    /// Run tests instead of a command, the runtime's own unless others are named
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "runtime", conflicts_with = "command")]
    tests: Option<vm::Tests>,
    /// Boot with SELinux, enforcing Debian's policy
    #[arg(long)]
    selinux: bool,
    /// Leave the product's binaries out, and so do not build them
    #[arg(long, conflicts_with = "tests")]
    bare: bool,
    /// The command to run, by default a look at the system
    #[arg(last = true)]
    command: Vec<String>,
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
        Verb::Test { kernels, no_vm } => return test::run(if no_vm { &[] } else { &kernels }),
        Verb::Peers { refresh } => peers::show(refresh)?,
        Verb::Bench { only, binary } => bench::run(&only, binary.as_deref())?,
        Verb::Soak { only, count, seed } => return soak::run(&only, count, seed),
        Verb::Vm(arguments) => return in_vm(&arguments),
    }
    Ok(ExitCode::SUCCESS)
}

fn in_vm(arguments: &VmArguments) -> Result<ExitCode> {
    let (mut extras, argv) = if let Some(tests) = arguments.tests {
        tests.suite()?
    } else if arguments.bare {
        (Vec::new(), arguments.command.clone())
    } else if arguments.command.is_empty() {
        (vm::product()?, ["sh", "-c", "uname -a; id; mount; ls /usr/bin/gaufre*"].map(str::to_owned).to_vec())
    } else {
        (vm::product()?, arguments.command.clone())
    };
    for file in &arguments.file {
        let (host, guest) = file.split_once(':').context("--file wants HOST:GUEST")?;
        extras.push(vm::Extra { host: host.into(), guest: guest.into() });
    }
    let vm = vm::Vm {
        release: arguments.kernel,
        memory_mb: arguments.memory,
        timeout: Duration::from_secs(arguments.timeout),
        extras: &extras,
        argv: &argv,
        selinux: arguments.selinux || arguments.tests == Some(vm::Tests::Selinux),
    };
    let code = vm.run()?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}
