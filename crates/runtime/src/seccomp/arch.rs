//! The architectures a filter can be about: what depends on the processor is here and in the tables.

use oci_spec::runtime::Arch;

use super::table;

/// One system call convention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Convention {
    /// `AUDIT_ARCH_*` of linux/audit.h.
    pub(super) audit: u32,
    /// Its names and numbers.
    pub(super) calls: &'static [(&'static str, u32)],
    /// Set in every number (x32), or 0.
    pub(super) mark: u32,
}

const AUDIT_X86_64: u32 = 0xc000_003e;
const AUDIT_X86: u32 = 0x4000_0003;
/// `__X32_SYSCALL_BIT`.
pub(super) const X32_MARK: u32 = 0x4000_0000;

pub(super) const NATIVE: Convention = Convention { audit: AUDIT_X86_64, calls: table::X86_64, mark: 0 };
const X86: Convention = Convention { audit: AUDIT_X86, calls: table::X86, mark: 0 };
const X32: Convention = Convention { audit: AUDIT_X86_64, calls: table::X86_64, mark: X32_MARK };

/// The convention an architecture of the configuration means; None where this processor has no such thing.
pub(super) fn convention(arch: Arch) -> Option<Convention> {
    match arch {
        Arch::ScmpArchNative | Arch::ScmpArchX86_64 => Some(NATIVE),
        Arch::ScmpArchX86 => Some(X86),
        Arch::ScmpArchX32 => Some(X32),
        _ => None,
    }
}
