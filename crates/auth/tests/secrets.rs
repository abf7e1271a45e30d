//! No secret and no token in any error, debug print or log: all failing paths are walked, and all that they say is
//! searched.

mod doubles;

use std::error::Error as StdError;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backstory_auth::{
    Authorised, Claims, ClientCredentialsFlow, Credentials, CredentialsSource as _, FixedToken, KeyType,
    Secret, SecretFile, Token, TokenCache, TokenEndpoint, TokenIssuer, TokenSource,
};
use backstory_transport::{
    Error as TransportError, ErrorKind as TransportErrorKind, HttpService as _, Request, Response,
};
use bytes::Bytes;
use doubles::{Server, reply, token_reply};
use http::Uri;
use tracing_subscriber::fmt::MakeWriter;

/// What must never be seen. The secret holds what percent-encoding and JSON change.
const SECRET: &str = "s3cr3t&\"hunter2\" +/ü";
const STAND_BY: &str = "s3cr3t-two";
const TOKEN: &str = "t0ken-hunter2";
/// Any of these gives one of them away.
const TRACES: [&str; 6] = ["s3cr3t", "hunter2", "t0ken", "%C3%BC", "%c3%bc", "u00fc"];

/// All that was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Log {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

/// Everything that an error says, in all its forms and with all its causes.
fn all_of(error: &(dyn StdError + 'static)) -> String {
    let mut said = String::new();
    let mut link = Some(error);
    while let Some(error) = link {
        said += &format!("{error}\n{error:?}\n{error:#?}\n");
        link = error.source();
    }
    said
}

type Reply = Result<Response, TransportError>;

fn flow(reply: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static) -> ClientCredentialsFlow {
    let server = Server::new(reply);
    let base = Uri::from_static("http://user:s3cr3t@host");
    ClientCredentialsFlow::new(server, &base, TokenEndpoint::V1, Credentials::new("key-1", SECRET))
        .unwrap()
        .key_type(KeyType::Activity)
        .stand_by(Credentials::new("key-2", STAND_BY))
}

/// Bodies that echo the secret that the request holds.
fn echoes(request: &Request) -> Vec<String> {
    let stand_by = String::from_utf8_lossy(request.body()).contains("key-2");
    let (secret, encoded) = match stand_by {
        true => (STAND_BY, STAND_BY),
        false => (SECRET, "s3cr3t%26%22hunter2%22%20%2B%2F%C3%BC"),
    };
    let json = serde_json::Value::from(secret);
    let form = encoded.replace("%20", "+");
    let lower = form.replace("%2B", "%2b").replace("%2F", "%2f").replace("%C3%BC", "%c3%bc");
    let ascii = json.to_string().replace('/', "\\/").replace('ü', "\\u00fc");
    let nested = serde_json::Value::from(format!("you sent {ascii}"));
    let html = secret.replace('&', "&amp;").replace('"', "&quot;").replace('ü', "&#xFC;");
    vec![
        format!(r#"{{"error":"invalid_client","message":{json}}}"#),
        format!(r#"{{"error":"secret {encoded} is wrong","error_description":"{encoded}"}}"#),
        format!(r#"{{"errors":[{json}]}}"#),
        format!("<html>you sent client_secret={encoded}</html>"),
        // So long that the end of what is shown, or of what is read, cuts the secret in two.
        format!("{}{secret}", "x".repeat(293)),
        format!("{}{encoded}", "x".repeat(293)),
        format!("{}{secret}", " ".repeat((16 << 10) - 7)),
        format!(r#"{{"error":"{form} {lower}","message":"{form} {lower}","id":{json}}}"#),
        format!("<html>{form} {lower} {html}</html>"),
        format!(r#"{{"errors":[{ascii},{nested}],"message":{ascii}}}"#),
        format!(r#"{{"message":{nested}}}"#),
    ]
}

fn token_bodies() -> Vec<String> {
    vec![
        format!(r#"{{"access_token":["{TOKEN}"]}}"#),
        format!(r#"{{"access_token":"{TOKEN}"#),
        format!(r#"{{"token":"{TOKEN}"}}"#),
        format!(r#""{TOKEN}""#),
        TOKEN.to_owned(),
        format!(r#"{{"access_token":"{TOKEN}\n"}}"#),
        format!(r#"{{"access_token":"{TOKEN}","expires_in":{{"{TOKEN}":1}}}}"#),
    ]
}

#[tokio::test(start_paused = true)]
async fn no_failing_path_says_a_secret() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone());
    tracing::subscriber::set_global_default(subscriber.finish()).unwrap();
    let mut said = Vec::new();

    for echo in 0..11 {
        for status in [200, 302, 400, 401, 403, 404, 429, 500, 503] {
            let flow = flow(move |_, request| reply(status, echoes(request).remove(echo)));
            said.push(all_of(&flow.issue().await.unwrap_err()));
            said.push(format!("{flow:?}"));
            // And once more by way of the cache, which remembers and logs, and the layer above it.
            let calls = Authorised::new(Server::new(|_, _| reply(200, "")), TokenCache::new(flow));
            let request = http::Request::get("http://user:s3cr3t@host/rows").body(Bytes::new()).unwrap();
            said.push(all_of(&calls.send(request.clone()).await.unwrap_err()));
            said.push(all_of(&calls.send(request).await.unwrap_err()));
        }
    }
    for body in token_bodies() {
        let cache = TokenCache::new(flow(move |_, _| reply(200, body.clone())));
        if let Err(error) = cache.token().await {
            said.push(all_of(&error));
        }
        said.push(format!("{cache:?}"));
    }
    for kind in [TransportErrorKind::Connect, TransportErrorKind::Interrupted, TransportErrorKind::BodyCut] {
        let flow = flow(move |_, _| Err(TransportError::new(kind, "broken")));
        said.push(all_of(&flow.issue().await.unwrap_err()));
    }

    // A token that works, is refused, healed, served again, renewed, and can't be renewed.
    let cache = TokenCache::new(flow(|number, _| match number {
        1..=3 => token_reply(&format!("{TOKEN}{number}")),
        _ => reply(503, SECRET),
    }));
    let token = cache.token().await.unwrap();
    said.push(format!("{token:?} {token:#?} {:?}", token.authorization()));
    said.push(all_of(&Claims::read(&token).unwrap_err()));
    cache.accepted(token.generation());
    cache.invalidate(token.generation());
    cache.token().await.unwrap();
    tokio::time::advance(Duration::from_secs(7_199)).await;
    cache.token().await.unwrap();
    tokio::time::sleep(Duration::from_secs(8_000)).await;
    said.push(all_of(&cache.token().await.unwrap_err()));

    said.push(format!("{:?}", Credentials::new("key-1", SECRET)));
    said.push(format!("{:?} {:?}", Secret::new(SECRET), FixedToken::new(TOKEN).unwrap()));
    said.push(all_of(&Token::new(format!("{TOKEN}\n"), 0).unwrap_err()));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, format!("{SECRET}{}", "x".repeat(70_000))).unwrap();
    said.push(all_of(&SecretFile::new("key-1", &path).read().await.unwrap_err()));

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        log.contains("moving to the pair that stands by") && log.contains("key-2"),
        "the log is the one looked for"
    );
    assert!(log.contains("could not get a token") && log.contains("got a token"));
    said.push(log);
    for text in &said {
        for trace in TRACES {
            let line = text.lines().find(|line| line.contains(trace));
            assert!(line.is_none(), "a secret was said: {line:?}");
        }
    }
    assert!(said.len() > 200);
}
