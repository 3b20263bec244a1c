//! What a transport error comes to, told once.
//!
//! The libraries below wrap each other: reqwest says "error sending request", hyper "client error (Connect)", and some put
//! their cause's text into their own. A user is told each thing once.

use std::error::Error;
use std::fmt;

/// Says nothing that the error around it does not.
const NOISE: [&str; 6] = [
    "error sending request",
    "client error",
    "error trying to connect",
    "tcp connect error",
    "dns error",
    "error resolving DNS",
];

/// The causes that tell something, outermost first.
#[derive(Debug)]
pub(super) struct Causes {
    text: String,
    source: Option<Box<Causes>>,
}

impl Causes {
    /// The causes of `error`, itself among them.
    pub(super) fn of(error: &(dyn Error + 'static)) -> Causes {
        let chain = std::iter::successors(Some(error), |cause| (*cause).source());
        let mut texts: Vec<String> = Vec::new();
        for cause in chain.map(ToString::to_string) {
            if let Some(outer) = texts.last_mut() {
                match outer.strip_suffix(&cause) {
                    Some("") => continue,
                    Some(own) => *outer = own.trim_end_matches([':', ' ']).to_owned(),
                    None if outer.contains(&cause) => continue,
                    None => {}
                }
            }
            texts.push(cause);
        }
        // hyper adds the kind in parentheses.
        let bare = |text: &str| text.split_once(" (").map_or(text, |(bare, _)| bare).to_owned();
        let told = |text: &String| !text.is_empty() && !NOISE.contains(&bare(text).as_str());
        let kept: Vec<String> = texts.iter().filter(|text| told(text)).cloned().collect();
        let kept = if kept.is_empty() { texts } else { kept };
        let nested =
            kept.into_iter().rev().fold(None, |source, text| Some(Box::new(Causes { text, source })));
        nested.map_or_else(|| Causes { text: error.to_string(), source: None }, |outermost| *outermost)
    }
}

impl fmt::Display for Causes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Causes {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn causes(texts: &[&str]) -> Vec<String> {
        let nested = texts
            .iter()
            .rev()
            .fold(None, |source, text| Some(Box::new(Causes { text: (*text).to_owned(), source })));
        let told = Causes::of(&*nested.unwrap());
        std::iter::successors(Some(&told as &dyn Error), |cause| (*cause).source())
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_cause_is_told_once_and_what_says_nothing_is_left_out() {
        let told = causes(&[
            "error sending request",
            "client error (Connect)",
            "dns error",
            "lookup: refused",
            "refused",
        ]);
        assert_eq!(told, ["lookup", "refused"]);
        assert_eq!(causes(&["a (no such host) b", "no such host"]), ["a (no such host) b"]);
        assert_eq!(causes(&["broken", "broken"]), ["broken"]);
        assert_eq!(causes(&["client error (Connect)"]), ["client error (Connect)"]);
    }
}
