//! Transcripts of states that have everything once.

use insta::assert_snapshot;
use serde_json::json;

use super::*;

fn told(projections: &Value) -> String {
    let mut state = json!({
        "session": {}, "turn": {"earlier": []}, "queue": {"messages": [], "sent": []},
        "messages": [], "toolCalls": [],
    });
    for (name, value) in projections.as_object().unwrap() {
        state[name] = value.clone();
    }
    let state = json!({"offset": 17, "projections": state});
    transcript("s 1", &serde_json::from_value(state).unwrap())
}

fn message(id: &str, state: &str, parts: &Value) -> Value {
    json!({
        "id": id, "role": "assistant", "state": state, "agentId": "coder", "turnId": "t1",
        "createdAt": 1_795_200_008_000_u64, "parts": parts,
    })
}

#[test]
fn a_session_is_told_by_its_head() {
    let text = told(&json!({"session": {
        "title": "Clock *and* bell\n# x", "model": "sparrow", "provider": null, "agent": "coder",
        "createdAt": 1_795_200_001_000_u64, "ended": {"at": 1_795_200_009_000_u64, "by": "u`1", "reason": "done"},
    }}));
    assert_snapshot!(text, @r#"
    # Clock \*and\* bell \# x

    - Session `s 1`, as of event 17
    - Begun 2026-11-20 18:40:01 UTC
    - Model `sparrow`
    - Agent `coder`
    - Ended 2026-11-20 18:40:09 UTC by ``u`1``: done
    "#);
    assert_snapshot!(told(&json!({})), @"
    # s 1

    - Session `s 1`, as of event 17
    ");
}

#[test]
fn parts_of_a_message_are_told_in_their_order() {
    let url = format!("data:,{}", "x".repeat(999));
    let parts = json!([
        {"id": "1", "type": "reasoning", "reasoning": "Is it?\n</details>\n```"},
        {"id": "2", "type": "text", "text": "# Yes\n```rust\nfn unclosed() {}"},
        {"id": "3", "type": "file", "filename": "a.png", "mime": "image/png", "size": 9, "url": url},
        {"id": "4", "type": "patch", "diff": "-a\n+b"},
        {"id": "5", "type": "error", "error": {"message": "no"}},
        {"id": "6", "type": "step-start", "step": 1},
    ]);
    assert_snapshot!(told(&json!({"messages": [message("m1", "completed", &parts)]})), @"
    # s 1

    - Session `s 1`, as of event 17

    ## Assistant `coder`, 2026-11-20 18:40:08 UTC

    <details>
    <summary>Reasoning</summary>

    ````text
    Is it?
    </details>
    ```
    ````

    </details>

    > # Yes
    > ```rust
    > fn unclosed() {}

    **File** `a.png`, image/png, 9 bytes, `data:,xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…`

    **Patch**

    ```diff
    -a
    +b
    ```

    **Error**

    ```text
    no
    ```
    ");
}

#[test]
fn calls_of_tools_are_told_where_they_belong() {
    let parts = json!([
        {"id": "1", "type": "tool", "tool": "read", "callId": "c1", "state": "running"},
        {"id": "2", "type": "tool", "tool": "grep", "state": {
            "status": "completed", "title": "a_b", "input": {"q": "`"}, "output": "```\nx",
        }},
    ]);
    let error = json!({"message": "gone", "code": "x"});
    let calls = json!([
        {"callId": "c1", "tool": "read", "status": "error", "messageId": "m1", "error": error},
        {"callId": "c2", "tool": "list", "status": "pending", "messageId": "m1"},
        {"callId": "c3", "tool": "alone", "status": "completed", "output": [1]},
    ]);
    let messages = json!([message("m1", "completed", &parts)]);
    assert_snapshot!(told(&json!({"messages": messages, "toolCalls": calls})), @r#"
    # s 1

    - Session `s 1`, as of event 17

    ## Assistant `coder`, 2026-11-20 18:40:08 UTC

    **Tool** `read`, error

    Error:

    ```json
    {
      "code": "x",
      "message": "gone"
    }
    ```

    **Tool** `grep`, completed: a\_b

    Input:

    ```json
    {
      "q": "`"
    }
    ```

    Output:

    ````text
    ```
    x
    ````

    **Tool** `list`, pending

    ## Calls of tools outside of messages

    **Tool** `alone`, completed

    Output:

    ```json
    [
      1
    ]
    ```
    "#);
}

#[test]
fn interruptions_faults_and_the_queue_are_told() {
    let mut failed = message("m2", "failed", &json!([]));
    failed["error"] = json!({"message": "lost", "code": "worker_lost"});
    let mut asked = message("m3", "completed", &json!([{"id": "t", "type": "text", "text": "Hi"}]));
    (asked["role"], asked["userId"]) = ("user".into(), "u_mara".into());
    let text = told(&json!({
        "messages": [message("m1", "interrupted", &json!([])), failed, asked, message("m4", "streaming", &json!([]))],
        "turn": {"earlier": [], "last": {"turnId": "t1", "outcome": "interrupted", "by": "ann", "reason": "enough"}},
        "queue": {
            "messages": [{"messageId": "m3"}],
            "sent": [{"messageId": "m3", "queued": true}, {"messageId": "m1", "queued": true}, {"messageId": "m9", "queued": true, "removed": 7}],
        },
    }));
    assert_snapshot!(text, @"
    # s 1

    - Session `s 1`, as of event 17

    ## Assistant `coder`, 2026-11-20 18:40:08 UTC

    *Waited in the queue for its turn.*

    *Interrupted by `ann`: enough.*

    ## Assistant `coder`, 2026-11-20 18:40:08 UTC

    **Failed** (`worker_lost`):

    > lost

    ## User `u_mara`, 2026-11-20 18:40:08 UTC

    *Waits in the queue.*

    > Hi

    ## Assistant `coder`, 2026-11-20 18:40:08 UTC

    *Not finished yet.*

    ## Taken back before their turn

    - `m9`, by event 7
    ");
}
