// One product: look at it, put it into the bag.

import { Problem, get, request } from "../api.js"
import { putLine, quantityOf } from "../bag.js"
import { badge, card, field, heading, input, link, notHere, notice, price, saidOf } from "../parts.js"
import { h, icon, show } from "../dom.js"
import { moment, nameOf } from "../format.js"
import { pictureOf } from "../picture.js"
import { needUser } from "../sign.js"

function gallery(product) {
  const stage = h("div", { class: "frame stage" }, pictureOf(product, { eager: true }))
  if (product.images.length < 2) return h("div", { class: "gallery" }, stage)
  const choose = at => {
    show(stage, pictureOf(product, { at, eager: true }))
    small.forEach((one, one_at) => one.setAttribute("aria-pressed", String(one_at === at)))
  }
  const small = product.images.map((image, at) => h("button", { type: "button", class: "frame small", "aria-pressed": String(at === 0), "aria-label": image.alt || `Picture ${at + 1}`, on: { click: () => choose(at) } }, pictureOf(product, { at })))
  return h("div", { class: "gallery" }, stage, h("div", { class: "strip" }, small))
}

function stockLine(product) {
  if (product.available === 0) return h("p", { class: "stock out" }, "Sold out at the moment")
  if (product.available <= 3) return h("p", { class: "stock few" }, `Only ${product.available} left`)
  return h("p", { class: "stock" }, icon("check", 16), `${product.available > 99 ? "More than 99" : product.available} in stock`)
}

function buying(product) {
  const amount = input("quantity", { type: "number", inputmode: "numeric", min: 1, max: 1000, value: "1", dir: null })
  const quantity = field("Quantity", amount)
  const said = h("div", { class: "said" })
  const add = h("button", { class: "button main", type: "submit" }, icon("bag", 18), "Add to bag")
  const form = h("form", { class: "buy", novalidate: true }, h("div", { class: "row" }, quantity.node, add), said)
  form.addEventListener("submit", async event => {
    event.preventDefault()
    const asked = Number(amount.value)
    if (!Number.isInteger(asked) || asked < 1 || asked > 1000) return quantity.problem("A whole number from 1 to 1000")
    if (add.disabled || !(await needUser("Your bag comes with your account."))) return undefined
    add.disabled = true
    try {
      const wanted = Math.min(1000, quantityOf(product.id) + asked)
      const bag = await putLine(product.id, wanted)
      const line = bag.lines.find(one => one.product.id === product.id)
      const short = line.problems.includes("out_of_stock")
      show(said, notice(short ? "warn" : "good", short ? `In your bag, but there are only ${line.product.available} at the moment.` : wanted === asked ? "In your bag." : `In your bag: ${wanted} of these now.`, link("/bag", { class: "strong" }, "See the bag")))
    } catch (error) {
      if (error.name !== "AbortError") show(said, notice("bad", saidOf(error)))
    } finally {
      add.disabled = false
    }
    return undefined
  })
  return form
}

async function moreFrom(product, place, signal) {
  const { results } = await get(`/users/${product.seller.id}/products`, { limit: 5 }, { signal })
  const others = results.filter(one => one.id !== product.id).slice(0, 4)
  if (others.length) show(place, h("h2", {}, "More from ", link(`/u/${product.seller.id}`, { dir: "auto" }, nameOf(product.seller))), h("ul", { class: "grid", role: "list" }, others.map(one => card(one, 99, { seller: false }))))
}

export async function page({ params: [id], signal }) {
  let product
  try {
    product = (await request(`/products/${id}`, { signal })).data
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return notHere("product")
    throw error
  }
  const own = product.allowed_actions.includes("edit")
  const more = h("section", { class: "more-from" })
  moreFrom(product, more, signal).catch(() => {})
  return [
    h("article", { class: "product" },
      gallery(product),
      h("div", { class: "facts" },
        heading(product.title),
        h("p", { class: "by" }, "by ", link(`/u/${product.seller.id}`, { dir: "auto" }, nameOf(product.seller))),
        h("p", {}, price(product.price, { big: true })),
        product.state === "ACTIVE" ? stockLine(product) : h("p", {}, badge(product.state)),
        own ? notice("info", "This is yours.", link(`/desk/${product.id}`, { class: "strong" }, "Edit it")) : buying(product),
        product.description && h("div", { class: "text", dir: "auto" }, product.description),
        product.tags.length > 0 && h("ul", { class: "chips", role: "list", "aria-label": "Tags" }, product.tags.map(tag => h("li", {}, link(`/?${new URLSearchParams({ tag })}`, { class: "chip" }, tag)))),
        product.published && h("p", { class: "hint" }, `On the market since ${moment(product.published).split(",")[0]}`))),
    more,
  ]
}
