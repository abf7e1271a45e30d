//! The simulator in a process of its own, as the binary serves it, and a client that is pointed at it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// Where its clock stands at first.
pub(crate) const NOW: &str = "2026-06-18T12:00:00Z";

/// A simulator that serves until it is dropped.
pub(crate) struct Simulator {
    pub(crate) process: Child,
    url: String,
}

impl Simulator {
    /// Starts the binary's simulator, without a rate limit and with a clock that stands.
    pub(crate) fn start(binary: &Path, arguments: &[&str]) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("can't start the simulator: {error}");
        let mut process = Command::new(binary)
            .args(["sim", "--port", "0", "--quiet", "--rate-limit", "off", "--now", NOW])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let mut url = String::new();
        if let Some(stdout) = process.stdout.as_mut() {
            BufReader::new(stdout).read_line(&mut url).map_err(failed)?;
        }
        let url = url.trim().to_owned();
        let simulator = Self { process, url };
        // Without one, the binary would turn to the live service.
        if simulator.url.starts_with("http://127.0.0.1:") {
            Ok(simulator)
        } else {
            Err("the simulator has not started".to_owned())
        }
    }

    /// The binary, pointed at this simulator, with its clock standing at `now`.
    pub(crate) fn client(&self, binary: &Path, now: &str) -> Command {
        let mut command = Command::new(binary);
        command
            .env("BACKSTORY_BASE_URL", &self.url)
            .env("BACKSTORY_CLIENT_ID", "sim-key")
            .env("BACKSTORY_CLIENT_SECRET", "sim-secret")
            .env("BACKSTORY_POLL_INTERVAL", "20ms")
            .env("BACKSTORY_NOW", now);
        command
    }

    /// The same without a limit on its requests, whose configuration is written into a folder.
    pub(crate) fn hasty_client(&self, binary: &Path, now: &str, folder: &Path) -> Result<Command, String> {
        let path = folder.join("backstory.toml");
        std::fs::write(&path, "[limits]\nrequests_per_second = 1000\n")
            .map_err(|error| format!("can't write {}: {error}", path.display()))?;
        let mut command = self.client(binary, now);
        command.arg("--config").arg(path);
        Ok(command)
    }

    /// What one of the simulator's own paths answers.
    pub(crate) fn get(&self, path: &str) -> Result<Value, String> {
        self.ask(&format!("GET {path} HTTP/1.0\r\nHost: sim\r\n\r\n"))
    }

    /// Moves the clock.
    pub(crate) fn set_clock(&self, now: &str) -> Result<(), String> {
        let body = format!("{{\"now\":\"{now}\"}}");
        let length = body.len();
        self.ask(&format!("POST /_sim/clock HTTP/1.0\r\nHost: sim\r\nContent-Length: {length}\r\n\r\n{body}"))
            .map(drop)
    }

    fn ask(&self, request: &str) -> Result<Value, String> {
        let failed = |error: &dyn std::fmt::Display| format!("the simulator doesn't answer: {error}");
        let address = self.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).map_err(|error| failed(&error))?;
        stream.write_all(request.as_bytes()).map_err(|error| failed(&error))?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).map_err(|error| failed(&error))?;
        let body = reply.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        serde_json::from_str(body).map_err(|error| failed(&error))
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
