// What happens, as it happens. One tab of a browser listens for all of them; where no stream can be had, pages are told
// to look again every few seconds.

import { signedIn, token } from "./session.js"

const ADDRESS = document.querySelector('meta[name="souk-live"]').content
const POLL = 4000
const SILENCE = 40000
const tabs = "BroadcastChannel" in window && navigator.locks ? new BroadcastChannel("souk.live") : null

// Events: "event" (detail: the API's event), "look" (look again yourself), "state" (detail: "live", "polling", "off").
export const live = new EventTarget()
let state = "off"
let stop = null
let cursor = null

export const liveState = () => state

function tell(name, detail, { pass = true } = {}) {
  if (name === "state") {
    if (detail === state) return
    state = detail
  }
  live.dispatchEvent(new CustomEvent(name, { detail }))
  if (pass) tabs?.postMessage({ name, detail })
}

// Hear `names` (types of events, or all) until `signal` ends it. `look` runs at every event and whenever polling.
export function whenever(signal, look) {
  live.addEventListener("event", ({ detail }) => look(detail), { signal })
  live.addEventListener("look", () => look(null), { signal })
}

const wait = (milliseconds, signal) => new Promise(done => {
  const timer = setTimeout(done, milliseconds)
  signal.addEventListener("abort", () => { clearTimeout(timer); done() }, { once: true })
})

async function* entries(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ""
  let silence
  try {
    for (;;) {
      // A connection that says nothing for so long is dead: there is a sign of life every 15 seconds.
      const late = new Promise((_, fail) => { silence = setTimeout(() => fail(new Error("silence")), SILENCE) })
      const { done, value } = await Promise.race([reader.read(), late])
      clearTimeout(silence)
      if (done) return
      const blocks = (rest + value).split("\n\n")
      rest = blocks.pop()
      for (const block of blocks) yield entryOf(block)
    }
  } finally {
    clearTimeout(silence)
    reader.cancel().catch(() => {})
  }
}

// The lines of one entry by their names: id, event, data.
function entryOf(block) {
  const entry = {}
  for (const one of block.split("\n")) {
    const at = one.indexOf(":")
    if (at > 0) entry[one.slice(0, at)] = one.slice(at + 1).trimStart()
  }
  return entry
}

// One connection, until it ends. True when it had been open.
async function listen(signal) {
  const bearer = await token()
  if (!bearer) return false
  const headers = { Authorization: `Bearer ${bearer}`, ...(cursor ? { "Last-Event-ID": cursor } : {}) }
  const answer = await fetch(`${ADDRESS}/live`, { headers, signal, cache: "no-store" })
  if (answer.status === 401) await token(bearer)
  if (answer.status === 410 || answer.status === 400) cursor = null // too old to go on from: from now on, and look once
  if (!answer.ok) return false
  tell("state", "live")
  tell("look", null) // whatever happened before the connection
  try {
    for await (const entry of entries(answer.body)) {
      if (entry.id) cursor = entry.id
      if (entry.data) tell("event", JSON.parse(entry.data))
    }
  } catch (error) {
    if (signal.aborted) throw error
  }
  return true
}

async function lead(signal) {
  const polling = setInterval(() => { if (state === "polling") tell("look", null) }, POLL)
  signal.addEventListener("abort", () => clearInterval(polling), { once: true })
  let pause = 500
  while (!signal.aborted && signedIn()) {
    const opened = await listen(signal).catch(() => false)
    if (signal.aborted) break
    pause = opened ? 500 : Math.min(pause * 2, 15000)
    if (!opened) tell("state", "polling")
    await wait(pause, signal)
  }
  clearInterval(polling)
}

export function startLive() {
  if (stop || !signedIn()) return
  stop = new AbortController()
  const { signal } = stop
  tabs?.postMessage({ name: "who" })
  if (tabs) navigator.locks.request("souk.live", { signal }, () => lead(signal)).catch(() => {})
  else lead(signal)
}

export function stopLive() {
  stop?.abort()
  stop = null
  cursor = null
  tell("state", "off", { pass: false })
}

tabs?.addEventListener("message", ({ data }) => {
  if (data.name === "who") {
    if (state !== "off") tabs.postMessage({ name: "state", detail: state })
  } else if (stop) tell(data.name, data.detail, { pass: false })
})
