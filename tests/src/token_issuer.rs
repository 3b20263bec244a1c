//! An authorisation server for a registry: tokens as the distribution specification's token authentication has them,
//! in exchange for one refresh token.

use crate::certificate::Certificate;
use crate::tool::{run, tool};
use serde_json::{Value, json};
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

/// A running issuer, ended when dropped.
#[derive(Debug)]
pub struct TokenIssuer {
    certificate: Certificate,
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    given: AtomicUsize,
    over: AtomicBool,
}

impl TokenIssuer {
    /// What it takes for a token.
    pub const REFRESH_TOKEN: &str = "the recipe of the grandmother";

    /// Starts one.
    ///
    /// # Panics
    ///
    /// If no port is to be had.
    pub fn new() -> Self {
        let certificate = Certificate::new();
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port of the loopback interface");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared::default());
        let (serving, dir) = (Arc::clone(&shared), certificate.dir().to_owned());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if serving.over.load(Ordering::SeqCst) {
                    return;
                }
                // A client that goes away is no error of ours.
                let _ = answer(&serving, &dir, &stream);
            }
        });
        Self { certificate, address, shared, thread: Some(thread) }
    }

    /// Where tokens are asked for.
    pub fn realm(&self) -> String {
        format!("http://{}/token", self.address)
    }

    /// The certificate of the key that tokens are signed with.
    pub fn certificate(&self) -> PathBuf {
        self.certificate.server()
    }

    /// How many tokens it has given.
    pub fn given(&self) -> usize {
        self.shared.given.load(Ordering::SeqCst)
    }
}

impl Default for TokenIssuer {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for TokenIssuer {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// OAuth 2 (RFC 6749 section 6), as distribution's `oauth.md` profiles it.
fn answer(shared: &Shared, dir: &Path, mut stream: &TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut first, mut length) = (String::new(), String::new(), 0);
    while reader.read_line(&mut line)? > 2 {
        if first.is_empty() {
            first.clone_from(&line);
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    let mut form = vec![0; length];
    reader.read_exact(&mut form)?;
    let form = String::from_utf8_lossy(&form).into_owned();
    let wanted = TokenIssuer::REFRESH_TOKEN.replace(' ', "+");
    let asked = form.replace("%20", "+");
    let granted = first.starts_with("POST /token")
        && asked.contains("grant_type=refresh_token")
        && asked.contains(&format!("refresh_token={wanted}"));
    let (status, body) = if granted {
        shared.given.fetch_add(1, Ordering::SeqCst);
        ("200 OK", json!({"access_token": token(dir), "expires_in": 300}))
    } else {
        ("401 Unauthorized", json!({"errors": [{"code": "UNAUTHORIZED"}]}))
    };
    let body = body.to_string();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// A JSON web token that allows pulling every test image, with the signing certificate in it.
fn token(dir: &Path) -> String {
    let pem = fs::read_to_string(dir.join("server.crt")).expect("the certificate");
    let der: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let access = |name: &str| json!({"type": "repository", "name": name, "actions": ["pull"]});
    let claims = json!({"iss": "bakery", "sub": "baker", "aud": "waffles", "exp": now + 300, "nbf": now - 10,
        "iat": now, "jti": "1", "access": [access("base"), access("python")]});
    let header = json!({"typ": "JWT", "alg": "RS256", "x5c": [der]});
    let part = |value: &Value| base64url(value.to_string().as_bytes(), dir);
    let signed = format!("{}.{}", part(&header), part(&claims));
    fs::write(dir.join("signed"), &signed).expect("a written file");
    let mut sign = tool("openssl");
    run(sign
        .args(["dgst", "-sha256", "-sign", "server.key", "-out", "signature", "signed"])
        .current_dir(dir));
    let signature = fs::read(dir.join("signature")).expect("the signature");
    format!("{signed}.{}", base64url(&signature, dir))
}

fn base64url(bytes: &[u8], dir: &Path) -> String {
    fs::write(dir.join("part"), bytes).expect("a written file");
    let text = run(tool("openssl").args(["base64", "-A", "-in", "part"]).current_dir(dir));
    text.trim().trim_end_matches('=').replace('+', "-").replace('/', "_")
}
