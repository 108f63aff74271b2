// The bag, as the header and the pages know it.

import { request } from "./api.js"

const heard = new Set()
let bag = null
let tag = null

export const bagCount = () => (bag?.lines ?? []).reduce((sum, one) => sum + one.quantity, 0)
export const bagTag = () => tag
export const onBag = hear => heard.add(hear)

function keep({ data, etag }) {
  bag = data
  tag = etag
  for (const hear of heard) hear()
  return bag
}

export const loadBag = async more => keep(await request("/bag", more))
export const putLine = async (id, quantity) => keep(await request(`/bag/lines/${id}`, { method: "PUT", body: { quantity } }))
export const quantityOf = id => bag?.lines.find(one => one.product.id === id)?.quantity ?? 0

export async function dropLine(id) {
  await request(`/bag/lines/${id}`, { method: "DELETE" })
  return loadBag()
}
