//! No token, key or secret in any error, debug print or log: all failing paths are walked, and all that they say is searched.

mod service;

use std::error::Error as StdError;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backstory_api::{BaseUrl, Client, WaitPolicy};
use backstory_auth::{Credentials, FixedToken};
use backstory_transport::{NoPause, Scripted, ScriptedService};
use futures_util::StreamExt as _;
use service::{job, json, range, refusal};
use tracing_subscriber::fmt::MakeWriter;

const SECRET: &str = "s3cr3t-hunter2";
const TOKEN: &str = "t0ken-hunter2";
/// Any of these gives one of them away.
const TRACES: [&str; 3] = ["s3cr3t", "hunter2", "t0ken"];

/// All that was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Log {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

/// Everything that a failure says, in all its forms and with all its causes.
#[derive(Default)]
struct Said(Vec<String>);

impl Said {
    fn by<T>(&mut self, outcome: Result<T, backstory_api::Error>) {
        let Err(error) = outcome else { return };
        self.0.push(format!("{} {:?}", error.operation(), error.hint()));
        let mut link: Option<&(dyn StdError + 'static)> = Some(&error);
        while let Some(error) = link {
            self.0.push(format!("{error}\n{error:?}\n{error:#?}"));
            link = error.source();
        }
    }
}

/// Walks every operation over a service that answers so.
async fn walk(
    said: &mut Said,
    answer: impl Fn(&backstory_transport::Request, usize) -> Scripted + Send + 'static,
) {
    let service = ScriptedService::answering(answer);
    let base = BaseUrl::parse("http://service.example").unwrap();
    let with_token =
        Client::builder(base.clone()).adapter(service.clone()).tokens(FixedToken::new(TOKEN).unwrap());
    let with_key =
        Client::builder(base).adapter(service).credentials(Credentials::new("key", SECRET)).unwrap();
    for builder in [with_token, with_key] {
        said.0.push(format!("{builder:?}"));
        let client = builder.backoff(NoPause).build().unwrap();
        let (activities, contacts) = (client.activities(), client.contacts());
        said.0.push(format!("{client:?} {activities:?} {contacts:?} {:?}", activities.export(range())));
        let patience = WaitPolicy::default().with_deadline(Some(Duration::from_secs(30)));
        said.by(activities.export(range()).start_with(&patience).await);
        said.by(contacts.export(range()).start_with(&patience).await);
        said.by(activities.list().await);
        let job = activities.job("5");
        said.by(job.poll().await);
        said.by(job.wait_with(&patience, |_| {}).await);
        said.by(job.result().to_writer(Vec::new()).await);
        said.by(job.result().fragments().await);
        let mut records = job.result().records().unwrap();
        while let Some(row) = records.next().await {
            said.by(row);
        }
        let mut records = contacts.job("5").result().records().unwrap();
        while let Some(row) = records.next().await {
            said.by(row);
        }
        let mut states = job.clone().into_stream(patience);
        while let Some(state) = states.next().await {
            said.by(state);
        }
        said.0.push(format!("{job:?} {:?} {records:?} {states:?}", job.result()));
    }
}

/// Replies that echo what the request holds: its `Authorization` header, or the form with the key pair.
fn echoes(request: &backstory_transport::Request, status: u16) -> Vec<Scripted> {
    let sent = request.headers().get("authorization").map(|header| header.to_str().unwrap().to_owned());
    let sent = sent.unwrap_or_else(|| String::from_utf8(request.body().to_vec()).unwrap());
    let escaped: String = sent.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    let encoded: String = sent.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let entities: String = sent.chars().map(|letter| format!("&#{};", u32::from(letter))).collect();
    let page = format!("<html>You sent: Authorization: {sent}</html>");
    vec![
        json(status, &page),
        json(status, &format!("Authorization: {sent}")),
        refusal(status, "X", &format!("no {sent}")),
        json(status, &format!(r#"{{"error":"{sent}","id":"{sent}","error_description":"{sent}"}}"#)),
        refusal(status, "X", &format!("no {escaped}, no {encoded}, no {entities}")),
        json(status, &format!("<html>{escaped} {encoded} {entities}</html>")),
        json(status, "no").header("x-request-id", &sent).header("retry-after", &sent),
        // The end of what is read, or of what comes, cuts the secret in two.
        json(status, &format!("{}{sent}", "x".repeat((16 << 10) - sent.len() + 5))),
        json(status, &page).cut_at(page.len() - "hunter2</html>".len()),
    ]
}

#[tokio::test(start_paused = true)]
async fn no_failing_path_says_a_secret() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone());
    tracing::subscriber::set_global_default(subscriber.finish()).unwrap();
    let mut said = Said::default();

    for status in [302, 400, 401, 403, 404, 409, 410, 422, 429, 500, 503] {
        walk(&mut said, move |_, _| refusal(status, "X", "no")).await;
    }
    walk(&mut said, |_, _| Scripted::fail_before_send()).await;
    walk(&mut said, |_, _| Scripted::fail_after_send()).await;
    for body in ["", "<html>", "[]", "{}", r#"{"job_id":"6"}"#] {
        walk(&mut said, move |_, _| json(200, body)).await;
    }
    // A token that is had, and calls that fail all the same.
    for state in ["Failed", "Canceled", "Running", "Completed"] {
        walk(&mut said, move |request, _| match request.uri().path() {
            "/auth/v1/tokens" => json(200, &format!(r#"{{"access_token":"{TOKEN}","expires_in":7200}}"#)),
            path if path.ends_with("/data") => Scripted::ok("{\n").cut_at(1),
            _ if request.method() == "POST" => {
                json(200, &job("5", "Queued").replace("2026-01-31", "2026-01-30"))
            }
            _ => json(200, &job("5", state)),
        })
        .await;
    }
    // Servers and gateways that echo what they were sent, before there is a token and with one. What comes as a result's rows
    // is nobody's error text.
    for echo in 0..9 {
        for (status, has_token) in [200, 401, 403, 503].into_iter().flat_map(|s| [(s, false), (s, true)]) {
            walk(&mut said, move |request, _| match request.uri().path() {
                "/auth/v1/tokens" if has_token => {
                    json(200, &format!(r#"{{"access_token":"{TOKEN}","expires_in":7200}}"#))
                }
                path if path.ends_with("/data") && status == 200 => Scripted::ok("{\n").cut_at(1),
                _ => echoes(request, status).swap_remove(echo),
            })
            .await;
        }
    }
    for text in ["http://me:hunter2@service.example", "https://s3cr3t@x.example/?a=hunter2"] {
        said.by(BaseUrl::parse(text));
    }

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for told in
        ["the reply to a job creation was lost", "a poll failed", "the job queue is full", "got a token"]
    {
        assert!(log.contains(told), "the log is the one looked for: {told}");
    }
    said.0.push(log);
    for text in &said.0 {
        for trace in TRACES {
            let line = text.lines().find(|line| line.contains(trace));
            assert!(line.is_none(), "a secret was said: {line:?}");
        }
    }
    assert!(said.0.len() > 300, "{}", said.0.len());
}
