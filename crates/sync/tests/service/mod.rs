//! A service in memory: jobs that complete at once, results of a few lines, and whatever a test wants to go wrong.
#![allow(dead_code, unreachable_pub)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backstory_api::{ActivityType, BaseUrl, Client, WaitPolicy};
use backstory_auth::FixedToken;
use backstory_limits::{DateRange, ExportKind, SlotPolicy, UseLimits};
use backstory_sync::{ContactFilter, ExportOptions, ExportPlan, OutputFormat, Selection};
use backstory_transport::{NoPause, Request, Scripted, ScriptedService};

/// Changes one reply: the request, and the reply that it would get.
pub type Twist = Box<dyn FnMut(&Request, Scripted) -> Scripted + Send>;

#[derive(Default)]
pub struct Service {
    jobs: Mutex<BTreeMap<u64, String>>,
    twist: Mutex<Option<Twist>>,
}

impl Service {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub fn twist(self: &Arc<Self>, twist: impl FnMut(&Request, Scripted) -> Scripted + Send + 'static) {
        *self.twist.lock().unwrap() = Some(Box::new(twist));
    }

    pub fn scripted(self: &Arc<Self>) -> ScriptedService {
        let service = Arc::clone(self);
        ScriptedService::answering(move |request, _| {
            let reply = service.answer(request).header("date", "Fri, 06 Mar 2026 12:00:00 GMT");
            match &mut *service.twist.lock().unwrap() {
                Some(twist) => twist(request, reply),
                None => reply,
            }
        })
    }

    fn answer(&self, request: &Request) -> Scripted {
        let path = request.uri().path();
        let mut jobs = self.jobs.lock().unwrap();
        if request.method() == "POST" {
            let id = 100 + jobs.len() as u64;
            let asked = String::from_utf8(request.body().to_vec()).unwrap();
            let job =
                format!(r#"{{"job_id":"{id}","job_created_time":"2026-03-06T12:00:00Z",{}"#, &asked[1..]);
            jobs.insert(id, job.clone());
            return Scripted::ok(job);
        }
        if path.ends_with("/jobs") {
            let ended = |job: &String| job.replacen('{', r#"{"state":"Completed","#, 1);
            return Scripted::ok(format!("[{}]", jobs.values().map(ended).collect::<Vec<_>>().join(",")));
        }
        let id = path.split('/').nth(6).unwrap().parse().unwrap();
        let Some(job) = jobs.get(&id) else {
            return Scripted::reply(404, r#"{"error":"NotFoundException","message":"HTTP 404 Not Found"}"#);
        };
        if !path.ends_with("/data") {
            return Scripted::ok(job.replacen('{', r#"{"state":"Completed","fragments":1,"#, 1));
        }
        if path.contains("/contacts/") {
            let json = r#"[{"email":"a@x.example","total_meetings":1},{"email":"b@x.example"}]"#;
            let csv = "email,total_meetings\na@x.example,1\nb@x.example,\n";
            return Scripted::ok(if job.contains(r#""output_format":"JSON""#) { json } else { csv });
        }
        Scripted::ok(lines(id)).in_chunks(50)
    }
}

/// Three activities with five participants and a campaign.
pub fn lines(id: u64) -> String {
    format!(
        "{{\"uid\":\"{id}-a\",\"type\":\"email\",\"timestamp\":\"2026-01-05T10:00:00\",\"participants\":[{{\"name\":\"X\"}},{{\"name\":\"Y\"}}],\"campaigns\":[{{\"name\":\"C\"}}]}}\n\
         {{\"uid\":\"{id}-b\",\"type\":\"meeting\",\"timestamp\":\"2026-01-06T10:00:00Z\",\"participants\":[{{\"name\":\"X\"}},{{\"phone\":\"+1\"}},{{}}]}}\n\
         {{\"uid\":\"{id}-c\",\"type\":\"call\",\"timestamp\":\"2026-02-01T00:00:00\"}}\n"
    )
}

pub fn client(service: &ScriptedService) -> Client {
    let mut limits = UseLimits::published();
    // Nothing here needs to be spared.
    (limits.requests_per_second, limits.concurrent_requests) = (10_000, 100);
    Client::builder(BaseUrl::parse("http://service.example").unwrap())
        .adapter(service.clone())
        .tokens(FixedToken::new("t").unwrap())
        .backoff(NoPause)
        .limits(limits)
        .build()
        .unwrap()
}

pub fn activities() -> Selection {
    Selection::Activities { kind: ExportKind::Snapshot, activity_type: ActivityType::All }
}

pub fn contacts() -> Selection {
    Selection::Contacts(ContactFilter::default())
}

pub fn plan(selection: Selection, range: &str) -> ExportPlan {
    let range: DateRange = range.parse().unwrap();
    ExportPlan::new(selection, range, true, &UseLimits::published(), SlotPolicy::default()).unwrap()
}

pub fn options(folder: &std::path::Path, format: OutputFormat) -> ExportOptions {
    let mut options = ExportOptions::new(folder, format, || "2026-03-06T12:00:00Z".parse().unwrap());
    options.wait = WaitPolicy::default().with_first_poll(Duration::from_millis(10));
    options
}

/// Every file below a folder but the lock, with its content.
pub fn files(folder: &std::path::Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with(".backstory.lock") {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    found
}
