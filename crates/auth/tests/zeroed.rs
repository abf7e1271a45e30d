//! Secrets that have gone are not in this process's memory any more, which is searched for them.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;

use async_trait::async_trait;
use backstory_auth::{
    ClientCredentialsFlow, Credentials, CredentialsSource as _, Secret, SecretFile, TokenEndpoint,
    TokenIssuer as _,
};
use backstory_transport::{Body, Error as TransportError, HttpService, Request, Response};
use bytes::Bytes;
use http::Uri;
use zeroize::Zeroizing;

/// What the needles are hidden with, so that those that are looked for are not found where they are kept.
const MASK: u8 = 0x55;

/// A text of 64 letters that stands nowhere in the program.
fn masked(seed: u8) -> Vec<u8> {
    (0..64_u8).map(|at| (b'a' + at.wrapping_mul(seed) % 26) ^ MASK).collect()
}

fn unmask(masked: &[u8]) -> impl Iterator<Item = u8> + '_ {
    masked.iter().map(|byte| byte ^ MASK)
}

/// The text itself, in one piece of memory of the right size.
fn text(masked: &[u8]) -> String {
    let mut text = String::with_capacity(masked.len());
    unmask(masked).for_each(|byte| text.push(char::from(byte)));
    text
}

/// Whether the text stands anywhere in the memory that this process can write to. An allocator may write into the beginning
/// of what it gets back, so the second half of the text counts.
fn is_in_memory(masked: &[u8]) -> bool {
    let needle = &masked[masked.len() / 2..];
    let memory = File::open("/proc/self/mem").unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut buffer = vec![0; 1 << 20];
    for line in maps.lines().filter(|line| line.contains(" rw-p ")) {
        let (from, to) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        let [mut from, to] = [from, to].map(|address| u64::from_str_radix(address, 16).unwrap());
        while from < to {
            // The buffer is memory, too.
            buffer.fill(0);
            let length = buffer.len().min(usize::try_from(to - from).unwrap());
            let Ok(read) = memory.read_at(&mut buffer[..length], from) else { break };
            let piece = &buffer[..read];
            let mut at = 0;
            while let Some(next) = piece[at..].iter().position(|byte| *byte == needle[0] ^ MASK) {
                at += next + 1;
                let Some(rest) = piece.get(at..at + needle.len() - 1) else { break };
                if rest.iter().zip(&needle[1..]).all(|(byte, masked)| *byte == masked ^ MASK) {
                    buffer.fill(0);
                    return true;
                }
            }
            if read < needle.len() {
                break;
            }
            // What lies across two pieces is found, too.
            from += if from + read as u64 >= to { read as u64 } else { (read - needle.len()) as u64 };
        }
    }
    false
}

/// A server whose reply is zeroed when it goes: what a client keeps of it is the client's.
struct Server(Vec<u8>);

#[async_trait]
impl HttpService for Server {
    async fn send(&self, _: Request) -> Result<Response, TransportError> {
        let mut reply = Zeroizing::new(Vec::with_capacity(200));
        reply.extend_from_slice(br#"{"access_token":""#);
        reply.extend(unmask(&self.0));
        reply.extend_from_slice(br#"","expires_in":7200}"#);
        Ok(Response::new(Body::from(Bytes::from_owner(reply))))
    }
}

// One test: others in the same process would have the same memory.
#[tokio::test]
async fn what_has_gone_is_not_in_memory_any_more() {
    let plain = masked(3);
    let secret = Secret::new(text(&plain));
    let clone = secret.clone();
    assert!(is_in_memory(&plain), "the search finds what is there");
    drop(secret);
    assert!(is_in_memory(&plain) && clone.expose().len() == 64, "the last clone still has it");
    drop(clone);
    assert!(!is_in_memory(&plain));

    let filed = masked(5);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let mut file = File::create(&path).unwrap();
    unmask(&filed).chain(*b"\n").for_each(|byte| file.write_all(&[byte]).unwrap());
    let credentials = SecretFile::new("key", &path).read().await.unwrap();
    assert!(is_in_memory(&filed));
    drop(credentials);
    assert!(!is_in_memory(&filed));

    let issued = masked(7);
    let base = Uri::from_static("http://api.test");
    let pair = Credentials::new("key", "of no interest");
    let flow = ClientCredentialsFlow::new(Server(issued.clone()), &base, TokenEndpoint::V1, pair).unwrap();
    let token = flow.issue().await.unwrap();
    assert!(is_in_memory(&issued));
    drop(token);
    assert!(!is_in_memory(&issued));
}
