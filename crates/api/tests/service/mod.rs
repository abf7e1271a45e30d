//! A client over scripted replies, and the replies that a service would give.
#![allow(dead_code, unreachable_pub)]

use backstory_api::{BaseUrl, Client, ClientBuilder};
use backstory_auth::FixedToken;
use backstory_transport::{NoPause, Scripted, ScriptedService};

/// The server's time in every scripted reply.
pub const SERVER_TIME: &str = "Fri, 06 Mar 2026 12:00:00 GMT";

pub fn client(service: &ScriptedService) -> Client {
    builder(service).build().unwrap()
}

pub fn builder(service: &ScriptedService) -> ClientBuilder {
    Client::builder(BaseUrl::parse("http://service.example").unwrap())
        .adapter(service.clone())
        .tokens(FixedToken::new("token-value").unwrap())
        .backoff(NoPause)
}

pub fn json(status: u16, body: &str) -> Scripted {
    Scripted::reply(status, body.to_owned()).header("date", SERVER_TIME)
}

/// A job as the list and the status call describe it.
pub fn job(id: &str, state: &str) -> String {
    format!(
        r#"{{"job_id":"{id}","state":"{state}","export_type":"Snapshot","activity_type":"ALL","output_format":"JSONLines","start_date":"2026-01-01","end_date":"2026-01-31","job_created_time":"2026-03-06T12:00:00Z"}}"#
    )
}

pub fn range() -> backstory_limits::DateRange {
    "2026-01-01..2026-01-31".parse().unwrap()
}

pub fn refusal(status: u16, error: &str, message: &str) -> Scripted {
    json(status, &format!(r#"{{"error":"{error}","message":"{message}"}}"#))
}

/// The methods and paths that were asked for.
pub fn asked(service: &ScriptedService) -> Vec<String> {
    let of = |request: &backstory_transport::Request| {
        format!("{} {}", request.method(), request.uri().path_and_query().unwrap())
    };
    service.requests().iter().map(of).collect()
}
