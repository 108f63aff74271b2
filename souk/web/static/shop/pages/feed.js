// What is new in the stores one follows.

import { get, pages } from "../api.js"
import { card, empty, growing, heading, link } from "../parts.js"
import { h } from "../dom.js"
import { nameOf } from "../format.js"

export async function page({ signal }) {
  const following = await get("/me/following", { limit: 100 }, { signal })
  const stores = following.results
  const list = await growing(pages("/me/feed", { limit: 24 }, { signal }), card, {
    signal,
    none: () => stores.length ? empty("Nothing new yet", "When the stores you follow put something on the market, it is here.") : empty("You follow nobody yet", "Open the store of a seller you like and follow it. What they add will be here, newest first.", link("/", { class: "button" }, "Look around")),
  })
  return [
    h("div", { class: "page-head" }, heading("Your feed"), stores.length > 0 && h("p", { class: "lead" }, "New from the stores you follow.")),
    stores.length > 0 && h("ul", { class: "chips followed", role: "list", "aria-label": "Stores you follow" }, stores.map(one => h("li", {}, link(`/u/${one.id}`, { class: "chip", dir: "auto" }, nameOf(one))))),
    list,
  ]
}
