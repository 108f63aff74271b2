// One order: held until its deadline, paid, accepted. Everything here changes by itself when the order does.

import { Problem, get, line, now, post, productsById } from "../api.js"
import { putLine } from "../bag.js"
import { button, heading, link, notHere, notice, price, saidOf, sure, tell } from "../parts.js"
import { h, icon, show } from "../dom.js"
import { STATES, clock, leftOf, moment, money, nameOf } from "../format.js"
import { live, liveState, whenever } from "../live.js"
import { pictureOf } from "../picture.js"
import { user } from "../session.js"

const CARDS = [
  ["tok_ok", "Card ending in 4242", "is accepted"], ["tok_declined", "Card ending in 0002", "is declined"], ["tok_slow", "Card of a slow bank", "answers after two seconds"],
  ["tok_flaky", "Card with a bad line", "the first answer is lost"], ["tok_unreachable", "Card of a bank that is away", "is declined after a minute"],
]
const DECLINED = { card_declined: "The bank declined this card.", provider_unreachable: "The bank could not be reached." }
const EVENTS = { place: "Order placed", confirm: "Payment begun", accept: "Payment taken, order accepted", take_back: "Payment declined", decline: "Payment declined, and no time left", expire: "Time ran out", cancel: "Cancelled" }
const SPOKEN = [60, 30, 10]

const steps = order => {
  const reached = { PENDING_CONFIRMATION: 0, CONFIRMED: 1, ACCEPTED: 2 }[order.state]
  if (reached === undefined) return null
  return h("ol", { class: "steps", "aria-label": "Progress" }, ["Placed", "Paying", "Accepted"].map((text, at) => h("li", { class: at <= reached ? "done" : "", "aria-current": at === reached ? "step" : null }, text)))
}

// The time that is left, by the server's clock. Ends by itself when its page is left.
function countdown(order, signal, over) {
  const until = Date.parse(order.expires_at)
  const whole = until - Date.parse(order.created)
  const shown = h("span", { class: "time", role: "timer", "aria-label": "Time left to pay" })
  const bar = h("span", { class: "bar-fill" })
  const spoken = h("span", { class: "hidden", role: "status" })
  let said = null
  const tick = () => {
    const left = until - now()
    shown.textContent = leftOf(left)
    bar.style.setProperty("inline-size", `${Math.max(0, Math.min(100, (left / whole) * 100))}%`)
    node.classList.toggle("short", left < 60000)
    const mark = SPOKEN.filter(seconds => left <= seconds * 1000).at(-1) ?? null
    if (mark !== said && left > 0) spoken.textContent = mark ? `${mark} seconds left to pay` : ""
    said = mark
    if (left > 0 || signal.aborted) return
    clearInterval(timer)
    setTimeout(() => { if (!signal.aborted) over() })
  }
  const node = h("div", { class: "countdown" }, h("p", {}, icon("clock"), "Please pay within", shown), h("div", { class: "bar", "aria-hidden": "true" }, bar), h("p", { class: "hint" }, "Until then the products are held for you. Afterwards they go back on the shelf."), spoken)
  const timer = setInterval(tick, 250)
  signal.addEventListener("abort", () => clearInterval(timer), { once: true })
  tick()
  return node
}

function paying(order, act, again) {
  const declined = order.payment?.state === "DECLINED"
  const chosen = again.token ?? "tok_ok"
  const cards = CARDS.map(([token, text, what]) => h("label", { class: "choice" }, h("input", { type: "radio", name: "card", value: token, checked: token === chosen }), h("span", {}, text), h("span", { class: "hint" }, what)))
  const pay = h("button", { class: "button main", type: "submit" }, `Pay ${money(order.total)}`)
  const form = h("form", { class: "form pay", novalidate: true },
    declined && notice("bad", `${DECLINED[order.payment.decline_code] ?? "The payment was declined."} Nothing was charged. Please choose another card.`),
    h("fieldset", {}, h("legend", {}, "Pay with"), h("p", { class: "hint" }, "These are test cards, and no money moves. Each plays a bank that behaves in its own way."), cards),
    h("div", { class: "actions" }, pay, button("Cancel the order", async () => { if (await sure("Cancel this order?", "The products go back on the shelf. Nothing was charged.", "Cancel the order")) act("cancel") }, { class: "button quiet" })))
  form.addEventListener("submit", event => {
    event.preventDefault()
    again.token = new FormData(form).get("card")
    act("confirm", { payment: { method: "card", token: again.token } })
  })
  return form
}

function outcome(order, again) {
  if (order.state === "CONFIRMED") return h("div", { class: "notice info", role: "status" }, h("span", { class: "spinner", "aria-hidden": "true" }), h("div", {}, h("p", {}, "Your payment is under way. This page changes by itself when the bank has answered.")))
  if (order.state === "ACCEPTED") return notice("good", "Paid and accepted. Thank you!", h("p", { class: "hint" }, `Accepted ${moment(order.accepted_at)}`))
  const cancelled = order.state === "CANCELLED"
  const why = cancelled ? "You cancelled this order. Nothing was charged." : order.reason === "payment_declined" ? "The payment was declined, and there was no time left for another card. Nothing was charged." : "The time to pay ran out, and the products went back on the shelf. Nothing was charged."
  return notice(cancelled ? "quiet" : "warn", why, h("div", { class: "actions" }, button("Put it all into the bag again", again, { class: "button" })))
}

const lines = (order, products) => h("ul", { class: "rows", role: "list" }, order.lines.map(one => h("li", { class: "order-row" },
  h("span", { class: "frame tiny" }, pictureOf(products.get(one.product_id) ?? { title: one.title, tags: [] })),
  h("span", { class: "order-text" }, link(`/p/${one.product_id}`, { dir: "auto", class: "title" }, one.title), h("span", { class: "hint one-line" }, `${one.quantity} × ${money(one.unit_price)}, by `, link(`/u/${one.seller.id}`, { dir: "auto" }, nameOf(one.seller)))),
  price(one.line_total))))

const history = entries => h("ol", { class: "history" }, entries.map(one => h("li", {}, h("span", {}, EVENTS[one.event] ?? one.event), h("span", { class: "hint" }, `${clock(one.at)}, ${one.actor.type === "user" ? (one.actor.id === user()?.id ? "by you" : "by the buyer") : one.actor.type === "staff" ? "by staff" : "by Souk"}`))))

export async function page({ params: [id], signal }) {
  let order
  try {
    order = await get(`/orders/${id}`, null, { signal })
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return notHere("order")
    throw error
  }
  const products = await productsById(order.lines.map(one => one.product_id))
  const again = { token: null }
  const place = { head: h("div", { class: "order-head" }), said: h("div", { class: "said" }), spoken: h("span", { class: "hidden", role: "status" }), now: h("div", { class: "order-now" }), told: h("section", { class: "told-before" }) }
  let drawn = ""
  let ticking = new AbortController()

  const shape = () => JSON.stringify([order.state, order.payment, order.updated])

  function draw() {
    // Only what differs is drawn anew: a radio button in somebody's hand must not move.
    const is = shape()
    if (is === drawn) return
    drawn = is
    ticking.abort()
    ticking = new AbortController()
    signal.addEventListener("abort", () => ticking.abort(), { once: true })
    show(place.head, steps(order))
    const can = order.allowed_actions
    if (can.includes("confirm")) show(place.now, countdown(order, ticking.signal, over), paying(order, act, again))
    else show(place.now, outcome(order, refill))
    get(`/orders/${id}/history`, { limit: 100 }, { signal }).then(({ results }) => show(place.told, h("h2", {}, "What happened"), history(results))).catch(() => {})
  }
  async function look(event) {
    if (event && event.subject.id !== id && event.data?.order_id !== id) return
    const before = order.state
    try {
      order = await get(`/orders/${id}`, null, { signal })
    } catch {
      return // the line to the server says so itself, and one looks again
    }
    if (signal.aborted) return
    draw()
    if (order.state !== before) place.spoken.textContent = `The order is now: ${STATES[order.state][0]}`
  }
  // The deadline is past by the server's clock: whoever ends the order does it within a second or so.
  async function over() {
    show(place.now, notice("info", "Time is up. Looking what became of the order…"))
    for (let tries = 0; tries < 60 && !signal.aborted; tries++) {
      await new Promise(done => setTimeout(done, 700))
      await look(null)
      if (!order.allowed_actions.includes("confirm")) return
    }
  }
  async function act(verb, body) {
    place.now.setAttribute("aria-busy", "true")
    for (const one of place.now.querySelectorAll("button, input")) one.disabled = true
    show(place.said)
    try {
      order = (await post(`/orders/${id}/${verb}`, body)).data
    } catch (error) {
      if (error.name === "AbortError") return
      show(place.said, notice("bad", error instanceof Problem && error.code === "order_expired" ? "The time to pay has run out." : saidOf(error)))
      await look(null)
    }
    drawn = ""
    place.now.removeAttribute("aria-busy")
    draw()
  }
  async function refill() {
    let missed = 0
    for (const one of order.lines) await putLine(one.product_id, one.quantity).catch(() => { missed += 1 })
    tell(missed ? "What is still on sale is in your bag again." : "It is all in your bag again.", { href: "/bag" })
  }

  whenever(signal, look)
  line.addEventListener("up", () => look(null), { signal })
  const state = h("span", { class: "line-state" })
  const drawState = () => { state.textContent = { live: "Live", polling: "Looked at every few seconds", off: "" }[liveState()]; state.dataset.state = liveState() }
  live.addEventListener("state", drawState, { signal })
  drawState()
  draw()
  return [
    h("div", { class: "page-head" }, heading(`Order of ${moment(order.created)}`), state),
    h("div", { class: "order-page" },
      h("div", { class: "order-main" }, place.head, place.said, place.now, place.spoken),
      h("div", { class: "order-side" }, h("section", {}, h("h2", {}, "Products"), lines(order, products), h("p", { class: "total-line" }, h("span", {}, "Total"), price(order.total, { big: true }))), place.told)),
  ]
}
