// The shell: addresses to pages, the header, the line to the server. Each page is a module of its own, loaded when asked for.

import { Problem, Unreachable, get, isDown, line, reachable } from "./api.js"
import { bagCount, loadBag, onBag } from "./bag.js"
import { h, icon, show } from "./dom.js"
import { nameOf } from "./format.js"
import { live, startLive, stopLive } from "./live.js"
import { button, failed, link, loading, loadingGrid, notHere, tell } from "./parts.js"
import { searchField } from "./search.js"
import { SessionEnded, session, signOut, signedIn, user } from "./session.js"
import { loadUser } from "./sign.js"

const ID = "([0-9a-fA-F-]{36})"
// address, page, whether it needs somebody signed in
const PLACES = [
  [/^\/$/, () => import("./pages/browse.js"), false],
  [new RegExp(`^/p/${ID}$`), () => import("./pages/product.js"), false],
  [new RegExp(`^/u/${ID}$`), () => import("./pages/store.js"), false],
  [/^\/signin$/, () => import("./pages/signin.js"), false],
  [/^\/register$/, () => import("./pages/register.js"), false],
  [/^\/forgotten$/, () => import("./pages/forgotten.js"), false],
  [/^\/reset$/, () => import("./pages/reset.js"), false],
  [/^\/verify$/, () => import("./pages/verify.js"), false],
  [/^\/feed$/, () => import("./pages/feed.js"), true],
  [/^\/account$/, () => import("./pages/account.js"), true],
  [/^\/bag$/, () => import("./pages/bag.js"), true],
  [/^\/orders$/, () => import("./pages/orders.js"), true],
  [new RegExp(`^/orders/${ID}$`), () => import("./pages/order.js"), true],
  [/^\/desk$/, () => import("./pages/desk.js"), true],
  [/^\/desk\/sales$/, () => import("./pages/sales.js"), true],
  [/^\/desk\/new$/, () => import("./pages/create.js"), true],
  [new RegExp(`^/desk/${ID}$`), () => import("./pages/edit.js"), true],
]

// Where one does not want to be brought back to after signing in.
const DOORS = ["/signin", "/register", "/forgotten", "/reset", "/verify"]

const main = document.getElementById("main")
let leaving = new AbortController()

export function go(href, { replace = false } = {}) {
  if (replace) history.replaceState(null, "", href)
  else {
    history.replaceState({ ...history.state, y: scrollY }, "")
    history.pushState(null, "", href)
  }
  return open()
}

async function open({ y = 0, first = false } = {}) {
  leaving.abort()
  leaving = new AbortController()
  const { signal } = leaving
  const url = new URL(location.href)
  search.set(url.searchParams.get("q") ?? "")
  const [, load, needsUser] = PLACES.find(([address]) => address.test(url.pathname)) ?? []
  if (needsUser && !signedIn()) return go(`/signin?${new URLSearchParams({ next: url.pathname, needed: "" })}`, { replace: true })
  main.setAttribute("aria-busy", "true")
  // What was there stays for a moment: a fast answer must not flash.
  const bones = setTimeout(() => show(main, url.pathname === "/" ? loadingGrid() : loading()), first ? 0 : 250)
  let node
  try {
    if (!load) throw new Problem(404, {}, new Headers())
    const { page } = await load().catch(again)
    const params = PLACES.find(([address]) => address.test(url.pathname))[0].exec(url.pathname).slice(1)
    node = await page({ params, query: url.searchParams, signal, go })
  } catch (error) {
    if (signal.aborted || error.name === "AbortError") return clearTimeout(bones)
    if (error instanceof SessionEnded) node = failed(new Error("Please sign in to see this page."), () => go(`/signin?${new URLSearchParams({ next: url.pathname })}`))
    else if (error instanceof Problem && error.status === 404) node = notHere()
    else {
      node = failed(error, () => open())
      line.addEventListener("up", () => open(), { signal, once: true })
    }
  }
  clearTimeout(bones)
  if (signal.aborted) return
  show(main, node)
  main.removeAttribute("aria-busy")
  const title = main.querySelector("h1")
  document.title = title ? `${title.textContent} · Souk` : "Souk"
  markPlace(url.pathname)
  if (!first) {
    title?.focus({ preventScroll: true })
    scrollTo({ top: y, behavior: "instant" })
  }
}

// A module that did not come. Either the server is away: then the whole page is loaded again once it is back, since some
// browsers never ask twice for a module. Or a new version of Souk came while this page was open: then at once, and once.
async function again(error) {
  if (isDown() || !(await reachable())) {
    line.addEventListener("up", () => location.reload(), { signal: leaving.signal, once: true })
    throw new Unreachable()
  }
  if (history.state?.reloaded) throw error
  history.replaceState({ ...history.state, reloaded: true }, "")
  location.reload()
  return new Promise(() => {})
}

document.addEventListener("click", event => {
  const found = event.target.closest?.("a[href]")
  if (!found || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
  const url = new URL(found.href)
  if (url.origin !== location.origin || found.target || found.hasAttribute("download")) return
  if (!PLACES.some(([address]) => address.test(url.pathname)) || url.hash) return
  event.preventDefault()
  closeMenu()
  // Whoever signs in by the header comes back to where they were.
  const to = url.pathname === "/signin" || url.pathname === "/register"
  if (to && !DOORS.includes(location.pathname) && !url.search) url.search = new URLSearchParams({ next: location.pathname + location.search })
  go(url.pathname + url.search)
})
addEventListener("popstate", event => open({ y: event.state?.y ?? 0 }))
history.scrollRestoration = "manual"

// The header

const search = searchField(go)
const places = h("nav", { class: "places", id: "places", "aria-label": "Souk" })
const opener = h("button", { type: "button", class: "opener", "aria-expanded": "false", "aria-controls": "places", "aria-label": "Menu", on: { click: () => setMenu(!top.classList.contains("open")) } }, icon("menu"))
const bagLink = link("/bag", { class: "bag" })
const top = document.getElementById("top")

function setMenu(isOpen) {
  top.classList.toggle("open", isOpen)
  opener.setAttribute("aria-expanded", String(isOpen))
}
const closeMenu = () => setMenu(false)
document.addEventListener("keydown", event => { if (event.key === "Escape" && top.classList.contains("open")) { closeMenu(); opener.focus() } })

function drawHeader() {
  const me = user()
  const links = me
    ? [["/feed", "Feed"], ["/orders", "Orders"], ["/desk", "Sell"], ["/account", nameOf(me)]]
    : [["/signin", "Sign in"], ["/register", "Register"]]
  show(places, links.map(([href, text]) => link(href, { dir: "auto" }, text)),
    me?.is_staff && link("/admin/", {}, "Admin"),
    me && button("Sign out", async () => { closeMenu(); await signOut(); tell("You are signed out."); go("/") }, { class: "plain" }))
  drawBag()
  drawWaiting()
  markPlace(location.pathname)
}

// An order that was left before it was paid is easily forgotten, and its time runs.
let waiting = false
async function lookForWaiting() {
  if (!user()) return
  const { results } = await get("/orders", { state: "PENDING_CONFIRMATION", limit: 1 }, { quiet: true })
  waiting = results.length > 0
  drawWaiting()
}

function drawWaiting() {
  const place = places.querySelector("[href='/orders']")
  if (place) show(place, "Orders", waiting && h("span", { class: "dot" }), waiting && h("span", { class: "hidden" }, ", one waits for payment"))
}

function drawBag() {
  const number = signedIn() ? bagCount() : 0
  show(bagLink, icon("bag"), h("span", { class: "bag-word" }, "Bag"), number ? h("span", { class: "pip" }, h("span", { class: "hidden" }, "with "), String(number), h("span", { class: "hidden" }, number === 1 ? " item" : " items")) : null)
}

function markPlace(pathname) {
  for (const one of top.querySelectorAll("a")) {
    const is = one.getAttribute("href")
    is !== "/" && (pathname === is || pathname.startsWith(`${is}/`)) ? one.setAttribute("aria-current", "page") : one.removeAttribute("aria-current")
  }
}

function drawBanner() {
  show(document.getElementById("banner"), isDown() && h("p", { class: "banner" }, icon("offline", 18), "Souk cannot be reached. Trying again by itself…"))
}

show(top, link("/", { class: "mark", "aria-label": "Souk, to the start" }, h("span", { class: "mark-sign", "aria-hidden": "true" }), "Souk"), search.node, places, bagLink, opener)
show(document.getElementById("foot"),
  h("p", {}, "Souk: a market where everybody can sell and buy."),
  h("nav", { "aria-label": "About" }, link("/guide/", {}, "Guide"), link("/api/v1/docs", {}, "API"), link("/api/v1/redoc", {}, "Reference"), link("/health/ready", {}, "Status")))

session.addEventListener("change", ({ detail }) => {
  drawHeader()
  if (user()) {
    startLive()
    loadBag().catch(() => {})
    lookForWaiting().catch(() => {})
  } else {
    stopLive()
    waiting = false
    // Signed out in another tab: what only the account may see goes.
    if (detail.elsewhere && PLACES.find(([address]) => address.test(location.pathname))?.[2]) open()
  }
})
onBag(drawBag)
line.addEventListener("down", drawBanner)
line.addEventListener("up", () => { drawBanner(); if (signedIn() && !user()) loadUser().catch(() => {}) })
live.addEventListener("look", () => lookForWaiting().catch(() => {}))
live.addEventListener("event", ({ detail }) => {
  if (detail.type.startsWith("order.")) lookForWaiting().catch(() => {})
  if (detail.type !== "order.accepted" || !user()) return
  const sold = (detail.data.lines ?? []).filter(one => one.seller.id === user().id)
  if (sold.length) tell(`Sold: ${sold.map(one => `${one.quantity} × ${one.title}`).join(", ")}`, { href: "/desk/sales" })
})

drawHeader()
loadUser().catch(error => { if (error instanceof SessionEnded) drawHeader() })
open({ first: true })
