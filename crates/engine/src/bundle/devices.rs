//! Devices, and which of them may be used.

use super::BundleError;
use crate::settings::{DeviceMapping, Settings};
use oci_spec::runtime::{
    LinuxDevice, LinuxDeviceBuilder, LinuxDeviceCgroup, LinuxDeviceCgroupBuilder, LinuxDeviceType,
};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The nodes to make, besides those that every sandbox has.
pub(super) fn devices(settings: &Settings) -> Result<Vec<LinuxDevice>, BundleError> {
    let mut devices = Vec::new();
    if settings.privileged {
        for host in host_devices() {
            devices.push(device(&host, &host)?);
        }
    }
    for mapping in &settings.devices {
        for (host, container) in expand(mapping)? {
            devices.retain(|device: &LinuxDevice| device.path() != &container);
            devices.push(device(&host, &container)?);
        }
    }
    Ok(devices)
}

/// Which devices the sandbox's processes may open: none but those given to it (the runtime adds the usual ones).
pub(super) fn rules(settings: &Settings) -> Result<Vec<LinuxDeviceCgroup>, BundleError> {
    let all = LinuxDeviceCgroupBuilder::default().allow(settings.privileged).access("rwm").build()?;
    let mut rules = vec![all];
    if settings.privileged {
        return Ok(rules);
    }
    for mapping in &settings.devices {
        for (host, container) in expand(mapping)? {
            let device = device(&host, &container)?;
            rules.push(
                LinuxDeviceCgroupBuilder::default()
                    .allow(true)
                    .typ(device.typ())
                    .major(device.major())
                    .minor(device.minor())
                    .access(mapping.access.as_str())
                    .build()?,
            );
        }
    }
    Ok(rules)
}

/// A directory of devices stands for all in it, as with docker and podman.
fn expand(mapping: &DeviceMapping) -> Result<Vec<(PathBuf, PathBuf)>, BundleError> {
    let fail = |source| BundleError::Device { path: mapping.host.clone(), source };
    if !fs::metadata(&mapping.host).map_err(fail)?.is_dir() {
        return Ok(vec![(mapping.host.clone(), mapping.container.clone())]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(&mapping.host).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let kind = entry.file_type().map_err(fail)?;
        if kind.is_char_device() || kind.is_block_device() {
            found.push((entry.path(), mapping.container.join(entry.file_name())));
        }
    }
    Ok(found)
}

fn device(host: &Path, container: &Path) -> Result<LinuxDevice, BundleError> {
    let fail = |source| BundleError::Device { path: host.to_owned(), source };
    let metadata = fs::metadata(host).map_err(fail)?;
    let typ = match metadata.file_type() {
        kind if kind.is_char_device() => LinuxDeviceType::C,
        kind if kind.is_block_device() => LinuxDeviceType::B,
        _ => return Err(fail(std::io::Error::other("it is not a device"))),
    };
    let number = |part: u32| i64::from(part);
    Ok(LinuxDeviceBuilder::default()
        .path(container)
        .typ(typ)
        .major(number(rustix::fs::major(metadata.rdev())))
        .minor(number(rustix::fs::minor(metadata.rdev())))
        .file_mode(metadata.mode() & 0o7777)
        .uid(metadata.uid())
        .gid(metadata.gid())
        .build()?)
}

/// The host's device nodes at the top of `/dev`, but for terminals and those that every sandbox has of its own.
fn host_devices() -> Vec<PathBuf> {
    let own = ["null", "zero", "full", "random", "urandom", "tty", "console", "ptmx"];
    let Ok(entries) = fs::read_dir("/dev") else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let device = entry.file_type().is_ok_and(|kind| kind.is_char_device() || kind.is_block_device());
            device && !own.contains(&name.as_ref()) && !name.starts_with("tty") && !name.starts_with("vcs")
        })
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}
