//! What the checksums in a layer's record cost (docs/decisions/020-layer-records.md): the time to unpack a layer, and of
//! that the time to hash its bytes with XXH3, the least of five each.
//!
//! `cargo run --release -p gaufre-store --example record_cost -- LAYER.tar`

use std::hint::black_box;
use std::time::{Duration, Instant};

use gaufre_store::{LayerLimits, Store, StoreOptions};
use sha2::{Digest as _, Sha256};
use xxhash_rust::xxh3::Xxh3;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("name the decompressed tar of a layer")?;
    let tar = std::fs::read(path)?;
    let hex: String = Sha256::digest(&tar).iter().map(|byte| format!("{byte:02x}")).collect();
    let diff_id = format!("sha256:{hex}").parse()?;
    let dir = tempfile::tempdir()?;
    let (mut unpack, mut hash) = (Duration::MAX, Duration::MAX);
    for round in 0..5 {
        let at = |name: &str| dir.path().join(format!("{name}-{round}"));
        let store = Store::open(StoreOptions { root: at("root"), run: at("run") })?;
        let begun = Instant::now();
        store.add_layer(&store.lease()?, &diff_id, tar.as_slice(), &LayerLimits::default())?;
        unpack = unpack.min(begun.elapsed());

        let begun = Instant::now();
        let mut xxh3 = Xxh3::new();
        for chunk in tar.chunks(64 * 1024) {
            xxh3.update(chunk);
        }
        black_box(xxh3.digest());
        hash = hash.min(begun.elapsed());
    }
    let share = 100.0 * hash.as_secs_f64() / unpack.as_secs_f64();
    println!(
        "{} MB: unpacked in {unpack:.0?}, of which XXH3 {hash:.1?}, {share:.1} %",
        tar.len() / 1_000_000
    );
    Ok(())
}
