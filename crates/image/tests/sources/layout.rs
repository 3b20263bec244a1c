//! Images made for the tests, as OCI layout directories, which skopeo can push and convert.

use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use gaufre_image::build::{Blob, BuiltImage, ImageBuilder};
use gaufre_image::{Compression, Image, LayerSource, Platform, decompress, digest_of};

/// An image with one file of `len_bytes` that do not compress.
pub(crate) fn image(len_bytes: usize, compression: Compression) -> BuiltImage {
    image_for("linux/amd64", len_bytes, compression)
}

pub(crate) fn image_for(platform: &str, len_bytes: usize, compression: Compression) -> BuiltImage {
    ImageBuilder::new(Platform::parse(platform).unwrap())
        .file("/data", 0o644, noise(len_bytes))
        .compression(compression)
        .build()
        .unwrap()
}

/// Bytes that look random and are always the same.
fn noise(len_bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(len_bytes + 8);
    while bytes.len() < len_bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len_bytes);
    bytes
}

pub(crate) fn amd64() -> Platform {
    Platform::parse("linux/amd64").unwrap()
}

/// Writes a layout with one image, or one for each platform under one name.
pub(crate) fn write(directory: &Path, name: &str, images: &[(&str, &BuiltImage)]) {
    let entries: Vec<String> = images
        .iter()
        .map(|(platform, image)| {
            let (os, architecture) = platform.split_once('/').unwrap();
            for blob in [&image.manifest, &image.config, &image.layer] {
                write_blob(directory, blob);
            }
            format!(
                r#"{{"mediaType":"{}","digest":"{}","size":{},"annotations":{{"org.opencontainers.image.ref.name":"{name}"}},
                "platform":{{"os":"{os}","architecture":"{architecture}"}}}}"#,
                image.manifest.media_type,
                image.manifest.digest,
                image.manifest.bytes.len()
            )
        })
        .collect();
    std::fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(","));
    std::fs::write(directory.join("index.json"), index).unwrap();
}

fn write_blob(directory: &Path, blob: &Blob) {
    let blobs = directory.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::write(blobs.join(blob.digest.digest()), &blob.bytes).unwrap();
}

/// A layout whose name leads to an index of several platforms, as registries have it.
pub(crate) fn write_index(directory: &Path, name: &str, images: &[(&str, &BuiltImage)]) {
    write(directory, name, images);
    let index = std::fs::read(directory.join("index.json")).unwrap();
    let digest = digest_of(&index);
    std::fs::write(directory.join("blobs/sha256").join(digest.digest()), &index).unwrap();
    let outer = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.index.v1+json",
        "digest":"{digest}","size":{},"annotations":{{"org.opencontainers.image.ref.name":"{name}"}}}}]}}"#,
        index.len()
    );
    std::fs::write(directory.join("index.json"), outer).unwrap();
}

pub(crate) fn skopeo(arguments: &[&str]) {
    let output = Command::new("skopeo").arg("--insecure-policy").args(arguments).output();
    let output = output.expect("these tests need skopeo (apt-get install skopeo)");
    assert!(output.status.success(), "skopeo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Reads every layer and holds its content against its diff ID.
pub(crate) fn read_layers(source: &dyn LayerSource, image: &Image) -> std::io::Result<usize> {
    let mut count = 0;
    for layer in image.layers() {
        let reader =
            source.open_layer(image, &layer.descriptor, Arc::new(())).map_err(std::io::Error::other)?;
        let mut tar = Vec::new();
        decompress(reader).map_err(std::io::Error::other)?.read_to_end(&mut tar)?;
        assert_eq!(digest_of(&tar), layer.diff_id);
        count += 1;
    }
    Ok(count)
}

/// An error with all its causes, as the program prints it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}
