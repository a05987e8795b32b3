//! Random events over few ids, so that they meet each other.

use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

/// Names that states use themselves, and some that nobody knows: writers may send them all.
pub(super) const ODD: &[&str] = &[
    "id",
    "state",
    "status",
    "placeholder",
    "turn",
    "offset",
    "updatedOffset",
    "createdAt",
    "since",
    "steps",
    "droppedSteps",
    "updatedAt",
    "at",
    "count",
    "joinedAt",
    "lastSeenAt",
    "cursor",
    "partId",
    "workers",
    "startedAt",
    "lines",
    "bytes",
    "metadata",
    "timestamp",
    "type",
    "mode",
];

fn id(letter: char, count: u8) -> impl Strategy<Value = Value> {
    (0..count).prop_map(move |n| json!(format!("{letter}{n}")))
}

fn text() -> impl Strategy<Value = Value> {
    "[a-zé\r\n ]{0,4}".prop_map(Value::from)
}

/// A field that is there or is not.
fn maybe(
    name: &'static str,
    value: impl Strategy<Value = Value> + 'static,
) -> BoxedStrategy<(&'static str, Option<Value>)> {
    prop::option::of(value).prop_map(move |value| (name, value)).boxed()
}

fn always(
    name: &'static str,
    value: impl Strategy<Value = Value> + 'static,
) -> BoxedStrategy<(&'static str, Option<Value>)> {
    value.prop_map(move |value| (name, Some(value))).boxed()
}

type Fields = Vec<BoxedStrategy<(&'static str, Option<Value>)>>;

/// An event of one of some types, now and then with a field that has no business there.
fn event(
    kinds: &'static [&'static str],
    fields: Fields,
) -> impl Strategy<Value = (&'static str, Value)> {
    let odd = prop_oneof![
        6 => Just(None),
        1 => (select(ODD), prop_oneof![Just(json!("odd")), Just(json!(3)), Just(json!([{}]))])
            .prop_map(Some),
    ];
    (select(kinds), fields, odd).prop_map(|(kind, fields, odd)| {
        let given = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let mut data: serde_json::Map<String, Value> = given.collect();
        if let Some((name, value)) = odd {
            data.entry(name).or_insert(value);
        }
        (kind, data.into())
    })
}

fn part() -> impl Strategy<Value = Value> {
    let status = || select(vec!["pending", "running", "completed", "error"]);
    let detail = (status(), prop::option::of(text())).prop_map(
        |(status, output)| json!({"status": status, "output": output, "time": {"start": 1}}),
    );
    let state = prop_oneof![status().prop_map(Value::from), detail];
    let tool = (id('p', 3), state, prop::option::of(id('c', 3))).prop_map(|(id, state, call)| {
        json!({"id": id, "type": "tool", "tool": "bash", "state": state, "callId": call, "more": 1})
    });
    prop_oneof![
        3 => (id('p', 3), text()).prop_map(|(id, text)| json!({"id": id, "type": "text", "text": text})),
        1 => (id('p', 3), text())
            .prop_map(|(id, text)| json!({"id": id, "type": "reasoning", "reasoning": text})),
        3 => tool,
        1 => id('p', 3).prop_map(|id| json!({"id": id, "type": "step-finish", "step": 2, "cost": 0.25})),
    ]
}

fn message_fields() -> Fields {
    vec![
        always("messageId", id('m', 3)),
        maybe("role", select(vec![json!("assistant"), json!("user")])),
        maybe("turnId", id('t', 2)),
        maybe("agentId", id('a', 2)),
        maybe("content", text()),
        maybe("parts", prop::collection::vec(part(), 0..3).prop_map(Value::from)),
        maybe("interrupted", any::<bool>().prop_map(Value::from)),
        maybe("error", Just(json!("broken"))),
        maybe("time", (0..9_u64).prop_map(|at| json!({"created": at, "completed": at + 1}))),
        maybe("cost", Just(json!(0.5))),
    ]
}

fn message() -> impl Strategy<Value = (&'static str, Value)> {
    let whole = &["message.created", "message.updated", "message.completed"];
    let (message_id, part_id) = (|| id('m', 3), || id('p', 3));
    let field = || select(vec![json!("text"), json!("reasoning"), json!("output"), json!("id")]);
    prop_oneof![
        4 => event(whole, message_fields()),
        1 => event(&["message.removed"], vec![always("messageId", message_id())]),
        4 => event(&["message.part.updated"], vec![
            always("messageId", message_id()), always("part", part()), maybe("delta", text()),
        ]),
        4 => event(&["message.part.delta"], vec![
            always("messageId", message_id()), always("partId", part_id()),
            maybe("field", field()), always("delta", text()),
        ]),
        1 => event(&["message.part.removed"], vec![
            always("messageId", message_id()), always("partId", part_id()),
        ]),
    ]
}

fn turn() -> impl Strategy<Value = (&'static str, Value)> {
    let kinds = &["turn.started", "turn.completed", "turn.interrupted", "turn.failed"];
    let chunk = vec![
        maybe("agentId", id('a', 2)),
        maybe("turnId", id('t', 2)),
        maybe("turn", (0..2_u64).prop_map(Value::from)),
        maybe("messageId", id('m', 3)),
        maybe("index", (0..9_u64).prop_map(Value::from)),
        always("text", text()),
    ];
    let fields = vec![
        always("turnId", id('t', 2)),
        maybe("messageId", id('m', 3)),
        maybe("userMessageId", id('m', 3)),
        maybe("agentId", id('a', 2)),
        always("error", Just(json!({"message": "lost", "code": "x"}))),
    ];
    prop_oneof![2 => event(&["chunk.appended"], chunk), 1 => event(kinds, fields)]
}

fn tool() -> impl Strategy<Value = (&'static str, Value)> {
    let kinds = &["tool.pending", "tool.running", "tool.completed", "tool.error"];
    event(
        kinds,
        vec![
            always("callId", id('c', 3)),
            always("tool", Just(json!("bash"))),
            maybe("messageId", id('m', 3)),
            maybe("input", Just(json!({"command": "ls"}))),
            maybe("output", text()),
            always("error", Just(json!("no"))),
        ],
    )
}

fn beside() -> impl Strategy<Value = (&'static str, Value)> {
    let number = || (1..4_u64).prop_map(Value::from);
    let presence = &["presence.joined", "presence.heartbeat", "presence.cursor", "presence.left"];
    let terminal = &["terminal.input", "terminal.output", "terminal.resize", "terminal.exit"];
    let config = &[
        "config.provider.added",
        "config.provider.updated",
        "config.provider.removed",
        "config.model.selected",
        "config.rule.toggled",
        "config.agent.selected",
    ];
    let todo = json!([{"id": "1", "text": "x", "status": "pending", "more": [1]}]);
    let files = json!([{"path": "x", "additions": 1, "deletions": 2}]);
    prop_oneof![
        event(
            presence,
            vec![
                always("userId", id('u', 3)),
                maybe("name", text()),
                always("cursor", Just(json!({"x": 1}))),
            ]
        ),
        event(
            terminal,
            vec![
                maybe("terminalId", id('s', 2)),
                always("data", text()),
                always("cols", number()),
                always("rows", number()),
                maybe("exitCode", number()),
                maybe("source", select(vec![json!("agent"), json!("stderr")])),
            ]
        ),
        event(
            &["agent.state", "agent.step"],
            vec![
                always("agentId", id('a', 2)),
                always("state", text()),
                maybe("step", number()),
                maybe("turnId", id('t', 2)),
                maybe("title", text()),
            ]
        ),
        event(
            config,
            vec![
                always("provider", id('v', 2)),
                always("model", id('o', 2)),
                always("rule", id('r', 2)),
                always("enabled", any::<bool>().prop_map(Value::from)),
                always("agent", id('a', 2)),
                maybe("config", Just(json!({"url": "x"}))),
            ]
        ),
        event(
            &["app.started", "app.stopped", "worker.online", "worker.offline"],
            vec![always("workerId", id('w', 2)), maybe("version", text()), maybe("reason", text()),]
        ),
        event(
            &["todo.updated", "diff.updated"],
            vec![always("todos", Just(todo)), always("files", Just(files)),]
        ),
        event(&["made.up", "permission.replied"], vec![maybe("anything", text())]),
    ]
}

/// A session of up to 60 events.
pub(crate) fn events() -> impl Strategy<Value = Vec<(&'static str, Value)>> {
    let one = prop_oneof![5 => message(), 3 => turn(), 2 => tool(), 3 => beside()];
    prop::collection::vec(one, 0..60)
}
