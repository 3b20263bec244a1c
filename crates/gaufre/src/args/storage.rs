//! What the workload sees of files and devices besides its image.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use gaufre_engine::settings::{DeviceMapping, Settings, TmpfsArg, VolumeArg, VolumeSource, parse_size};

use super::invalid;
use super::mount::{Mount, parse_mount};
use crate::failure::{CliError, Result};

/// What the workload sees of files and devices besides its image.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Files and devices")]
pub(crate) struct StorageArgs {
    /// Mount a host path or a volume: [SOURCE:]DIR[:OPTIONS], such as ./a:/a:ro
    #[arg(short, long, value_name = "VOLUME")]
    volume: Vec<VolumeArg>,

    /// The same in other words: type=bind|volume|tmpfs,source=..,target=..
    #[arg(long, value_name = "KEY=VALUE,...")]
    mount: Vec<String>,

    /// Mount an empty filesystem in memory; OPTS such as size=64m
    #[arg(long, value_name = "DIR[:OPTS]")]
    tmpfs: Vec<TmpfsArg>,

    /// Make the root filesystem read-only
    #[arg(long)]
    read_only: bool,

    /// Size of /dev/shm
    #[arg(long, value_name = "SIZE", value_parser = parse_size, default_value = "64m")]
    shm_size: u64,

    /// Give a device of the host: PATH[:INSIDE][:rwm]
    #[arg(long, value_name = "DEVICE", value_delimiter = ',')]
    device: Vec<DeviceMapping>,
}

impl StorageArgs {
    pub(super) fn apply(&self, settings: &mut Settings) {
        settings.read_only = self.read_only;
        settings.shm_size_bytes = self.shm_size;
        settings.devices.clone_from(&self.device);
    }

    /// Everything to mount, with host paths made absolute from `cwd`.
    pub(super) fn mounts(&self, cwd: &Path) -> Result<(Vec<VolumeArg>, Vec<TmpfsArg>)> {
        let (mut volumes, mut tmpfs) = (self.volume.clone(), self.tmpfs.clone());
        for text in &self.mount {
            match parse_mount(text).map_err(|error| invalid("mount", error))? {
                Mount::Volume(volume) => volumes.push(volume),
                Mount::Tmpfs(mount) => tmpfs.push(mount),
            }
        }
        for volume in &mut volumes {
            if let VolumeSource::Host(path) = &mut volume.source {
                *path = absolute(cwd, path);
            }
        }
        let mut taken = BTreeSet::new();
        let places =
            volumes.iter().map(|volume| &volume.destination).chain(tmpfs.iter().map(|mount| &mount.path));
        for place in places {
            if !taken.insert(place.as_path()) {
                return Err(CliError::new(format_args!(
                    "two mounts have the same place '{}'",
                    place.display()
                )));
            }
        }
        Ok((volumes, tmpfs))
    }
}

/// `path` from `cwd`, without `.`; `..` is left to the kernel, as the directory before it may be a link.
fn absolute(cwd: &Path, path: &Path) -> PathBuf {
    cwd.join(path).components().collect()
}
