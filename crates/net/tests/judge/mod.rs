//! A machine of its own for each test: a fresh network namespace on the test's thread, with an uplink to a neighbour.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use gaufre_net::{AttachRequest, Attached, Net, PortMapping};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

/// Address of the machine under test on its uplink, and of its neighbour there.
pub(crate) const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(crate) const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);

/// The calling thread's machine. Its namespaces end with the descriptors; nothing else has to be cleaned up.
pub(crate) struct Machine {
    pub(crate) neighbour: File,
    pub(crate) run: tempfile::TempDir,
    pub(crate) net: Net,
}

impl Machine {
    /// Moves the calling thread into a new machine.
    pub(crate) fn new() -> Machine {
        enter_new_netns();
        ip("link set lo up");
        // A new namespace copies the settings of the first one, in which somebody may forward.
        fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        let neighbour = new_netns();
        // `ip` finds a namespace by the number of a descriptor of its parent.
        ip(&format!("link add up0 type veth peer name eth0 netns {}", here(&neighbour)));
        ip(&format!("addr add {HOST}/24 dev up0"));
        ip("link set up0 up");
        inside(&neighbour, || {
            ip("link set lo up");
            ip(&format!("addr add {NEIGHBOUR}/24 dev eth0"));
            ip("link set eth0 up");
        });
        ip(&format!("route add default via {NEIGHBOUR}"));
        let run = tempfile::tempdir().unwrap();
        let net = Net::open(run.path()).unwrap();
        Machine { neighbour, run, net }
    }
}

/// How another process names one of our descriptors.
pub(crate) fn here(namespace: &File) -> String {
    use std::os::fd::AsRawFd;
    format!("/proc/{}/fd/{}", std::process::id(), namespace.as_raw_fd())
}

pub(crate) fn enter_new_netns() {
    // SAFETY: only the network namespace changes; no memory or descriptor is shared any less than before.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.expect("these tests need root");
}

/// A network namespace that nobody is in.
pub(crate) fn new_netns() -> File {
    let maker = thread::spawn(|| {
        enter_new_netns();
        File::open("/proc/thread-self/ns/net").unwrap()
    });
    maker.join().unwrap()
}

/// Runs something in a namespace, on a thread of its own.
pub(crate) fn inside<T: Send>(namespace: &File, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        scope
            .spawn(|| {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                work()
            })
            .join()
            .unwrap()
    })
}

/// Runs `ip`, which has to succeed.
pub(crate) fn ip(arguments: &str) -> String {
    run("ip", arguments)
}

/// Runs `nft`, which has to succeed.
pub(crate) fn nft(arguments: &str) -> String {
    run("nft", arguments)
}

fn run(program: &str, arguments: &str) -> String {
    let output = Command::new(program).args(arguments.split_whitespace()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// A TCP server in a namespace that answers each connection with the address it comes from; ends with the test process.
pub(crate) fn serve_tcp(namespace: &File, port: u16) {
    let (ready, is_ready) = mpsc::channel();
    let namespace = namespace.try_clone().unwrap();
    thread::spawn(move || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        // The listener keeps its namespace alive, this thread need not.
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
        ready.send(()).unwrap();
        while let Ok((mut stream, from)) = listener.accept() {
            let _ = stream.write_all(from.ip().to_string().as_bytes());
        }
    });
    is_ready.recv().unwrap();
}

/// A UDP server in a namespace that answers each datagram with the address it comes from.
pub(crate) fn serve_udp(namespace: &File, port: u16) {
    let socket = inside(namespace, || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap());
    thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((_, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(from.ip().to_string().as_bytes(), from);
        }
    });
}

/// What a server says to the calling thread's namespace, or none if it cannot be reached.
pub(crate) fn ask_tcp(address: Ipv4Addr, port: u16) -> Option<String> {
    let address = SocketAddr::V4(SocketAddrV4::new(address, port));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(4)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

pub(crate) fn ask_udp(address: Ipv4Addr, port: u16) -> Option<String> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    ask_udp_from(&socket, address, port)
}

pub(crate) fn ask_udp_from(socket: &UdpSocket, address: Ipv4Addr, port: u16) -> Option<String> {
    socket.set_read_timeout(Some(Duration::from_secs(4))).unwrap();
    socket.connect((address, port)).unwrap();
    socket.send(b"who am I?").ok()?;
    let mut buffer = [0; 64];
    let len_bytes = socket.recv(&mut buffer).ok()?;
    Some(String::from_utf8_lossy(&buffer[..len_bytes]).into_owned())
}

/// Attaches, which has to succeed.
pub(crate) fn attach(machine: &Machine, id: &str, netns: &File, ports: &str) -> Attached {
    try_attach(&machine.net, id, netns, ports).unwrap()
}

pub(crate) fn try_attach(net: &Net, id: &str, netns: &File, ports: &str) -> Result<Attached, String> {
    let ports: Vec<_> = ports.split_whitespace().flat_map(|text| PortMapping::parse(text).unwrap()).collect();
    net.attach(&AttachRequest { id, netns: netns.as_fd(), ports: &ports }).map_err(|error| error.to_string())
}

/// Everything on the machine that we could leave behind.
pub(crate) fn traces(run: &Path) -> String {
    let attachments: Vec<_> =
        fs::read_dir(run.join("net/attachments")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let forwarding = fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap();
    // Names only: counters and the like change by themselves.
    let links: Vec<_> =
        ip("-o link").lines().map(|line| line.split(':').nth(1).unwrap().to_owned()).collect();
    format!(
        "{links:?} {} {} {forwarding} {attachments:?}",
        ip("route").replace("linkdown ", ""),
        nft("list ruleset")
    )
}
