"""The state that the examples of the document are about: requests of a run find what they name."""

import json
import sys
import urllib.request

SERVER = sys.argv[1]
TURN = "01M7X448000000000000000001"
JSON = "application/json"


def send(method, path, body="", kind=JSON):
    text = body if isinstance(body, str) else json.dumps(body)
    headers = {"content-type": kind}
    request = urllib.request.Request(SERVER + path, text.encode(), headers, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        answer.read()


def event(kind, **data):
    return {"type": kind, "data": data}


for session in ("demo", "old"):
    send("POST", "/api/sessions", {"id": session})
send("POST", "/api/sessions/demo/events", [
    event("message.created", messageId="m1", role="user", turnId=TURN, content="one"),
    event("turn.started", turnId=TURN, userMessageId="m1", messageId="a1"),
    event("message.created", messageId="a1", role="assistant", turnId=TURN, parentId="m1"),
    event("message.created", messageId="m2", role="user", turnId="t2", content="two"),
    event("queue.added", messageId="m2", turnId="t2", position=1, text="two"),
    event("permission.asked", permissionId="p1", tool="write"),
])
send("PUT", "/api/streams/agents/old")
for stream, kind in (("notes/today", "text/plain"), ("notes/old", "text/plain"), ("wakes", JSON)):
    send("PUT", f"/v1/stream/{stream}", kind=kind)
subscription = {"type": "pull-wake", "streams": ["notes/today"], "wake_stream": "wakes"}
send("PUT", "/v1/stream/__ds/subscriptions/indexer", subscription)
webhook = {"type": "webhook", "pattern": "a", "webhook": {"url": "http://localhost:9/a"}}
send("PUT", "/v1/stream/__ds/subscriptions/caller", webhook)
send("POST", "/v1/stream/notes/today", "hello", "text/plain")
