//! `cargo xtask images`: makes the real test images from Debian's packages, once, in an OCI image layout.
//!
//! The base is a small Debian by mmdebstrap. Every other layer is what a chroot's `apt-get install` wrote into the
//! upper directory of an overlay on the layers below, so images share layers exactly as built images do.

mod chroot;
mod layer;
mod layout;
mod recipe;

use crate::{cache, debian};
use anyhow::{Context, Result};
use recipe::{IMAGES, LAYERS, LayerRecipe};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What this code needs on the machine.
pub(crate) const PACKAGES: &[&str] = &["mmdebstrap", "debian-archive-keyring", "util-linux"];

/// Makes the images unless they are cached, and returns the OCI layout that holds them all.
pub(crate) fn make() -> Result<PathBuf> {
    let dir = cache::folder("images")?;
    let name = cache::key(&[recipe::VERSION, recipe::SUITE, &format!("{LAYERS:?}{IMAGES:?}")]);
    let layout = cache::once(&dir, &name, |scratch| {
        debian::install(PACKAGES)?;
        make_in(scratch)
    })?;
    cache::point(&dir, "latest", Path::new(&name))?;
    Ok(layout)
}

/// Makes every layer in order, compressing each while the next is being installed, then writes the images.
fn make_in(scratch: &Path) -> Result<()> {
    let started = Instant::now();
    let trees = scratch.join("trees");
    fs::create_dir(&trees)?;
    let blobs = layout::start(scratch)?;
    let finished = std::thread::scope(|scope| -> Result<BTreeMap<&str, layer::Blob>> {
        let mut packing = Vec::new();
        for recipe in LAYERS {
            let tree = trees.join(recipe.name);
            install(recipe, &trees, &tree)
                .with_context(|| format!("the layer {} could not be made", recipe.name))?;
            println!("{:>5.0} s  layer {} installed", started.elapsed().as_secs_f32(), recipe.name);
            let blobs = &blobs;
            packing.push((recipe.name, scope.spawn(move || layer::pack(&tree, blobs))));
        }
        let join =
            |(name, thread): (&'static str, std::thread::ScopedJoinHandle<'_, Result<layer::Blob>>)| {
                let packed =
                    thread.join().map_err(|_| anyhow::anyhow!("packing the layer {name} panicked"))?;
                Ok((name, packed.with_context(|| format!("the layer {name} could not be packed"))?))
            };
        packing.into_iter().map(join).collect()
    })?;
    layout::finish(scratch, &finished)?;
    cache::remove(&trees)?;
    println!("{:>5.0} s  all images written", started.elapsed().as_secs_f32());
    Ok(())
}

fn install(recipe: &LayerRecipe, trees: &Path, tree: &Path) -> Result<()> {
    match recipe.parent {
        None => chroot::bootstrap(recipe, tree),
        Some(_) => {
            let lower: Vec<PathBuf> = recipe::below(recipe).map(|below| trees.join(below.name)).collect();
            chroot::install(recipe, &lower, tree)
        }
    }
}
