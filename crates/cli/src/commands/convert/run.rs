//! Runs the conversions on a thread of their own, so that an interruption is heard at once and leaves nothing half-written.

use std::error::Error as StdError;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use backstory_convert::{ConvertOptions, Error, OutputPaths, Plan, Planned, Source, Target};
use jiff::Timestamp;
use tokio::sync::oneshot;

use super::ConvertArgs;
use super::flags::{Asked, To};
use super::piped::{Stop, piped};
use super::progress::Shown;
use super::report::{Done, Report, failure};
use crate::args::Common;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupts;
use crate::settings::{Environment, clock};

/// How long an interrupted conversion may take to clean up. It may hang in a write to a pipe that nobody reads.
const TIME_TO_STOP: Duration = Duration::from_secs(5);

pub(super) async fn run(
    common: &Common,
    environment: &Environment,
    args: &ConvertArgs,
    asked: Asked,
) -> Result<Exit, Failure> {
    let clock = clock(environment)?;
    let mut interrupts = Interrupts::watch()?;
    let mut stops = Vec::new();
    let sources = args.inputs.iter().map(|input| source(input, &clock, &mut stops)).collect();
    let cancelled = Arc::new(AtomicBool::new(false));
    let work = Work { common: common.clone(), asked, cancelled: Arc::clone(&cancelled) };
    let (done, mut outcome) = oneshot::channel();
    thread::spawn(move || {
        // Nobody listens any more once the run has been given up.
        let _ = done.send(work.run(sources));
    });
    let report = tokio::select! {
        report = &mut outcome => report,
        () = interrupts.next() => {
            cancelled.store(true, Ordering::Relaxed);
            stops.iter().for_each(Stop::stop);
            let _ = tokio::time::timeout(TIME_TO_STOP, outcome).await;
            return Err(Failure::new(Exit::Interrupted, "interrupted")
                .with_hint("run the same command again; what was converted is whole"));
        }
    };
    let report =
        report.map_err(|_| Failure::new(Exit::Failed, "the conversion ended without a result"))??;
    report.tell(common)?;
    Ok(report.outcome())
}

/// What an argument names. All but plain files may have nothing to read for ever, and need to be stopped then.
fn source(input: &Path, clock: &impl Fn() -> Timestamp, stops: &mut Vec<Stop>) -> Source {
    if input == Path::new("-") {
        let (reader, stop) = piped(|| Ok(io::stdin()));
        stops.push(stop);
        return Source::reader("stdin", reader, clock());
    }
    let is_pipe = fs::metadata(input).is_ok_and(|about| !about.is_file() && !about.is_dir());
    if !is_pipe {
        return Source::file(input);
    }
    let path = input.to_owned();
    let (reader, stop) = piped(move || File::open(path));
    stops.push(stop);
    Source::reader(input.file_name().unwrap_or_default().to_string_lossy(), reader, clock())
}

/// What the thread does.
struct Work {
    common: Common,
    asked: Asked,
    cancelled: Arc<AtomicBool>,
}

impl Work {
    fn run(self, mut sources: Vec<Source>) -> Result<Report, Failure> {
        match (&self.asked.to, sources.pop()) {
            (To::Stdout, Some(source)) => self.to_stream(source, stdout()),
            (To::Stream(path), Some(source)) => {
                let stream = File::options().write(true).open(path);
                self.to_stream(source, stream.map(|file| Box::new(file) as _))
            }
            (To::Files(target), last) => {
                sources.extend(last);
                self.to_files(sources, target)
            }
            (To::Stdout | To::Stream(_), None) => Ok(Report::default()),
        }
    }

    fn to_files(&self, sources: Vec<Source>, target: &Target) -> Result<Report, Failure> {
        let plan = Plan::new(sources, self.asked.resource, &self.asked.output, target).map_err(failure)?;
        let shown = Arc::new(Shown::new(&self.common, plan.bytes()));
        let mut report = Report::default();
        let mut waiting = plan.into_conversions().into_iter();
        while let Some(planned) = waiting.next() {
            let name = planned.name().to_owned();
            match self.convert(planned, &shown, report.bad_rows()) {
                Ok(done) => report.done.push(done),
                Err(error) => {
                    let concerns_all = error.concerns_all_files();
                    report.failed.push((name, error));
                    if concerns_all || self.cancelled.load(Ordering::Relaxed) {
                        report.left = waiting.len();
                        break;
                    }
                }
            }
        }
        report.seconds = shown.seconds();
        Ok(report)
    }

    fn convert(&self, planned: Planned, shown: &Arc<Shown>, bad_rows: u64) -> Result<Done, Error> {
        let (name, resource, size) = (planned.name().to_owned(), planned.resource(), planned.bytes());
        let converted = planned.run(&self.options(shown, bad_rows));
        let read = shown.end_of_input();
        let converted = converted?;
        Ok(Done { name, resource, bytes: size.unwrap_or(read), converted })
    }

    fn to_stream(
        &self,
        source: Source,
        stream: io::Result<Box<dyn Write + Send>>,
    ) -> Result<Report, Failure> {
        let output = &self.asked.output;
        let stream = stream.map_err(|error| {
            Failure::new(Exit::Failed, "what --out names can't be opened").with_source(error)
        })?;
        let input = source.open(self.asked.resource).map_err(failure)?;
        let (name, resource) = (input.name().to_owned(), input.resource());
        let file_name = PathBuf::from(&name);
        let file_name = file_name.file_name().unwrap_or_default().to_string_lossy();
        let here = Target::Folder(PathBuf::new());
        let paths = OutputPaths::new(&file_name, resource, output, &here).map_err(failure)?;
        let tables = paths.tables().count();
        if tables > 1 {
            let message = format!("{resource} become {tables} tables, which one stream can't hold");
            return Err(Failure::usage(message).with_hint("name a folder with --out"));
        }
        let shown = Arc::new(Shown::new(&self.common, input.bytes()));
        let options = self.options(&shown, 0);
        let converted = match options.to_writers(input, output, vec![stream], paths.quarantine()) {
            Ok(converted) => converted,
            // A reader that goes away early, such as `head`, is no failure.
            Err(error) if is_broken_pipe(&error) => return Ok(Report::default()),
            Err(error) => return Err(failure(error)),
        };
        let bytes = shown.end_of_input();
        let done = vec![Done { name, resource, bytes, converted }];
        let takes_stdout = self.asked.to == To::Stdout;
        Ok(Report { done, seconds: shown.seconds(), takes_stdout, ..Report::default() })
    }

    fn options(&self, shown: &Arc<Shown>, bad_rows: u64) -> ConvertOptions {
        let shown = Arc::clone(shown);
        let options = self.asked.options.clone();
        options
            .with_bad_rows(self.asked.bad_rows(bad_rows))
            .with_cancellation(Arc::clone(&self.cancelled))
            .with_progress(move |progress| shown.note(progress))
    }
}

/// Standard output without the buffer that flushes at every line end.
fn stdout() -> io::Result<Box<dyn Write + Send>> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd as _;
        let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        Ok(Box::new(file))
    }
    #[cfg(not(unix))]
    Ok(Box::new(io::stdout()))
}

fn is_broken_pipe(error: &Error) -> bool {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            return true;
        }
        cause = error.source();
    }
    false
}
