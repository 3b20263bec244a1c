//! What is told beside the output, on standard error: a line in the manner of an error, with every cause once.

use std::error::Error;
use std::fmt;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, format::Writer};
use tracing_subscriber::registry::LookupSpan;

use crate::failure::printable;

/// The form of what the engine logs: `warning: what happened: why (name: value)`.
#[derive(Debug)]
pub(crate) struct Diagnostics;

impl<S, N> FormatEvent<S, N> for Diagnostics
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let word = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warning",
            Level::INFO => "info",
            Level::DEBUG => "debug",
            Level::TRACE => "trace",
        };
        let mut said = Said::default();
        event.record(&mut said);
        writeln!(writer, "{word}: {}", printable(&said.sentence()))
    }
}

/// The parts of one event.
#[derive(Debug, Default)]
struct Said {
    message: String,
    causes: Vec<String>,
    fields: Vec<String>,
}

impl Said {
    fn sentence(&self) -> String {
        let mut sentence = self.message.clone();
        for cause in &self.causes {
            sentence = format!("{sentence}: {cause}");
        }
        if self.fields.is_empty() { sentence } else { format!("{sentence} ({})", self.fields.join(", ")) }
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            "error" => self.causes.push(format!("{value:?}")),
            name => self.fields.push(format!("{name}: {value:?}")),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_error(&mut self, _: &Field, value: &(dyn Error + 'static)) {
        let mut cause = Some(value as &dyn Error);
        while let Some(error) = cause {
            self.causes.push(error.to_string());
            cause = error.source();
        }
        self.causes.dedup();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Debug, Clone, Default)]
    struct Screen(Arc<Mutex<Vec<u8>>>);

    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("cannot remove it")]
    struct Remove(#[source] io::Error);

    #[test]
    fn a_warning_reads_like_an_error() {
        let screen = Screen::default();
        let shown = screen.clone();
        let subscriber =
            tracing_subscriber::fmt().event_format(Diagnostics).with_writer(move || shown.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            let error = Remove(io::Error::other("it is\u{1b}[2J in use"));
            tracing::warn!(error = &error as &dyn Error, name = "pages", "a volume stays");
            tracing::warn!(%error, "it stays");
            tracing::warn!("nothing more");
        });
        let expect = "warning: a volume stays: cannot remove it: it is\\u{1b}[2J in use (name: pages)\n\
            warning: it stays: cannot remove it\nwarning: nothing more\n";
        assert_eq!(String::from_utf8(screen.0.lock().unwrap().clone()).unwrap(), expect);
    }
}
