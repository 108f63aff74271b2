// The store of a seller, and following it.

import { Problem, get, pages, request } from "../api.js"
import { button, card, empty, growing, heading, link, notHere, saidOf, tell } from "../parts.js"
import { h } from "../dom.js"
import { many, moment, nameOf } from "../format.js"
import { generated } from "../picture.js"
import { needUser } from "../sign.js"
import { user } from "../session.js"

function followButton(person, counted) {
  let followed = person.followed === true
  let followers = person.followers_count
  const draw = () => {
    node.textContent = followed ? "Following" : "Follow"
    node.setAttribute("aria-pressed", String(followed))
    node.classList.toggle("main", !followed)
    counted.textContent = many(followers, "follower")
  }
  const node = button("Follow", async () => {
    if (!(await needUser("To follow a store you need an account."))) return
    if (user()?.id === person.id) return tell("This is your own store.")
    node.disabled = true
    try {
      await request(`/users/${person.id}/follow`, { method: followed ? "DELETE" : "PUT" })
      followed = !followed
      followers += followed ? 1 : -1
      draw()
      tell(followed ? `You follow ${nameOf(person)}. New products will be in your feed.` : `You do not follow ${nameOf(person)} any more.`)
    } catch (error) {
      tell(saidOf(error))
    } finally {
      node.disabled = false
    }
    return undefined
  })
  draw()
  return node
}

export async function page({ params: [id], signal }) {
  let person
  try {
    person = await get(`/users/${id}`, null, { signal })
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return notHere("store")
    throw error
  }
  const own = user()?.id === id
  const counted = h("span", {}, many(person.followers_count, "follower"))
  const products = await growing(pages(`/users/${id}/products`, { limit: 24 }, { signal }), (product, at) => card(product, at, { seller: false }), {
    signal, none: () => empty("Nothing on sale yet", own ? "Put your first product on the market." : "Follow the store to hear when there is.", own && link("/desk/new", { class: "button" }, "Sell something")),
  })
  return [
    h("header", { class: "store" },
      h("div", { class: "avatar" }, generated(person.username, [person.username])),
      h("div", {},
        heading(nameOf(person)),
        h("p", { class: "hint" }, h("span", {}, `@${person.username}`), " · ", counted, " · ", many(person.products_count, "product"), " · ", `here since ${moment(person.created).split(",")[0]}`),
        person.bio && h("p", { class: "text", dir: "auto" }, person.bio)),
      own ? link("/account", { class: "button" }, "Edit your store") : followButton(person, counted)),
    products,
  ]
}
