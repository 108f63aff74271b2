// One product at its seller's desk: edit it (with a look at what somebody else changed meanwhile), its life, its stock.

import { Problem, pages, post, request } from "../api.js"
import { badge, button, field, form, growing, heading, input, link, notHere, notice, saidOf, sure, tell } from "../parts.js"
import { h, show } from "../dom.js"
import { moment, money } from "../format.js"
import { whenever } from "../live.js"
import { POINTERS, ROWS, bodyOf, productFields } from "./product_form.js"

const KINDS = { received: "Received", correction: "Corrected", hold: "Held for an order", release: "Given back", sale: "Sold" }
const REASONS = [["received", "Received"], ["returned", "Returned"], ["damaged", "Damaged"], ["counted", "Counted"]]
const SHOWN = { title: "Title", description: "Description", price: "Price", stock: "In stock", tags: "Tags", images: "Pictures" }
const same = (one, other) => JSON.stringify(one) === JSON.stringify(other)
const wordsOf = (name, value) => (name === "price" ? money(value) : name === "tags" ? value.join(", ") || "none" : name === "images" ? `${value.length}` : String(value))
const asBody = product => ({ title: product.title, description: product.description, price: product.price, stock: product.stock.on_hand, tags: product.tags, images: product.images.map(({ url, alt }) => ({ url, alt })) })

// What two people changed at once: both versions side by side, and whose shall stand.
function conflict(mine, theirs, keep, take) {
  const differing = Object.keys(mine).filter(name => !same(mine[name], asBody(theirs)[name]))
  return h("div", { class: "notice warn conflict", role: "alert" }, h("div", {},
    h("p", {}, h("strong", {}, "Somebody else changed this product meanwhile."), " Nothing of yours was saved yet."),
    differing.length > 0 && h("table", {}, h("caption", { class: "hidden" }, "Differences"),
      h("thead", {}, h("tr", {}, ["", "There now", "Yours"].map(text => h("th", { scope: "col" }, text)))),
      h("tbody", {}, differing.map(name => h("tr", {}, h("th", { scope: "row" }, SHOWN[name]), h("td", { dir: "auto" }, wordsOf(name, asBody(theirs)[name])), h("td", { dir: "auto" }, wordsOf(name, mine[name])))))),
    h("div", { class: "actions" }, button("Save mine over it", keep, { class: "button main" }), button("Take what is there now", take, { class: "button" }))))
}

function stockSection(id, signal, changed) {
  const change = field("Change", input("change", { inputmode: "numeric", placeholder: "+10 or -2", maxlength: 8, dir: "ltr" }))
  const reason = field("Reason", h("select", { name: "reason" }, REASONS.map(([value, text]) => h("option", { value }, text))))
  const note = field("Note (if you like)", input("note", { maxlength: 200 }))
  const list = h("div", {})
  const load = async () => show(list, await growing(pages(`/products/${id}/stock-movements`, { limit: 10 }, { signal }), one => h("li", { class: "movement" },
    h("span", { class: "amount" }, [one.change_on_hand && `${one.change_on_hand > 0 ? "+" : "−"}${Math.abs(one.change_on_hand)}`, one.change_reserved && `${one.change_reserved > 0 ? "+" : "−"}${Math.abs(one.change_reserved)} held`].filter(Boolean).join(", ") || "0"),
    h("span", {}, KINDS[one.kind] ?? one.kind, one.note && h("span", { class: "hint", dir: "auto" }, ` ${one.note}`)),
    h("span", { class: "hint" }, moment(one.created))), { kind: "rows", signal, none: () => h("p", { class: "hint" }, "Nothing moved yet.") }))
  const { node } = form({
    fields: { change, reason, note }, submit: "Record", tone: "row-form",
    async action() {
      const text = change.value.trim().replace("−", "-")
      if (!/^[+-]?\d{1,7}$/.test(text) || Number(text) === 0) return { change: "A whole number such as 10 or -2." }
      await post(`/products/${id}/stock-movements`, { change: Number(text), reason: reason.value, ...(note.value.trim() && { note: note.value.trim() }) })
      change.control.value = note.control.value = ""
      await changed()
      return load()
    },
  })
  load().catch(error => { if (!signal.aborted) show(list, h("p", { class: "hint" }, saidOf(error))) })
  return { node: h("section", { class: "stock-section" }, h("h2", {}, "Stock"), h("p", { class: "hint" }, "Record what came in or went out. Orders move the stock by themselves."), node, list), load }
}

export async function page({ params: [id], signal, go }) {
  let product, etag
  const load = async () => {
    const found = await request(`/products/${id}`, { signal })
    if (!found.data.stock) throw new Problem(404, {}, new Headers())
    product = found.data
    etag = found.etag
  }
  try {
    await load()
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return notHere("product at your desk")
    throw error
  }
  const head = h("div", {})
  const place = h("div", {})

  async function save(body, said) {
    const before = asBody(product)
    // Only what was changed is sent, so that a sale that happens meanwhile does not spoil a new title.
    const patch = Object.fromEntries(Object.entries(body).filter(([name, value]) => !same(value, before[name])))
    if (!Object.keys(patch).length) return show(said, notice("info", "Nothing was changed."))
    try {
      const found = await request(`/products/${id}`, { method: "PATCH", body: patch, ifMatch: etag })
      product = found.data
      etag = found.etag
      drawHead()
      stock.load().catch(() => {})
      return show(said, notice("good", "Saved."))
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 412) throw error
      const mine = { ...before, ...patch }
      await load()
      drawHead()
      return show(said, conflict(mine, product, () => save(mine, said).catch(again => show(said, notice("bad", saidOf(again)))), () => { draw(); tell("This is what is there now.") }))
    }
  }
  function draw() {
    const fields = productFields(product)
    const { node } = form({
      fields, submit: "Save", pointers: POINTERS, rows: ROWS,
      action: said => {
        const [body, problems] = bodyOf(fields)
        return Object.keys(problems).length ? problems : save(body, said).then(() => null)
      },
    })
    show(place, node)
  }
  async function move(verb, told) {
    try {
      const found = await post(`/products/${id}/${verb}`, {})
      product = found.data
      etag = found.etag
      drawHead()
      tell(told)
    } catch (error) {
      tell(saidOf(error))
    }
  }
  async function remove() {
    if (!(await sure("Delete this product?", "It cannot be brought back. Orders that hold it stand.", "Delete it"))) return
    try {
      await request(`/products/${id}`, { method: "DELETE" })
      tell("Deleted.")
      go("/desk", { replace: true })
    } catch (error) {
      tell(saidOf(error))
    }
  }
  function drawHead() {
    const can = product.allowed_actions
    show(head,
      h("div", { class: "desk-head" }, h("p", { class: "state-line" }, badge(product.state), h("span", { class: "hint" }, `${product.stock.on_hand} on hand, ${product.stock.reserved} held for orders`), product.state === "ACTIVE" && link(`/p/${id}`, {}, "See it as others do")),
      h("div", { class: "actions" },
        can.includes("activate") && button("Put on the market", () => move("activate", "It is on the market."), { class: "button" }),
        can.includes("archive") && button("Archive", () => move("archive", "Archived. Nobody can buy it until you put it back."), { class: "button" }),
        can.includes("delete") && button("Delete", remove, { class: "button quiet bad" }))))
  }
  const refresh = async () => {
    const clean = place.querySelector("[name=stock]")?.value === String(product.stock.on_hand)
    const before = etag
    const found = await request(`/products/${id}`, { signal })
    product = { ...product, stock: found.data.stock, state: found.data.state, allowed_actions: found.data.allowed_actions }
    // A sale moves the second part of the tag alone; an edit of somebody else must still be found when saving.
    if (found.etag?.split(".")[0] === before?.split(".")[0]) etag = found.etag
    if (clean) place.querySelector("[name=stock]").value = String(product.stock.on_hand)
    drawHead()
  }
  const stock = stockSection(id, signal, refresh)
  whenever(signal, event => {
    const ours = event === null || event.subject.id === id || (event.data?.lines ?? []).some(one => one.product_id === id)
    if (ours) refresh().then(() => stock.load()).catch(() => {})
  })
  drawHead()
  draw()
  return [link("/desk", { class: "back" }, "All your products"), h("div", { class: "edit-title" }, heading(product.title)), head, h("div", { class: "edit-page" }, place, stock.node)]
}
