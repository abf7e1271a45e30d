//! How far the conversions have come: a bar with rate and time left on a terminal, a line now and then elsewhere.

use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use backstory_convert::Progress;
use indicatif::{HumanBytes, HumanCount, HumanDuration, ProgressBar, ProgressStyle};

use crate::args::Common;
use crate::progress::{LINE_EVERY, add_bar};
use crate::stderr;

/// What is shown of all conversions together.
pub(super) struct Shown {
    how: How,
    /// Bytes and rows of the inputs that are done with.
    bytes_before: AtomicU64,
    rows_before: AtomicU64,
    /// Those of the input under way.
    bytes: AtomicU64,
    rows: AtomicU64,
    total: Option<u64>,
    begun: Instant,
}

enum How {
    Silent,
    Bar(ProgressBar),
    /// When the last line was printed.
    Lines(Mutex<Instant>),
}

impl Shown {
    /// `total` is how many bytes there are to be read, if that is known.
    pub(super) fn new(common: &Common, total: Option<u64>) -> Self {
        let how = if common.quiet {
            How::Silent
        } else if std::io::stderr().is_terminal() && !common.json {
            How::Bar(bar(total))
        } else {
            How::Lines(Mutex::new(Instant::now()))
        };
        let zero = || AtomicU64::new(0);
        let (bytes_before, rows_before, bytes, rows) = (zero(), zero(), zero(), zero());
        Self { how, bytes_before, rows_before, bytes, rows, total, begun: Instant::now() }
    }

    /// The conversion under way has come so far.
    pub(super) fn note(&self, progress: Progress) {
        self.bytes.store(progress.bytes_read, Ordering::Relaxed);
        self.rows.store(progress.rows, Ordering::Relaxed);
        let bytes = self.bytes_before.load(Ordering::Relaxed) + progress.bytes_read;
        let rows = self.rows_before.load(Ordering::Relaxed) + progress.rows;
        match &self.how {
            How::Silent => {}
            How::Bar(bar) => {
                bar.set_position(bytes);
                bar.set_message(format!("{} rows", HumanCount(rows)));
            }
            How::Lines(last) => {
                let Ok(mut last) = last.lock() else { return };
                if last.elapsed() >= LINE_EVERY {
                    *last = Instant::now();
                    stderr::line(self.line(bytes, rows));
                }
            }
        }
    }

    fn line(&self, bytes: u64, rows: u64) -> String {
        let seconds = self.begun.elapsed().as_secs_f64().max(0.001);
        let rate = bytes as f64 / seconds;
        let (read, rows, per_second) = (HumanBytes(bytes), HumanCount(rows), HumanBytes(rate as u64));
        match self.total {
            Some(total) if bytes > 0 => {
                let left = std::time::Duration::from_secs_f64(total.saturating_sub(bytes) as f64 / rate);
                let total = HumanBytes(total);
                format!("{read} of {total} · {per_second}/s · {} left · {rows} rows", HumanDuration(left))
            }
            _ => format!("{read} · {per_second}/s · {rows} rows"),
        }
    }

    /// The conversion under way has ended. Returns how many bytes of its input were read.
    pub(super) fn end_of_input(&self) -> u64 {
        let (bytes, rows) = (self.bytes.swap(0, Ordering::Relaxed), self.rows.swap(0, Ordering::Relaxed));
        self.bytes_before.fetch_add(bytes, Ordering::Relaxed);
        self.rows_before.fetch_add(rows, Ordering::Relaxed);
        bytes
    }

    /// How long it has taken, in seconds.
    pub(super) fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        if let How::Bar(bar) = &self.how {
            bar.finish_and_clear();
        }
    }
}

fn bar(total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{spinner} [{elapsed_precise}] {bar:24} {binary_bytes}/{binary_total_bytes} · {binary_bytes_per_sec} · {eta} left · {msg}",
        ),
        None => (
            ProgressBar::no_length(),
            "{spinner} [{elapsed_precise}] {binary_bytes} · {binary_bytes_per_sec} · {msg}",
        ),
    };
    let bar = add_bar(bar);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
