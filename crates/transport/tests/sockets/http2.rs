//! HTTP/2, which servers behind TLS mostly speak: its frames say where a body ends, and a reset stream is a cut.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use backstory_transport::{Download, HttpService, NoPause, Request, UnprovenEnd};
use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::StreamBody;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

use crate::tls::Authority;

const TEXT: &[u8] = b"{\"uid\":1}\n{\"uid\":2}\n{\"uid\":3}\n";

/// Serves a text without a length; as many of the first replies as `cuts` says break off in the middle.
async fn serve(authority: &Authority, cuts: usize) -> String {
    let acceptor = authority.http2_acceptor();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let replies = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, replies) = (acceptor.clone(), Arc::clone(&replies));
            tokio::spawn(async move {
                let stream = acceptor.accept(stream).await.unwrap();
                let service = service_fn(move |_| {
                    let cut = replies.fetch_add(1, Ordering::SeqCst) < cuts;
                    let last =
                        if cut { Err("cut") } else { Ok(Frame::data(Bytes::from_static(&TEXT[20..]))) };
                    let body = stream::iter([Ok(Frame::data(Bytes::from_static(&TEXT[..20]))), last]);
                    async move { Ok::<_, Infallible>(http::Response::new(StreamBody::new(body))) }
                });
                // The client's going away is no failure of the test.
                let _ = http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    format!("https://{address}/jobs/7/data")
}

fn get(url: &str) -> Request {
    http::Request::get(url).body("".into()).unwrap()
}

#[tokio::test]
async fn a_body_without_a_length_is_proven_whole_by_its_frames() {
    let authority = Authority::new("ours");
    let url = serve(&authority, 0).await;
    let response = authority.trusting().send(get(&url)).await.unwrap();
    assert_eq!(response.version(), http::Version::HTTP_2);
    assert!(response.extensions().get::<UnprovenEnd>().is_none());
    assert_eq!(response.into_body().collect(100).await.unwrap(), TEXT);
}

#[tokio::test]
async fn a_reset_stream_is_a_cut_and_is_mended() {
    let authority = Authority::new("ours");
    let url = serve(&authority, 2).await;
    let download = Download::new(Arc::new(authority.trusting()), move || get(&url)).with_backoff(NoPause);
    let (downloaded, text) = download.to_writer(Vec::new()).await.unwrap();
    assert_eq!((text.as_slice(), downloaded.restarts, downloaded.end_proven), (TEXT, 2, true));
}
