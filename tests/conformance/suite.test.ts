// The published conformance suite of the Durable Streams protocol, against the server at
// CONFORMANCE_URL.
import { runConformanceTests } from "@durable-streams/server-conformance-tests"

runConformanceTests({
  baseUrl: process.env.CONFORMANCE_URL ?? "http://127.0.0.1:4437",
  longPollTimeoutMs: 26_000,
  subscriptions: true,
})
