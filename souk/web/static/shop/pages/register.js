import { heading, link } from "../parts.js"
import { h } from "../dom.js"
import { signedIn } from "../session.js"
import { registerForm } from "../sign.js"
import { nextOf } from "./signin.js"

export async function page({ query, go }) {
  if (signedIn()) return go(nextOf(query), { replace: true })
  const next = query.get("next")
  const { node } = registerForm(() => go(nextOf(query), { replace: true }))
  return h("div", { class: "narrow" }, heading("Create an account"), h("p", { class: "lead" }, "One account to buy and to sell."), node,
    h("p", { class: "foot-line" }, "You have one already? ", link(`/signin${next ? `?${new URLSearchParams({ next })}` : ""}`, {}, "Sign in"), "."))
}
