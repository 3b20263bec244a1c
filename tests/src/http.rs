//! Asking a web server for a page, and finding a port for it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A TCP port of the loopback interface that nobody listens on, and that this program gives to no other test. The kernel
/// does not choose it for anybody either: its own are 32768 and above (ip(7), `ip_local_port_range`).
pub fn free_port() -> u16 {
    const FIRST: u32 = 15_000;
    const COUNT: u32 = 15_000;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Programs that run at the same time begin in different places.
    let start = std::process::id().wrapping_mul(101);
    (0..COUNT)
        .filter_map(|_| {
            let number = start.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % COUNT;
            u16::try_from(FIRST + number).ok()
        })
        .find(|port| TcpListener::bind(("0.0.0.0", *port)).is_ok())
        .expect("a port of the loopback interface")
}

/// The status and the body that `address` answers to a GET of `path`; `None` if there is no answer within 20 s.
pub fn get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let patience = Duration::from_secs(20);
    let mut stream = TcpStream::connect_timeout(&address, patience).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}
