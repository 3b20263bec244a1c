//! What the store takes on disk, as `system df` shows it.

use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;

use oci_spec::image::Digest;
use rustix::fs::{AtFlags, FileType};

use crate::gc::GcError;
use crate::store::{Store, part};
use crate::tree;

/// How deep a tree is measured; deeper files do not count. No descriptor is held for more levels than this.
const MAX_DEPTH: usize = 200;

/// What sandboxes use, which the engine knows and the store does not.
#[derive(Debug, Clone, Copy, Default)]
pub struct InUse<'a> {
    /// Images that sandboxes were made from, running or not.
    pub images: &'a [Digest],
    /// Sandboxes that run.
    pub sandboxes: &'a [String],
    /// Volumes that sandboxes mount.
    pub volumes: &'a [String],
}

/// One line of `system df`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many there are.
    pub count: u64,
    /// How many are in use.
    pub active: u64,
    /// What all take, in bytes.
    pub bytes: u64,
    /// What those take that are not in use, in bytes.
    pub reclaimable_bytes: u64,
}

/// All lines of `system df`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// Images; a layer that several share counts once.
    pub images: Usage,
    /// Layers on disk, those of no image included.
    pub layers: Usage,
    /// Directories of sandboxes: what they wrote, and their logs.
    pub sandboxes: Usage,
    /// Volumes.
    pub volumes: Usage,
}

impl Store {
    /// Measures what the store takes.
    ///
    /// # Errors
    /// A part of it cannot be read.
    pub fn df(&self, in_use: &InUse<'_>) -> Result<DiskUsage, GcError> {
        let failed = |source: io::Error| GcError::Io {
            action: "measure",
            name: self.root.display().to_string(),
            source,
        };
        let (images, active_layers) = self.image_usage(in_use)?;
        let mut usage = DiskUsage { images, ..DiskUsage::default() };
        for hex in self.layer_names().map_err(failed)? {
            let size = self.layer_info(&hex).ok().flatten().map_or(0, |info| info.size_bytes);
            usage.layers.add(size, active_layers.contains(&hex));
        }
        let sandboxes = self.part(part::SANDBOXES).map_err(failed)?;
        for id in tree::names(&sandboxes).map_err(|error| failed(error.into()))? {
            usage.sandboxes.add(measure(&sandboxes, &id), in_use.sandboxes.contains(&id));
        }
        let volumes = self.part(part::VOLUMES).map_err(failed)?;
        for name in tree::names(&volumes).map_err(|error| failed(error.into()))? {
            usage.volumes.add(measure(&volumes, &name), in_use.volumes.contains(&name));
        }
        Ok(usage)
    }

    /// The line of images, and the layers of those in use.
    fn image_usage(&self, in_use: &InUse<'_>) -> Result<(Usage, HashSet<String>), GcError> {
        let images = self.images().list()?;
        let mut usage = Usage { count: images.len() as u64, ..Usage::default() };
        let (mut all, mut active) = (HashSet::new(), HashSet::new());
        for named in &images {
            let is_active = in_use.images.contains(&named.image.id);
            usage.active += u64::from(is_active);
            for layer in &named.image.layers {
                all.insert(layer.digest().to_owned());
                if is_active {
                    active.insert(layer.digest().to_owned());
                }
            }
        }
        for hex in &all {
            let size = self.layer_info(hex).ok().flatten().map_or(0, |info| info.size_bytes);
            usage.bytes += size;
            usage.reclaimable_bytes += if active.contains(hex) { 0 } else { size };
        }
        Ok((usage, active))
    }
}

impl Usage {
    fn add(&mut self, bytes: u64, active: bool) {
        self.count += 1;
        self.active += u64::from(active);
        self.bytes += bytes;
        self.reclaimable_bytes += if active { 0 } else { bytes };
    }
}

/// What `name` and all below it take on disk, in bytes; links and mounts are not followed. What cannot be read,
/// or vanishes meanwhile, counts as nothing.
pub(crate) fn measure(dir: &OwnedFd, name: &str) -> u64 {
    let mut seen = HashSet::new();
    tree::open_dir(dir, name).map_or(0, |dir| measure_dir(&dir, 0, &mut seen))
}

fn measure_dir(dir: &OwnedFd, depth: usize, seen: &mut HashSet<u64>) -> u64 {
    let mut bytes = 0;
    for (name, _) in tree::entries(dir).unwrap_or_default() {
        let Ok(stat) = rustix::fs::statat(dir, &*name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        if stat.st_nlink < 2 || seen.insert(stat.st_ino) {
            bytes += u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
        }
        if FileType::from_raw_mode(stat.st_mode).is_dir()
            && depth < MAX_DEPTH
            && let Ok(below) = tree::open_dir(dir, &*name)
        {
            bytes += measure_dir(&below, depth + 1, seen);
        }
    }
    bytes
}
