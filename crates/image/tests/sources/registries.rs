//! What skopeo pushed to Debian's registry is resolved and read, in every format.

use gaufre_image::{
    Compression, Platform, Reference, RegistriesConf, Registry, RegistryOptions, ResolveError,
};

use crate::debian_registry::DebianRegistry;
use crate::layout::{amd64, image, image_for, read_layers, skopeo, write, write_index};

fn insecure() -> Registry {
    Registry::new(RegistryOptions { tls_verify: Some(false), ..RegistryOptions::default() }).unwrap()
}

#[test]
fn oci_and_docker_formats_with_gzip_zstd_and_plain_layers_are_read() {
    let server = DebianRegistry::start();
    let registry = insecure();
    for (compression, tag) in
        [(Compression::Gzip, "gzip"), (Compression::Zstd, "zstd"), (Compression::Plain, "plain")]
    {
        let built = image(2_000_000, compression);
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), tag, &[("linux/amd64", &built)]);
        let source = format!("oci:{}:{tag}", directory.path().display());
        for format in ["oci", "v2s2"] {
            // Docker's format knows no zstd.
            if (format, tag) == ("v2s2", "zstd") {
                continue;
            }
            let target = format!("docker://{}/test/{format}:{tag}", server.address);
            skopeo(&["copy", "-q", "--dest-tls-verify=false", "--format", format, &source, &target]);
            let reference = Reference::parse(&format!("{}/test/{format}:{tag}", server.address)).unwrap();
            let image = registry.resolve(&reference, &amd64()).unwrap();
            assert_eq!(*image.id(), built.config.digest, "{format} {tag}");
            assert_eq!(read_layers(&registry, &image).unwrap(), 1);
            let pinned = reference.with_digest(image.manifest_digest.clone());
            assert_eq!(registry.resolve(&pinned, &amd64()).unwrap().id(), image.id());
        }
    }
}

#[test]
fn an_index_leads_to_the_platform_asked_for_and_names_what_it_offers() {
    let server = DebianRegistry::start();
    let (x86, arm) = (image(1000, Compression::Gzip), image_for("linux/arm64", 2000, Compression::Gzip));
    let directory = tempfile::tempdir().unwrap();
    write_index(directory.path(), "1", &[("linux/amd64", &x86), ("linux/arm64", &arm)]);
    let source = format!("oci:{}:1", directory.path().display());
    let name = format!("{}/multi:1", server.address);
    skopeo(&["copy", "-q", "--all", "--dest-tls-verify=false", &source, &format!("docker://{name}")]);
    let registry = insecure();
    let reference = Reference::parse(&name).unwrap();
    let resolved = registry.resolve(&reference, &Platform::parse("linux/arm64").unwrap()).unwrap();
    assert_eq!(*resolved.id(), arm.config.digest);
    assert!(resolved.index_digest.is_some());
    let error = registry.resolve(&reference, &Platform::parse("linux/s390x").unwrap()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("linux/s390x") && text.contains("linux/amd64, linux/arm64"), "{text}");
    // A single manifest for another machine is refused by its config.
    let alone = reference.with_digest(arm.manifest.digest.clone());
    let error = registry.resolve(&alone, &amd64()).unwrap_err();
    assert!(matches!(error, ResolveError::Platform { .. }), "{error}");
}

#[test]
fn a_mirror_serves_and_the_registry_itself_is_asked_when_it_has_nothing() {
    let (mirror, origin) = (DebianRegistry::start(), DebianRegistry::start());
    let (first, second) = (image(3_000_000, Compression::Gzip), image(5000, Compression::Gzip));
    for (server, built, name) in [(&mirror, &first, "first"), (&origin, &second, "second")] {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), "1", &[("linux/amd64", built)]);
        let source = format!("oci:{}:1", directory.path().display());
        let target = format!("docker://{}/{name}:1", server.address);
        skopeo(&["copy", "-q", "--dest-tls-verify=false", &source, &target]);
    }
    let file = mirror.directory.path().join("registries.conf");
    let text = format!(
        "unqualified-search-registries = ['example.test']\n[[registry]]\nprefix = 'example.test'\nlocation = '{}'\n\
         insecure = true\n[[registry.mirror]]\nlocation = '{}'\ninsecure = true\n",
        origin.address, mirror.address
    );
    std::fs::write(&file, text).unwrap();
    let registries = RegistriesConf::load_files(&[file], &[]).unwrap();
    let candidates = registries.candidates("first:1").unwrap();
    let registry = Registry::new(RegistryOptions { registries, ..RegistryOptions::default() }).unwrap();
    let image = registry.resolve_first(&candidates, &amd64()).unwrap();
    assert_eq!(image.reference.as_ref().unwrap().to_string(), "example.test/first:1");
    assert_eq!(*image.id(), first.config.digest);
    assert_eq!(read_layers(&registry, &image).unwrap(), 1);
    let reference = Reference::parse("example.test/second:1").unwrap();
    let image = registry.resolve(&reference, &amd64()).unwrap();
    assert_eq!(*image.id(), second.config.digest);
    assert_eq!(read_layers(&registry, &image).unwrap(), 1);
}

#[test]
fn what_the_registry_does_not_have_is_named() {
    let server = DebianRegistry::start();
    let reference = Reference::parse(&format!("{}/nothing:1", server.address)).unwrap();
    let error = insecure().resolve(&reference, &amd64()).unwrap_err();
    assert!(error.is_not_found(), "{error}");
    assert!(error.hint().is_some());
    let text = crate::layout::chain(&error);
    assert!(text.contains(&server.address) && text.contains("manifest 1 of nothing"), "{text}");
}

#[test]
fn plain_http_needs_permission() {
    let server = DebianRegistry::start();
    let reference = Reference::parse(&format!("{}/nothing:1", server.address)).unwrap();
    let error = Registry::new(RegistryOptions::default()).unwrap().resolve(&reference, &amd64()).unwrap_err();
    assert!(error.hint().is_some_and(|hint| hint.contains("--tls-verify=false")), "{error:?}");
}

#[test]
fn many_threads_read_layers_at_once() {
    let server = DebianRegistry::start();
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "1", &[("linux/amd64", &image(4_000_000, Compression::Gzip))]);
    let name = format!("{}/many:1", server.address);
    let source = format!("oci:{}:1", directory.path().display());
    skopeo(&["copy", "-q", "--dest-tls-verify=false", &source, &format!("docker://{name}")]);
    let registry = insecure();
    let image = registry.resolve(&Reference::parse(&name).unwrap(), &amd64()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| assert_eq!(read_layers(&registry, &image).unwrap(), 1));
        }
    });
}
