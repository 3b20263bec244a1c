use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use super::RegistryServer;
use crate::build::{BuiltImage, ImageBuilder};
use crate::{Compression, LayerSource, Platform, Reference, Registry, RegistryOptions, decompress};

fn served(compression: Compression) -> (SocketAddr, BuiltImage) {
    let image = ImageBuilder::new(Platform::host())
        .file("/usr/bin/program", 0o755, vec![7u8; 300_000])
        .symlink("/bin", "usr/bin")
        .compression(compression)
        .build()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = RegistryServer::new().with_image("demo", "1", &image);
    std::thread::spawn(move || server.serve(&listener));
    (address, image)
}

#[test]
fn a_built_image_is_resolved_and_read_back_whole() {
    for compression in [Compression::Plain, Compression::Gzip, Compression::Zstd] {
        let (address, built) = served(compression);
        let options = RegistryOptions { tls_verify: Some(false), ..RegistryOptions::default() };
        let registry = Registry::new(options).unwrap();
        let reference = Reference::parse(&format!("{address}/demo:1")).unwrap();
        let image = registry.resolve(&reference, &Platform::host()).unwrap();
        assert_eq!(image.manifest_digest, built.manifest.digest);
        assert_eq!(*image.id(), built.config.digest);
        let layers: Vec<_> = image.layers().collect();
        assert_eq!(layers.len(), 1);
        assert_eq!(layers[0].diff_id, built.diff_id);
        let reader = registry.open_layer(&image, &layers[0].descriptor, Arc::new(())).unwrap();
        let mut tar = Vec::new();
        decompress(reader).unwrap().read_to_end(&mut tar).unwrap();
        assert_eq!(crate::digest_of(&tar), built.diff_id);
        let mut tar = tar::Archive::new(tar.as_slice());
        let names: Vec<String> = tar
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["usr", "usr/bin", "usr/bin/program", "bin"]);
    }
}

fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn ranges_heads_and_nonsense_are_answered() {
    let (address, image) = served(Compression::Plain);
    let digest = &image.layer.digest;
    let get = |range: &str| {
        ask(address, &format!("GET /v2/demo/blobs/{digest} HTTP/1.0\r\nRange: {range}\r\n\r\n"))
    };
    let total = image.layer.bytes.len();
    assert!(get("bytes=5-9").contains(&format!("Content-Range: bytes 5-9/{total}\r\n")));
    assert!(get("bytes=5-9").contains("\r\nContent-Length: 5\r\n"));
    assert!(get("bytes=99999999-").starts_with("HTTP/1.1 416 "));
    assert!(get("lines=1-2").starts_with("HTTP/1.1 200 "));
    let head = ask(address, "HEAD /v2/demo/manifests/1 HTTP/1.0\r\n\r\n");
    assert!(head.contains(image.manifest.digest.as_ref()) && head.ends_with("\r\n\r\n"));
    assert!(ask(address, "GET /v2/demo/manifests/2 HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 404 "));
    assert!(ask(address, "PUT /v2/demo/manifests/2 HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 405 "));
    assert!(ask(address, "\x16\x03\x01").starts_with("HTTP/1.1 400 "));
    assert!(ask(address, "GET\r\n\r\n").starts_with("HTTP/1.1 400 "));
}
