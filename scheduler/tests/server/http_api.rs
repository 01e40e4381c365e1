//! What HTTP answers.

use dasklet_core::demand::{Demand, Member, MemberState, MembersAnswer};
use dasklet_protocol::v1;
use serde_json::json;

use crate::{
    client::{Client, array, task},
    http::{announce, get, post, request},
    support::{scheduler, scheduler_with, until, within},
    worker::Worker,
};

#[tokio::test]
async fn an_empty_scheduler_answers_everything() {
    let running = scheduler().await;
    let at = running.http_address();
    for (path, body) in [("/health", "ok"), ("/ready", "ok"), ("/api/v1", "API V1")] {
        let answer = get(at, path).await;
        assert_eq!((answer.status, &*answer.body), (200, body), "{path}");
        assert!(answer.head.contains("text/plain"), "{path}");
    }
    for (path, body) in [
        ("/api/v1/get_workers", json!({ "num_workers": 0, "workers": [] })),
        ("/api/v1/adaptive_target", json!({ "workers": 0 })),
        ("/api/v1/members", json!([])),
        ("/api/v1/jobs", json!({ "jobs": [] })),
        ("/api/v1/tasks", json!({ "tasks": [], "next": null })),
        ("/individual-plots.json", json!({ "Status": "/status" })),
    ] {
        assert_eq!(get(at, path).await.json(), body, "{path}");
    }
    assert_eq!(post(at, "/api/v1/retire_workers", "{}").await.json(), json!({}));
    let page = get(at, "/status").await;
    assert!(page.head.contains("text/html") && page.body.contains("dasklet"));
    assert_eq!(get(at, "/").await.status, 307);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn every_path_of_the_site_map_answers() {
    let running = scheduler().await;
    let at = running.http_address();
    let paths = get(at, "/sitemap.json").await.json()["paths"].clone();
    for path in paths.as_array().unwrap() {
        let path = path.as_str().unwrap();
        let answer = get(at, path).await;
        let expected: &[u16] = if path.contains('{') { &[404] } else { &[200, 307, 405] };
        assert!(expected.contains(&answer.status), "{path}: {}", answer.status);
    }
    assert_eq!(get(at, "/nothing").await.status, 404);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn dasks_answers_have_dasks_shapes() {
    let running = scheduler().await;
    let at = running.http_address();
    let mut worker = Worker::connect(&running, "w0").await;
    let mut client = Client::connect(&running, "s").await;
    client.submit(0, vec![array("a", 100)]);
    worker.next_runs().await;

    let counts = get(at, "/json/counts.json").await.json();
    for (name, value) in
        [("workers", 1), ("tasks", 100), ("clients", 1), ("cores", 2), ("hosts", 1)]
    {
        assert_eq!(counts[name], value, "{name}");
    }
    for name in ["bytes", "erred", "idle", "memory", "processing", "released", "saturated"]
        .into_iter()
        .chain(["unrunnable", "waiting", "waiting_data", "desired_workers"])
    {
        assert!(counts[name].is_u64(), "{name}");
    }
    let identity = get(at, "/json/identity.json").await.json();
    assert_eq!(identity["type"], "Scheduler");
    assert_eq!(identity["workers"]["tcp://127.0.0.1:1"]["name"], "w0");
    assert_eq!(identity["workers"]["tcp://127.0.0.1:1"]["nthreads"], 2);
    assert_eq!(
        get(at, "/api/v1/get_workers").await.json(),
        json!({ "num_workers": 1, "workers": [{ "name": "w0", "address": "tcp://127.0.0.1:1" }] })
    );
    assert!(get(at, "/api/v1/adaptive_target").await.json()["workers"].as_u64().unwrap() >= 1);
    assert_eq!(get(at, "/api/v1/check_idle").await.json(), json!({ "idle_since": null }));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn idleness_is_a_moment() {
    let running = scheduler().await;
    let idle = get(running.http_address(), "/api/v1/check_idle").await.json();
    assert!(idle["idle_since"].as_f64().unwrap() > 1.7e9);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn retired_workers_are_drained_and_told_to_exit() {
    let running = scheduler().await;
    let at = running.http_address();
    let mut worker = Worker::connect(&running, "w0").await;
    let retired = tokio::spawn(async move {
        post(at, "/api/v1/retire_workers", r#"{"workers": ["tcp://127.0.0.1:1", "tcp://x:1"]}"#)
            .await
    });
    let told = async { while !worker.next().await.unwrap().shutdown {} };
    within("the word to exit", told).await;
    drop(worker);
    let answer = retired.await.unwrap().json();
    assert_eq!(answer["tcp://127.0.0.1:1"]["name"], "w0");
    assert_eq!(answer.as_object().unwrap().len(), 1);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn retiring_goes_on_when_its_caller_has_gone() {
    let running = scheduler().await;
    let at = running.http_address();
    let mut worker = Worker::connect(&running, "w0").await;
    let mut client = Client::connect(&running, "s").await;
    client.submit(0, vec![task("a", &[])]);
    let runs = worker.next_runs().await;
    let caller = tokio::spawn(async move {
        post(at, "/api/v1/retire_workers", r#"{"names": ["w0"]}"#).await;
    });
    let told = async { while worker.next().await.unwrap().drain.is_none() {} };
    within("the drain", told).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    worker.finish(&runs);
    client.until(|told| told.done.len() == 1).await;
    let release = vec![v1::LocalRange { local: 0, count: 1, ..Default::default() }];
    client.send(v1::ClientMessage { release, ..Default::default() });
    let told = async { while !worker.next().await.unwrap().shutdown {} };
    within("the word to exit", told).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn pages_of_other_sites_change_nothing() {
    let body = r#"{"members": []}"#;
    let running = scheduler().await;
    let at = running.http_address();
    for (origin, part) in
        [("http://evil.example", "http://evil.example"), ("http://test", "--token")]
    {
        let headers = format!("origin: {origin}\r\n");
        for path in ["drain", "undrain", "lost", "retire_workers"] {
            let answer = request(at, "POST", &format!("/api/v1/{path}"), body, &headers).await;
            assert_eq!(answer.status, 403, "{path}");
            assert!(answer.error().contains(part), "{}", answer.error());
        }
        // What changes nothing is answered.
        let answer = request(at, "POST", "/api/v1/demand", "{}", &headers).await;
        assert_eq!(answer.status, 200);
    }
    running.stop().await.unwrap();

    let running = scheduler_with(|options| options.token = Some("secret".to_owned())).await;
    let headers = "origin: http://test\r\nauthorization: Bearer secret\r\n";
    let answer = request(running.http_address(), "POST", "/api/v1/drain", body, headers).await;
    assert_eq!(answer.status, 200);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn demand_waits_for_a_change() {
    let running = scheduler().await;
    let at = running.http_address();
    let ask = r#"{"shapes": [{"group": "g", "resources": {"cpu": 1000}, "most": 3}]}"#;
    let before: Demand = serde_json::from_str(&post(at, "/api/v1/demand", ask).await.body).unwrap();
    assert_eq!(before.trials[0].useful, 0);
    let ask = format!(
        r#"{{"shapes": [{{"group": "g", "resources": {{"cpu": 1000}}, "most": 3}}], "after": {}}}"#,
        before.version
    );
    let poll = tokio::spawn(async move { post(at, "/api/v1/demand", &ask).await });
    let mut client = Client::connect(&running, "s").await;
    client.submit(0, vec![array("a", 1000)]);
    client.until(|told| told.accepted.len() == 1).await;
    let after: Demand = serde_json::from_str(&poll.await.unwrap().body).unwrap();
    assert!(after.version > before.version);
    // The poll may have been woken by the client's arrival already.
    let last = until("the demand of the tasks", || async {
        let answer = post(
            at,
            "/api/v1/demand",
            r#"{"shapes": [{"group": "g", "resources": {"cpu": 1000}, "most": 3}]}"#,
        )
        .await;
        let demand: Demand = serde_json::from_str(&answer.body).unwrap();
        (demand.trials[0].useful > 0).then_some(demand)
    })
    .await;
    assert_eq!(last.classes[0].ready, 1000);

    let ask = format!(r#"{{"after": {}, "waitMillis": 1}}"#, last.version);
    assert_eq!(post(at, "/api/v1/demand", &ask).await.status, 200);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn members_are_drained_and_called_back() {
    let running = scheduler().await;
    let at = running.http_address();
    let mut worker = Worker::connect(&running, "w0").await;
    let mut client = Client::connect(&running, "s").await;
    client.submit(0, vec![task("a", &[])]);
    let runs = worker.next_runs().await;
    let standing = |answer: crate::http::Answer| {
        serde_json::from_str::<MembersAnswer>(&answer.body).unwrap().members[0].state
    };
    let body = r#"{"members": [{"name": "w0", "instance": "another"}]}"#;
    assert_eq!(standing(post(at, "/api/v1/drain", body).await), None);
    let body = r#"{"members": [{"name": "w0", "instance": "instance of w0"}]}"#;
    let state = standing(post(at, "/api/v1/drain", body).await);
    assert_eq!(state, Some(MemberState::Draining));
    let told = async { while worker.next().await.unwrap().drain.is_none() {} };
    within("the drain", told).await;
    let state = standing(post(at, "/api/v1/undrain", body).await);
    assert_eq!(state, Some(MemberState::Serving));
    worker.finish(&runs);
    client.until(|told| told.done.len() == 1).await;
    let members: Vec<Member> =
        serde_json::from_str(&get(at, "/api/v1/members").await.body).unwrap();
    assert_eq!((members[0].bytes_sole, members[0].state), (8, MemberState::Serving));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_death_told_from_outside_ends_the_connection() {
    let running = scheduler().await;
    let at = running.http_address();
    let mut worker = Worker::connect(&running, "w0").await;
    let body = r#"{"member": {"name": "w0"}, "cause": {"cause": "signal", "signal": 9}}"#;
    let answer = post(at, "/api/v1/lost", body).await;
    assert_eq!(answer.json(), json!({ "members": [{ "name": "w0", "state": null }] }));
    assert!(worker.next().await.is_none());
    running.stop().await.unwrap();
}

#[tokio::test]
async fn tasks_are_listed_in_pages_and_explained() {
    let running = scheduler().await;
    let at = running.http_address();
    let mut client = Client::connect(&running, "s").await;
    client.submit(0, vec![task("first/one", &[]), array("a", 10)]);
    client.until(|told| told.accepted.len() == 2).await;
    let mut seen = 0;
    let mut after = String::new();
    loop {
        let page = get(at, &format!("/api/v1/tasks?limit=4{after}")).await.json();
        seen += page["tasks"].as_array().unwrap().len();
        match page["next"].as_u64() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, 11);
    assert_eq!(
        get(at, "/api/v1/tasks?state=ready&limit=1000").await.json()["tasks"]
            .as_array()
            .unwrap()
            .len(),
        11
    );
    for path in ["/api/v1/explain/first/one", "/api/v1/explain/first%2Fone"] {
        let explanation = get(at, path).await.json();
        assert_eq!(explanation["task"]["state"], "ready", "{path}");
        assert!(!explanation["reasons"].as_array().unwrap().is_empty());
    }
    let jobs = get(at, "/api/v1/jobs").await.json();
    assert_eq!(
        (&jobs["jobs"][0]["name"], &jobs["jobs"][0]["progress"]["total"]),
        (&json!("job"), &json!(11))
    );
    running.stop().await.unwrap();
}

#[tokio::test]
async fn bad_requests_are_told_what_is_wrong() {
    let running = scheduler().await;
    let at = running.http_address();
    for (path, body, part) in [
        ("/api/v1/demand", r#"{"shape": []}"#, "shape"),
        ("/api/v1/demand", "nonsense", "body is wrong"),
        ("/api/v1/drain", r#"{"members": [], "deadline": 3}"#, "deadline"),
        ("/api/v1/drain", r#"{"members": [{"name": ""}]}"#, "without a name"),
        ("/api/v1/drain", r#"{"members": [], "deadlineSeconds": -1}"#, "deadlineSeconds"),
        ("/api/v1/undrain", r#"{"members": [], "deadlineSeconds": 1}"#, "deadlineSeconds"),
        ("/api/v1/lost", r#"{"member": {"name": "w"}, "cause": {"cause": "boredom"}}"#, "boredom"),
        ("/api/v1/retire_workers", r#"{"count": 3}"#, "count"),
    ] {
        let answer = post(at, path, body).await;
        assert_eq!(answer.status, 400, "{path} {body}");
        assert!(answer.error().contains(part), "{}", answer.error());
    }
    for (path, part) in [
        ("/api/v1/tasks?limit=100000", "1000"),
        ("/api/v1/tasks?state=asleep", "asleep"),
        ("/api/v1/tasks?colour=red", "colour"),
    ] {
        let answer = get(at, path).await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.error().contains(part), "{}", answer.error());
    }
    let answer = get(at, "/api/v1/explain/nobody").await;
    assert_eq!(answer.status, 404);
    assert!(answer.error().contains("nobody"));
    let answer = announce(at, "/api/v1/demand", 2 << 20).await;
    assert_eq!(answer.status, 413);
    assert!(answer.error().contains("limit"));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn what_changes_something_needs_the_token() {
    let running = scheduler_with(|options| options.token = Some("secret".to_owned())).await;
    let at = running.http_address();
    for path in ["drain", "undrain", "lost", "retire_workers"] {
        let path = format!("/api/v1/{path}");
        for headers in ["", "authorization: Bearer wrong\r\n", "authorization: Basic secret\r\n"] {
            let answer = request(at, "POST", &path, r#"{"members": []}"#, headers).await;
            assert_eq!(answer.status, 401, "{path}");
        }
    }
    let good = "authorization: Bearer secret\r\n";
    let answer = request(at, "POST", "/api/v1/drain", r#"{"members": []}"#, good).await;
    assert_eq!(answer.json(), json!({ "members": [] }));
    assert_eq!(post(at, "/api/v1/demand", "{}").await.status, 200);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn metrics_are_prometheus_text() {
    let running = scheduler().await;
    let at = running.http_address();
    Worker::connect(&running, "w0").await.serve();
    let mut client = Client::connect(&running, "s").await;
    client.submit(0, vec![array("a", 1000)]);
    client.until(|told| told.done.len() == 1000).await;
    client.send(v1::ClientMessage { progress_millis: 10, ..Default::default() });
    let answer = get(at, "/metrics").await;
    assert!(answer.head.contains("version=0.0.4"));
    let lines: Vec<&str> = answer.body.lines().collect();
    for line in [
        "dask_scheduler_clients 1",
        "dask_scheduler_workers{state=\"idle\"} 1",
        "dask_scheduler_tasks{state=\"memory\"} 1000",
        "dask_scheduler_workers_added_total 1",
        "dasklet_runs_finished_total 1000",
        "dasklet_run_seconds_count 1000",
        "dasklet_dispatch_seconds_count 1000",
        "dasklet_recovery_seconds_count 0",
    ] {
        assert!(lines.contains(&line), "{line} in {}", answer.body);
    }
    for line in lines.iter().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let family = name.split('{').next().unwrap();
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| family.strip_suffix(end))
            .unwrap_or(family);
        assert!(
            lines.iter().any(|l| l.starts_with(&format!("# TYPE {family} "))
                || l.starts_with(&format!("# TYPE {base} "))),
            "{line} has a type"
        );
    }
    running.stop().await.unwrap();
}
