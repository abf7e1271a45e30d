//! Says whether a range is legal as one export job, and cuts it into legal windows when it isn't. Sends nothing.
//!
//! ```sh
//! cargo run -p backstory-limits --example split_range -- delta 2026-01-01..2026-02-28
//! ```

use std::process::ExitCode;

use backstory_limits::{DateRange, Error, ExportKind, UseLimits};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, range] = arguments.as_slice() else {
        eprintln!("usage: split_range snapshot|delta FROM..TO");
        return ExitCode::from(2);
    };
    match describe(kind, range) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// The windows of an export, one a line.
pub(crate) fn describe(kind: &str, range: &str) -> Result<String, Error> {
    let kind: ExportKind = kind.parse()?;
    let range: DateRange = range.parse()?;
    let limits = UseLimits::published();
    let limit = limits.range_limit(kind);
    let mut text = match limit.check(range) {
        Ok(()) => format!("{range}: legal as one {kind}\n"),
        Err(refusal) => format!("{refusal}\n"),
    };
    for (number, window) in (1..).zip(limit.split(range)) {
        text.push_str(&format!("window {number}: {window}  days: {}\n", window.days()));
    }
    Ok(text)
}
