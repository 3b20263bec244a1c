//! The character rules of references (distribution's `reference/regexp.go`), without regular expressions.

/// Whether the first component of a name is a registry and not part of a repository.
pub(super) fn means_registry(first: &str) -> bool {
    first.contains(['.', ':', '[']) || first == "localhost" || first.chars().any(|c| c.is_ascii_uppercase())
}

/// Host name or address with an optional port: `a.b`, `localhost:5000`, `[::1]:5000`.
pub(super) fn is_registry(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else { return false };
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            match port.strip_prefix(':') {
                Some(port) => return is_port(port),
                None => return port.is_empty(),
            }
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    host.split('.').all(is_host_label) && port.is_none_or(is_port)
}

/// `[a-zA-Z0-9]` with `-` inside.
fn is_host_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    matches!((bytes.first(), bytes.last()), (Some(first), Some(last))
        if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// Lower case letters and digits, with `.`, `_`, `__` or any number of `-` between them.
pub(super) fn is_path_component(text: &str) -> bool {
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let bounded = bytes.first().is_some_and(alphanumeric) && bytes.last().is_some_and(alphanumeric);
    bounded
        && bytes.split(alphanumeric).all(|separator| match separator {
            [] => true,
            [b'.'] | b"_" | b"__" => true,
            dashes => dashes.iter().all(|b| *b == b'-'),
        })
}

/// `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`.
pub(super) fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

/// 64 hexadecimal digits are an image ID; Docker refuses them as a name.
pub(super) fn is_hex_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}
