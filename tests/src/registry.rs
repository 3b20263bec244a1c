//! Debian's docker-registry on a free port of the loopback interface.

use crate::certificate::Certificate;
use crate::started::Started;
use crate::token_issuer::TokenIssuer;
use crate::tool::{run, tool, until};
use crate::{cache_dir, images};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// How a registry is reached.
#[derive(Debug)]
pub enum Access {
    /// Plain HTTP, for everybody.
    Open,
    /// HTTPS with a certificate that no system trusts, and a user and password asked for.
    Guarded(Certificate),
    /// The same HTTPS, for those who have a certificate of the same authority.
    Mutual(Certificate),
    /// Plain HTTP, for those who have a token of this issuer's.
    Token(TokenIssuer),
}

/// A running registry, ended when dropped.
#[derive(Debug)]
pub struct Registry {
    address: String,
    access: Access,
    dir: TempDir,
    process: Started,
}

impl Registry {
    /// The user that a guarded registry knows.
    pub const USER: &str = "baker";
    /// That user's password.
    pub const PASSWORD: &str = "syrup and sugar";

    /// A registry that serves the test images and takes nothing.
    pub fn with_images() -> Self {
        Self::start(&prepared(), true, Access::Open)
    }

    /// The same behind TLS and basic authentication.
    pub fn guarded() -> Self {
        Self::start(&prepared(), true, Access::Guarded(Certificate::new()))
    }

    /// One that asks its clients for a certificate of its own authority.
    pub fn mutual() -> Self {
        Self::start(&prepared(), true, Access::Mutual(Certificate::new()))
    }

    /// One that asks for a token, which is given for a refresh token.
    pub fn with_tokens() -> Self {
        Self::start(&prepared(), true, Access::Token(TokenIssuer::new()))
    }

    /// An empty registry that takes what is pushed.
    pub fn empty() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let storage = dir.path().join("storage");
        Self::start_in(dir, &storage, false, Access::Open)
    }

    /// Its `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The reference of the test image `name` in it.
    pub fn image(&self, name: &str) -> String {
        format!("{}/{name}:latest", self.address)
    }

    /// The certificate of a guarded registry.
    ///
    /// # Panics
    ///
    /// If it is not guarded.
    pub fn certificate(&self) -> &Certificate {
        match &self.access {
            Access::Guarded(certificate) | Access::Mutual(certificate) => certificate,
            Access::Open | Access::Token(_) => panic!("this registry has no certificate"),
        }
    }

    /// Who gives the tokens for it.
    ///
    /// # Panics
    ///
    /// If it asks for none.
    pub fn issuer(&self) -> &TokenIssuer {
        match &self.access {
            Access::Token(issuer) => issuer,
            _ => panic!("this registry asks for no token"),
        }
    }

    /// Pushes an image into it with skopeo, from whatever skopeo can read (`oci:DIR:NAME`, `docker-archive:FILE`).
    pub fn push(&self, from: &str, name: &str) {
        copy(from, &self.image(name));
    }

    /// The process id of the server.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// What the server has logged so far, requests and errors.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn start(storage: &Path, read_only: bool, access: Access) -> Self {
        Self::start_in(tempfile::tempdir().expect("a temporary folder"), storage, read_only, access)
    }

    fn start_in(dir: TempDir, storage: &Path, read_only: bool, access: Access) -> Self {
        let config = dir.path().join("config.yml");
        fs::write(&config, configuration(dir.path(), storage, read_only, &access)).expect("a written file");
        let log = File::create(dir.path().join("log")).expect("a log file");
        let mut serve = Command::new("docker-registry");
        serve.arg("serve").arg(&config);
        let mut process = Started::configured(&serve, |command| {
            command.stdout(Stdio::null()).stderr(log);
        });
        // Port 0 lets the kernel choose; the server then logs which it got.
        let address = until("docker-registry to listen", || {
            let said = fs::read_to_string(dir.path().join("log")).unwrap_or_default();
            if let Ok(Some(status)) = process.child().try_wait() {
                panic!("docker-registry ended ({status}):\n{said}");
            }
            let after = said.split("listening on ").nth(1)?;
            let end = after.find(|c: char| c != '.' && c != ':' && !c.is_ascii_digit())?;
            Some(after[..end].to_owned())
        });
        Self { address, access, dir, process }
    }
}

/// The configuration of distribution 2.8 (its documentation, configuration.md).
fn configuration(dir: &Path, storage: &Path, read_only: bool, access: &Access) -> String {
    let mut yaml = format!(
        "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {}\n    maxthreads: 100\n",
        storage.display()
    );
    if read_only {
        yaml.push_str("  maintenance:\n    readonly:\n      enabled: true\n");
    }
    yaml.push_str("http:\n  addr: 127.0.0.1:0\n");
    if let Access::Mutual(certificate) = access {
        yaml.push_str(&format!(
            "  tls:\n    certificate: {}\n    key: {}\n    clientcas:\n      - {}\n",
            certificate.server().display(),
            certificate.key().display(),
            certificate.authority().display()
        ));
    }
    if let Access::Token(issuer) = access {
        yaml.push_str(&format!(
            "auth:\n  token:\n    realm: {}\n    service: waffles\n    issuer: bakery\n    rootcertbundle: {}\n",
            issuer.realm(),
            issuer.certificate().display()
        ));
    }
    if let Access::Guarded(certificate) = access {
        let users = dir.join("htpasswd");
        let line = run(tool("htpasswd").args(["-Bbn", Registry::USER, Registry::PASSWORD]));
        fs::write(&users, line).expect("a written file");
        yaml.push_str(&format!(
            "  tls:\n    certificate: {}\n    key: {}\nauth:\n  htpasswd:\n    realm: waffles\n    path: {}\n",
            certificate.server().display(),
            certificate.key().display(),
            users.display()
        ));
    }
    yaml
}

/// Registry storage that holds all test images, filled once for each making of the images.
fn prepared() -> PathBuf {
    let images = images();
    let key = images.file_name().expect("the layout has a name");
    let dir = cache_dir().join("registry");
    let place = dir.join(key);
    if place.exists() {
        return place;
    }
    fs::create_dir_all(&dir).expect("a folder in the cache");
    let lock = File::create(dir.join(".lock")).expect("a lock file");
    lock.lock().expect("the lock");
    if place.exists() {
        return place;
    }
    let scratch = dir.join(".making");
    let _ = fs::remove_dir_all(&scratch);
    fs::create_dir(&scratch).expect("a folder in the cache");
    let registry = Registry::start(&scratch, false, Access::Open);
    for name in ["base", "python", "redis", "nginx", "postgresql", "big"] {
        registry.push(&format!("oci:{}:{name}", images.display()), name);
    }
    drop(registry);
    fs::rename(&scratch, &place).expect("the storage takes its place");
    place
}

fn copy(from: &str, to: &str) {
    let to = format!("docker://{to}");
    run(tool("skopeo").args(["--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false", from, &to]));
}
