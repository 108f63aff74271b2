// A forgotten password, first half: a mail with a token to whoever has the address.

import { request } from "../api.js"
import { h, show } from "../dom.js"
import { field, form, heading, input, link, notice } from "../parts.js"

export async function page() {
  const email = field("E-mail", input("email", { type: "email", autocomplete: "email", maxlength: 254, required: true, dir: "ltr" }), { hint: "The address that you gave your account." })
  const { node } = form({
    fields: { email }, submit: "Send me a mail",
    async action(said) {
      const address = email.value.trim()
      if (!address) return { email: "Please fill this in." }
      await request("/password-resets", { method: "POST", body: { email: address }, anonymous: true })
      // The API tells nobody whether there is such an account.
      show(said, notice("good", `If an account has the address ${address}, a mail is on its way there. It is good for an hour.`, link("/reset", { class: "strong" }, "I have the mail")))
      return null
    },
  })
  return h("div", { class: "narrow" }, heading("Forgotten password"), h("p", { class: "lead" }, "We send you a mail, and with it you choose a new password."), node,
    h("p", { class: "foot-line" }, "You have the mail already? ", link("/reset", {}, "Choose a new password"), ". An account without an address cannot be opened this way."))
}
