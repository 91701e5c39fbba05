// Waiting, always bounded.

import assert from 'node:assert/strict';

/** A hang fails by this. It is far above what anything takes on a slow machine that is busy besides. */
export const PATIENCE_MS = 120_000;

/** Polls until `condition` gives something true, and gives that; fails with `what` after `ms`. */
export async function until(what, condition, ms = PATIENCE_MS) {
  const end = performance.now() + ms;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > end) assert.fail(`within ${ms} ms this did not come about: ${what}`);
    await new Promise((done) => setTimeout(done, 10));
  }
}

/** Waits for so many milliseconds: typing that takes time, or the jitter of a race. */
export const pass = (ms) => new Promise((done) => setTimeout(done, ms));
