// The bag: what is in it, what is the matter with it, and ordering it at the prices that were seen.

import { Problem, post, productsById } from "../api.js"
import { bagTag, dropLine, loadBag, putLine } from "../bag.js"
import { button, empty, heading, input, link, notice, price, saidOf, tell } from "../parts.js"
import { h, show } from "../dom.js"
import { many, money, nameOf } from "../format.js"
import { pictureOf } from "../picture.js"

const PROBLEMS = {
  out_of_stock: line => (line.product.available ? `Only ${line.product.available} left. Please take fewer.` : "Sold out at the moment."),
  product_not_for_sale: () => "Not on sale any more. Please remove it.",
  price_changed: line => `The price has changed. It is ${money(line.product.price)} now.`,
}

function lineRow(line, product, act) {
  const { id } = line.product
  const known = product ?? line.product
  const amount = input("quantity", { type: "number", min: 1, max: 1000, value: String(line.quantity), inputmode: "numeric", dir: null, "aria-label": `Quantity of ${line.product.title}` })
  amount.addEventListener("change", () => {
    const asked = Number(amount.value)
    if (!Number.isInteger(asked) || asked < 1 || asked > 1000) {
      amount.value = String(line.quantity)
      return tell("A quantity is a whole number from 1 to 1000.")
    }
    return act(() => putLine(id, asked))
  })
  const problems = line.problems.map(one => h("p", { class: "line-problem" }, PROBLEMS[one]?.(line) ?? one))
  return h("li", { class: `bag-line${problems.length ? " has-problem" : ""}` },
    h("div", { class: "frame small" }, pictureOf(known)),
    h("div", { class: "bag-text" },
      h("h2", {}, link(`/p/${id}`, { dir: "auto", class: "title" }, line.product.title)),
      product && h("p", { class: "hint one-line" }, "by ", link(`/u/${product.seller.id}`, { dir: "auto" }, nameOf(product.seller))),
      line.quantity > 1 && h("p", { class: "hint" }, `${money(line.product.price)} each`),
      problems),
    h("div", { class: "bag-amount" }, amount, button("Remove", () => act(() => dropLine(id)), { class: "plain", "aria-label": `Remove ${line.product.title}` })),
    h("p", { class: "line-total" }, price(line.line_total)))
}

function summary(bag, order) {
  const blocking = bag.lines.some(line => line.problems.some(one => one !== "price_changed"))
  const mixed = bag.totals.length > 1
  const go = button("Place the order", order, { class: "button main wide", disabled: blocking || mixed })
  return h("aside", { class: "summary", "aria-label": "Total" },
    h("h2", {}, "Total"),
    bag.totals.map(total => h("p", {}, price(total, { big: true }))),
    mixed && notice("warn", "One order has one currency. Please order these products one after the other."),
    blocking && notice("warn", "Some products need your attention first."),
    go,
    h("p", { class: "hint" }, "A bag holds nothing back for you. Placing the order does: the products are yours for a few minutes while you pay. Nothing is charged yet."))
}

export async function page({ signal, go }) {
  const place = h("div", {})
  const said = h("div", { class: "said" })

  async function draw(bag) {
    if (!bag.lines.length) {
      return show(place, empty("Your bag is empty", "What you put into it stays here until you order it.", link("/", { class: "button" }, "Look around")))
    }
    const products = await productsById(bag.lines.map(line => line.product.id))
    return show(place, h("div", { class: "bag-page" },
      h("ul", { class: "bag-lines", role: "list" }, bag.lines.map(line => lineRow(line, products.get(line.product.id), act))),
      summary(bag, order)))
  }
  async function act(what) {
    show(said)
    place.setAttribute("aria-busy", "true")
    try {
      const bag = await what()
      await draw(bag)
      tell(`In your bag: ${many(bag.lines.reduce((sum, line) => sum + line.quantity, 0), "item")}.`)
    } catch (error) {
      if (error.name !== "AbortError") show(said, notice("bad", saidOf(error)))
    } finally {
      place.removeAttribute("aria-busy")
    }
  }
  async function order(event) {
    const pressed = event.currentTarget
    pressed.disabled = true
    try {
      const { data } = await post("/bag/order", undefined, { ifMatch: bagTag() })
      loadBag().catch(() => {})
      await go(`/orders/${data.id}`)
    } catch (error) {
      if (error.name === "AbortError") return
      await draw(await loadBag().catch(() => ({ lines: [] })))
      const changed = error instanceof Problem && (error.status === 412 || error.code === "out_of_stock" || error.code === "product_not_for_sale")
      show(said, notice("bad", changed ? "Something in your bag has changed while you were looking at it. Please look it over and order again." : saidOf(error)))
      said.scrollIntoView({ block: "nearest" })
    } finally {
      pressed.disabled = false
    }
  }

  await draw(await loadBag({ signal }))
  return [heading("Your bag"), said, place]
}
