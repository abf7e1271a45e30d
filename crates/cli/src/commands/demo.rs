//! `backstory demo`: a sync over real sockets, against a simulated service in this process: the first run, three days
//! later the second, and the proof that what is there is what the service has.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use backstory_api::{BaseUrl, Client, WaitPolicy, token_flow};
use backstory_auth::{Credentials, KeyType, TokenCache};
use backstory_destination::{Destination, Digest};
use backstory_lake::Lake;
use backstory_limits::UseLimits;
use backstory_sim::Sim;
use backstory_sync::{Coverage, DayState, Stop, SyncOptions, SyncReport, SyncSettings, sync};
use backstory_tables::Resource;
use backstory_transport::{HttpService, ReqwestService};
use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use serde_json::json;

use crate::args::Common;
use crate::exit::{Exit, Failure};
use crate::interrupt::or_interrupted;
use crate::settings::{Environment, clock};
use crate::stderr;
use crate::stderr::StderrFormat;
use crate::{output, sync_progress};

/// How far back the history reaches: as far as the simulated world does.
const YEARS: i16 = 3;
/// How long the world waits between the two runs.
const PAUSE: SignedDuration = SignedDuration::from_hours(3 * 24);
/// The file by which a later demo knows the folder of an earlier one.
const MARK: &str = "_backstory/demo";

#[derive(Debug, Args)]
#[command(after_help = "Example:
  backstory demo --out /tmp/backstory-demo")]
pub(crate) struct DemoArgs {
    /// Where the tables go; an earlier demo's are replaced
    #[arg(long, value_name = "DIR", default_value = "backstory-demo")]
    out: PathBuf,
    /// What the simulated world is computed from
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// How many activities the simulated world has
    #[arg(long, default_value_t = 8_000, value_name = "N")]
    activities: u64,
}

pub(crate) async fn run(
    common: &Common,
    environment: &Environment,
    args: &DemoArgs,
) -> Result<Exit, Failure> {
    let now = clock(environment)?();
    or_interrupted(demonstrate(common, args, now), "run the same command again").await
}

async fn demonstrate(common: &Common, args: &DemoArgs, now: Timestamp) -> Result<Exit, Failure> {
    let begun = Instant::now();
    // The world stands still while it is looked at, so that what is there can be compared with what is here.
    let now = now.round(jiff::Unit::Second).unwrap_or(now);
    let sim = Sim::builder()
        .seed(args.seed)
        .activities(args.activities)
        .contacts(args.activities / 10)
        .now(now)
        .job_time(Duration::from_millis(100))
        // The service would take 5 requests a second; nobody wants to wait for that here.
        .rate_limit(false)
        .start()
        .await
        .map_err(|error| Failure::new(Exit::Failed, "the simulator can't be started").with_source(error))?;
    say(common, &format!("a simulated Backstory service is at {} (seed {})", sim.base_url(), args.seed));

    let destination: Arc<dyn Destination> = Arc::new(fresh_lake(&args.out)?);
    let today = Offset::UTC.to_datetime(now).date();
    let since = today.first_of_month().checked_sub(YEARS.years()).unwrap_or(today);
    let demo = Demo {
        common,
        client: client(sim.base_url())?,
        destination: Arc::clone(&destination),
        settings: SyncSettings::new(since),
    };
    say(common, &format!("first run, since {since}:"));
    let first = demo.sync(now).await?;
    sim.clock().advance(PAUSE);
    let later = now.checked_add(PAUSE).unwrap_or(now);
    say(common, "three days go by; the second run:");
    let second = demo.sync(later).await?;

    // Counting walks the whole world, which is no work for the thread that serves it.
    let truth = sim.truth();
    let found = tokio::task::spawn_blocking(move || {
        let (activities, contacts) = (truth.activities(later, None), truth.contacts(later, None));
        let due = [(activities.count, activities.content_hash), (contacts.count, contacts.content_hash)];
        let here = |resource| destination.digest(resource, None);
        let found = [here(Resource::Activities)?, here(Resource::Contacts)?];
        Ok::<_, backstory_destination::Error>((found, due, destination.tables()?, destination.deliveries()?))
    });
    let (found, due, tables, deliveries) = found
        .await
        .map_err(|error| Failure::new(Exit::Failed, "the simulator can't count").with_source(error))??;
    let verdicts = ["activities", "contacts"].into_iter().zip(found).zip(due);
    let verdicts: Vec<Verdict> =
        verdicts.map(|((table, found), due)| Verdict { table, found, due }).collect();
    let coverage = Coverage::of(&deliveries, &[], &demo.settings, later);
    let seen =
        Seen { verdicts, tables, coverage, runs: [first, second], seconds: begun.elapsed().as_secs_f64() };
    seen.tell(common, args, &sim)?;
    sim.stop().await;
    if seen.verdicts.iter().any(|verdict| !verdict.is_equal()) {
        return Err(Failure::new(Exit::Failed, "what was loaded is not what the simulator has"));
    }
    Ok(Exit::Done)
}

/// The folder of the demo, empty. One that holds anything but an earlier demo is refused.
fn fresh_lake(folder: &Path) -> Result<Lake, Failure> {
    let failed = |error: io::Error| {
        Failure::new(Exit::Failed, format!("can't use the folder {}", folder.display())).with_source(error)
    };
    let is_empty = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        entries => entries.map_err(failed)?.next().is_none(),
    };
    if folder.join(MARK).exists() {
        fs::remove_dir_all(folder).map_err(failed)?;
    } else if !is_empty {
        return Err(Failure::usage(format!("{} holds something that is not of a demo", folder.display()))
            .with_hint("name another folder with --out"));
    }
    let lake = Lake::open_or_create(folder)?;
    fs::write(folder.join(MARK), "This folder is of `backstory demo`, which replaces it.\n")
        .map_err(failed)?;
    Ok(lake)
}

/// What both runs have in common.
struct Demo<'a> {
    common: &'a Common,
    client: Client,
    destination: Arc<dyn Destination>,
    settings: SyncSettings,
}

impl Demo<'_> {
    async fn sync(&self, now: Timestamp) -> Result<SyncReport, Failure> {
        let mut options = SyncOptions::new(move || now);
        options.wait = WaitPolicy::default().with_first_poll(Duration::from_millis(250));
        let observer = sync_progress::observer(self.common, StderrFormat::Text);
        let destination = Arc::clone(&self.destination);
        let mut report =
            sync(&self.client, destination, &self.settings, &options, observer, &Stop::new()).await?;
        match report.failures.pop() {
            Some(failure) => Err(failure.error.into()),
            None => Ok(report),
        }
    }
}

/// The client that a user would have, with one key for each API type.
fn client(base_url: &str) -> Result<Client, Failure> {
    let base = BaseUrl::parse(base_url)?;
    // A proxy of this machine has no business between two ends of one process.
    let adapter = ReqwestService::builder()
        .no_proxy()
        .build()
        .map_err(|error| Failure::new(Exit::Failed, "the connection can't be set up").with_source(error))?;
    let adapter: Arc<dyn HttpService> = Arc::new(adapter);
    let tokens = |id: &str, key_type| -> Result<TokenCache, Failure> {
        let flow = token_flow(&adapter, &base, Credentials::new(id, "sim-secret"))?;
        Ok(TokenCache::new(flow.key_type(key_type)))
    };
    let mut limits = UseLimits::published();
    limits.requests_per_second = 100;
    Ok(Client::builder(base.clone())
        .adapter(Arc::clone(&adapter))
        .limits(limits)
        .activities_tokens(tokens("sim-activity", KeyType::Activity)?)
        .contacts_tokens(tokens("sim-object", KeyType::Object)?)
        .build()?)
}

/// A table, beside what the simulator says.
struct Verdict {
    table: &'static str,
    found: Digest,
    due: (u64, String),
}

impl Verdict {
    fn is_equal(&self) -> bool {
        (self.found.count, &self.found.content_hash) == (self.due.0, &self.due.1)
    }
}

/// What there is to see at the end.
struct Seen {
    verdicts: Vec<Verdict>,
    tables: BTreeMap<String, u64>,
    coverage: Coverage,
    runs: [SyncReport; 2],
    seconds: f64,
}

impl Seen {
    fn tell(&self, common: &Common, args: &DemoArgs, sim: &Sim) -> Result<(), Failure> {
        let played = sim.report();
        let [first, second] = &self.runs;
        if common.json {
            let run = |report: &SyncReport| {
                json!({
                    "rows": report.rows(),
                    "bytes": report.bytes(),
                    "deliveries": report.committed.len(),
                    "watermark": report.watermark,
                    "seconds": report.seconds,
                })
            };
            let verdicts: serde_json::Map<String, serde_json::Value> = self
                .verdicts
                .iter()
                .map(|verdict| {
                    let value = json!({
                        "rows": verdict.found.count,
                        "content_hash": verdict.found.content_hash,
                        "simulator": {"count": verdict.due.0, "content_hash": verdict.due.1},
                        "equal": verdict.is_equal(),
                    });
                    (verdict.table.to_owned(), value)
                })
                .collect();
            return output::json(&json!({
                "folder": args.out.to_string_lossy(),
                "tables": verdicts,
                "rows": self.tables,
                "watermark": self.coverage.watermark(),
                "runs": [run(first), run(second)],
                "seconds": self.seconds,
                "most_jobs_running": played.most_running,
                "most_jobs_queued": played.most_queued,
            }));
        }
        let verdicts: Vec<Vec<String>> = self.verdicts.iter().map(verdict).collect();
        let folder = args.out.display();
        output::line(format!(
            "\n{}\n\n{}\n\nThe first run brought {} rows, {}; three days later, the second brought {}, {}.\n\
             {} jobs in all, in {:.1} s; at most {} ran and {} waited at once.\n\
             The tables are Parquet files in {folder}. Ask them something:\n\n\
             duckdb -init {folder}/views.duckdb.sql -c \"SELECT type, count(*) AS activities FROM activities GROUP BY type\"\n\
             python3 -c \"import duckdb; d = duckdb.connect(); d.execute(open('{folder}/views.duckdb.sql').read()); print(d.sql('SELECT type, count(*) AS activities FROM activities GROUP BY type').df())\"\n",
            output::table(&["table", "current rows", "simulator", "content hash", ""], &verdicts),
            output::table(&["month", "days loaded", ""], &self.months()),
            HumanCount(first.rows()),
            HumanBytes(first.bytes()),
            HumanCount(second.rows()),
            HumanBytes(second.bytes()),
            played.jobs_created.values().sum::<u64>(),
            self.seconds,
            played.most_running,
            played.most_queued,
        ))
    }

    /// The latest months, each with the days of it that are loaded.
    fn months(&self) -> Vec<Vec<String>> {
        let mut months: BTreeMap<_, (usize, usize)> = BTreeMap::new();
        for (day, state) in self.coverage.days() {
            let (closed, provisional) = months.entry(day.first_of_month()).or_default();
            match state {
                DayState::Closed => *closed += 1,
                DayState::Provisional => *provisional += 1,
                _ => {}
            }
        }
        let row = |(month, (closed, provisional)): (jiff::civil::Date, (usize, usize))| {
            let bar = "█".repeat(closed) + &"▒".repeat(provisional);
            vec![month.strftime("%Y-%m").to_string(), (closed + provisional).to_string(), bar]
        };
        let latest = months.len().saturating_sub(6);
        months.into_iter().skip(latest).map(row).collect()
    }
}

fn verdict(verdict: &Verdict) -> Vec<String> {
    vec![
        verdict.table.to_owned(),
        HumanCount(verdict.found.count).to_string(),
        HumanCount(verdict.due.0).to_string(),
        verdict.found.content_hash.clone(),
        if verdict.is_equal() { "equal" } else { "NOT EQUAL" }.to_owned(),
    ]
}

fn say(common: &Common, line: &str) {
    if !common.quiet {
        stderr::line(line);
    }
}
