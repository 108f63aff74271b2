import { post } from "../api.js"
import { form, heading, tell } from "../parts.js"
import { h } from "../dom.js"
import { POINTERS, ROWS, bodyOf, productFields } from "./product_form.js"

export async function page({ go }) {
  const fields = productFields()
  let state = "ACTIVE"
  const draft = h("button", { class: "button quiet", type: "submit", on: { click: () => { state = "DRAFT" } } }, "Keep as a draft")
  const { node, submit } = form({
    fields, submit: "Put on the market", pointers: POINTERS, rows: ROWS, foot: [draft],
    async action() {
      const asked = state
      state = "ACTIVE"
      const [body, problems] = bodyOf(fields)
      if (Object.keys(problems).length) return problems
      const { data } = await post("/products", { ...body, state: asked })
      tell(asked === "ACTIVE" ? "It is on the market." : "Kept as a draft. Only you can see it.")
      return go(`/desk/${data.id}`)
    },
  })
  submit.addEventListener("click", () => { state = "ACTIVE" })
  return h("div", { class: "narrow" }, heading("New product"), h("p", { class: "lead" }, "A title, a price and how many you have: the rest can come later."), node)
}
