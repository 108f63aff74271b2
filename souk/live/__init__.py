"""Events as they happen: one asyncio process that holds a Server-Sent Events connection per listener."""
