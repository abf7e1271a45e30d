//! Log lines on stderr, as `BACKSTORY_LOG`, `-v` and `-q` ask for them.

use std::io::{self, IsTerminal as _, Write};

use tracing_subscriber::filter::{EnvFilter, FilterExt as _, filter_fn};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::registry;

use crate::args::Common;
use crate::progress;
use crate::settings::Environment;
use crate::stderr::StderrFormat;

/// Sets the logging of this process up.
pub(crate) fn start(common: &Common, environment: &Environment, format: StderrFormat) {
    let level = match (common.quiet, common.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "info",
        (false, 2) => "debug",
        (false, _) => "trace",
    };
    let filter = environment.text("BACKSTORY_LOG").unwrap_or_else(|| level.to_owned());
    // At their finest levels, libraries below may log whole requests, and with them what must not be told.
    let only_ours = filter_fn(|event| event.target().starts_with("backstory"));
    let ansi = io::stderr().is_terminal() && environment.text("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(|| AboveBars)
        .with_ansi(ansi)
        .with_target(common.verbose > 1)
        // Else it panics where nobody reads any more.
        .log_internal_errors(false)
        .without_time();
    let lines = match format {
        StderrFormat::Text => lines.boxed(),
        StderrFormat::JsonLines => {
            lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
        }
    };
    let lines = lines.with_filter(EnvFilter::new(filter).and(only_ours));
    // A second subscriber can only be set by a test in the same process.
    let _ = tracing::subscriber::set_global_default(registry().with(lines));
}

/// Writes to stderr without tearing the progress bars.
struct AboveBars;

impl Write for AboveBars {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        progress::above_bars(|| io::stderr().write(data))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
