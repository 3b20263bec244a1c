//! Where messages go: standard error and, with `--log`, a file, in the two forms that runc writes. containerd and
//! podman read `{"level":"error","msg":"...","time":"..."}` there, one object in a line.

use std::error::Error;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use gaufre_runtime::state;

/// How messages are written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// `--log`.
    pub(crate) file: Option<PathBuf>,
    /// `--log-format json`.
    pub(crate) json: bool,
    /// `--debug`.
    pub(crate) debug: bool,
}

impl Report {
    /// The end of a command that failed.
    pub(crate) fn failure(&self, error: &dyn Error) {
        let text = chain(error);
        match self.file {
            // As runc: whoever reads the log reads the form it asked for, whoever reads standard error reads plain text.
            Some(_) => {
                self.write("error", &text);
                eprintln!("gaufre-oci: {text}");
            }
            None if self.json => self.write("error", &text),
            None => eprintln!("gaufre-oci: {text}"),
        }
    }

    /// Something to know when a command fails, with `--debug`.
    pub(crate) fn debug(&self, text: &str) {
        if self.debug {
            self.write("debug", text);
        }
    }

    /// Something that did not keep the command from succeeding.
    pub(crate) fn warning(&self, text: &str) {
        self.write("warning", text);
    }

    fn write(&self, level: &str, text: &str) {
        let line = if self.json { json(level, text) } else { plain(level, text) };
        let written = self.file.as_ref().map(|path| {
            // One write: several runtimes may share the log.
            let file = OpenOptions::new().append(true).create(true).open(path);
            file.and_then(|mut file| file.write_all(line.as_bytes()))
        });
        // Without a log that can be written there is standard error, and without that nobody.
        if !matches!(written, Some(Ok(()))) {
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
    }
}

fn json(level: &str, text: &str) -> String {
    let mut line = serde_json::json!({ "level": level, "msg": text, "time": time() }).to_string();
    line.push('\n');
    line
}

/// As logrus: `time="..." level=error msg="..."`.
fn plain(level: &str, text: &str) -> String {
    format!("time=\"{}\" level={level} msg={}\n", time(), serde_json::Value::from(text))
}

/// Whole seconds, as runc.
fn time() -> String {
    let now = state::now();
    now.split_once('.').map_or_else(|| now.clone(), |(seconds, _)| format!("{seconds}Z"))
}

/// The error and its causes, each once.
fn chain(error: &dyn Error) -> String {
    let mut last = error.to_string();
    let mut text = last.clone();
    let mut source = error.source();
    while let Some(cause) = source {
        // A transparent wrapper reads the same as what it wraps.
        if cause.to_string() != last {
            last = cause.to_string();
            text.push_str(": ");
            text.push_str(&in_go_s_words(&last));
        }
        source = cause.source();
    }
    text
}

/// A reason of the system's in the spelling of Go, from which `docker run` takes its exit code: "no such file or
/// directory" is 127, "permission denied" 126.
fn in_go_s_words(reason: &str) -> String {
    match reason.rsplit_once(" (os error ") {
        Some((reason, _)) => {
            let mut letters = reason.chars();
            letters.next().into_iter().flat_map(char::to_lowercase).chain(letters).collect()
        }
        None => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_s_reasons_are_spelt_as_docker_looks_for_them() {
        for (errno, spelt) in [(2, "no such file or directory"), (13, "permission denied")] {
            assert_eq!(in_go_s_words(&std::io::Error::from_raw_os_error(errno).to_string()), spelt);
        }
        assert_eq!(in_go_s_words("Something else"), "Something else");
    }

    #[test]
    fn a_message_is_one_line_whatever_is_in_it() {
        for line in [json("error", "a\n\"b\""), plain("error", "a\n\"b\"")] {
            assert_eq!(line.matches('\n').count(), 1, "{line}");
        }
        let line: serde_json::Value = serde_json::from_str(&json("error", "a\n\"b\"")).unwrap();
        assert_eq!((&line["level"], &line["msg"]), (&"error".into(), &"a\n\"b\"".into()));
    }
}
