// How others see one's store.

import { request } from "../api.js"
import { field, form, heading, input, link, notice } from "../parts.js"
import { h, show } from "../dom.js"
import { setUser } from "../session.js"

export async function page({ signal }) {
  const { data: me } = await request("/me", { signal })
  const fields = {
    display_name: field("Name of your store", input("display_name", { value: me.display_name, maxlength: 100 })),
    bio: field("About you", h("textarea", { name: "bio", rows: 5, maxlength: 2000, dir: "auto", value: me.bio })),
    email: field("E-mail", input("email", { type: "email", value: me.email ?? "", autocomplete: "email", dir: "ltr" }), { hint: "Never shown to others. For a forgotten password." }),
  }
  const { node } = form({
    fields, submit: "Save",
    async action(said) {
      const body = { display_name: fields.display_name.value.trim(), bio: fields.bio.value.trim(), email: fields.email.value.trim() || null }
      if (body.email === (me.email ?? null)) delete body.email
      const { data } = await request("/me", { method: "PATCH", body })
      setUser(data)
      show(said, notice("good", "Saved."))
    },
  })
  return h("div", { class: "narrow" }, heading("Your account"), h("p", { class: "lead" }, `Signed in as ${me.username}. `, link(`/u/${me.id}`, {}, "See your store"), "."), node)
}
