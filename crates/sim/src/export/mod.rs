//! The file that a job delivers: which records it holds, how they are written, where its fragments begin.
//!
//! The file is never stored: it is written anew for each download, and measured once, by the same code, for the job's
//! `results_size` and `fragments`.

mod stream;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::OnceCell;

pub(crate) use stream::ExportStream;

use crate::faults::RecordEffect;
use crate::jobs::{ActivityExport, Output, Request, What};
use crate::switches::{Row, Switches};
use crate::world::{
    ContactFilter, Cursor, DeltaRules, Mark, Order, Question, Second, Sink, Size, Subject, World, day_of,
};

/// How a file is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    Lines,
    Array,
    /// An object with the array under `data`.
    Object,
    Csv,
}

impl Layout {
    /// The layout of an output format. Row j.23.
    pub(crate) fn of(output: Output, switches: &Switches) -> Self {
        match (output, switches.value(Row::J23)) {
            (Output::JsonLines, _) | (Output::Json, "lines") => Self::Lines,
            (Output::Json, "object") => Self::Object,
            (Output::Json, _) => Self::Array,
            (Output::Csv, _) => Self::Csv,
        }
    }
}

/// What one job delivers.
#[derive(Debug)]
pub(crate) struct Export {
    world: Arc<World>,
    question: Question,
    layout: Layout,
    style: Style,
    records_per_fragment: u64,
    stopping: Arc<AtomicBool>,
    measure: OnceCell<Arc<Measure>>,
}

/// Choices of writing that come from switches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Style {
    /// j.41
    pub(crate) first_ingest: bool,
    /// j.15
    pub(crate) header_once: bool,
    /// j.38
    pub(crate) bom: bool,
    pub(crate) title_booleans: bool,
    /// What the fault engine does to each record.
    pub(crate) twist: Option<RecordEffect>,
}

/// What is known of a file once it was measured.
#[derive(Debug, Default)]
pub(crate) struct Measure {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) parts: Vec<Part>,
}

/// One fragment of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    mark: Mark,
    records: u64,
    /// Bytes of the file before it, a repeated CSV header not counted.
    offset: u64,
    /// Bytes of the fragment, its own header counted.
    pub(crate) bytes: u64,
}

/// The rules that switches set for deltas, rows j.42 to j.44.
pub(crate) fn delta_rules(switches: &Switches) -> DeltaRules {
    DeltaRules {
        state_at_processing: switches.is(Row::J42, "processing"),
        each_processing: switches.is(Row::J43, "each"),
        latest_day_only: switches.is(Row::J44, "latest"),
    }
}

impl Export {
    /// What `request` delivers, as the world stands at the second `at`.
    pub(crate) fn new(
        world: &Arc<World>,
        request: &Request,
        switches: &Switches,
        at: Second,
        records_per_fragment: u64,
        stopping: &Arc<AtomicBool>,
    ) -> Self {
        let (subject, kind, contacts) = match &request.what {
            What::Activities { export: ActivityExport::Snapshot, kind } => {
                (Subject::Snapshot, *kind, ContactFilter::default())
            }
            What::Activities { export: ActivityExport::Delta, kind } => {
                (Subject::Delta, *kind, ContactFilter::default())
            }
            What::Contacts { filter, .. } => (Subject::Contacts, None, filter.clone()),
        };
        let question = Question {
            subject,
            from: day_of(request.from),
            to: day_of(request.to),
            at,
            kind,
            contacts,
            delta: delta_rules(switches),
            order: match switches.value(Row::J24) {
                "shuffled" => Order::Shuffled,
                "duplicated" => Order::Duplicated,
                _ => Order::Sorted,
            },
        };
        let layout = Layout::of(request.output, switches);
        let style = Style {
            first_ingest: switches.is(Row::J41, "first"),
            header_once: switches.is(Row::J15, "first"),
            bom: switches.is(Row::J38, "bom"),
            title_booleans: switches.is(Row::J38, "title-booleans"),
            twist: None,
        };
        Self::of(Arc::clone(world), question, layout, style, records_per_fragment, Arc::clone(stopping))
    }

    /// What answers a question, as lines.
    pub(crate) fn lines(
        world: &Arc<World>,
        question: Question,
        first_ingest: bool,
        stopping: &Arc<AtomicBool>,
    ) -> Self {
        let style = Style { first_ingest, ..Style::default() };
        Self::of(Arc::clone(world), question, Layout::Lines, style, u64::MAX, Arc::clone(stopping))
    }

    fn of(
        world: Arc<World>,
        question: Question,
        layout: Layout,
        style: Style,
        records_per_fragment: u64,
        stopping: Arc<AtomicBool>,
    ) -> Self {
        Self { world, question, layout, style, records_per_fragment, stopping, measure: OnceCell::new() }
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// The file's size, records and fragments; computed at the first call, on a thread for blocking work.
    pub(crate) async fn measure(self: &Arc<Self>) -> Arc<Measure> {
        let this = Arc::clone(self);
        let measure = || async move {
            // The thread fails only when the runtime is shutting down; nobody sees the answer then.
            let measured = tokio::task::spawn_blocking(move || this.measure_now()).await;
            Arc::new(measured.unwrap_or_default())
        };
        Arc::clone(self.measure.get_or_init(measure).await)
    }

    fn measure_now(&self) -> Measure {
        let mut cursor = self.cursor();
        let mut measure = Measure::default();
        let (mut size, mut header, mut record) = (Size::default(), Size::default(), Vec::new());
        self.put_head(&mut size, true);
        self.put_head(&mut header, false);
        loop {
            let mark = cursor.mark();
            let Some(entry) = cursor.next() else { break };
            if measure.records.is_multiple_of(self.records_per_fragment) {
                let offset = if measure.records == 0 { 0 } else { size.0 };
                measure.parts.push(Part { mark, records: 0, offset, bytes: 0 });
            }
            let first = measure.records == 0;
            if self.style.twist.is_some() {
                record.clear();
                self.put_twisted(&mut record, entry, first);
                size.put(&record);
            } else {
                self.put_record(&mut size, entry, first);
            }
            measure.records += 1;
            if let Some(part) = measure.parts.last_mut() {
                part.records += 1;
            }
            if measure.records.is_multiple_of(4_096) && self.stopping.load(Ordering::Relaxed) {
                break;
            }
        }
        self.put_tail(&mut size);
        measure.bytes = size.0;
        let mut end = size.0;
        for (number, part) in measure.parts.iter_mut().enumerate().rev() {
            part.bytes = end - part.offset + if number > 0 { header.0 } else { 0 };
            end = part.offset;
        }
        measure
    }

    fn cursor(&self) -> Cursor {
        Cursor::new(Arc::clone(&self.world), self.question.clone()).until(&self.stopping)
    }

    /// The same file with something odd about its records. Where their order changes it has other fragments, which is why
    /// such rules don't match a fragment.
    pub(crate) fn twisted(&self, effect: RecordEffect) -> Self {
        let mut question = self.question.clone();
        let mut style = self.style;
        match effect {
            RecordEffect::Duplicates => question.order = Order::Duplicated,
            RecordEffect::Shuffled => question.order = Order::Shuffled,
            RecordEffect::Nulls | RecordEffect::RawSeparators | RecordEffect::Crlf => {
                style.twist = Some(effect);
            }
        }
        let (world, stopping) = (Arc::clone(&self.world), Arc::clone(&self.stopping));
        Self::of(world, question, self.layout, style, self.records_per_fragment, stopping)
    }
}
