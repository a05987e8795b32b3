// Owns one server process on one data folder and one port: starts it, kills it, starts it again.
// Knows nothing of streams or clients. Invariant: when the program that uses it ends, also by an
// error, no process and no folder of it stays; `run.sh` sees to programs that are killed.
//
// For programs in other languages: `node supervisor.mjs` says `up URL` whenever the server can be
// reached, answers each line `restart` with `down` once the server is dead, says `failed REASON`
// when it cannot go on, and ends with its input.
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve as absolute } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"

const HERE = fileURLToPath(new URL(".", import.meta.url))
const BINARY = absolute(HERE, process.env.SCROLLBACK ?? "../../target/debug/scrollback")
const START_WITHIN_MS = 20_000
const PORTS_TRIED = 20

// Below the ports that the system hands out, or a client that tries to connect while the server is
// down could be given the server's own port.
const somePort = () => 20_000 + Math.floor(Math.random() * 10_000)

export class Server {
  /** Resolves once the server can be reached. */
  up
  /** Rejects if the server ends without having been killed, or does not start again. */
  failed
  kills = 0
  #port
  #child
  #fail
  #folder = mkdtempSync(join(process.env.CLIENTS_WORK ?? tmpdir(), "scrollback-clients-"))
  #cleanUp = () => {
    this.#kill()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  constructor() {
    this.failed = new Promise((_, reject) => (this.#fail = reject))
    this.failed.catch(() => {})
    process.on("exit", this.#cleanUp)
  }

  static async start() {
    const server = new Server()
    for (let tries = 1; ; tries++) {
      server.#port = somePort()
      try {
        await server.#run()
        return server
      } catch (error) {
        if (tries === PORTS_TRIED || !/in use/i.test(error.message)) {
          await server.stop()
          throw error
        }
      }
    }
  }

  get url() {
    return `http://127.0.0.1:${this.#port}`
  }

  /** Sends SIGKILL before it returns. Then starts the server again; `up` says when. */
  restart() {
    this.kills++
    const dead = this.#kill()
    this.up = dead.then(() => this.#run())
    this.up.catch((error) => this.#fail(error))
    return { dead, up: this.up }
  }

  /** Resolves when the process is gone and its folder removed. */
  async stop() {
    process.off("exit", this.#cleanUp)
    await this.#kill()
    this.#cleanUp()
  }

  #kill() {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
    child.removeAllListeners("exit")
    const dead = new Promise((resolve) => child.once("exit", resolve))
    child.kill("SIGKILL")
    return dead
  }

  #run() {
    const args = ["serve", "--listen", `127.0.0.1:${this.#port}`, "--data-dir", join(this.#folder, "data")]
    const child = spawn(BINARY, [...args, "--log-filter", "warn"], {
      stdio: ["ignore", "ignore", "pipe"],
      env: { PATH: process.env.PATH },
    })
    this.#child = child
    this.up = listening(child)
    this.up.then(
      () => child.once("exit", (code, signal) => this.#fail(new Error(`the server ended by itself: ${code ?? signal}`))),
      () => {}
    )
    return this.up
  }
}

/** Resolves when the server says where it listens; rejects with what it said instead. */
function listening(child) {
  return new Promise((resolve, reject) => {
    let said = ""
    const late = setTimeout(() => reject(new Error(`the server did not start in time: ${said}`)), START_WITHIN_MS)
    child.stderr.setEncoding("utf8").on("data", (text) => {
      said = (said + text).slice(-4096)
      if (!said.includes("listens on http://")) return
      child.off("close", early)
      clearTimeout(late)
      resolve()
    })
    const early = (code, signal) => {
      clearTimeout(late)
      reject(new Error(`the server did not start (${code ?? signal}): ${said}`))
    }
    child.once("close", early)
    child.once("error", (error) => early(error.message))
  })
}

async function serveLines() {
  const say = (line) => process.stdout.write(`${line}\n`)
  const server = await Server.start()
  server.failed.catch((error) => say(`failed ${error.message.replaceAll("\n", " ")}`))
  say(`up ${server.url}`)
  for await (const line of createInterface({ input: process.stdin })) {
    if (line !== "restart") throw new Error(`not a command: ${line}`)
    const { dead, up } = server.restart()
    await dead
    say("down")
    up.then(() => say(`up ${server.url}`), () => {})
  }
  await server.stop()
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  // What is said last, about a failure at the start, must arrive as well.
  await serveLines().catch((error) => {
    process.stdout.write(`failed ${error.message.replaceAll("\n", " ")}\n`)
    process.exitCode = 1
  })
}
