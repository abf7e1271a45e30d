//! A sync of a simulated service into a lake: what the tests of it have in common.
#![allow(dead_code, unreachable_pub)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use backstory_api::{BaseUrl, Client, token_flow};
use backstory_auth::{Credentials, TokenCache};
use backstory_destination::{Destination, Digest};
use backstory_lake::Lake;
use backstory_limits::UseLimits;
use backstory_sim::{Builder, Sim};
use backstory_sync::{Silent, Stop, SyncOptions, SyncReport, SyncSettings, sync};
use backstory_tables::Resource;
use backstory_transport::{HttpService, NoPause, ReqwestService};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

pub const NOW: &str = "2026-06-01T09:30:00Z";

/// A small world whose clock stands, with jobs that end at once.
pub fn world() -> Builder {
    Sim::builder()
        .seed(3)
        .activities(600)
        .contacts(200)
        .now(NOW.parse().unwrap())
        .job_time(Duration::from_millis(5))
        .rate_limit(false)
}

/// A client as a process of its own would have one.
pub fn client(base_url: &str, key: &str) -> Client {
    let adapter: Arc<dyn HttpService> = Arc::new(ReqwestService::builder().no_proxy().build().unwrap());
    let base = BaseUrl::parse(base_url).unwrap();
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

/// Everything since the world began.
pub fn settings() -> SyncSettings {
    let mut settings = SyncSettings::new("2023-05-01".parse().unwrap());
    settings.slots.list_lag = SignedDuration::from_millis(300);
    settings
}

pub fn options(now: Timestamp) -> SyncOptions {
    let mut options = SyncOptions::new(move || now);
    options.wait = options.wait.with_first_poll(Duration::from_millis(10));
    options.wait.longest_pause = Duration::from_millis(50);
    options
}

/// A lake in a folder of its own, and the world that it is filled from.
pub struct Scene {
    pub sim: Sim,
    /// Removes what it holds at the end.
    _temporary: Option<tempfile::TempDir>,
    folder: PathBuf,
    pub settings: SyncSettings,
}

impl Scene {
    pub async fn new(world: Builder) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scene = Self::on(world, folder.path()).await;
        Self { _temporary: Some(folder), ..scene }
    }

    /// A scene whose lake is in a folder below this one.
    pub async fn on(world: Builder, folder: &Path) -> Self {
        let sim = world.start().await.unwrap();
        Self { sim, _temporary: None, folder: folder.join("lake"), settings: settings() }
    }

    pub fn folder(&self) -> PathBuf {
        self.folder.clone()
    }

    pub fn lake(&self) -> Lake {
        Lake::open_or_create(self.folder()).unwrap()
    }

    /// One run, by a process of its own.
    pub async fn sync(&self) -> Result<SyncReport, backstory_sync::Error> {
        let options = options(self.sim.clock().now());
        let client = client(self.sim.base_url(), "sim-key");
        let lake: Arc<dyn Destination> = Arc::new(self.lake());
        sync(&client, lake, &self.settings, &options, Arc::new(Silent), &Stop::new()).await
    }

    /// One run into a folder in which even the lake can't be opened, perhaps; an error is told in full.
    pub async fn try_sync(&self) -> Result<SyncReport, String> {
        if let Err(error) = Lake::open_or_create(self.folder()) {
            return Err(format!("{error:?}"));
        }
        self.sync().await.map_err(|error| format!("{error:?}"))
    }

    /// Runs until everything is there, as a person would.
    pub async fn sync_until_whole(&self) -> SyncReport {
        let mut last = None;
        for _ in 0..15 {
            match self.sync().await {
                Ok(report) if report.failures.is_empty() => return report,
                other => last = Some(other),
            }
        }
        panic!("not whole after 15 runs: {last:?}");
    }

    pub async fn digest(&self, resource: Resource, through: Option<Date>) -> Digest {
        let lake = self.lake();
        tokio::task::spawn_blocking(move || lake.digest(resource, through).unwrap()).await.unwrap()
    }

    /// What the simulator says about its activities.
    pub async fn truth(&self, through: Option<Date>) -> Digest {
        let (truth, now) = (self.sim.truth(), self.sim.clock().now());
        let content = tokio::task::spawn_blocking(move || truth.activities(now, through)).await.unwrap();
        Digest { count: content.count, content_hash: content.content_hash }
    }

    /// What the simulator says about its contacts.
    pub async fn contacts_truth(&self) -> Digest {
        let (truth, now) = (self.sim.truth(), self.sim.clock().now());
        let content = tokio::task::spawn_blocking(move || truth.contacts(now, None)).await.unwrap();
        Digest { count: content.count, content_hash: content.content_hash }
    }
}

const URL: &str = "SYNC_TEST_URL";
const FOLDER: &str = "SYNC_TEST_FOLDER";
const KEY: &str = "SYNC_TEST_KEY";
const CLOCK: &str = "SYNC_TEST_NOW";

/// What a process that was started by [`spawn`] does: one sync. Its test is called `a_sync_of_its_own`, and ignored.
pub fn sync_of_its_own() {
    sync_of_its_own_with(&settings());
}

/// The same with other settings.
pub fn sync_of_its_own_with(settings: &SyncSettings) {
    let Ok(url) = std::env::var(URL) else { return };
    let (folder, key) = (std::env::var(FOLDER).unwrap(), std::env::var(KEY).unwrap());
    let now = std::env::var(CLOCK).unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let report = runtime.block_on(async {
        let lake: Arc<dyn Destination> = Arc::new(Lake::open_or_create(folder).unwrap());
        let client = client(&url, &key);
        sync(&client, lake, settings, &options(now), Arc::new(Silent), &Stop::new()).await.unwrap()
    });
    assert!(report.failures.is_empty(), "{report:?}");
}

/// Starts a process with one sync, which may be killed at a named step.
pub fn spawn(sim: &Sim, folder: &Path, key: &str, fail_at: Option<&str>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "a_sync_of_its_own", "--ignored", "--test-threads", "1"])
        .env(URL, sim.base_url())
        .env(FOLDER, folder)
        .env(KEY, key)
        .env(CLOCK, sim.clock().now().to_string())
        .env_remove("BACKSTORY_FAIL_AT")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some(step) = fail_at {
        command.env("BACKSTORY_FAIL_AT", step);
    }
    command.spawn().unwrap()
}

/// Waits for a process on a thread that may.
pub async fn ended(mut child: Child) -> ExitStatus {
    tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap()
}

/// Copies a folder with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Every file below a folder whose name ends so, with its size.
pub fn files(folder: &Path, ending: &str) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_str().unwrap().ends_with(ending) {
                found.insert(path.clone(), path.metadata().unwrap().len());
            }
        }
    }
    found
}
