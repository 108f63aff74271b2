// The one way to the API: bearer, renewal, problems, idempotency keys, and whether the server can be reached at all.

import { SessionEnded, signedIn, token } from "./session.js"

const BASE = "/api/v1"

export class Problem extends Error {
  constructor(status, told, headers) {
    super(told.detail ?? told.title ?? `The server answered ${status}.`)
    Object.assign(this, { status, code: told.code ?? "", errors: told.errors ?? [], retryAfter: Number(headers.get("Retry-After")) || 0 })
  }
}

export class Unreachable extends Error {
  constructor() { super("Souk cannot be reached.") }
}

export const line = new EventTarget() // "down" and "up"
let down = false
let skew = 0 // server's clock minus ours, milliseconds
let askAgain = null // set by sign.js: a person signs in again, and the request goes on

export const isDown = () => down
export const now = () => Date.now() + skew
export const onSessionEnded = ask => { askAgain = ask }

async function reach(url, options) {
  let answer
  try {
    answer = await fetch(url, options)
  } catch (error) {
    if (error.name === "AbortError") throw error
    lost()
    throw new Unreachable()
  }
  const date = Date.parse(answer.headers.get("Date"))
  // The header has whole seconds: half of one is the best guess for the rest.
  if (date && Math.abs(date + 500 - Date.now() - skew) > 1000) skew = date + 500 - Date.now()
  return answer
}

// Whether the server answers at all; when not, everybody is told.
export async function reachable() {
  const answer = await fetch("/health/live", { cache: "no-store" }).catch(() => null)
  if (!answer) lost()
  return answer !== null
}

function lost() {
  if (down) return
  down = true
  line.dispatchEvent(new Event("down"))
  knock(500)
}

function knock(pause) {
  setTimeout(async () => {
    const answer = await fetch("/health/live", { cache: "no-store" }).catch(() => null)
    if (!answer?.ok) return knock(Math.min(pause * 1.6, 8000))
    down = false
    line.dispatchEvent(new Event("up"))
  }, pause)
}

// {method, body, query, ifMatch, key, signal, anonymous, quiet} -> {data, etag, status}. Raises Problem, Unreachable,
// SessionEnded. `quiet`: nobody waits for the answer, so nobody is asked to sign in for it.
export async function request(path, asked = {}) {
  const { method = "GET", body, query, ifMatch, signal, anonymous = false, quiet = false } = asked
  const url = BASE + path + (query ? `?${new URLSearchParams(query)}` : "")
  const headers = {}
  if (body !== undefined) headers["Content-Type"] = "application/json"
  if (ifMatch) headers["If-Match"] = ifMatch
  if (asked.key) headers["Idempotency-Key"] = asked.key
  const send = async bearer => {
    if (bearer) headers.Authorization = `Bearer ${bearer}`
    else delete headers.Authorization
    return reach(url, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store" })
  }
  let bearer = null
  try {
    if (!anonymous && signedIn()) bearer = await token()
    let answer = await send(bearer)
    if (answer.status === 401 && bearer) answer = await send(await token(bearer))
    if (answer.status === 401 && !anonymous) throw new SessionEnded()
    return await read(answer)
  } catch (error) {
    if (error instanceof SessionEnded && askAgain && !quiet && (await askAgain())) return request(path, asked)
    if (error instanceof TypeError) { lost(); throw new Unreachable() }
    throw error
  }
}

async function read(answer) {
  const isJson = answer.headers.get("Content-Type")?.includes("json")
  const data = answer.status === 204 || !isJson ? {} : await answer.json()
  if (!answer.ok) throw new Problem(answer.status, data, answer.headers)
  return { data, etag: answer.headers.get("ETag"), status: answer.status }
}

export const get = async (path, query, more) => (await request(path, { query, ...more })).data

// A POST that creates or moves something. If the answer is lost on its way, asking again with the same key is safe.
export async function post(path, body, more = {}) {
  const asked = { method: "POST", body, key: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`, ...more }
  try {
    return await request(path, asked)
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error
    await new Promise(done => setTimeout(done, 700))
    return request(path, asked)
  }
}

// Every page of a list, one after the other: `more()` gives the next results. The API may send a page short or even empty.
export function pages(path, query = {}, more = {}) {
  let cursor = null
  let ended = false
  const list = {
    path,
    first: null,
    get ended() { return ended },
    async more() {
      for (let tries = 0; tries < 20 && !ended; tries++) {
        const asked = new URLSearchParams(query)
        if (cursor) asked.set("cursor", cursor)
        const page = await get(path, asked, more)
        list.first ??= page
        cursor = page.next
        ended = cursor === null
        if (page.results.length) return page.results
      }
      return []
    },
  }
  return list
}

// Products by id, for the pictures of bags and orders, which have none of their own.
export async function productsById(ids) {
  if (!ids.length) return new Map()
  const query = new URLSearchParams([...new Set(ids)].slice(0, 100).map(id => ["id", id]))
  query.set("limit", "100")
  const found = await get("/products", query).catch(() => ({ results: [] }))
  return new Map(found.results.map(product => [product.id, product]))
}
