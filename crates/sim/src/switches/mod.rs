//! Switches: one for each unknown of the contract that has alternatives, section (j), named after its row.
//!
//! A switch is written `jN=VALUE`. The default of each row is what the simulator plays unless told otherwise; the other
//! values let a client be tested against what the live service might do instead. `a3` is the one conflict between
//! official sources that is not a row of (j).

use std::fmt;
use std::str::FromStr;

mod table;

pub(crate) use table::Row;

use table::ROWS;

use crate::error::{Error, ErrorKind};

/// One row's setting, read from `jN=VALUE` by [`Switch::parse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switch {
    row: usize,
    choice: Choice,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Choice {
    value: usize,
    /// For the values that end in `:SECONDS`.
    seconds: u32,
}

/// A row of the switch table: what it is about, the default and the alternatives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwitchRow {
    /// The row of contract section (j), such as `j1`; `a3` is section (a.3).
    pub row: &'static str,
    /// What the row leaves open.
    pub about: &'static str,
    /// The values allowed and what each stands for; the first is the default. `SECONDS` stands for a number.
    pub values: &'static [(&'static str, &'static str)],
}

impl Switch {
    /// Reads `jN=VALUE`.
    ///
    /// ```
    /// use backstory_sim::Switch;
    /// assert!(Switch::parse("j36=number").is_ok());
    /// let error = Switch::parse("j36=roman").unwrap_err();
    /// assert_eq!(error.to_string(), "switch `j36=roman`: j36 (the JSON type of job_id) takes string or number");
    /// ```
    ///
    /// # Errors
    /// An unknown row or value ([`ErrorKind::InvalidSwitch`]); the text lists what is allowed.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |why: String| Error::new(ErrorKind::InvalidSwitch, format!("switch `{text}`: {why}"));
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| refuse("a switch is written jN=VALUE, such as j36=number".to_owned()))?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_ascii_lowercase());
        let row = ROWS.iter().position(|known| known.row == name).ok_or_else(|| {
            let rows: Vec<&str> = ROWS.iter().map(|row| row.row).collect();
            refuse(format!("there is no row `{name}`; the rows are {}", join(&rows, "and")))
        })?;
        let choice = ROWS[row].values.iter().enumerate().find_map(|(index, (known, _))| {
            match known.strip_suffix("SECONDS") {
                Some(prefix) => value.strip_prefix(prefix)?.parse().ok(),
                None => (*known == value).then_some(0),
            }
            .map(|seconds| Choice { value: index, seconds })
        });
        choice.map(|choice| Self { row, choice }).ok_or_else(|| {
            let values: Vec<&str> = ROWS[row].values.iter().map(|(value, _)| *value).collect();
            refuse(format!("{name} ({}) takes {}", ROWS[row].about, join(&values, "or")))
        })
    }

    /// The table of all switches.
    pub fn list() -> &'static [SwitchRow] {
        ROWS
    }
}

fn join(words: &[&str], last: &str) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., end] => format!("{} {last} {end}", most.join(", ")),
    }
}

impl FromStr for Switch {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = &ROWS[self.row];
        let value = row.values[self.choice.value].0;
        match value.strip_suffix("SECONDS") {
            Some(prefix) => write!(f, "{}={prefix}{}", row.row, self.choice.seconds),
            None => write!(f, "{}={value}", row.row),
        }
    }
}

/// The position of every switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Switches([Choice; ROWS.len()]);

impl Default for Switches {
    fn default() -> Self {
        Self([Choice::default(); ROWS.len()])
    }
}

impl Switches {
    pub(crate) fn apply(&mut self, switch: Switch) {
        self.0[switch.row] = switch.choice;
    }

    /// Every switch as it stands.
    pub(crate) fn all(&self) -> impl Iterator<Item = Switch> {
        self.0.iter().enumerate().map(|(row, choice)| Switch { row, choice: *choice })
    }

    /// Whether a row stands at a value, written as in the table.
    pub(crate) fn is(&self, row: Row, value: &str) -> bool {
        self.value(row) == value
    }

    /// The value of a row, as in the table.
    pub(crate) fn value(&self, row: Row) -> &'static str {
        ROWS[row as usize].values[self.0[row as usize].value].0
    }

    /// The number of a row whose values are HTTP statuses.
    pub(crate) fn status(&self, row: Row) -> u16 {
        self.value(row).parse().unwrap_or(500)
    }

    /// The seconds of a row's value that has some.
    pub(crate) fn seconds(&self, row: Row) -> u32 {
        self.0[row as usize].seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_value_is_read_and_written_back() {
        for row in Switch::list() {
            for (value, _) in row.values {
                let text = format!("{}={}", row.row, value.replace("SECONDS", "30"));
                assert_eq!(Switch::parse(&text).unwrap().to_string(), text);
            }
        }
    }

    #[test]
    fn every_row_is_named_as_in_the_table() {
        let rows =
            [(Row::A3, "a3"), (Row::J9, "j9"), (Row::J26, "j26"), (Row::J38, "j38"), (Row::J44, "j44")];
        for (row, name) in rows {
            assert_eq!(ROWS[row as usize].row, name);
        }
        assert_eq!(Row::J44 as usize + 1, ROWS.len());
    }

    #[test]
    fn an_unknown_switch_names_the_rows_and_an_unknown_value_the_values() {
        let row = Switch::parse("j99=1").unwrap_err().to_string();
        assert!(row.contains("j1, j2, j3") && row.contains("j36"), "{row}");
        let value = Switch::parse("j1=418").unwrap_err().to_string();
        assert!(value.contains("429, 400, 403, 409 or 503"), "{value}");
        assert!(Switch::parse("j33=hidden").is_err());
        assert!(Switch::parse("nonsense").is_err());
    }
}
