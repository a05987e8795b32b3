// A plain event source, as browsers have it: it reconnects by itself, and says which id it saw
// last. Here on streams of the protocol and on a session.
import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { EventSource } from "eventsource"
import { scenario, writeStream } from "./scenario.mjs"

const DECODE = {
  json: (data) => JSON.parse(data),
  text: (data) => [data],
  bytes: (data) => [Buffer.from(data, "base64")],
}

/** `listen` adds its listeners, and calls `end` at the end. Resolves to how often it connected. */
async function open(url, signal, listen) {
  const source = new EventSource(url)
  let opened = 0
  try {
    await new Promise((end, reject) => {
      const on = (name, act) =>
        source.addEventListener(name, (event) => {
          try {
            act(event)
          } catch (error) {
            reject(error)
          }
        })
      signal.addEventListener("abort", () => reject(signal.reason), { once: true })
      on("open", () => opened++)
      on("error", (event) => assert.notEqual(source.readyState, source.CLOSED, `it gave up: ${event.message}`))
      listen(on, end)
    })
  } finally {
    source.close()
  }
  return opened
}

/**
 * Data counts when the `control` event behind it is there, whose id says how far it goes: what came
 * without one before a break comes again.
 */
function followStream({ url, kind, progress, signal, onCaughtUp }) {
  return open(`${url}?offset=-1&live=sse`, signal, (on, end) => {
    let pending = []
    on("open", () => (pending = []))
    on("data", (event) => pending.push(...DECODE[kind](event.data)))
    on("control", (event) => {
      const control = JSON.parse(event.data)
      assert.equal(event.lastEventId, control.streamNextOffset)
      pending.forEach((part) => progress.add(part))
      pending = []
      if (control.upToDate) onCaughtUp()
      if (control.streamClosed) end()
    })
  })
}

/** Each event counts at once: its id is its own offset. */
function followSession({ url, progress, signal, onCaughtUp }) {
  const epochs = new Set()
  return open(`${url}/stream?fromOffset=0`, signal, (on, end) => {
    on("message", (message) => {
      const event = JSON.parse(message.data)
      progress.add(event.data)
      assert.equal(event.offset, progress.parts.length)
      assert.equal(message.lastEventId, String(event.offset))
    })
    on("caught-up", (event) => {
      epochs.add(JSON.parse(event.data).epoch)
      assert.equal(epochs.size, 1, "it is one stream, whatever happened to the server")
      onCaughtUp()
    })
    on("reset", (event) => assert.fail(`reset: ${event.data}`))
    on("end", (event) => JSON.parse(event.data).reason === "closed" && end())
  })
}

const createSession = async ({ server }) => {
  const answer = await fetch(`${server.url}/api/streams/sessions/clients`, { method: "PUT" })
  assert.equal(answer.status, 201)
}

/** Events that carry ids can be sent again: the server says which ones it had. */
async function writeSession({ server, url, written, disturbed, signal }) {
  const post = async (to, body) => {
    const headers = { "content-type": "application/json" }
    const answer = await disturbed.fetchAgain(to, { method: "POST", headers, body, signal })
    const said = await answer.json()
    assert.equal(answer.status, 200, JSON.stringify(said))
    return said
  }
  for (const [index, message] of written.entries()) {
    await disturbed.pace(index)
    const said = await post(`${url}/events`, `{"id":"event-${index}","channel":"message","data":${message}}`)
    assert.equal(said.offset, index + 1)
    if (said.duplicate) disturbed.duplicates++
  }
  await post(`${server.url}/api/close/sessions/clients`)
}

const check = ({ followed }) => assert.ok(followed >= 2, "it connected again")

// It waits up to three seconds before it reconnects: the runs wait together.
describe("event source", { concurrency: true }, () => {
  for (const kind of ["json", "text", "bytes"]) {
    test(`${kind} on a stream: each message once, in order, over four kills`, (t) =>
      scenario(t, { kind, path: "/v1/stream/clients/events", follow: followStream, write: writeStream, check })
    )
  }
  test("events of a session: each once, in order, over four kills", (t) =>
    scenario(t, {
      kind: "json",
      path: "/api/sessions/clients",
      create: createSession,
      follow: followSession,
      write: writeSession,
      check,
    })
  )
})
