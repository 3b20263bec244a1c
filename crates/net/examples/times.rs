//! Prints how long the steps of a sandbox's network take, on a machine of its own (needs root).

#[path = "../tests/judge/mod.rs"]
#[allow(clippy::unwrap_used, clippy::expect_used, dead_code)]
mod judge;

use std::os::fd::AsFd;
use std::time::Instant;

use gaufre_net::{AttachRequest, PortMapping};

use crate::judge::{Machine, new_netns};

#[allow(clippy::unwrap_used)]
fn main() {
    let machine = Machine::new();
    let ports = PortMapping::parse("8080:80").unwrap();
    for cycle in 0..4 {
        for (at, ports) in [&[][..], &ports, &[], &ports].iter().enumerate() {
            let netns = new_netns();
            let id = format!("s{at}");
            let start = Instant::now();
            let attached =
                machine.net.attach(&AttachRequest { id: &id, netns: netns.as_fd(), ports }).unwrap();
            let attach = start.elapsed();
            drop(attached);
            drop(netns);
            let start = Instant::now();
            machine.net.release(&id).unwrap();
            println!("{} ports: attach {attach:?} release {:?}", ports.len(), start.elapsed());
            std::thread::sleep(std::time::Duration::from_millis(200 * (cycle % 2)));
        }
        let start = Instant::now();
        machine.net.sweep().unwrap();
        println!("sweep {:?}", start.elapsed());
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}
