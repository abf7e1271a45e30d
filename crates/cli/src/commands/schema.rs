//! `backstory schema`: the tables' columns, their types, and where each comes from.

use std::fmt::Write as _;

use backstory_tables::{
    ColumnDescription, ColumnType, Resource, TableDescription, describe_nested, describe_relational,
};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::args::{Common, ResourceArg};
use crate::commands::convert::ShapeArg;
use crate::exit::{Exit, Failure};
use crate::output;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  backstory schema --resource activities
  backstory schema --format sql | duckdb tables.db
  backstory schema --format json")]
pub(crate) struct SchemaArgs {
    /// Whose types are shown: Parquet's, Arrow's, or SQL's as CREATE TABLE statements; or everything as JSON
    #[arg(long, value_enum, ignore_case = true, default_value = "parquet")]
    format: SchemaFormat,
    /// Only the tables of this resource
    #[arg(long, value_enum, ignore_case = true)]
    resource: Option<ResourceArg>,
    /// The tables of one shape [default: relational for sql, both for json, else nested]
    #[arg(long, value_enum, ignore_case = true)]
    shape: Option<ShapeArg>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SchemaFormat {
    Parquet,
    Json,
    Sql,
    Arrow,
}

pub(crate) fn run(common: &Common, args: &SchemaArgs) -> Result<Exit, Failure> {
    let format = if common.json { SchemaFormat::Json } else { args.format };
    if (format, args.shape) == (SchemaFormat::Sql, Some(ShapeArg::Nested)) {
        return Err(Failure::usage(
            "SQL tables are relational; --shape nested is for parquet, arrow and json",
        ));
    }
    let wanted: Option<Resource> = args.resource.map(Into::into);
    let resources =
        Resource::ALL.iter().copied().filter(|resource| wanted.is_none_or(|wanted| wanted == *resource));
    let nested = resources.clone().map(describe_nested);
    let relational = resources.flat_map(describe_relational);
    match format {
        SchemaFormat::Json => {
            let shapes = args.shape;
            let of = |shape: ShapeArg| shapes.is_none_or(|wanted| wanted == shape);
            let nested = nested.filter(|_| of(ShapeArg::Nested)).map(|table| as_json(&table, "nested"));
            let relational =
                relational.filter(|_| of(ShapeArg::Relational)).map(|table| as_json(&table, "relational"));
            output::json(&json!({"tables": nested.chain(relational).collect::<Vec<_>>()}))?;
        }
        SchemaFormat::Sql => relational.map(|table| as_sql(&table)).try_for_each(output::line)?,
        SchemaFormat::Parquet | SchemaFormat::Arrow => {
            let tables: Vec<_> = match args.shape {
                Some(ShapeArg::Relational) => relational.collect(),
                Some(ShapeArg::Nested) | None => nested.collect(),
            };
            let name = if format == SchemaFormat::Arrow { ColumnType::arrow } else { ColumnType::parquet };
            tables.iter().map(|table| as_text(table, name)).try_for_each(output::line)?;
        }
    }
    Ok(Exit::Done)
}

fn as_text(table: &TableDescription, type_name: fn(ColumnType) -> &'static str) -> String {
    let rows: Vec<Vec<String>> = table
        .columns
        .iter()
        .map(|column| {
            let required = if column.required { " not null" } else { "" };
            let kind = format!("{}{required}", type_name(column.kind));
            vec![column.name.clone(), kind, source(column).to_owned(), column.docs.to_owned()]
        })
        .collect();
    format!("{}\n\n{}\n", table.name, output::table(&["column", "type", "from", "holds"], &rows))
}

/// Where the fact comes from.
fn source(column: &ColumnDescription) -> &'static str {
    if column.source.is_empty() { "backstory" } else { column.source }
}

fn as_sql(table: &TableDescription) -> String {
    let mut sql = format!("CREATE TABLE {} (\n", table.name);
    let last = table.columns.len().saturating_sub(1);
    for (at, column) in table.columns.iter().enumerate() {
        let comma = if at == last { "" } else { "," };
        let required = if column.required { " NOT NULL" } else { "" };
        let (name, kind) = (&column.name, column.kind.sql());
        // Writing to a text can't fail.
        let _ =
            writeln!(sql, "    \"{name}\" {kind}{required}{comma} -- {} [{}]", column.docs, source(column));
    }
    sql + ");\n"
}

fn as_json(table: &TableDescription, shape: &str) -> Value {
    let columns: Vec<Value> = table
        .columns
        .iter()
        .map(|column| {
            json!({
                "name": column.name,
                "type": column.kind.as_str(),
                "parquet": column.kind.parquet(),
                "arrow": column.kind.arrow(),
                "sql": column.kind.sql(),
                "required": column.required,
                "docs": column.docs,
                "source": source(column),
            })
        })
        .collect();
    json!({"name": table.name, "shape": shape, "columns": columns})
}
