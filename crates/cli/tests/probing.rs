//! `backstory probe` as users run it, and the settings of a profile that it writes or that its findings call for.

mod program;

use program::{Service, backstory, run};
use serde_json::Value;

/// The activities jobs at the service.
fn jobs(service: &Service) -> Value {
    run(service.client().args(["jobs", "list", "--json"])).ended_with(0).json()
}

#[test]
fn a_dry_run_lists_the_requests_and_sends_none() {
    // Nobody listens there.
    let mut command = backstory();
    command.env("BACKSTORY_BASE_URL", "http://127.0.0.1:9").env("BACKSTORY_CLIENT_ID", "k");
    command.env("BACKSTORY_CLIENT_SECRET", program::SECRET).args(["probe", "--dry-run", "--json"]);
    let plan = run(&mut command).ended_with(0).json();
    assert_eq!((&plan["at_most_requests"], &plan["at_most_jobs"]), (&30.into(), &2.into()));
    let requests = plan["requests"].as_array().unwrap();
    let creations = requests.iter().filter(|request| request["creates_a_job"] == true);
    assert_eq!(creations.count(), 2);
    let said = run(backstory().args(["probe", "--dry-run"])).ended_with(2);
    assert!(said.stderr.contains("no API key"), "{}", said.stderr);
}

#[test]
fn a_probe_tells_what_it_saw_and_writes_what_follows_into_the_profile() {
    let service = Service::start(&["--speed", "100", "--job-time", "80s"]);
    let folder = tempfile::tempdir().unwrap();
    let (config, page) = (folder.path().join("backstory.toml"), folder.path().join("report.md"));
    std::fs::write(&config, "# mine\nprofile = \"eu\"\n\n[profiles.eu]\n").unwrap();
    let said = run(service
        .client()
        .args(["probe", "--json", "--write-profile", "--poll-interval", "200ms", "--config"])
        .arg(&config)
        .arg("--report")
        .arg(&page))
    .ended_with(0);
    let told = said.json();
    assert!(told["requests"].as_u64().unwrap() <= 30);
    assert_eq!((&told["end"], &told["jobs"]), (&"complete".into(), &2.into()));
    let finding = |row: &str| {
        let all = told["findings"].as_array().unwrap();
        all.iter().find(|finding| finding["row"] == row).unwrap().clone()
    };
    assert_eq!(finding("j.6")["observed"], "404");
    assert_eq!(finding("j.36")["observed"], "string");
    assert!(finding("j.29")["detail"].as_str().unwrap().contains("two keys of different types"));
    assert_eq!(jobs(&service).as_array().unwrap().len(), 1, "one job of activities");

    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("| j.36 |") && !page.contains("127.0.0.1") && !page.contains("`key`"), "{page}");

    // A job took 80 s of the service's time.
    let text = std::fs::read_to_string(&config).unwrap();
    assert!(text.starts_with("# mine\nprofile = \"eu\"\n\n[profiles.eu]\n# Seen by"), "{text}");
    assert!(text.contains("poll_interval = \"40s\"") || text.contains("poll_interval = \"41s\""), "{text}");
    run(backstory().args(["plan", "--from", "2026-05-01", "--to", "2026-05-02", "--config"]).arg(&config))
        .ended_with(0);
}

#[test]
fn without_a_token_nothing_is_asked_and_the_exit_code_says_so() {
    let service = Service::start(&[]);
    let said = run(service.client().env("BACKSTORY_CLIENT_SECRET", "wrong").arg("probe")).ended_with(3);
    said.error_says("no key gets a token");
}

#[test]
fn a_job_that_does_not_end_makes_a_partial_report() {
    let service = Service::start(&["--job-time", "1h"]);
    let said =
        run(service.client().args(["probe", "--deadline", "1s", "--poll-interval", "50ms"])).ended_with(5);
    assert!(said.stdout.contains("a job had not ended in time"), "{}", said.stdout);
}

#[test]
fn the_limits_of_the_profile_count_in_a_plan() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("backstory.toml");
    std::fs::write(&config, "[limits]\ncontacts_days = 14\n").unwrap();
    let plan = |profile: Option<&std::path::Path>| {
        let mut command = backstory();
        command.current_dir(folder.path());
        command.args(["plan", "contacts", "--from", "2026-05-01", "--to", "2026-05-31", "--json"]);
        if let Some(path) = profile {
            command.arg("--config").arg(path);
        }
        run(&mut command).ended_with(0).json()["jobs"].clone()
    };
    assert_eq!(plan(Some(&config)), 3);
    std::fs::remove_file(&config).unwrap();
    assert_eq!(plan(None), 1);
}
