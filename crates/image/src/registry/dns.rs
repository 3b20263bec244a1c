//! Name resolution in Rust: the binaries are static, and glibc's NSS would load shared objects into them.

use std::net::SocketAddr;
use std::sync::OnceLock;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// A name that leads nowhere.
#[derive(Debug, thiserror::Error)]
enum LookupError {
    #[error("no name server knows an address of {0}")]
    Unknown(String),
    #[error("cannot look up the address of {name}")]
    Failed {
        name: String,
        #[source]
        source: hickory_resolver::net::NetError,
    },
}

/// Resolves through /etc/hosts and the name servers of /etc/resolv.conf, and no others.
#[derive(Clone, Debug, Default)]
pub(super) struct SystemResolver(std::sync::Arc<OnceLock<TokioResolver>>);

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let shared = self.clone();
        Box::pin(async move {
            let resolver = match shared.0.get() {
                Some(resolver) => resolver,
                None => {
                    let mut builder = TokioResolver::builder_tokio()?;
                    builder.options_mut().ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
                    let fresh = builder.build()?;
                    shared.0.get_or_init(|| fresh)
                }
            };
            let found = resolver.lookup_ip(name.as_str()).await.map_err(|source| {
                let name = name.as_str().to_owned();
                match source.is_no_records_found() {
                    true => LookupError::Unknown(name),
                    false => LookupError::Failed { name, source },
                }
            })?;
            let addresses: Vec<SocketAddr> = found.iter().map(|ip| SocketAddr::new(ip, 0)).collect();
            let addresses: Addrs = Box::new(addresses.into_iter());
            Ok(addresses)
        })
    }
}
