//! A client that is as plain as can be: one connection for each request, everything visible.

// Each test file uses a part of it.
#![allow(dead_code)]

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use backstory_sim::{Builder, Sim, Switch};

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
    /// Whether the body broke off.
    pub(crate) cut: bool,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        assert!(!self.body.contains(&b'\n'), "every JSON reply stands on one line");
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A client of one simulator.
pub(crate) struct Client<'a> {
    pub(crate) sim: &'a Sim,
    pub(crate) bearer: Option<String>,
}

impl<'a> Client<'a> {
    /// With a token of the key that opens everything.
    pub(crate) async fn new(sim: &'a Sim) -> Self {
        let mut client = Self { sim, bearer: None };
        client.bearer = Some(client.token("/auth/v1/tokens", "sim-key").await);
        client
    }

    pub(crate) async fn token(&self, path: &str, id: &str) -> String {
        let body = format!("grant_type=client_credentials&client_id={id}&client_secret=sim-secret");
        let reply = self.send("POST", path, &[], &body).await;
        assert_eq!(reply.status, 200);
        reply.json()["access_token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        self.try_send(method, path, headers, body).await.expect("a reply")
    }

    /// `None`: the connection ended before the head of a reply.
    pub(crate) async fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Option<Reply> {
        let address = self.sim.base_url().strip_prefix("http://").unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut request = http::Request::builder().method(method).uri(path).header("host", address);
        if let Some(bearer) = &self.bearer {
            request = request.header("authorization", format!("Bearer {bearer}"));
        }
        let typed =
            if path.contains("/tokens") { "application/x-www-form-urlencoded" } else { "application/json" };
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", typed);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap();
        let reply = sender.send_request(request).await.ok()?;
        let (head, mut incoming) = reply.into_parts();
        let (mut received, mut cut) = (Vec::new(), false);
        while let Some(frame) = incoming.frame().await {
            match frame {
                Ok(frame) => received.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Err(_) => {
                    cut = true;
                    break;
                }
            }
        }
        connection.abort();
        Some(Reply { status: head.status.as_u16(), headers: head.headers, body: received.into(), cut })
    }

    /// Everything that comes over a connection of its own, head and body, until it ends, in whichever way.
    pub(crate) async fn raw(&self, method: &str, path: &str, body: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(&self.sim.base_url()["http://".len()..]).await.unwrap();
        let bearer = self.bearer.as_deref().unwrap_or("none");
        let kind =
            if path.contains("/tokens") { "application/x-www-form-urlencoded" } else { "application/json" };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: sim\r\nauthorization: Bearer {bearer}\r\ncontent-type: {kind}\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        let mut received = Vec::new();
        // A reset may come while it is being sent; what came before counts all the same.
        if stream.write_all(request.as_bytes()).await.is_ok() {
            let _ = stream.read_to_end(&mut received).await;
        }
        received
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Reply {
        self.send("POST", path, &[], body).await
    }

    /// Creates a job of activities and answers its id.
    pub(crate) async fn create(&self, kind: &str, from: &str, to: &str) -> String {
        let body = format!(r#"{{"start_date":"{from}","end_date":"{to}","export_type":"{kind}"}}"#);
        let reply = self.post("/pull/v1/export/activities/jobs", &body).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()["job_id"].as_str().unwrap().to_owned()
    }

    /// Creates a job that takes no time, and downloads its whole file.
    pub(crate) async fn export(&self, kind: &str, from: &str, to: &str) -> Reply {
        let id = self.create(kind, from, to).await;
        self.get(&format!("/pull/v1/export/activities/jobs/{id}/data")).await
    }

    /// Creates a job of contacts with a further part of the body, and downloads its whole file.
    pub(crate) async fn export_contacts(&self, from: &str, to: &str, more: &str) -> Reply {
        let body = format!(
            r#"{{"start_date":"{from}","end_date":"{to}","include_historical":true,"include_existing":true{more}}}"#
        );
        let reply = self.post("/pull/v1/export/contacts/jobs", &body).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let id = reply.json()["job_id"].as_str().unwrap().to_owned();
        self.get(&format!("/pull/v1/export/contacts/jobs/{id}/data")).await
    }
}

/// A small world on 18 June 2026 with a standing clock, instant jobs and no rate limit.
pub(crate) fn small() -> Builder {
    Sim::builder()
        .seed(7)
        .activities(3_000)
        .contacts(400)
        .now("2026-06-18T12:00:00Z".parse().unwrap())
        .job_time(std::time::Duration::ZERO)
        .rate_limit(false)
}

/// The small world with some switches set.
pub(crate) async fn switched(switches: &[&str]) -> Sim {
    let set = |builder: Builder, text: &&str| builder.switch(Switch::parse(text).unwrap());
    switches.iter().fold(small(), set).start().await.unwrap()
}
