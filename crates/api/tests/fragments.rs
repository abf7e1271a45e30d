//! Fragments: from where the service counts, that every one is required, and records over all of them.

mod service;

use backstory_api::{Activities, Contacts, ErrorKind, ExportJob, Fragments, RecordPosition, Records};
use backstory_transport::{Scripted, ScriptedService};
use futures_util::{StreamExt as _, TryStreamExt as _};
use service::{asked, client, job, json, refusal};

/// A completed job of so many fragments.
fn of(fragments: &str, format: &str) -> String {
    job("5", "Completed").replace(
        r#""output_format":"JSONLines""#,
        &format!(r#""output_format":"{format}","fragments":{fragments}"#),
    )
}

/// A service whose fragments have these numbers.
fn service(described: String, base: usize, fragments: &'static [&'static str]) -> ScriptedService {
    ScriptedService::answering(move |request, _| {
        let uri = request.uri();
        if !uri.path().ends_with("/data") {
            return json(200, &described);
        }
        let Some(query) = uri.query() else {
            return Scripted::ok(fragments.concat()).header("date", service::SERVER_TIME);
        };
        let number: usize = query.strip_prefix("fragment=").unwrap().parse().unwrap();
        match number.checked_sub(base).and_then(|index| fragments.get(index)) {
            Some(text) => Scripted::ok(*text).in_chunks(7).header("date", service::SERVER_TIME),
            None => refusal(404, "NotFoundException", "HTTP 404 Not Found"),
        }
    })
}

const LINES: &[&str] =
    &["{\"uid\":\"a\"}\n{\"uid\":\"b\"}", "{\"uid\":\"c\"}\n", "{\"uid\":\"d\"}\n{\"uid\":\"e\"}\n"];

async fn fragments(service: &ScriptedService) -> Fragments<Activities> {
    client(service).activities().job("5").result().fragments().await.unwrap()
}

fn uid(activity: backstory_formats::Activity<'static>) -> String {
    activity.uid.unwrap().into_owned()
}

#[tokio::test(start_paused = true)]
async fn counted_from_0_or_from_1_all_fragments_are_found() {
    for base in [0, 1] {
        let service = service(of("3", "JSONLines"), base, LINES);
        let found = fragments(&service).await;
        assert_eq!((found.len(), found.iter().count()), (3, 3));
        let (fetched, bytes) = found.to_writer(Vec::new()).await.unwrap();
        assert_eq!(fetched.len(), 3);
        // The first fragment's last line lacks its end, which it gets where the next begins.
        let whole = "{\"uid\":\"a\"}\n{\"uid\":\"b\"}\n{\"uid\":\"c\"}\n{\"uid\":\"d\"}\n{\"uid\":\"e\"}\n";
        assert_eq!(String::from_utf8(bytes).unwrap(), whole);
        let asked = asked(&service);
        let last = format!("GET /pull/v1/export/activities/jobs/5/data?fragment={}", base + 2);
        assert_eq!(asked.last(), Some(&last), "{asked:?}");
        let bytes: Vec<u8> =
            fragments(&service).await.bytes().map_ok(|chunk| chunk.to_vec()).try_concat().await.unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), whole);
    }
}

#[tokio::test(start_paused = true)]
async fn one_fragment_none_or_no_word_of_them_is_the_whole_result() {
    for count in ["1", "0", "null", "-3"] {
        let service = service(of(count, "JSONLines"), 0, LINES);
        let found = fragments(&service).await;
        assert_eq!(found.len(), 1);
        found.get(0).unwrap().to_writer(Vec::new()).await.unwrap();
        assert!(found.get(1).is_none());
        assert_eq!(asked(&service)[1..], ["GET /pull/v1/export/activities/jobs/5/data"], "{count}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_count_that_can_not_be_is_refused() {
    let service = service(of("99999999999", "JSONLines"), 0, LINES);
    let error = client(&service).activities().job("5").result().fragments().await.unwrap_err();
    assert_eq!((error.kind(), error.job_id().unwrap().as_str()), (ErrorKind::BadReply, "5"));
}

#[tokio::test(start_paused = true)]
async fn a_fragment_that_is_missing_is_an_error_and_no_end() {
    for base in [0, 1] {
        let service = service(of("4", "JSONLines"), base, LINES);
        let error = fragments(&service).await.to_writer(Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ResultMissing);
        assert!(
            error.to_string().starts_with("can't download fragment 4 of 4 of the result of the activities"),
            "{error}"
        );
        let mut records = fragments(&service).await.records();
        let mut came = 0;
        let error = loop {
            match records.next().await.unwrap() {
                Ok(_) => came += 1,
                Err(error) => break error,
            }
        };
        assert_eq!((came, error.kind()), (5, ErrorKind::ResultMissing));
        assert!(records.next().await.is_none());
        let mut bytes = fragments(&service).await.bytes();
        let error = loop {
            if let Err(error) = bytes.next().await.unwrap() {
                break error;
            }
        };
        assert_eq!((error.kind(), bytes.fetched().len()), (ErrorKind::ResultMissing, 3));
        assert!(bytes.next().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_has_not_completed_has_no_fragments_yet() {
    let described = of("3", "JSONLines").replace("Completed", "Running");
    let service = service(described, 0, LINES);
    let error = client(&service).activities().job("5").result().fragments().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotCompleted);
    assert_eq!(service.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_result_that_is_gone_is_no_matter_of_counting() {
    let old = of("3", "JSONLines").replace("2026-03-06T", "2026-02-20T");
    let gone = service(old, 0, &[]);
    let error = client(&gone).activities().job("5").result().fragments().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Expired);
    // What is no answer to the number is not asked again under another.
    let described = of("3", "JSONLines");
    let refusing =
        ScriptedService::answering(move |request, _| match request.uri().path().ends_with("/data") {
            true => refusal(403, "ForbiddenException", "no"),
            false => json(200, &described),
        });
    let error = client(&refusing).activities().job("5").result().fragments().await.unwrap_err();
    assert_eq!((error.kind(), refusing.requests().len()), (ErrorKind::Forbidden, 2));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_knows_no_fragments_and_sends_the_whole_each_time_is_found_out() {
    let described = of("2", "JSONLines");
    let service =
        ScriptedService::answering(move |request, _| match request.uri().path().ends_with("/data") {
            true => Scripted::ok(LINES.concat()),
            false => json(200, &described),
        });
    let error = fragments(&service).await.to_writer(Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadReply);
    assert!(
        error.to_string().contains("fragment 2 of 2") && error.to_string().contains("fetch the result whole"),
        "{error}"
    );
    assert!(fragments(&service).await.bytes().any(|chunk| async move { chunk.is_err() }).await);
    assert!(fragments(&service).await.records().any(|row| async move { row.is_err() }).await);
}

#[tokio::test(start_paused = true)]
async fn a_repetition_of_one_unfinished_line_is_found_out_too() {
    let service = service(of("2", "JSONLines"), 0, &["{\"uid\":\"a\"}", "{\"uid\":\"a\"}"]);
    let rows: Vec<_> = fragments(&service).await.records().collect().await;
    assert_eq!(rows.last().unwrap().as_ref().unwrap_err().kind(), ErrorKind::BadReply);
}

#[tokio::test(start_paused = true)]
async fn empty_fragments_are_not_taken_for_repetitions() {
    let service = service(of("3", "JSONLines"), 0, &["", "", "{\"uid\":\"a\"}"]);
    let records: Vec<_> = fragments(&service).await.records().map(Result::unwrap).map(uid).collect().await;
    assert_eq!(records, ["a"]);
    fragments(&service).await.to_writer(Vec::new()).await.unwrap();
}

/// All records, and what comes behind each position that the stream had on its way.
async fn check_resumption<R: Records>(
    job: &ExportJob<R>,
    name: impl Fn(R::Record) -> String + Copy,
    whole: &[&str],
) {
    let open = || async { job.result().fragments().await.unwrap().records() };
    let (mut stream, mut positions, mut came) = (open().await, Vec::new(), Vec::new());
    while let Some(row) = stream.next().await {
        came.push(name(row.unwrap()));
        positions.push(stream.position());
    }
    assert_eq!(came, whole);
    for (index, position) in positions.into_iter().enumerate() {
        let kept = serde_json::to_string(&position).unwrap();
        let position: RecordPosition = serde_json::from_str(&kept).unwrap();
        let rest: Vec<_> = open().await.after(position).map(Result::unwrap).map(name).collect().await;
        assert_eq!(rest, whole[index + 1..], "behind {position:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn records_go_on_behind_any_position_over_fragments_of_lines() {
    let service = service(of("3", "JSONLines"), 1, LINES);
    let job = client(&service).activities().job("5");
    check_resumption(&job, uid, &["a", "b", "c", "d", "e"]).await;
}

#[tokio::test(start_paused = true)]
async fn fragments_that_came_whole_before_are_not_fetched_again() {
    let service = service(of("3", "JSONLines"), 0, LINES);
    let mut records = fragments(&service).await.records();
    for _ in 0..4 {
        records.next().await.unwrap().unwrap();
    }
    let position = records.position();
    assert_eq!((position.fragment, position.record, position.line, position.byte), (2, 1, 1, 0));
    let found = fragments(&service).await;
    let before = service.requests().len();
    let rest: Vec<_> = found.records().after(position).map(Result::unwrap).map(uid).collect().await;
    assert_eq!(rest, ["e"]);
    assert_eq!(asked(&service)[before..], ["GET /pull/v1/export/activities/jobs/5/data?fragment=2"]);
}

fn email(contact: backstory_formats::Contact<'static>) -> String {
    contact.email.unwrap().into_owned()
}

#[tokio::test(start_paused = true)]
async fn contacts_are_read_over_fragments_in_every_form() {
    const REPEATED: &[&str] = &["email,phone\na,1\nb,2\n", "email,phone\nc,3\n", "email,phone\nd,4"];
    const ONCE: &[&str] = &["email,phone\na,1\nb,2\n", "c,3\n", "d,4"];
    const LIST: &[&str] =
        &["[{\"email\":\"a\"},\n{\"email\":\"b\"},\n", "{\"email\":\"c\"},\n", "{\"email\":\"d\"}\n]\n"];
    const LISTS: &[&str] =
        &["[{\"email\":\"a\"},{\"email\":\"b\"}]", "[{\"email\":\"c\"}]", "[{\"email\":\"d\"}]"];
    const AROUND: &[&str] = &[
        "{\"data\":[{\"email\":\"a\"},{\"email\":\"b\"},",
        "{\"email\":\"c\"}",
        ",{\"email\":\"d\"}],\"total\":4}",
    ];
    let forms = [("CSV", REPEATED), ("CSV", ONCE), ("JSON", LIST), ("JSON", LISTS), ("JSON", AROUND)];
    for (format, parts) in forms {
        let service = service(of("3", format), 0, parts);
        let job: ExportJob<Contacts> = client(&service).contacts().job("5");
        check_resumption(&job, email, &["a", "b", "c", "d"]).await;
    }
    let service = service(of("3", "CSV"), 0, REPEATED);
    let found = client(&service).contacts().job("5").result().fragments().await.unwrap();
    let (_, bytes) = found.to_writer(Vec::new()).await.unwrap();
    assert_eq!(String::from_utf8(bytes).unwrap(), "email,phone\na,1\nb,2\nc,3\nd,4");
}

#[tokio::test(start_paused = true)]
async fn positions_count_within_the_fragment() {
    const LIST: &[&str] = &["[{\"email\":\"a\"},\n", "{\"email\":\"b\"},\n{\"email\":\"c\"}]"];
    const AROUND: &[&str] = &["{\"x\":[{\"email\":\"a\"},\n", "{\"email\":\"b\"},\n{\"email\":\"c\"}]}"];
    for (list, first) in [(LIST, 1), (AROUND, 6)] {
        let service = service(of("2", "JSON"), 0, list);
        let mut records = client(&service).contacts().job("5").result().fragments().await.unwrap().records();
        let mut positions = Vec::new();
        while records.next().await.is_some() {
            let at = records.position();
            positions.push((at.fragment, at.record, at.line, at.byte));
        }
        assert_eq!(positions, [(0, 1, 1, first), (1, 1, 1, 0), (1, 2, 2, 15)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_position_that_the_result_does_not_have_is_an_error_and_no_end() {
    let position = |fragment, record| -> RecordPosition {
        serde_json::from_value(
            serde_json::json!({"fragment": fragment, "record": record, "line": 1, "byte": 0}),
        )
        .unwrap()
    };
    let service = service(of("3", "JSONLines"), 0, LINES);
    for (fragment, record) in [(0, 3), (1, 2), (2, 9), (3, 1), (9, 1)] {
        let mut records = fragments(&service).await.records().after(position(fragment, record));
        let error = records.next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadReply, "{fragment}, {record}: {error}");
        assert!(error.to_string().contains(&format!("no record {record} of fragment {fragment}")), "{error}");
        assert!(records.next().await.is_none());
    }
}
