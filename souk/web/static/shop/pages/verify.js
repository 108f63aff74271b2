// The token of a mail proves that the account's address is read by its owner.

import { request } from "../api.js"
import { h, show } from "../dom.js"
import { form, heading, link, notice } from "../parts.js"
import { signedIn } from "../session.js"
import { loadUser, missingOf } from "../sign.js"
import { tokenField, tokenRefused } from "./reset.js"

export async function page() {
  const fields = { token: tokenField() }
  const place = h("div", {})
  const { node } = form({
    fields, submit: "Confirm the address",
    async action() {
      const missing = missingOf(fields)
      if (missing) return missing
      try {
        await request("/email-verifications/confirm", { method: "POST", body: { token: fields.token.value.trim() }, anonymous: true })
      } catch (error) {
        const refused = tokenRefused(error)
        if (refused) return refused
        throw error
      }
      show(place, notice("good", "Your address is confirmed.", link(signedIn() ? "/account" : "/", { class: "strong" }, signedIn() ? "To your account" : "Look around")))
      await loadUser()
      return null
    },
  })
  show(place, node)
  return h("div", { class: "narrow" }, heading("Confirm your address"), h("p", { class: "lead" }, "A token went to the address of your account. A new one is sent when the address is changed."), place)
}
