//! Limits on memory, processors and processes.

use clap::Args;
use gaufre_engine::settings::{Settings, Ulimit, parse_memory_swap, parse_size};

use crate::failure::{CliError, Result};

/// Limits on memory, processors and processes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    /// Memory limit, such as 512m
    #[arg(short, long, value_name = "SIZE", value_parser = parse_size)]
    memory: Option<u64>,

    /// Limit of memory and swap together; -1 for unlimited swap
    #[arg(long, value_name = "SIZE", value_parser = parse_memory_swap, allow_hyphen_values = true)]
    memory_swap: Option<i64>,

    /// Memory that is left alone while the host has enough
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    memory_reservation: Option<u64>,

    /// Number of processors, such as 1.5
    #[arg(long, value_name = "NUMBER", value_parser = processors)]
    cpus: Option<f64>,

    /// Share of processor time against other containers (2 to 262144)
    #[arg(short, long, value_name = "WEIGHT")]
    cpu_shares: Option<u64>,

    /// Processors it may run on, such as 0-2,4
    #[arg(long, value_name = "LIST", value_parser = number_list)]
    cpuset_cpus: Option<String>,

    /// Memory nodes it may use, such as 0,1
    #[arg(long, value_name = "LIST", value_parser = number_list)]
    cpuset_mems: Option<String>,

    /// Number of processes and threads; -1 for no limit [default: 2048]
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, value_parser = clap::value_parser!(i64).range(-1..))]
    pids_limit: Option<i64>,

    /// Share of disk time against other containers (10 to 1000)
    #[arg(long, value_name = "WEIGHT", value_parser = clap::value_parser!(u16).range(10..=1000))]
    blkio_weight: Option<u16>,

    /// When memory runs out: -1000 to be killed last, 1000 to be killed first
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true,
        value_parser = clap::value_parser!(i32).range(-1000..=1000))]
    oom_score_adj: Option<i32>,

    /// Limit of setrlimit(2), such as nofile=1024:2048
    #[arg(long, value_name = "LIMIT", value_delimiter = ',')]
    ulimit: Vec<Ulimit>,
}

/// Under this the container's first process is killed before it is anything (bytes).
const LEAST_MEMORY_BYTES: u64 = 64 << 10;

fn processors(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(cpus) if cpus.is_finite() && (0.0..=100_000.0).contains(&cpus) => Ok(cpus),
        _ => Err(format!("'{text}' is not a number of processors, such as 1.5")),
    }
}

/// Refuses more processors than this machine has, as podman and Docker do.
fn no_more_than(cpus: f64, online: Option<u32>) -> Result<()> {
    match online {
        Some(online) if cpus > f64::from(online) => {
            let has = if online == 1 { "1 processor".to_owned() } else { format!("{online} processors") };
            Err(CliError::new(format_args!(
                "--cpus {cpus} asks for more than there is: this machine has {has}"
            )))
        }
        _ => Ok(()),
    }
}

/// How many processors this machine has (cpuonline in the kernel's admin-guide/cputopology); none if it does not say.
fn online_processors() -> Option<u32> {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/online").ok()?;
    let count = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        last.parse::<u32>().ok()?.checked_sub(first.parse().ok()?)?.checked_add(1)
    };
    text.trim().split(',').map(count).sum()
}

fn number_list(text: &str) -> std::result::Result<String, String> {
    let number = |part: &str| part.parse::<u16>().ok();
    let range = |part: &str| match part.split_once('-') {
        Some((first, last)) => number(first).zip(number(last)).is_some_and(|(first, last)| first <= last),
        None => number(part).is_some(),
    };
    match text.split(',').all(range) {
        true => Ok(text.to_owned()),
        false => Err(format!("'{text}' is not a list of numbers and ranges, such as 0-2,4")),
    }
}

impl LimitArgs {
    pub(super) fn apply(&self, settings: &mut Settings) -> Result<()> {
        // In podman 0 means no limit for each of these.
        let set = |limit: Option<u64>| limit.filter(|limit| *limit > 0);
        let resources = &mut settings.resources;
        resources.memory_bytes = set(self.memory);
        resources.memory_swap_bytes = self.memory_swap.filter(|swap| *swap != 0);
        resources.memory_reservation_bytes = set(self.memory_reservation);
        resources.cpus = self.cpus.filter(|cpus| *cpus > 0.0);
        no_more_than(resources.cpus.unwrap_or_default(), online_processors())?;
        resources.cpu_shares = set(self.cpu_shares);
        resources.cpuset_cpus.clone_from(&self.cpuset_cpus);
        resources.cpuset_mems.clone_from(&self.cpuset_mems);
        resources.pids_limit = self.pids_limit.or(resources.pids_limit);
        resources.blkio_weight = self.blkio_weight;
        resources.oom_score_adj = self.oom_score_adj;
        settings.ulimits.clone_from(&self.ulimit);
        match (resources.memory_swap_bytes, resources.memory_bytes) {
            (_, Some(memory)) if memory < LEAST_MEMORY_BYTES => {
                let error = CliError::new(format_args!(
                    "--memory {memory} is too little for any container to start in"
                ));
                Err(error.with_hint(format!("Without a unit it is bytes: for megabytes write {memory}m.")))
            }
            (Some(_), None) => Err(CliError::new("--memory-swap needs --memory: it limits both together")),
            (Some(swap @ 1..), Some(memory)) if u64::try_from(swap).is_ok_and(|swap| swap < memory) => {
                Err(CliError::new("--memory-swap is less than --memory: it limits both together"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_processors_than_the_machine_has_are_refused_and_both_numbers_named() {
        let refusal = no_more_than(9.5, Some(8)).unwrap_err().to_string();
        assert!(refusal.contains("--cpus 9.5") && refusal.contains("8 processors"), "{refusal}");
        assert!(no_more_than(8.0, Some(8)).is_ok() && no_more_than(9.0, None).is_ok());
        assert!(online_processors().is_some_and(|count| count > 0));
    }
}
