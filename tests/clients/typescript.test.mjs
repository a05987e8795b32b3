// The TypeScript client: streams written by its IdempotentProducer and followed by its `stream`. It
// waits by itself for a server that is away; where a connection breaks in the middle of an answer
// it gives up, and is begun again at the last offset it gave, as its documentation has it.
import assert from "node:assert/strict"
import { test } from "node:test"
import { stream } from "@durable-streams/client"
import { assertSame } from "./messages.mjs"
import { scenario, writeStream } from "./scenario.mjs"

const SUBSCRIBE = {
  json: (res, take) => res.subscribeJson((batch) => take(batch.items, batch)),
  text: (res, take) => res.subscribeText((chunk) => take([chunk.text], chunk)),
  bytes: (res, take) => res.subscribeBytes((chunk) => take([chunk.data], chunk)),
}
// Up to the first answer that is up to date.
const READ = {
  json: (res) => res.json(),
  text: async (res) => [await res.text()],
  bytes: async (res) => [await res.body()],
}

/** Resolves to how often it had to begin again. */
async function follow({ url, kind, live, progress, signal, onCaughtUp }) {
  let offset = "-1"
  for (let times = 0; ; times++) {
    const res = await stream({ url, live, offset, signal })
    const closed = new Promise((resolve) =>
      SUBSCRIBE[kind](res, (parts, meta) => {
        parts.forEach((part) => progress.add(part))
        offset = meta.offset
        if (meta.upToDate) onCaughtUp()
        if (meta.streamClosed) resolve("closed")
      })
    )
    // It rejects where the connection broke. It may resolve before the last part has been handed out.
    const over = res.closed.then(() => (res.streamClosed ? closed : "ended"), () => "broken")
    const how = await Promise.race([closed, over])
    signal.throwIfAborted()
    if (how === "closed") return times
    assert.equal(how, "broken", "the stream is not closed")
  }
}

async function check({ url, kind, written, signal, live, followed }) {
  if (live === "sse") assert.ok(followed >= 1, "the connection broke")
  assertSame(kind, await READ[kind](await stream({ url, signal })), written)
  // Told not to follow, it takes the first answer for all there is.
  assertSame(kind, await READ[kind](await stream({ url, signal, live: false })), written)
}

for (const kind of ["json", "text", "bytes"]) {
  for (const [live, inFlight] of [["sse", 1], ["long-poll", 5]]) {
    const name = `TypeScript, ${kind} over ${live}, ${inFlight} in flight: each message once, in order, over four kills`
    test(name, (t) =>
      scenario(t, {
        kind,
        path: "/v1/stream/clients/typescript",
        follow: (run) => follow({ ...run, live }),
        write: (run) => writeStream({ ...run, inFlight }),
        check: (run) => check({ ...run, live }),
      })
    )
  }
}
