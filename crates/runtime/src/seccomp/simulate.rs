//! Compiled filters judged by an interpreter of classic BPF, call by call.

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompOperator};
use serde_json::json;

use super::compile::compile;
use super::default_profile;
use crate::sys::seccomp::Instruction;

const X86_64: u32 = 0xc000_003e;
const X86: u32 = 0x4000_0003;
const ALLOW: u32 = 0x7fff_0000;
const KILL: u32 = 0x8000_0000;
const ERRNO: u32 = 0x0005_0000;

/// What the filter answers.
fn answer(program: &[Instruction], arch: u32, number: u32, args: [u64; 6]) -> u32 {
    let load = |at: u32| match at {
        0 => number,
        4 => arch,
        at => {
            let arg = args[(at as usize - 16) / 8];
            if at % 8 == 0 { (arg & 0xffff_ffff) as u32 } else { (arg >> 32) as u32 }
        }
    };
    let (mut at, mut accumulator) = (0, 0);
    loop {
        let Instruction { code, jump_true, jump_false, k } = program[at];
        at += 1;
        let holds = match code {
            0x20 => {
                accumulator = load(k);
                continue;
            }
            0x54 => {
                accumulator &= k;
                continue;
            }
            0x05 => {
                at += k as usize;
                continue;
            }
            0x06 => return k,
            0x15 => accumulator == k,
            0x25 => accumulator > k,
            0x35 => accumulator >= k,
            other => panic!("unknown code {other:#x}"),
        };
        at += usize::from(if holds { jump_true } else { jump_false });
    }
}

fn profile(json: serde_json::Value) -> Vec<Instruction> {
    let seccomp: LinuxSeccomp = serde_json::from_value(json).unwrap();
    compile(&seccomp).unwrap().program
}

#[test]
fn every_comparison_of_64_bits_is_exact() {
    let interesting =
        [0, 1, 5, 0xffff_ffff, 0x1_0000_0000, 0x1_0000_0005, 0x5_0000_0001, u64::MAX - 1, u64::MAX];
    type Holds = fn(u64, u64) -> bool;
    let operators: [(LinuxSeccompOperator, Holds); 6] = [
        (LinuxSeccompOperator::ScmpCmpEq, |a, b| a == b),
        (LinuxSeccompOperator::ScmpCmpNe, |a, b| a != b),
        (LinuxSeccompOperator::ScmpCmpLt, |a, b| a < b),
        (LinuxSeccompOperator::ScmpCmpLe, |a, b| a <= b),
        (LinuxSeccompOperator::ScmpCmpGt, |a, b| a > b),
        (LinuxSeccompOperator::ScmpCmpGe, |a, b| a >= b),
    ];
    for (operator, holds) in operators {
        for wanted in interesting {
            let rule = json!({"names": ["read"], "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 2, "value": wanted, "op": operator}, {"index": 0, "value": 3, "op": "SCMP_CMP_EQ"}]});
            let program = profile(json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule]}));
            for given in interesting {
                let expected = if holds(given, wanted) { ALLOW } else { ERRNO | 1 };
                let found = answer(&program, X86_64, 0, [3, 0, given, 0, 0, 0]);
                assert_eq!(found, expected, "{given:#x} {operator:?} {wanted:#x}");
                assert_eq!(answer(&program, X86_64, 0, [4, 0, given, 0, 0, 0]), ERRNO | 1);
            }
        }
    }
}

#[test]
fn a_masked_comparison_looks_at_the_mask_only() {
    let rule = json!({"names": ["clone"], "action": "SCMP_ACT_ALLOW",
        "args": [{"index": 0, "value": 0x1_7e02_0000_u64, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]});
    let program =
        profile(json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "syscalls": [rule]}));
    let clone = |flags| answer(&program, X86_64, 56, [flags, 0, 0, 0, 0, 0]);
    assert_eq!(clone(0x11), ALLOW);
    assert_eq!(clone(0x1000_0011), ERRNO | 38);
    assert_eq!(clone(0x1_0000_0011), ERRNO | 38);
}

#[test]
fn architectures_not_asked_for_end_the_process() {
    let rules = json!([{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]);
    let one = profile(json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules}));
    assert_eq!(answer(&one, X86, 3, [0; 6]), KILL);
    assert_eq!(answer(&one, X86_64, 0x4000_0000, [0; 6]), KILL);
    let all = json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64"]);
    let all = profile(json!({"defaultAction": "SCMP_ACT_ERRNO", "architectures": all, "syscalls": rules}));
    assert_eq!(answer(&all, X86, 3, [0; 6]), ALLOW);
    assert_eq!(answer(&all, X86, 0, [0; 6]), ERRNO | 1);
    assert_eq!(answer(&all, X86_64, 0x4000_0000, [0; 6]), ALLOW);
    assert_eq!(answer(&all, 0xc000_00b7, 63, [0; 6]), KILL);
}

#[test]
fn the_default_profile_answers_each_call_as_its_lists_say() {
    let profile = default_profile(&crate::spec::default_capabilities());
    let program = compile(&profile).unwrap().program;
    let rules = profile.syscalls().as_ref().unwrap();
    for (name, number) in super::table::X86_64 {
        let rule = rules.iter().find(|rule| rule.names().iter().any(|other| other == name));
        if rule.is_some_and(|rule| rule.args().is_some()) {
            continue;
        }
        let expected = rule.map_or(ERRNO | 38, |rule| rule.action().as_u32(rule.errno_ret()));
        assert_eq!(answer(&program, X86_64, *number, [0; 6]), expected, "{name}");
    }
    assert_eq!(answer(&program, X86_64, 56, [0x11, 0, 0, 0, 0, 0]), ALLOW);
    for bit in [17, 25, 26, 27, 28, 29, 30] {
        let flags = 0x11 | 1 << bit;
        assert_eq!(answer(&program, X86_64, 56, [flags, 0, 0, 0, 0, 0]), ERRNO | 1, "{flags:#x}");
    }
    for (arch, socket) in [(X86_64, 41), (X86_64, 41 | 0x4000_0000), (X86, 359)] {
        for family in [40, 38, 40 | 1 << 32, 38 | 1 << 32, 40 | u64::MAX << 32] {
            let found = answer(&program, arch, socket, [family, 0, 0, 0, 0, 0]);
            assert_eq!(found, ERRNO | 38, "{arch:#x} {family:#x}");
        }
        for family in (0..64).filter(|family| !matches!(family, 38 | 40)) {
            assert_eq!(answer(&program, arch, socket, [family, 0, 0, 0, 0, 0]), ALLOW, "{arch:#x} {family}");
        }
    }
    // socketcall: SOCKET is the first of twenty.
    for what in 1..=20 {
        let expected = if what == 1 { ERRNO | 1 } else { ALLOW };
        assert_eq!(answer(&program, X86, 102, [what, 0, 0, 0, 0, 0]), expected, "socketcall {what}");
    }
    for (persona, expected) in [(0, ALLOW), (8, ALLOW), (0xffff_ffff, ALLOW), (0x0040_0000, ERRNO | 38)] {
        assert_eq!(answer(&program, X86_64, 135, [persona, 0, 0, 0, 0, 0]), expected, "{persona:#x}");
    }
    assert_eq!(answer(&program, X86_64, 9999, [0; 6]), ERRNO | 38);
}

#[test]
fn calls_are_handed_over_only_to_an_agent_that_is_named() {
    let read = json!({"names": ["read"], "action": "SCMP_ACT_NOTIFY"});
    let filter = |json| compile(&serde_json::from_value(json).unwrap()).map_err(|error| error.to_string());
    let error = filter(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [read]})).unwrap_err();
    assert!(error.contains("listenerPath"), "{error}");
    let error = filter(json!({"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/x"})).unwrap_err();
    assert!(error.contains("defaultAction"), "{error}");
    let error = filter(json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x"})).unwrap_err();
    assert!(error.contains("listenerMetadata"), "{error}");
    let both = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [read], "listenerPath": "/x",
        "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "SECCOMP_FILTER_FLAG_LOG"]});
    let both = filter(both).unwrap();
    assert!(both.agent.is_some());
    assert_eq!(both.flags, 0b10_1010);
    assert_eq!(answer(&both.program, X86_64, 0, [0; 6]), 0x7fc0_0000);
    // A path without calls to hand over means nothing.
    let none = json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x",
        "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]});
    let none = filter(none).unwrap();
    assert_eq!((none.agent.is_none(), none.flags), (true, 0b100));
}

#[test]
fn every_action_has_its_answer_and_an_error_number_only_where_it_means_one() {
    for (action, number, wanted) in [
        ("SCMP_ACT_KILL", None, Some(0)),
        ("SCMP_ACT_KILL_THREAD", None, Some(0)),
        ("SCMP_ACT_KILL_PROCESS", None, Some(KILL)),
        ("SCMP_ACT_TRAP", None, Some(0x0003_0000)),
        ("SCMP_ACT_ERRNO", None, Some(ERRNO | 1)),
        ("SCMP_ACT_ERRNO", Some(38), Some(ERRNO | 38)),
        ("SCMP_ACT_ERRNO", Some(0), Some(ERRNO)),
        ("SCMP_ACT_ERRNO", Some(4096), None),
        ("SCMP_ACT_TRACE", None, Some(0x7ff0_0001)),
        ("SCMP_ACT_TRACE", Some(0xffff), Some(0x7ff0_ffff)),
        ("SCMP_ACT_TRACE", Some(0x1_0000), None),
        ("SCMP_ACT_LOG", None, Some(0x7ffc_0000)),
        ("SCMP_ACT_ALLOW", None, Some(ALLOW)),
        ("SCMP_ACT_ALLOW", Some(1), None),
        ("SCMP_ACT_KILL_PROCESS", Some(1), None),
        ("SCMP_ACT_LOG", Some(1), None),
    ] {
        let rule = json!({"names": ["read"], "action": action, "errnoRet": number});
        let seccomp = json!({"defaultAction": "SCMP_ACT_TRAP", "syscalls": [rule]});
        let compiled = compile(&serde_json::from_value(seccomp).unwrap());
        let found = compiled.as_ref().ok().map(|filter| answer(&filter.program, X86_64, 0, [0; 6]));
        assert_eq!(found, wanted, "{action} {number:?}");
        if wanted.is_none() {
            assert!(compiled.unwrap_err().to_string().contains("errnoRet"));
        }
    }
}

#[test]
fn the_native_architecture_is_always_in_the_filter() {
    let rules = json!([{"names": ["read"], "action": "SCMP_ACT_ERRNO"}]);
    let archs = json!(["SCMP_ARCH_X86", "SCMP_ARCH_X32"]);
    let program =
        profile(json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": archs, "syscalls": rules}));
    for (arch, read) in [(X86_64, 0), (X86_64, 0x4000_0000), (X86, 3)] {
        assert_eq!(answer(&program, arch, read, [0; 6]), ERRNO | 1);
        assert_eq!(answer(&program, arch, read + 1, [0; 6]), ALLOW);
    }
}

#[test]
fn a_rule_is_about_at_least_one_call_and_six_arguments_at_most() {
    let refused = |rule: serde_json::Value| {
        let seccomp = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]});
        compile(&serde_json::from_value(seccomp).unwrap()).unwrap_err().to_string()
    };
    assert!(refused(json!({"names": [], "action": "SCMP_ACT_ERRNO"})).contains("names"));
    let args = json!([{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]);
    let error = refused(json!({"names": ["read"], "action": "SCMP_ACT_ERRNO", "args": args}));
    assert!(error.contains("read has no argument number 6"), "{error}");
}

#[test]
fn calls_that_no_table_knows_are_ignored() {
    let rules = json!([{"names": ["not_a_call", "read"], "action": "SCMP_ACT_ERRNO"}]);
    let program = profile(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}));
    assert_eq!(answer(&program, X86_64, 0, [0; 6]), ERRNO | 1);
}
