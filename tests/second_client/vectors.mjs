// Holds this client's own reading of docs/protocol.md against resources/vectors/*.json, one line a case.
// Usage: node vectors.mjs FOLDER. A line is {"file", "kind", "name", "ok"} and, where not ok, what came instead.
import { deepStrictEqual as equal, notStrictEqual } from 'node:assert';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import * as c from './crypto.mjs';
import { Refused, jcs, readFrame, readJson } from './wire.mjs';

const unhex = (text) => Buffer.from(text, 'hex');
const hex = (bytes) => bytes.toString('hex');
const plain = (value) => JSON.parse(JSON.stringify(value));
const b64 = (text) => Buffer.from(text, 'base64');

function handshake(v) {
  const alice = { agentId: v.initiation.senderId, seed: unhex(v.initiator.identitySeed) };
  const bob = { agentId: v.response.senderId, seed: unhex(v.responder.identitySeed) };
  const [askingSeed, answeringSeed] = [unhex(v.initiator.ephemeralSeed), unhex(v.responder.ephemeralSeed)];
  const where = (envelope) => ({ ...envelope, sessionId: envelope.content.sessionId });
  equal(jcs(c.buildHandshake(alice, { ...where(v.initiation), ephemeral: askingSeed })).toString(), v.initiationCanonical);
  const response = c.buildHandshake(bob, { ...where(v.response), ephemeral: answeringSeed, initiation: v.initiation });
  equal(jcs(response).toString(), v.responseCanonical);
  equal(hex(c.sha256(jcs(v.initiation))), v.peerHash);
  c.checkHandshake(v.initiation, bob.agentId);
  c.checkHandshake(v.response, alice.agentId, v.initiation);
  const keys = c.deriveKeys(askingSeed, b64(v.response.content.publicKey), v.initiation, v.response);
  equal(c.deriveKeys(answeringSeed, b64(v.initiation.content.publicKey), v.initiation, v.response), keys);
  equal([keys.secret, keys.salt, keys.encryptionKey, keys.authKey, keys.ivBase].map(hex), [v.sharedSecret, v.salt, v.encryptionKey, v.authKey, v.ivBase]);
  equal(hex(c.confirmationTag(keys.authKey, v.response)), v.confirmationTag);
  c.checkConfirmation(keys.authKey, v.response, unhex(v.confirmationTag));
  if (!v.contactProof) return;
  const { token, identityKey, agentId, recipientId, output, initiation } = v.contactProof;
  const proof = c.contactProof(unhex(token), unhex(identityKey), agentId, recipientId);
  equal(hex(proof), output);
  equal(c.buildHandshake(alice, { ...where(initiation), ephemeral: askingSeed, contactProof: proof }), initiation);
  c.checkContactProof(unhex(token), initiation);
}

function message(v) {
  const seed = unhex(v.identitySeed);
  const keys = { encryptionKey: unhex(v.encryptionKey), ivBase: unhex(v.ivBase) };
  const { messageType, content, ...outer } = v.envelope;
  const { originalType, sessionId } = content;
  const sealed = c.seal(keys, seed, outer, { originalType, sessionId, data: v.content, seq: v.seq, opening: unhex(v.opening), hedge: unhex(v.hedge) });
  equal([sealed.plaintext.toString(), sealed.header.toString(), c.pad(sealed.plaintext).length], [v.plaintext, v.header, v.paddedLength]);
  equal([messageType, sealed.envelope], ['ENCRYPTED', { ...outer, messageType, content: sealed.envelope.content }]);
  equal(sealed.envelope.content, content);
  c.verifySealed(v.envelope, v.ownId, c.publicKey(seed));
  equal(plain(c.openSealed(v.envelope, keys.encryptionKey)), { data: v.content, seq: v.seq });
  equal(hex(c.digestOf(v.envelope)), v.digest);
  const { sessionId: _, commitment: __, ...header } = JSON.parse(v.header);
  equal(hex(c.sha256(Buffer.from('agentnet/v1/substance\0'), jcs({ data: v.content, header }))), v.substance);
}

const linkFields = (v) => {
  const { key, token, ...rest } = v.kind === 'contact' ? c.parseContactLink(v.link) : c.parseJoinLink(v.link);
  return key ? { ...rest, key: hex(key), token: hex(token) } : rest;
};
const number = (v) => c.safetyNumber(unhex(v.identityKeyA), v.agentIdA, unhex(v.identityKeyB), v.agentIdB);
const receipt = (v) => c.verifyReceipt(unhex(v.identityKey), unhex(v.digest), unhex(v.logHead), unhex(v.signature));
const logHead = (v) => c.verifyLogHead(unhex(v.identityKey), v.seq, unhex(v.hash), unhex(v.headSignature));
const only = (list) => {
  const bad = list.find((item) => item instanceof Refused);
  if (bad) throw bad;
  return list;
};
const byRole = {
  initiation: (v) => c.checkHandshake(v.envelope, v.ownId),
  response: (v) => c.checkHandshake(v.envelope, v.ownId, v.initiation),
  confirmation: (v) => c.checkConfirmation(unhex(v.authKey), v.response, unhex(v.tag)),
  contactProof: (v) => c.checkContactProof(unhex(v.token), v.envelope),
};

/** By file: what a good case must pass, and what must refuse a bad one. */
const CHECKS = {
  'canonical_json.json': {
    good(v) {
      const canonical = jcs(readJson(Buffer.from(v.json)));
      equal([canonical.toString(), hex(c.sha256(canonical))], [v.canonical, v.sha256]);
    },
    bad: (v) => readJson('hex' in v ? unhex(v.hex) : Buffer.from(v.json)),
  },
  'commitment.json': {
    good: (v) => equal(hex(c.commitment(Buffer.from(v.plaintext))), v.commitment),
    bad: (v) => hex(c.commitment(Buffer.from(v.plaintext))) === v.commitment || refuse('COMMITMENT_MISMATCH'),
  },
  'contact_links.json': {
    good(v) {
      equal(linkFields(v), v.fields);
      if (v.written && v.kind === 'contact') equal(c.formatContactLink(c.parseContactLink(v.link)), v.link);
    },
    bad: linkFields,
  },
  'handshake.json': { good: handshake, bad: (v) => byRole[v.role](v) },
  'hkdf.json': {
    good(v) {
      if (v.privateKey) equal(hex(c.exchange(unhex(v.privateKey), unhex(v.publicKey))), v.secret);
      equal(hex(c.hkdf(unhex(v.secret), unhex(v.salt), unhex(v.info), v.length)), v.output);
    },
    bad: (v) => c.exchange(unhex(v.privateKey), unhex(v.publicKey)),
  },
  'keys.json': {
    good(v) {
      equal(hex(c.publicKey(unhex(v.seed))), v.publicKey);
      equal(hex(c.sign(unhex(v.seed), unhex(v.message))), v.signature);
      c.verify(unhex(v.publicKey), unhex(v.signature), unhex(v.message));
      equal(c.fingerprint(unhex(v.publicKey)), v.fingerprint.replaceAll(' ', ''));
    },
    bad: (v) => c.verify(unhex(v.publicKey), unhex(v.signature), unhex(v.message)),
  },
  'log-chain.json': {
    good(v) {
      if (v.seq === 1) equal(hex(c.GENESIS), v.previous);
      equal(hex(c.logEntry(unhex(v.previous), Buffer.from(v.body))), v.hash);
      logHead(v);
    },
    bad: logHead,
  },
  'message.json': {
    good: message,
    bad(v) {
      c.verifySealed(v.envelope, v.ownId, unhex(v.identityKey));
      c.openSealed(v.envelope, unhex(v.encryptionKey));
    },
  },
  'msgpack.json': {
    good(v) {
      const found = plain(only(readFrame(unhex(v.msgpack), true)));
      equal(Array.isArray(v.json) ? found : found[0], v.json);
    },
    bad: (v) => only(readFrame(unhex(v.msgpack), true)),
  },
  'receipt.json': {
    good(v) {
      receipt(v);
      equal(hex(c.signReceipt(unhex(v.identitySeed), unhex(v.digest), unhex(v.logHead))), v.signature);
    },
    bad: receipt,
  },
  'safety-number.json': {
    good: (v) => equal([number(v), number(v).match(/.{5}/g).join(' ')], [v.number, v.shown]),
    bad(v) {
      notStrictEqual(number(v), v.number);
      refuse('DIFFERENT');
    },
  },
};
function refuse(kind) {
  throw new Refused(kind, '');
}

/** What went wrong with a case; undefined when it came out as it must. */
function verdict(kind, v, check) {
  try {
    check(v);
  } catch (problem) {
    if (kind === 'good' || !(problem instanceof Refused)) return String(problem.stack);
    const word = problem.kind === 'HANDSHAKE_REFUSED' ? `${problem.kind}:${problem.reason}` : problem.kind;
    if (word !== v.error) return `refused as ${word}, not as ${v.error}`;
    return v.field === undefined || problem.field === v.field ? undefined : `names ${problem.field}, not ${v.field}`;
  }
  return kind === 'good' ? undefined : `was taken, though it is ${v.error}`;
}

const folder = process.argv[2];
for (const file of readdirSync(folder).filter((name) => name.endsWith('.json')).sort()) {
  const vectors = JSON.parse(readFileSync(join(folder, file), 'utf8'));
  for (const kind of ['good', 'bad'])
    for (const v of vectors[kind]) {
      const problem = CHECKS[file] ? verdict(kind, v, CHECKS[file][kind]) : 'no check for this file';
      console.log(JSON.stringify({ file, kind, name: v.name, ok: problem === undefined, problem }));
    }
}
