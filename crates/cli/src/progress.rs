//! What an export shows while it runs: bars on a terminal, plain lines elsewhere, nothing when asked to be quiet.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use backstory_api::JobState;
use backstory_limits::DateRange;
use backstory_sync::{Event, Observer, Silent};
use indicatif::{HumanBytes, HumanCount, MultiProgress, ProgressBar, ProgressStyle};

use crate::args::Common;
use crate::stderr;

/// How often a line about bytes is printed where there are no bars.
pub(crate) const LINE_EVERY: Duration = Duration::from_secs(10);

static BARS: OnceLock<MultiProgress> = OnceLock::new();

/// Runs `print` while the bars are out of the way.
pub(crate) fn above_bars<T>(print: impl FnOnce() -> T) -> T {
    match BARS.get() {
        Some(bars) => bars.suspend(print),
        None => print(),
    }
}

/// Shows a bar on the terminal, below what is printed above it.
pub(crate) fn add_bar(bar: ProgressBar) -> ProgressBar {
    let bar = BARS.get_or_init(MultiProgress::new).add(bar);
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// The observer for a run.
pub(crate) fn observer(common: &Common, windows: usize) -> Arc<dyn Observer> {
    if common.quiet {
        Arc::new(Silent)
    } else if std::io::stderr().is_terminal() && !common.json {
        Arc::new(Bars::new(windows))
    } else {
        Arc::new(Lines::new(windows))
    }
}

/// What is known of all windows together.
#[derive(Default)]
struct Totals {
    windows: BTreeMap<DateRange, WindowTotals>,
}

#[derive(Clone, Copy, Default)]
struct WindowTotals {
    stage: Stage,
    bytes: u64,
    rows: u64,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Planned,
    Waiting,
    Running,
    Downloading,
    Landed,
    Failed,
}

impl Totals {
    fn note(&mut self, event: &Event<'_>) {
        match event {
            Event::Reused { window, rows } | Event::Landed { window, rows, .. } => {
                let of = self.windows.entry(*window).or_default();
                (of.stage, of.rows) = (Stage::Landed, *rows);
            }
            Event::JobStarted { window, .. } => {
                self.windows.entry(*window).or_default().stage = Stage::Waiting;
            }
            Event::JobState { window, job } => {
                let stage = match job.state {
                    Some(JobState::Running) => Stage::Running,
                    Some(JobState::Completed) => Stage::Downloading,
                    _ => Stage::Waiting,
                };
                self.windows.entry(*window).or_default().stage = stage;
            }
            Event::Bytes { window, bytes, .. } => self.windows.entry(*window).or_default().bytes = *bytes,
            Event::Rows { window, rows } => self.windows.entry(*window).or_default().rows = *rows,
            Event::Failed { window, .. } => self.windows.entry(*window).or_default().stage = Stage::Failed,
            _ => {}
        }
    }

    fn count(&self, stage: Stage) -> usize {
        self.windows.values().filter(|window| window.stage == stage).count()
    }

    fn bytes(&self) -> u64 {
        self.windows.values().map(|window| window.bytes).sum()
    }

    fn rows(&self) -> u64 {
        self.windows.values().map(|window| window.rows).sum()
    }

    fn summary(&self) -> String {
        format!(
            "jobs: {} waiting, {} running, {} downloading · {} · {} rows",
            self.count(Stage::Waiting),
            self.count(Stage::Running),
            self.count(Stage::Downloading),
            HumanBytes(self.bytes()),
            HumanCount(self.rows()),
        )
    }
}

/// One bar that counts windows and tells the rest beside it.
struct Bars {
    bar: ProgressBar,
    begun: Instant,
    totals: Mutex<Totals>,
}

impl Bars {
    fn new(windows: usize) -> Self {
        let bar = add_bar(ProgressBar::new(windows as u64));
        if let Ok(style) =
            ProgressStyle::with_template("{spinner} [{elapsed_precise}] {bar:24} {pos}/{len} windows · {msg}")
        {
            bar.set_style(style);
        }
        Self { bar, begun: Instant::now(), totals: Mutex::default() }
    }
}

impl Observer for Bars {
    fn on_event(&self, event: Event<'_>) {
        let mut totals = lock(&self.totals);
        totals.note(&event);
        self.bar.set_position(totals.count(Stage::Landed) as u64);
        let seconds = self.begun.elapsed().as_secs_f64().max(0.001);
        let rate = HumanBytes((totals.bytes() as f64 / seconds) as u64);
        self.bar.set_message(format!("{} · {rate}/s", totals.summary()));
        if let Some(line) = remark(&event) {
            self.bar.println(line);
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A line for each step.
struct Lines {
    windows: usize,
    totals: Mutex<(Totals, Instant)>,
}

impl Lines {
    fn new(windows: usize) -> Self {
        Self { windows, totals: Mutex::new((Totals::default(), Instant::now())) }
    }
}

impl Observer for Lines {
    fn on_event(&self, event: Event<'_>) {
        let mut guard = lock(&self.totals);
        let (totals, last) = &mut *guard;
        totals.note(&event);
        let line = match &event {
            Event::Bytes { .. } if last.elapsed() >= LINE_EVERY => {
                *last = Instant::now();
                Some(totals.summary())
            }
            Event::JobStarted { window, job_id, taken_over: false } => {
                Some(format!("{window}: job {job_id} created"))
            }
            Event::Landed { window, rows, bad_rows, file } => {
                let done = totals.count(Stage::Landed);
                let bad =
                    if *bad_rows > 0 { format!(", {bad_rows} bad rows set apart") } else { String::new() };
                let (all, file) = (self.windows, file.display());
                Some(format!("{window}: {} rows{bad} in {file} ({done} of {all} windows)", HumanCount(*rows)))
            }
            _ => remark(&event),
        };
        if let Some(line) = line {
            stderr::line(line);
        }
    }
}

/// What is worth a line on a terminal too.
fn remark(event: &Event<'_>) -> Option<String> {
    match event {
        Event::Reused { window, rows } => {
            Some(format!("{window}: {} rows, whole already", HumanCount(*rows)))
        }
        Event::JobStarted { window, job_id, taken_over: true } => {
            Some(format!("{window}: going on with job {job_id} of an earlier run"))
        }
        Event::QueueFull { window } => Some(format!("{window}: the service's queue is full; waiting")),
        Event::Failed { window, .. } => Some(format!("{window}: failed; the reason is told at the end")),
        _ => None,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
