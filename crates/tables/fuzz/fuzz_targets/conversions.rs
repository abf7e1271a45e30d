//! Any bytes at all as any export, in every form and shape: no panic, bounded memory, the same end on any number of threads
//! and however the bytes arrive; and Parquet and Arrow files are read back as what was written.
#![no_main]

#[path = "../../tests/checks/mod.rs"]
mod checks;

use backstory_tables::{Resource, SourceFormat};
use checks::{Way, check};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], u8, u8, u16)| {
    let (export, kind, threads, piece) = input;
    let (resource, format) = match kind % 3 {
        0 => (Resource::Activities, SourceFormat::JsonLines),
        1 => (Resource::Contacts, SourceFormat::Csv),
        _ => (Resource::Contacts, SourceFormat::Json),
    };
    let way = Way { threads: usize::from(threads % 3) + 1, piece: usize::from(piece) };
    check(resource, format, export, way);
});
