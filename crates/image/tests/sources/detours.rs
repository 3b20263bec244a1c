//! Redirects, proxies and credential helpers: the ways on which requests and passwords leave the straight path.

use std::io::{Read, Write};
use std::process::Command;

use gaufre_image::{Compression, Credentials, Reference, Registry, RegistryOptions, RetryPolicy};

use crate::faulty_server::{Answer, FaultyServer};
use crate::layout::{amd64, chain, image, read_layers};

/// Tells the child of a test what to pull, in the order given.
const NAMES: &str = "GAUFRE_TEST_PULL";

/// `Basic` of user:secret.
const BASIC: &str = "Basic dXNlcjpzZWNyZXQ=";

fn asks_for_a_password() -> Answer {
    Answer::Status("401 Unauthorized", "WWW-Authenticate: Basic realm=\"test\"\r\n".to_owned())
}

#[test]
fn a_password_does_not_follow_a_redirect_to_another_server() {
    let image = image(300_000, Compression::Gzip);
    let elsewhere = FaultyServer::start(&image, |_| Answer::Usual);
    let (known, target) = (image.clone(), elsewhere.address.clone());
    let server = FaultyServer::start(&image, move |asked| match &asked.authorization {
        Some(basic) if basic == BASIC => match asked.is_layer(&known) {
            true => Answer::Status(
                "307 Temporary Redirect",
                format!("Location: http://{target}{}\r\n", asked.path),
            ),
            false => Answer::Usual,
        },
        _ => asks_for_a_password(),
    });
    let registry = Registry::new(RegistryOptions {
        tls_verify: Some(false),
        creds: Some(Credentials::parse("user:secret")),
        ..RegistryOptions::default()
    })
    .unwrap();
    let image = registry.resolve(&server.reference(), &amd64()).unwrap();
    assert_eq!(read_layers(&registry, &image).unwrap(), 1);
    let asked = elsewhere.asked.lock().unwrap();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].authorization, None);
}

/// An auth file that has a refresh token for `address`, in a folder that goes with it.
fn refresh_token_for(address: &str) -> (tempfile::TempDir, RegistryOptions) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("auth.json");
    std::fs::write(&file, format!(r#"{{"auths":{{"{address}":{{"identitytoken":"refresh"}}}}}}"#)).unwrap();
    let options = RegistryOptions {
        tls_verify: Some(false),
        auth_file: Some(file),
        retry: RetryPolicy { attempts: 1, ..RetryPolicy::default() },
        ..RegistryOptions::default()
    };
    (dir, options)
}

#[test]
fn a_refresh_token_does_not_follow_a_redirect_to_another_server() {
    let image = image(1000, Compression::Gzip);
    let elsewhere = FaultyServer::start(&image, |_| Answer::Body(br#"{"token":"t"}"#.to_vec()));
    let token_server = |to: String, path: &'static str| {
        FaultyServer::start(&image, move |asked| match asked.path.as_str() {
            "/token" => {
                let location = format!("Location: http://{to}{path}\r\nConnection: close\r\n");
                Answer::Status("307 Temporary Redirect", location)
            }
            _ => Answer::Body(br#"{"token":"t"}"#.to_vec()),
        })
    };
    let issuer = token_server(elsewhere.address.clone(), "/token");
    let realm = format!("WWW-Authenticate: Bearer realm=\"http://{}/token\"\r\n", issuer.address);
    let server = FaultyServer::start(&image, move |asked| match &asked.authorization {
        None => Answer::Status("401 Unauthorized", realm.clone()),
        Some(_) => Answer::Usual,
    });
    let (_dir, options) = refresh_token_for(&server.address);
    let registry = Registry::new(options).unwrap();
    let error = chain(&registry.resolve(&server.reference(), &amd64()).unwrap_err());
    assert!(error.contains("redirects a request with a refresh token to another server"), "{error}");
    assert_eq!(issuer.asked.lock().unwrap().len(), 1);
    assert_eq!(elsewhere.asked.lock().unwrap().len(), 0, "the token went elsewhere");
}

/// A registry over TLS, with a certificate of nobody, that asks everybody for a token from `realm`.
fn tls_registry(realm: String) -> String {
    let key = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let certificate = key.cert.der().clone();
    let private = rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], private)
        .unwrap();
    let config = std::sync::Arc::new(config);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // The thread ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = rustls::ServerConnection::new(std::sync::Arc::clone(&config)).unwrap();
            let mut tls = rustls::StreamOwned::new(connection, stream);
            let mut request = [0; 4096];
            if tls.read(&mut request).is_ok_and(|len| len > 0) {
                let challenge = format!("WWW-Authenticate: Bearer realm=\"{realm}\"");
                let _ = write!(
                    tls,
                    "HTTP/1.1 401 No\r\n{challenge}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
                tls.conn.send_close_notify();
                let _ = tls.flush();
            }
        }
    });
    address
}

#[test]
fn a_registry_over_tls_cannot_have_credentials_sent_in_plain_text() {
    let image = image(1000, Compression::Gzip);
    let elsewhere = FaultyServer::start(&image, |_| Answer::Body(br#"{"token":"t"}"#.to_vec()));
    let address = tls_registry(format!("http://{}/token", elsewhere.address));
    let (_dir, options) = refresh_token_for(&address);
    let registry = Registry::new(options).unwrap();
    let reference = Reference::parse(&format!("{address}/image:1")).unwrap();
    let error = chain(&registry.resolve(&reference, &amd64()).unwrap_err());
    assert!(error.contains("without TLS"), "{error}");
    assert_eq!(elsewhere.asked.lock().unwrap().len(), 0);
}

/// Runs `pulls_what_its_environment_names` in a process with an environment of its own.
fn pull_in_child(names: &[String], environment: &[(&str, &str)]) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "detours::pulls_what_its_environment_names", "--nocapture"])
        .env(NAMES, names.join(" "))
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

/// The child's part of the tests below; alone it has nothing to pull.
#[test]
fn pulls_what_its_environment_names() {
    for name in std::env::var(NAMES).unwrap_or_default().split_whitespace() {
        let options = RegistryOptions { tls_verify: Some(false), ..RegistryOptions::default() };
        let registry = Registry::new(options).unwrap();
        let image = registry.resolve(&Reference::parse(name).unwrap(), &amd64());
        let image = image.unwrap_or_else(|error| panic!("{}", chain(&error)));
        assert_eq!(read_layers(&registry, &image).unwrap(), 1);
    }
}

#[test]
fn a_proxy_of_the_environment_is_used_but_never_for_loopback() {
    let image = image(300_000, Compression::Gzip);
    let proxy = FaultyServer::start(&image, |asked| match asked.path.starts_with("http://registry.test/") {
        true => Answer::Usual,
        // CONNECT for TLS, which the registry does not speak.
        false => Answer::Status("403 Forbidden", String::new()),
    });
    let near = FaultyServer::start(&image, |_| Answer::Usual);
    let address = format!("http://{}", proxy.address);
    let names = ["registry.test/image:1".to_owned(), format!("{}/image:1", near.address)];
    pull_in_child(&names, &[("HTTP_PROXY", &address), ("HTTPS_PROXY", &address), ("NO_PROXY", "")]);
    let layers = |server: &FaultyServer| server.layer_offsets(&image).len();
    assert_eq!((layers(&proxy), layers(&near)), (1, 1));
}

#[test]
fn a_credential_helper_is_asked() {
    let image = image(1000, Compression::Gzip);
    let server = FaultyServer::start(&image, |asked| match asked.authorization.as_deref() {
        Some(BASIC) => Answer::Usual,
        _ => asks_for_a_password(),
    });
    let directory = tempfile::tempdir().unwrap();
    let helper = directory.path().join("docker-credential-test");
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = get ] && [ \"$(cat)\" = {} ] && echo '{{\"Username\":\"user\",\"Secret\":\"secret\"}}'\n",
        server.address
    );
    // By another process: a file that is open for writing cannot be executed, and what another test starts meanwhile
    // would have our descriptor for a moment (execve(2), ETXTBSY).
    let written = directory.path().join("script");
    std::fs::write(&written, script).unwrap();
    let installed = std::process::Command::new("install").arg("-m755").arg(&written).arg(&helper).status();
    assert!(installed.unwrap().success());
    let file = directory.path().join("auth.json");
    let text = format!(r#"{{"credHelpers":{{"{}":"test"}}}}"#, server.address);
    std::fs::write(&file, text).unwrap();
    let path = format!("{}:{}", directory.path().display(), std::env::var("PATH").unwrap());
    let environment = [("PATH", path.as_str()), ("REGISTRY_AUTH_FILE", file.to_str().unwrap())];
    pull_in_child(&[server.reference().to_string()], &environment);
}
