// JSON Web Tokens made by hand, so that wrong ones can be made as well as right ones.
import { createHmac, sign } from 'node:crypto';

const part = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

export const soon = (seconds) => Math.floor(Date.now() / 1000) + seconds;

// key: a secret for HS, a private KeyObject otherwise. alg: what is signed with; header: what the token says (default: alg).
export function jwt(claims, key, alg = 'HS256', header = { alg, typ: 'JWT' }) {
  const head = `${part(header)}.${part(claims)}`;
  const hash = `sha${alg.slice(2)}`;
  let signature = '';
  if (alg.startsWith('HS')) signature = createHmac(hash, key).update(head).digest('base64url');
  else if (alg !== 'none') signature = sign(hash, Buffer.from(head), alg.startsWith('ES') ? { key, dsaEncoding: 'ieee-p1363' } : key).toString('base64url');
  return `${head}.${signature}`;
}
