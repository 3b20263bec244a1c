//! Indexes a tar: `cargo run --example index -- LAYER.tar LAYER.erofs`. Mount it with
//! `mount -t erofs -o ro,device=LAYER.tar LAYER.erofs DIR` where mount(8) takes files, else see `mount_index`.

use std::error::Error;
use std::fs::File;
use std::io::BufReader;
use std::time::Instant;

use gaufre_lazy::layer::LayerLimits;
use gaufre_lazy::write_index;

fn main() -> Result<(), Box<dyn Error>> {
    let [tar, index] = <[String; 2]>::try_from(std::env::args().skip(1).collect::<Vec<_>>())
        .map_err(|_| "say which tar, and where its index goes")?;
    let started = Instant::now();
    let tar = BufReader::with_capacity(1 << 18, File::open(tar)?);
    let indexed = write_index(tar, File::create(index)?, &LayerLimits::default())?;
    println!("{indexed:?} in {} ms", started.elapsed().as_millis());
    Ok(())
}
