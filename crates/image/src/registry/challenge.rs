//! `WWW-Authenticate`: what a registry asks for (RFC 9110 section 11, distribution's token specification).

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

use super::Parameters;

/// What the registry wants to see before it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    /// A token from `realm`, for `service`.
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
}

impl Challenge {
    /// The best challenge of a response that we can meet; the offending text if there is none that we can.
    pub(super) fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, String> {
        let mut refused = None;
        let mut basic = false;
        for value in headers.get_all(WWW_AUTHENTICATE) {
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            match Self::parse(&text) {
                Some(bearer @ Self::Bearer { .. }) => return Ok(Some(bearer)),
                Some(Self::Basic) => basic = true,
                None => refused = Some(text.chars().take(200).collect()),
            }
        }
        match (basic, refused) {
            (true, _) => Ok(Some(Self::Basic)),
            (false, Some(text)) => Err(text),
            (false, None) => Ok(None),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut parameters = parameters(rest);
        Some(Self::Bearer {
            realm: parameters.remove("realm")?,
            service: parameters.remove("service"),
            scope: parameters.remove("scope"),
        })
    }
}

/// `name="value, with commas", other=token`; what does not fit ends the list.
fn parameters(mut rest: &str) -> Parameters {
    let mut found = Parameters::new();
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([' ', ',', '\t']).to_ascii_lowercase();
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => match unquote(quoted) {
                Some(parts) => parts,
                None => break,
            },
            None => {
                let end = after.find(',').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        found.insert(name, value);
        rest = after;
    }
    found
}

/// The text up to the closing quote, with backslashes resolved, and what follows.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};

    use super::Challenge;

    fn of(values: &[&'static str]) -> Result<Option<Challenge>, String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(value));
        }
        Challenge::from_headers(&headers)
    }

    #[test]
    fn a_bearer_challenge_keeps_commas_inside_quotes() {
        let text =
            r#"Bearer realm="https://auth.example/token",service="reg",scope="repository:a/b:pull,push""#;
        assert_eq!(
            of(&[text]),
            Ok(Some(Challenge::Bearer {
                realm: "https://auth.example/token".to_owned(),
                service: Some("reg".to_owned()),
                scope: Some("repository:a/b:pull,push".to_owned()),
            }))
        );
    }

    #[test]
    fn bearer_wins_over_basic_and_unknown_schemes_are_named() {
        assert_eq!(of(&[r#"Basic realm="x""#]), Ok(Some(Challenge::Basic)));
        assert!(matches!(of(&["Basic", r#"bearer realm="r""#]), Ok(Some(Challenge::Bearer { .. }))));
        assert_eq!(of(&["Negotiate"]), Err("Negotiate".to_owned()));
        assert_eq!(of(&[]), Ok(None));
    }

    #[test]
    fn broken_challenges_do_not_panic() {
        for text in ["Bearer realm=\"", "Bearer =", "Bearer", "Bearer realm=\"a\\", "Bearer ,,,=\"\""] {
            assert!(of(&[text]).is_err() || of(&[text]).is_ok());
        }
    }
}
