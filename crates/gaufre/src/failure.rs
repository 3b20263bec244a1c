//! How a verb fails: the chain of causes once, what the user can do, and podman's exit code.

use std::fmt;
use std::io;

use gaufre_engine::Failure;

use crate::output::in_one_line;

/// Why a verb failed.
#[derive(Debug)]
pub(crate) struct CliError {
    chain: anyhow::Error,
    exit_code: u8,
    hint: Option<String>,
}

/// Anything that ends a verb early.
pub(crate) type Result<T> = std::result::Result<T, CliError>;

/// The engine's own failure, as podman numbers it.
pub(crate) const OWN_FAILURE: u8 = 125;

/// The errors of the engine's operations.
macro_rules! failures {
    ($($error:ty),+ $(,)?) => {
        $(impl From<$error> for CliError {
            fn from(error: $error) -> Self {
                Self::of(error)
            }
        })+
    };
}

failures!(
    gaufre_engine::AttachError,
    gaufre_engine::CreateError,
    gaufre_engine::ExecError,
    gaufre_engine::FindError,
    gaufre_engine::ImagesError,
    gaufre_engine::InspectError,
    gaufre_engine::LoadError,
    gaufre_engine::LogsError,
    gaufre_engine::OpenError,
    gaufre_engine::PullError,
    gaufre_engine::RemoveError,
    gaufre_engine::StartError,
    gaufre_engine::StopError,
    gaufre_engine::SystemError,
    gaufre_engine::VolumesError,
    gaufre_engine::demo::DemoRegistryError,
);

impl CliError {
    /// A failure of the engine.
    fn of(error: impl Failure) -> Self {
        let (exit_code, hint) = (error.exit_code(), error.hint());
        Self { chain: anyhow::Error::new(error), exit_code, hint }
    }

    /// The engine's error, if it is of this kind.
    pub(crate) fn cause<E: std::error::Error + Send + Sync + 'static>(&self) -> Option<&E> {
        self.chain.downcast_ref()
    }

    /// A failure of the command line itself.
    pub(crate) fn new(message: impl fmt::Display) -> Self {
        Self { chain: anyhow::Error::msg(message.to_string()), exit_code: OWN_FAILURE, hint: None }
    }

    /// `what` failed because of `source`.
    pub(crate) fn because(what: impl fmt::Display, source: impl Into<anyhow::Error>) -> Self {
        let chain = source.into().context(what.to_string());
        Self { chain, exit_code: OWN_FAILURE, hint: None }
    }

    /// Adds what the user can do.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what the user can do, unless that is known already.
    pub(crate) fn with_fallback_hint(mut self, hint: Option<&str>) -> Self {
        self.hint = self.hint.or_else(|| hint.map(str::to_owned));
        self
    }

    /// Ends the program with this code instead.
    pub(crate) fn with_exit_code(mut self, exit_code: u8) -> Self {
        self.exit_code = exit_code;
        self
    }

    /// The code to exit with.
    pub(crate) fn exit_code(&self) -> u8 {
        self.exit_code
    }

    /// Whether it is only that nobody reads our output any more.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        let broken = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        self.chain.downcast_ref::<io::Error>().is_some_and(broken)
    }

    /// Writes the error to standard error.
    pub(crate) fn print(&self) {
        crate::output::note(self);
    }
}

/// Writing our own output failed.
impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        Self {
            chain: anyhow::Error::new(error).context("cannot write the output"),
            exit_code: OWN_FAILURE,
            hint: None,
        }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Error")?;
        let mut last = String::new();
        for cause in self.chain.chain() {
            let message = printable(&cause.to_string());
            if message != last {
                write!(f, ": {message}")?;
            }
            last = message;
        }
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {}", sentence(hint)),
            None => Ok(()),
        }
    }
}

/// Hints come from many places; each is shown as a sentence of its own.
fn sentence(hint: &str) -> String {
    let mut rest = hint.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}

/// More of one cause is not printed.
const MAX_CAUSE_CHARS: usize = 1000;

/// A cause may quote what an image or a registry holds: nothing in it works the terminal, and nothing is without end.
pub(crate) fn printable(text: &str) -> String {
    match text.char_indices().nth(MAX_CAUSE_CHARS) {
        Some((end, _)) => format!("{}...", in_one_line(text.get(..end).unwrap_or_default())),
        None => in_one_line(text).into_owned(),
    }
}

/// Does `verb` to each of `targets`; goes on past a failure, prints each, and fails like the last.
pub(crate) fn for_each<T: AsRef<str>>(targets: &[T], mut verb: impl FnMut(&str) -> Result<()>) -> Result<u8> {
    let mut code = 0;
    for target in targets {
        if let Err(error) = verb(target.as_ref()) {
            if error.is_broken_pipe() {
                return Err(error);
            }
            error.print();
            code = error.exit_code();
        }
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot start {id}")]
    struct Start {
        id: &'static str,
        source: io::Error,
    }

    impl Failure for Start {
        fn exit_code(&self) -> u8 {
            127
        }
        fn hint(&self) -> Option<String> {
            Some("look for the command with `gaufre image ls`".to_owned())
        }
    }

    #[test]
    fn causes_are_printed_once_and_in_order_then_the_hint() {
        let error = CliError::of(Start { id: "web", source: io::Error::other("no such file") });
        assert_eq!(error.exit_code(), 127);
        let expect =
            "Error: cannot start web: no such file\nhint: Look for the command with `gaufre image ls`";
        assert_eq!(error.to_string(), expect);
    }

    #[test]
    fn what_a_cause_quotes_neither_works_the_terminal_nor_goes_on_for_ever() {
        let shown = CliError::new(format_args!("bad name a\u{1b}[2J\nb{}", "x".repeat(5000))).to_string();
        assert!(shown.starts_with("Error: bad name a\\u{1b}[2J\\nbxx") && shown.len() < 1100, "{shown}");
    }

    #[test]
    fn a_failure_does_not_keep_the_others_from_being_tried() {
        let mut tried = Vec::new();
        let code = for_each(&["a", "b", "c"], |name| {
            tried.push(name.to_owned());
            if name == "b" { Err(CliError::new("no").with_exit_code(1)) } else { Ok(()) }
        });
        assert_eq!((code.unwrap(), tried), (1, vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]));
    }
}
