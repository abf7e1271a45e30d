//! Creation: what is sent, what the outcomes mean, a full queue, and a reply that is lost on the way.

mod service;

use std::time::Duration;

use backstory_api::{ActivityType, ErrorKind, WaitPolicy};
use backstory_limits::ExportKind;
use backstory_transport::{Scripted, ScriptedService};
use service::{asked, client, job, json, range, refusal};
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn the_request_is_sent_in_the_apis_own_words() {
    let service = ScriptedService::new([json(200, r#"{"job_id":7}"#)]);
    let export = client(&service).activities().export(range()).kind(ExportKind::Snapshot);
    let job = export.activity_type(ActivityType::Meeting).start_now().await.unwrap();
    assert_eq!(job.id().as_str(), "7", "an id that is a number");
    let request = &service.requests()[0];
    assert_eq!(request.headers()["content-type"], "application/json");
    assert_eq!(request.headers()["authorization"], "Bearer token-value");
    assert_eq!(
        request.body(),
        r#"{"start_date":"2026-01-01","end_date":"2026-01-31","activity_type":"meeting","output_format":"JSONLines","export_type":"snapshot"}"#
    );
}

#[tokio::test(start_paused = true)]
async fn contacts_send_every_flag_and_only_the_filters_that_are_set() {
    let service = ScriptedService::new([json(200, r#"{"job_id":"8"}"#)]);
    let export = client(&service).contacts().export(range()).include_existing(true).country("United States");
    export.start_now().await.unwrap();
    assert_eq!(
        service.requests()[0].body(),
        r#"{"start_date":"2026-01-01","end_date":"2026-01-31","include_historical":false,"include_existing":true,"is_sourced_by_people_ai":false,"output_format":"CSV","country":"United States"}"#
    );
}

#[tokio::test(start_paused = true)]
async fn a_range_that_is_too_wide_is_refused_before_anything_is_sent() {
    let service = ScriptedService::new([]);
    let error =
        client(&service).activities().export(range()).kind(ExportKind::Delta).start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UseLimit);
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("14 days"));
    assert!(service.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_job_for_something_else_is_refused_and_named() {
    let echo = job("9", "Queued").replace("2026-01-31", "2026-01-30");
    let service = ScriptedService::new([json(200, &echo)]);
    let error = client(&service).activities().export(range()).start_now().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::EchoMismatch);
    assert_eq!(
        error.to_string(),
        "can't create an export job for activities (job 9): the service made a job with end_date 2026-01-30 instead of 2026-01-31"
    );
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_is_recognised_in_every_form_and_waited_for() {
    for (status, message) in [
        (429, "Too many requests"),
        (400, "The queue is full"),
        (403, "Maximum of 10 jobs reached"),
        (409, "Job limit exceeded"),
        (503, "Export queue is full"),
    ] {
        let full = || refusal(status, "X", message);
        let service = ScriptedService::new([full(), full(), json(200, &job("1", "Queued"))]);
        let api = client(&service).activities();
        let error = api.export(range()).start_now().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::QueueFull, "{status}");
        let job = api.export(range()).start().await.unwrap();
        assert_eq!(job.id().as_str(), "1");
    }
}

#[tokio::test(start_paused = true)]
async fn the_words_of_a_page_or_a_text_without_a_message_are_no_full_queue() {
    let page =
        r#"<html><meta name="viewport" content="width=device-width, maximum-scale=1"><h1>No</h1></html>"#;
    let other = r#"{"detail":"the queue's limit","message":{"queue":"maximum"}}"#;
    for body in [page, "request queue limit", other] {
        for (status, kind) in
            [(400, ErrorKind::BadRequest), (403, ErrorKind::Forbidden), (409, ErrorKind::BadRequest)]
        {
            let service = ScriptedService::answering(move |_, _| json(status, body));
            let error = client(&service).activities().export(range()).start().await.unwrap_err();
            assert_eq!((error.kind(), service.requests().len()), (kind, 1), "{status} {body}");
        }
        // A gateway's 503 doesn't say that nothing was created: the list does.
        let list = format!("[{}]", job("7", "Running"));
        let service = ScriptedService::answering(move |request, _| match request.method().as_str() {
            "POST" => json(503, body),
            _ => json(200, &list),
        });
        let job = client(&service).activities().export(range()).start().await.unwrap();
        assert_eq!(job.id().as_str(), "7", "{body}");
        let posts = asked(&service).iter().filter(|call| call.starts_with("POST")).count();
        assert_eq!(posts, 1, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_may_be_told_by_the_errors_name_alone() {
    let service = ScriptedService::new([json(409, r#"{"error":"JobLimitExceededException"}"#)]);
    let error = client(&service).activities().export(range()).start_now().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::QueueFull);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_that_says_when_to_come_back_is_left_alone_until_then_within_reason() {
    for (asked, waited) in [("0", 1), ("30", 30), ("86400", 60), ("Fri, 06 Mar 2026 12:00:45 GMT", 45)] {
        let full = refusal(429, "TooManyRequestsException", "queue full").header("retry-after", asked);
        let service = ScriptedService::new([full, json(200, &job("1", "Queued"))]);
        let begun = Instant::now();
        client(&service).activities().export(range()).start().await.unwrap();
        assert_eq!(begun.elapsed().as_secs(), waited, "{asked}");
    }
}

#[tokio::test(start_paused = true)]
async fn patience_with_a_full_queue_ends_at_its_deadline() {
    let service = ScriptedService::answering(|_, _| refusal(429, "TooManyRequestsException", "queue full"));
    let patience = WaitPolicy::default().with_deadline(Some(Duration::from_secs(60)));
    let error = client(&service).activities().export(range()).start_with(&patience).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::QueueFull);
    let asked = service.requests().len();
    assert!((5..20).contains(&asked), "{asked} creations in a minute");
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_itself_a_full_queue_is_asked_once_more() {
    let full = || refusal(429, "TooManyRequestsException", "queue full");
    for (deadline, settled) in [(1_000, true), (999, false)] {
        let service = ScriptedService::new([full(), json(200, &job("1", "Queued"))]);
        let patience = WaitPolicy::default().with_deadline(Some(Duration::from_millis(deadline)));
        let started = client(&service).activities().export(range()).start_with(&patience).await;
        assert_eq!(started.is_ok(), settled, "{deadline}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_range_that_the_service_refuses_is_no_full_queue() {
    let service =
        ScriptedService::new([refusal(400, "BadRequestException", "Date range exceeds the maximum")]);
    let error = client(&service).activities().export(range()).start_now().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadRequest);
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_is_settled_by_the_list_and_nothing_is_created_twice() {
    for lost in [
        Scripted::fail_after_send(),
        refusal(500, "InternalError", "oops"),
        Scripted::ok(job("20", "Queued")).cut_at(10),
        Scripted::ok(job("20", "Queued")).stall_at(10),
    ] {
        let list = format!("[{},{}]", job("20", "Running"), job("3", "Failed"));
        let service = ScriptedService::new([json(200, "[]"), lost, json(200, "[]"), json(200, &list)]);
        let api = client(&service).activities();
        api.list().await.unwrap();
        let job = api.export(range()).start().await.unwrap();
        assert_eq!(job.id().as_str(), "20");
        let posts = asked(&service).iter().filter(|call| call.starts_with("POST")).count();
        assert_eq!(posts, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_settles_lost_replies_itself_is_told_at_once() {
    let service = ScriptedService::new([Scripted::fail_after_send()]);
    let error = client(&service).activities().export(range()).start_once().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
    assert!(error.to_string().contains("list of jobs will tell"), "{error}");
    assert_eq!(asked(&service).len(), 1, "the list isn't asked");
}

#[tokio::test(start_paused = true)]
async fn a_job_from_before_the_attempt_or_that_ended_badly_is_not_adopted() {
    let older = job("1", "Running").replace("12:00:00Z", "11:59:00Z");
    let list = format!("[{older},{},{}]", job("2", "Failed"), job("3", "Canceled"));
    let service = ScriptedService::answering(move |request, _| match request.method().as_str() {
        "POST" => Scripted::fail_after_send(),
        _ => json(200, &list),
    });
    let api = client(&service).activities();
    api.list().await.unwrap();
    let error = api.export(range()).start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("no job came of it"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_job_of_our_own_earlier_creation_is_not_adopted_for_a_later_one() {
    let list = format!("[{}]", job("1", "Running"));
    let service = ScriptedService::answering(move |request, nth| match (request.method().as_str(), nth) {
        ("POST", 0) => json(200, &job("1", "Queued")),
        ("POST", _) => Scripted::fail_after_send(),
        _ => json(200, &list),
    });
    let api = client(&service).activities();
    api.export(range()).start().await.unwrap();
    assert_eq!(api.export(range()).start().await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_certainly_not_sent_is_simply_repeated() {
    let service = ScriptedService::new([Scripted::fail_before_send(), json(200, &job("4", "Queued"))]);
    let job = client(&service).activities().export(range()).start().await.unwrap();
    assert_eq!(job.id().as_str(), "4");
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_for_contacts_is_an_unknown_outcome() {
    let service = ScriptedService::new([Scripted::fail_after_send()]);
    let error = client(&service).contacts().export(range()).start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(service.requests().len(), 1);
    assert!(error.hint().unwrap().contains("before you create it again"));
    assert!(error.to_string().contains("no list of such jobs"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_key_type_gets_a_hint_and_no_secret_is_told() {
    let service = ScriptedService::new([refusal(403, "ForbiddenException", "no")]);
    let error = client(&service).contacts().export(range()).start().await.unwrap_err();
    assert!(error.is_authentication());
    assert!(error.hint().unwrap().contains("another API type"));
    assert!(!format!("{error:?}").contains("token-value"));
}

#[tokio::test(start_paused = true)]
async fn a_page_of_html_is_named_as_one() {
    let service = ScriptedService::new([json(200, "<html>Login</html>")]);
    let error = client(&service).activities().list().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadReply);
    assert!(error.to_string().contains("HTML page"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_list_is_read_in_every_container_and_sorted_newest_first() {
    let (old, new) = (job("1", "Completed").replace("2026-03-06T", "2026-03-05T"), job("2", "Running"));
    for body in [
        format!("[{old},{new}]"),
        format!(r#"{{"jobs":[{old},{new}]}}"#),
        format!(r#"{{"data":[{old},{new}]}}"#),
    ] {
        let service = ScriptedService::new([json(200, &body)]);
        let jobs = client(&service).activities().list().await.unwrap();
        let ids: Vec<&str> = jobs.iter().map(|job| job.job_id.as_str()).collect();
        assert_eq!(ids, ["2", "1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_equal_job_of_another_program_from_before_the_attempt_is_not_adopted_however_old_the_servers_time()
{
    // The server's time was told ten minutes ago; five minutes ago another program asked for the same.
    let theirs = job("7", "Running").replace("12:00:00Z", "12:05:00Z");
    let service = ScriptedService::answering(move |request, nth| match request.method().as_str() {
        "POST" => Scripted::fail_after_send(),
        _ if nth == 0 => json(200, "[]"),
        _ => Scripted::ok(format!("[{theirs}]")).header("date", "Fri, 06 Mar 2026 12:10:00 GMT"),
    });
    let api = client(&service).activities();
    api.list().await.unwrap();
    tokio::time::advance(Duration::from_secs(600)).await;
    // The first look finds the server's clock at the attempt's own time.
    let error = api.export(range()).start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_equal_job_from_between_the_servers_last_word_and_the_attempt_is_not_adopted() {
    // The server told its time nine seconds before the attempt; two seconds are what clocks may disagree by.
    for (made, adopted) in [("12:00:03", false), ("12:00:06", false), ("12:00:07", true), ("12:00:09", true)]
    {
        let list = format!("[{}]", job("7", "Running").replace("12:00:00Z", &format!("{made}Z")));
        let service = ScriptedService::answering(move |request, nth| match request.method().as_str() {
            "POST" => Scripted::fail_after_send(),
            _ if nth == 0 => json(200, "[]"),
            _ => json(200, &list),
        });
        let api = client(&service).activities();
        api.list().await.unwrap();
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(api.export(range()).start().await.is_ok(), adopted, "{made}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_can_not_be_dated_is_neither_adopted_nor_passed_over() {
    let undated = job("7", "Running").replace(r#","job_created_time":"2026-03-06T12:00:00Z""#, "");
    let list = format!("[{undated}]");
    let service = ScriptedService::answering(move |request, _| match request.method().as_str() {
        "POST" => Scripted::fail_after_send(),
        _ => json(200, &list),
    });
    let error = client(&service).activities().export(range()).start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
    assert!(error.to_string().contains("whether job 7"), "{error}");
    // So it is without a clock of the server's.
    let list = format!("[{}]", job("7", "Running"));
    let service = ScriptedService::answering(move |request, _| match request.method().as_str() {
        "POST" => Scripted::fail_after_send(),
        _ => Scripted::ok(list.clone()),
    });
    let error = client(&service).activities().export(range()).start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
}

#[tokio::test(start_paused = true)]
async fn two_lost_replies_at_once_are_settled_by_two_jobs() {
    let list = format!("[{},{}]", job("7", "Running"), job("8", "Queued"));
    let service = ScriptedService::answering(move |request, _| match request.method().as_str() {
        "POST" => Scripted::fail_after_send(),
        _ => json(200, &list),
    });
    let api = client(&service).activities();
    let both = futures_util::future::join(api.export(range()).start(), api.export(range()).start());
    let (first, second) = both.await;
    let (first, second) = (first.unwrap(), second.unwrap());
    let mut ids = [first.id().as_str(), second.id().as_str()];
    ids.sort_unstable();
    assert_eq!(ids, ["7", "8"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_adopted_has_every_parameter_that_was_asked_for() {
    for (from, to) in [
        (r#""activity_type":"ALL""#, r#""activity_type":"email""#),
        (r#""export_type":"Snapshot""#, r#""export_type":"Delta""#),
        (r#""output_format":"JSONLines""#, r#""output_format":"JSON""#),
        (r#""start_date":"2026-01-01""#, r#""start_date":"2026-01-02""#),
        (r#""end_date":"2026-01-31""#, r#""end_date":"2026-01-30""#),
        (r#""activity_type":"ALL","#, ""),
        (r#""export_type":"Snapshot","#, ""),
        (r#""start_date":"2026-01-01","#, ""),
        (r#""end_date":"2026-01-31","#, ""),
    ] {
        let other = job("7", "Running").replace(from, to);
        assert_ne!(other, job("7", "Running"));
        let list = format!("[{other}]");
        let service = ScriptedService::answering(move |request, _| match request.method().as_str() {
            "POST" => Scripted::fail_after_send(),
            _ => json(200, &list),
        });
        let error = client(&service).activities().export(range()).start().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{to}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_list_is_looked_at_until_it_can_not_lag_any_more() {
    // The job shows after 115 s, which is within the lag; after 125 s it would be too late.
    for (shows_after, settled) in [(115, true), (150, false)] {
        let begun = Instant::now();
        let list = format!("[{}]", job("7", "Running"));
        let service = ScriptedService::answering(move |request, _| match request.method().as_str() {
            "POST" => Scripted::fail_after_send(),
            _ if begun.elapsed().as_secs() < shows_after => json(200, "[]"),
            _ => json(200, &list),
        });
        let api = client(&service).activities();
        api.list().await.unwrap();
        assert_eq!(api.export(range()).start().await.is_ok(), settled);
        assert!((115..145).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
        let looks = service.requests().len();
        assert!((9..16).contains(&looks), "{looks} requests");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_can_not_be_had_leaves_the_outcome_unknown() {
    for (answer, least) in [(503, 120), (403, 0)] {
        let begun = Instant::now();
        let service = ScriptedService::answering(move |request, _| match request.method().as_str() {
            "POST" => Scripted::fail_after_send(),
            _ => refusal(answer, "X", "no"),
        });
        let error = client(&service).activities().export(range()).start().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("can't create an export job"), "{cause}");
        assert!((least..least + 60).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    }
    // One look that failed is none too many.
    let list = format!("[{}]", job("7", "Running"));
    let service = ScriptedService::answering(move |request, nth| match (request.method().as_str(), nth) {
        ("POST", _) => Scripted::fail_after_send(),
        (_, 1..=5) => refusal(502, "X", "no"),
        _ => json(200, &list),
    });
    assert_eq!(client(&service).activities().export(range()).start().await.unwrap().id().as_str(), "7");
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_can_not_be_read_is_settled_too() {
    for lost in ["", "[]", "{}", "<html>", r#"{"job_id":""}"#, r#"{"job_id":null}"#] {
        let list = format!("[{}]", job("7", "Running"));
        let service = ScriptedService::answering(move |request, _| match request.method().as_str() {
            "POST" => json(200, lost),
            _ => json(200, &list),
        });
        let job = client(&service).activities().export(range()).start().await.unwrap();
        assert_eq!(job.id().as_str(), "7", "{lost}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_certainly_came_to_nothing_is_told_at_once() {
    for (status, kind) in [
        (400, ErrorKind::BadRequest),
        (403, ErrorKind::Forbidden),
        (404, ErrorKind::Unsupported),
        (409, ErrorKind::BadRequest),
        (422, ErrorKind::BadRequest),
    ] {
        let service = ScriptedService::new([refusal(status, "X", "no")]);
        let error = client(&service).activities().export(range()).start().await.unwrap_err();
        assert_eq!((error.kind(), service.requests().len()), (kind, 1));
    }
    // These may have done something before they gave up.
    for status in [408, 500, 502, 503, 504] {
        let service = ScriptedService::new([refusal(status, "X", "no")]);
        let error = client(&service).contacts().export(range()).start().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_difference_between_question_and_echo_is_named() {
    let kinds = [("Snapshot", "Delta", "export_type `Delta` instead of `snapshot`")];
    let types = [("ALL", "call", "activity_type `call` instead of `all`")];
    let formats = [("JSONLines", "CSV", "output_format `CSV` instead of `JSONLines`")];
    let days = [("2026-01-01", "2026-01-02", "start_date 2026-01-02 instead of 2026-01-01")];
    for (asked, echo, told) in kinds.into_iter().chain(types).chain(formats).chain(days) {
        let service = ScriptedService::new([json(200, &job("9", "Queued").replace(asked, echo))]);
        let error = client(&service).activities().export(range()).start().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::EchoMismatch);
        assert!(error.to_string().ends_with(told), "{error}");
        assert_eq!(error.job().unwrap().job_id.as_str(), "9");
    }
    for (echo, told) in [
        (r#"{"job_id":"9","output_format":"JSON"}"#, "output_format `JSON` instead of `CSV`"),
        (r#"{"job_id":"9","end_date":"2026-02-01"}"#, "end_date 2026-02-01 instead of 2026-01-31"),
    ] {
        let service = ScriptedService::new([json(200, echo)]);
        let error = client(&service).contacts().export(range()).start_now().await.unwrap_err();
        assert!(error.to_string().ends_with(told), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn contacts_wait_for_a_full_queue_and_refuse_a_range_that_is_too_wide() {
    let full = || refusal(429, "TooManyRequestsException", "queue full");
    let service = ScriptedService::new([full(), full(), json(200, r#"{"job_id":"1"}"#), full()]);
    let api = client(&service).contacts();
    let begun = Instant::now();
    api.export(range()).start().await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(2));
    assert_eq!(api.export(range()).start_now().await.unwrap_err().kind(), ErrorKind::QueueFull);
    let wide = "2024-01-01..2026-01-31".parse().unwrap();
    assert_eq!(api.export(wide).start().await.unwrap_err().kind(), ErrorKind::UseLimit);
    assert_eq!(service.requests().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn an_hour_is_waited_for_a_full_queue_unless_said_otherwise() {
    let service = ScriptedService::answering(|_, _| refusal(429, "TooManyRequestsException", "queue full"));
    let begun = Instant::now();
    let error = client(&service).activities().export(range()).start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::QueueFull);
    assert!(error.is_use_limit() && error.is_retryable());
    assert!((3_500..=3_600).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    assert!(error.hint().unwrap().contains("other programs share the queue"));
}

#[tokio::test(start_paused = true)]
async fn an_undated_job_of_our_own_earlier_creation_leaves_nothing_in_doubt() {
    let undated = job("7", "Running").replace(r#","job_created_time":"2026-03-06T12:00:00Z""#, "");
    let (created, list) = (undated.clone(), format!("[{undated}]"));
    let service = ScriptedService::answering(move |request, nth| match (request.method().as_str(), nth) {
        ("POST", 0) => json(200, &created),
        ("POST", _) => Scripted::fail_after_send(),
        _ => json(200, &list),
    });
    let api = client(&service).activities();
    api.export(range()).start().await.unwrap();
    assert_eq!(api.export(range()).start().await.unwrap_err().kind(), ErrorKind::Unavailable);
}
