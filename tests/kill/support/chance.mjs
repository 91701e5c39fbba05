// Chance that can be had again: everything random in a test follows from one seed.

/** Numbers in [0, 1) that a seed decides (mulberry32). */
export function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The seed of a test: EDGEROOM_SEED, or a new one, which is printed so that a failure can be tried again. */
export function seedOf(t) {
  const seed = Number(process.env.EDGEROOM_SEED ?? Math.floor(Math.random() * 2 ** 32));
  t.diagnostic(`EDGEROOM_SEED=${seed}`);
  return seed;
}
