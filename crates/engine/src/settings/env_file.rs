//! `--env-file` and `--label-file`: one `KEY=VALUE` per line.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Larger files than this are no list of variables.
const MAX_BYTES: u64 = 1 << 20;

/// A file of variables that cannot be used.
#[derive(Debug, Error)]
pub enum EnvFileError {
    /// It cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is too large.
    #[error("{path} is larger than 1 MiB: that is no list of KEY=VALUE lines")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A line with white space in the key.
    #[error("line {line} of {path} is not NAME=VALUE: the name {name:?} has white space in it")]
    WhiteSpace {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is before the `=`.
        name: String,
    },
    /// A line without a key.
    #[error("line {line} of {path} has no name before '='")]
    NoKey {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
}

/// Reads the entries of `path` (`KEY=VALUE`, or `KEY` alone) in their order; blank lines and lines that begin
/// with `#` are skipped, blanks before a key are dropped, a value is taken as it stands.
///
/// # Errors
/// A file that cannot be read or is larger than 1 MiB, and a line without a key or with white space in it.
pub fn read_env_file(path: &Path) -> Result<Vec<String>, EnvFileError> {
    let read = |source| EnvFileError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(read)?;
    io::Read::read_to_string(&mut io::Read::take(file, MAX_BYTES + 1), &mut text).map_err(read)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(EnvFileError::TooLarge { path: path.to_owned() });
    }
    let mut entries = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // A key alone ends where its line does.
        let line = if line.contains('=') { line } else { line.trim_end() };
        let key = line.split('=').next().unwrap_or_default();
        if key.trim().is_empty() {
            return Err(EnvFileError::NoKey { path: path.to_owned(), line: index + 1 });
        }
        if key.contains(char::is_whitespace) {
            let name = key.to_owned();
            return Err(EnvFileError::WhiteSpace { path: path.to_owned(), line: index + 1, name });
        }
        entries.push(line.to_owned());
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, EnvFileError> {
        let path = std::env::temp_dir().join(format!("gaufre-env-{}-{}", std::process::id(), text.len()));
        std::fs::write(&path, text).unwrap();
        let entries = read_env_file(&path);
        std::fs::remove_file(&path).unwrap();
        entries
    }

    #[test]
    fn comments_and_blank_lines_are_skipped_and_values_kept_as_they_stand() {
        let entries = read("# a comment\n\n  A=1\nB=a = b # c\r\nC=\nD\n").unwrap();
        assert_eq!(entries, ["A=1", "B=a = b # c", "C=", "D"]);
    }

    #[test]
    fn a_line_without_a_key_is_refused_with_its_number() {
        assert!(read("A=1\n=2\n").unwrap_err().to_string().contains("line 2 of"));
    }

    #[test]
    fn a_name_with_white_space_is_refused_with_its_line() {
        for (text, name) in
            [("A=1\nB = 2\n", "\"B \""), ("\nexport C=3", "\"export C\""), ("\nexport C", "\"export C\"")]
        {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("line 2 of") && error.contains(name), "{error}");
        }
        assert_eq!(read("D \n").unwrap(), ["D"]);
    }

    #[test]
    fn an_endless_file_is_refused() {
        let error = read_env_file(Path::new("/dev/zero")).unwrap_err();
        assert!(matches!(error, EnvFileError::TooLarge { .. }));
    }
}
