//! regex-lite under the name of regex.
//!
//! `oci-spec` asks for regex, for two expressions over ASCII. regex brings the tables of Unicode, 600 kB of code and
//! thousands of relocations that every start of our programs pays for, and compiles those two expressions slowly;
//! regex-lite is by the same authors, has the same interface and the same bound on the time of a search.
//! `[patch.crates-io]` in the workspace's Cargo.toml puts this crate in regex's place.
//!
//! ```
//! let digits = regex::Regex::new(r"^\d+$").unwrap();
//! assert!(digits.is_match("42") && !digits.is_match("x"));
//! ```

#![forbid(unsafe_code)]

pub use regex_lite::*;
