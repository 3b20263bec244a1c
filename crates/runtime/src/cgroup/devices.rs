//! Which device nodes a sandbox may use: the rules of `linux.resources.devices`.

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceCgroupBuilder, LinuxDeviceType};

use super::CgroupError;
use super::setting::unsupported;

/// The rules for a container that was asked for nothing special: no device but the harmless ones, any node may be
/// made (not opened).
pub fn default_rules() -> Vec<LinuxDeviceCgroup> {
    let mut rules = vec![rule(false, LinuxDeviceType::A, None, None, "rwm")];
    rules.extend(always_allowed());
    rules
}

/// The rules in force: those of the configuration, then what every container may use. No rules, no control.
pub(super) fn effective(rules: &[LinuxDeviceCgroup]) -> Vec<LinuxDeviceCgroup> {
    if rules.is_empty() {
        return Vec::new();
    }
    let everything = rules.len() == 1 && rules.iter().all(|rule| rule.allow() && is_all(rule));
    if everything {
        return rules.to_vec();
    }
    let mut rules: Vec<_> = rules.iter().flat_map(by_type).collect();
    for extra in always_allowed() {
        if !rules.contains(&extra) {
            rules.push(extra);
        }
    }
    rules
}

/// A rule about all types that is not about all devices of them, or not about all that can be done, is one for each type:
/// the kernel's `a` means every device and everything.
fn by_type(rule: &LinuxDeviceCgroup) -> Vec<LinuxDeviceCgroup> {
    use LinuxDeviceType::{A, B, C};
    let any = |number: Option<i64>| number.is_none_or(|number| number < 0);
    let access = rule.access().as_deref().unwrap_or_default();
    let whole = access.is_empty() || ["r", "w", "m"].iter().all(|letter| access.contains(letter));
    if !matches!(rule.typ(), None | Some(A)) || (any(rule.major()) && any(rule.minor()) && whole) {
        return vec![rule.clone()];
    }
    let of = |kind| {
        let mut one = rule.clone();
        one.set_typ(Some(kind));
        one
    };
    vec![of(B), of(C)]
}

fn always_allowed() -> impl Iterator<Item = LinuxDeviceCgroup> {
    use LinuxDeviceType::{B, C};
    // Not 5:1: that is the host's console. A container's /dev/console is a terminal of its own devpts.
    let usable = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2)];
    [rule(true, C, None, None, "m"), rule(true, B, None, None, "m")]
        .into_iter()
        .chain(usable.map(|(major, minor)| rule(true, C, Some(major), Some(minor), "rwm")))
        .chain([rule(true, C, Some(136), None, "rwm")])
}

fn rule(
    allow: bool,
    kind: LinuxDeviceType,
    major: Option<i64>,
    minor: Option<i64>,
    access: &str,
) -> LinuxDeviceCgroup {
    let mut rule = LinuxDeviceCgroupBuilder::default().allow(allow).typ(kind).access(access);
    if let Some(major) = major {
        rule = rule.major(major);
    }
    if let Some(minor) = minor {
        rule = rule.minor(minor);
    }
    rule.build().unwrap_or_default()
}

/// Whether the rule is about every device.
pub(super) fn is_all(rule: &LinuxDeviceCgroup) -> bool {
    matches!(rule.typ(), None | Some(LinuxDeviceType::A))
}

/// The rule as devices.allow and devices.deny take it.
pub(super) fn v1_value(rule: &LinuxDeviceCgroup) -> Result<String, CgroupError> {
    if is_all(rule) {
        return Ok("a".to_owned());
    }
    let kind = if is_block(rule)? { "b" } else { "c" };
    Ok(format!("{kind} {}:{} {}", part(rule.major())?, part(rule.minor())?, access(rule)?))
}

/// Whether the rule, which is not about every device, is about block devices rather than character devices.
pub(super) fn is_block(rule: &LinuxDeviceCgroup) -> Result<bool, CgroupError> {
    match rule.typ() {
        Some(LinuxDeviceType::B) => Ok(true),
        Some(LinuxDeviceType::C | LinuxDeviceType::U) => Ok(false),
        _ => Err(unsupported("devices", "a rule can be about types a, b and c only")),
    }
}

/// A major or minor number; None and negative mean any.
fn part(number: Option<i64>) -> Result<String, CgroupError> {
    Ok(specific(number)?.map_or("*".to_owned(), |number| number.to_string()))
}

/// A major or minor number, None for any.
pub(super) fn specific(number: Option<i64>) -> Result<Option<u32>, CgroupError> {
    match number {
        Some(number) if number >= 0 => match u32::try_from(number) {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(unsupported("devices", "a device number is too big")),
        },
        _ => Ok(None),
    }
}

/// The letters r, w and m of a rule; without any, all.
pub(super) fn access(rule: &LinuxDeviceCgroup) -> Result<&str, CgroupError> {
    let access = rule.access().as_deref().filter(|access| !access.is_empty()).unwrap_or("rwm");
    if access.bytes().all(|letter| matches!(letter, b'r' | b'w' | b'm')) {
        return Ok(access);
    }
    Err(unsupported("devices", "access is made of r, w and m only"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_read_as_the_kernel_writes_them() {
        let values: Vec<_> = default_rules().iter().map(|rule| v1_value(rule).unwrap()).collect();
        assert_eq!(values[..4], ["a", "c *:* m", "b *:* m", "c 1:3 rwm"]);
    }

    #[test]
    fn a_rule_about_all_types_is_no_wider_than_it_says() {
        let narrow = [
            rule(true, LinuxDeviceType::A, None, None, "r"),
            rule(true, LinuxDeviceType::A, Some(5), None, "rwm"),
        ];
        let values: Vec<_> = effective(&narrow).iter().map(|rule| v1_value(rule).unwrap()).collect();
        assert_eq!(values[..4], ["b *:* r", "c *:* r", "b 5:* rwm", "c 5:* rwm"]);
        let denied = effective(&[rule(false, LinuxDeviceType::A, Some(-1), None, "mwr")]);
        assert_eq!(v1_value(&denied[0]).unwrap(), "a");
    }

    #[test]
    fn the_host_s_console_is_not_among_the_defaults() {
        assert!(!default_rules().iter().any(|rule| (rule.major(), rule.minor()) == (Some(5), Some(1))));
    }

    #[test]
    fn a_group_without_rules_stays_without_control() {
        assert!(effective(&[]).is_empty());
        assert_eq!(effective(&[rule(true, LinuxDeviceType::A, None, None, "rwm")]).len(), 1);
    }
}
