/** Polls until `check` returns something truthy, and returns that; fails with `what` after `ms`. */
export async function until(what, check, ms = 120_000) {
  const end = Date.now() + ms;
  let last;
  for (;;) {
    try {
      const found = await check();
      if (found) return found;
      last = found;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`waited ${ms} ms in vain until ${what}; last: ${last instanceof Error ? last.message : JSON.stringify(last)}`);
    await new Promise((again) => setTimeout(again, 50));
  }
}
