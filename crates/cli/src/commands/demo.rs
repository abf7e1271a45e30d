//! `backstory demo`: the whole job over real sockets, against a simulated service in this process.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backstory_api::{ActivityType, BaseUrl, Client, WaitPolicy, token_flow};
use backstory_auth::{Credentials, KeyType, TokenCache};
use backstory_limits::{DateRange, ExportKind, SlotPolicy, UseLimits};
use backstory_sim::{Sim, WindowKind};
use backstory_sync::{ContactFilter, ExportOptions, ExportPlan, OutputFormat, Report, Selection, export};
use backstory_transport::{HttpService, ReqwestService};
use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan as _};
use serde_json::json;

use crate::args::Common;
use crate::exit::{Exit, Failure};
use crate::interrupt::or_interrupted;
use crate::settings::{Environment, clock};
use crate::{output, progress};

/// How far back the demo looks: more than one snapshot may cover.
const MONTHS: i32 = 15;

#[derive(Debug, Args)]
#[command(after_help = "Example:
  backstory demo --out /tmp/backstory-demo")]
pub(crate) struct DemoArgs {
    /// Where the tables go
    #[arg(long, value_name = "DIR", default_value = "backstory-demo")]
    out: PathBuf,
    /// What the simulated world is computed from
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// How many activities the simulated world has
    #[arg(long, default_value_t = 20_000, value_name = "N")]
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
    // The world stands still, so that what was exported can be compared with what is.
    let now = now.round(jiff::Unit::Second).unwrap_or(now);
    let sim = Sim::builder()
        .seed(args.seed)
        .activities(args.activities)
        .contacts(args.activities / 10)
        .now(now)
        .start()
        .await
        .map_err(|error| Failure::new(Exit::Failed, "the simulator can't be started").with_source(error))?;
    say(common, &format!("a simulated Backstory service is at {} (seed {})", sim.base_url(), args.seed));

    let today = Offset::UTC.to_datetime(now).date();
    let first = today.first_of_month().checked_sub((MONTHS - 1).months()).unwrap_or(today);
    let range = DateRange::new(first, today).map_err(|error| Failure::usage(error.to_string()))?;
    let year = DateRange::new(today.checked_sub(364.days()).unwrap_or(today), today)
        .map_err(|error| Failure::usage(error.to_string()))?;
    let client = client(sim.base_url())?;

    let activities = Selection::Activities { kind: ExportKind::Snapshot, activity_type: ActivityType::All };
    let everybody =
        ContactFilter { include_historical: true, include_existing: true, ..ContactFilter::default() };
    let activities = bring(common, args, &client, activities, range, now).await?;
    let contacts = bring(common, args, &client, Selection::Contacts(everybody), year, now).await?;

    let truth = sim.truth();
    // Counting walks the whole world, which is no work for the thread that serves it.
    let due = tokio::task::spawn_blocking(move || {
        let of = |kind, range: DateRange| truth.window(kind, None, range.start(), range.end(), now).count;
        [of(WindowKind::Snapshot, range), of(WindowKind::Contacts, year)]
    })
    .await
    .map_err(|error| Failure::new(Exit::Failed, "the simulator can't count").with_source(error))?;
    let counts = [("activities", activities.rows(), due[0]), ("contacts", contacts.rows(), due[1])];
    tell(common, args, &counts, &[&activities, &contacts], &sim, begun.elapsed())?;
    sim.stop().await;
    if counts.iter().any(|(_, found, due)| found != due) {
        return Err(Failure::new(Exit::Failed, "what landed is not what the simulator has"));
    }
    Ok(Exit::Done)
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
    Ok(Client::builder(base.clone())
        .adapter(Arc::clone(&adapter))
        .activities_tokens(tokens("sim-activity", KeyType::Activity)?)
        .contacts_tokens(tokens("sim-object", KeyType::Object)?)
        .build()?)
}

async fn bring(
    common: &Common,
    args: &DemoArgs,
    client: &Client,
    selection: Selection,
    range: DateRange,
    now: Timestamp,
) -> Result<Report, Failure> {
    let plan = ExportPlan::new(selection, range, true, &UseLimits::published(), SlotPolicy::default())?;
    say(
        common,
        &format!(
            "{} of {range}: {} export jobs, legal by proof",
            plan.selection().resource(),
            plan.windows().len()
        ),
    );
    let mut options = ExportOptions::new(&args.out, OutputFormat::Parquet, move || now);
    // The demo's folder is the demo's own; a folder that holds anything else is refused all the same.
    options.overwrite = true;
    options.wait = WaitPolicy::default().with_first_poll(Duration::from_millis(250));
    let observer = progress::observer(common, plan.windows().len());
    let mut report = export(client, &plan, &options, observer).await?;
    match report.failures.pop() {
        Some(error) => Err(error.into()),
        None => Ok(report),
    }
}

fn tell(
    common: &Common,
    args: &DemoArgs,
    counts: &[(&str, u64, u64)],
    reports: &[&Report],
    sim: &Sim,
    elapsed: Duration,
) -> Result<(), Failure> {
    let months = reports[0].rows_by_month();
    let played = sim.report();
    if common.json {
        let tables: serde_json::Map<String, serde_json::Value> = counts
            .iter()
            .map(|(table, found, due)| {
                ((*table).to_owned(), json!({"rows": found, "simulator": due, "equal": found == due}))
            })
            .collect();
        return output::json(&json!({
            "folder": args.out,
            "tables": tables,
            "activities_by_month": months,
            "bytes": reports.iter().map(|report| report.bytes()).sum::<u64>(),
            "seconds": elapsed.as_secs_f64(),
            "most_jobs_running": played.most_running,
            "most_jobs_queued": played.most_queued,
        }));
    }
    let rows: Vec<Vec<String>> = counts
        .iter()
        .map(|(table, found, due)| {
            let verdict = if found == due { "equal" } else { "NOT EQUAL" };
            vec![
                (*table).to_owned(),
                HumanCount(*found).to_string(),
                HumanCount(*due).to_string(),
                verdict.to_owned(),
            ]
        })
        .collect();
    let most = months.values().copied().max().unwrap_or(1).max(1);
    let coverage: Vec<Vec<String>> = months
        .iter()
        .map(|(month, rows)| {
            let bar = "█".repeat(usize::try_from(rows * 30 / most).unwrap_or(0).max(1));
            vec![month.clone(), HumanCount(*rows).to_string(), bar]
        })
        .collect();
    let bytes = reports.iter().map(|report| report.bytes()).sum();
    let folder = args.out.display();
    output::line(format!(
        "\n{}\n\n{}\n\n{} came in {:.1} s over {} jobs; at most {} ran and {} waited at once.\n\
         The tables are Parquet files in {folder}. Ask them something:\n\n\
         duckdb -c \"SELECT type, count(*) AS activities, sum(len(participants)) AS participants FROM '{folder}/activities/*.parquet' GROUP BY type\"\n\
         python3 -c \"import pandas; print(pandas.read_parquet('{folder}/activities').groupby('type').size())\"\n",
        output::table(&["table", "rows", "simulator", ""], &rows),
        output::table(&["month", "activities", ""], &coverage),
        HumanBytes(bytes),
        elapsed.as_secs_f64(),
        played.jobs_created.values().sum::<u64>(),
        played.most_running,
        played.most_queued,
    ))
}

fn say(common: &Common, line: &str) {
    if !common.quiet {
        eprintln!("{line}");
    }
}
