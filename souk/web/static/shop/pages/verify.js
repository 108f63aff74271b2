// The token of a mail proves that the account's address is read by its owner.

import { h, show } from "../dom.js"
import { form, heading, link, notice } from "../parts.js"
import { signedIn } from "../session.js"
import { loadUser } from "../sign.js"
import { handIn, tokenField } from "./reset.js"

export async function page() {
  const fields = { token: tokenField() }
  const place = h("div", {})
  const { node } = form({
    fields, submit: "Confirm the address",
    async action() {
      const wrong = await handIn("/email-verifications/confirm", fields)
      if (wrong) return wrong
      show(place, notice("good", "Your address is confirmed.", link(signedIn() ? "/account" : "/", { class: "strong" }, signedIn() ? "To your account" : "Look around")))
      await loadUser()
      return null
    },
  })
  show(place, node)
  return h("div", { class: "narrow" }, heading("Confirm your address"), h("p", { class: "lead" }, "A token went to the address of your account. A new one is sent when the address is changed."), place)
}
