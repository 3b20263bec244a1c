//! Images made for a test: a config that says what the test wants, over layers that hold what it wants.

use crate::gaufre::Gaufre;
use crate::images;
use crate::tool::{run, tool};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use tempfile::TempDir;

/// An image in the making, as an OCI layout on disk.
#[derive(Debug)]
pub struct Crafted {
    dir: TempDir,
    config: Value,
    layers: Vec<Value>,
}

impl Crafted {
    /// An image without any layer.
    ///
    /// # Panics
    ///
    /// If there is no room for it.
    pub fn scratch() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir_all(dir.path().join("blobs/sha256")).expect("a folder");
        let config = json!({"architecture": "amd64", "os": "linux", "config": {},
            "created": "2024-01-01T00:00:00Z", "rootfs": {"type": "layers", "diff_ids": []}});
        Self { dir, config, layers: Vec::new() }
    }

    /// An image over a test image, with its config.
    ///
    /// # Panics
    ///
    /// If the test images have not been made.
    pub fn over(name: &str) -> Self {
        let mut image = Self::scratch();
        let layout = images();
        let parse = |path: &Path| -> Value {
            let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            serde_json::from_slice(&bytes).expect("a document of the layout")
        };
        let blob = |digest: &Value| {
            let digest = digest.as_str().expect("a digest").trim_start_matches("sha256:").to_owned();
            layout.join("blobs/sha256").join(digest)
        };
        let index = parse(&layout.join("index.json"));
        let named = |one: &&Value| one["annotations"]["org.opencontainers.image.ref.name"] == name;
        let entry = index["manifests"].as_array().and_then(|all| all.iter().find(named));
        let manifest = parse(&blob(&entry.expect("the test image")["digest"]));
        image.config = parse(&blob(&manifest["config"]["digest"]));
        for layer in manifest["layers"].as_array().expect("layers") {
            let from = blob(&layer["digest"]);
            let to = image.blobs().join(from.file_name().expect("a name"));
            // The cache may be on another file system.
            if fs::hard_link(&from, &to).is_err() {
                fs::copy(&from, &to).expect("a copied layer");
            }
            image.layers.push(layer.clone());
        }
        image
    }

    /// An image of Debian's static busybox alone, which takes no time to unpack.
    ///
    /// # Panics
    ///
    /// If busybox is not installed.
    pub fn busybox() -> Self {
        let fill = |root: &Path| {
            let bin = root.join("bin");
            for name in ["bin", "etc", "root", "tmp", "var"] {
                fs::create_dir(root.join(name)).expect("a folder");
            }
            fs::copy("/bin/busybox", bin.join("busybox")).expect("busybox: `cargo xtask test` installs it");
            for applet in run(tool("/bin/busybox").arg("--list")).lines().filter(|name| *name != "busybox") {
                symlink("busybox", bin.join(applet)).expect("a link");
            }
            fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nbaker:x:7:8::/:/bin/sh\n")
                .expect("users");
            fs::write(root.join("etc/group"), "root:x:0:\nbakers:x:8:\nguild:x:9:baker\n").expect("groups");
        };
        Self::scratch().config("Cmd", json!(["sh"])).config("Env", json!(["PATH=/bin"])).layer(fill)
    }

    /// Sets a field of the part of the config that says how to run it: `Cmd`, `Labels`, `Volumes`.
    #[must_use]
    pub fn config(mut self, key: &str, value: Value) -> Self {
        self.config["config"][key] = value;
        self
    }

    /// Sets a field at the top of the config: `author`, `history`.
    #[must_use]
    pub fn top(mut self, key: &str, value: Value) -> Self {
        self.config[key] = value;
        self
    }

    /// Adds a layer that holds what `fill` puts into an empty directory.
    ///
    /// # Panics
    ///
    /// If tar(1) cannot pack it.
    #[must_use]
    pub fn layer(self, fill: impl FnOnce(&Path)) -> Self {
        let (tree, archive) = (self.dir.path().join("tree"), self.dir.path().join("layer.tar"));
        fs::create_dir(&tree).expect("a folder");
        // It becomes the root directory of the container.
        fs::set_permissions(&tree, fs::Permissions::from_mode(0o755)).expect("a mode");
        fill(&tree);
        run(tool("tar")
            .args(["--numeric-owner", "--xattrs", "-cf"])
            .arg(&archive)
            .arg("-C")
            .arg(&tree)
            .arg("."));
        let bytes = fs::read(&archive).expect("the archive");
        fs::remove_dir_all(&tree).expect("the folder goes");
        fs::remove_file(&archive).expect("the archive goes");
        self.archive(&bytes)
    }

    /// Adds a layer that is this tar archive, whatever is in it.
    #[must_use]
    pub fn archive(mut self, bytes: &[u8]) -> Self {
        let descriptor = self.blob("application/vnd.oci.image.layer.v1.tar", bytes);
        let diff_ids = self.config["rootfs"]["diff_ids"].as_array_mut().expect("diff IDs");
        diff_ids.push(descriptor["digest"].clone());
        self.layers.push(descriptor);
        self
    }

    /// Adds a layer that is this tar archive compressed by zstd, with the diff ID of what it decompresses to.
    #[must_use]
    pub fn zstd_archive(mut self, compressed: &[u8], diff_id: &str) -> Self {
        let descriptor = self.blob("application/vnd.oci.image.layer.v1.tar+zstd", compressed);
        self.config["rootfs"]["diff_ids"].as_array_mut().expect("diff IDs").push(json!(diff_id));
        self.layers.push(descriptor);
        self
    }

    /// Writes the layout, with the image under `name`, and returns where it is.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn layout(&self, name: &str) -> &Path {
        let config =
            self.blob("application/vnd.oci.image.config.v1+json", self.config.to_string().as_bytes());
        let manifest = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config, "layers": self.layers});
        let mut entry =
            self.blob("application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
        entry["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        let index = json!({"schemaVersion": 2, "manifests": [entry]});
        let write = |name: &str, content: String| {
            fs::write(self.dir.path().join(name), content).expect("a written file");
        };
        write("index.json", index.to_string());
        write("oci-layout", json!({"imageLayoutVersion": "1.0.0"}).to_string());
        self.dir.path()
    }

    /// Loads it under `name` and returns that.
    pub fn load<'a>(&self, gaufre: &Gaufre, name: &'a str) -> &'a str {
        let layout = self.layout(name).to_str().expect("a path in UTF-8");
        gaufre.ok(&["load", "--quiet", "--input", layout]);
        name
    }

    fn blobs(&self) -> std::path::PathBuf {
        self.dir.path().join("blobs/sha256")
    }

    /// Writes a blob; its descriptor.
    fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = hex::encode(Sha256::digest(bytes));
        fs::write(self.blobs().join(&digest), bytes).expect("a written blob");
        json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len()})
    }
}
