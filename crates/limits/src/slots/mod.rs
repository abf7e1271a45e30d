//! Job-slot accounting: which of our jobs hold a slot, how many others hold one, and whether we may start another.
//!
//! A pure state machine: events go in, counts come out, and the time is an argument. [`SlotPolicy`] says how much we
//! may use, [`SlotPool`] counts, [`ListedJob`] is how the service's own list is told to it, and [`Settlement`] is what
//! that list, or the passing of time, has decided.

mod held;
mod listed;
mod policy;
mod pool;

pub use listed::{ListedJob, Phase, Settlement};
pub use policy::{SlotPolicy, SlotRefusal};
pub use pool::{Reservation, SlotPool};
