//! What is to be mounted: as asked for, and what the image declares.

use super::{CreateError, random_hex};
use crate::sandbox::{Mount, MountSource};
use crate::settings::{CreateRequest, VolumeArg, VolumeOptions, VolumeSource};
use oci_spec::image::ImageConfiguration;
use std::path::{Path, PathBuf};

/// Directories that a sandbox with a read-only root can still write to, as with podman.
const WRITABLE_UNDER_READ_ONLY: [&str; 3] = ["/run", "/tmp", "/var/tmp"];

pub(super) fn mounts(
    request: &CreateRequest,
    config: &ImageConfiguration,
) -> Result<Vec<Mount>, CreateError> {
    let mut mounts: Vec<Mount> = Vec::new();
    let taken = |mounts: &[Mount], path: &Path| mounts.iter().any(|mount| mount.destination == path);
    for volume in &request.volumes {
        if taken(&mounts, &volume.destination) {
            return Err(CreateError::MountedTwice(volume.destination.clone()));
        }
        if volume.options.chown {
            return Err(CreateError::ChangeOwner(volume.destination.clone()));
        }
        mounts.push(asked(volume)?);
    }
    for tmpfs in &request.tmpfs {
        if taken(&mounts, &tmpfs.path) {
            return Err(CreateError::MountedTwice(tmpfs.path.clone()));
        }
        mounts.push(Mount {
            destination: tmpfs.path.clone(),
            source: MountSource::Tmpfs,
            options: tmpfs.options.clone(),
        });
    }
    let declared = config.config().as_ref().and_then(|config| config.volumes().clone()).unwrap_or_default();
    if declared.len() > MOST_VOLUMES {
        return Err(CreateError::TooManyVolumes(declared.len()));
    }
    for path in declared {
        let path = declared_volume(path)?;
        if !taken(&mounts, &path) {
            mounts.push(volume(random_hex()?, true, path, &VolumeOptions::default()));
        }
    }
    if request.settings.read_only {
        for path in WRITABLE_UNDER_READ_ONLY.map(Path::new) {
            if !taken(&mounts, path) {
                mounts.push(Mount {
                    destination: path.to_owned(),
                    source: MountSource::Tmpfs,
                    options: ["rw", "nosuid", "nodev", "mode=1777"].map(str::to_owned).to_vec(),
                });
            }
        }
    }
    Ok(mounts)
}

/// No image needs more volumes of its own.
const MOST_VOLUMES: usize = 256;

/// A place for a volume, as an image declares it: understood as `-v` understands it, and never one that the sandbox's
/// own protection depends on.
fn declared_volume(path: String) -> Result<PathBuf, CreateError> {
    let refused = |path: String| CreateError::DeclaredVolume(path.chars().take(200).collect());
    let Ok(VolumeArg { source: VolumeSource::Anonymous, destination, .. }) = path.parse::<VolumeArg>() else {
        return Err(refused(path));
    };
    let protected = ["/proc", "/sys", "/dev"].iter().any(|taken| destination.starts_with(taken));
    if protected || path.len() > 4095 { Err(refused(path)) } else { Ok(destination) }
}

fn asked(wanted: &VolumeArg) -> Result<Mount, CreateError> {
    let destination = wanted.destination.clone();
    Ok(match &wanted.source {
        VolumeSource::Host(path) => {
            Mount { destination, source: MountSource::Bind(path.clone()), options: options(&wanted.options) }
        }
        VolumeSource::Named(name) => volume(name.clone(), false, destination, &wanted.options),
        VolumeSource::Anonymous => volume(random_hex()?, true, destination, &wanted.options),
    })
}

fn volume(name: String, anonymous: bool, destination: PathBuf, wanted: &VolumeOptions) -> Mount {
    let source = MountSource::Volume { name, anonymous, copy_up: !wanted.no_copy };
    Mount { destination, source, options: options(wanted) }
}

/// As words of mount(8), which the runtime specification takes.
fn options(wanted: &VolumeOptions) -> Vec<String> {
    let mut words = vec![
        if wanted.recursive { "rbind" } else { "bind" },
        if wanted.read_only { "ro" } else { "rw" },
        wanted.propagation.name(),
    ];
    for (asked, on, off) in
        [(wanted.exec, "exec", "noexec"), (wanted.suid, "suid", "nosuid"), (wanted.dev, "dev", "nodev")]
    {
        words.extend(asked.map(|asked| if asked { on } else { off }));
    }
    words.into_iter().map(str::to_owned).collect()
}
