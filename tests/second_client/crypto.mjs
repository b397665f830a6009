// Keys, handshake, sealing, receipts, links: every byte string that is hashed, signed or encrypted.
// Written from docs/protocol.md (sections 7, 10, 11 and 13.1) alone.
import { createHash, createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { ed25519, x25519 } from '@noble/curves/ed25519.js';
import { Refused, isAgentId, jcs, readEnvelope, readJson, unb64 } from './wire.mjs';

export const SUITE = 'X25519-HKDF-SHA256-XCHACHA20POLY1305-ED25519';
const refuse = (kind, reason = '') => {
  throw new Refused(kind, '', reason);
};
const same = (one, other) => one.length === other.length && timingSafeEqual(one, other);
const b64 = (bytes) => Buffer.from(bytes).toString('base64');
const label = (name) => Buffer.from(`agentnet/v1/${name}\0`);
const hash = (algorithm, ...parts) => createHash(algorithm).update(Buffer.concat(parts)).digest();
export const sha256 = (...parts) => hash('sha256', ...parts);
const hmac = (key, ...parts) => createHmac('sha256', key).update(Buffer.concat(parts)).digest();
export const hkdf = (secret, salt, info, length) => Buffer.from(hkdfSync('sha256', secret, salt, info, length));
const u64 = (number) => {
  const out = Buffer.alloc(8);
  out.writeBigUInt64BE(BigInt(number));
  return out;
};

// --- keys (7.1) -----------------------------------------------------------------------------------------

export const publicKey = (seed) => Buffer.from(ed25519.getPublicKey(seed));
export const ephemeralPublic = (seed) => Buffer.from(x25519.getPublicKey(seed));
export const fingerprint = (key) => sha256(key).toString('hex');
export const sign = (seed, ...parts) => Buffer.from(ed25519.sign(Buffer.concat(parts), seed));

function goodPoint(bytes, kind) {
  try {
    if (!ed25519.Point.fromBytes(bytes, false).isSmallOrder()) return;
  } catch {
    // not on the curve, or not in canonical form
  }
  refuse(kind);
}
export const checkIdentityKey = (key) => goodPoint(key, 'BAD_KEY');

export function verify(key, signature, ...parts) {
  checkIdentityKey(key);
  if (signature.length !== 64) refuse('BAD_SIGNATURE');
  goodPoint(signature.subarray(0, 32), 'BAD_SIGNATURE');
  if (!ed25519.verify(signature, Buffer.concat(parts), key, { zip215: false })) refuse('BAD_SIGNATURE');
}

export function exchange(privateKey, theirs) {
  try {
    return Buffer.from(x25519.getSharedSecret(privateKey, theirs));
  } catch {
    return refuse('BAD_KEY');
  }
}

// --- handshake (7.3), confirmation (7.4), keys (7.5) ----------------------------------------------------

const field = (envelope, name) => unb64(envelope.content[name], `content.${name}`);
const unsigned = (envelope) => {
  const { signature, ...content } = envelope.content;
  return jcs({ ...envelope, content });
};

/** A HANDSHAKE, signed. `from` is {agentId, seed}; a `to` with an `initiation` makes it the response to that. */
export function buildHandshake(from, { recipientId, conversationId, messageId, sessionId, timestamp, ephemeral, initiation, contactProof }) {
  const envelope = {
    messageId, conversationId, senderId: from.agentId, recipientId, messageType: 'HANDSHAKE',
    content: {
      agentId: from.agentId, publicKey: b64(ephemeralPublic(ephemeral)), identityKey: b64(publicKey(from.seed)), sessionId,
      suite: initiation ? SUITE : [SUITE],
      ...(initiation && { peerHash: b64(sha256(jcs(initiation))) }),
      ...(contactProof && { contactProof: b64(contactProof) }),
    },
    timestamp, metadata: { priority: 'HIGH', encrypted: false, requiresResponse: !initiation },
  };
  envelope.content.signature = b64(sign(from.seed, label('handshake'), jcs(envelope)));
  return envelope;
}

/** All checks of 7.3 but the pinned key, in its order. With `initiation`, as the response to that. */
export function checkHandshake(envelope, ownId, initiation) {
  readEnvelope(envelope);
  const { content } = envelope;
  const [mine, sender] = [ownId.toLowerCase(), envelope.senderId.toLowerCase()];
  const or = (good, reason) => good || refuse('HANDSHAKE_REFUSED', reason);
  checkIdentityKey(field(envelope, 'identityKey'));
  exchange(Buffer.alloc(32, 1), field(envelope, 'publicKey'));
  verify(field(envelope, 'identityKey'), field(envelope, 'signature'), label('handshake'), unsigned(envelope));
  or(content.agentId.toLowerCase() === sender, 'AGENT_ID_MISMATCH');
  or(sender !== mine, 'OWN_ID');
  or(envelope.recipientId.toLowerCase() === mine, 'WRONG_RECIPIENT');
  const asks = envelope.metadata.requiresResponse;
  or(asks === !initiation && Array.isArray(content.suite) === asks && ((content.peerHash ?? null) === null) === asks, 'WRONG_ROLE');
  or(asks ? content.suite.includes(SUITE) : content.suite === SUITE && initiation.content.suite.includes(SUITE), 'SUITE');
  if (!initiation) return;
  or(sender === initiation.recipientId.toLowerCase(), 'WRONG_SENDER');
  or(envelope.conversationId === initiation.conversationId, 'WRONG_CONVERSATION');
  or(content.sessionId === initiation.content.sessionId, 'WRONG_SESSION');
  or(same(field(envelope, 'peerHash'), sha256(jcs(initiation))), 'PEER_HASH');
}

export function deriveKeys(ephemeral, theirs, initiation, response) {
  const secret = exchange(ephemeral, theirs);
  const salt = sha256(label('transcript'), jcs(initiation), jcs(response));
  return {
    secret, salt, encryptionKey: hkdf(secret, salt, 'encryption', 32), authKey: hkdf(secret, salt, 'authentication', 32), ivBase: hkdf(secret, salt, 'iv', 16),
  };
}

export const confirmationTag = (authKey, response) => hmac(authKey, label('confirm'), sha256(jcs(response)));
export const checkConfirmation = (authKey, response, tag) => same(confirmationTag(authKey, response), tag) || refuse('CONFIRMATION_MISMATCH');

export const contactProof = (token, identityKey, agentId, recipientId) => hmac(token, label('contact'), identityKey, Buffer.from(`${agentId}\0${recipientId}`));
export function checkContactProof(token, envelope) {
  const expected = contactProof(token, field(envelope, 'identityKey'), envelope.content.agentId, envelope.recipientId);
  if (!same(expected, field(envelope, 'contactProof'))) refuse('CONTACT_PROOF_MISMATCH');
}

// --- messages (7.6) and receipts (7.8) ------------------------------------------------------------------

const paddedLength = (length) => [256, 512, 1024, 2048, 4096].find((step) => length < step) ?? Math.ceil((length + 1) / 4096) * 4096;
export const pad = (plaintext) => Buffer.concat([plaintext, Buffer.of(0x80), Buffer.alloc(paddedLength(plaintext.length) - plaintext.length - 1)]);
export function unpad(padded) {
  const end = padded.findLastIndex((byte) => byte !== 0);
  if (padded[end] !== 0x80 || paddedLength(end) !== padded.length) refuse('CONTENT_INVALID', 'padding');
  return padded.subarray(0, end);
}
export const commitment = (plaintext) => sha256(label('commit'), plaintext);

function headerOf(envelope) {
  const { messageId, conversationId, senderId, recipientId, timestamp, metadata } = envelope;
  const { originalType, sessionId, commitment } = envelope.content;
  return jcs({ messageId, conversationId, senderId, recipientId, originalType, sessionId, commitment, timestamp, metadata });
}
export const digestOf = (envelope) => sha256(field(envelope, 'nonce'), field(envelope, 'encryptedData'), headerOf(envelope));

/** An ENCRYPTED envelope. `outer` holds messageId, conversationId, senderId, recipientId, timestamp and metadata. */
export function seal(keys, seed, outer, { originalType, sessionId, data, seq, opening, hedge }) {
  const plaintext = jcs({ data, opening: b64(opening), seq });
  const envelope = { ...outer, messageType: 'ENCRYPTED', content: { originalType, sessionId, commitment: b64(commitment(plaintext)) } };
  const header = headerOf(envelope);
  const nonce = hmac(keys.ivBase, hedge, u64(seq), sha256(header, plaintext)).subarray(0, 24);
  const ciphertext = Buffer.from(xchacha20poly1305(keys.encryptionKey, nonce, header).encrypt(pad(plaintext)));
  const signature = sign(seed, label('message'), nonce, ciphertext, header);
  Object.assign(envelope.content, { encryptedData: b64(ciphertext), nonce: b64(nonce), signature: b64(signature) });
  return { envelope, plaintext, header };
}

/** Fields, signature under the pinned key, and whom it is for: all that can be judged without session keys. */
export function verifySealed(envelope, ownId, identityKey) {
  readEnvelope(envelope);
  const signed = [label('message'), field(envelope, 'nonce'), field(envelope, 'encryptedData'), headerOf(envelope)];
  verify(identityKey, field(envelope, 'signature'), ...signed);
  const mine = ownId.toLowerCase();
  if (envelope.recipientId.toLowerCase() !== mine || envelope.senderId.toLowerCase() === mine) refuse('MISDIRECTED');
}

/** {data, seq} of an envelope that verifySealed() has passed. */
export function openSealed(envelope, encryptionKey) {
  let padded;
  try {
    const cipher = xchacha20poly1305(encryptionKey, field(envelope, 'nonce'), headerOf(envelope));
    padded = Buffer.from(cipher.decrypt(field(envelope, 'encryptedData')));
  } catch {
    refuse('DECRYPTION_FAILED');
  }
  const plaintext = unpad(padded);
  if (!same(commitment(plaintext), field(envelope, 'commitment'))) refuse('COMMITMENT_MISMATCH');
  try {
    const value = readJson(plaintext);
    const { data, opening, seq } = value;
    unb64(opening, 'opening', 32);
    const exact = Object.keys(value).sort().join() === 'data,opening,seq' && same(jcs(value), plaintext);
    if (exact && typeof data === 'object' && data !== null && !Array.isArray(data) && Number.isInteger(seq) && seq >= 1) return { data, seq };
  } catch (problem) {
    if (!(problem instanceof Refused)) throw problem;
  }
  return refuse('CONTENT_INVALID');
}

export const signReceipt = (seed, digest, logHead) => sign(seed, label('receipt'), digest, logHead);
export const verifyReceipt = (key, digest, logHead, signature) => verify(key, signature, label('receipt'), digest, logHead);

// --- log heads (13.1), safety numbers (10.3) ------------------------------------------------------------

export const GENESIS = sha256(label('log-genesis'));
export const logEntry = (previous, body) => sha256(label('log-entry'), previous, sha256(body));
export const verifyLogHead = (key, seq, head, signature) => verify(key, signature, label('log-head'), u64(seq), head);

function half(key, agentId) {
  let h = Buffer.concat([Buffer.of(0, 0), key, Buffer.from(agentId)]);
  for (let i = 0; i < 5200; i++) h = hash('sha512', h, key);
  return [0, 5, 10, 15, 20, 25].map((at) => String(h.readUIntBE(at, 5) % 100000).padStart(5, '0')).join('');
}
export const safetyNumber = (keyA, idA, keyB, idB) => [half(keyA, idA), half(keyB, idB)].sort().join('');

// --- links (10.4, 11.4) and tokens (11.2) ---------------------------------------------------------------

function unb64url(value) {
  const bytes = Buffer.from(value, 'base64url');
  return bytes.toString('base64url') === value && bytes.length === 32 ? bytes : refuse('BAD_LINK');
}

function memberValues(source, allowed, required) {
  const found = {};
  for (const part of source ? source.split('&') : []) {
    const [, name, value] = /^([a-z]+)=(.*)$/s.exec(part) ?? refuse('BAD_LINK', 'member');
    if (!allowed.includes(name) || name in found) refuse('BAD_LINK', name);
    try {
      found[name] = decodeURIComponent(value);
    } catch {
      refuse('BAD_LINK', name);
    }
  }
  return required.every((name) => name in found) ? found : refuse('BAD_LINK', 'missing');
}

function relayAddress(value) {
  return /^wss?:\/\/([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$/.test(value) ? value : refuse('BAD_LINK', 'relay');
}
const LINK = /^([A-Za-z0-9._~!$&'()*+,;=:@/?%-]*?)(?:\?([^#?]*))?(?:#([^#]*))?$/;
function split(link, head) {
  if (!link.startsWith(head) || !/^[\x21-\x7e]*$/.test(link)) refuse('BAD_LINK', 'form');
  return LINK.exec(link.slice(head.length)) ?? refuse('BAD_LINK', 'form');
}

export function parseContactLink(link) {
  const [, path, query, fragment] = split(link, 'agentnet://contact/');
  const { relay } = memberValues(query, ['relay'], ['relay']);
  const { key, token, expires } = memberValues(fragment, ['key', 'token', 'expires'], ['key', 'token', 'expires']);
  const agentId = memberValues(`id=${path}`, ['id'], ['id']).id;
  if (!isAgentId(agentId) || !/^(0|[1-9][0-9]*)$/.test(expires) || !Number.isSafeInteger(Number(expires))) refuse('BAD_LINK');
  return { agentId, relay: relayAddress(relay), key: unb64url(key), token: unb64url(token), expires: Number(expires) };
}

export const formatContactLink = ({ agentId, relay, key, token, expires }) =>
  `agentnet://contact/${agentId}?relay=${encodeURIComponent(relay)}#key=${key.toString('base64url')}&token=${token.toString('base64url')}&expires=${expires}`;

export function parseJoinLink(link) {
  const [, path, query, fragment] = split(link, 'agentnet://join');
  const { relay, name = '' } = memberValues(query, ['relay', 'name'], ['relay']);
  const { invite, cert = null } = memberValues(fragment, ['invite', 'cert'], ['invite']);
  if (path !== '' || !/^[A-Za-z0-9._~-]{22,256}$/.test(invite) || !(cert === null || /^[0-9a-f]{64}$/.test(cert))) refuse('BAD_LINK');
  return { relay: relayAddress(relay), name, invite, cert };
}

/** The JWT of mode `local`: signed by the identity key, with the invite's code at the first connection. */
export function localToken({ agentId, seed }, audience, { invite, jti, nowS, lifeS = 3600 }) {
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: publicKey(seed).toString('base64url') };
  const claims = { sub: agentId, aud: audience, iat: nowS, exp: nowS + lifeS, jti, ...(invite && { cnf: { jwk }, invite }) };
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ alg: 'EdDSA', typ: 'JWT' })}.${part(claims)}`;
  return `${signed}.${sign(seed, Buffer.from(signed)).toString('base64url')}`;
}
