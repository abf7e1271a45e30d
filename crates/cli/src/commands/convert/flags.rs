//! From flags to what the library takes, with everything refused that makes no sense.

use std::fs;
use std::io::IsTerminal as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use backstory_convert::{BadRowPolicy, ConvertOptions, Target};
use backstory_tables::{ArrowOptions, Compression, Output, OutputFormat, ParquetOptions, Resource, Shape};

use super::{ConvertArgs, ConvertFormat, ShapeArg};
use crate::args::{BadRowArg, Common, ResourceArg};
use crate::exit::Failure;

/// Beyond this, a row group is more than the memory of a small machine.
const MOST_ROW_GROUP_BYTES: u64 = 2 << 30;

/// What was asked for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) resource: Option<Resource>,
    pub(super) output: Output,
    pub(super) to: To,
    pub(super) options: ConvertOptions,
    /// How many bad rows there may be in all, if they are to be set apart.
    pub(super) most_bad_rows: Option<u64>,
}

/// Where it goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum To {
    Files(Target),
    Stdout,
    /// A pipe or a device, which no file may take the place of.
    Stream(PathBuf),
}

impl Asked {
    pub(super) fn of(common: &Common, args: &ConvertArgs) -> Result<Self, Failure> {
        let to = To::of(&args.out);
        let format = format(args, &to);
        check_foreign(args, format)?;
        if args.inputs.iter().filter(|input| *input == Path::new("-")).count() > 1 {
            return Err(Failure::usage("standard input (-) can be read once only"));
        }
        if !matches!(to, To::Files(_)) {
            check_stream(common, args, format, &to)?;
        }
        let mut options = ConvertOptions::new();
        if let Some(threads) = args.threads.and_then(|threads| NonZeroUsize::new(threads.into())) {
            options = options.with_threads(threads);
        }
        let most_bad_rows = (args.on_bad_row == BadRowArg::Quarantine).then_some(args.max_bad_rows);
        Ok(Self {
            resource: args.resource.map(Into::into),
            output: output(args, format, &to),
            to,
            options,
            most_bad_rows,
        })
    }

    /// What becomes of bad rows, when so many are set apart already.
    pub(super) fn bad_rows(&self, so_far: u64) -> BadRowPolicy {
        match self.most_bad_rows {
            Some(most) => BadRowPolicy::Quarantine { most: most.saturating_sub(so_far) },
            None => BadRowPolicy::Fail,
        }
    }
}

/// The form that was asked for, or that the name of the one file says.
fn format(args: &ConvertArgs, to: &To) -> OutputFormat {
    let ending = match to {
        To::Files(Target::File(path)) => path.extension(),
        _ => None,
    };
    let told = ending.map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    let told = told.and_then(|told| OutputFormat::ALL.iter().copied().find(|format| format.as_str() == told));
    args.format.map(Into::into).or(told).unwrap_or(OutputFormat::Parquet)
}

fn output(args: &ConvertArgs, format: OutputFormat, to: &To) -> Output {
    let (mut parquet, mut arrow) = (ParquetOptions::default(), ArrowOptions::default());
    if let Some(bytes) = args.row_group_bytes {
        parquet = parquet.with_row_group_bytes(bytes);
    }
    if let Some(compression) = args.compression {
        parquet = parquet.with_compression(compression);
        arrow = arrow.with_compression(compression);
    }
    if !matches!(to, To::Files(_)) {
        arrow = arrow.as_stream();
    }
    let output = Output::new(format).with_parquet_options(parquet).with_arrow_options(arrow);
    match args.shape {
        Some(shape) => output.with_shape(shape.into()),
        None => output,
    }
}

/// Refuses flags that the form has no use for.
fn check_foreign(args: &ConvertArgs, format: OutputFormat) -> Result<(), Failure> {
    let refuse = |flag: &str, forms: &str| Err(Failure::usage(format!("{flag} is for {forms} only")));
    if args.row_group_bytes.is_some() && format != OutputFormat::Parquet {
        return refuse("--row-group-bytes", "--format parquet");
    }
    match (args.compression, format) {
        (Some(Compression::Snappy), OutputFormat::Arrow) => {
            Err(Failure::usage("Arrow files have no snappy; take zstd or none"))
        }
        (None, _) | (_, OutputFormat::Parquet | OutputFormat::Arrow) => Ok(()),
        _ => refuse("--compression", "--format parquet and --format arrow"),
    }
}

/// Refuses what can't be written to one stream.
fn check_stream(common: &Common, args: &ConvertArgs, format: OutputFormat, to: &To) -> Result<(), Failure> {
    if args.inputs.len() > 1 {
        let message =
            format!("{} inputs don't fit into one stream; name a folder with --out", args.inputs.len());
        return Err(Failure::usage(message));
    }
    if *to != To::Stdout {
        return Ok(());
    }
    if common.json {
        return Err(Failure::usage("--json and --out - both want standard output; name a folder with --out"));
    }
    let binary = matches!(format, OutputFormat::Parquet | OutputFormat::Arrow);
    if binary && std::io::stdout().is_terminal() {
        return Err(Failure::usage(format!(
            "a terminal can't show {format}; name a folder or a file with --out"
        )));
    }
    Ok(())
}

impl To {
    fn of(out: &Path) -> Self {
        if out == Path::new("-") || out == Path::new("/dev/stdout") {
            return Self::Stdout;
        }
        let slash = out.as_os_str().to_string_lossy().ends_with(std::path::is_separator);
        let ending = out.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        let is_files = ending.is_some_and(|ending| {
            OutputFormat::ALL.iter().any(|format| format.as_str() == ending) || ending == "json"
        });
        match fs::metadata(out) {
            Ok(about) if about.is_dir() => Self::Files(Target::Folder(out.to_owned())),
            Ok(about) if about.is_file() => Self::Files(Target::File(out.to_owned())),
            Ok(_) => Self::Stream(out.to_owned()),
            Err(_) if is_files && !slash => Self::Files(Target::File(out.to_owned())),
            Err(_) => Self::Files(Target::Folder(out.to_owned())),
        }
    }
}

impl From<ConvertFormat> for OutputFormat {
    fn from(format: ConvertFormat) -> Self {
        match format {
            ConvertFormat::Parquet => Self::Parquet,
            ConvertFormat::Csv => Self::Csv,
            ConvertFormat::Jsonl => Self::JsonLines,
            ConvertFormat::Arrow => Self::Arrow,
        }
    }
}

impl From<ShapeArg> for Shape {
    fn from(shape: ShapeArg) -> Self {
        match shape {
            ShapeArg::Nested => Self::Nested,
            ShapeArg::Relational => Self::Relational,
        }
    }
}

impl From<ResourceArg> for Resource {
    fn from(resource: ResourceArg) -> Self {
        match resource {
            ResourceArg::Activities => Self::Activities,
            ResourceArg::Contacts => Self::Contacts,
        }
    }
}

/// Reads `zstd`, `zstd:LEVEL`, `snappy` or `none`.
pub(super) fn compression(text: &str) -> Result<Compression, String> {
    let (codec, level) = match text.split_once(':') {
        Some((codec, level)) => (codec, Some(level)),
        None => (text, None),
    };
    match (codec.to_ascii_lowercase().as_str(), level) {
        ("zstd", None) => Ok(Compression::Zstd(1)),
        ("zstd", Some(level)) => match level.parse() {
            Ok(level @ 1..=22) => Ok(Compression::Zstd(level)),
            _ => Err(format!("`{level}` is not a level from 1 to 22")),
        },
        ("snappy", None) => Ok(Compression::Snappy),
        ("none", None) => Ok(Compression::None),
        _ => Err(format!("`{text}` is none of zstd, zstd:LEVEL, snappy and none")),
    }
}

/// Reads a number of bytes: `67108864`, `64MiB`, `64M` or `1GiB`; the units are powers of 1024.
pub(super) fn row_group_bytes(text: &str) -> Result<usize, String> {
    let why = || format!("`{text}` is not a number of bytes such as 67108864 or 64MiB, of at most 2GiB");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().map_err(|_| why())?;
    let shift = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        _ => return Err(why()),
    };
    let bytes = number.checked_mul(1 << shift).filter(|bytes| (1..=MOST_ROW_GROUP_BYTES).contains(bytes));
    bytes.and_then(|bytes| usize::try_from(bytes).ok()).ok_or_else(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressions_are_read_and_nonsense_is_refused() {
        assert_eq!(compression("zstd"), Ok(Compression::Zstd(1)));
        assert_eq!(compression("ZSTD:19"), Ok(Compression::Zstd(19)));
        assert_eq!(compression("snappy"), Ok(Compression::Snappy));
        assert_eq!(compression("none"), Ok(Compression::None));
        for wrong in ["", "gzip", "zstd:", "zstd:0", "zstd:23", "zstd:x", "none:1", "snappy:1"] {
            assert!(compression(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_read_with_their_units_and_nonsense_is_refused() {
        for (text, bytes) in
            [("1", 1), ("64MiB", 64 << 20), ("64m", 64 << 20), ("8 KiB", 8192), ("2GiB", 2 << 30)]
        {
            assert_eq!(row_group_bytes(text), Ok(bytes), "{text}");
        }
        for wrong in
            ["", "0", "-1", "MiB", "1.5MiB", "3GiB", "99999999999999999999", "18446744073709551615GiB", "1é"]
        {
            assert!(row_group_bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_name_that_ends_like_a_file_is_a_file_and_any_other_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let to = |name: &str| To::of(&folder.path().join(name));
        fs::write(folder.path().join("plain"), "").unwrap();
        fs::create_dir(folder.path().join("dir.csv")).unwrap();
        for (name, is_file) in
            [("a.parquet", true), ("a.CSV", true), ("plain", true), ("a", false), ("a.2026", false)]
        {
            assert_eq!(matches!(to(name), To::Files(Target::File(_))), is_file, "{name}");
        }
        assert!(matches!(to("dir.csv"), To::Files(Target::Folder(_))));
        assert!(matches!(to("new.csv/"), To::Files(Target::Folder(_))));
        assert_eq!(To::of(Path::new("-")), To::Stdout);
        if cfg!(unix) {
            assert_eq!(To::of(Path::new("/dev/null")), To::Stream("/dev/null".into()));
        }
    }
}
