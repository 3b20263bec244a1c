//! The five capability sets: capabilities(7).

use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capability_is_in_bounding_set, clear_ambient_capability_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set,
};

use crate::step::{Step, StepError};

/// The sets a process ends up with, as kernel bit masks. Empty unless asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CapabilityPlan {
    bounding: Bits,
    effective: Bits,
    inheritable: Bits,
    permitted: Bits,
    ambient: Bits,
}

/// A set as bits, bit n for capability number n.
type Bits = u64;

/// The capabilities that this process could give to a sandbox: its own bounding set.
///
/// # Errors
/// None: a capability that the kernel does not know is not available.
pub fn available_capabilities() -> Capabilities {
    ALL.iter()
        .filter(|(_, number)| capability_is_in_bounding_set(bit(*number)).unwrap_or(false))
        .map(|(capability, _)| *capability)
        .collect()
}

impl CapabilityPlan {
    /// Reads the configuration's sets. A capability that this host cannot grant is left out with a warning, as the
    /// specification asks ("process.capabilities", config.md).
    pub(crate) fn new(asked: Option<&LinuxCapabilities>) -> Self {
        let Some(asked) = asked else { return Self::default() };
        let available = mask(&available_capabilities());
        let set = |set: &Option<Capabilities>| {
            let wanted = set.as_ref().map_or(0, mask);
            if wanted & !available != 0 {
                tracing::warn!(
                    capabilities = wanted & !available,
                    "capabilities this host cannot grant are left out"
                );
            }
            wanted & available
        };
        let plan = Self {
            bounding: set(asked.bounding()),
            effective: set(asked.effective()),
            inheritable: set(asked.inheritable()),
            permitted: set(asked.permitted()),
            ambient: set(asked.ambient()),
        };
        let left_out = plan.ambient & !(plan.permitted & plan.inheritable);
        if left_out != 0 {
            tracing::warn!(
                capabilities = left_out,
                "ambient capabilities that are not permitted and inheritable are left out"
            );
        }
        plan
    }

    /// Leaves out `CAP_MKNOD`: where nobody sees to the device rules, whoever can make a node can open any device.
    pub(crate) fn give_up_device_nodes(&mut self) {
        let keep = !CapabilitySet::MKNOD.bits();
        let sets = [
            &mut self.bounding,
            &mut self.effective,
            &mut self.inheritable,
            &mut self.permitted,
            &mut self.ambient,
        ];
        let mut had_it = false;
        for set in sets {
            had_it |= *set & !keep != 0;
            *set &= keep;
        }
        if had_it {
            tracing::warn!(
                "CAP_MKNOD is left out: linux.resources.devices cannot be honoured without a cgroup"
            );
        }
    }

    /// Removes what is not in the bounding set from it. Needs `CAP_SETPCAP`, so it comes first.
    pub(crate) fn drop_bounding(&self) -> Result<(), StepError> {
        for (capability, number) in ALL {
            if self.bounding & 1 << number == 0 {
                match remove_capability_from_bounding_set(bit(number)) {
                    // A capability that this kernel does not know is not there to be removed.
                    Ok(()) | Err(rustix::io::Errno::INVAL) => {}
                    Err(error) => return Err(error).step(|| format!("could not give up {capability}")),
                }
            }
        }
        Ok(())
    }

    /// Sets all others but the ambient set, with `CAP_SYS_ADMIN` on top where `keep_admin` says so: installing a
    /// filter without no_new_privs needs it.
    pub(crate) fn apply(&self, keep_admin: bool) -> Result<(), StepError> {
        let extra = if keep_admin { CapabilitySet::SYS_ADMIN } else { CapabilitySet::empty() };
        let set = CapabilitySet::from_bits_retain;
        let sets = CapabilitySets {
            effective: set(self.effective) | extra,
            permitted: set(self.permitted) | extra,
            inheritable: set(self.inheritable),
        };
        rustix::thread::set_capabilities(None, sets).step(|| "could not set the capabilities")
    }

    /// Raises the ambient set. The kernel lets in only what is permitted and inheritable; runc's own `spec` asked for
    /// more for years, so the rest is left out with a warning, as runc and crun do.
    pub(crate) fn raise_ambient(&self) -> Result<(), StepError> {
        clear_ambient_capability_set().step(|| "could not clear the ambient capabilities")?;
        for (capability, number) in ALL {
            if self.ambient & self.permitted & self.inheritable & 1 << number != 0 {
                configure_capability_in_ambient_set(bit(number), true)
                    .step(|| format!("could not make {capability} ambient"))?;
            }
        }
        Ok(())
    }
}

fn mask(set: &Capabilities) -> u64 {
    ALL.iter()
        .filter(|(capability, _)| set.contains(capability))
        .fold(0, |mask, (_, number)| mask | 1 << number)
}

fn bit(number: u32) -> CapabilitySet {
    CapabilitySet::from_bits_retain(1 << number)
}

/// Every capability with its number in linux/capability.h.
#[rustfmt::skip]
pub(crate) const ALL: [(Capability, u32); 41] = [
    (Capability::Chown, 0), (Capability::DacOverride, 1), (Capability::DacReadSearch, 2), (Capability::Fowner, 3),
    (Capability::Fsetid, 4), (Capability::Kill, 5), (Capability::Setgid, 6), (Capability::Setuid, 7),
    (Capability::Setpcap, 8), (Capability::LinuxImmutable, 9), (Capability::NetBindService, 10),
    (Capability::NetBroadcast, 11), (Capability::NetAdmin, 12), (Capability::NetRaw, 13), (Capability::IpcLock, 14),
    (Capability::IpcOwner, 15), (Capability::SysModule, 16), (Capability::SysRawio, 17), (Capability::SysChroot, 18),
    (Capability::SysPtrace, 19), (Capability::SysPacct, 20), (Capability::SysAdmin, 21), (Capability::SysBoot, 22),
    (Capability::SysNice, 23), (Capability::SysResource, 24), (Capability::SysTime, 25),
    (Capability::SysTtyConfig, 26), (Capability::Mknod, 27), (Capability::Lease, 28), (Capability::AuditWrite, 29),
    (Capability::AuditControl, 30), (Capability::Setfcap, 31), (Capability::MacOverride, 32),
    (Capability::MacAdmin, 33), (Capability::Syslog, 34), (Capability::WakeAlarm, 35),
    (Capability::BlockSuspend, 36), (Capability::AuditRead, 37), (Capability::Perfmon, 38), (Capability::Bpf, 39),
    (Capability::CheckpointRestore, 40),
];
