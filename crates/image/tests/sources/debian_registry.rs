//! Debian's docker-registry on a free port of loopback, ended with the test.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// `user` with the password `secret` (htpasswd -nbB).
const HTPASSWD: &str = "user:$2y$05$zBoRS7N/aS.YF7kSg8rcG.jnd1OpvSyIMH89aPNOatH3yqv.5c3d6\n";

/// A running registry with a directory of its own.
pub(crate) struct DebianRegistry {
    child: Child,
    pub(crate) address: String,
    pub(crate) directory: tempfile::TempDir,
}

impl DebianRegistry {
    /// Plain HTTP, open to everybody.
    pub(crate) fn start() -> Self {
        Self::start_with(None, false)
    }

    /// With a certificate and its key as PEM, and with or without basic auth.
    pub(crate) fn start_with(tls: Option<(&str, &str)>, basic_auth: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let storage = path("storage");
        let mut config = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}\n",
            storage.display()
        );
        if let Some((certificate, key)) = tls {
            std::fs::write(path("tls.crt"), certificate).unwrap();
            std::fs::write(path("tls.key"), key).unwrap();
            let (certificate, key) = (path("tls.crt"), path("tls.key"));
            config.push_str(&format!(
                "  tls:\n    certificate: {}\n    key: {}\n",
                certificate.display(),
                key.display()
            ));
        }
        if basic_auth {
            std::fs::write(path("htpasswd"), HTPASSWD).unwrap();
            let file = path("htpasswd");
            config.push_str(&format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", file.display()));
        }
        let file: PathBuf = path("config.yml");
        std::fs::write(&file, config).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("these tests need docker-registry (apt-get install docker-registry)");
        let registry = Self { child, address, directory };
        registry.wait();
        registry
    }

    fn wait(&self) {
        let patience = Instant::now() + Duration::from_secs(120);
        while TcpStream::connect(&self.address).is_err() {
            assert!(Instant::now() < patience, "docker-registry did not start on {}", self.address);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for DebianRegistry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
