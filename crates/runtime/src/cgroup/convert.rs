//! The configuration speaks cgroup v1; these are its values on the scales of v2, as runc and crun convert them, and
//! the checks that both versions share.

use oci_spec::runtime::{LinuxBlockIo, LinuxMemory, LinuxResources};

use super::CgroupError;
use super::setting::{Setting, unsupported};

/// v1's shares, 2 to 262144, on v2's scale of 1 to 10000, so that the defaults, 1024 and 100, meet: the quadratic
/// curve in the logarithm of the shares that runc 1.3.2 and crun 1.23 brought.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to 10000 by construction")]
#[allow(clippy::cast_precision_loss, reason = "262143 at most")]
pub(super) fn weight_of_shares(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        shares => {
            let log = (shares as f64).log2();
            10_f64.powf((log * log + 125.0 * log) / 612.0 - 7.0 / 34.0).ceil() as u64
        }
    }
}

/// v1's weight of block devices, 10 to 1000, on io.weight's scale of 1 to 10000. BFQ's own file takes v1's scale.
pub(super) fn io_weight(weight: u16) -> u64 {
    1 + (u64::from(weight).clamp(10, 1000) - 10) * 9999 / 990
}

/// The configuration counts memory and swap together, v2 counts swap alone. None: not to be set.
pub(super) fn swap_alone(memory: &LinuxMemory) -> Result<Option<i64>, CgroupError> {
    let limit = memory.limit().unwrap_or(0);
    match memory.swap().unwrap_or(0) {
        // Without a limit on memory there is none on both together.
        0 if limit < 0 => Ok(Some(-1)),
        0 => Ok(None),
        swap if swap < 0 => Ok(Some(-1)),
        swap if limit < 0 => Ok(Some(swap)),
        _ if limit == 0 => Err(unsupported("memory.swap", "it needs memory.limit beside it")),
        swap if swap < limit => Err(unsupported("memory.swap", "it is smaller than memory.limit")),
        swap => Ok(Some(swap - limit)),
    }
}

/// A limit on processes; below zero: none. 0 is a limit since version 1.3 of the specification, as in the kernel, where it
/// lets no process make another: so does 1, which lets the first one in, and is all that systemd can have.
pub(super) fn process_limit(limit: i64) -> Option<u64> {
    u64::try_from(limit).ok().map(|limit| limit.max(1))
}

/// The same as the kernel's files have it.
pub(super) fn process_limit_or_max(limit: i64) -> String {
    process_limit(limit).map_or("max".to_owned(), |limit| limit.to_string())
}

/// Bytes; below zero: no limit.
pub(super) fn bytes_or_max(bytes: i64) -> String {
    if bytes < 0 { "max".to_owned() } else { bytes.to_string() }
}

/// What neither version honours.
pub(super) fn refuse_block_io(block_io: &LinuxBlockIo) -> Result<(), CgroupError> {
    const LEAF: &str = "it was for the CFQ scheduler, which kernels do not have since 5.0";
    if block_io.leaf_weight().is_some_and(|weight| weight != 0) {
        return Err(unsupported("blockIO.leafWeight", LEAF));
    }
    for device in block_io.weight_device().iter().flatten() {
        if device.leaf_weight().is_some_and(|weight| weight != 0) {
            return Err(unsupported("blockIO.weightDevice.leafWeight", LEAF));
        }
        if device.weight().is_none() {
            return Err(unsupported("blockIO.weightDevice", "an entry has no weight"));
        }
    }
    Ok(())
}

/// What neither version honours.
pub(super) fn refuse_memory(memory: &LinuxMemory) -> Result<(), CgroupError> {
    const KERNEL: &str = "the kernel has no limit of its own for it";
    for (limit, field) in [(memory.kernel(), "memory.kernel"), (memory.kernel_tcp(), "memory.kernelTCP")] {
        // No limit is what there is anyway.
        if limit.is_some_and(|limit| limit > 0) {
            return Err(unsupported(field, KERNEL));
        }
    }
    if memory.use_hierarchy() == Some(false) {
        return Err(unsupported("memory.useHierarchy", "the kernel counts memory by hierarchy always"));
    }
    if memory.swappiness().is_some_and(|swappiness| swappiness > 100) {
        return Err(unsupported("memory.swappiness", "it is not between 0 and 100"));
    }
    Ok(())
}

/// A huge page's size as file names have it, refused where it could be anything else.
pub(super) fn page_size(size: &str) -> Result<&str, CgroupError> {
    if !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(size);
    }
    Err(unsupported("hugepageLimits.pageSize", "it names no page size"))
}

/// rdma.max is the same on both versions.
pub(super) fn rdma_settings(
    resources: &LinuxResources,
    settings: &mut Vec<Setting>,
) -> Result<(), CgroupError> {
    let mut devices: Vec<_> = resources.rdma().iter().flatten().collect();
    devices.sort_unstable_by_key(|(name, _)| *name);
    for (name, limits) in devices {
        if name.is_empty() || name.bytes().any(|byte| byte.is_ascii_whitespace() || byte == b'=') {
            return Err(unsupported("rdma", "a device's name has white space or is empty"));
        }
        let mut value = name.clone();
        for (key, limit) in [("hca_handle", limits.hca_handles()), ("hca_object", limits.hca_objects())] {
            if let Some(limit) = limit {
                value.push_str(&format!(" {key}={limit}"));
            }
        }
        if value.len() == name.len() {
            return Err(unsupported("rdma", "a device has neither hcaHandles nor hcaObjects"));
        }
        settings.push(Setting::new("rdma", "rdma.max", value, "rdma"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::LinuxMemoryBuilder;

    #[test]
    fn shares_meet_the_weight_scale_at_its_ends_and_its_default() {
        let weights = [0, 1, 2, 3, 512, 1024, 2048, 262_143, 262_144, u64::MAX].map(weight_of_shares);
        assert_eq!(weights, [1, 1, 1, 2, 59, 100, 174, 10_000, 10_000, 10_000]);
    }

    #[test]
    fn weights_of_block_devices_meet_at_the_ends() {
        assert_eq!([10, 500, 1000].map(io_weight), [1, 4950, 10_000]);
    }

    #[test]
    fn swap_is_counted_without_the_memory() {
        let swap =
            |limit, swap| swap_alone(&LinuxMemoryBuilder::default().limit(limit).swap(swap).build().unwrap());
        assert_eq!(swap(100, 150).unwrap(), Some(50));
        assert_eq!(swap(100, 100).unwrap(), Some(0));
        assert_eq!(swap(100, -1).unwrap(), Some(-1));
        assert_eq!(swap(-1, 0).unwrap(), Some(-1));
        assert_eq!(swap(-1, 70).unwrap(), Some(70));
        assert_eq!(swap(100, 0).unwrap(), None);
        assert!(swap(100, 99).unwrap_err().to_string().contains("memory.swap"));
        assert!(swap(0, 99).unwrap_err().to_string().contains("memory.limit"));
    }
}
