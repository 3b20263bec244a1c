//! The manifest and config that a faulty registry serves: consistent with each other, except for the fault.

use super::Fault;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;

#[derive(Debug)]
pub(super) struct Documents {
    pub(super) manifest: Vec<u8>,
    /// The digest that the manifest has without its fault.
    pub(super) manifest_digest: String,
    pub(super) config: Vec<u8>,
    pub(super) config_digest: String,
    /// The hexadecimal digits of the layer's digest.
    pub(super) layer: String,
}

impl Documents {
    pub(super) fn new(layout: &Path, fault: Fault) -> Self {
        let read = |digest: &str| {
            let blob = layout.join("blobs/sha256").join(digest.trim_start_matches("sha256:"));
            fs::read(&blob).unwrap_or_else(|error| panic!("{}: {error}", blob.display()))
        };
        let parse = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).expect("a document of the layout");
        let text = |value: &Value| value.as_str().expect("a string in the layout").to_owned();

        let index = parse(&fs::read(layout.join("index.json")).expect("the layout's index"));
        let entry = index["manifests"]
            .as_array()
            .and_then(|all| {
                all.iter().find(|one| one["annotations"]["org.opencontainers.image.ref.name"] == "base")
            })
            .expect("the image base in the layout")
            .clone();
        let mut manifest = parse(&read(&text(&entry["digest"])));
        let mut config = parse(&read(&text(&manifest["config"]["digest"])));
        match fault {
            Fault::DiffId => config["rootfs"]["diff_ids"][0] = json!(format!("sha256:{}", "ab".repeat(32))),
            Fault::Architecture => config["architecture"] = json!("s390x"),
            Fault::Size => {
                let size = manifest["layers"][0]["size"].as_u64().expect("a size");
                manifest["layers"][0]["size"] = json!(size - 1);
            }
            _ => {}
        }
        let mut config_bytes = config.to_string().into_bytes();
        let config_digest = digest(&config_bytes);
        manifest["config"]["digest"] = json!(config_digest);
        manifest["config"]["size"] = json!(config_bytes.len());
        let mut manifest_bytes = manifest.to_string().into_bytes();
        let manifest_digest = digest(&manifest_bytes);
        if fault == Fault::Config {
            config_bytes =
                json!({"architecture": "amd64", "os": "linux", "rootfs": config["rootfs"], "evil": true})
                    .to_string()
                    .into_bytes();
        }
        if fault == Fault::Manifest {
            manifest["annotations"] = json!({"evil": "yes"});
            manifest_bytes = manifest.to_string().into_bytes();
        }
        let layer = text(&manifest["layers"][0]["digest"]).trim_start_matches("sha256:").to_owned();
        Self { manifest: manifest_bytes, manifest_digest, config: config_bytes, config_digest, layer }
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}
