// The fields of a product, for creating and for editing it.

import { get } from "../api.js"
import { h, settled, show } from "../dom.js"
import { majorUnits, minorUnits } from "../format.js"
import { field, input } from "../parts.js"

const CURRENCIES = ["EUR", "USD", "GBP", "CHF", "JPY", "SEK", "PLN", "TRY", "MAD", "EGP"]
export const ROWS = [["price", "currency", "stock"]]
export const POINTERS = { "/price/amount": "price", "/price/currency": "currency", "/price": "price" }

export function productFields(product = null) {
  const currency = product?.price.currency ?? "EUR"
  const currencies = CURRENCIES.includes(currency) ? CURRENCIES : [currency, ...CURRENCIES]
  const tags = h("input", { name: "tags", type: "text", list: "known-tags", autocomplete: "off", autocapitalize: "none", value: product?.tags.join(", ") ?? "" })
  const known = h("datalist", { id: "known-tags" })
  tags.addEventListener("input", settled(160, async () => {
    const parts = tags.value.split(",")
    const word = parts.at(-1).trim().toLowerCase().replace(/[^a-z0-9-]/g, "")
    const { results } = word ? await get("/tags", { prefix: word, limit: 8 }, { anonymous: true }).catch(() => ({ results: [] })) : { results: [] }
    show(known, results.map(tag => h("option", { value: [...parts.slice(0, -1).map(one => one.trim()), tag.name].join(", ") })))
  }))
  const fields = {
    title: field("Title", input("title", { value: product?.title ?? "", maxlength: 200, required: true })),
    description: field("Description", h("textarea", { name: "description", rows: 7, maxlength: 10000, dir: "auto", value: product?.description ?? "" })),
    price: field("Price", input("price", { inputmode: "decimal", value: product ? majorUnits(product.price) : "", placeholder: "12.50", maxlength: 17, required: true, dir: "ltr" })),
    currency: field("Currency", h("select", { name: "currency" }, currencies.map(one => h("option", { value: one, selected: one === currency }, one)))),
    stock: field("In stock", input("stock", { inputmode: "numeric", value: String(product?.stock.on_hand ?? 1), maxlength: 7, dir: "ltr" })),
    tags: field("Tags", tags, { hint: "Up to 20, with commas between them: ceramics, kitchen" }),
    images: field("Pictures", h("textarea", { name: "images", rows: 3, dir: "ltr", spellcheck: "false", value: product?.images.map(one => [one.url, one.alt].filter(Boolean).join(" ")).join("\n") ?? "" }), { hint: "One https:// address per line, then, if you like, what the picture shows. Without any, Souk draws one." }),
  }
  fields.tags.node.append(known)
  return fields
}

// The form as the API takes it: [body, problems by field].
export function bodyOf(fields) {
  const problems = {}
  const title = fields.title.value.trim()
  if (!title) problems.title = "A product needs a title."
  const amount = minorUnits(fields.price.value, fields.currency.value)
  if (amount === null) problems.price = "An amount such as 12.50, at most 10,000,000,000.00."
  const stock = /^\d{1,7}$/.test(fields.stock.value.trim()) ? Number(fields.stock.value) : null
  if (stock === null || stock > 1000000) problems.stock = "A whole number from 0 to 1,000,000."
  const images = fields.images.value.split("\n").map(line => line.trim()).filter(Boolean).map(line => {
    const [url, ...alt] = line.split(/\s+/)
    return { url, alt: alt.join(" ") }
  })
  if (images.some(({ url }) => !/^https:\/\/\S+$/.test(url))) problems.images = "Every address begins with https://"
  const tags = [...new Set(fields.tags.value.split(",").map(tag => tag.trim().toLowerCase()).filter(Boolean))]
  return [{ title, description: fields.description.value, price: { amount, currency: fields.currency.value }, stock, tags, images }, problems]
}
