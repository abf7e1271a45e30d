//! A server of raw bytes on loopback: what it sends, and how its connections end, is exactly what a test says.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// What happens on one request.
#[derive(Clone)]
pub(crate) struct Play {
    pub(crate) bytes: Vec<u8>,
    pub(crate) end: End,
    /// How many of the last bytes come one by one, each after a pause.
    pub(crate) drip: Option<(usize, Duration)>,
}

/// How a connection goes on after its bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It is closed in good order.
    Fin,
    /// It is reset.
    Rst,
    /// It stays open, and nothing more comes.
    Hold,
    /// It is ready for the next request.
    KeepAlive,
}

pub(crate) fn play(text: impl AsRef<[u8]>, end: End) -> Play {
    Play { bytes: text.as_ref().to_vec(), end, drip: None }
}

/// A whole reply with a length.
pub(crate) fn reply(head: &str, body: &[u8]) -> Play {
    let mut bytes = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    Play { bytes, end: End::KeepAlive, drip: None }
}

/// A server under way; it ends when this is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    plays: Arc<Mutex<Vec<Play>>>,
    heard: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Plays one play a request, in order, the last one for ever; over TLS where there is an acceptor.
    pub(crate) async fn start(plays: Vec<Play>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let plays = Arc::new(Mutex::new(plays));
        let (hears, script) = (Arc::clone(&heard), Arc::clone(&plays));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (plays, hears, tls) = (Arc::clone(&script), Arc::clone(&hears), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &plays, &hears, TcpStream::set_zero_linger).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, &plays, &hears, |stream| stream.get_ref().0.set_zero_linger())
                                    .await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, plays, heard, task }
    }

    pub(crate) async fn plain(plays: impl IntoIterator<Item = Play>) -> Self {
        Self::start(plays.into_iter().collect(), None).await
    }

    /// Goes on with this play.
    pub(crate) fn then(&self, play: Play) {
        self.plays.lock().unwrap().push(play);
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests so far, head and body.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    plays: &Mutex<Vec<Play>>,
    hears: &Mutex<Vec<String>>,
    linger: impl Fn(&S) -> std::io::Result<()>,
) {
    while let Some(request) = read_request(&mut stream).await {
        let play = {
            let (plays, mut hears) = (plays.lock().unwrap(), hears.lock().unwrap());
            let play = plays[hears.len().min(plays.len() - 1)].clone();
            hears.push(request);
            play
        };
        let (slow, pause) = play.drip.unwrap_or_default();
        let (at_once, slowly) = play.bytes.split_at(play.bytes.len() - slow);
        // A client may go away in the middle; that is its right.
        if stream.write_all(at_once).await.is_err() || stream.flush().await.is_err() {
            return;
        }
        for byte in slowly.chunks(1) {
            tokio::time::sleep(pause).await;
            if stream.write_all(byte).await.is_err() {
                return;
            }
        }
        match play.end {
            End::KeepAlive => {}
            End::Fin => {
                let _ = stream.shutdown().await;
                return;
            }
            End::Rst => {
                linger(&stream).unwrap();
                return;
            }
            End::Hold => std::future::pending().await,
        }
    }
}

async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> Option<String> {
    let mut request = Vec::new();
    loop {
        if let Some(head) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&request[..head]).to_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |length| length.parse().unwrap());
            if request.len() >= head + 4 + length {
                return Some(String::from_utf8(request).unwrap());
            }
        }
        if stream.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
    }
}
