//! Archives as skopeo and podman write them, and as nobody should.

use std::fs::File;
use std::path::Path;

use gaufre_image::archive::{Archive, ArchiveError};
use gaufre_image::build::BuiltImage;
use gaufre_image::{Compression, Platform, digest_of};

use crate::layout::{amd64, chain, image, image_for, read_layers, skopeo, write, write_index};

fn names(archive: &Archive) -> Vec<String> {
    archive.images().iter().flat_map(|image| image.names.iter().map(ToString::to_string)).collect()
}

fn read_all(archive: &Archive) {
    for image in archive.images() {
        assert_eq!(read_layers(archive, &image.image).unwrap(), 1);
    }
}

/// A layout directory with one image, named `example.com/a/b:1`.
fn layout() -> (tempfile::TempDir, BuiltImage) {
    let built = image(500_000, Compression::Gzip);
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "example.com/a/b:1", &[("linux/amd64", &built)]);
    (directory, built)
}

#[test]
fn every_form_that_skopeo_writes_is_read_from_a_path_and_from_a_stream() {
    let (directory, built) = layout();
    let source = format!("oci:{}:example.com/a/b:1", directory.path().display());
    let target = tempfile::tempdir().unwrap();
    for form in ["docker-archive", "oci-archive"] {
        let path = target.path().join(form);
        let name = "example.com/a/b:1";
        skopeo(&["copy", "-q", &source, &format!("{form}:{}:{name}", path.display())]);
        let compressed = path.with_extension("gz");
        let mut encoder =
            flate2::write::GzEncoder::new(File::create(&compressed).unwrap(), flate2::Compression::fast());
        std::io::copy(&mut File::open(&path).unwrap(), &mut encoder).unwrap();
        encoder.finish().unwrap();
        for path in [&path, &compressed] {
            let streamed = Archive::read("standard input", File::open(path).unwrap(), &amd64()).unwrap();
            for archive in [Archive::open(path, &amd64()).unwrap(), streamed] {
                assert_eq!(names(&archive), [name], "{form}");
                assert_eq!(*archive.images()[0].image.id(), built.config.digest);
                read_all(&archive);
            }
        }
    }
    let archive = Archive::open(directory.path(), &amd64()).unwrap();
    assert_eq!(names(&archive), ["example.com/a/b:1"]);
    assert_eq!(archive.images()[0].image.manifest_digest, built.manifest.digest);
    read_all(&archive);
}

#[test]
fn an_index_in_a_layout_leads_to_the_platform() {
    let (x86, arm) = (image(1000, Compression::Zstd), image_for("linux/arm64", 1000, Compression::Zstd));
    let both = [("linux/amd64", &x86), ("linux/arm64", &arm)];
    for write in [write, write_index] {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), "example.com/a:1", &both);
        let arm64 = Platform::parse("linux/arm64").unwrap();
        let archive = Archive::open(directory.path(), &arm64).unwrap();
        assert_eq!(archive.images().len(), 1);
        assert_eq!(*archive.images()[0].image.id(), arm.config.digest);
        let error = Archive::open(directory.path(), &Platform::parse("linux/s390x").unwrap()).unwrap_err();
        assert!(error.to_string().contains("only for linux/amd64, linux/arm64"), "{error}");
    }
}

#[test]
fn a_damaged_layer_is_refused_at_its_end() {
    let (directory, built) = layout();
    let blob = directory.path().join("blobs/sha256").join(built.layer.digest.digest());
    let mut bytes = std::fs::read(&blob).unwrap();
    let last = bytes.len() - 1;
    // The last byte of gzip's length: the content is still the same.
    bytes[last] ^= 1;
    std::fs::write(&blob, &bytes).unwrap();
    let archive = Archive::open(directory.path(), &amd64()).unwrap();
    assert!(read_layers(&archive, &archive.images()[0].image).is_err());
    std::fs::write(&blob, &bytes[..last]).unwrap();
    let error = Archive::open(directory.path(), &amd64()).unwrap_err();
    assert!(matches!(error, ArchiveError::WrongSize { .. }), "{error}");
    std::fs::remove_file(&blob).unwrap();
    let error = Archive::open(directory.path(), &amd64()).unwrap_err();
    assert!(error.to_string().contains(built.layer.digest.digest()), "{error}");
}

#[test]
fn a_blob_that_is_a_link_to_the_host_or_a_fifo_is_not_opened() {
    let (directory, built) = layout();
    let blob = directory.path().join("blobs/sha256").join(built.config.digest.digest());
    // The right content, but outside.
    let outside = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(outside.path(), &built.config.bytes).unwrap();
    std::fs::remove_file(&blob).unwrap();
    std::os::unix::fs::symlink(outside.path(), &blob).unwrap();
    let error = Archive::open(directory.path(), &amd64()).unwrap_err();
    assert!(matches!(error, ArchiveError::Missing { .. }), "{error}");
    std::fs::remove_file(&blob).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&blob).status().unwrap().success());
    let error = Archive::open(directory.path(), &amd64()).unwrap_err();
    assert!(matches!(error, ArchiveError::Missing { .. }), "{error}");
}

/// A docker-archive by hand: (path, content) or (path, link target).
enum Part<'a> {
    File(&'a str, &'a [u8]),
    Link(&'a str, &'a str),
}

fn tar_of(path: &Path, parts: &[Part<'_>]) {
    let mut tar = tar::Builder::new(File::create(path).unwrap());
    for part in parts {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        // Written raw, because the crate refuses the names that are to be tried.
        let name = match part {
            Part::File(name, _) | Part::Link(name, _) => name,
        };
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        let content: &[u8] = match part {
            Part::File(_, content) => content,
            Part::Link(_, target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
                &[]
            }
        };
        header.set_size(content.len() as u64);
        header.set_cksum();
        tar.append(&header, content).unwrap();
    }
    tar.finish().unwrap();
}

struct DockerParts {
    config: Vec<u8>,
    layer: Vec<u8>,
    manifest: String,
}

fn docker_parts() -> DockerParts {
    let built = image(1000, Compression::Plain);
    let (config, layer) = (built.config.bytes.to_vec(), built.layer.bytes.to_vec());
    let manifest = format!(
        r#"[{{"Config":"{}.json","RepoTags":["thing:1"],"Layers":["l/layer.tar"]}}]"#,
        digest_of(&config).digest()
    );
    DockerParts { config, layer, manifest }
}

#[test]
fn links_within_an_archive_are_followed() {
    let DockerParts { config, layer, manifest } = docker_parts();
    let config_name = format!("{}.json", digest_of(&config).digest());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.tar");
    tar_of(
        &path,
        &[
            Part::File("real.tar", &layer),
            Part::Link("l/layer.tar", "../real.tar"),
            Part::File(&config_name, &config),
            Part::File("manifest.json", manifest.as_bytes()),
        ],
    );
    let archive = Archive::open(&path, &amd64()).unwrap();
    assert_eq!(names(&archive), ["docker.io/library/thing:1"]);
    read_all(&archive);
}

#[test]
fn hostile_archives_are_refused_by_what_is_wrong_with_them() {
    let DockerParts { config, layer, manifest } = docker_parts();
    let config_name = format!("{}.json", digest_of(&config).digest());
    let json = Part::File("manifest.json", manifest.as_bytes());
    let good_config = Part::File(&config_name, &config);
    let directory = tempfile::tempdir().unwrap();
    let refused = |parts: &[Part<'_>]| {
        let path = directory.path().join("a.tar");
        tar_of(&path, parts);
        let error = Archive::open(&path, &amd64()).unwrap_err();
        assert!(chain(&error).contains("a.tar"), "{}", chain(&error));
        error
    };
    let error = refused(&[Part::File("../../etc/cron.d/x", b"x")]);
    assert!(matches!(error, ArchiveError::Escape { .. }), "{error}");
    let error = refused(&[Part::File("/etc/passwd", b"x")]);
    assert!(matches!(error, ArchiveError::Escape { .. }), "{error}");
    let error = refused(&[Part::Link("l/layer.tar", "../../../etc/shadow")]);
    assert!(matches!(error, ArchiveError::Escape { .. }), "{error}");
    let error = refused(&[Part::Link("manifest.json", "manifest.json")]);
    assert!(matches!(error, ArchiveError::LinkLoop { .. }), "{error}");
    let error = refused(&[Part::File("readme", b"x")]);
    assert!(matches!(error, ArchiveError::Unknown { .. }), "{error}");
    let error = refused(&[Part::File("manifest.json", b"[]")]);
    assert!(matches!(error, ArchiveError::Empty { .. }), "{error}");
    let error = refused(&[Part::File("manifest.json", b"[{")]);
    assert!(matches!(error, ArchiveError::Json { .. }), "{error}");
    let error = refused(&[Part::File("manifest.json", &vec![b' '; 5 << 20])]);
    assert!(matches!(error, ArchiveError::TooLarge { .. }), "{error}");
    let error = refused(&[json, good_config]);
    assert!(matches!(error, ArchiveError::Missing { .. }), "{error}");
    let json = Part::File("manifest.json", manifest.as_bytes());
    let error = refused(&[json, Part::File(&config_name, b"{}"), Part::File("l/layer.tar", &layer)]);
    assert!(matches!(error, ArchiveError::WrongDigest { .. }), "{error}");
    let bad_name = manifest.replace("thing:1", "../thing:1");
    let error = refused(&[
        Part::File("manifest.json", bad_name.as_bytes()),
        Part::File(&config_name, &config),
        Part::File("l/layer.tar", &layer),
    ]);
    assert!(matches!(error, ArchiveError::Name { .. }), "{error}");
}

#[test]
fn long_names_and_pax_records_are_read_but_not_without_bound() {
    let DockerParts { config, layer, manifest } = docker_parts();
    let long = format!("{}/layer.tar", "x".repeat(150));
    let manifest = manifest.replace("l/layer.tar", &long);
    let config_name = format!("{}.json", digest_of(&config).digest());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.tar");
    let write = |comment: &[u8]| {
        let mut tar = tar::Builder::new(File::create(&path).unwrap());
        let parts: [(&str, &[u8]); 3] =
            [(&long, &layer), (&config_name, &config), ("manifest.json", manifest.as_bytes())];
        for (name, content) in parts {
            tar.append_pax_extensions([("comment", comment)]).unwrap();
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, name, content).unwrap();
        }
        tar.finish().unwrap();
    };
    write(b"short");
    read_all(&Archive::open(&path, &amd64()).unwrap());
    write(&vec![b'x'; 1 << 20]);
    let error = chain(&Archive::open(&path, &amd64()).unwrap_err());
    assert!(error.contains("above the limit"), "{error}");
}

#[test]
fn a_truncated_archive_and_one_that_is_no_archive_are_refused() {
    let (directory, _) = layout();
    let path = directory.path().join("whole.tar");
    let source = format!("oci:{}:example.com/a/b:1", directory.path().display());
    skopeo(&["copy", "-q", &source, &format!("oci-archive:{}:a:1", path.display())]);
    let whole = std::fs::read(&path).unwrap();
    for len in (0..whole.len()).step_by(whole.len() / 23 + 1) {
        let short = directory.path().join("short.tar");
        std::fs::write(&short, &whole[..len]).unwrap();
        let opened = Archive::open(&short, &amd64());
        let fails = match opened {
            Err(_) => true,
            Ok(archive) => read_layers(&archive, &archive.images()[0].image).is_err(),
        };
        assert!(fails, "{len} of {} bytes were accepted", whole.len());
    }
    let noise = directory.path().join("noise");
    std::fs::write(&noise, vec![b'x'; 5000]).unwrap();
    assert!(matches!(Archive::open(&noise, &amd64()), Err(ArchiveError::NotTar { .. })));
    // Of a file that is no archive nothing is repeated; it may be anything.
    let other = Archive::open(Path::new("/etc/passwd"), &amd64()).unwrap_err();
    assert_eq!(chain(&other), "/etc/passwd is no image archive: it is no tar file");
    assert!(matches!(
        Archive::open(&directory.path().join("missing"), &amd64()),
        Err(ArchiveError::Read { .. })
    ));
}

#[test]
fn what_podman_saved_is_read() {
    let DockerParts { config, layer, manifest } = docker_parts();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("in.tar");
    let config_name = format!("{}.json", digest_of(&config).digest());
    tar_of(
        &path,
        &[
            Part::File(&config_name, &config),
            Part::File("l/layer.tar", &layer),
            Part::File("manifest.json", manifest.as_bytes()),
        ],
    );
    let (root, run) = (directory.path().join("root"), directory.path().join("run"));
    let podman = |arguments: &[&str]| {
        let output = std::process::Command::new("podman")
            .args(["--storage-driver", "vfs", "--root"])
            .arg(&root)
            .arg("--runroot")
            .arg(&run)
            .args(arguments)
            .output()
            .expect("this test needs podman (apt-get install podman)");
        assert!(output.status.success(), "podman {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    podman(&["load", "-q", "-i", path.to_str().unwrap()]);
    for format in ["docker-archive", "oci-archive", "oci-dir"] {
        let saved = directory.path().join(format);
        podman(&["save", "-q", "--format", format, "-o", saved.to_str().unwrap(), "thing:1"]);
        let archive = Archive::open(&saved, &amd64()).unwrap();
        // podman keeps short names of archives as local ones.
        assert_eq!(names(&archive), ["localhost/thing:1"], "{format}");
        assert_eq!(*archive.images()[0].image.id(), digest_of(&config), "{format}");
        read_all(&archive);
    }
}

#[test]
fn a_name_out_of_an_archive_is_shown_without_control_characters_and_not_without_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("in.tar");
    let config = format!("\u{1b}[2J{}", "x".repeat(100_000));
    let manifest = serde_json::json!([{ "Config": config, "RepoTags": [], "Layers": [] }]).to_string();
    tar_of(&path, &[Part::File("manifest.json", manifest.as_bytes())]);
    let error = chain(&Archive::open(&path, &amd64()).unwrap_err());
    assert!(error.contains("\\u{1b}[2Jxxx") && error.len() < 500, "{error}");
}
