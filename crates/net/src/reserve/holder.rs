//! Who holds a port: only looked for once somebody is to be told (proc_pid_net(5), proc_pid_fd(5)).

use std::fs;

use crate::port::Protocol;

/// A process that has this local port open in our network namespace, as "name (pid 12)".
pub(super) fn find(port: u16, protocol: Protocol) -> Option<String> {
    let tables = match protocol {
        Protocol::Tcp => ["tcp", "tcp6"],
        Protocol::Udp => ["udp", "udp6"],
    };
    let inodes: Vec<String> = tables
        .iter()
        .filter_map(|table| fs::read_to_string(format!("/proc/thread-self/net/{table}")).ok())
        .flat_map(|table| table.lines().filter_map(|line| inode_if_local(line, port)).collect::<Vec<_>>())
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    if inodes.is_empty() { None } else { process_with(&inodes) }
}

/// A line is `sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode ...`.
fn inode_if_local(line: &str, port: u16) -> Option<String> {
    let mut fields = line.split_whitespace();
    let (_, local_port) = fields.nth(1)?.rsplit_once(':')?;
    let inode = fields.nth(7)?;
    (u16::from_str_radix(local_port, 16) == Ok(port) && inode != "0").then(|| inode.to_owned())
}

fn process_with(sockets: &[String]) -> Option<String> {
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else { continue };
        for descriptor in descriptors.flatten() {
            let Ok(target) = fs::read_link(descriptor.path()) else { continue };
            if target.to_str().is_some_and(|target| sockets.iter().any(|socket| socket == target)) {
                let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
                return Some(format!("{} (pid {pid})", name.trim()));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_that_holds_a_port_is_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let found = find(port, Protocol::Tcp).unwrap();
        assert!(found.ends_with(&format!("(pid {})", std::process::id())), "{found}");
        assert_eq!(inode_if_local("garbage", 1), None);
    }
}
