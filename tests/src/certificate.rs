//! A certificate authority of a test's own, and a server certificate from it.

use crate::tool::{run, tool};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A certificate for 127.0.0.1 and localhost, signed by an authority that no system trusts.
#[derive(Debug)]
pub struct Certificate {
    dir: TempDir,
}

impl Certificate {
    /// Makes the authority and the certificate with openssl.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let openssl =
            |arguments: &str| run(tool("openssl").args(arguments.split(' ')).current_dir(dir.path()));
        openssl(
            "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=waffle-authority -keyout ca.key -out ca.crt",
        );
        openssl("req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr");
        std::fs::write(
            dir.path().join("extensions"),
            "subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n",
        )
        .expect("a written file");
        openssl(
            "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out server.crt",
        );
        std::fs::create_dir(dir.path().join("trusted")).expect("a folder");
        std::fs::copy(dir.path().join("ca.crt"), dir.path().join("trusted/ca.crt")).expect("a copied file");
        Self { dir }
    }

    /// Puts the authority's certificate into `dir`, with a client's certificate and key from it, as certs.d has them.
    pub fn for_client(&self, dir: &Path) {
        let openssl =
            |arguments: &str| run(tool("openssl").args(arguments.split(' ')).current_dir(self.dir.path()));
        openssl("req -newkey rsa:2048 -nodes -subj /CN=baker -keyout client.key -out client.csr");
        openssl("x509 -req -in client.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out client.cert");
        std::fs::create_dir_all(dir).expect("a folder");
        for name in ["ca.crt", "client.cert", "client.key"] {
            std::fs::copy(self.dir.path().join(name), dir.join(name)).expect("a copied file");
        }
    }

    /// The authority's certificate.
    pub fn authority(&self) -> PathBuf {
        self.dir.path().join("ca.crt")
    }

    /// The server's certificate.
    pub fn server(&self) -> PathBuf {
        self.dir.path().join("server.crt")
    }

    /// The server's key.
    pub fn key(&self) -> PathBuf {
        self.dir.path().join("server.key")
    }

    /// A folder that holds the authority's certificate and nothing else, as `--cert-dir` takes it.
    pub fn trusted_dir(&self) -> PathBuf {
        self.dir.path().join("trusted")
    }

    /// Where it all lies.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

impl Default for Certificate {
    fn default() -> Self {
        Self::new()
    }
}
