//! Results on stdout. A reader that goes away early, such as `head`, is not a failure.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;

use crate::exit::{Exit, Failure};

/// Writes raw bytes.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Failed, "can't write to stdout").with_source(error))
        }
        _ => Ok(()),
    }
}

/// Stdout, for what writes by itself.
pub(crate) struct Stdout;

impl Write for Stdout {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match io::stdout().write(data) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(data.len()),
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match io::stdout().flush() {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            flushed => flushed,
        }
    }
}

/// Writes a text and a line end.
pub(crate) fn line(text: impl std::fmt::Display) -> Result<(), Failure> {
    bytes(format!("{}\n", without_controls(&text.to_string())).as_bytes())
}

/// Writes a text and a line end as they are: what steers the terminal in it is ours.
pub(crate) fn painted(text: &str) -> Result<(), Failure> {
    bytes(format!("{text}\n").as_bytes())
}

/// A text without what would steer a terminal, which may stand in anything that a service or a file says.
pub(crate) fn without_controls(text: &str) -> Cow<'_, str> {
    let steers = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t');
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        if steers(letter) { plain.extend(letter.escape_default()) } else { plain.push(letter) }
    }
    Cow::Owned(plain)
}

/// Writes one JSON object on a line of its own, where there are more to come.
pub(crate) fn json_line(value: &Value) -> Result<(), Failure> {
    bytes(format!("{value}\n").as_bytes())
}

/// Writes one JSON document.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| {
        Failure::new(Exit::Failed, "the result can't be written as JSON").with_source(error)
    })?;
    bytes(format!("{text}\n").as_bytes())
}

/// A table with aligned columns; numbers to the right.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([header[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let is_number =
        |cell: &str| !cell.is_empty() && cell.bytes().all(|byte| byte.is_ascii_digit() || byte == b',');
    let line = |cells: Vec<&str>| {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| {
            if is_number(cell) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(header.to_vec())];
    lines.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_shown_and_not_sent() {
        assert_eq!(without_controls("a\u{1b}[2J\u{7}b\u{9b}\r\n\tc"), "a\\u{1b}[2J\\u{7}b\\u{9b}\\r\n\tc");
        assert!(matches!(without_controls("plain \u{e9}\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn columns_are_aligned_and_numbers_stand_right() {
        let rows =
            vec![vec!["activities".to_owned(), "1,204".to_owned()], vec!["x".to_owned(), "7".to_owned()]];
        assert_eq!(
            table(&["table", "rows"], &rows),
            "table       rows\nactivities  1,204\nx               7"
        );
    }
}
