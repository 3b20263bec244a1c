//! Writes the OCI image layout: configs, manifests and the index, by the OCI image specification 1.1.

use super::layer::Blob;
use super::recipe::{self, IMAGES, ImageRecipe};
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Begins a layout in `dir` and returns the folder of its blobs.
pub(super) fn start(dir: &Path) -> Result<PathBuf> {
    let blobs = dir.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    fs::write(dir.join("oci-layout"), json!({"imageLayoutVersion": "1.0.0"}).to_string())?;
    Ok(blobs)
}

/// Writes every image over the finished layers, and the index that names them.
pub(super) fn finish(dir: &Path, layers: &BTreeMap<&str, Blob>) -> Result<()> {
    let blobs = dir.join("blobs/sha256");
    let mut manifests = Vec::new();
    for image in IMAGES {
        let layers: Vec<&Blob> = recipe::layers(image)
            .into_iter()
            .map(|layer| {
                layers.get(layer.name).with_context(|| format!("the layer {} was not made", layer.name))
            })
            .collect::<Result<_>>()?;
        let config = put(&blobs, "application/vnd.oci.image.config.v1+json", &config(image, &layers))?;
        let mut manifest = put(&blobs, MANIFEST, &manifest(&config, &layers))?;
        manifest["annotations"] = json!({"org.opencontainers.image.ref.name": image.name});
        manifests.push(manifest);
    }
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": manifests,
    });
    fs::write(dir.join("index.json"), index.to_string())?;
    Ok(())
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn config(image: &ImageRecipe, layers: &[&Blob]) -> Value {
    let ports: Map<String, Value> = image.ports.iter().map(|port| ((*port).to_owned(), json!({}))).collect();
    let mut config = json!({"Env": image.env, "Cmd": image.cmd});
    let mut set = |name: &str, value: Value, given: bool| {
        if given {
            config[name] = value;
        }
    };
    set("Entrypoint", json!(image.entrypoint), !image.entrypoint.is_empty());
    set("User", json!(image.user), !image.user.is_empty());
    set("ExposedPorts", Value::Object(ports), !image.ports.is_empty());
    set("WorkingDir", json!(image.workdir), !image.workdir.is_empty());
    set("StopSignal", json!(image.stop_signal), !image.stop_signal.is_empty());
    json!({
        "created": "2024-01-01T00:00:00Z",
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|layer| &layer.diff_id).collect::<Vec<_>>()},
        "history": recipe::layers(image)
            .iter()
            .map(|layer| json!({"created": "2024-01-01T00:00:00Z", "created_by": format!("xtask images: {}", layer.name)}))
            .collect::<Vec<_>>(),
    })
}

fn manifest(config: &Value, layers: &[&Blob]) -> Value {
    let layer = |blob: &&Blob| {
        json!({
            "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
            "digest": blob.digest,
            "size": blob.size_bytes,
        })
    };
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": layers.iter().map(layer).collect::<Vec<_>>(),
    })
}

/// Writes `document` as a blob and returns its descriptor.
fn put(blobs: &Path, media_type: &str, document: &Value) -> Result<Value> {
    let bytes = document.to_string();
    let digest = hex::encode(Sha256::digest(&bytes));
    fs::write(blobs.join(&digest), &bytes)?;
    Ok(json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len()}))
}
