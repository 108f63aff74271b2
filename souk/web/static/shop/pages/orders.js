// The orders of a buyer.

import { pages, productsById } from "../api.js"
import { badge, empty, growing, heading, link, price } from "../parts.js"
import { h } from "../dom.js"
import { many, moment } from "../format.js"
import { pictureOf } from "../picture.js"

const STATES = [["", "All"], ["PENDING_CONFIRMATION", "Waiting"], ["ACCEPTED", "Accepted"], ["NOT_CONFIRMED", "Not paid"], ["CANCELLED", "Cancelled"]]

function row(order) {
  const [first, ...rest] = order.lines
  return h("li", {}, link(`/orders/${order.id}`, { class: "order-row" },
    h("span", { class: "frame tiny", data: { product: first.product_id } }, pictureOf({ title: first.title, tags: [] })),
    h("span", { class: "order-text" }, h("strong", { dir: "auto" }, first.title), h("span", { class: "hint" }, `${rest.length ? `and ${many(rest.length, "other product")}, ` : ""}${moment(order.created)}`)),
    badge(order.state), price(order.total)))
}

// Orders and sales know no pictures: those of their products, wherever one is still to be had.
export async function hang(place, ids) {
  const products = await productsById(ids)
  for (const frame of place.querySelectorAll("[data-product]")) {
    const product = products.get(frame.dataset.product)
    if (product) frame.replaceChildren(pictureOf(product))
  }
}

export const tabs = (label, base, all, chosen) => h("nav", { class: "tabs", "aria-label": label }, all.map(([value, text]) => link(value ? `${base}?state=${value}` : base, { "aria-current": value === chosen ? "true" : null }, text)))

export async function page({ query, signal }) {
  const chosen = STATES.find(([value]) => value === query.get("state"))?.[0] ?? ""
  const shown = []
  const list = pages("/orders", chosen ? { state: chosen } : {}, { signal })
  const node = await growing(list, order => { shown.push(order); return row(order) }, {
    kind: "rows", signal,
    none: () => empty("No orders here", chosen ? "None of your orders is in this state." : "What you order will be listed here.", link("/", { class: "button" }, "Look around")),
  })
  await hang(node, shown.map(order => order.lines[0].product_id))
  return [heading("Your orders"), tabs("Orders by state", "/orders", STATES, chosen), node]
}
