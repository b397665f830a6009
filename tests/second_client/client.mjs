// A second AgentNet client, for Node, written from docs/protocol.md alone. It keeps its state in memory: what it
// stores is gone with the process, but for the identity's seed. Everything it sees is an event, one JSON line each.
// Usage: node client.mjs --agent-id ID --seed FILE (--join LINK | --relay URL) [--msgpack] [--auth-frame] COMMAND
//   meet LINK   opens a contact link: handshake, AVAILABILITY, a PROPOSAL of the first slot; waits for the answer
//   serve       prints a contact link, answers handshakes, queries and proposals, until standard input ends
//   watch N     sends heartbeats until N have been echoed
import { randomBytes } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import WebSocket from 'ws';
import * as c from './crypto.mjs';
import { Refused, checkParameters, checkSealed, jcs, readFrame, readJson, unb64, writeFrame } from './wire.mjs';

const GAP_MS = 30_000;
const FIRST_RETRY_MS = 5_000;
const b64 = (bytes) => Buffer.from(bytes).toString('base64');
const newId = (prefix) => `${prefix}${randomBytes(16).toString('hex')}`;
const bytesOf = (envelope, name) => unb64(envelope.content[name], `content.${name}`);
const meta = (encrypted, requiresResponse, priority = 'NORMAL') => ({ priority, encrypted, requiresResponse });
const keyOf = (agentId) => agentId.toLowerCase();

class Client extends EventEmitter {
  sessions = new Map(); // `${peer} ${sessionId}` -> session
  pinned = new Map(); // peer -> identity key
  received = new Map(); // `${identity key} ${messageId}` -> what 7.9 needs to know it again
  unanswered = new Map(); // messageId -> timer of its next try
  tokens = []; // of the contact links that we gave out: {token, expires, usedBy}
  logHead = c.GENESIS;

  ours = new Map(); // messageId -> digest and peer of what we sealed

  constructor({ agentId, seed, relay, invite, msgpack, authFrame }) {
    super();
    Object.assign(this, { agentId, seed, relay, invite, msgpack, authFrame });
  }

  tell(event, fields = {}) {
    console.log(JSON.stringify({ event, ...fields }));
    this.emit(event, fields);
  }

  /** The next event of this name that is the one wanted. */
  until(event, wanted = () => true) {
    return new Promise((resolve) => {
      const listener = (fields) => {
        if (!wanted(fields)) return;
        this.off(event, listener);
        resolve(fields);
      };
      this.on(event, listener);
    });
  }

  // --- the connection (3) and the relay's messages (5) --------------------------------------------------

  token() {
    const url = new URL(this.relay.replace(/^ws/, 'http'));
    const audience = `${this.relay.split(':')[0]}://${url.hostname}:${url.port || (url.protocol === 'https:' ? 443 : 80)}`;
    return c.localToken(this, audience, { invite: this.invite, jti: newId(''), nowS: Math.floor(Date.now() / 1000) });
  }

  async connect() {
    const headers = { Authorization: `Bearer ${this.token()}`, 'X-Agent-Id': this.agentId };
    const options = { perMessageDeflate: false, headers: this.authFrame ? {} : headers };
    this.socket = new WebSocket(`${this.relay}/agent-network/v1/connect`, [`agentnet.v1+${this.msgpack ? 'msgpack' : 'json'}`], options);
    this.socket.on('unexpected-response', async (request, response) => {
      const body = readJson(Buffer.concat(await response.toArray()));
      this.tell('refusedByRelay', { status: response.statusCode, errorCode: body.errorCode, message: body.message });
      request.destroy();
      this.emit('end');
    });
    this.socket.on('error', (problem) => this.tell('problem', { message: problem.message }));
    this.socket.on('message', (data, binary) => this.onFrame(data, binary));
    this.socket.on('close', (code) => {
      [this.beating, ...this.unanswered.values()].forEach(clearTimeout);
      this.tell('closed', { code });
      this.emit('end');
    });
    this.socket.on('open', () => this.authFrame && this.toRelay('AUTH', { token: this.token(), agentId: this.agentId }, 'HIGH'));
    const { heartbeatInterval } = await this.until('connected');
    this.missed = 0;
    const beat = () => {
      if (this.missed++ >= 2) this.socket.terminate(); // a longer-lived client connects again (3.2)
      else this.toRelay('HEARTBEAT', { timestamp: Date.now() }, 'LOW');
    };
    this.beating = setInterval(beat, heartbeatInterval);
    beat();
    this.watch();
  }

  put(envelope) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(writeFrame(envelope, this.socket.protocol.endsWith('msgpack')));
  }

  envelope(recipientId, conversationId, messageType, content, metadata) {
    return { messageId: newId('msg_'), conversationId, senderId: this.agentId, recipientId, messageType, content, timestamp: Date.now(), metadata };
  }

  toRelay(type, content, priority = 'NORMAL') {
    this.put(this.envelope('system', 'system', type, content, meta(false, type !== 'PRESENCE', priority)));
  }

  watch = () => this.toRelay('PRESENCE', { watch: [...this.pinned.keys()] });

  async leave() {
    this.toRelay('DISCONNECT', { reason: 'done' });
    if (this.socket.readyState !== WebSocket.CLOSED) await once(this, 'end');
  }

  onFrame(data, binary) {
    let found;
    try {
      found = readFrame(data, binary);
    } catch (problem) {
      found = [problem];
    }
    for (const item of found) {
      try {
        if (item instanceof Error) throw item;
        this.onEnvelope(item);
      } catch (problem) {
        if (!(problem instanceof Refused)) throw problem;
        this.tell('refused', { kind: problem.kind, reason: problem.reason, field: problem.field, messageId: item.messageId });
      }
    }
  }

  onEnvelope(envelope) {
    const { messageType: type, senderId, content } = envelope;
    if (senderId === 'system') this.onRelay(type, content);
    else if (type === 'HANDSHAKE') this.onHandshake(envelope);
    else if (type === 'ENCRYPTED') this.onEncrypted(envelope);
    else if (type === 'ACK' && content.status === 'DELIVERED') this.onReceipt(envelope);
    else if (type === 'ACK' && content.status === 'CONFIRMED') this.onConfirmed(envelope);
    else throw new Refused('IN_THE_CLEAR', 'messageType', type);
  }

  onRelay(type, content) {
    if (type === 'CONNECTED') {
      this.invite = undefined;
      this.tell('connected', content);
    } else if (type === 'HEARTBEAT') {
      this.missed = 0;
      this.tell('heartbeat', content);
    } else if (type === 'ERROR') {
      const about = content.details?.originalMessageId;
      for (const session of this.sessions.values()) if (session.initiation.messageId === about) session.unrouted = true;
      this.tell('relayError', content);
    } else if (type === 'PRESENCE') {
      this.tell('presence', content);
      const waiting = (s) => s.state === 'PENDING' && s.unrouted && keyOf(s.peer) === keyOf(content.agentId) && content.status === 'ONLINE';
      for (const session of this.sessions.values()) if (waiting(session)) this.put(session.initiation); // 7.3, Waiting
    } else if (type === 'ACK') this.tell(content.status.toLowerCase(), { messageId: content.messageId });
  }

  /** Sends now, and the same bytes again on the schedule of 9.2 until settled() is called for its messageId. */
  sendUntilSettled(envelope, delay = FIRST_RETRY_MS) {
    this.put(envelope);
    const again = () => this.sendUntilSettled(envelope, Math.min(delay * 2, 300_000));
    this.unanswered.set(envelope.messageId, setTimeout(again, delay));
  }
  settled(messageId) {
    clearTimeout(this.unanswered.get(messageId));
    return this.unanswered.delete(messageId);
  }

  // --- handshakes (7.3, 7.4) ----------------------------------------------------------------------------

  begin(session) {
    Object.assign(session, { sent: 0, expected: 1, ahead: new Map(), used: new Set() });
    this.sessions.set(`${keyOf(session.peer)} ${session.sessionId}`, session);
  }

  /** Asks for a session; with a contact link, proves its token and pins the key that it names. */
  async handshake(peer, conversationId = newId('conv_'), link = undefined) {
    const sessionId = newId('sess_');
    const ephemeral = randomBytes(32);
    const proof = link && c.contactProof(link.token, c.publicKey(this.seed), this.agentId, peer);
    const where = { recipientId: peer, conversationId, messageId: newId('msg_'), sessionId, timestamp: Date.now(), ephemeral, contactProof: proof };
    const initiation = c.buildHandshake(this, where);
    this.begin({ peer, conversationId, sessionId, state: 'PENDING', ephemeral, initiation });
    const answered = this.until('session', (session) => session.sessionId === sessionId);
    this.put(initiation);
    await answered;
    return conversationId;
  }

  onHandshake(envelope) {
    const { senderId, content, metadata } = envelope;
    const known = this.sessions.get(`${keyOf(senderId)} ${content.sessionId}`);
    if (!metadata.requiresResponse && !known?.initiation) return this.tell('unaskedResponse', { senderId });
    c.checkHandshake(envelope, this.agentId, metadata.requiresResponse ? undefined : known.initiation);
    const pinned = this.pinned.get(keyOf(senderId));
    const key = bytesOf(envelope, 'identityKey');
    if (pinned && !pinned.equals(key)) throw new Refused('KEY_CHANGED', 'content.identityKey', senderId);
    if (!metadata.requiresResponse) return this.onResponse(envelope, known);
    if (known && !jcs(known.initiation).equals(jcs(envelope))) throw new Refused('SESSION_ID_REUSED', 'content.sessionId', senderId);
    if (known) return this.put(known.response);
    const proved = this.proves(envelope, key); // whoever it is: the first key that uses a link has used it up (10.4)
    if (!pinned && !proved) return this.tell('stranger', { senderId });
    return this.answer(envelope, key);
  }

  /** Whether a HANDSHAKE proves a token of ours that no other key has used (10.4). */
  proves(envelope, key) {
    if (!envelope.content.contactProof) return false;
    const valid = this.tokens.find((entry) => {
      try {
        c.checkContactProof(entry.token, envelope);
        return Date.now() < entry.expires && (entry.usedBy ?? key).equals(key);
      } catch {
        return false;
      }
    });
    if (valid) valid.usedBy = key;
    return valid !== undefined;
  }

  answer(initiation, key) {
    const { senderId: peer, conversationId, content } = initiation;
    const ours = [...this.sessions.values()].find((s) => s.state === 'PENDING' && s.conversationId === conversationId && keyOf(s.peer) === keyOf(peer));
    if (ours && keyOf(this.agentId) < keyOf(peer)) return; // both at once, and ours wins: they will answer it
    if (ours) this.sessions.delete(`${keyOf(peer)} ${ours.sessionId}`);
    this.pinned.set(keyOf(peer), key);
    this.watch();
    const { sessionId } = content;
    const ephemeral = randomBytes(32);
    const where = { recipientId: peer, conversationId, messageId: newId('msg_'), sessionId, timestamp: Date.now(), ephemeral, initiation };
    const response = c.buildHandshake(this, where);
    const keys = c.deriveKeys(ephemeral, bytesOf(initiation, 'publicKey'), initiation, response);
    this.begin({ peer, conversationId, sessionId, state: 'UNCONFIRMED', keys, initiation, response });
    this.sendUntilSettled(response);
    this.tell('answered', { peer, sessionId });
  }

  onResponse(response, session) {
    if (session.state === 'PENDING') {
      session.keys = c.deriveKeys(session.ephemeral, bytesOf(response, 'publicKey'), session.initiation, response);
      session.response = response;
      session.ephemeral.fill(0);
    } else if (!jcs(session.response).equals(jcs(response))) throw new Refused('SESSION_ID_REUSED', 'content.sessionId', session.peer);
    const tag = b64(c.confirmationTag(session.keys.authKey, response));
    this.put(this.envelope(session.peer, session.conversationId, 'ACK', { messageId: response.messageId, status: 'CONFIRMED', tag }, meta(false, false)));
    this.activate(session);
  }

  onConfirmed(envelope) {
    const named = (s) => s.response?.messageId === envelope.content.messageId && keyOf(s.peer) === keyOf(envelope.senderId);
    const session = [...this.sessions.values()].find(named);
    if (session?.state !== 'UNCONFIRMED') return;
    c.checkConfirmation(session.keys.authKey, session.response, bytesOf(envelope, 'tag'));
    this.activate(session);
  }

  activate(session) {
    if (!['PENDING', 'UNCONFIRMED'].includes(session.state)) return;
    this.settled(session.response.messageId);
    const older = (s) => s.state === 'ACTIVE' && s.conversationId === session.conversationId && keyOf(s.peer) === keyOf(session.peer);
    for (const other of this.sessions.values()) if (older(other)) other.state = 'RETIRED';
    session.state = 'ACTIVE';
    this.tell('session', { peer: session.peer, sessionId: session.sessionId, conversationId: session.conversationId });
  }

  // --- sealed messages (7.6), receipts (7.8), order (7.9) -----------------------------------------------

  send(conversationId, originalType, data, requiresResponse) {
    checkSealed(originalType, data);
    const session = [...this.sessions.values()].find((s) => s.conversationId === conversationId && s.state === 'ACTIVE');
    const outer = this.envelope(session.peer, conversationId, 'ENCRYPTED', {}, meta(true, requiresResponse));
    const inner = { originalType, sessionId: session.sessionId, data, seq: ++session.sent, opening: randomBytes(32), hedge: randomBytes(32) };
    const { envelope } = c.seal(session.keys, this.seed, outer, inner);
    this.ours.set(envelope.messageId, { digest: c.digestOf(envelope), peer: keyOf(session.peer) });
    this.sendUntilSettled(envelope);
    return envelope.messageId;
  }

  onReceipt(envelope) {
    const ours = this.ours.get(envelope.content.messageId);
    if (ours?.peer !== keyOf(envelope.senderId)) throw new Refused('RECEIPT_UNASKED', 'content.messageId');
    c.verifyReceipt(this.pinned.get(ours.peer), ours.digest, bytesOf(envelope, 'logHead'), bytesOf(envelope, 'signature'));
    if (this.settled(envelope.content.messageId)) this.tell('delivered', { messageId: envelope.content.messageId });
  }

  onEncrypted(envelope) {
    const { senderId, messageId, conversationId, content } = envelope;
    const key = this.pinned.get(keyOf(senderId));
    if (!key) throw new Refused('STRANGER', 'senderId', senderId);
    c.verifySealed(envelope, this.agentId, key);
    const seen = this.received.get(`${key.toString('hex')} ${messageId}`);
    const digest = c.digestOf(envelope);
    if (seen?.digest.equals(digest)) return this.put(seen.ack);
    const session = this.sessions.get(`${keyOf(senderId)} ${content.sessionId}`);
    if (!session?.keys || session.conversationId !== conversationId) return this.startAgain(senderId, conversationId);
    const { data, seq } = c.openSealed(envelope, session.keys.encryptionKey);
    const substance = jcs({ ...envelope, content: { originalType: content.originalType }, data });
    if (seen && !seen.substance.equals(substance)) throw new Refused('REPLAY', 'messageId', messageId);
    if (seq > session.expected + 1000 || session.used.has(seq)) throw new Refused('SEQUENCE', 'seq', `${seq}`);
    this.activate(session);
    this.acknowledge(envelope, key, digest, substance);
    const deliver = seen ? () => undefined : () => this.judge(session, envelope, data);
    session.used.add(seq);
    if (seq < session.expected) return deliver(); // late, after a gap
    session.ahead.set(seq, deliver);
    this.handOn(session);
    if (session.ahead.size) setTimeout(() => this.handOn(session, Math.min(...session.ahead.keys())), GAP_MS).unref();
    return undefined;
  }

  /** Delivers what stands in a row, from `from` on: everything before it is a gap that was waited for. */
  handOn(session, from = session.expected) {
    for (session.expected = Math.max(from, session.expected); session.ahead.has(session.expected); session.expected++) {
      const deliver = session.ahead.get(session.expected);
      session.ahead.delete(session.expected);
      deliver();
    }
  }

  acknowledge(envelope, key, digest, substance) {
    const { messageId, senderId, conversationId } = envelope;
    this.logHead = c.logEntry(this.logHead, jcs(envelope));
    const receipt = { messageId, status: 'DELIVERED', logHead: b64(this.logHead), signature: b64(c.signReceipt(this.seed, digest, this.logHead)) };
    const ack = this.envelope(senderId, conversationId, 'ACK', receipt, meta(false, false));
    this.received.set(`${key.toString('hex')} ${messageId}`, { digest, substance, ack });
    this.put(ack);
  }

  startAgain(peer, conversationId) {
    this.tell('lostSession', { peer, conversationId });
    if (Date.now() - (this.startedAgain ?? 0) < 60_000) return;
    this.startedAgain = Date.now();
    this.handshake(peer, conversationId);
  }

  judge(session, envelope, data) {
    const { originalType: type } = envelope.content;
    const { conversationId, messageId } = envelope;
    try {
      checkSealed(type, data);
      if (type === 'DISCONNECT') session.state = 'RETIRED';
      this.tell(type === 'ERROR' ? 'peerError' : type.toLowerCase(), { peer: session.peer, conversationId, ...data });
    } catch (problem) {
      if (!(problem instanceof Refused)) throw problem;
      this.tell('refused', { kind: problem.kind, field: problem.field, reason: problem.reason, messageId });
      const details = { originalMessageId: messageId, field: problem.field, reason: problem.reason };
      const error = { errorCode: 'INVALID_MESSAGE_FORMAT', message: 'The message does not fit the protocol.', details, recoverable: true, retryAfter: 1000 };
      if (type !== 'ERROR') this.send(conversationId, 'ERROR', error, false);
    }
  }
}

// --- what a person would do with it ---------------------------------------------------------------------

const DAY_MS = 86_400_000;
const time = (ms) => new Date(ms).toISOString();

const COMMANDS = {
  async meet(client, text) {
    const link = c.parseContactLink(text);
    if (link.relay !== client.relay) throw new Refused('OTHER_RELAY', '', `${link.relay} is not ${client.relay}`);
    client.pinned.set(keyOf(link.agentId), link.key);
    client.watch();
    const refused = client.until('refused').then(({ kind }) => {
      throw new Refused(kind, '', 'in the handshake');
    });
    refused.catch(() => undefined);
    const conversation = await Promise.race([client.handshake(link.agentId, undefined, link), refused]);
    const tomorrow = Math.ceil(Date.now() / DAY_MS) * DAY_MS;
    const parameters = { startDate: time(tomorrow), endDate: time(tomorrow + 7 * DAY_MS), timeZone: 'Europe/Berlin', durationMinutes: 60 };
    const requestId = newId('req_');
    const response = client.until('response', (answer) => answer.requestId === requestId);
    client.send(conversation, 'QUERY', { requestId, queryType: 'AVAILABILITY', parameters }, true);
    const [slot] = (await response).data.slots;
    const proposalId = newId('prop_');
    const forUs = (answer) => answer.proposalId === proposalId;
    const answer = Promise.race([client.until('confirmation', forUs), client.until('rejection', forUs)]);
    const details = { title: 'Coffee, from another client', startTime: slot.start, endTime: time(Date.parse(slot.start) + 3_600_000), status: 'PENDING' };
    const receipt = client.until('delivered', ({ messageId }) => messageId === sent);
    const sent = client.send(conversation, 'PROPOSAL', { proposalId, details }, true);
    await Promise.all([answer, receipt]);
  },

  async serve(client) {
    client.on('query', (query) => client.send(query.conversationId, 'RESPONSE', answerTo(query), false));
    client.on('proposal', ({ conversationId, proposalId, details }) =>
      client.send(conversationId, 'CONFIRMATION', { proposalId, status: 'ACCEPTED', revision: details.revision ?? 1 }, false));
    const entry = { token: randomBytes(32), expires: Date.now() + DAY_MS };
    client.tokens.push(entry);
    client.tell('contactLink', { link: c.formatContactLink({ ...entry, agentId: client.agentId, relay: client.relay, key: c.publicKey(client.seed) }) });
    process.stdin.resume();
    await Promise.race([once(process.stdin, 'end'), once(client, 'end')]);
  },

  async watch(client, count) {
    for (let seen = 0; seen < Number(count); seen++) await client.until('heartbeat');
  },
};

function answerTo(query) {
  const { requestId, queryType, parameters } = query;
  const failed = (code, message) => ({ requestId, data: null, error: { code, message } });
  try {
    checkParameters(query);
  } catch (problem) {
    return failed('INVALID_PARAMETERS', problem.message);
  }
  if (queryType !== 'AVAILABILITY') return failed('UNAVAILABLE_DATA', 'There is no such data.');
  const start = time(Date.parse(parameters.startDate) + 10 * 3_600_000);
  const end = time(Date.parse(start) + (parameters.durationMinutes ?? 60) * 60_000);
  return { requestId, data: { availableTimes: [start], slots: [{ start, end }], timeZone: parameters.timeZone }, error: null };
}

async function main() {
  const options = {
    'agent-id': { type: 'string' }, seed: { type: 'string' }, join: { type: 'string' }, relay: { type: 'string' }, msgpack: { type: 'boolean' }, 'auth-frame': { type: 'boolean' },
  };
  const { values, positionals: [command, argument] } = parseArgs({ options, allowPositionals: true });
  const { relay, invite } = values.join ? c.parseJoinLink(values.join) : values;
  if (!existsSync(values.seed)) writeFileSync(values.seed, randomBytes(32), { mode: 0o600 });
  const client = new Client({ agentId: values['agent-id'], seed: readFileSync(values.seed), relay, invite, msgpack: values.msgpack, authFrame: values['auth-frame'] });
  const broken = once(client, 'end').then(() => Promise.reject(new Error('the connection ended')));
  broken.catch(() => undefined);
  await Promise.race([client.connect(), broken]);
  try {
    await Promise.race([COMMANDS[command](client, argument), broken]);
  } finally {
    await client.leave();
  }
}

main().catch((problem) => {
  console.log(JSON.stringify({ event: 'failed', message: problem.message }));
  process.exitCode = 1;
});
