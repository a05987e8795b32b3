//! Single projections at routes of their own, and the lists of `/api/chat`.

use insta::assert_snapshot;
use serde_json::{Value, json};
use tokio::task::yield_now;

use crate::{state::lines_of, util::TestApp};

const SESSION: &str = "/api/sessions/s";

impl TestApp {
    async fn tell(&self, kind: &str, data: &Value) {
        let body = json!({"type": kind, "data": data}).to_string();
        let answer = self.post("/api/sessions/s/events", body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    async fn messages(&self, count: usize) {
        for n in 1..=count {
            self.tell("message.created", &json!({"id": format!("m{n}"), "role": "user"})).await;
        }
    }

    /// An answer, which says its offset beside it as well.
    async fn view(&self, uri: &str) -> Value {
        let answer = self.get(uri).await;
        assert_eq!(answer.status, 200, "{uri} {}", answer.text());
        let body = answer.json();
        let offset = body.get("logOffset").unwrap_or(&body["offset"]).to_string();
        assert_eq!(answer.headers["scrollback-offset"], offset, "{uri}");
        body
    }
}

/// The ids of a list.
fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn messages_come_in_pages_from_the_newest_on() {
    let app = TestApp::new();
    app.messages(5).await;
    for base in [SESSION, "/api/chat/s"] {
        let newest = app.view(&format!("{base}/messages?limit=2")).await;
        assert_eq!(ids(&newest["messages"]), ["m4", "m5"]);
        assert_eq!((&newest["hasMore"], &newest["total"]), (&json!(true), &json!(5)));
        assert_eq!((&newest["sessionID"], &newest["logOffset"]), (&json!("s"), &json!(5)));
        let oldest = app.view(&format!("{base}/messages?limit=2&offset=4")).await;
        assert_eq!((ids(&oldest["messages"]), &oldest["hasMore"]), (vec!["m1"], &json!(false)));
        let behind = app.view(&format!("{base}/messages?offset=5")).await;
        assert_eq!((&behind["messages"], &behind["hasMore"]), (&json!([]), &json!(false)));
        assert_eq!(app.view(&format!("{base}/messages?limit=400")).await["total"], 5);
        for query in ["limit=401", "limit=0", "offset=-1", "offset=x"] {
            let answer = app.get(&format!("{base}/messages?{query}")).await;
            assert_eq!(answer.code(), "invalid_parameter", "{query}");
        }
    }
    assert_snapshot!(app.get("/api/chat/s/messages?limit=1").await.shown(), @r#"200 {"sessionID":"s","messages":[{"id":"m5","role":"user","state":"completed","createdAt":1795200000000,"updatedAt":1795200000000,"parts":[],"offset":5,"updatedOffset":5}],"hasMore":true,"total":5,"logOffset":5}"#);
}

#[tokio::test]
async fn a_page_has_a_hundred_messages_unless_asked_otherwise() {
    let app = TestApp::new();
    app.messages(101).await;
    let page = app.view("/api/chat/s/messages").await;
    assert_eq!((ids(&page["messages"]).len(), &page["hasMore"]), (100, &json!(true)));
    assert_eq!(ids(&page["messages"])[0], "m2");
}

#[tokio::test]
async fn one_message_is_found_by_its_id() {
    let app = TestApp::new();
    app.tell("message.created", &json!({"id": "a b", "role": "user"})).await;
    assert_snapshot!(app.get("/api/sessions/s/messages/a%20b").await.shown(), @r#"200 {"offset":1,"message":{"id":"a b","role":"user","state":"completed","createdAt":1795200000000,"updatedAt":1795200000000,"parts":[],"offset":1,"updatedOffset":1}}"#);
    assert_snapshot!(app.get("/api/sessions/s/messages/c").await.shown(), @r#"404 {"type":"urn:scrollback:problem:not_in_state","title":"Not in the state","status":404,"code":"not_in_state","message":"the session has no message \"c\" at offset 1","retryable":false}"#);
    assert_eq!(app.get("/api/sessions/t/messages/c").await.code(), "stream_not_found");
}

#[tokio::test]
async fn lists_of_a_chat_are_paged_from_their_beginning() {
    let app = TestApp::new();
    let todos: Vec<_> =
        (1..=3).map(|n| json!({"id": n.to_string(), "text": "t", "status": "pending"})).collect();
    app.tell("todo.updated", &json!({"todos": todos})).await;
    let files = json!([{"path": "a", "additions": 1, "deletions": 2}]);
    app.tell("diff.updated", &json!({"files": files})).await;
    assert_snapshot!(app.get("/api/chat/s/todo?limit=1&offset=1").await.shown(), @r#"200 {"sessionID":"s","todo":[{"id":"2","text":"t","status":"pending"}],"hasMore":true,"total":3,"logOffset":2}"#);
    assert_snapshot!(app.get("/api/chat/s/diff").await.shown(), @r#"200 {"sessionID":"s","diff":[{"path":"a","additions":1,"deletions":2}],"hasMore":false,"total":1,"logOffset":2}"#);
    assert_snapshot!(app.get("/api/sessions/s/diff").await.shown(), @r#"200 {"offset":2,"diff":{"files":[{"path":"a","additions":1,"deletions":2}],"additions":1,"deletions":2,"updatedAt":1795200000000,"updatedOffset":2}}"#);
}

#[tokio::test]
async fn permissions_are_shown_by_their_status() {
    let app = TestApp::new();
    for id in ["p1", "p2"] {
        app.tell(
            "permission.asked",
            &json!({"permissionId": id, "tool": "bash", "title": "rm", "patterns": ["rm *"]}),
        )
        .await;
    }
    app.tell("permission.replied", &json!({"permissionId": "p1", "reply": "once"})).await;
    let uri = "/api/sessions/s/permissions";
    assert_snapshot!(app.get(&format!("{uri}?status=pending")).await.shown(), @r#"200 {"offset":3,"permissions":{"pending":[{"permissionId":"p2","tool":"bash","title":"rm","patterns":["rm *"],"askedAt":1795200000000,"offset":2}]}}"#);
    assert_snapshot!(app.get(&format!("{uri}?status=answered")).await.shown(), @r#"200 {"offset":3,"permissions":{"answered":[{"permissionId":"p1","tool":"bash","title":"rm","patterns":["rm *"],"askedAt":1795200000000,"reply":"once","repliedAt":1795200000000,"offset":3}]}}"#);
    let both = app.view(uri).await;
    assert_eq!(both["permissions"].as_object().unwrap().len(), 2);
    assert_eq!(app.get(&format!("{uri}?status=open")).await.code(), "invalid_parameter");
}

/// Routes whose answer has a projection whole, and where.
const WHOLE: [(&str, &str); 9] = [
    ("terminal", "terminal"),
    ("presence", "presence"),
    ("agents", "agents"),
    ("queue", "queue"),
    ("turn", "turn"),
    ("todo", "todo"),
    ("diff", "diff"),
    ("toolCalls?limit=400", "toolCalls"),
    ("messages?limit=400", "messages"),
];

#[tokio::test]
async fn every_view_goes_on_from_its_offset_while_others_write() {
    const LAST: u64 = 700;
    let app = TestApp::new();
    let mut lines = lines_of("coding-agent").into_iter().take(700);
    app.post("/api/sessions/s/events", lines.next().unwrap()).await;
    let write = async {
        for line in lines {
            assert_eq!(app.post("/api/sessions/s/events", line).await.status, 200);
            yield_now().await;
        }
    };
    let look = async {
        let mut seen = 0;
        while seen < LAST {
            for (route, name) in WHOLE {
                let answer = app.view(&format!("{SESSION}/{route}")).await;
                yield_now().await;
                let offset = answer.get("logOffset").unwrap_or(&answer["offset"]).as_u64().unwrap();
                assert_eq!(answer[name], app.state_at("s", offset).await[name], "{route} {offset}");
                yield_now().await;
                let uri = format!("{SESSION}/events?fromOffset={offset}");
                let after = app.get(&uri).await.offsets();
                let wanted: Vec<u64> = (offset + 1..).take(after.len()).collect();
                assert_eq!(after, wanted, "{route}");
                seen = offset;
            }
        }
        seen
    };
    assert_eq!(tokio::join!(write, look).1, LAST);
}
