//! Reads every layer of an image and says how fast: `cargo run --example read_layers -- 127.0.0.1:5000/name:tag`.

use std::error::Error;
use std::io::Read;
use std::sync::Arc;
use std::time::Instant;

use gaufre_image::{LayerSource, Platform, Reference, Registry, RegistryOptions, decompress_ahead};

fn main() -> Result<(), Box<dyn Error>> {
    let name = std::env::args().nth(1).ok_or("give the name of an image")?;
    let registry = Registry::new(RegistryOptions { tls_verify: Some(false), ..RegistryOptions::default() })?;
    let start = Instant::now();
    let image = registry.resolve(&Reference::parse(&name)?, &Platform::host())?;
    println!("{image}: resolved in {:?}", start.elapsed());
    for layer in image.layers() {
        let start = Instant::now();
        let mut reader = decompress_ahead(registry.open_layer(&image, &layer.descriptor, Arc::new(()))?)?;
        let (mut len_bytes, mut buffer) = (0, vec![0; 1 << 20]);
        loop {
            match reader.read(&mut buffer)? {
                0 => break,
                len => len_bytes += len,
            }
        }
        let (digest, size) = (layer.descriptor.digest(), layer.descriptor.size());
        println!("{digest}: {size} bytes, {len_bytes} unpacked, in {:?}", start.elapsed());
    }
    Ok(())
}
