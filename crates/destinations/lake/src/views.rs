//! `views.duckdb.sql`: the tables as views for DuckDB.
//!
//! The file names every data file that counts, so whoever has read it sees one state, whatever happens to the lake meanwhile;
//! it is replaced in one step. Paths are absolute, so it works from any directory; a lake that was moved gets a new one at
//! its next use.
//!
//! Current activities are the base's rows whose key the overlay doesn't have, and of the other keys the greatest version. That
//! is nearly always the overlay's; the keys where it is the base's are found once, when the views are written, and named in
//! them, so that a query needs to read no more of the base than its own columns and the keys. Each of these parts is a `SELECT`
//! of the columns themselves: of a struct that went through a `UNION ALL`, DuckDB would read every field.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::sync::Arc;

use backstory_destination::{Error, ErrorKind, replace};
use backstory_tables::{ColumnType, Resource, TableDescription, describe_nested};
use sha2::{Digest as _, Sha256};

use crate::current::current;
use crate::footer::DataFile;
use crate::layout::Layout;
use crate::problem::unwritable;
use crate::state::State;

/// Stands before the lake's path, at the beginning of the file.
const PLACE: &str = "-- The lake is in ";

/// Stands before the fingerprint of what the views are made from.
const MADE_FROM: &str = "-- Made from ";

/// Writes the views of a state. Returns whether they weren't there yet.
pub(crate) fn refresh(layout: &Layout, state: &State) -> Result<bool, Error> {
    let path = layout.views();
    let plain = sql(layout, state, &[])?;
    let fingerprint = Sha256::digest(&plain).iter().fold(String::from(MADE_FROM), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    if before.lines().any(|line| line == fingerprint) {
        return Ok(false);
    }
    let base = state.activities.base.as_ref().filter(|_| !state.activities.overlay.is_empty());
    let of_base = match base {
        Some(base) => current(Some(base), &state.activities.overlay)?.of_base,
        None => Vec::new(),
    };
    let views = if of_base.is_empty() { plain } else { sql(layout, state, &of_base)? };
    match replace(&path, format!("{views}\n{fingerprint}\n").as_bytes()) {
        Ok(()) => Ok(true),
        // Another process is writing them; it looks at the files once more when it has.
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(false),
        Err(error) => Err(unwritable(&path, error)),
    }
}

/// Whether the lake has been moved since its views were written.
pub(crate) fn are_of_another_place(layout: &Layout) -> bool {
    let Ok(sql) = std::fs::read_to_string(layout.views()) else { return false };
    let place = sql.lines().find_map(|line| line.strip_prefix(PLACE));
    place != Some(on_one_line(layout.root()).as_str())
}

fn on_one_line(path: &Path) -> String {
    path.display().to_string().replace(['\n', '\r'], "?")
}

/// The views. Of the keys in `of_base`, the base's row is current, although the overlay has them too.
fn sql(layout: &Layout, state: &State, of_base: &[String]) -> Result<String, Error> {
    let mut sql = format!(
        "-- The tables of a Backstory lake as views for DuckDB. Written by backstory; changes are lost.\n\
         {PLACE}{}\n\
         -- Use it with `duckdb -init views.duckdb.sql`, or `.read` it.\n",
        on_one_line(layout.root())
    );
    let source = Source::of(state)?;
    let current = source.current(of_base);
    let activities = describe_nested(Resource::Activities);
    view(&mut sql, "activities", &relational(&activities, &current));
    for list in ["participants", "campaigns"] {
        view(&mut sql, list, &children(list, &activities, &current));
    }
    view(&mut sql, "activity_versions", &relational(&activities, source.all.as_slice()));
    let contacts = describe_nested(Resource::Contacts);
    let last = files(&state.contacts.current)?.map(|last| greatest(&last));
    view(&mut sql, "contacts", &relational(&contacts, last.as_slice()));
    let observations = files(&state.contacts.observations)?;
    view(&mut sql, "contact_observations", &relational(&contacts, observations.as_slice()));
    Ok(sql)
}

fn view(sql: &mut String, name: &str, query: &str) {
    // Writing to memory can't fail.
    let _ = write!(sql, "\nCREATE OR REPLACE VIEW {name} AS\n{query};\n");
}

/// Where the rows of activities are, as SQL. `None` stands for no file at all.
struct Source {
    base: Option<String>,
    overlay: Option<String>,
    all: Option<String>,
}

impl Source {
    fn of(state: &State) -> Result<Self, Error> {
        let (base, overlay) = (state.activities.base_files(), &state.activities.overlay);
        let all: Vec<_> = base.iter().chain(overlay).cloned().collect();
        Ok(Self { base: files(base)?, overlay: files(overlay)?, all: files(&all)? })
    }

    /// The current rows, nested: what to select them from, part by part.
    fn current(&self, of_base: &[String]) -> Vec<String> {
        let (base, overlay) = match (&self.base, &self.overlay) {
            (None, None) => return Vec::new(),
            (Some(base), None) => return vec![base.clone()],
            (None, Some(overlay)) => return vec![greatest(overlay)],
            (Some(base), Some(overlay)) => (base, overlay),
        };
        let untouched = format!(
            "{base} AS base ANTI JOIN (SELECT _key FROM {overlay}) AS overlay ON base._key = overlay._key"
        );
        let of_base: Vec<_> = of_base.iter().map(|key| text(key)).collect();
        if of_base.is_empty() {
            return vec![untouched, greatest(overlay)];
        }
        let of_base = of_base.join(", ");
        vec![
            untouched,
            format!("(SELECT * FROM {} WHERE _key NOT IN ({of_base}))", greatest(overlay)),
            format!("(SELECT * FROM {base} WHERE _key IN ({of_base}))"),
        ]
    }
}

/// The greatest version of each key in some files.
fn greatest(files: &str) -> String {
    format!(
        "(SELECT * FROM {files} QUALIFY row_number() OVER (PARTITION BY _key ORDER BY _version DESC) = 1)"
    )
}

/// The columns of a nested table in their relational shape.
fn relational(nested: &TableDescription, parts: &[String]) -> String {
    let mut inside = Vec::new();
    let mut columns = Vec::new();
    for column in &nested.columns {
        while inside.last().is_some_and(|list: &String| !column.name.starts_with(list.as_str())) {
            inside.pop();
        }
        match column.kind {
            ColumnType::StructList => inside.push(format!("{}.", column.name)),
            // Tables of their own.
            _ if !inside.is_empty() => {}
            ColumnType::Struct => {}
            _ => columns.push((expression(&column.name), column.name.replace('.', "_"), column.kind)),
        }
    }
    select(&columns, parts)
}

/// The elements of a list, each as a row of a table of its own.
fn children(list: &str, nested: &TableDescription, parts: &[String]) -> String {
    let own = |name: &str, kind| (quoted(name), name.to_owned(), kind);
    let mut columns = vec![
        own("_key", ColumnType::Text),
        own("ordinal", ColumnType::Integer),
        own("uid", ColumnType::Text),
    ];
    let inside = format!("{list}.");
    for column in &nested.columns {
        let Some(path) = column.name.strip_prefix(&inside) else { continue };
        if column.kind != ColumnType::Struct {
            columns.push((format!("child.{}", expression(path)), path.replace('.', "_"), column.kind));
        }
    }
    columns.push(own("_version", ColumnType::Text));
    let list = quoted(list);
    let parts: Vec<_> = parts
        .iter()
        .map(|part| {
            format!(
                "(SELECT _key, uid, _version, unnest({list}) AS child, generate_subscripts({list}, 1) AS ordinal FROM {part})"
            )
        })
        .collect();
    select(&columns, &parts)
}

/// A query for columns: an expression, a name and a type each. Without anything to select from, an empty table.
fn select(columns: &[(String, String, ColumnType)], parts: &[String]) -> String {
    let of = |expression: &dyn Fn(&str, ColumnType) -> String, from: &str| {
        let columns: Vec<_> = columns
            .iter()
            .map(|(path, name, kind)| match (expression(path, *kind), quoted(name)) {
                (expression, name) if expression == name => format!("  {name}"),
                (expression, name) => format!("  {expression} AS {name}"),
            })
            .collect();
        format!("SELECT\n{}\n{from}", columns.join(",\n"))
    };
    if parts.is_empty() {
        return of(&|_, kind| format!("NULL::{}", kind.sql()), "WHERE false");
    }
    let selects: Vec<_> =
        parts.iter().map(|part| of(&|path, _| path.to_owned(), &format!("FROM {part}"))).collect();
    selects.join("\nUNION ALL\n")
}

/// A path into structs, such as `stats.total_participants`.
fn expression(path: &str) -> String {
    path.split('.').map(quoted).collect::<Vec<_>>().join(".")
}

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

/// A table function that reads files.
fn files(files: &[Arc<DataFile>]) -> Result<Option<String>, Error> {
    if files.is_empty() {
        return Ok(None);
    }
    let paths = files.iter().map(|file| path_in_sql(&file.path)).collect::<Result<Vec<_>, _>>()?;
    // Files of an earlier version may lack a column.
    let by_name = if files.iter().all(|file| file.has_our_columns) { "" } else { ", union_by_name = true" };
    Ok(Some(format!("read_parquet([{}]{by_name}, hive_partitioning = false)", paths.join(", "))))
}

fn path_in_sql(path: &Path) -> Result<String, Error> {
    let path = path.to_str().ok_or_else(|| {
        Error::new(ErrorKind::Usage, format!("{} is a path that SQL can't hold", path.display()))
            .with_hint("put the lake in a folder whose path is UTF-8")
    })?;
    let mut literal = String::new();
    for letter in path.chars() {
        match letter {
            // DuckDB would take these for patterns.
            '[' | '*' | '?' => {
                literal.push('[');
                literal.push(letter);
                literal.push(']');
            }
            _ => literal.push(letter),
        }
    }
    Ok(text(&literal))
}

/// A text in SQL.
fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
