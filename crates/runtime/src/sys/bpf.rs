//! bpf(2): loading a cgroup device program and attaching it, or exchanging one. Linux 4.15.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::checked;

/// `struct bpf_insn`: one instruction of eBPF.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub(crate) code: u8,
    /// Source register in the high four bits, destination in the low four.
    pub(crate) registers: u8,
    pub(crate) offset: i16,
    pub(crate) immediate: i32,
}

/// The fields of `union bpf_attr` for `BPF_PROG_LOAD` that were there first; the rest is zero.
#[repr(C)]
#[derive(Default)]
struct LoadAttr {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
}

/// The fields of `union bpf_attr` for `BPF_PROG_ATTACH`.
#[repr(C)]
#[derive(Default)]
struct AttachAttr {
    target_fd: u32,
    program_fd: u32,
    attach_type: u32,
    flags: u32,
    replaced_fd: u32,
}

/// The fields of `union bpf_attr` for `BPF_PROG_QUERY`.
#[repr(C)]
#[derive(Default)]
struct QueryAttr {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    program_ids: u64,
    program_count: u32,
    padding: u32,
}

/// The fields of `union bpf_attr` for `BPF_PROG_GET_FD_BY_ID`.
#[repr(C)]
#[derive(Default)]
struct ByIdAttr {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

/// The fields of `union bpf_attr` for `BPF_OBJ_GET_INFO_BY_FD`.
#[repr(C)]
#[derive(Default)]
struct InfoAttr {
    fd: u32,
    info_len: u32,
    info: u64,
}

const CGROUP_DEVICE: u32 = 6;
/// Where `struct bpf_prog_info` has the program's name, and how much of it is asked for.
const INFO_NAME: std::ops::Range<usize> = 64..80;

/// Loads a `BPF_PROG_TYPE_CGROUP_DEVICE` program under a name of at most 15 bytes.
pub(crate) fn load_device_program(instructions: &[Instruction], name: &str) -> rustix::io::Result<OwnedFd> {
    const PROG_LOAD: libc::c_int = 5;
    const TYPE_CGROUP_DEVICE: u32 = 15;
    let mut padded = [0; 16];
    padded.iter_mut().zip(name.bytes().take(15)).for_each(|(place, byte)| *place = byte);
    let attr = LoadAttr {
        name: padded,
        program_type: TYPE_CGROUP_DEVICE,
        instruction_count: u32::try_from(instructions.len()).map_err(|_| rustix::io::Errno::TOOBIG)?,
        instructions: instructions.as_ptr().addr() as u64,
        license: c"Apache-2.0".as_ptr().addr() as u64,
        ..LoadAttr::default()
    };
    // SAFETY: the kernel reads the attributes and, through them, the instructions and the license, all of which
    // outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const attr, size_of::<LoadAttr>()) };
    let fd = libc::c_int::try_from(checked(result)?).map_err(|_| rustix::io::Errno::BADF)?;
    // SAFETY: a successful BPF_PROG_LOAD returns a fresh descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Attaches a device program to a cgroup v2 directory, in the place of `replaced` (Linux 5.6) or beside those that are
/// there and those of its ancestors (all of them must allow).
pub(crate) fn attach_device_program(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    replaced: Option<BorrowedFd<'_>>,
) -> rustix::io::Result<()> {
    const PROG_ATTACH: libc::c_int = 8;
    const ALLOW_MULTI: u32 = 2;
    const REPLACE: u32 = 4;
    let attr = AttachAttr {
        target_fd: cgroup.as_raw_fd().unsigned_abs(),
        program_fd: program.as_raw_fd().unsigned_abs(),
        attach_type: CGROUP_DEVICE,
        flags: if replaced.is_some() { ALLOW_MULTI | REPLACE } else { ALLOW_MULTI },
        replaced_fd: replaced.map_or(0, |fd| fd.as_raw_fd().unsigned_abs()),
    };
    // SAFETY: the kernel only reads the attributes, which outlive the call.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, PROG_ATTACH, &raw const attr, size_of::<AttachAttr>()) };
    checked(result).map(drop)
}

/// The device programs attached to a cgroup v2 directory itself that have this name.
pub(crate) fn device_programs(cgroup: BorrowedFd<'_>, name: &str) -> rustix::io::Result<Vec<OwnedFd>> {
    const PROG_QUERY: libc::c_int = 16;
    const PROG_GET_FD_BY_ID: libc::c_int = 13;
    // The kernel attaches no more than 64 to one group.
    let mut ids = [0_u32; 64];
    let mut attr = QueryAttr {
        target_fd: cgroup.as_raw_fd().unsigned_abs(),
        attach_type: CGROUP_DEVICE,
        program_ids: ids.as_mut_ptr().addr() as u64,
        program_count: 64,
        ..QueryAttr::default()
    };
    // SAFETY: the kernel writes at most `program_count` ids and the count itself, all of which outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, PROG_QUERY, &raw mut attr, size_of::<QueryAttr>()) };
    checked(result)?;
    let mut found = Vec::new();
    for id in ids.into_iter().take(attr.program_count as usize) {
        let attr = ByIdAttr { id, ..ByIdAttr::default() };
        // SAFETY: the kernel only reads the attributes, which outlive the call.
        let result = unsafe {
            libc::syscall(libc::SYS_bpf, PROG_GET_FD_BY_ID, &raw const attr, size_of::<ByIdAttr>())
        };
        let fd = libc::c_int::try_from(checked(result)?).map_err(|_| rustix::io::Errno::BADF)?;
        // SAFETY: a successful call returns a fresh descriptor that nothing else owns.
        let program = unsafe { OwnedFd::from_raw_fd(fd) };
        if program_name(program.as_fd())? == name {
            found.push(program);
        }
    }
    Ok(found)
}

fn program_name(program: BorrowedFd<'_>) -> rustix::io::Result<String> {
    const OBJ_GET_INFO_BY_FD: libc::c_int = 15;
    let mut info = [0_u64; INFO_NAME.end / 8];
    let mut attr = InfoAttr {
        fd: program.as_raw_fd().unsigned_abs(),
        info_len: u32::try_from(size_of_val(&info)).unwrap_or(0),
        info: info.as_mut_ptr().addr() as u64,
    };
    // SAFETY: the kernel writes at most `info_len` bytes of information, and that length, all of which outlive the call.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, OBJ_GET_INFO_BY_FD, &raw mut attr, size_of::<InfoAttr>()) };
    checked(result)?;
    let bytes: Vec<u8> = info.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let name = bytes.get(INFO_NAME).unwrap_or_default();
    Ok(String::from_utf8_lossy(name).trim_end_matches('\0').to_owned())
}
