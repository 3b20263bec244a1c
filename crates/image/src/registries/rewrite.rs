//! From a reference to the places that may have it.

use super::file::{PullFromMirror, RegistryEntry};
use super::{Location, RegistriesConfError};
use crate::reference::Reference;
use crate::registry::Authority;

pub(super) fn locations(
    entries: &[RegistryEntry],
    reference: &Reference,
    tls_verify: Option<bool>,
) -> Result<Vec<Location>, RegistriesConfError> {
    let name = reference.name();
    let matching = entries.iter().filter_map(|entry| Some((matched_len(entry, &name)?, entry)));
    let Some((matched, entry)) = matching.max_by_key(|(_, entry)| entry.prefix.len()) else {
        return Ok(vec![direct(reference.clone(), false, tls_verify)]);
    };
    if entry.blocked {
        return Err(RegistriesConfError::Blocked { prefix: entry.prefix.clone() });
    }
    let moved = |location: &str| {
        // A wildcard entry without a location only sets flags.
        if location.is_empty() {
            return Ok(reference.clone());
        }
        let target = format!("{location}{}", &name[matched..]);
        reference
            .moved_to(&target)
            .map_err(|source| RegistriesConfError::Reference { name: name.clone(), source })
    };
    let mut found = Vec::new();
    for mirror in &entry.mirror {
        let by_digest = reference.digest().is_some();
        let serves = match mirror.pull_from_mirror {
            PullFromMirror::All => by_digest || !entry.mirror_by_digest_only,
            PullFromMirror::DigestOnly => by_digest,
            PullFromMirror::TagOnly => !by_digest,
        };
        if serves {
            let place = direct(moved(&mirror.location)?, mirror.insecure, tls_verify);
            found.push(Location { is_mirror: true, ..place });
        }
    }
    found.push(direct(moved(&entry.location)?, entry.insecure, tls_verify));
    Ok(found)
}

fn direct(reference: Reference, insecure: bool, tls_verify: Option<bool>) -> Location {
    let insecure = tls_verify.map_or(insecure, |verify| !verify);
    let authority = Authority { registry: reference.registry().to_owned(), insecure };
    Location { reference, authority, is_mirror: false }
}

/// How many bytes of `name` the entry's prefix covers: whole components, or `*.` and the rest of a host.
fn matched_len(entry: &RegistryEntry, name: &str) -> Option<usize> {
    let ends_component = |rest: &str| rest.is_empty() || rest.starts_with(['/', ':']);
    match entry.prefix.strip_prefix('*') {
        None => {
            let rest = name.strip_prefix(entry.prefix.as_str())?;
            // "host" must not match "host:5000".
            (rest.is_empty() || rest.starts_with('/')).then_some(entry.prefix.len())
        }
        Some(suffix) => {
            let host = name.split('/').next().unwrap_or(name);
            let at = host.rfind(suffix)?;
            let end = at + suffix.len();
            (at > 0 && ends_component(&host[end..])).then_some(end)
        }
    }
}
