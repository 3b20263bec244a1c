//! Device rules on cgroup v2: an eBPF program that the kernel asks at each open and mknod of a device
//! (`BPF_PROG_TYPE_CGROUP_DEVICE`). The last rule that matches decides, as on v1; none: allowed, as without rules.

use std::os::fd::AsFd;
use std::path::Path;

use oci_spec::runtime::LinuxDeviceCgroup;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::{CgroupError, devices};
use crate::sys::bpf::{Instruction, attach_device_program, device_programs, load_device_program};

/// Our program's name, by which it is found again.
const NAME: &str = "gaufre_devices";

/// Loads the program for `rules` and attaches it to the group at `dir`; with `replace` in the place of the one that an
/// earlier call attached there.
///
/// A caller without privileges is not let load programs. Nor may it, or what it makes in a user namespace, make device
/// nodes: what it can open, it could open before. So the rules are left out then.
pub(super) fn attach(dir: &Path, rules: &[LinuxDeviceCgroup], replace: bool) -> Result<(), CgroupError> {
    let rules = devices::effective(rules);
    let unconditional = rules.iter().all(|rule| rule.allow() && devices::is_all(rule));
    if rules.is_empty() || (unconditional && !replace) {
        return Ok(());
    }
    let wrap =
        |source: rustix::io::Errno| CgroupError::Devices { path: dir.to_owned(), source: source.into() };
    let program = match load_device_program(&compile(&rules)?, NAME) {
        Err(Errno::PERM | Errno::ACCESS) if is_unprivileged() => return Ok(()),
        program => program.map_err(wrap)?,
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let group = rustix::fs::open(dir, flags, Mode::empty()).map_err(wrap)?;
    let old = if replace { device_programs(group.as_fd(), NAME).map_err(wrap)? } else { Vec::new() };
    attach_device_program(group.as_fd(), program.as_fd(), old.first().map(AsFd::as_fd)).map_err(wrap)
}

/// Whether the caller is another user than root, or root in a user namespace only.
fn is_unprivileged() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let everybody: Vec<&str> = map.split_whitespace().collect();
    !rustix::process::geteuid().is_root() || everybody != ["0", "0", "4294967295"]
}

/// Whether the rules can be expressed.
pub(super) fn check(rules: &[LinuxDeviceCgroup]) -> Result<(), CgroupError> {
    compile(&devices::effective(rules)).map(drop)
}

// Registers: r1 is the context (struct bpf_cgroup_dev_ctx) on entry.
const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 6;

// Opcodes of linux/bpf.h: class | source or size | operation or mode.
const LOAD_WORD: u8 = 0x61;
const MOVE_IMMEDIATE: u8 = 0xb7;
const MOVE_REGISTER: u8 = 0xbf;
const AND_IMMEDIATE: u8 = 0x57;
const SHIFT_RIGHT: u8 = 0x77;
const JUMP_NOT_EQUAL: u8 = 0x55;
const JUMP_EQUAL: u8 = 0x15;
const EXIT: u8 = 0x95;

/// `BPF_DEVCG_DEV_BLOCK` and `BPF_DEVCG_DEV_CHAR`.
const BLOCK: i32 = 1;
const CHAR: i32 = 2;

fn compile(rules: &[LinuxDeviceCgroup]) -> Result<Vec<Instruction>, CgroupError> {
    let mut program = vec![
        op(LOAD_WORD, KIND, CONTEXT, 0, 0),
        op(MOVE_REGISTER, ACCESS, KIND, 0, 0),
        op(AND_IMMEDIATE, KIND, 0, 0, 0xffff),
        op(SHIFT_RIGHT, ACCESS, 0, 0, 16),
        op(LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        op(LOAD_WORD, MINOR, CONTEXT, 8, 0),
    ];
    for rule in rules.iter().rev() {
        program.extend(block(rule)?);
        if devices::is_all(rule) {
            // Everything matches: earlier rules have no say, and the verifier refuses code never reached.
            return Ok(program);
        }
    }
    program.extend(verdict(true));
    Ok(program)
}

/// One rule: its conditions, each of which jumps past the rule when it fails, and its verdict.
fn block(rule: &LinuxDeviceCgroup) -> Result<Vec<Instruction>, CgroupError> {
    let mut block = Vec::new();
    if !devices::is_all(rule) {
        let kind = if devices::is_block(rule)? { BLOCK } else { CHAR };
        block.push(op(JUMP_NOT_EQUAL, KIND, 0, 0, kind));
        for (register, number) in [(MAJOR, rule.major()), (MINOR, rule.minor())] {
            if let Some(number) = devices::specific(number)? {
                block.push(op(JUMP_NOT_EQUAL, register, 0, 0, number.cast_signed()));
            }
        }
        let bits = access_bits(devices::access(rule)?);
        // An allowance must cover all that is wanted; a denial strikes when it covers any of it.
        if rule.allow() && bits != 7 {
            block.push(op(MOVE_REGISTER, SCRATCH, ACCESS, 0, 0));
            block.push(op(AND_IMMEDIATE, SCRATCH, 0, 0, !bits & 7));
            block.push(op(JUMP_NOT_EQUAL, SCRATCH, 0, 0, 0));
        } else if !rule.allow() && bits != 7 {
            block.push(op(MOVE_REGISTER, SCRATCH, ACCESS, 0, 0));
            block.push(op(AND_IMMEDIATE, SCRATCH, 0, 0, bits));
            block.push(op(JUMP_EQUAL, SCRATCH, 0, 0, 0));
        }
    }
    block.extend(verdict(rule.allow()));
    let len = i16::try_from(block.len()).unwrap_or(i16::MAX);
    for (at, instruction) in (0_i16..).zip(&mut block) {
        if matches!(instruction.code, JUMP_EQUAL | JUMP_NOT_EQUAL) {
            instruction.offset = len - at - 1;
        }
    }
    Ok(block)
}

fn verdict(allow: bool) -> [Instruction; 2] {
    [op(MOVE_IMMEDIATE, RESULT, 0, 0, allow.into()), op(EXIT, 0, 0, 0, 0)]
}

/// `BPF_DEVCG_ACC_*`: mknod 1, read 2, write 4.
fn access_bits(access: &str) -> i32 {
    access.bytes().fold(0, |bits, letter| {
        bits | match letter {
            b'm' => 1,
            b'r' => 2,
            b'w' => 4,
            _ => 0,
        }
    })
}

const fn op(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { code, registers: source << 4 | destination, offset, immediate }
}
