//! Any bytes at all as contacts as CSV: no panic, bounded memory, the same rows however they arrive, and the fast way reads what
//! the plain one does.
#![no_main]
#![allow(dead_code)]

#[path = "../../tests/checks/mod.rs"]
mod checks;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], [u8; 4], u16)| {
    let (export, sizes, bound) = input;
    // Now and then a bound that rows run into.
    let bound = if bound & 3 == 0 { usize::from(bound) } else { 1 << 20 };
    checks::check_csv_contacts(export, &sizes, bound);
});
