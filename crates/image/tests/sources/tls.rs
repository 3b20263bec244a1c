//! TLS with a certificate of our own, and basic auth.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gaufre_image::{Compression, Credentials, Reference, Registry, RegistryOptions, ResolveError};

use crate::debian_registry::DebianRegistry;
use crate::layout::{amd64, chain, image, read_layers, skopeo, write};

struct Secured {
    server: DebianRegistry,
    certificates: tempfile::TempDir,
    reference: Reference,
}

/// A registry with TLS and a password, holding one image.
fn secured() -> Secured {
    let key = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    let (certificate, private) = (key.cert.pem(), key.signing_key.serialize_pem());
    let server = DebianRegistry::start_with(Some((&certificate, &private)), true);
    let certificates = tempfile::tempdir().unwrap();
    std::fs::write(certificates.path().join("ca.crt"), &certificate).unwrap();
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "1", &[("linux/amd64", &image(100_000, Compression::Gzip))]);
    let name = format!("{}/private/image:1", server.address);
    let source = format!("oci:{}:1", directory.path().display());
    let target = format!("docker://{name}");
    skopeo(&["copy", "-q", "--dest-tls-verify=false", "--dest-creds=user:secret", &source, &target]);
    Secured { server, certificates, reference: Reference::parse(&name).unwrap() }
}

#[test]
fn a_self_signed_registry_needs_its_certificate_or_permission() {
    let secured = secured();
    let pull = |options: RegistryOptions| {
        let registry =
            Registry::new(RegistryOptions { creds: Some(Credentials::parse("user:secret")), ..options })
                .unwrap();
        let image = registry.resolve(&secured.reference, &amd64())?;
        assert_eq!(read_layers(&registry, &image).unwrap(), 1);
        Ok::<(), ResolveError>(())
    };
    let error = pull(RegistryOptions::default()).unwrap_err();
    assert!(chain(&error).contains("cannot be trusted over TLS"), "{}", chain(&error));
    assert!(error.hint().is_some_and(|hint| hint.contains("certs.d")));
    pull(RegistryOptions { tls_verify: Some(false), ..RegistryOptions::default() }).unwrap();
    let cert_dir = Some(secured.certificates.path().to_owned());
    pull(RegistryOptions { cert_dir, ..RegistryOptions::default() }).unwrap();
}

#[test]
fn credentials_come_from_the_auth_file_and_wrong_ones_are_refused() {
    let secured = secured();
    let file = secured.certificates.path().join("auth.json");
    let pull = |options: RegistryOptions| {
        let cert_dir = Some(secured.certificates.path().to_owned());
        let registry = Registry::new(RegistryOptions { cert_dir, ..options }).unwrap();
        registry.resolve(&secured.reference, &amd64())
    };
    let login = |text: &str| {
        let auth = STANDARD.encode(text);
        let text = format!(r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#, secured.server.address);
        std::fs::write(&file, text).unwrap();
        pull(RegistryOptions { auth_file: Some(file.clone()), ..RegistryOptions::default() })
    };
    login("user:secret").unwrap();
    let error = login("user:wrong").unwrap_err();
    assert!(chain(&error).contains("the credentials are not accepted"), "{}", chain(&error));
    std::fs::write(&file, "{}").unwrap();
    let none = RegistryOptions { auth_file: Some(file.clone()), ..RegistryOptions::default() };
    let error = pull(none).unwrap_err();
    assert!(chain(&error).contains("it asks for a login"), "{}", chain(&error));
    assert!(error.hint().is_some_and(|hint| hint.contains("log in")));
}
