//! Results: records as a stream, cuts on the way, bad rows, and files that are gone.

mod service;

use backstory_api::{Contacts, ErrorKind, ExportJob, Job};
use backstory_transport::{Scripted, ScriptedService};
use futures_util::StreamExt as _;
use service::{client, job, json, range, refusal};

const LINES: &str = "{\"uid\":\"a\",\"type\":\"email\"}\n{\"uid\":\"b\",\"type\":\"call\"}\n{\"uid\":\"c\",\"type\":\"meeting\"}";

async fn uids(service: &ScriptedService) -> Vec<Result<String, ErrorKind>> {
    let stream = client(service).activities().job("5").result().records().unwrap();
    stream
        .map(|row| row.map(|row| row.uid.unwrap().into_owned()).map_err(|error| error.kind()))
        .collect()
        .await
}

#[tokio::test(start_paused = true)]
async fn records_come_out_as_they_arrive_in_any_chunking() {
    for chunk in [1, 7, 1_000] {
        let service = ScriptedService::new([Scripted::ok(LINES).in_chunks(chunk)]);
        assert_eq!(uids(&service).await, [Ok("a".into()), Ok("b".into()), Ok("c".into())]);
        assert_eq!(service.requests()[0].uri().path(), "/pull/v1/export/activities/jobs/5/data");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_download_goes_on_and_no_record_comes_twice() {
    let service = ScriptedService::new([
        Scripted::ok(LINES).in_chunks(5).cut_at(40),
        Scripted::ok(LINES).without_length().cut_at(60),
        Scripted::ok(LINES),
    ]);
    assert_eq!(uids(&service).await, [Ok("a".into()), Ok("b".into()), Ok("c".into())]);
}

#[tokio::test(start_paused = true)]
async fn only_the_rest_of_a_cut_download_is_asked_for_where_that_is_switched_on() {
    let whole = || Scripted::ok(LINES).header("etag", "\"v1\"");
    let rest = Scripted::reply(206, &LINES[40..])
        .header("etag", "\"v1\"")
        .header("content-range", &format!("bytes 40-{}/{}", LINES.len() - 1, LINES.len()));
    for (resume, second) in [(true, rest), (false, whole())] {
        let service = ScriptedService::new([whole().in_chunks(5).cut_at(40), second]);
        let client = service::builder(&service).resume_downloads(resume).build().unwrap();
        let (_, text) = client.activities().job("5").result().to_writer(Vec::new()).await.unwrap();
        assert_eq!(text, LINES.as_bytes());
        let asked = service.requests()[1].headers().get("range").cloned();
        assert_eq!(asked.is_some(), resume, "{asked:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_row_is_an_error_behind_which_the_stream_goes_on() {
    let service = ScriptedService::new([Scripted::ok(LINES.replace("\"b\",", "\"b\" "))]);
    assert_eq!(uids(&service).await, [Ok("a".into()), Err(ErrorKind::BadRow), Ok("c".into())]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_goes_on_behind_a_position() {
    let service = ScriptedService::answering(|_, _| Scripted::ok(LINES));
    let result = || client(&service).activities().job("5").result().records().unwrap();
    let mut first = result();
    first.next().await.unwrap().unwrap();
    let position = first.position();
    assert_eq!((position.fragment, position.record, position.line, position.byte), (0, 1, 1, 0));
    let rest: Vec<_> =
        result().after(position).map(|row| row.unwrap().uid.unwrap().into_owned()).collect().await;
    assert_eq!(rest, ["b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn an_empty_result_has_no_records() {
    for empty in [Scripted::ok(""), Scripted::reply(204, "")] {
        assert!(uids(&ScriptedService::new([empty])).await.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn contacts_are_read_in_the_form_that_they_were_asked_for() {
    for (format, body) in [
        ("CSV", "email,total_meetings\na@x.example,3\n"),
        ("JSON", r#"[{"email":"a@x.example","total_meetings":3}]"#),
    ] {
        let created = format!(r#"{{"job_id":"6","output_format":"{format}"}}"#);
        let service = ScriptedService::new([json(200, &created), Scripted::ok(body)]);
        let word = backstory_api::ContactsFormat::from_word(format).unwrap();
        let job: ExportJob<Contacts> =
            client(&service).contacts().export(range()).format(word).start().await.unwrap();
        let contacts: Vec<_> = job.result().records().unwrap().map(Result::unwrap).collect().await;
        assert_eq!(
            (contacts[0].email.as_deref(), contacts[0].total_meetings),
            (Some("a@x.example"), Some(3))
        );
    }
}

async fn missing(described: &str) -> ErrorKind {
    let service =
        ScriptedService::new([json(200, described), refusal(404, "NotFoundException", "HTTP 404 Not Found")]);
    let job = client(&service).activities().job("5");
    let described: Job = job.poll().await.unwrap();
    let error = job.result_of(&described).to_writer(Vec::new()).await.unwrap_err();
    assert_eq!(error.job_id().unwrap().as_str(), "5");
    error.kind()
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_gone_is_told_from_one_that_never_was() {
    // The server's clock says 2026-03-06.
    let ended = |day: &str| {
        job("5", "Completed").replace(r#""job_id""#, &format!(r#""job_end_time":"{day}T00:00:00Z","job_id""#))
    };
    assert_eq!(missing(&ended("2026-02-20")).await, ErrorKind::Expired);
    assert_eq!(missing(&ended("2026-03-05")).await, ErrorKind::ResultMissing);
    assert_eq!(missing(&job("5", "Running")).await, ErrorKind::NotCompleted);
    // Without an end, the creation tells the age.
    assert_eq!(missing(&job("5", "Completed")).await, ErrorKind::ResultMissing);
    assert_eq!(
        missing(&job("5", "Completed").replace("2026-03-06T", "2026-02-20T")).await,
        ErrorKind::Expired
    );
}

#[tokio::test(start_paused = true)]
async fn a_fragment_is_asked_for_by_its_index() {
    let service = ScriptedService::new([Scripted::ok(LINES)]);
    let result = client(&service).activities().job("a/b").result().fragment(3);
    let (downloaded, bytes) = result.to_writer(Vec::new()).await.unwrap();
    assert_eq!(bytes, LINES.as_bytes());
    assert_eq!(downloaded.bytes, LINES.len() as u64);
    assert_eq!(
        service.requests()[0].uri(),
        "http://service.example/pull/v1/export/activities/jobs/a%2Fb/data?fragment=3"
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_poll_has_told_decides_what_a_refused_download_means() {
    // Created as `Queued`, completed since, and its file is gone: it is not taken for one that has not completed.
    let old = job("5", "Completed").replace("2026-03-06T", "2026-02-20T");
    let service = ScriptedService::new([
        json(200, &job("5", "Queued")),
        json(200, &old),
        refusal(404, "NotFoundException", "HTTP 404 Not Found"),
        refusal(410, "Gone", "gone"),
    ]);
    let job = client(&service).activities().export(range()).start().await.unwrap();
    job.wait().await.unwrap();
    assert_eq!(job.described().unwrap().state, Some(backstory_api::JobState::Queued));
    for _ in 0..2 {
        let error = job.result().to_writer(Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Expired);
        assert!(error.hint().unwrap().contains("create the same export again"));
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_job_of_which_nothing_is_known_only_the_status_speaks() {
    for (status, kind) in [
        (404, ErrorKind::JobNotFound),
        (410, ErrorKind::Expired),
        (400, ErrorKind::NotCompleted),
        (409, ErrorKind::NotCompleted),
        (425, ErrorKind::NotCompleted),
        (403, ErrorKind::Forbidden),
    ] {
        let service = ScriptedService::new([refusal(status, "X", "no")]);
        let error = client(&service).activities().job("5").result().to_writer(Vec::new()).await.unwrap_err();
        assert_eq!((error.kind(), error.job_id().unwrap().as_str()), (kind, "5"), "{status}");
    }
    let service = ScriptedService::new([json(200, &job("5", "Completed")), refusal(409, "X", "no")]);
    let job = client(&service).activities().job("5");
    job.poll().await.unwrap();
    assert_eq!(job.result().to_writer(Vec::new()).await.unwrap_err().kind(), ErrorKind::BadRequest);
    // Completed, but nobody knows when: there was a file, and there is none.
    assert_eq!(missing(r#"{"job_id":"5","state":"Completed"}"#).await, ErrorKind::ResultMissing);
}

#[tokio::test(start_paused = true)]
async fn contacts_of_a_job_that_was_attached_to_are_read_in_the_form_that_the_service_tells() {
    let service = ScriptedService::answering(|request, _| match request.uri().path().ends_with("/data") {
        true => Scripted::ok(r#"[{"email":"a"}]"#),
        false => json(200, r#"{"job_id":"6","state":"Completed","output_format":"json"}"#),
    });
    let job: ExportJob<Contacts> = client(&service).contacts().job("6");
    let contacts: Vec<_> = job.result().records().unwrap().map(Result::unwrap).collect().await;
    assert_eq!(contacts[0].email.as_deref(), Some("a"));
    assert_eq!(service.requests().len(), 2);
    // Once it is known, it isn't asked for again.
    job.result().records().unwrap().next().await.unwrap().unwrap();
    assert_eq!(service.requests().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn contacts_are_read_in_the_form_that_was_asked_for_where_the_service_does_not_tell() {
    let service = ScriptedService::new([json(200, r#"{"job_id":"6"}"#), Scripted::ok(r#"[{"email":"a"}]"#)]);
    let export = client(&service).contacts().export(range()).format(backstory_api::ContactsFormat::Json);
    let job = export.start().await.unwrap();
    let contacts: Vec<_> = job.result().records().unwrap().map(Result::unwrap).collect().await;
    assert_eq!(contacts[0].email.as_deref(), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn a_form_that_can_not_be_asked_for_ends_the_stream() {
    let service = ScriptedService::answering(|_, _| refusal(404, "NotFoundException", "HTTP 404 Not Found"));
    let mut records = client(&service).contacts().job("6").result().records().unwrap();
    assert_eq!(records.next().await.unwrap().unwrap_err().kind(), ErrorKind::JobNotFound);
    assert!(records.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_bad_row_and_the_end_of_a_stream_name_the_job() {
    let service = ScriptedService::new([Scripted::ok("{\n")]);
    let mut records = client(&service).activities().job("5").result().records().unwrap();
    let error = records.next().await.unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        "can't decode the result of the activities export job (job 5): a row can't be read"
    );
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("line 1"));
    let service = ScriptedService::answering(|_, _| Scripted::ok(LINES).cut_at(30));
    let rows: Vec<_> = client(&service).activities().job("5").result().records().unwrap().collect().await;
    let error = rows.last().unwrap().as_ref().unwrap_err();
    assert_eq!(
        (error.kind(), error.job_id().unwrap().as_str(), rows.len()),
        (ErrorKind::BadDownload, "5", 2)
    );
    assert!(error.is_retryable());
}

/// Plays one reply whose chunks are counted as they are taken.
struct Counted(std::sync::Arc<std::sync::atomic::AtomicUsize>);

#[async_trait::async_trait]
impl backstory_transport::HttpService for Counted {
    async fn send(
        &self,
        _: backstory_transport::Request,
    ) -> Result<backstory_transport::Response, backstory_transport::Error> {
        let count = std::sync::Arc::clone(&self.0);
        let chunks = futures_util::stream::iter(0..1_000).map(move |_| {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Ok(bytes::Bytes::from_static(b"{\"uid\":\"a\"}\n{\"uid\":\"b\"}\n"))
        });
        Ok(backstory_transport::Response::new(backstory_transport::Body::from_stream(chunks)))
    }
}

#[tokio::test(start_paused = true)]
async fn no_chunk_is_fetched_before_the_records_of_the_one_before_are_taken() {
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let client =
        backstory_api::Client::builder(backstory_api::BaseUrl::parse("http://service.example").unwrap())
            .adapter(Counted(std::sync::Arc::clone(&count)))
            .tokens(backstory_auth::FixedToken::new("any").unwrap())
            .build()
            .unwrap();
    let mut records = client.activities().job("5").result().records().unwrap();
    for taken in 1..=20_usize {
        records.next().await.unwrap().unwrap();
        let fetched = count.load(std::sync::atomic::Ordering::Relaxed);
        assert!(fetched <= taken.div_ceil(2) + 1, "{fetched} chunks for {taken} records of two a chunk");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stall_is_as_long_as_is_said_and_progress_is_told() {
    let service = ScriptedService::new([Scripted::ok(LINES).stall_at(30), Scripted::ok(LINES)]);
    let begun = tokio::time::Instant::now();
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = std::sync::Arc::clone(&told);
    let result =
        client(&service).activities().job("5").result().stall_timeout(std::time::Duration::from_secs(7));
    let result = result.backoff(
        backstory_transport::FullJitter::new(
            std::time::Duration::from_secs(2),
            std::time::Duration::from_secs(2),
        )
        .with_random(|| 1.0),
    );
    result
        .on_progress(move |progress| seen.lock().unwrap().push(progress.bytes))
        .to_writer(Vec::new())
        .await
        .unwrap();
    assert_eq!(begun.elapsed().as_secs(), 9);
    assert_eq!(told.lock().unwrap().last(), Some(&(LINES.len() as u64)));
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_for_the_form_also_tells_an_expired_result() {
    let old = r#"{"job_id":"6","state":"Completed","job_end_time":"2026-02-20T00:00:00Z"}"#;
    let service =
        ScriptedService::answering(move |request, _| match request.uri().path().ends_with("/data") {
            true => refusal(404, "NotFoundException", "HTTP 404 Not Found"),
            false => json(200, old),
        });
    let mut records = client(&service).contacts().job("6").result().records().unwrap();
    assert_eq!(records.next().await.unwrap().unwrap_err().kind(), ErrorKind::Expired);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_not_closed_is_no_good_end() {
    let service = ScriptedService::answering(|request, _| match request.uri().path().ends_with("/data") {
        true => Scripted::ok(r#"[{"email":"a"}"#),
        false => json(200, r#"{"job_id":"6","state":"Completed","output_format":"JSON"}"#),
    });
    let rows: Vec<_> = client(&service).contacts().job("6").result().records().unwrap().collect().await;
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[1].as_ref().unwrap_err().kind(), ErrorKind::BadRow);
}

#[test]
fn a_job_that_was_kept_as_json_is_read_back_whole() {
    let job = Job::from_json(r#"{"job_id":7,"state":"Running","mood":"sunny","fragments":2}"#).unwrap();
    assert_eq!((job.job_id.as_str(), job.fragments, &job.unknown["mood"]), ("7", Some(2), &"sunny".into()));
    assert_eq!(Job::from_json(&serde_json::to_string(&job).unwrap()), Some(job));
    for nothing in ["", "[]", r#"{"state":"Running"}"#] {
        assert_eq!(Job::from_json(nothing), None);
    }
}
