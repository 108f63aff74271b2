// What was sold, arriving as it happens.

import { Problem, get, line, pages } from "../api.js"
import { badge, button, empty, heading, link, price, saidOf, tell } from "../parts.js"
import { h, show } from "../dom.js"
import { moment, nameOf } from "../format.js"
import { live, liveState, whenever } from "../live.js"
import { pictureOf } from "../picture.js"
import { deskPlaces } from "./desk.js"
import { hang } from "./orders.js"

const row = sale => h("li", { class: "sale order-row", id: `sale-${sale.id}` },
  h("span", { class: "frame tiny", data: { product: sale.lines[0].product_id } }, pictureOf({ title: sale.lines[0].title, tags: [] })),
  h("div", { class: "order-text" },
    h("ul", { role: "list" }, sale.lines.map(one => h("li", {}, h("span", { class: "times" }, `${one.quantity} × `), link(`/desk/${one.product_id}`, { dir: "auto", class: "title" }, one.title)))),
    h("p", { class: "hint one-line" }, `${moment(sale.created)}, to `, link(`/u/${sale.buyer.id}`, { dir: "auto" }, nameOf(sale.buyer)))),
  badge(sale.state), price(sale.total))

export async function page({ signal }) {
  const list = pages("/sales", {}, { signal })
  const rows = h("ul", { class: "rows sales", role: "list" })
  const none = empty("No sales yet", "As soon as somebody orders from you it appears here by itself.")
  const more = button("Show more", () => grow().catch(error => tell(saidOf(error))), { class: "button quiet more" })
  const settle = () => { none.hidden = rows.childElementCount > 0 }
  const put = (sale, fresh) => {
    const before = document.getElementById(`sale-${sale.id}`) ?? rows.querySelector(`[id="sale-${sale.id}"]`)
    const now = row(sale)
    if (fresh) now.classList.add("fresh")
    before ? before.replaceWith(now) : rows.prepend(now)
    settle()
  }
  const pictures = sales => hang(rows, sales.map(sale => sale.lines[0].product_id))
  async function grow() {
    const found = await list.more()
    rows.append(...found.map(row))
    more.hidden = list.ended
    await pictures(found)
  }
  await grow()
  settle()

  async function hear(event) {
    try {
      if (event !== null && event.subject.type !== "order") return
      const found = event === null ? (await get("/sales", null, { signal })).results : [await get(`/sales/${event.subject.id}`, null, { signal })]
      for (const sale of [...found].reverse()) put(sale, event !== null)
      await pictures(found)
    } catch (error) {
      // An order of ours as a buyer is no sale; everything else one looks at again.
      if (!(error instanceof Problem)) return
    }
  }
  whenever(signal, hear)
  line.addEventListener("up", () => hear(null), { signal })
  const state = h("span", { class: "line-state" })
  const drawState = () => { state.textContent = { live: "Live", polling: "Looked at every few seconds", off: "" }[liveState()]; state.dataset.state = liveState() }
  live.addEventListener("state", drawState, { signal })
  drawState()
  return [h("div", { class: "page-head split" }, h("div", {}, heading("Your sales"), h("p", { class: "lead" }, "Orders with products of yours. They appear and change here by themselves.")), state), deskPlaces("/desk/sales"), h("div", { "aria-live": "polite", "aria-relevant": "additions" }, rows), none, more]
}
