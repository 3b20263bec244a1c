use super::{Document, DocumentError, choose};
use crate::platform::Platform;

fn digest(character: &str) -> String {
    format!("sha256:{}", character.repeat(64))
}

fn manifest(config_type: &str, layer_type: &str) -> String {
    format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"{config_type}","digest":"{}","size":2}},
        "layers":[{{"mediaType":"{layer_type}","digest":"{}","size":3}}]}}"#,
        digest("a"),
        digest("b")
    )
}

const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

#[test]
fn both_families_of_media_types_are_read() {
    for (config, layer) in [
        (OCI_CONFIG, OCI_LAYER),
        (OCI_CONFIG, "application/vnd.oci.image.layer.v1.tar+zstd"),
        (
            "application/vnd.docker.container.image.v1+json",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
        ),
    ] {
        let text = manifest(config, layer);
        assert!(matches!(Document::parse(text.as_bytes(), None), Ok(Document::Manifest(_))), "{layer}");
    }
}

#[test]
fn schema_1_is_refused_by_name() {
    let text = br#"{"schemaVersion":1,"name":"a","fsLayers":[]}"#;
    assert!(matches!(Document::parse(text, None), Err(DocumentError::Schema1)));
    let text =
        br#"{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v1+prettyjws"}"#;
    assert!(matches!(Document::parse(text, None), Err(DocumentError::Schema1)));
}

#[test]
fn a_document_that_is_both_manifest_and_index_is_refused() {
    let text = manifest(OCI_CONFIG, OCI_LAYER).replacen('{', r#"{"manifests":[],"#, 1);
    assert!(matches!(Document::parse(text.as_bytes(), None), Err(DocumentError::Ambiguous)));
}

#[test]
fn artifacts_and_unknown_layers_are_refused_by_name() {
    let helm = manifest("application/vnd.cncf.helm.config.v1+json", OCI_LAYER);
    assert!(matches!(Document::parse(helm.as_bytes(), None), Err(DocumentError::Artifact(_))));
    for media_type in ["application/octet-stream", "application/vnd.oci.image.layer.v1.tar+gzip+encrypted"] {
        let odd = manifest(OCI_CONFIG, media_type);
        assert!(matches!(Document::parse(odd.as_bytes(), None), Err(DocumentError::LayerType { .. })));
    }
}

#[test]
fn a_blob_that_is_not_named_by_sha256_is_refused() {
    let text = manifest(OCI_CONFIG, OCI_LAYER).replace(&digest("b"), &format!("sha512:{}", "b".repeat(128)));
    assert!(matches!(Document::parse(text.as_bytes(), None), Err(DocumentError::Digest(_))));
}

#[test]
fn an_index_gives_the_platform_asked_for_and_skips_attestations() {
    let entry = |c: &str, os: &str, arch: &str| {
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{}","size":2,
            "platform":{{"os":"{os}","architecture":"{arch}"}}}}"#,
            digest(c)
        )
    };
    let text = format!(
        r#"{{"schemaVersion":2,"manifests":[{},{},{}]}}"#,
        entry("a", "unknown", "unknown"),
        entry("b", "linux", "arm64"),
        entry("c", "linux", "amd64")
    );
    let Document::Index(index) = Document::parse(text.as_bytes(), None).unwrap() else { panic!("no index") };
    let amd64 = choose(&index, &Platform::parse("linux/amd64").unwrap()).unwrap();
    assert_eq!(amd64.digest().as_ref(), digest("c"));
    let offered = choose(&index, &Platform::parse("linux/s390x").unwrap()).unwrap_err();
    let offered: Vec<String> = offered.iter().map(ToString::to_string).collect();
    assert_eq!(offered, ["linux/arm64", "linux/amd64"]);
}
