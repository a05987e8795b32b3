// What is written, and whether it came back. Knows no client and no server.
// Invariant: the same seed gives the same messages.
import assert from "node:assert/strict"

/** Messages of a run. */
export const COUNT = 240
/** One in so many is far larger than the others, so that kills also meet answers on their way. */
const BIG_EVERY = 20
const BIG_BYTES = 48 * 1024
const SMALL_BYTES = 400

export const CONTENT_TYPES = { json: "application/json", text: "text/plain; charset=utf-8", bytes: "application/octet-stream" }

// What could pass for a part of a server-sent event, or be cut in the middle of a character.
const WORDS = ["", "one", " two", "three ", "vier äöü", "五", "𝄞 clef", "\n", "\n\nline", "\nevent: control", "\ndata:x", "\nid: 7", ": y"]

const MAKERS = {
  json: (index, next, size) => JSON.stringify({ index, text: words(next, size), nested: [index, [null, true, 1.5e-7]] }),
  text: (index, next, size) => `${words(next, size)}${index}${index % 3 ? "\n" : ""}`,
  bytes: (_, next, size) => Uint8Array.from({ length: size + 1 }, () => next() * 256),
}

/** The messages of a run: texts of JSON, texts, or bytes. */
export function messages(kind, seed) {
  const next = random(seed)
  const size = (index) => (index % BIG_EVERY === BIG_EVERY - 1 ? BIG_BYTES : Math.floor(next() * SMALL_BYTES))
  return Array.from({ length: COUNT }, (_, index) => MAKERS[kind](index, next, size(index)))
}

/** What a message, or a part of what was read, adds to what has been read: messages of JSON, else bytes. */
export const lengthOf = (kind, part) => (kind === "json" ? 1 : Buffer.byteLength(part))

/** Fails unless the parts, as they were read, are the messages, as they were written. */
export function assertSame(kind, parts, written) {
  if (kind === "json") {
    const indexes = parts.map((item) => item.index).join()
    assert.equal(indexes, [...written.keys()].join(), "each message once, in order")
    assert.deepEqual(parts, written.map((text) => JSON.parse(text)))
    return
  }
  const [read, all] = [parts, written].map((list) => Buffer.concat(list.map((part) => Buffer.from(part))))
  const differs = all.findIndex((byte, index) => byte !== read[index])
  assert.ok(read.equals(all), `read ${read.length} bytes of ${all.length}; the first that differs is ${differs}`)
}

/** Numbers from 0 to 1, the same for the same seed: a linear congruence, which is random enough here. */
function random(seed) {
  let state = BigInt(seed)
  return () => {
    state = (state * 6_364_136_223_846_793_005n + 1_442_695_040_888_963_407n) & 0xffff_ffff_ffff_ffffn
    return Number(state >> 32n) / 2 ** 32
  }
}

function words(next, size) {
  let text = ""
  while (text.length < size) text += WORDS[Math.floor(next() * WORDS.length)] + Math.floor(next() * 10)
  return text
}
