// The search field of every page: suggestions as one types (tags and products), usable with arrows, Enter and Escape.

import { get } from "./api.js"
import { h, icon, settled, show } from "./dom.js"
import { count, money } from "./format.js"

const PAUSE = 160

async function suggestions(text, signal) {
  const word = text.toLowerCase().split(/\s+/).pop().replace(/[^a-z0-9-]/g, "")
  const [tags, products] = await Promise.all([
    word ? get("/tags", { prefix: word, limit: 3 }, { signal, anonymous: true }) : { results: [] },
    get("/products", { q: text, sort: "relevance", limit: 5 }, { signal, anonymous: true }),
  ])
  const { did_you_mean: meant } = products
  return [
    ...(meant ? [{ href: `/?${new URLSearchParams({ q: meant })}`, text: meant, more: "Did you mean", value: meant }] : []),
    ...tags.results.filter(tag => tag.products_count > 0).map(tag => ({ href: `/?${new URLSearchParams({ tag: tag.name })}`, text: tag.name, more: `${count(tag.products_count)} tagged`, mark: "tag" })),
    ...products.results.map(product => ({ href: `/p/${product.id}`, text: product.title, more: money(product.price) })),
  ]
}

export function searchField(go) {
  const list = h("ul", { id: "suggestions", role: "listbox", "aria-label": "Suggestions", class: "suggestions", hidden: true })
  const said = h("span", { class: "hidden", role: "status" })
  const box = h("input", {
    type: "search", name: "q", placeholder: "Search the market", "aria-label": "Search the market", autocomplete: "off", maxlength: 200, dir: "auto", enterkeyhint: "search",
    role: "combobox", "aria-expanded": "false", "aria-controls": "suggestions", "aria-autocomplete": "list",
  })
  let asking = new AbortController()
  let found = []
  let at = -1

  function close() {
    asking.abort()
    list.hidden = true
    at = -1
    box.setAttribute("aria-expanded", "false")
    box.removeAttribute("aria-activedescendant")
  }
  function choose(one) {
    close()
    if (one.value) box.value = one.value
    go(one.href)
  }
  function mark(next) {
    at = found.length ? (next + found.length) % found.length : -1
    list.querySelectorAll("li").forEach((row, row_at) => row.setAttribute("aria-selected", String(row_at === at)))
    at >= 0 ? box.setAttribute("aria-activedescendant", `suggestion-${at}`) : box.removeAttribute("aria-activedescendant")
  }
  const suggest = settled(PAUSE, async () => {
    const text = box.value.trim()
    asking.abort()
    asking = new AbortController()
    const { signal } = asking
    if (text.length < 2) return close()
    try {
      found = await suggestions(text, signal)
    } catch {
      return // a suggestion that cannot be had is none
    }
    if (signal.aborted || document.activeElement !== box) return
    at = -1
    show(list, found.map((one, row_at) => h("li", { role: "option", id: `suggestion-${row_at}`, "aria-selected": "false", on: { pointerdown: event => { event.preventDefault(); choose(one) } } },
      icon(one.mark ?? "search", 16), h("span", { class: "suggested", dir: "auto" }, one.text), h("span", { class: "hint" }, one.more))))
    list.hidden = !found.length
    box.setAttribute("aria-expanded", String(found.length > 0))
    said.textContent = found.length ? `${found.length} suggestions` : ""
  })

  box.addEventListener("input", suggest)
  box.addEventListener("blur", close)
  box.addEventListener("keydown", event => {
    if (list.hidden) return
    if (event.key === "ArrowDown") mark(at + 1)
    else if (event.key === "ArrowUp") mark(at < 0 ? -1 : at - 1)
    else if (event.key === "Escape") close()
    else if (event.key === "Enter" && at >= 0) choose(found[at])
    else return
    event.preventDefault()
  })
  const node = h("form", { role: "search", class: "search" }, icon("search", 18), box, list, said)
  node.addEventListener("submit", event => {
    event.preventDefault()
    close()
    const text = box.value.trim()
    go(text ? `/?${new URLSearchParams({ q: text })}` : "/")
  })
  return { node, set(text) { if (document.activeElement !== box) box.value = text } }
}
