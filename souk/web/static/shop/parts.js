// What pages are made of.

import { Problem, Unreachable } from "./api.js"
import { h, icon, settled, show } from "./dom.js"
import { STATES, money, nameOf } from "./format.js"
import { generated, pictureOf } from "./picture.js"

export const link = (href, properties, ...children) => h("a", { href, ...properties }, ...children)
export const button = (text, click, properties = {}) => h("button", { type: "button", class: "button", ...properties, on: { click } }, text)
// A title as long as they may be is no headline any more: it is set smaller.
export const heading = text => h("h1", { tabindex: "-1", dir: "auto", class: text.length > 70 ? "long" : null }, text)

export function price(amount, { big = false } = {}) {
  const text = money(amount)
  return h("span", { class: `price${big ? " big" : ""}${text.length > 12 ? " long" : ""}` }, text)
}

export function badge(state) {
  const [text, tone] = STATES[state] ?? [state, "quiet"]
  return h("span", { class: `badge ${tone}` }, text)
}

export function notice(tone, text, ...more) {
  const mark = { good: "check", warn: "alert", bad: "alert" }[tone] ?? "info"
  return h("div", { class: `notice ${tone}`, role: { good: "status", bad: "alert" }[tone] }, icon(mark), h("div", {}, h("p", {}, text), ...more))
}

export function empty(title, text, ...actions) {
  return h("div", { class: "empty" }, h("div", { class: "empty-picture" }, generated(title, ["empty"])), h("h2", {}, title), h("p", {}, text), h("div", { class: "actions" }, actions))
}

export const loading = (rows = 3) => h("div", { class: "loading", role: "status" }, h("span", { class: "hidden" }, "Loading"), Array.from({ length: rows }, () => h("div", { class: "bone line" })))
export const loadingGrid = (cells = 8) => h("div", { class: "loading grid", role: "status" }, h("span", { class: "hidden" }, "Loading"), Array.from({ length: cells }, () => h("div", {}, h("div", { class: "bone square" }), h("div", { class: "bone line" }), h("div", { class: "bone line short" }))))

// What went wrong, in a person's words.
export function saidOf(error) {
  if (error instanceof Unreachable) return "Souk cannot be reached at the moment. Nothing was lost; try again in a moment."
  if (error instanceof Problem && error.status === 429) return `Too many requests. Please wait ${error.retryAfter || "a few"} seconds.`
  if (error instanceof Problem && error.status >= 500) return "Something on our side does not work at the moment. Please try again."
  return error.message
}

export function failed(error, again) {
  return h("div", { class: "empty", role: "alert" }, icon(error instanceof Unreachable ? "offline" : "alert", 40), h("h2", {}, error instanceof Unreachable ? "No connection" : "That did not work"), h("p", {}, saidOf(error)), again && h("div", { class: "actions" }, button("Try again", again)))
}

export function notHere(what = "page") {
  const shown = empty("", `There is no such ${what}. It may have been removed by its owner, or the address is not quite right.`, link("/", { class: "button" }, "Look around"))
  shown.querySelector("h2").replaceWith(heading("Not here"))
  return shown
}

const MOST_TURNS = 10
let toldTimer
export function tell(text, { href } = {}) {
  const place = document.getElementById("told")
  show(place, h("div", { class: "toast" }, href ? link(href, {}, text) : text))
  clearTimeout(toldTimer)
  toldTimer = setTimeout(() => show(place), 7000)
}

export function leftText(product) {
  if (product.available === 0) return h("span", { class: "left out" }, "Sold out")
  if (product.available <= 3) return h("span", { class: "left few" }, `Only ${product.available} left`)
  return null
}

export function card(product, at = 99, { seller = true } = {}) {
  return h("li", { class: "card" },
    link(`/p/${product.id}`, { class: "card-link" },
      h("div", { class: "frame" }, pictureOf(product, { eager: at < 4 }), leftText(product)),
      h("h3", { dir: "auto" }, product.title)),
    h("p", { class: "card-foot" }, price(product.price), seller && link(`/u/${product.seller.id}`, { class: "seller", dir: "auto" }, nameOf(product.seller))))
}

// A list that grows by a button, never by itself: whoever uses the keyboard reaches the foot of the page. Whoever comes
// back to it finds it as long as they left it.
export async function growing(list, row, { kind = "grid", none, signal }) {
  const rows = h("ul", { class: kind, role: "list" })
  const place = h("div", { class: "growing" }, rows)
  let shown = 0
  let turns = 0
  async function grow(focus) {
    const found = await list.more()
    const made = found.map(one => row(one, shown++))
    rows.append(...made)
    if (focus) made[0]?.querySelector("a")?.focus()
    if (list.ended) more.remove()
    turns += 1
  }
  const more = button("Show more", async () => {
    more.disabled = true
    await grow(true).catch(error => { if (!signal.aborted) tell(saidOf(error)) })
    if (!signal.aborted) history.replaceState({ ...history.state, turns: { ...history.state?.turns, [list.path]: turns } }, "")
    more.disabled = false
  }, { class: "button quiet more" })
  const before = Math.min(history.state?.turns?.[list.path] ?? 1, MOST_TURNS)
  do await grow(false)
  while (turns < before && !list.ended)
  if (!shown) return none()
  if (!list.ended) place.append(more)
  return place
}

let ids = 0
// A labelled control. `field.problem(text)` shows what is wrong with it, "" takes that back.
export function field(label, control, { hint } = {}) {
  const id = `f${++ids}`
  control.id = id
  const wrong = h("p", { class: "wrong", id: `${id}-wrong` })
  const told = hint ? h("p", { class: "hint", id: `${id}-hint` }, hint) : null
  const described = [told && `${id}-hint`, `${id}-wrong`].filter(Boolean).join(" ")
  control.setAttribute("aria-describedby", described)
  const node = h("div", { class: "field" }, h("label", { for: id }, label), told, control, wrong)
  const problem = text => {
    wrong.textContent = text
    text ? control.setAttribute("aria-invalid", "true") : control.removeAttribute("aria-invalid")
  }
  control.addEventListener("input", settled(50, () => problem("")))
  return { node, control, problem, get value() { return control.value } }
}

// The fields one under the other; those named in one of `rows` beside each other.
const placed = (fields, rows) => Object.entries(fields).map(([name, { node }]) => {
  const row = rows.find(names => names.includes(name))
  if (!row) return node
  return row[0] === name ? h("div", { class: "price-row" }, row.map(one => fields[one].node)) : null
})

// A form of named fields. Pointers of the API's errors find their field by `pointers` ({"/price/amount": "price"}) or by name.
export function form({ fields, submit, action, pointers = {}, foot = [], tone = "", rows = [] }) {
  const said = h("div", { class: "said" })
  const go = h("button", { class: "button main", type: "submit" }, submit)
  const node = h("form", { class: `form ${tone}`, novalidate: true }, placed(fields, rows), said, h("div", { class: "actions" }, go, foot))
  const wrong = problems => {
    for (const [name, text] of Object.entries(problems)) fields[name]?.problem(text)
    Object.entries(fields).find(([name]) => problems[name])?.[1].control.focus()
  }
  node.addEventListener("submit", async event => {
    event.preventDefault()
    if (go.disabled) return
    show(said)
    for (const one of Object.values(fields)) one.problem("")
    go.disabled = true
    go.setAttribute("aria-busy", "true")
    try {
      const problems = await action(said)
      if (problems) wrong(problems)
    } catch (error) {
      if (error.name === "AbortError") return
      const found = {}
      for (const one of error.errors ?? []) {
        const name = pointers[one.pointer] ?? one.pointer?.split("/")[1]
        if (fields[name]) found[name] = one.detail
      }
      wrong(found)
      if (!Object.keys(found).length) show(said, notice("bad", saidOf(error)))
    } finally {
      go.disabled = false
      go.removeAttribute("aria-busy")
      said.scrollIntoView({ block: "nearest" })
    }
  })
  return { node, said, wrong, submit: go }
}

export const input = (name, properties = {}) => h("input", { name, type: "text", autocomplete: "off", dir: "auto", ...properties })

// Asks before something that cannot be taken back. Resolves to whether to go on.
export function sure(question, text, yes) {
  return new Promise(done => {
    const answer = given => () => { box.close(); done(given) }
    const box = h("dialog", { class: "dialog", "aria-label": question },
      h("h2", {}, question), h("p", {}, text),
      h("div", { class: "actions" }, button(yes, answer(true), { class: "button bad" }), button("No, go back", answer(false), { class: "button quiet", autofocus: true })))
    box.addEventListener("close", () => { box.remove(); done(false) })
    document.body.append(box)
    box.showModal()
  })
}
