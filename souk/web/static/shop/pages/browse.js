// The start: the newest products, and everything that one searches or filters for. The address says all of it.

import { get, pages } from "../api.js"
import { button, card, empty, field, growing, heading, input, link, loadingGrid } from "../parts.js"
import { h, icon, show } from "../dom.js"
import { count, minorUnits, money } from "../format.js"

const CURRENCIES = ["EUR", "USD", "GBP", "CHF", "JPY"]
const KEPT = ["q", "tag", "available", "min", "max", "currency", "sort"]

// What the address asks for, as the API takes it.
function askedOf(query) {
  const asked = new URLSearchParams()
  const q = query.get("q")?.trim()
  if (q) asked.set("q", q.slice(0, 200))
  for (const tag of query.getAll("tag")) asked.append("tag", tag)
  if (query.get("available") === "true") asked.set("available", "true")
  if (query.get("sort") === "relevance" && q) asked.set("sort", "relevance")
  const currency = CURRENCIES.includes(query.get("currency")) ? query.get("currency") : "EUR"
  for (const [name, parameter] of [["min", "min_price"], ["max", "max_price"]]) {
    const amount = minorUnits(query.get(name) ?? "", currency)
    if (amount === null) continue
    asked.set(parameter, String(amount))
    asked.set("currency", currency)
  }
  asked.set("limit", "24")
  return asked
}

const changed = (query, change) => {
  const next = new URLSearchParams([...query].filter(([name]) => KEPT.includes(name)))
  change(next)
  return `/?${next}`.replace(/\?$/, "")
}

function filters(query, go) {
  const q = query.get("q")
  const currency = h("select", { name: "currency" }, CURRENCIES.map(one => h("option", { value: one, selected: one === (query.get("currency") ?? "EUR") }, one)))
  const price = name => input(name, { inputmode: "decimal", value: query.get(name) ?? "", placeholder: name === "min" ? "any" : "any", maxlength: 16 })
  const fields = { min: field("From", price("min")), max: field("To", price("max")), currency: field("Currency", currency) }
  const available = h("input", { type: "checkbox", name: "available", checked: query.get("available") === "true" })
  const sort = h("select", { name: "sort" }, h("option", { value: "newest" }, "Newest first"), h("option", { value: "relevance", selected: query.get("sort") === "relevance" }, "Best match first"))
  const apply = event => {
    event?.preventDefault()
    for (const name of ["min", "max"]) {
      const text = fields[name].value.trim()
      if (text && minorUnits(text, currency.value) === null) {
        fields[name].problem("An amount, such as 12.50")
        fields[name].control.focus()
        return
      }
    }
    go(changed(query, next => {
      for (const name of ["min", "max"]) fields[name].value.trim() ? next.set(name, fields[name].value.trim()) : next.delete(name)
      next.has("min") || next.has("max") ? next.set("currency", currency.value) : next.delete("currency")
      available.checked ? next.set("available", "true") : next.delete("available")
      sort.value === "relevance" ? next.set("sort", "relevance") : next.delete("sort")
    }))
  }
  available.addEventListener("change", apply)
  sort.addEventListener("change", apply)
  const form = h("form", { class: "filters", "aria-label": "Filters", novalidate: true, on: { submit: apply } },
    h("label", { class: "check" }, available, "In stock only"),
    h("fieldset", {}, h("legend", {}, "Price"), h("div", { class: "row" }, fields.min.node, fields.max.node, fields.currency.node)),
    q && field("Order", sort).node,
    h("button", { class: "button", type: "submit" }, "Apply"))
  const active = ["min", "max", "available", "sort"].filter(name => query.get(name)).length
  return h("details", { class: "filter-box", ...(active && { open: true }) }, h("summary", {}, icon("filter", 18), active ? `Filters (${active})` : "Filters"), form)
}

function chips(query) {
  const drop = (name, value) => changed(query, next => next.delete(name, value))
  const chosen = [
    ...query.getAll("tag").map(tag => [tag, drop("tag", tag)]),
    ...(query.get("available") === "true" ? [["In stock", drop("available")]] : []),
    ...["min", "max"].flatMap(name => {
      const currency = CURRENCIES.includes(query.get("currency")) ? query.get("currency") : "EUR"
      const amount = minorUnits(query.get(name) ?? "", currency)
      return amount === null ? [] : [[`${name === "min" ? "From" : "Up to"} ${money({ amount, currency })}`, drop(name)]]
    }),
  ]
  if (!chosen.length) return null
  return h("ul", { class: "chips", role: "list", "aria-label": "Chosen filters" },
    chosen.map(([text, href]) => h("li", {}, link(href, { class: "chip chosen" }, h("span", { dir: "auto" }, text), h("span", { class: "hidden" }, ", take away"), icon("close", 14)))),
    chosen.length > 1 && h("li", {}, link(query.get("q") ? `/?${new URLSearchParams({ q: query.get("q") })}` : "/", { class: "chip" }, "Clear all")))
}

async function popularTags(place, query, signal) {
  const { results } = await get("/tags", { limit: 14 }, { signal, anonymous: true })
  const shown = results.filter(tag => tag.products_count > 0 && !query.getAll("tag").includes(tag.name))
  show(place, shown.map(tag => h("li", {}, link(changed(query, next => next.append("tag", tag.name)), { class: "chip", title: `${count(tag.products_count)} products` }, tag.name))))
}

function nothing(query) {
  const narrowed = KEPT.some(name => name !== "q" && query.get(name))
  if (query.get("q") || narrowed) return empty("Nothing found", narrowed ? "Try it with fewer filters." : "Try another word, or fewer of them.", link(query.get("q") && narrowed ? `/?${new URLSearchParams({ q: query.get("q") })}` : "/", { class: "button" }, narrowed ? "Without filters" : "See what is new"))
  return empty("The market is empty", "Nobody sells anything yet. You could be the first.", link("/desk/new", { class: "button" }, "Sell something"))
}

export async function page({ query, signal, go }) {
  const q = query.get("q")?.trim()
  const tags = query.getAll("tag")
  const list = pages("/products", askedOf(query), { signal, anonymous: true })
  const products = h("div", { "aria-live": "off" }, loadingGrid(4))
  const found = await growing(list, card, { none: () => nothing(query), signal })
  show(products, found)
  const meant = list.first?.did_you_mean
  const title = q ? `Results for “${q}”` : tags.length ? `Tagged ${tags.map(tag => `“${tag}”`).join(" and ")}` : "New on the market"
  const popular = h("ul", { class: "chips popular", role: "list", "aria-label": "Popular tags" })
  if (!q) popularTags(popular, query, signal).catch(() => {})
  return [
    h("div", { class: "page-head" }, heading(title), h("p", { class: "lead" }, q || tags.length ? "" : "Things made, mended and found by people. Everybody can sell here.")),
    meant && h("p", { class: "meant", role: "status" }, `Nothing matches “${q}” as it is written. These are results for `, link(`/?${new URLSearchParams({ q: meant })}`, {}, meant), "."),
    h("div", { class: "tools" }, popular, filters(query, go)),
    chips(query),
    products,
  ]
}
