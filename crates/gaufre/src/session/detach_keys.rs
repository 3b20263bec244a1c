//! The keys that leave a session without ending the workload.

use std::str::FromStr;

/// A sequence of keys, empty to have none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DetachKeys(Vec<u8>);

impl Default for DetachKeys {
    /// `ctrl-p,ctrl-q`, as podman and Docker have it.
    fn default() -> Self {
        Self(vec![0x10, 0x11])
    }
}

impl FromStr for DetachKeys {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let key = |name: &str| match (name.as_bytes(), name.strip_prefix("ctrl-").map(str::as_bytes)) {
            ([key], _) => Ok(*key),
            (_, Some([letter @ b'a'..=b'z'])) => Ok(letter - b'a' + 1),
            (_, Some([sign @ (b'@' | b'[' | b'\\' | b']' | b'^' | b'_')])) => Ok(sign & 0x1f),
            _ => Err(format!(
                "'{name}' is no key: write a character or ctrl- with one of a-z, @, [, \\, ], ^, _"
            )),
        };
        match text {
            "" => Ok(Self(Vec::new())),
            keys => keys.split(',').map(key).collect::<Result<_, _>>().map(Self),
        }
    }
}

/// Looks for the keys in what the user types.
#[derive(Debug)]
pub(super) struct Scanner {
    keys: Vec<u8>,
    /// How many of the keys have been typed and are being held back.
    held: usize,
}

impl Scanner {
    pub(super) fn new(keys: &DetachKeys) -> Self {
        Self { keys: keys.0.clone(), held: 0 }
    }

    /// Passes `typed` on to `out`, except what may become the sequence; `true` once it is complete.
    pub(super) fn scan(&mut self, typed: &[u8], out: &mut Vec<u8>) -> bool {
        if self.keys.is_empty() {
            out.extend_from_slice(typed);
            return false;
        }
        for &byte in typed {
            // What was held back and turns out to be no sequence may still end in the beginning of one.
            while self.keys.get(self.held) != Some(&byte) && self.held > 0 {
                let shorter = (0..self.held)
                    .rev()
                    .find(|len| self.keys[..*len] == self.keys[self.held - len..self.held])
                    .unwrap_or(0);
                out.extend_from_slice(&self.keys[..self.held - shorter]);
                self.held = shorter;
            }
            match self.keys.get(self.held) == Some(&byte) {
                true => self.held += 1,
                false => out.push(byte),
            }
            if self.held == self.keys.len() {
                self.held = 0;
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(keys: &str, chunks: &[&[u8]]) -> (Vec<u8>, bool) {
        let mut scanner = Scanner::new(&keys.parse().unwrap());
        let mut out = Vec::new();
        let found = chunks.iter().any(|chunk| scanner.scan(chunk, &mut out));
        (out, found)
    }

    #[test]
    fn keys_are_read_as_podman_writes_them() {
        assert_eq!("ctrl-p,ctrl-q".parse(), Ok(DetachKeys::default()));
        assert_eq!("ctrl-@,ctrl-],x".parse(), Ok(DetachKeys(vec![0, 0x1d, b'x'])));
        assert_eq!("".parse(), Ok(DetachKeys(vec![])));
        for bad in ["ctrl-", "ctrl-P", "ab", "a,", "alt-x"] {
            assert!(bad.parse::<DetachKeys>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_sequence_is_found_also_across_reads_and_never_passed_on() {
        assert_eq!(scan("ctrl-p,ctrl-q", &[b"ab\x10\x11"]), (b"ab".to_vec(), true));
        assert_eq!(scan("ctrl-p,ctrl-q", &[b"ab\x10", b"\x11cd"]), (b"ab".to_vec(), true));
    }

    #[test]
    fn what_only_begins_like_the_sequence_is_passed_on_whole() {
        assert_eq!(scan("ctrl-p,ctrl-q", &[b"\x10", b"x\x11"]), (b"\x10x\x11".to_vec(), false));
        assert_eq!(scan("ctrl-p,ctrl-q", &[b"\x10\x10\x11"]), (b"\x10".to_vec(), true));
        assert_eq!(scan("a,a,b", &[b"aaab"]), (b"a".to_vec(), true));
        assert_eq!(scan("a,b,a,c", &[b"ababac"]), (b"ab".to_vec(), true));
    }

    #[test]
    fn without_keys_everything_is_passed_on() {
        assert_eq!(scan("", &[b"\x10\x11"]), (b"\x10\x11".to_vec(), false));
    }
}
