// Keys and tokens for tests, made with node's own cryptography: nothing of the code under test.

import { createHmac, generateKeyPairSync, randomBytes, sign } from 'node:crypto';

const b64 = (value) => Buffer.from(value).toString('base64url');

/** A key of `EdDSA`, `ES256` or `HS256`: `jwk` for a JWKS, and what signs. */
export function makeKey(alg, kid) {
  if (alg === 'HS256') {
    const secret = randomBytes(32);
    const jwk = { kty: 'oct', kid, alg, k: b64(secret) };
    return { alg, kid, jwk, sign: (text) => createHmac('sha256', secret).update(text).digest() };
  }
  const pair = alg === 'EdDSA' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const hash = alg === 'EdDSA' ? null : 'sha256';
  const key = { key: pair.privateKey, dsaEncoding: 'ieee-p1363' };
  const jwk = { ...pair.publicKey.export({ format: 'jwk' }), kid };
  return { alg, kid, jwk, sign: (text) => sign(hash, Buffer.from(text), key) };
}

/** A JWKS of these keys: of pairs only the public parts. */
export const jwks = (...keys) => JSON.stringify({ keys: keys.map(({ jwk }) => jwk) });

/** Seconds since the epoch, so many from now. */
export const inSeconds = (seconds) => Math.floor(Date.now() / 1000) + seconds;

/** A token of an editor of the room `demo` for an hour, with these changes. */
export function makeToken(key, changes = {}, header = {}) {
  const claims = { sub: 'ann', name: 'Ann', aud: 'edgeroom', room: 'demo', role: 'editor', exp: inSeconds(3600) };
  const parts = [{ alg: key.alg, kid: key.kid, typ: 'JWT', ...header }, { ...claims, ...changes }];
  const signed = parts.map((part) => b64(JSON.stringify(part))).join('.');
  return `${signed}.${b64(key.sign(signed))}`;
}

/** Tokens that nobody may be let in with under these keys: the token, the word for it, the code of its close. */
export function badTokens({ ed, hs }) {
  const good = makeToken(ed);
  const [header, claims, signature] = good.split('.');
  const owner = makeToken(ed, { role: 'owner' }).split('.')[1];
  const publicKey = Buffer.from(ed.jwk.x, 'base64url');
  const confused = { ...ed, alg: 'HS256', sign: (text) => createHmac('sha256', publicKey).update(text).digest() };
  const nothing = { ...ed, alg: 'none', sign: () => Buffer.alloc(0) };
  return [
    ['any', 'bad-token', 4401],
    [makeToken(ed, { rules: [{ paths: 'docs/{a', role: 'viewer' }] }), 'bad-token', 4401],
    [`${header}.${owner}.${signature}`, 'wrong-signature', 4401],
    [`${header}.${claims}.`, 'wrong-signature', 4401],
    [makeToken({ ...makeKey('EdDSA', ed.kid) }), 'wrong-signature', 4401],
    [makeToken({ ...makeKey('HS256', hs.kid) }), 'wrong-signature', 4401],
    [makeToken(makeKey('EdDSA', 'nobody')), 'unknown-key', 4401],
    [makeToken(confused), 'wrong-algorithm', 4401],
    [makeToken({ ...hs, alg: 'EdDSA' }), 'wrong-algorithm', 4401],
    [makeToken(nothing), 'wrong-algorithm', 4401],
    [makeToken(ed, { exp: inSeconds(-1) }), 'token-expired', 4401],
    [makeToken(ed, { nbf: inSeconds(60) }), 'token-not-yet-valid', 4401],
    [makeToken(ed, { aud: 'another' }), 'wrong-audience', 4401],
    [makeToken(ed, { room: 'another' }), 'wrong-room', 4403],
    [makeToken(ed, { more: 'x'.repeat(4096) }), 'token-too-long', 4401],
  ];
}
