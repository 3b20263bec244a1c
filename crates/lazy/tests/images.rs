//! The layers of the test images: mounted through their index, they are what GNU tar unpacks. `$GAUFRE_INDEX_IMAGES` names
//! the images (`python` without), separated by commas.

mod support;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs::{self, File};
    use std::io::BufReader;
    use std::path::Path;
    use std::process::Command;

    use gaufre_lazy::frames::Skeleton;
    use gaufre_lazy::layer::LayerLimits;
    use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};
    use serde_json::Value;

    use crate::support::tree::assert_same_but;
    use crate::support::{Layer, run};

    fn json(path: &Path) -> Value {
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }

    /// The compressed layers of the images, each once.
    fn layers(images: &str) -> BTreeSet<String> {
        let layout = gaufre_tests::images();
        let blob = |digest: &Value| layout.join("blobs").join(digest.as_str().unwrap().replace(':', "/"));
        let index = json(&layout.join("index.json"));
        let mut layers = BTreeSet::new();
        for name in images.split(',') {
            let manifests = index["manifests"].as_array().unwrap();
            let named = |manifest: &&Value| {
                manifest["annotations"]["org.opencontainers.image.ref.name"].as_str() == Some(name)
            };
            let manifest = manifests.iter().find(named).unwrap_or_else(|| panic!("there is no image {name}"));
            for layer in json(&blob(&manifest["digest"]))["layers"].as_array().unwrap() {
                layers.insert(blob(&layer["digest"]).to_str().unwrap().to_owned());
            }
        }
        layers
    }

    /// Turns the files by which archives tell of whiteouts into those of overlayfs, as the specification of both says.
    fn mark_whiteouts(dir: &Path) {
        let time = fs::metadata(dir).unwrap().modified().unwrap();
        let entries: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap()).collect();
        for entry in entries {
            if entry.file_type().unwrap().is_dir() {
                mark_whiteouts(&entry.path());
            }
            let name = entry.file_name().into_string().unwrap_or_default();
            let Some(hidden) = name.strip_prefix(".wh.") else { continue };
            fs::remove_file(entry.path()).unwrap();
            let mark = |name: &str, value: &[u8]| {
                rustix::fs::setxattr(dir, name, value, XattrFlags::empty()).unwrap();
            };
            if hidden == ".wh..opq" {
                mark("trusted.overlay.opaque", b"y");
                continue;
            }
            mark("trusted.overlay.origin", b"");
            let hidden = dir.join(hidden);
            let (kind, time) = (FileType::CharacterDevice, Timespec { tv_sec: 0, tv_nsec: 0 });
            rustix::fs::mknodat(CWD, &hidden, kind, Mode::empty(), 0).unwrap();
            let times = Timestamps { last_access: time, last_modification: time };
            rustix::fs::utimensat(CWD, &hidden, &times, AtFlags::empty()).unwrap();
        }
        File::open(dir).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn layers_of_real_images_are_mounted_as_gnu_tar_unpacks_them() {
        let images = std::env::var("GAUFRE_INDEX_IMAGES").unwrap_or_else(|_| "python".to_owned());
        for compressed in layers(&images) {
            let layer = Layer::of(|tar| {
                run(Command::new("sh").args(["-c", "gzip -dc \"$1\" >\"$2\"", "sh", &compressed]).arg(tar));
            });
            let skeleton = Skeleton::of(
                BufReader::new(File::open(&layer.tar).unwrap()),
                [0; 32],
                &LayerLimits::default(),
            );
            let skeleton = zstd::bulk::compress(&skeleton.unwrap().encode(), 3).unwrap();
            println!("{} bytes of skeleton, compressed", skeleton.len());
            assert!((skeleton.len() as u64) < layer.indexed.tar_bytes / 100);
            println!("{compressed}: {:?}", layer.indexed);
            let mounted = layer.mount();
            let unpacked = layer.unpack();
            mark_whiteouts(&unpacked);
            // What the archive does not say of the root, GNU tar takes from the directory that is there.
            let left_out: &[&str] = if layer.indexed.names_root { &[] } else { &[""] };
            assert_same_but(&unpacked, &mounted.root(), left_out);
        }
    }
}
