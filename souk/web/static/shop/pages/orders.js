// The orders of a buyer.

import { pages, productsById } from "../api.js"
import { badge, empty, growing, heading, link, price } from "../parts.js"
import { h } from "../dom.js"
import { many, moment } from "../format.js"
import { pictureOf } from "../picture.js"

const STATES = [["", "All"], ["PENDING_CONFIRMATION", "Waiting"], ["ACCEPTED", "Accepted"], ["NOT_CONFIRMED", "Not paid"], ["CANCELLED", "Cancelled"]]

function row(order) {
  const pictures = h("span", { class: "thumbs" }, order.lines.slice(0, 3).map(line => h("span", { class: "frame tiny", data: { product: line.product_id } }, pictureOf({ title: line.title, tags: [] }))))
  const rest = order.lines.length > 1 ? ` and ${many(order.lines.length - 1, "other")}` : ""
  return h("li", {}, link(`/orders/${order.id}`, { class: "order-row" },
    pictures,
    h("span", { class: "order-text" }, h("strong", { dir: "auto" }, order.lines[0].title), h("span", {}, rest), h("span", { class: "hint" }, moment(order.created))),
    badge(order.state), price(order.total)))
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
  const products = await productsById(shown.flatMap(order => order.lines.slice(0, 3).map(line => line.product_id)))
  for (const frame of node.querySelectorAll?.("[data-product]") ?? []) {
    const product = products.get(frame.dataset.product)
    if (product) frame.replaceChildren(pictureOf(product))
  }
  return [heading("Your orders"), tabs("Orders by state", "/orders", STATES, chosen), node]
}
