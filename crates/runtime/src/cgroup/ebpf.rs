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

// The kernel verifies each program it is given along every path through it, which takes longer than anything else that
// is done for a cgroup. So neighbouring rules that differ in their device only share all the rest, and a device is one
// number, compared once.

// Registers: r1 is the context (struct bpf_cgroup_dev_ctx) on entry.
const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 6;
const DEVICE: u8 = 7;

// Opcodes of linux/bpf.h: class | source or size | operation or mode.
const LOAD_WORD: u8 = 0x61;
const MOVE_IMMEDIATE: u8 = 0xb7;
const MOVE_REGISTER: u8 = 0xbf;
const AND_IMMEDIATE: u8 = 0x57;
const OR_REGISTER: u8 = 0x4f;
const SHIFT_LEFT: u8 = 0x67;
const SHIFT_RIGHT: u8 = 0x77;
const JUMP: u8 = 0x05;
const JUMP_NOT_EQUAL: u8 = 0x55;
const JUMP_EQUAL: u8 = 0x15;
/// Of the lower halves.
const JUMP_EQUAL_32: u8 = 0x16;
const EXIT: u8 = 0x95;

/// `BPF_DEVCG_DEV_BLOCK` and `BPF_DEVCG_DEV_CHAR`, and a kind that no device has.
const BLOCK: i32 = 1;
const CHAR: i32 = 2;
const NEITHER: i32 = 0;

/// How the kernel packs a device's number: linux/kdev_t.h.
const MAJOR_BITS: i32 = 12;
const MINOR_BITS: i32 = 20;

fn compile(rules: &[LinuxDeviceCgroup]) -> Result<Vec<Instruction>, CgroupError> {
    let mut program = vec![
        op(LOAD_WORD, KIND, CONTEXT, 0, 0),
        op(MOVE_REGISTER, ACCESS, KIND, 0, 0),
        op(AND_IMMEDIATE, KIND, 0, 0, 0xffff),
        op(SHIFT_RIGHT, ACCESS, 0, 0, 16),
        op(LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        op(LOAD_WORD, MINOR, CONTEXT, 8, 0),
        op(MOVE_REGISTER, DEVICE, MAJOR, 0, 0),
        op(SHIFT_LEFT, DEVICE, 0, 0, MINOR_BITS),
        op(OR_REGISTER, DEVICE, MINOR, 0, 0),
    ];
    let rules: Vec<Rule> = rules.iter().rev().map(Rule::of).collect::<Result<_, _>>()?;
    for group in rules.chunk_by(|one, next| one.conditions == next.conditions) {
        program.extend(block(group));
        if group.iter().any(|rule| rule.conditions.kind.is_none()) {
            // Everything matches: earlier rules have no say, and the verifier refuses code never reached.
            return Ok(program);
        }
    }
    program.extend(verdict(true));
    Ok(program)
}

/// A rule, with what it shares with its neighbours apart from what it does not.
struct Rule {
    conditions: Conditions,
    major: Option<u32>,
    minor: Option<u32>,
}

#[derive(PartialEq, Eq)]
struct Conditions {
    allow: bool,
    /// None: every device.
    kind: Option<i32>,
    access: i32,
}

impl Rule {
    fn of(rule: &LinuxDeviceCgroup) -> Result<Self, CgroupError> {
        let kind = if devices::is_all(rule) {
            None
        } else {
            Some(if devices::is_block(rule)? { BLOCK } else { CHAR })
        };
        Ok(Self {
            conditions: Conditions { allow: rule.allow(), kind, access: access_bits(devices::access(rule)?) },
            major: devices::specific(rule.major())?,
            minor: devices::specific(rule.minor())?,
        })
    }

    /// A jump to a place that is not known yet, taken where the device is the rule's; None: it is about all of them.
    fn jump(&self) -> Option<Instruction> {
        match (self.major, self.minor) {
            (Some(major), Some(minor)) if major < 1 << MAJOR_BITS && minor < 1 << MINOR_BITS => {
                let device = major << MINOR_BITS | minor;
                Some(op(JUMP_EQUAL_32, DEVICE, 0, 0, device.cast_signed()))
            }
            // No such device can be: one that is none of any.
            (Some(_), Some(_)) => Some(op(JUMP_EQUAL, KIND, 0, 0, NEITHER)),
            (Some(major), None) => Some(op(JUMP_EQUAL_32, MAJOR, 0, 0, major.cast_signed())),
            (None, Some(minor)) => Some(op(JUMP_EQUAL_32, MINOR, 0, 0, minor.cast_signed())),
            (None, None) => None,
        }
    }
}

/// Neighbouring rules with the same conditions: one jumps past all of them when it fails, each device jumps to the verdict.
fn block(group: &[Rule]) -> Vec<Instruction> {
    let Some(Rule { conditions: Conditions { allow, kind, access }, .. }) = group.first() else {
        return Vec::new();
    };
    let mut block = Vec::new();
    if let Some(kind) = kind {
        block.push(op(JUMP_NOT_EQUAL, KIND, 0, 0, *kind));
        // An allowance must cover all that is wanted; a denial strikes when it covers any of it.
        if *access != 7 {
            block.push(op(MOVE_REGISTER, SCRATCH, ACCESS, 0, 0));
            let (bits, fails) = if *allow { (!access & 7, JUMP_NOT_EQUAL) } else { (*access, JUMP_EQUAL) };
            block.push(op(AND_IMMEDIATE, SCRATCH, 0, 0, bits));
            block.push(op(fails, SCRATCH, 0, 0, 0));
        }
    }
    let conditions = block.len();
    let jumps: Option<Vec<Instruction>> = group.iter().map(Rule::jump).collect();
    if let (Some(jumps), true) = (jumps, kind.is_some()) {
        block.extend(jumps);
        block.push(op(JUMP, 0, 0, 0, 0));
    }
    let verdict_at = block.len();
    block.extend(verdict(*allow));
    let end = block.len();
    for (at, instruction) in block.iter_mut().enumerate() {
        let to = match instruction.code {
            JUMP => end,
            JUMP_EQUAL | JUMP_EQUAL_32 if at >= conditions => verdict_at,
            JUMP_EQUAL | JUMP_NOT_EQUAL => end,
            _ => continue,
        };
        instruction.offset = i16::try_from(to - at - 1).unwrap_or(i16::MAX);
    }
    block
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

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::{LinuxDeviceCgroupBuilder, LinuxDeviceType};
    use proptest::prelude::*;

    /// What the program says of a device: the few instructions that we write, as the kernel executes them.
    fn execute(program: &[Instruction], kind: i32, access: i32, major: u32, minor: u32) -> bool {
        let word = |offset: i16| match offset {
            0 => u64::from((access << 16 | kind).cast_unsigned()),
            4 => u64::from(major),
            _ => u64::from(minor),
        };
        let mut registers = [0_u64; 8];
        let mut at = 0_usize;
        loop {
            let Instruction { code, registers: named, offset, immediate } = program[at];
            let (to, from) = (usize::from(named & 15), usize::from(named >> 4));
            let (value, constant) = (registers[to], i64::from(immediate).cast_unsigned());
            let mut jumps = false;
            match code {
                LOAD_WORD => registers[to] = word(offset),
                MOVE_IMMEDIATE => registers[to] = constant,
                MOVE_REGISTER => registers[to] = registers[from],
                AND_IMMEDIATE => registers[to] &= constant,
                OR_REGISTER => registers[to] |= registers[from],
                SHIFT_LEFT => registers[to] <<= immediate,
                SHIFT_RIGHT => registers[to] >>= immediate,
                JUMP => jumps = true,
                JUMP_EQUAL => jumps = value == constant,
                JUMP_NOT_EQUAL => jumps = value != constant,
                JUMP_EQUAL_32 => jumps = value & 0xffff_ffff == constant & 0xffff_ffff,
                EXIT => return registers[usize::from(RESULT)] == 1,
                other => panic!("{other:#x} is not among our instructions"),
            }
            at += 1 + if jumps { usize::try_from(offset).unwrap() } else { 0 };
        }
    }

    /// What the rules say: the last that matches decides.
    fn ask(rules: &[LinuxDeviceCgroup], kind: i32, access: i32, major: u32, minor: u32) -> bool {
        let is = |number: Option<i64>, other: u32| number.is_none_or(|number| number == i64::from(other));
        let matches = |rule: &LinuxDeviceCgroup| {
            let bits = access_bits(devices::access(rule).unwrap());
            let covers = if rule.allow() { access & !bits == 0 } else { access & bits != 0 };
            let same = match rule.typ() {
                Some(LinuxDeviceType::B) => kind == BLOCK,
                Some(LinuxDeviceType::C) => kind == CHAR,
                _ => true,
            };
            devices::is_all(rule) || same && covers && is(rule.major(), major) && is(rule.minor(), minor)
        };
        rules.iter().rev().find(|rule| matches(rule)).is_none_or(LinuxDeviceCgroup::allow)
    }

    fn number() -> impl Strategy<Value = Option<i64>> {
        prop_oneof![Just(None), (0_i64..3).prop_map(Some), Just(Some(4095)), Just(Some(1 << 21))]
    }

    fn rule() -> impl Strategy<Value = LinuxDeviceCgroup> {
        use LinuxDeviceType::{A, B, C};
        let access = prop_oneof![Just("rwm"), Just("r"), Just("wm"), Just("m")];
        let kind = prop_oneof![1 => Just(A), 4 => Just(B), 4 => Just(C)];
        (any::<bool>(), kind, number(), number(), access).prop_map(|(allow, kind, major, minor, access)| {
            let mut rule = LinuxDeviceCgroupBuilder::default().allow(allow).typ(kind).access(access);
            rule = major.into_iter().fold(rule, LinuxDeviceCgroupBuilder::major);
            minor.into_iter().fold(rule, LinuxDeviceCgroupBuilder::minor).build().unwrap()
        })
    }

    proptest! {
        #[test]
        fn the_program_says_what_the_rules_say(rules in proptest::collection::vec(rule(), 0..12)) {
            let program = compile(&rules).unwrap();
            for kind in [BLOCK, CHAR] {
                for access in 1..8 {
                    for major in [0, 1, 2, 3, 4095] {
                        for minor in [0, 1, 2, 3, 4095, (1 << 20) - 1] {
                            let said = execute(&program, kind, access, major, minor);
                            prop_assert_eq!(said, ask(&rules, kind, access, major, minor));
                        }
                    }
                }
            }
        }
    }
}
