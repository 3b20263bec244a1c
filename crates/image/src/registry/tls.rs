//! TLS: the system's certificate authorities, those of certs.d, client certificates, and no verification at all.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, DigitallySignedStruct, InconsistentKeys, RootCertStore, SignatureScheme};

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A directory or file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is no PEM of the wanted kind.
    #[error("{path} holds no usable certificate or key")]
    Pem {
        /// The path.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// A client certificate without its key.
    #[error("client certificate {path} has no key {key} beside it")]
    NoKey {
        /// The certificate.
        path: PathBuf,
        /// The key that is missing.
        key: PathBuf,
    },
    /// rustls refuses the set.
    #[error("the certificates in {path} cannot be used")]
    Rustls {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

/// Certificates that a user put aside for one registry.
#[derive(Default)]
struct Extra {
    directory: PathBuf,
    authorities: Vec<CertificateDer<'static>>,
    client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

/// TLS settings for `registry` (host and port as in certs.d); `verify` off accepts any certificate.
///
/// # Errors
/// [`TlsError`] names the file that cannot be used.
pub(super) fn client_config(
    registry: &str,
    cert_dir: Option<&Path>,
    verify: bool,
) -> Result<ClientConfig, TlsError> {
    let extra = match cert_dir.map(Path::to_path_buf).or_else(|| certs_d(registry)) {
        Some(directory) => Extra::read(&directory)?,
        None => Extra::default(),
    };
    let refused = |source| TlsError::Rustls { path: extra.directory.clone(), source };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(refused)?;
    let client = extra.client.map(|(chain, key)| certified(chain, key, &provider)).transpose();
    let client = client.map_err(refused)?;
    let builder = if verify {
        let mut roots = RootCertStore::empty();
        // A machine without certificate authorities still reaches registries that --cert-dir vouches for.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for authority in extra.authorities {
            roots.add(authority).map_err(refused)?;
        }
        builder.with_root_certificates(roots)
    } else {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AcceptAny(provider)))
    };
    Ok(match client {
        None => builder.with_no_client_auth(),
        Some(client) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(client))),
    })
}

/// A client's certificate with its key. Those that `openssl x509 -req` makes when no extensions are asked for have
/// version 1, which rustls does not read: whether such a one fits its key and is good is for the server to say.
fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, rustls::Error> {
    let client = CertifiedKey::new(chain, provider.key_provider.load_private_key(key)?);
    match client.keys_match() {
        Err(error @ rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => Err(error),
        _ => Ok(client),
    }
}

/// The first existing certs.d directory of the registry (containers-certs.d(5)).
fn certs_d(registry: &str) -> Option<PathBuf> {
    let user = std::env::var_os("HOME").map(|home| Path::new(&home).join(".config/containers/certs.d"));
    let system = ["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from);
    user.into_iter().chain(system).map(|base| base.join(registry)).find(|directory| directory.is_dir())
}

impl Extra {
    fn read(directory: &Path) -> Result<Self, TlsError> {
        let read = |source| TlsError::Read { path: directory.to_owned(), source };
        let mut paths = std::fs::read_dir(directory)
            .map_err(read)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(read)?;
        paths.sort();
        let mut extra = Self { directory: directory.to_owned(), ..Self::default() };
        for path in paths {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("crt") => extra.authorities.extend(certificates(&path)?),
                Some("cert") => {
                    let key_path = path.with_extension("key");
                    if !key_path.exists() {
                        return Err(TlsError::NoKey { path, key: key_path });
                    }
                    let key = PrivateKeyDer::from_pem_file(&key_path)
                        .map_err(|source| TlsError::Pem { path: key_path, source })?;
                    extra.client = Some((certificates(&path)?, key));
                }
                _ => {}
            }
        }
        Ok(extra)
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unusable = |source| TlsError::Pem { path: path.to_owned(), source };
    let found = CertificateDer::pem_file_iter(path)
        .map_err(unusable)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(unusable)?;
    if found.is_empty() {
        return Err(unusable(rustls::pki_types::pem::Error::NoItemsFound));
    }
    Ok(found)
}

/// `--tls-verify=false`: any certificate will do, but signatures must still match it.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
