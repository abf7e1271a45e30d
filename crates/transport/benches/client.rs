//! The figures that this crate is held to, each beside its peer and interleaved with it on the same machine: a download of
//! 1 GiB to a file, hashed and waited for until it is on disk, against `curl -o FILE`, which does neither, and against curl
//! that waits for the disk as well; and 10,000 small calls through all layers against bare reqwest.
//!
//! `cargo xtask bench client`, or `cargo bench -p backstory-transport --bench client`; `BENCH_MIB` and `BENCH_ROUNDS` make it
//! smaller. What comes out is a table in Markdown: medians, and in brackets the slowest and the fastest round.

use std::error::Error;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backstory_transport::{
    Download, HttpService, RateLimit, RateLimiter, Request, ReqwestService, Retry, Traced,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

const SMALL_CALLS: u32 = 10_000;
/// How many calls are made before it is the peer's turn.
const TURN: u32 = 500;
const SMALL_BODY: &str = r#"{"job_id":"123456","state":"Running","fragments":null}"#;

fn main() -> Outcome<()> {
    // Test runners start every target with flags of their own; only a bench run is meant.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let setting =
        |name, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (mib, rounds): (u64, u64) = (setting("BENCH_MIB", 1024), setting("BENCH_ROUNDS", 5));
    let folder = tempfile::tempdir()?;
    let large = folder.path().join("large");
    write_lines(&large, mib << 20)?;
    let address = serve(large)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let adapter = ReqwestService::builder().no_proxy().build()?;

    println!("| what | peer | ours | our speed against it |\n|---|---|---|---|");
    let (mut ours, mut curls, mut synced_curls) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let file = folder.path().join("file");
        curls.push(timed(|| curl(address, &file))?);
        settle(&file)?;
        ours.push(timed(|| runtime.block_on(download(&adapter, address, &file)))?);
        settle(&file)?;
        let synced = || curl(address, &file).and_then(|()| succeed(Command::new("sync").arg(&file)));
        synced_curls.push(timed(synced)?);
        settle(&file)?;
    }
    let (what, ours) = (format!("{mib} MiB to a file, MiB/s"), rates(&ours, mib));
    report(&what, "`curl -o FILE`", &rates(&curls, mib), "download", &ours);
    report(&what, "`curl -o FILE && sync FILE`", &rates(&synced_curls, mib), "download", &ours);

    let client = reqwest::Client::builder().no_proxy().build()?;
    let layered = Retry::new(RateLimit::new(Traced::new(adapter), RateLimiter::unlimited()));
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        // In turn after few calls, so that both meet the same machine.
        let (mut theirs, mut own) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..SMALL_CALLS / TURN {
            theirs += timed(|| runtime.block_on(bare_calls(&client, address)))?;
            own += timed(|| runtime.block_on(layered_calls(&layered, address)))?;
        }
        bare.push(theirs);
        ours.push(own);
    }
    let calls = u64::from(SMALL_CALLS);
    report("small calls, calls/s", "bare reqwest", &rates(&bare, calls), "all layers", &rates(&ours, calls));
    Ok(())
}

async fn download(adapter: &ReqwestService, address: SocketAddr, file: &Path) -> Outcome<()> {
    let request = move || get(&format!("http://{address}/large"));
    // As a task beside others, which is how a program with several downloads has it.
    let download = Download::new(Arc::new(adapter.clone()), request);
    tokio::spawn(download.to_file(file.to_owned())).await??;
    Ok(())
}

/// Removes what was fetched and lets the disk come to rest, so that no run pays for the one before it.
fn settle(file: &Path) -> Outcome<()> {
    std::fs::remove_file(file)?;
    succeed(&mut Command::new("sync"))
}

fn curl(address: SocketAddr, file: &Path) -> Outcome<()> {
    succeed(
        Command::new("curl")
            .args(["--silent", "--noproxy", "*", "-o"])
            .arg(file)
            .arg(format!("http://{address}/large")),
    )
}

fn succeed(command: &mut Command) -> Outcome<()> {
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}").into()) }
}

async fn layered_calls(service: &impl HttpService, address: SocketAddr) -> Outcome<()> {
    let request = get(&format!("http://{address}/small"));
    for _ in 0..TURN {
        let response = service.send(request.clone()).await?;
        assert_eq!(response.into_body().collect(1 << 10).await?, SMALL_BODY);
    }
    Ok(())
}

async fn bare_calls(client: &reqwest::Client, address: SocketAddr) -> Outcome<()> {
    let url = reqwest::Url::parse(&format!("http://{address}/small"))?;
    for _ in 0..TURN {
        assert_eq!(client.get(url.clone()).send().await?.bytes().await?, SMALL_BODY);
    }
    Ok(())
}

fn get(url: &str) -> Request {
    let mut request = Request::new("".into());
    *request.uri_mut() = url.parse().expect("an address made here");
    request
}

/// A file of JSON lines.
fn write_lines(path: &Path, bytes: u64) -> std::io::Result<()> {
    let line = "{\"uid\":\"0123456789abcdef\",\"type\":\"email\",\"subject\":\"Re: figures\"}\n";
    let block = line.repeat((256 << 10) / line.len());
    let mut file = File::create(path)?;
    let mut left = bytes;
    while left > 0 {
        let piece = block.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        file.write_all(&block.as_bytes()[..piece])?;
        left -= piece as u64;
    }
    file.sync_all()
}

/// Serves this file as `/large`, and `/small`, on threads of its own.
fn serve(large: PathBuf) -> Outcome<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let large = large.clone();
            std::thread::spawn(move || answer(stream, &large));
        }
    });
    Ok(address)
}

/// From file to socket inside the kernel, as web servers do, so that the server costs little beside its clients.
#[cfg(target_os = "linux")]
fn send(file: &File, stream: &mut TcpStream, bytes: u64) -> std::io::Result<()> {
    let mut left = bytes;
    while left > 0 {
        let piece = usize::try_from(left).unwrap_or(usize::MAX).min(1 << 20);
        match rustix::fs::sendfile(&*stream, file, None, piece)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            sent => left -= sent as u64,
        }
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn send(file: &File, stream: &mut TcpStream, bytes: u64) -> std::io::Result<()> {
    std::io::copy(&mut file.take(bytes), stream).map(drop)
}

/// Answers the requests of one connection; an error is the client's going away.
fn answer(mut stream: TcpStream, large: &Path) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        request.extend_from_slice(&buffer[..read]);
        if !request.ends_with(b"\r\n\r\n") {
            continue;
        }
        if request.starts_with(b"GET /large") {
            let file = File::open(large)?;
            let bytes = file.metadata()?.len();
            stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n").as_bytes())?;
            send(&file, &mut stream, bytes)?;
        } else {
            let length = SMALL_BODY.len();
            stream.write_all(
                format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{SMALL_BODY}").as_bytes(),
            )?;
        }
        request.clear();
    }
}

fn timed(work: impl FnOnce() -> Outcome<()>) -> Outcome<Duration> {
    let began = Instant::now();
    work()?;
    Ok(began.elapsed())
}

fn rates(times: &[Duration], amount: u64) -> Vec<f64> {
    let mut rates: Vec<_> = times.iter().map(|time| amount as f64 / time.as_secs_f64()).collect();
    rates.sort_by(f64::total_cmp);
    rates
}

fn report(what: &str, peer_name: &str, peer: &[f64], name: &str, ours: &[f64]) {
    let median = |rates: &[f64]| rates[rates.len() / 2];
    let show =
        |rates: &[f64]| format!("{:.0} ({:.0} to {:.0})", median(rates), rates[0], rates[rates.len() - 1]);
    println!(
        "| {what} | {peer_name}: {} | {name}: {} | {:.2} |",
        show(peer),
        show(ours),
        median(ours) / median(peer)
    );
}
