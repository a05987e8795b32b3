//! A server that ends in the middle of a turn.

use std::sync::Arc;

use scrollback::{log::StreamPath, session::projections::Projections, store::memory::MemoryStore};

use super::{begin, command, done};
use crate::util::TestApp;

async fn state(app: &TestApp) -> Projections {
    let path = StreamPath::session("s").unwrap();
    app.app.views().read(&path, |state, _| state.clone()).await.unwrap()
}

#[tokio::test]
async fn after_a_restart_in_the_middle_of_a_turn_all_is_as_before() {
    let store = Arc::new(MemoryStore::default());
    let app = TestApp::over(store.clone(), |app| app);
    begin(&app).await;
    done(&app, "presence", r#"{"type":"joined","userId":"u"}"#).await;
    let turn = done(&app, "messages", r#"{"id":"m1","text":"a"}"#).await["turnId"].clone();
    let waiting = done(&app, "messages", r#"{"id":"m2","text":"b"}"#).await;
    let chunks = format!("turns/{}/chunks", turn.as_str().unwrap());
    let added = done(&app, &chunks, r#"{"index":0,"text":"par"}"#).await;
    let before = state(&app).await;
    assert_eq!(before.queue.messages.len(), 1);
    assert_eq!(before.turn.active.as_ref().unwrap().turn_id.as_str(), turn);

    let app = TestApp::over(store, |app| app);
    assert_eq!(state(&app).await, before);
    // What was answered before is answered in the same way, and nothing comes twice.
    assert_eq!(done(&app, "messages", r#"{"id":"m2","text":"b"}"#).await, waiting);
    assert_eq!(done(&app, &chunks, r#"{"index":0,"text":"par"}"#).await, added);
    assert_eq!(state(&app).await, before);
    // And the turn goes on.
    done(&app, &chunks, r#"{"index":1,"text":"tial"}"#).await;
    let complete = format!("turns/{}/complete", turn.as_str().unwrap());
    assert_eq!(command(&app, &complete, r#"{"text":"partial"}"#).await.status, 200);
    assert_eq!(state(&app).await.turn.active.unwrap().turn_id.as_str(), waiting["turnId"]);
}
