// How far the reader has come, and when the server is killed. Knows the HTTP of the writer, no client.
// Invariant: progress alone decides, never time.
import assert from "node:assert/strict"
import { COUNT, lengthOf } from "./messages.mjs"

/** Messages that a writer may be ahead of its reader, so that both are under way at each kill. */
const AHEAD = 30
const TRIES = 50

/**
 * The kills of a run, in order, each once the reader has seen so many messages. `request`: the
 * writer has just sent a request. `answer`: a request was carried out, and its answer is lost, so
 * that the writer cannot know. `quiet`: nobody writes, and the reader has seen everything. `close`:
 * the answer to the request that closes the stream is lost.
 */
const PLAN = [
  { seen: 50, how: "request" },
  { seen: 110, how: "answer" },
  { seen: 160, how: "quiet" },
  { seen: 0, how: "close" },
]

/** What a reader has seen; others wait for it. */
export class Progress {
  parts = []
  /** Whole messages. */
  seen = 0
  #ends
  #length = 0
  #kind
  #waiting = []

  constructor(kind, written) {
    let end = 0
    this.#kind = kind
    this.#ends = written.map((message) => (end += lengthOf(kind, message)))
  }

  /** A message of JSON, a text, or bytes. */
  add(part) {
    this.parts.push(part)
    this.#length += lengthOf(this.#kind, part)
    while (this.#ends[this.seen] <= this.#length) this.seen++
    const due = this.#waiting.filter(({ count }) => count <= this.seen)
    this.#waiting = this.#waiting.filter(({ count }) => count > this.seen)
    due.forEach(({ resolve }) => resolve())
  }

  /** Resolves once so many messages have been seen. */
  reached(count) {
    return new Promise((resolve) => (count <= this.seen ? resolve() : this.#waiting.push({ count, resolve })))
  }
}

/** The network of the writer, with a server that dies. */
export class Disturbance {
  /** Requests that the server knew when they came again. */
  duplicates = 0
  /** What the reader had seen at each kill. */
  killedAt = []
  #server
  #progress
  #plan = [...PLAN]

  constructor(server, progress) {
    this.#server = server
    this.#progress = progress
  }

  /** As the standard `fetch`: it fails where the connection breaks. */
  fetch = async (url, init) => {
    if (this.#due("request")) {
      const answer = fetch(url, init)
      answer.catch(() => {})
      // It is on its way, however far it comes.
      await new Promise((resolve) => setImmediate(resolve))
      this.#kill()
      return answer
    }
    const answer = await fetch(url, init)
    if (answer.status === 204) this.duplicates++
    // One that overtook another is refused, and was not carried out.
    if (!answer.ok || !this.#due(closes(url, init) ? "close" : "answer")) return answer
    this.#kill()
    throw new TypeError("the answer is lost")
  }

  /** As `fetch`, but sends again what got no answer, once the server is back. */
  fetchAgain = async (url, init) => {
    for (let tries = 1; ; tries++) {
      try {
        return await this.fetch(url, init)
      } catch (error) {
        if (tries === TRIES || init.signal?.aborted || !(error instanceof TypeError)) throw error
        await this.#server.up
      }
    }
  }

  /** Before message `index` is written: stays near the reader, and kills where all is quiet. */
  async pace(index) {
    await this.#progress.reached(index - AHEAD)
    if (this.#plan[0]?.how !== "quiet" || this.#plan[0].seen !== index) return
    await this.#progress.reached(index)
    this.#due("quiet")
    await this.#kill()
  }

  /** Fails unless all kills took place, those before the end in mid-stream. */
  assertDone() {
    assert.deepEqual(this.#plan, [], "every kill took place")
    assert.equal(this.#server.kills, PLAN.length)
    const early = this.killedAt.slice(0, -1)
    assert.ok(early.every((seen) => seen > 0 && seen < COUNT), `killed in mid-stream, at ${early}`)
    assert.ok(this.duplicates >= 1, "what was carried out, and came again, was known")
  }

  /** Whether a kill of this kind is due. If so it is off the plan. */
  #due(how) {
    const next = this.#plan[0]
    return next?.how === how && this.#progress.seen >= next.seen && this.#plan.shift() !== undefined
  }

  #kill() {
    this.killedAt.push(this.#progress.seen)
    return this.#server.restart().up
  }
}

const closes = (url, init) =>
  String(url).includes("/api/close/") || new Headers(init.headers).get("stream-closed") === "true"
