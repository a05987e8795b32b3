// One run: a server, a writer, a reader that follows it, and kills in between. Knows how to write to
// a stream of the protocol; how to read is the test's affair. Invariant: nothing of a run outlives it.
import { createFetchWithBackoff, DurableStream, IdempotentProducer } from "@durable-streams/client"
import { Disturbance, Progress } from "./disturbance.mjs"
import { assertSame, CONTENT_TYPES, COUNT, messages } from "./messages.mjs"
import { Server } from "./supervisor.mjs"

/** The longest that a run may take: far more than it does. */
const WITHIN_MS = 40_000

/**
 * `follow` begins to read, calls `onCaughtUp` when it has, and resolves at the end of the stream.
 * `write` writes the messages and ends the stream. `check` gets what `follow` resolved to as well.
 */
export async function scenario(t, { kind, path, create = createStream, follow, write, check = () => {} }) {
  const server = await Server.start()
  const over = new AbortController()
  let late
  try {
    const written = messages(kind, 1)
    const progress = new Progress(kind, written)
    const disturbed = new Disturbance(server, progress)
    const signal = over.signal
    const run = { server, url: server.url + path, kind, written, progress, disturbed, signal }
    const tooLate = new Promise((_, reject) => {
      const how = () => `it hangs: ${progress.seen} of ${COUNT} messages seen, killed at ${disturbed.killedAt}`
      late = setTimeout(() => reject(new Error(how())), WITHIN_MS)
    })
    const all = async () => {
      await create(run)
      const followed = await followWhile(run, follow, write)
      disturbed.assertDone()
      assertSame(kind, progress.parts, written)
      await server.up
      await check({ ...run, followed })
    }
    await Promise.race([all(), tooLate, server.failed])
    t.diagnostic(`killed when ${disturbed.killedAt} messages were seen; ${disturbed.duplicates} duplicates`)
  } finally {
    clearTimeout(late)
    over.abort()
    await server.stop()
  }
}

async function followWhile(run, follow, write) {
  let following
  await new Promise((onCaughtUp, reject) => {
    following = follow({ ...run, onCaughtUp })
    following.catch(reject)
  })
  const [followed] = await Promise.all([following, write(run)])
  return followed
}

const createStream = ({ url, kind, signal }) =>
  DurableStream.create({ url, contentType: CONTENT_TYPES[kind], signal })

/**
 * Writes with the client's producer and closes the stream. One batch at a time goes with the
 * retries that the client brings. Those take a 409 for final, so that with several batches in
 * flight, which may overtake each other, only requests without an answer are sent again.
 */
export async function writeStream({ url, kind, written, disturbed, signal, inFlight = 1 }) {
  const backoff = { initialDelay: 20, maxDelay: 200, multiplier: 1.3, maxRetries: 50 }
  let fail
  const failed = new Promise((_, reject) => (fail = reject))
  const handle = new DurableStream({ url, contentType: CONTENT_TYPES[kind] })
  const producer = new IdempotentProducer(handle, "writer", {
    maxInFlight: inFlight,
    maxBatchBytes: 1024,
    fetch: inFlight === 1 ? createFetchWithBackoff(disturbed.fetch, backoff) : disturbed.fetchAgain,
    onError: fail,
    signal,
  })
  const all = async () => {
    for (const [index, message] of written.entries()) {
      await disturbed.pace(index)
      producer.append(message)
    }
    await producer.flush()
    await producer.close()
  }
  await Promise.race([all(), failed])
}
