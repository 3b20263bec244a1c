//! From `linux.seccomp` to classic BPF.
//!
//! For each architecture the calls are sorted by number and found by a binary search of jumps, so that even the
//! hundredth call costs about eight comparisons. Neighbours with the same answer share one leaf. Every leaf ends in a
//! return, so code is only ever put one after another and no jump leads backwards.

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompArg, LinuxSeccompOperator, LinuxSyscall};

use super::action::{action, flags, notifies};
use super::arch::{Convention, NATIVE, X32_MARK, convention};
use super::error::SeccompError;
use super::notify::Agent;
use super::table;
use crate::sys::seccomp::Instruction;

/// A compiled filter with the flags to install it with.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    pub(crate) program: Vec<Instruction>,
    pub(crate) flags: u32,
    /// Who answers the calls that the filter hands over, where it hands any over.
    pub(crate) agent: Option<Agent>,
}

/// Instructions that always end in a return.
type Code = Vec<Instruction>;

const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const IF_EQUAL: u16 = 0x15;
const IF_GREATER: u16 = 0x25;
const IF_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;

// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGS: u32 = 16;

/// Compiles a filter. Calls that a table does not know do not exist on that architecture and are left out, as
/// profiles are written for many architectures and kernels.
pub(crate) fn compile(seccomp: &LinuxSeccomp) -> Result<Filter, SeccompError> {
    if seccomp.listener_metadata().is_some() && seccomp.listener_path().is_none() {
        return Err(SeccompError::NoListenerForMetadata);
    }
    let agent = if notifies(seccomp) { Some(Agent::of(seccomp)?) } else { None };
    let flags = flags(seccomp, agent.is_some());
    let default = action(seccomp.default_action(), seccomp.default_errno_ret(), "defaultErrnoRet")?;
    // The native architecture is always in it, as libseccomp has it.
    let mut conventions = vec![NATIVE];
    for arch in seccomp.architectures().iter().flatten() {
        match convention(*arch) {
            Some(found) if !conventions.contains(&found) => conventions.push(found),
            Some(_) => {}
            // A profile lists the architectures of many machines; those of others cannot make calls on this one.
            None => tracing::debug!("linux.seccomp.architectures: {arch} makes no calls on this processor"),
        }
    }
    name_unknown(seccomp, &conventions);
    let mut program = vec![statement(LOAD, ARCH)];
    let mut audits: Vec<u32> = conventions.iter().map(|convention| convention.audit).collect();
    audits.sort_unstable_by_key(|audit| *audit != NATIVE.audit);
    audits.dedup();
    for audit in audits {
        let code = for_audit_arch(seccomp, &conventions, audit, default)?;
        program.extend(either(IF_EQUAL, audit, code, Vec::new()));
    }
    program.push(statement(RETURN, KILL_PROCESS));
    if program.len() > 4096 {
        return Err(SeccompError::TooLong { instructions: program.len() });
    }
    Ok(Filter { program, flags, agent })
}

const KILL_PROCESS: u32 = 0x8000_0000;

/// Says which names no table has: they are ignored, as libseccomp does, since profiles are written for newer kernels.
fn name_unknown(seccomp: &LinuxSeccomp, conventions: &[Convention]) {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    for name in seccomp.syscalls().iter().flatten().flat_map(LinuxSyscall::names) {
        if conventions.iter().all(|convention| table::number(convention.calls, name).is_none()) {
            tracing::debug!("linux.seccomp.syscalls: {name} is not known here and ignored");
        }
    }
}

/// The code for all conventions that share an audit architecture: x32 differs from its 64-bit twin by a mark in the
/// call's number. Where it was asked for the mark is taken off, else it ends the process as another architecture does.
fn for_audit_arch(
    seccomp: &LinuxSeccomp,
    conventions: &[Convention],
    audit: u32,
    default: u32,
) -> Result<Code, SeccompError> {
    let mut same = conventions.iter().filter(|found| found.audit == audit);
    let Some(first) = same.next() else { return Ok(vec![statement(RETURN, KILL_PROCESS)]) };
    let plain = search_tree(seccomp, first, default)?;
    let mut code = vec![statement(LOAD, NUMBER)];
    if audit != NATIVE.audit {
        code.extend(plain);
    } else if same.next().is_some() {
        code.push(statement(AND, !X32_MARK));
        code.extend(plain);
    } else {
        let kill = vec![statement(RETURN, KILL_PROCESS)];
        code.extend(if first.mark == 0 {
            either(IF_AT_LEAST, X32_MARK, kill, plain)
        } else {
            either(IF_AT_LEAST, X32_MARK, plain, kill)
        });
    }
    Ok(code)
}

fn search_tree(seccomp: &LinuxSeccomp, convention: &Convention, default: u32) -> Result<Code, SeccompError> {
    // By number, and for each number in the order of the configuration.
    let mut rules: Vec<(u32, usize, &LinuxSyscall)> = Vec::with_capacity(convention.calls.len());
    for (order, rule) in seccomp.syscalls().iter().flatten().enumerate() {
        check_rule(rule)?;
        let numbers = rule.names().iter().filter_map(|name| table::number(convention.calls, name));
        rules.extend(numbers.map(|number| (number | convention.mark, order, rule)));
    }
    rules.sort_unstable_by_key(|(number, order, _)| (*number, *order));
    // Leaves by the first number they answer for, up to the next leaf.
    let mut leaves: Vec<(u32, Leaf)> = Vec::with_capacity(rules.len());
    leaves.push((convention.mark, Leaf::Answer(default)));
    for call in rules.chunk_by(|(one, ..), (other, ..)| one == other) {
        let Some((number, ..)) = call.first() else { continue };
        push_leaf(&mut leaves, *number, leaf(call, default)?);
        push_leaf(&mut leaves, number + 1, Leaf::Answer(default));
    }
    let mut code = Code::with_capacity(2 * leaves.len());
    emit(&leaves, &mut code);
    Ok(code)
}

/// The end of the search for a number.
#[derive(Debug, PartialEq, Eq)]
enum Leaf {
    /// The same, whatever the arguments.
    Answer(u32),
    Code(Code),
}

impl Leaf {
    fn len(&self) -> usize {
        match self {
            Self::Answer(_) => 1,
            Self::Code(code) => code.len(),
        }
    }
}

/// Adds a leaf that starts at `number`; one that starts there already gives way, one with the same answer goes on.
fn push_leaf(leaves: &mut Vec<(u32, Leaf)>, number: u32, leaf: Leaf) {
    if leaves.last().is_some_and(|(first, _)| *first == number) {
        leaves.pop();
    }
    if leaves.last().is_none_or(|(_, last)| *last != leaf) {
        leaves.push((number, leaf));
    }
}

/// Writes the search for a leaf: at each turn the upper half of them first, as [`either`] has it.
fn emit(leaves: &[(u32, Leaf)], code: &mut Code) {
    match leaves {
        [] => code.push(statement(RETURN, KILL_PROCESS)),
        [(_, Leaf::Answer(answer))] => code.push(statement(RETURN, *answer)),
        [(_, Leaf::Code(leaf))] => code.extend_from_slice(leaf),
        _ => {
            let (low, high) = leaves.split_at(leaves.len() / 2);
            let first = high.first().map_or(0, |(first, _)| *first);
            code.extend(branch(IF_AT_LEAST, first, len(high)).into_iter().flatten());
            emit(high, code);
            emit(low, code);
        }
    }
}

/// How many instructions [`emit`] writes.
fn len(leaves: &[(u32, Leaf)]) -> usize {
    match leaves {
        [] => 1,
        [(_, leaf)] => leaf.len(),
        _ => {
            let (low, high) = leaves.split_at(leaves.len() / 2);
            let len_high = len(high);
            len_high + len(low) + if len_high > usize::from(u8::MAX) { 2 } else { 1 }
        }
    }
}

/// One call's answer: the first rule whose arguments all match; a rule without arguments answers where none does.
fn leaf(rules: &[(u32, usize, &LinuxSyscall)], default: u32) -> Result<Leaf, SeccompError> {
    let mut code = Code::new();
    let mut last = default;
    for (_, _, rule) in rules {
        let answer = action(rule.action(), rule.errno_ret(), "syscalls[].errnoRet")?;
        let args = rule.args().as_deref().unwrap_or_default();
        if args.is_empty() {
            last = answer;
            continue;
        }
        // Several conditions on one argument are alternatives, as runc reads them: otherwise they could only be
        // one condition or none.
        let repeated =
            args.iter().enumerate().any(|(at, arg)| args[..at].iter().any(|o| o.index() == arg.index()));
        let alternatives: Vec<&[LinuxSeccompArg]> =
            if repeated { args.iter().map(std::slice::from_ref).collect() } else { vec![args] };
        for conditions in alternatives {
            let mut block = vec![statement(RETURN, answer)];
            for condition in conditions.iter().rev() {
                block = compare(condition, &block);
            }
            code.extend(block);
        }
    }
    if code.is_empty() {
        return Ok(Leaf::Answer(last));
    }
    code.push(statement(RETURN, last));
    Ok(Leaf::Code(code))
}

/// Code that runs `then` where the condition on a 64-bit argument holds, and else what follows `then`.
fn compare(arg: &LinuxSeccompArg, then: &[Instruction]) -> Code {
    let low_at = ARGS + 8 * u32::try_from(arg.index()).unwrap_or(0);
    let halves = |value: u64| ((value >> 32) as u32, (value & 0xffff_ffff) as u32);
    let load = |at| statement(LOAD, at);
    let (high, low) = halves(arg.value());
    let skip = then.len();
    // Each jump is relative to the next instruction; `n` is what stands between it and `then`.
    let past = |n: usize| u8::try_from(n + skip).unwrap_or(u8::MAX);
    let mut code = match arg.op() {
        LinuxSeccompOperator::ScmpCmpEq => vec![
            load(low_at + 4),
            jump(IF_EQUAL, high, 0, past(2)),
            load(low_at),
            jump(IF_EQUAL, low, 0, past(0)),
        ],
        LinuxSeccompOperator::ScmpCmpNe => {
            vec![load(low_at + 4), jump(IF_EQUAL, high, 0, 2), load(low_at), jump(IF_EQUAL, low, past(0), 0)]
        }
        LinuxSeccompOperator::ScmpCmpMaskedEq => {
            // value is the mask, valueTwo what is left under it.
            let (want_high, want_low) = halves(arg.value_two().unwrap_or(0));
            vec![
                load(low_at + 4),
                statement(AND, high),
                jump(IF_EQUAL, want_high, 0, past(3)),
                load(low_at),
                statement(AND, low),
                jump(IF_EQUAL, want_low, 0, past(0)),
            ]
        }
        // Greater high halves decide; equal ones leave it to the low halves.
        LinuxSeccompOperator::ScmpCmpGt => vec![
            load(low_at + 4),
            jump(IF_GREATER, high, 3, 0),
            jump(IF_EQUAL, high, 0, past(2)),
            load(low_at),
            jump(IF_GREATER, low, 0, past(0)),
        ],
        LinuxSeccompOperator::ScmpCmpGe => vec![
            load(low_at + 4),
            jump(IF_GREATER, high, 3, 0),
            jump(IF_EQUAL, high, 0, past(2)),
            load(low_at),
            jump(IF_AT_LEAST, low, 0, past(0)),
        ],
        LinuxSeccompOperator::ScmpCmpLt => vec![
            load(low_at + 4),
            jump(IF_GREATER, high, past(3), 0),
            jump(IF_EQUAL, high, 0, 2),
            load(low_at),
            jump(IF_AT_LEAST, low, past(0), 0),
        ],
        LinuxSeccompOperator::ScmpCmpLe => vec![
            load(low_at + 4),
            jump(IF_GREATER, high, past(3), 0),
            jump(IF_EQUAL, high, 0, 2),
            load(low_at),
            jump(IF_GREATER, low, past(0), 0),
        ],
    };
    code.extend_from_slice(then);
    code
}

fn check_rule(rule: &LinuxSyscall) -> Result<(), SeccompError> {
    let Some(call) = rule.names().first() else { return Err(SeccompError::NoNames) };
    match rule.args().iter().flatten().find(|arg| arg.index() > 5) {
        None => Ok(()),
        Some(arg) => Err(SeccompError::Argument { call: call.clone(), index: arg.index() }),
    }
}

/// `then` where the accumulator compares so with `k`, else `other`.
fn either(comparison: u16, k: u32, then: Code, other: Code) -> Code {
    let mut code: Code = branch(comparison, k, then.len()).into_iter().flatten().collect();
    code.extend(then);
    code.extend(other);
    code
}

/// Goes past `skipped` instructions unless the accumulator compares so with `k`; with a long jump where they are many.
fn branch(comparison: u16, k: u32, skipped: usize) -> [Option<Instruction>; 2] {
    match u8::try_from(skipped) {
        Ok(short) => [Some(jump(comparison, k, 0, short)), None],
        Err(_) => {
            let long = u32::try_from(skipped).unwrap_or(u32::MAX);
            [Some(jump(comparison, k, 1, 0)), Some(statement(JUMP, long))]
        }
    }
}

const fn statement(code: u16, k: u32) -> Instruction {
    Instruction { code, jump_true: 0, jump_false: 0, k }
}

const fn jump(code: u16, k: u32, jump_true: u8, jump_false: u8) -> Instruction {
    Instruction { code, jump_true, jump_false, k }
}
