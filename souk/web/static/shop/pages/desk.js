// The seller's desk: everything one sells, in all states.

import { pages } from "../api.js"
import { badge, empty, growing, heading, link, price } from "../parts.js"
import { h } from "../dom.js"
import { count } from "../format.js"
import { pictureOf } from "../picture.js"
import { tabs } from "./orders.js"

const STATES = [["", "All"], ["ACTIVE", "On sale"], ["DRAFT", "Drafts"], ["ARCHIVED", "Archived"]]

export const deskPlaces = chosen => h("nav", { class: "tabs main-tabs", "aria-label": "Your desk" }, [["/desk", "Products"], ["/desk/sales", "Sales"]].map(([href, text]) => link(href, { "aria-current": href === chosen ? "page" : null }, text)))

const row = product => h("li", {}, link(`/desk/${product.id}`, { class: "order-row" },
  h("span", { class: "frame tiny" }, pictureOf(product)),
  h("span", { class: "order-text" }, h("strong", { dir: "auto" }, product.title), h("span", { class: "hint" }, `${count(product.stock.on_hand)} on hand${product.stock.reserved ? `, ${count(product.stock.reserved)} held` : ""}`)),
  badge(product.state), price(product.price)))

export async function page({ query, signal }) {
  const chosen = STATES.find(([value]) => value === query.get("state"))?.[0] ?? ""
  const list = await growing(pages("/me/products", chosen ? { state: chosen } : {}, { signal }), row, {
    kind: "rows", signal,
    none: () => empty(chosen ? "None here" : "You sell nothing yet", chosen ? "None of your products is in this state." : "A title, a price and how many there are: that is all it takes.", link("/desk/new", { class: "button" }, chosen ? "New product" : "Sell something")),
  })
  return [h("div", { class: "page-head split" }, h("div", {}, heading("Your desk"), h("p", { class: "lead" }, "What you sell, how much of it there is, and what was ordered from you.")), link("/desk/new", { class: "button main" }, "New product")), deskPlaces("/desk"), tabs("Products by state", "/desk", STATES, chosen), list]
}
