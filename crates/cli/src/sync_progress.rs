//! What a sync shows while it runs: a line for each step, a bar on terminals, or one JSON object for each event.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use backstory_sync::{JobOrigin, Silent, SyncEvent, SyncObserver};
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

use crate::args::Common;
use crate::progress::{LINE_EVERY, add_bar};
use crate::stderr::{self, StderrFormat};

/// The observer for a run.
pub(crate) fn observer(common: &Common, format: StderrFormat) -> Arc<dyn SyncObserver> {
    match () {
        () if format == StderrFormat::JsonLines => Arc::new(JsonLines),
        () if common.quiet => Arc::new(Silent),
        () => Arc::new(Lines::new(std::io::stderr().is_terminal() && !common.json)),
    }
}

/// One JSON object a line on stderr.
struct JsonLines;

impl SyncObserver for JsonLines {
    fn on_event(&self, event: &SyncEvent<'_>) {
        stderr::write_json(event);
    }
}

/// A line for each step that matters to people.
struct Lines {
    bar: Option<ProgressBar>,
    state: Mutex<State>,
}

struct State {
    planned: usize,
    done: usize,
    bytes: BTreeMap<String, u64>,
    told: Instant,
}

impl Lines {
    fn new(on_terminal: bool) -> Self {
        let bar = on_terminal.then(|| {
            let bar = add_bar(ProgressBar::new(0));
            if let Ok(style) = ProgressStyle::with_template(
                "{spinner} [{elapsed_precise}] {bar:24} {pos}/{len} jobs · {msg}",
            ) {
                bar.set_style(style);
            }
            bar
        });
        let state = State { planned: 0, done: 0, bytes: BTreeMap::new(), told: Instant::now() };
        Self { bar, state: Mutex::new(state) }
    }
}

impl SyncObserver for Lines {
    fn on_event(&self, event: &SyncEvent<'_>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            SyncEvent::Planned { jobs, .. } => state.planned += jobs,
            SyncEvent::Divided { pieces, .. } => state.planned += pieces.len() - 1,
            SyncEvent::Committed { .. } | SyncEvent::Failed { .. } => state.done += 1,
            SyncEvent::Bytes { job, bytes, .. } => {
                state.bytes.insert(job.to_string(), *bytes);
            }
            _ => {}
        }
        let line = match event {
            SyncEvent::Bytes { .. } if self.bar.is_none() && state.told.elapsed() >= LINE_EVERY => {
                state.told = Instant::now();
                let all = HumanBytes(state.bytes.values().sum());
                Some(format!("{all} downloaded; {} of {} jobs done", state.done, state.planned))
            }
            _ => line(event),
        };
        if let Some(bar) = &self.bar {
            bar.set_length(state.planned as u64);
            bar.set_position(state.done as u64);
            bar.set_message(HumanBytes(state.bytes.values().sum()).to_string());
        }
        drop(state);
        if let Some(line) = line {
            stderr::line(line);
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What people are told of an event, if anything.
fn line(event: &SyncEvent<'_>) -> Option<String> {
    Some(match event {
        SyncEvent::WaitingForLock { holder } => format!("{holder}; waiting for it to end"),
        SyncEvent::LedgerSetAside { path } => {
            format!(
                "the ledger was corrupt and is now {}; a new one was begun, and nothing is lost",
                path.display()
            )
        }
        SyncEvent::Planned { jobs: 0, .. } => "nothing to do".to_owned(),
        SyncEvent::Planned { jobs, taken_over, choices, .. } => {
            let mut text = format!("{jobs} export job{} to do", if *jobs == 1 { "" } else { "s" });
            if *taken_over > 0 {
                text = format!("{text}, {taken_over} of them begun by an earlier run");
            }
            choices.iter().fold(text, |text, choice| format!("{text}\n  {choice}"))
        }
        SyncEvent::Reloaded { job, job_id, rows } => {
            format!("{job}: {} rows of job {job_id}, loaded from its raw file", HumanCount(*rows))
        }
        SyncEvent::WaitingForSlot { job, reason, others: true } => format!("{job}: {reason}"),
        SyncEvent::QueueFull { job } => format!("{job}: the service's queue is full; waiting"),
        SyncEvent::ReplyLost { job } => {
            format!("{job}: the reply to its creation was lost; looking for the job in the service's list")
        }
        SyncEvent::Started { job, job_id, how } => match how {
            JobOrigin::Created => format!("{job}: job {job_id} created"),
            JobOrigin::Adopted => format!("{job}: found job {job_id}, whose reply was lost"),
            JobOrigin::TakenOver => format!("{job}: going on with job {job_id} of an earlier run"),
        },
        SyncEvent::Committed { job, rows, bad_rows, bytes, .. } => {
            let bad = if *bad_rows > 0 { format!(", {bad_rows} bad rows set apart") } else { String::new() };
            format!("{job}: {} rows{bad}, {}", HumanCount(*rows), HumanBytes(*bytes))
        }
        SyncEvent::AskedAgain { job, reason } => format!("{job}: asked for again, because {reason}"),
        SyncEvent::Divided { job, reason, pieces } => {
            format!("{job}: asked for in {} pieces, because {reason}", pieces.len())
        }
        SyncEvent::Failed { job, .. } => format!("{job}: failed; the reason is told at the end"),
        SyncEvent::Skew { client, server } => format!(
            "warning: this machine's clock says {client:.0}, the service's {server:.0}; the service's decides, but what is asked for follows this one"
        ),
        SyncEvent::Pruned { deliveries } => {
            format!("the raw files of {deliveries} old deliveries were removed")
        }
        _ => return None,
    })
}
