//! Limits on memory, processors and processes.

use clap::Args;
use gaufre_engine::settings::{Settings, Ulimit, parse_memory_swap, parse_size};

use super::number_list::NumberList;
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
    #[arg(long, value_name = "LIST", value_parser = str::parse::<NumberList>)]
    cpuset_cpus: Option<NumberList>,

    /// Memory nodes it may use, such as 0,1
    #[arg(long, value_name = "LIST", value_parser = str::parse::<NumberList>)]
    cpuset_mems: Option<NumberList>,

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
fn no_more_than(cpus: f64, online: Option<&NumberList>) -> Result<()> {
    let Some(online) = online.map(NumberList::count).filter(|online| cpus > f64::from(*online)) else {
        return Ok(());
    };
    let has = if online == 1 { "1 processor".to_owned() } else { format!("{online} processors") };
    Err(CliError::new(format_args!("--cpus {cpus} asks for more than there is: this machine has {has}")))
}

/// Refuses processors or memory nodes that this machine does not have: the kernel would, at the start.
fn only_those_of(flag: &str, wanted: Option<&NumberList>, online: Option<&NumberList>) -> Result<()> {
    let (Some(wanted), Some(online)) = (wanted, online) else { return Ok(()) };
    match wanted.first_not_in(online) {
        Some(missing) => Err(CliError::new(format_args!(
            "--{flag} {wanted} asks for number {missing}, and this machine has {online}"
        ))),
        None => Ok(()),
    }
}

/// What this machine has of `kind`, `cpu` or `node` (the kernel's admin-guide/cputopology); none if it does not say.
fn online(kind: &str) -> Option<NumberList> {
    std::fs::read_to_string(format!("/sys/devices/system/{kind}/online")).ok()?.trim().parse().ok()
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
        let processors = online("cpu");
        no_more_than(resources.cpus.unwrap_or_default(), processors.as_ref())?;
        only_those_of("cpuset-cpus", self.cpuset_cpus.as_ref(), processors.as_ref())?;
        only_those_of("cpuset-mems", self.cpuset_mems.as_ref(), online("node").as_ref())?;
        resources.cpu_shares = set(self.cpu_shares);
        resources.cpuset_cpus = self.cpuset_cpus.as_ref().map(ToString::to_string);
        resources.cpuset_mems = self.cpuset_mems.as_ref().map(ToString::to_string);
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
        let eight: NumberList = "0-7".parse().unwrap();
        let refusal = no_more_than(9.5, Some(&eight)).unwrap_err().to_string();
        assert!(refusal.contains("--cpus 9.5") && refusal.contains("8 processors"), "{refusal}");
        assert!(no_more_than(8.0, Some(&eight)).is_ok() && no_more_than(9.0, None).is_ok());
        assert!(online("cpu").is_some_and(|online| online.count() > 0));
    }

    #[test]
    fn a_processor_that_the_machine_does_not_have_is_named() {
        let list = |text: &str| text.parse::<NumberList>().unwrap();
        let refusal = only_those_of("cpuset-cpus", Some(&list("0-3,9")), Some(&list("0-1"))).unwrap_err();
        let expect = "Error: --cpuset-cpus 0-3,9 asks for number 2, and this machine has 0-1";
        assert_eq!(refusal.to_string(), expect);
        assert!(only_those_of("cpuset-cpus", Some(&list("1")), Some(&list("0-1"))).is_ok());
        assert!(only_those_of("cpuset-cpus", Some(&list("1")), None).is_ok());
    }
}
