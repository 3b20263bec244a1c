//! The limits as properties of a unit: systemd.resource-control(5). What systemd has no property for is written to the
//! group's own files afterwards, as everything else is, because systemd rounds some values.

use std::collections::HashMap;

use oci_spec::runtime::{LinuxCpu, LinuxMemory, LinuxResources};

use super::error::SystemdError;
use super::wire::{Property, Value};
use crate::cgroup::CgroupError;
use crate::cgroup::convert::{process_limit, swap_alone, weight_of_shares};
use crate::cgroup::setting::unsupported;

const NO_LIMIT: u64 = u64::MAX;

/// The properties that `resources` comes down to. They keep systemd from writing values of its own over ours.
pub(super) fn of_resources(resources: &LinuxResources) -> Result<Vec<Property>, CgroupError> {
    let mut properties = Vec::new();
    if let Some(memory) = resources.memory() {
        memory_properties(memory, &mut properties)?;
    }
    if let Some(cpu) = resources.cpu() {
        cpu_properties(cpu, &mut properties)?;
    }
    if let Some(pids) = resources.pids() {
        properties.push(number("TasksMax", process_limit(pids.limit())));
    }
    let weight = resources.block_io().as_ref().and_then(oci_spec::runtime::LinuxBlockIo::weight);
    if let Some(weight) = weight.filter(|weight| *weight != 0) {
        properties.push(number("IOWeight", Some(crate::cgroup::convert::io_weight(weight))));
    }
    for (file, value) in resources.unified().iter().flatten() {
        properties.extend(unified(file, value.trim()));
    }
    Ok(properties)
}

fn number(name: &str, value: Option<u64>) -> Property {
    (name.to_owned(), Value::U64(value.unwrap_or(NO_LIMIT)))
}

fn memory_properties(memory: &LinuxMemory, properties: &mut Vec<Property>) -> Result<(), CgroupError> {
    let set = |value: Option<i64>| value.filter(|value| *value != 0);
    for (name, value) in [
        ("MemoryMax", set(memory.limit())),
        ("MemoryLow", set(memory.reservation())),
        ("MemorySwapMax", swap_alone(memory)?),
    ] {
        properties.extend(value.map(|value| number(name, u64::try_from(value).ok())));
    }
    Ok(())
}

fn cpu_properties(cpu: &LinuxCpu, properties: &mut Vec<Property>) -> Result<(), CgroupError> {
    // An idle group's weight is not to be touched: only cpu.idle itself says so, in the group's file.
    if let Some(shares) = cpu.shares().filter(|shares| *shares > 0 && cpu.idle() != Some(1)) {
        properties.push(number("CPUWeight", Some(weight_of_shares(shares))));
    }
    let (quota, period) =
        (cpu.quota().filter(|quota| *quota != 0), cpu.period().filter(|period| *period != 0));
    properties.extend(period.map(|period| number("CPUQuotaPeriodUSec", Some(period))));
    properties.extend(quota.map(|quota| quota_property(u64::try_from(quota).ok(), period)));
    for (name, list, field) in
        [("AllowedCPUs", cpu.cpus(), "cpu.cpus"), ("AllowedMemoryNodes", cpu.mems(), "cpu.mems")]
    {
        if let Some(list) = list.as_deref().filter(|list| !list.is_empty()) {
            let bits =
                bits(list).ok_or_else(|| unsupported(field, "it is not a list of numbers and ranges"))?;
            properties.push((name.to_owned(), Value::Bytes(bits)));
        }
    }
    Ok(())
}

/// Microseconds of each second, rounded up to a hundredth of it, which is what systemd keeps.
fn quota_property(quota: Option<u64>, period: Option<u64>) -> Property {
    let per_second = quota.map(|quota| {
        let exact = u128::from(quota) * 1_000_000 / u128::from(period.unwrap_or(100_000));
        u64::try_from(exact.next_multiple_of(10_000)).unwrap_or(NO_LIMIT)
    });
    number("CPUQuotaPerSecUSec", per_second)
}

/// A list as the kernel takes it, `0-2,8`, as a bit for each number, the lowest first.
fn bits(list: &str) -> Option<Vec<u8>> {
    let mut bits = Vec::new();
    for range in list.split(',') {
        let (first, last) = range.trim().split_once('-').unwrap_or((range.trim(), range.trim()));
        // No machine has more processors or nodes than the kernel's 8192.
        for number in first.parse::<u16>().ok()?..=last.parse::<u16>().ok().filter(|last| *last < 8192)? {
            let byte = usize::from(number / 8);
            if bits.len() <= byte {
                bits.resize(byte + 1, 0);
            }
            *bits.get_mut(byte)? |= 1 << (number % 8);
        }
    }
    Some(bits)
}

/// The property that stands for a file of the group; None where there is none or the value is for the kernel to judge.
fn unified(file: &str, value: &str) -> Option<Property> {
    let name = match file {
        "cpu.max" => {
            let mut words = value.split_whitespace();
            let quota = words.next()?.parse().ok();
            return Some(quota_property(quota, words.next().and_then(|word| word.parse().ok())));
        }
        "cpuset.cpus" => return Some(("AllowedCPUs".to_owned(), Value::Bytes(bits(value)?))),
        "cpuset.mems" => return Some(("AllowedMemoryNodes".to_owned(), Value::Bytes(bits(value)?))),
        "cpu.weight" => "CPUWeight",
        "memory.high" => "MemoryHigh",
        "memory.low" => "MemoryLow",
        "memory.min" => "MemoryMin",
        "memory.max" => "MemoryMax",
        "memory.swap.max" => "MemorySwapMax",
        "pids.max" => "TasksMax",
        _ => return None,
    };
    let value = if value == "max" { None } else { Some(value.parse().ok()?) };
    Some(number(name, value))
}

/// Annotations `org.systemd.property.NAME` are properties, their values in GVariant's text form; as in runc a name
/// that ends in `Sec` is one of seconds, where D-Bus has microseconds.
pub(super) fn of_annotations(annotations: &HashMap<String, String>) -> Result<Vec<Property>, SystemdError> {
    let mut properties = Vec::new();
    for (key, text) in annotations {
        let Some(name) = key.strip_prefix("org.systemd.property.") else { continue };
        let refuse = || SystemdError::Annotation { name: name.to_owned(), value: text.clone() };
        let value = variant(text.trim()).ok_or_else(refuse)?;
        properties.push(match (name.strip_suffix("Sec"), value) {
            (Some(stem), value) if !name.ends_with("USec") => {
                let seconds = match value {
                    Value::I32(seconds) => u64::try_from(seconds).ok(),
                    Value::I64(seconds) => u64::try_from(seconds).ok(),
                    Value::U32(seconds) => Some(seconds.into()),
                    Value::U64(seconds) => Some(seconds),
                    _ => None,
                };
                let micros = seconds.and_then(|seconds| seconds.checked_mul(1_000_000)).ok_or_else(refuse)?;
                (format!("{stem}USec"), Value::U64(micros))
            }
            (_, value) => (name.to_owned(), value),
        });
    }
    properties.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    Ok(properties)
}

/// GVariant's text form: booleans, numbers with or without a type, strings in either quotes, lists of strings.
fn variant(text: &str) -> Option<Value> {
    if let Some(list) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        let words = list.split(',').map(|word| quoted(word.trim()));
        return words.collect::<Option<_>>().map(Value::Texts);
    }
    if let Some(text) = quoted(text) {
        return Some(Value::Text(text));
    }
    Some(match text.split_once(' ') {
        None if text == "true" => Value::Bool(true),
        None if text == "false" => Value::Bool(false),
        None => Value::I32(text.parse().ok()?),
        Some(("uint32", number)) => Value::U32(number.trim().parse().ok()?),
        Some(("uint64", number)) => Value::U64(number.trim().parse().ok()?),
        Some(("int32", number)) => Value::I32(number.trim().parse().ok()?),
        Some(("int64", number)) => Value::I64(number.trim().parse().ok()?),
        Some(_) => return None,
    })
}

fn quoted(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    (!inner.contains(['\\', quote])).then(|| inner.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(resources: serde_json::Value) -> HashMap<String, Value> {
        of_resources(&serde_json::from_value(resources).unwrap()).unwrap().into_iter().collect()
    }

    #[test]
    fn limits_become_the_properties_that_systemd_has_for_them() {
        let found = properties(serde_json::json!({
            "memory": {"limit": 1000, "swap": 1500, "reservation": -1},
            "cpu": {"shares": 1024, "quota": 33_333, "period": 100_000, "cpus": "0-2,9", "mems": "0"},
            "pids": {"limit": 7}, "blockIO": {"weight": 10},
            "unified": {"memory.high": "max", "hugetlb.2MB.max": "0"},
        }));
        let wanted = [
            ("MemoryMax", Value::U64(1000)),
            ("MemorySwapMax", Value::U64(500)),
            ("MemoryLow", Value::U64(NO_LIMIT)),
            ("MemoryHigh", Value::U64(NO_LIMIT)),
            ("CPUWeight", Value::U64(100)),
            ("CPUQuotaPerSecUSec", Value::U64(340_000)),
            ("CPUQuotaPeriodUSec", Value::U64(100_000)),
            ("AllowedCPUs", Value::Bytes(vec![0b111, 0b10])),
            ("AllowedMemoryNodes", Value::Bytes(vec![1])),
            ("TasksMax", Value::U64(7)),
            ("IOWeight", Value::U64(1)),
        ];
        assert_eq!(found, wanted.map(|(name, value)| (name.to_owned(), value)).into_iter().collect());
    }

    #[test]
    fn lists_that_are_no_lists_are_refused() {
        for list in ["a", "1-", "70000", "0-65535", "3-x", "-"] {
            assert!(bits(list).is_none(), "{list}");
        }
        let resources = serde_json::json!({"cpu": {"cpus": "x"}});
        let error = of_resources(&serde_json::from_value(resources).unwrap()).unwrap_err();
        assert!(error.to_string().contains("linux.resources.cpu.cpus"));
    }

    #[test]
    fn annotations_pass_properties_on_with_their_types() {
        let annotations = [
            ("org.systemd.property.TimeoutStopSec", "uint64 5"),
            ("org.systemd.property.CollectMode", "'inactive-or-failed'"),
            ("org.systemd.property.After", "['a.service', \"b.service\"]"),
            ("org.systemd.property.SendSIGHUP", "true"),
            ("other", "ignored"),
        ];
        let annotations = annotations.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let found = of_annotations(&annotations.into_iter().collect()).unwrap();
        let wanted = [
            ("After", Value::Texts(vec!["a.service".into(), "b.service".into()])),
            ("CollectMode", Value::Text("inactive-or-failed".into())),
            ("SendSIGHUP", Value::Bool(true)),
            ("TimeoutStopUSec", Value::U64(5_000_000)),
        ];
        assert_eq!(found, wanted.map(|(name, value)| (name.to_owned(), value)));
        for value in ["'a", "x", "['a' 'b']", "uint64 -1", ""] {
            let one = [("org.systemd.property.X".to_owned(), value.to_owned())];
            assert!(of_annotations(&one.into_iter().collect()).is_err(), "{value}");
        }
    }
}
