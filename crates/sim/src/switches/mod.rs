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

    /// `jN=VALUE`, or the name of a TOML file whose table `[switches]` holds several.
    ///
    /// # Errors
    /// As [`parse`](Self::parse) and [`from_toml`](Self::from_toml); a file that can't be read.
    pub fn load(text_or_file: &str) -> Result<Vec<Self>, Error> {
        if text_or_file.contains('=') {
            return Ok(vec![Self::parse(text_or_file)?]);
        }
        let text = std::fs::read_to_string(text_or_file).map_err(|cause| {
            let why = format!("`{text_or_file}` is neither jN=VALUE nor a TOML file that can be read");
            Error::new(ErrorKind::InvalidSwitch, why).caused(cause)
        })?;
        Self::from_toml(&text)
    }

    /// Reads the table `[switches]` of a TOML text; whatever else stands there is not looked at, so that the text may be
    /// a plan of [`Faults`](crate::Faults) as well.
    ///
    /// ```
    /// use backstory_sim::Switch;
    /// let switches = Switch::from_toml("[switches]\nj1 = 503\nj36 = \"number\"")?;
    /// assert_eq!(switches[1].to_string(), "j36=number");
    /// # Ok::<(), backstory_sim::Error>(())
    /// ```
    ///
    /// # Errors
    /// What is not TOML, has no such table, or holds an unknown row or value ([`ErrorKind::InvalidSwitch`]).
    pub fn from_toml(text: &str) -> Result<Vec<Self>, Error> {
        let refuse = |why: &str| Error::new(ErrorKind::InvalidSwitch, why.to_owned());
        let table: toml::Table =
            toml::from_str(text).map_err(|cause| refuse("switches could not be read").caused(cause))?;
        let rows = table.get("switches").and_then(toml::Value::as_table);
        Self::from_table(
            rows.ok_or_else(|| refuse("there is no table `[switches]` with lines such as j1 = 503"))?,
        )
    }

    pub(crate) fn from_table(rows: &toml::Table) -> Result<Vec<Self>, Error> {
        let text = |value: &toml::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        rows.iter().map(|(row, value)| Self::parse(&format!("{row}={}", text(value)))).collect()
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
    fn a_file_holds_several_beside_a_plan_of_faults() {
        let read = |text: &str| Switch::from_toml(text).map_err(|error| error.to_string());
        let text = "[switches]\nj1 = 503\nj33 = \"hidden:5\"\n[[rule]]\neffect = \"cut\"";
        let texts: Vec<String> = read(text).unwrap().iter().map(Switch::to_string).collect();
        assert_eq!(texts, ["j1=503", "j33=hidden:5"]);
        assert!(read("[switches]\nj1 = 418").unwrap_err().contains("429, 400"));
        assert!(read("j1 = 503").unwrap_err().contains("[switches]"));
        assert!(read("j1 =").unwrap_err().contains("could not be read"));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("switches.toml");
        std::fs::write(&file, text).unwrap();
        assert_eq!(Switch::load(file.to_str().unwrap()).unwrap().len(), 2);
        assert_eq!(Switch::load("j1=503").unwrap().len(), 1);
        assert!(Switch::load("/nowhere.toml").unwrap_err().to_string().contains("neither jN=VALUE nor"));
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
