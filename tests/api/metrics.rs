//! The counters, their list, and what is drawn and told from them.

use std::collections::BTreeSet;

use scrollback::metrics::{Denied, Limited};

use crate::util::TestApp;

const LIST: &str = include_str!("../../docs/operations/metrics.md");
const DASHBOARD: &str = include_str!("../../docs/operations/grafana-dashboard.json");
const ALERTS: &str = include_str!("../../docs/operations/alerts.yaml");

/// Every metric that a server renders, by the name that is asked for, with its type.
async fn rendered() -> BTreeSet<(String, String)> {
    let text = TestApp::new().get("/metrics").await.text();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let named = types.map(|line| {
        let (name, kind) = line.split_once(' ').unwrap();
        let suffix = if kind == "counter" { "_total" } else { "" };
        (format!("{name}{suffix}"), kind.to_owned())
    });
    named.collect()
}

/// Every metric of the list.
fn listed() -> BTreeSet<(String, String)> {
    let rows = LIST.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.map(|row| {
        let cells: Vec<&str> =
            row.split(" | ").map(|cell| cell.trim_matches(['`', ' ', '|'])).collect();
        assert_eq!(cells.len(), 5, "name, type, unit, labels, meaning: {row}");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "{row}");
        (cells[0].to_owned(), cells[1].to_owned())
    });
    cells.collect()
}

/// The metrics that expressions ask for.
fn asked(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("scrollback_") || word.starts_with("process_"));
    ours.map(|word| {
        let parts = ["_bucket", "_count", "_sum"];
        let base = parts.iter().find_map(|part| word.strip_suffix(part));
        base.unwrap_or(word).to_owned()
    })
    .collect()
}

#[tokio::test]
async fn the_list_has_every_metric_that_is_rendered_and_no_other() {
    let (rendered, listed) = (rendered().await, listed());
    let unlisted: Vec<_> = rendered.difference(&listed).collect();
    let unknown: Vec<_> = listed.difference(&rendered).collect();
    assert!(
        unlisted.is_empty() && unknown.is_empty(),
        "not listed {unlisted:?}, not there {unknown:?}"
    );
    assert!(listed.len() > 45, "{}", listed.len());
}

#[tokio::test]
async fn the_dashboard_and_the_alerts_ask_for_metrics_that_exist() {
    let names: BTreeSet<_> = rendered().await.into_iter().map(|(name, _)| name).collect();
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut drawn = String::new();
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
        for target in panel["targets"].as_array().unwrap() {
            drawn += target["expr"].as_str().unwrap();
            drawn.push('\n');
        }
    }
    assert_eq!(dashboard["templating"]["list"][0]["type"], "datasource");
    for (what, text) in [("dashboard", &*drawn), ("alerts", ALERTS)] {
        let asked = asked(text);
        assert!(asked.len() > 10, "{what}: {asked:?}");
        let unknown: Vec<_> = asked.difference(&names).collect();
        assert!(unknown.is_empty(), "{what} asks for {unknown:?}");
    }
}

#[tokio::test]
async fn every_panel_has_a_place_and_a_number_of_its_own() {
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let numbers: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(numbers.len(), panels.len());
    for panel in panels {
        let place = &panel["gridPos"];
        let right = place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap();
        assert!(right <= 24 && place["h"].as_u64().unwrap() > 0, "{}", panel["title"]);
    }
}

#[tokio::test]
async fn every_alert_says_what_to_do() {
    let alerts = ALERTS.matches("- alert:").count();
    assert!(alerts > 8, "{alerts}");
    for field in ["expr:", "severity:", "summary:", "runbook:"] {
        let lines = ALERTS.lines().filter(|line| line.trim_start().starts_with(field));
        assert_eq!(lines.count(), alerts, "{field}");
    }
}

#[tokio::test]
async fn requests_and_their_bytes_are_counted_by_what_they_were() {
    let app = TestApp::new();
    let body = r#"{"channel":"x","data":1}"#;
    app.post("/api/sessions/s/events", body).await;
    app.get("/api/sessions/s/events").await;
    app.get("/api/sessions/none/events").await;
    let live = app.get("/api/sessions/s/stream?live=false").await;
    let metrics = app.app.log().metrics();
    assert_eq!(metrics.request_bytes.get(), body.len() as u64);
    assert!(metrics.response_bytes.get() > live.body.len() as u64);
    assert_eq!(metrics.append_seconds.count(), 1);
    app.get("/metrics").await;
    let text = app.get("/metrics").await.text();
    for line in [
        r#"scrollback_requests_total{kind="events",method="POST",status="200"} 1"#,
        r#"scrollback_requests_total{kind="events",method="GET",status="200"} 1"#,
        r#"scrollback_requests_total{kind="events",method="GET",status="404"} 1"#,
        r#"scrollback_requests_total{kind="live",method="GET",status="200"} 1"#,
        r#"scrollback_requests_total{kind="operator",method="GET",status="200"} 1"#,
        r#"scrollback_request_seconds_count{kind="events"} 3"#,
        "scrollback_append_seconds_count 1",
        "scrollback_open_streams 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn nobody_makes_more_series_by_asking_for_what_is_not_there() {
    let app = TestApp::new();
    app.get("/nothing").await;
    let before = app.get("/metrics").await.text().lines().count();
    for number in 0..50 {
        app.get(&format!("/nothing/{number}?x={number}")).await;
        app.request(&format!("BREW{number}"), "/nothing").await;
    }
    let after = app.get("/metrics").await.text().lines().count();
    // One more for the unknown methods, one for the first look at the metrics.
    assert!(after <= before + 2, "{before} lines, then {after}");
}

#[tokio::test]
async fn refusals_are_there_by_their_reasons_from_the_first_look_on() {
    let app = TestApp::new();
    let metrics = app.app.log().metrics();
    metrics.deny(Denied::Invalid);
    metrics.limit(Limited::Bytes);
    metrics.limit(Limited::Bytes);
    let text = app.get("/metrics").await.text();
    for line in [
        r#"scrollback_auth_denied_total{reason="invalid"} 1"#,
        r#"scrollback_auth_denied_total{reason="missing"} 0"#,
        r#"scrollback_rate_limited_total{what="bytes"} 2"#,
        r#"scrollback_rate_limited_total{what="requests"} 0"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}
