// Who is signed in. The access token lives in this module's memory and nowhere else; the refresh token lies in
// localStorage, so that a visit goes on tomorrow. Tabs share both: one renews, the others hear of it.
// docs/decisions/0032-shop-front.md says what a browser allows here and what it does not.

const KEY = "souk.refresh"
const CLIENT = "souk-web"
const tabs = "BroadcastChannel" in window ? new BroadcastChannel("souk.session") : null
const locks = navigator.locks

export class SessionEnded extends Error {
  constructor() { super("Your session has ended.") }
}

export const session = new EventTarget()
let access = null
let renewedFrom = null // the refresh token that `access` came with
let me = null
let lastUser = null // whose page this is

export const signedIn = () => stored() !== null
export const user = () => me
export const lastUserId = () => lastUser

// Storage can be closed altogether; then the session lasts as long as the page.
let unstored = null
function stored() {
  try { return localStorage.getItem(KEY) } catch { return unstored }
}
function store(token) {
  unstored = token
  try { token === null ? localStorage.removeItem(KEY) : localStorage.setItem(KEY, token) } catch { /* see above */ }
}

// `elsewhere`: another tab signed out. A session that ended by itself leaves the page as it is.
export function setUser(shown, { elsewhere = false } = {}) {
  me = shown
  if (me) lastUser = me.id
  session.dispatchEvent(new CustomEvent("change", { detail: { elsewhere } }))
}

function accept(tokens, { tell = true } = {}) {
  access = tokens.access
  renewedFrom = stored()
  if (tell) tabs?.postMessage({ kind: "have", access })
}

function forget({ tell = true } = {}) {
  store(null)
  access = renewedFrom = null
  if (tell) tabs?.postMessage({ kind: "out" })
  setUser(null, { elsewhere: !tell })
}

async function ask(form) {
  const answer = await fetch("/oauth/token", { method: "POST", body: new URLSearchParams({ client_id: CLIENT, ...form }), cache: "no-store" })
  const told = await answer.json().catch(() => ({}))
  return { answer, told }
}

export async function signIn(username, password) {
  const { answer, told } = await ask({ grant_type: "password", username, password })
  if (!answer.ok) return { refused: told.error_description ?? told.detail ?? "That did not work.", status: answer.status, retry: answer.headers.get("Retry-After") }
  store(told.refresh_token)
  accept({ access: told.access_token })
  return { refused: null }
}

export async function signOut() {
  const token = stored()
  forget()
  // Ends the whole family of tokens; if the server is away they end by themselves.
  if (token) await fetch("/oauth/revoke", { method: "POST", body: new URLSearchParams({ client_id: CLIENT, token, token_type_hint: "refresh_token" }), keepalive: true }).catch(() => {})
}

// An access token; null when nobody is signed in. `dead` is one that was just refused.
export async function token(dead = null) {
  if (!signedIn()) return null
  if (access && access !== dead) return access
  return locks ? locks.request("souk.renew", () => renew(dead)) : renew(dead)
}

async function renew(dead) {
  if (access && access !== dead) return access
  const refresh = stored()
  if (refresh === null) throw new SessionEnded()
  // Somebody else renewed, or is there already: they may just be about to tell us.
  if (refresh !== renewedFrom && (await fromAnotherTab(dead))) return access
  const { answer, told } = await ask({ grant_type: "refresh_token", refresh_token: stored() ?? refresh })
  if (answer.ok) {
    store(told.refresh_token)
    accept({ access: told.access_token })
    return access
  }
  if (answer.status >= 500 || answer.status === 429) throw new TypeError("the token door is closed for now")
  if (stored() !== refresh) return renew(dead) // without locks two tabs can meet here
  forget()
  throw new SessionEnded()
}

async function otherTabs() {
  if (!tabs || !locks) return false
  const { held } = await locks.query()
  return held.filter(lock => lock.name === "souk.tab").length > 1
}

async function fromAnotherTab(dead) {
  if (!(await otherTabs())) return false
  return new Promise(done => {
    const end = found => { clearTimeout(timer); tabs.removeEventListener("message", hear); done(found) }
    const hear = ({ data }) => { if (data.kind === "have" && data.access !== dead) { accept(data, { tell: false }); end(true) } }
    const timer = setTimeout(() => end(false), 400)
    tabs.addEventListener("message", hear)
    tabs.postMessage({ kind: "ask" })
  })
}

tabs?.addEventListener("message", ({ data }) => {
  if (data.kind === "ask" && access && renewedFrom === stored()) tabs.postMessage({ kind: "have", access })
  if (data.kind === "have" && access !== null) accept(data, { tell: false })
  if (data.kind === "out" && me) forget({ tell: false })
})
// Held as long as the tab is open, so that the others can count us.
locks?.request("souk.tab", { mode: "shared" }, () => new Promise(() => {}))
