//! The programs on the page about the simulator work as they stand there: curl, Python and Java get a first export. One
//! whose language is not installed is left out, and says so.

mod support;

use std::path::Path;
use std::process::{Command, Output};

use backstory_sim::{Resource, Sim, WindowKind};
use support::small;

/// The block of code on the page that is marked as `language` and holds `part`.
fn block(language: &str, part: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/simulator.md");
    let page = std::fs::read_to_string(page).expect("the page beside the crates");
    let fence = format!("```{language}\n");
    let mut blocks = page.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap_or(""));
    blocks.find(|block| block.contains(part)).expect("the page has such a block").to_owned()
}

/// Runs a program from the page, pointed at `sim`; `None` when there is no such interpreter.
async fn run(sim: &Sim, interpreter: &str, arguments: &[&str], file: &str, text: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let text = text.replace("http://127.0.0.1:8787", sim.base_url());
    std::fs::write(folder.path().join(file), text).unwrap();
    let mut command = Command::new(interpreter);
    command.args(arguments).arg(file).current_dir(folder.path());
    for proxy in ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"] {
        command.env_remove(proxy);
    }
    let ran = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    let Ok(Output { status, stdout, stderr }) = ran else {
        eprintln!("{interpreter} is not installed: its example is left out");
        return None;
    };
    assert!(status.success(), "{interpreter}: {}", String::from_utf8_lossy(&stderr));
    if let Ok(file) = std::fs::read_to_string(folder.path().join("activities.jsonl")) {
        return Some(file.lines().count().to_string());
    }
    Some(String::from_utf8(stdout).unwrap())
}

/// How many activities the export on the page must bring.
fn due(sim: &Sim) -> u64 {
    let (from, to) = ("2026-06-01".parse().unwrap(), "2026-06-14".parse().unwrap());
    sim.truth().window(WindowKind::Delta, None, from, to, sim.clock().now()).count
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_with_curl_bring_an_export() {
    // The page leaves the id of the job to the reader; the same seed gives the same id.
    let other = small().start().await.unwrap();
    let body = r#"{"start_date":"2026-06-01","end_date":"2026-06-14","export_type":"delta"}"#;
    let id = other.jobs().create("sim-key", Resource::Activities, body).unwrap().id;
    let sim = small().start().await.unwrap();
    let text = block("sh", "curl").replace("JOB_ID", &id.to_string());
    if let Some(lines) = run(&sim, "bash", &["-eu"], "first.sh", &text).await {
        assert_eq!(lines, due(&sim).to_string());
        assert!(sim.report().findings.is_empty(), "{:?}", sim.report().findings);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_in_python_brings_an_export() {
    let sim = small().start().await.unwrap();
    if let Some(said) = run(&sim, "python3", &[], "first.py", &block("python", "urllib")).await {
        assert_eq!(said.trim(), format!("Completed {} activities", due(&sim)));
        assert!(sim.report().findings.is_empty(), "{:?}", sim.report().findings);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_in_java_brings_an_export() {
    let sim = small().start().await.unwrap();
    if let Some(said) = run(&sim, "java", &[], "FirstExport.java", &block("java", "FirstExport")).await {
        assert_eq!(said.trim(), due(&sim).to_string());
        assert!(sim.report().findings.is_empty(), "{:?}", sim.report().findings);
    }
}
