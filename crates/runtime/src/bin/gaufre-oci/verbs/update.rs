//! update: other limits for a container that is there.

use std::io::Read;

use gaufre_runtime::state::Status;
use serde_json::{Map, Value, json};

use crate::args::{Args, Known, value};
use crate::command::{Command, Failure, Outcome};
use crate::global::Global;

/// Larger than any list of limits.
const MOST_BYTES: u64 = 1 << 20;

const OPTIONS: &[Known] = &[
    value(
        "resources",
        "r",
        "FILE",
        "linux.resources as JSON, - for standard input, in place of the options below",
    ),
    value("blkio-weight", "", "WEIGHT", "share of block devices, 10 to 1000"),
    value("cpu-period", "", "MICROSECONDS", "period of the processor quota"),
    value("cpu-quota", "", "MICROSECONDS", "processor time in a period, -1 for no limit"),
    value("cpu-burst", "", "MICROSECONDS", "how much unused quota may be saved up"),
    value("cpu-share", "", "SHARES", "share of the processors"),
    value("cpu-rt-period", "", "MICROSECONDS", "period of the real-time quota"),
    value("cpu-rt-runtime", "", "MICROSECONDS", "real-time processor time in a period"),
    value("cpu-idle", "", "0|1", "run only when nobody else wants to"),
    value("cpuset-cpus", "", "LIST", "processors that may be used"),
    value("cpuset-mems", "", "LIST", "memory nodes that may be used"),
    value("memory", "", "BYTES", "memory limit, -1 for none"),
    value("memory-reservation", "", "BYTES", "memory limit when memory is scarce"),
    value("memory-swap", "", "BYTES", "limit of memory and swap together, -1 for none"),
    value("pids-limit", "", "N", "limit of processes and threads, -1 for none"),
    value("kernel-memory", "", "BYTES", "refused: no kernel has it any more"),
    value("kernel-memory-tcp", "", "BYTES", "refused: no kernel has it any more"),
    value("l3-cache-schema", "", "SCHEMA", "refused: resource control is not supported"),
    value("mem-bw-schema", "", "SCHEMA", "refused: resource control is not supported"),
];

pub(crate) const UPDATE: Command = Command {
    name: "update",
    operands: "ID",
    about: "Change the limits of a container",
    options: OPTIONS,
    operand_count: usize::MAX,
    run,
};

fn run(global: &Global, args: &Args) -> Outcome {
    args.no_more(1)?;
    let state_dir = global.state_dir(args)?;
    let state = state_dir.load()?;
    let resources = resources(args)?;
    match state_dir.status(&state) {
        Status::Created | Status::Running | Status::Paused => state_dir.update(&state, &resources)?,
        status => return Err(format!("container not running: {} is {status}", state.id).into()),
    }
    Ok(0)
}

fn resources(args: &Args) -> Result<Value, Failure> {
    let json = match args.value("resources") {
        Some("-") => read(&mut std::io::stdin().lock())?,
        Some(path) => {
            let failed = |error| format!("{path}: {error}");
            read(&mut std::fs::File::open(path).map_err(failed)?).map_err(failed)?
        }
        None => return Ok(from_options(args)?),
    };
    Ok(serde_json::from_slice(&json).map_err(|error| format!("--resources: {error}"))?)
}

fn read(file: &mut dyn Read) -> std::io::Result<Vec<u8>> {
    let mut json = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut json)?;
    Ok(json)
}

/// The options in the form of `linux.resources`, so that they mean exactly what is meant there.
fn from_options(args: &Args) -> Result<Value, String> {
    for name in ["kernel-memory", "kernel-memory-tcp", "l3-cache-schema", "mem-bw-schema"] {
        if args.value(name).is_some() {
            return Err(format!("--{name} is not supported"));
        }
    }
    let mut resources = Map::new();
    let mut set = |section: &str, key: &str, value: Option<Value>| {
        let Some(value) = value else { return };
        let section = resources.entry(section).or_insert_with(|| json!({}));
        if let Some(section) = section.as_object_mut() {
            section.insert(key.to_owned(), value);
        }
    };
    let number = |name| args.parsed::<i64>(name).map(|number| number.map(Value::from));
    set("blockIO", "weight", number("blkio-weight")?);
    for (name, key) in [
        ("cpu-period", "period"),
        ("cpu-quota", "quota"),
        ("cpu-burst", "burst"),
        ("cpu-share", "shares"),
        ("cpu-rt-period", "realtimePeriod"),
        ("cpu-rt-runtime", "realtimeRuntime"),
        ("cpu-idle", "idle"),
    ] {
        set("cpu", key, number(name)?);
    }
    set("cpu", "cpus", args.value("cpuset-cpus").map(Value::from));
    set("cpu", "mems", args.value("cpuset-mems").map(Value::from));
    for (name, key) in [("memory", "limit"), ("memory-reservation", "reservation"), ("memory-swap", "swap")] {
        set("memory", key, args.value(name).map(|text| bytes(name, text)).transpose()?.map(Value::from));
    }
    set("pids", "limit", number("pids-limit")?);
    if resources.is_empty() {
        return Err("update needs --resources or one of its other options".to_owned());
    }
    Ok(Value::Object(resources))
}

/// A size in bytes, with a unit of 1024 or without: `512`, `64k`, `1.5GiB`, `-1`.
fn bytes(name: &str, text: &str) -> Result<i64, String> {
    if text == "-1" {
        return Ok(-1);
    }
    let wrong = || format!("--{name}: {text} is not a size");
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = lower.get(digits.len()..).unwrap_or_default();
    let shift = match unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(unit) {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return Err(wrong()),
    };
    let digits = digits.trim();
    if let Ok(number) = digits.parse::<u64>() {
        return number.checked_mul(1 << shift).and_then(|bytes| i64::try_from(bytes).ok()).ok_or_else(wrong);
    }
    // A fraction: exact in binary as far as anybody cares for.
    let (whole, fraction) = digits.split_once('.').ok_or_else(wrong)?;
    let whole: i64 = whole.parse().map_err(|_| wrong())?;
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let scale = 10_i64.pow(u32::try_from(fraction.len()).map_err(|_| wrong())?);
    let part: i64 = fraction.parse().map_err(|_| wrong())?;
    let unit = i128::from(1_i64 << shift);
    let total = i128::from(whole) * unit + i128::from(part) * unit / i128::from(scale);
    i64::try_from(total).ok().filter(|total| *total >= 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_of_1024() {
        for (text, size) in
            [("512", 512), ("64k", 65536), ("1M", 1 << 20), ("2GiB", 2 << 30), ("1.5g", 3 << 29), ("-1", -1)]
        {
            assert_eq!(bytes("memory", text), Ok(size), "{text}");
        }
        for text in ["", "k", "1x", "-2", "1.", "9999999p", "1.5.5"] {
            assert!(bytes("memory", text).is_err(), "{text}");
        }
    }
}
