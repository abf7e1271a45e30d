//! What a test learns of jobs from behind the counter, and what it can do to them: other clients, waiting, adoption, an
//! administrator's hand.

mod support;

use std::time::Duration;

use backstory_sim::{ErrorKind, Faults, JobEnd, Key, KeyType, Resource};
use jiff::SignedDuration;
use support::{Client, small};

const JOBS: &str = "/pull/v1/export/activities/jobs";
const BODY: &str = r#"{"start_date":"2026-06-01","end_date":"2026-06-07","export_type":"delta"}"#;

#[tokio::test]
async fn each_job_tells_who_made_it_and_how_long_it_waited_and_ran() {
    let sim = small().job_time(Duration::from_secs(60)).speed(1.0).start().await.unwrap();
    let client = Client::new(&sim).await;
    for _ in 0..3 {
        client.post(JOBS, BODY).await;
    }
    sim.clock().advance(SignedDuration::from_secs(90));
    let jobs = sim.jobs().list();
    let states: Vec<&str> = jobs.iter().map(|job| job.state).collect();
    assert_eq!(states, ["Completed", "Completed", "Running"]);
    assert_eq!((jobs[0].waited, jobs[0].ran), (Duration::ZERO, Duration::from_secs(60)));
    assert_eq!(jobs[2].started, jobs[0].ended, "it waited for the first to end");
    assert!(jobs[2].waited > Duration::ZERO && jobs[2].ran > Duration::ZERO && jobs[2].ended.is_none());
    assert_eq!(jobs[2].created_by, "sim-key");
    assert_eq!((jobs[2].export_type, jobs[2].activity_type), (Some("delta"), Some("all")));
    assert_eq!(jobs[2].end_date.to_string(), "2026-06-07");
    let told = client.get("/_sim/jobs").await.json();
    assert_eq!(told[0]["state"], "Completed");
    assert_eq!(told[0]["ran"], 60.0);
    assert_eq!(sim.jobs().get(jobs[1].id), Some(sim.jobs().list()[1].clone()));
    assert_eq!(sim.jobs().get(1), None);
}

#[tokio::test]
async fn a_job_whose_creation_was_lost_is_adopted_once_somebody_asks_for_it() {
    let lost = "[[rule]]\nroute = \"create\"\nnth = 1\neffect = \"reset-after\"";
    let sim = small().faults(Faults::from_toml(lost).unwrap()).start().await.unwrap();
    let client = Client::new(&sim).await;
    assert_eq!(client.try_send("POST", JOBS, &[], BODY).await, None);
    let job = sim.jobs().list()[0].clone();
    assert!(job.reply_lost && !job.is_adopted());
    let id = client.get(JOBS).await.json()[0]["job_id"].as_str().unwrap().to_owned();
    client.get(&format!("{JOBS}/{id}")).await;
    client.get(&format!("{JOBS}/{id}/data")).await;
    let job = sim.jobs().list()[0].clone();
    assert!(job.is_adopted());
    let used = job.used_by["sim-key"];
    assert_eq!((used.status_calls, used.downloads_started, used.downloads_finished), (1, 1, 1));
    // One's own job is not adopted by using it; another's is.
    let own = client.create("delta", "2026-06-01", "2026-06-07").await;
    client.get(&format!("{JOBS}/{own}")).await;
    assert!(!sim.jobs().list()[1].is_adopted());
    let stranger = Client { sim: &sim, bearer: Some(client.token("/auth/v1/tokens", "sim-activity").await) };
    stranger.get(&format!("{JOBS}/{own}")).await;
    assert!(sim.jobs().list()[1].is_adopted());
}

#[tokio::test]
async fn an_error_after_the_job_was_made_counts_as_a_lost_reply() {
    let text = "[[rule]]\neffect = \"status\"\nroute = \"create\"\nstatus = 504\nacted = true";
    let sim = small().faults(Faults::from_toml(text).unwrap()).start().await.unwrap();
    assert_eq!(Client::new(&sim).await.post(JOBS, BODY).await.status, 504);
    assert!(sim.jobs().list()[0].reply_lost);
    assert_eq!(sim.fault_log()[0].job, Some(1));
}

#[tokio::test]
async fn other_programs_take_places_and_each_key_has_its_own_peaks() {
    let sim = small().job_time(Duration::from_secs(3_600)).start().await.unwrap();
    let client = Client::new(&sim).await;
    for _ in 0..5 {
        sim.jobs().create("warehouse", Resource::Activities, BODY).unwrap();
    }
    let contacts =
        r#"{"create":"contacts","key":"crm","body":{"start_date":"2026-06-01","end_date":"2026-06-02"}}"#;
    assert_eq!(client.post("/_sim/jobs", contacts).await.status, 200);
    for _ in 0..6 {
        client.post(JOBS, BODY).await;
    }
    assert_eq!(client.post(JOBS, BODY).await.status, 429);
    assert_eq!(client.get(JOBS).await.json().as_array().unwrap().len(), 11, "others' jobs are listed too");
    let report = sim.report();
    let of = |key: &str| {
        let key = &report.keys[key];
        (key.jobs_created, key.most_running, key.most_queued, key.most_outstanding)
    };
    assert_eq!(of("warehouse"), (5, 2, 3, 5));
    assert_eq!(of("crm"), (1, 0, 1, 1));
    assert_eq!(of("sim-key"), (6, 0, 6, 6));
    assert_eq!(report.keys["sim-key"].refusals["queue full"], 1);
    assert!(!report.keys.contains_key("sim-activity"));
    let full = sim.jobs().create("warehouse", Resource::Activities, BODY).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::Refused);
    assert!(full.to_string().contains("queue is full"), "{full}");
    let wrong = sim.jobs().create("warehouse", Resource::Activities, "{}").unwrap_err();
    assert!(wrong.to_string().contains("startDate"), "{wrong}");
}

#[tokio::test]
async fn a_job_is_ended_by_hand_and_its_place_goes_to_the_next() {
    let sim = small().job_time(Duration::from_secs(3_600)).start().await.unwrap();
    let client = Client::new(&sim).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(client.create("delta", "2026-06-01", "2026-06-07").await);
    }
    let number = |id: &String| id.parse::<u64>().unwrap();
    assert!(sim.jobs().end(number(&ids[0]), JobEnd::Canceled));
    assert!(!sim.jobs().end(number(&ids[0]), JobEnd::Completed), "it has ended");
    assert!(!sim.jobs().end(7, JobEnd::Failed), "there is none");
    // One that waits may be ended as well.
    assert!(sim.jobs().end(number(&ids[4]), JobEnd::Completed));
    let end = format!(r#"{{"end":"{}","state":"Failed"}}"#, ids[1]);
    assert_eq!(client.post("/_sim/jobs", &end).await.status, 200);
    assert_eq!(client.post("/_sim/jobs", &end).await.status, 400);
    let states: Vec<&str> = sim.jobs().list().iter().map(|job| job.state).collect();
    assert_eq!(states, ["Canceled", "Failed", "Running", "Running", "Completed"]);
    assert_eq!(client.get(&format!("{JOBS}/{}/data", ids[0])).await.status, 404);
    assert!(!client.get(&format!("{JOBS}/{}/data", ids[4])).await.body.is_empty());
    assert_eq!(sim.report().most_running, 2);
}

#[tokio::test]
async fn the_time_of_new_jobs_is_set_while_it_runs() {
    let sim = small().start().await.unwrap();
    let client = Client::new(&sim).await;
    assert_eq!(client.post("/_sim/jobs", r#"{"job_time":"2h"}"#).await.status, 200);
    let id = client.create("delta", "2026-06-01", "2026-06-07").await;
    assert_eq!(client.get(&format!("{JOBS}/{id}")).await.json()["state"], "Running");
    sim.jobs().set_job_time(Some(Duration::ZERO));
    let id = client.create("delta", "2026-06-01", "2026-06-07").await;
    assert_eq!(client.get(&format!("{JOBS}/{id}")).await.json()["state"], "Completed");
    for wrong in [r#"{"job_time":"-1s"}"#, r#"{"job_time":5}"#, r#"{"stop":1}"#, "[]"] {
        assert_eq!(client.post("/_sim/jobs", wrong).await.status, 400, "{wrong}");
    }
    assert_eq!(client.post("/_sim/jobs", r#"{"job_time":null}"#).await.status, 200);
}

#[tokio::test]
async fn a_refused_request_is_counted_for_the_key_that_sent_it() {
    let key = |id: &str| Key::new(KeyType::Any, id, "sim-secret");
    let sim = small().rate_limit(true).key(key("fast")).key(key("slow")).start().await.unwrap();
    let anybody = Client { sim: &sim, bearer: None };
    let mut fast = Client { sim: &sim, bearer: Some(anybody.token("/auth/v1/tokens", "fast").await) };
    for _ in 0..20 {
        fast.get(JOBS).await;
    }
    fast.bearer = Some("not-ours".to_owned());
    fast.get(JOBS).await;
    let report = sim.report();
    let known = report.keys["fast"].rate_limited;
    assert!(known > 5 && known < report.rate_limited + 1);
    assert_eq!(report.keys["fast"].requests + known, 20);
}
