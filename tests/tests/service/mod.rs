//! A simulated service and a client for it, over real sockets.
#![allow(dead_code, unreachable_pub)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backstory_api::{ActivityType, BaseUrl, Client, WaitPolicy, token_flow};
use backstory_auth::{Credentials, TokenCache};
use backstory_limits::{DateRange, ExportKind, SlotPolicy, UseLimits};
use backstory_sim::{Builder, Sim};
use backstory_sync::{
    ContactFilter, ExportOptions, ExportPlan, OutputFormat, Report, Selection, Silent, export,
};
use backstory_transport::{HttpService, NoPause, ReqwestService};

pub const NOW: &str = "2026-06-18T12:00:00Z";

/// A small world whose clock stands, with jobs that end at once.
pub fn world() -> Builder {
    Sim::builder()
        .seed(11)
        .activities(6_000)
        .contacts(2_000)
        .now(NOW.parse().unwrap())
        .job_time(Duration::from_millis(5))
        .rate_limit(false)
}

pub fn client(sim: &Sim, key: &str) -> Client {
    let adapter: Arc<dyn HttpService> = Arc::new(ReqwestService::builder().no_proxy().build().unwrap());
    let base = BaseUrl::parse(sim.base_url()).unwrap();
    let flow = token_flow(&adapter, &base, Credentials::new(key, "sim-secret")).unwrap();
    let mut limits = UseLimits::published();
    // The simulator's rate limit is off, so that tests don't wait for ours.
    (limits.requests_per_second, limits.concurrent_requests) = (10_000, 100);
    Client::builder(base)
        .adapter(adapter)
        .limits(limits)
        .backoff(NoPause)
        .tokens(TokenCache::new(flow))
        .build()
        .unwrap()
}

pub fn activities(kind: ExportKind) -> Selection {
    Selection::Activities { kind, activity_type: ActivityType::All }
}

pub fn everybody() -> Selection {
    Selection::Contacts(ContactFilter {
        include_historical: true,
        include_existing: true,
        ..ContactFilter::default()
    })
}

pub fn range(text: &str) -> DateRange {
    text.parse().unwrap()
}

pub async fn run(
    client: &Client,
    selection: Selection,
    window: DateRange,
    format: OutputFormat,
    folder: &Path,
) -> Result<Report, backstory_sync::Error> {
    run_for(client, selection, window, format, folder, Duration::from_secs(30)).await
}

/// As [`run`], waiting for each job for so long.
pub async fn run_for(
    client: &Client,
    selection: Selection,
    window: DateRange,
    format: OutputFormat,
    folder: &Path,
    patience: Duration,
) -> Result<Report, backstory_sync::Error> {
    let plan = ExportPlan::new(selection, window, true, &UseLimits::published(), SlotPolicy::default())?;
    let mut options = ExportOptions::new(folder, format, || NOW.parse().unwrap());
    options.wait = WaitPolicy::default().with_first_poll(Duration::from_millis(10));
    options.wait.longest_pause = Duration::from_millis(50);
    options.wait.deadline = Some(patience);
    export(client, &plan, &options, Arc::new(Silent)).await
}
