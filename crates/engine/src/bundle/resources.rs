//! Limits.

use crate::settings::Settings;
use oci_spec::OciSpecError;
use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpuBuilder, LinuxDeviceCgroup, LinuxMemoryBuilder, LinuxPidsBuilder, LinuxResources,
    LinuxResourcesBuilder,
};

/// The period over which a share of processors is counted, in microseconds (the kernel's default).
const CPU_PERIOD_US: u64 = 100_000;

pub(super) fn resources(
    settings: &Settings,
    devices: &[LinuxDeviceCgroup],
) -> Result<LinuxResources, OciSpecError> {
    let asked = &settings.resources;
    let mut resources = LinuxResourcesBuilder::default().devices(devices.to_vec()).build()?;

    if asked.memory_bytes.is_some()
        || asked.memory_swap_bytes.is_some()
        || asked.memory_reservation_bytes.is_some()
    {
        let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let mut memory = LinuxMemoryBuilder::default().build()?;
        memory.set_limit(asked.memory_bytes.map(signed));
        memory.set_swap(asked.effective_swap_bytes());
        memory.set_reservation(asked.memory_reservation_bytes.map(signed));
        resources.set_memory(Some(memory));
    }

    if asked.cpus.is_some()
        || asked.cpu_shares.is_some()
        || asked.cpuset_cpus.is_some()
        || asked.cpuset_mems.is_some()
    {
        let mut cpu = LinuxCpuBuilder::default().build()?;
        if let Some(cpus) = asked.cpus {
            cpu.set_period(Some(CPU_PERIOD_US));
            cpu.set_quota(Some(quota_us(cpus)));
        }
        cpu.set_shares(asked.cpu_shares);
        cpu.set_cpus(asked.cpuset_cpus.clone());
        cpu.set_mems(asked.cpuset_mems.clone());
        resources.set_cpu(Some(cpu));
    }

    // A new group has no limit: saying so would need the controller where nothing is asked of it.
    if let Some(limit) = asked.pids_limit.filter(|limit| *limit > 0) {
        resources.set_pids(Some(LinuxPidsBuilder::default().limit(limit).build()?));
    }
    if let Some(weight) = asked.blkio_weight {
        let mut block_io = LinuxBlockIo::default();
        block_io.set_weight(Some(weight));
        resources.set_block_io(Some(block_io));
    }
    Ok(resources)
}

/// `cpus` processors as microseconds in each period. The kernel takes no less than 1 ms.
fn quota_us(cpus: f64) -> i64 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a cast from float saturates, and is clamped besides"
    )]
    let quota = (cpus * 100_000.0).round() as i64;
    quota.clamp(1_000, 1 << 40)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_processors_becomes_a_quota() {
        assert_eq!(quota_us(1.5), 150_000);
        assert_eq!(quota_us(0.001), 1_000);
        assert_eq!(quota_us(f64::INFINITY), 1 << 40);
    }

    #[test]
    fn memory_alone_allows_as_much_swap_again() {
        let mut settings = Settings::default();
        settings.resources.memory_bytes = Some(64 << 20);
        let memory = resources(&settings, &[]).unwrap().memory().unwrap();
        assert_eq!((memory.limit(), memory.swap()), (Some(64 << 20), Some(128 << 20)));
    }

    #[test]
    fn no_limit_of_processes_asks_nothing_of_the_controller() {
        let mut settings = Settings::default();
        for unlimited in [0, -1] {
            settings.resources.pids_limit = Some(unlimited);
            assert_eq!(resources(&settings, &[]).unwrap().pids(), &None);
        }
    }
}
