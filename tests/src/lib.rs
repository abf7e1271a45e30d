//! Nothing of its own: the tests below `tests/` cross crates, and the README's code is run as a doctest.

#![forbid(unsafe_code)]

/// The README, so that its code is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
