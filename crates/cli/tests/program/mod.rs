//! The binary as users run it, against its own simulator in another process.
#![allow(dead_code, unreachable_pub)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// The secret of the tests' keys: no output may ever hold it.
pub const SECRET: &str = "hunter2-is-not-a-password";

/// The binary, in an environment that has nothing of ours from outside.
pub fn backstory() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backstory"));
    let ours = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BACKSTORY_"));
    for (name, _) in ours {
        command.env_remove(name);
    }
    for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(proxy);
    }
    command.env("HOME", "/nonexistent").env_remove("XDG_CONFIG_HOME").stdin(Stdio::null());
    command
}

/// A simulator in a process of its own, which ends with the test.
pub struct Service {
    process: Child,
    pub url: String,
}

impl Service {
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = backstory();
        command
            .args(["sim", "--port", "0", "--quiet", "--rate-limit", "off", "--now", "2026-06-18T12:00:00Z"])
            .args(["--activities", "3000", "--contacts", "900"])
            .arg("--key")
            .arg(format!("any:key:{SECRET}"))
            .arg("--key")
            .arg(format!("insight:insight-key:{SECRET}"));
        if !arguments.contains(&"--job-time") {
            command.args(["--job-time", "20ms"]);
        }
        let mut process = command.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut url).unwrap();
        // Without one, the binary would turn to the live service.
        let serves = ["http://127.0.0.1:", "https://127.0.0.1:"].iter().any(|start| url.starts_with(start));
        assert!(serves, "the simulator has not started");
        Self { process, url: url.trim().to_owned() }
    }

    /// The binary, pointed at this service with a key that opens everything.
    pub fn client(&self) -> Command {
        let mut command = backstory();
        command
            .env("BACKSTORY_BASE_URL", &self.url)
            .env("BACKSTORY_CLIENT_ID", "key")
            .env("BACKSTORY_CLIENT_SECRET", SECRET)
            .env("BACKSTORY_POLL_INTERVAL", "10ms");
        command
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a run said, and how it ended.
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command to its end; whatever it says, it never says the secret.
pub fn run(command: &mut Command) -> Said {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let said = Said {
        code: status.code().unwrap_or(-1),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    };
    assert!(!said.stdout.contains(SECRET) && !said.stderr.contains(SECRET), "the secret was told");
    said
}

impl Said {
    #[track_caller]
    pub fn ended_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub fn error_says(self, words: &str) -> Self {
        assert!(self.stderr.contains(words), "`{words}` is not in: {}", self.stderr);
        self
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap()
    }
}

/// The names of all files below a folder but the lock.
pub fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with(".backstory.lock") {
                found.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}
