// Envelopes as they cross a connection: strict JSON and msgpack, batches, the fields and their rules.
// Written from docs/protocol.md (sections 2 to 5 and 8) alone.
import canonicalize from 'canonicalize';

/** What a reader does not take: a word for the kind of fault, and where it lies. */
export class Refused extends Error {
  constructor(kind, field, reason = '') {
    super([kind, field, reason].filter(Boolean).join(': '));
    Object.assign(this, { kind, field, reason });
  }
}
const refuse = (field, reason) => {
  throw new Refused('INVALID_MESSAGE_FORMAT', field, reason);
};

export const jcs = (value) => Buffer.from(canonicalize(value), 'utf8'); // 2.4

// --- strict reading (2.3) -------------------------------------------------------------------------------

const MAX_DEPTH = 16;
const LONE_SURROGATE = /\p{Surrogate}/u;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const member = (path, name) => (path ? `${path}.${name}` : name);

const floats = new WeakMap(); // object -> names of members whose number was written as no integer

/** What both formats share. A forbidden value is noted, and reading goes on: in a batch, only its element fails. */
class Reader {
  at = 0;
  fault = null;

  note(path, reason) {
    this.fault ??= new Refused('INVALID_MESSAGE_FORMAT', path || 'frame', reason);
    return null;
  }

  text(value, path) {
    return LONE_SURROGATE.test(value) ? this.note(path, 'holds a lone surrogate') : value;
  }

  number(value, path) {
    if (!Number.isFinite(value)) return this.note(path, 'is no finite number');
    return Number.isInteger(value) && !Number.isSafeInteger(value) ? this.note(path, 'is beyond 2^53-1') : value;
  }

  put(object, key, value, path) {
    if (key === null) return;
    if (key in object) this.note(member(path, key), 'stands twice');
    if (typeof value === 'number' && this.float) floats.set(object, (floats.get(object) ?? new Set()).add(key));
    object[key] = value;
  }

  deeper(path, depth) {
    if (depth > MAX_DEPTH) throw this.note(path, 'is nested too deep') ?? this.fault;
  }

  /** All that the frame holds: a value, or of a batch the list of [value, fault]. */
  static read(bytes, asBatch) {
    const reader = new this(bytes);
    const value = asBatch && reader.startsList() ? reader.list('', 0, true) : reader.value('', 1);
    reader.end();
    if (reader.fault) throw reader.fault;
    return value;
  }

  /** One element of a batch, with its own fault and its own paths and depth. */
  element(list) {
    const value = this.value('', 1);
    list.push([value, this.fault]);
    this.fault = null;
  }
}

class JsonReader extends Reader {
  constructor(bytes) {
    super();
    try {
      this.source = utf8.decode(bytes);
    } catch {
      refuse('frame', 'is not UTF-8');
    }
  }

  take(pattern) {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.source);
    if (found) this.at = pattern.lastIndex;
    return found?.[0];
  }

  space = () => this.take(/[ \t\n\r]*/y);
  next(token) {
    this.space();
    return this.source.startsWith(token, this.at) ? (this.at += token.length) : 0;
  }
  need = (token) => this.next(token) || refuse('frame', `lacks ${token} at ${this.at}`);
  startsList = () => this.space() !== null && this.source[this.at] === '[';
  end = () => this.space() !== null && (this.at === this.source.length || refuse('frame', 'goes on after its end'));

  value(path, depth) {
    this.space();
    const first = this.source[this.at];
    if (first === '{') return this.object(path, depth);
    if (first === '[') return this.list(path, depth, false);
    if (first === '"') return this.string(path);
    for (const [word, value] of [['true', true], ['false', false], ['null', null]]) if (this.next(word)) return value;
    if (this.take(/-?Infinity|NaN/y)) return this.note(path, 'is no number');
    const digits = this.take(/-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y);
    this.float = /[.eE]/.test(digits);
    return digits === undefined ? refuse('frame', `holds no value at ${this.at}`) : this.number(Number(digits), path);
  }

  string(path) {
    const quoted = this.take(/"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y);
    return quoted === undefined ? refuse('frame', `holds a broken string at ${this.at}`) : this.text(JSON.parse(quoted), path);
  }

  object(path, depth) {
    this.deeper(path, depth);
    const object = Object.create(null);
    this.need('{');
    if (this.next('}')) return object;
    do {
      this.space();
      const key = this.string(path);
      this.need(':');
      this.put(object, key, this.value(member(path, key ?? ''), depth + 1), path);
    } while (this.next(','));
    this.need('}');
    return object;
  }

  list(path, depth, batch) {
    if (!batch) this.deeper(path, depth);
    const list = [];
    this.need('[');
    if (this.next(']')) return list;
    do {
      if (batch) this.element(list);
      else list.push(this.value(`${path}[${list.length}]`, depth + 1));
    } while (this.next(','));
    this.need(']');
    return list;
  }
}

class MsgpackReader extends Reader {
  constructor(bytes) {
    super();
    this.bytes = Buffer.from(bytes);
  }

  take(count, path) {
    if (this.at + count > this.bytes.length) refuse(path || 'frame', 'is cut off');
    return this.bytes.subarray(this.at, (this.at += count));
  }
  uint = (width, path) => Number(BigInt(`0x${this.take(width, path).toString('hex')}`));
  startsList = () => (this.bytes[this.at] & 0xf0) === 0x90 || [0xdc, 0xdd].includes(this.bytes[this.at]);
  end = () => this.at === this.bytes.length || refuse('frame', 'goes on after its end');

  value(path, depth) {
    const lead = this.uint(1, path);
    this.float = lead === 0xcb;
    if (lead < 0x80) return lead;
    if (lead < 0x90) return this.map(path, depth, lead & 0x0f);
    if (lead < 0xa0) return this.items(path, depth, lead & 0x0f);
    if (lead < 0xc0) return this.string(path, lead & 0x1f);
    if (lead >= 0xe0) return lead - 256;
    if (lead >= 0xcc && lead <= 0xcf) return this.number(this.uint(1 << (lead - 0xcc), path), path);
    if (lead >= 0xd0 && lead <= 0xd3) {
      const width = 1 << (lead - 0xd0);
      return this.number(Number(BigInt.asIntN(width * 8, BigInt(`0x${this.take(width, path).toString('hex')}`))), path);
    }
    if (lead >= 0xd4 && lead <= 0xd8) return this.take(1 + (1 << (lead - 0xd4)), path) && this.note(path, 'is an ext type');
    switch (lead) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: case 0xc5: case 0xc6: return new Uint8Array(this.take(this.uint(1 << (lead - 0xc4), path), path));
      case 0xc7: case 0xc8: case 0xc9: return this.take(1 + this.uint(1 << (lead - 0xc7), path), path) && this.note(path, 'is an ext type');
      case 0xca: return this.take(4, path) && this.note(path, 'is a float32');
      case 0xcb: return this.number(this.take(8, path).readDoubleBE(), path);
      case 0xd9: case 0xda: case 0xdb: return this.string(path, this.uint(1 << (lead - 0xd9), path));
      case 0xdc: case 0xdd: return this.items(path, depth, this.uint(lead === 0xdc ? 2 : 4, path));
      case 0xde: case 0xdf: return this.map(path, depth, this.uint(lead === 0xde ? 2 : 4, path));
      default: return refuse(path || 'frame', 'begins with a byte that means nothing');
    }
  }

  string(path, length) {
    try {
      return utf8.decode(this.take(length, path));
    } catch (problem) {
      return problem instanceof Refused ? refuse(problem.field, problem.reason) : this.note(path, 'is not UTF-8');
    }
  }

  map(path, depth, count) {
    this.deeper(path, depth);
    const object = Object.create(null);
    for (let i = 0; i < count; i++) {
      let key = this.value(path, depth + 1);
      if (typeof key !== 'string') key = this.note(path, 'has a key that is not a string');
      this.put(object, key, this.value(member(path, key ?? ''), depth + 1), path);
    }
    return object;
  }

  items(path, depth, count) {
    this.deeper(path, depth);
    return Array.from({ length: Math.min(count, this.bytes.length) }, (_, i) => this.value(`${path}[${i}]`, depth + 1));
  }

  list() {
    const list = [];
    const lead = this.uint(1, '');
    const count = lead === 0xdc ? this.uint(2, '') : lead === 0xdd ? this.uint(4, '') : lead & 0x0f;
    while (list.length < count) this.element(list);
    return list;
  }
}

export const readJson = (bytes) => JsonReader.read(bytes, false);

// --- types of fields ------------------------------------------------------------------------------------

const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
const rule = (test, reason) => (value, field) => test(value) || refuse(field, reason);
const text = rule((v) => typeof v === 'string', 'is not a string');
const filled = rule((v) => typeof v === 'string' && v !== '', 'is not a string, or empty');
const flag = rule((v) => typeof v === 'boolean', 'is not true or false');
const object = rule(isObject, 'is not an object');
const whole = (low, high = Number.MAX_SAFE_INTEGER) =>
  Object.assign(rule((v) => Number.isInteger(v) && v >= low && v <= high, 'is not an integer in range'), { integer: true });
const like = (pattern, reason) => rule((v) => typeof v === 'string' && pattern.test(v), reason);
const one = (...words) => rule((v) => words.includes(v), `is none of ${words.join(' ')}`);
const id = like(/^[A-Za-z0-9._:-]{1,64}$/, 'is no id');
export const isAgentId = (v) => /^[A-Za-z0-9][A-Za-z0-9._-]{1,63}$/.test(v) && v.toLowerCase() !== 'system';
const agent = rule((v) => typeof v === 'string' && isAgentId(v), 'is no agentId');
const party = rule((v) => typeof v === 'string' && (v === 'system' || isAgentId(v)), 'is no agentId');
const many = (low, high, check) => (value, field) => {
  if (!Array.isArray(value) || value.length < low || value.length > high) refuse(field, `is no list of ${low} to ${high}`);
  value.forEach((item, i) => check(item, `${field}[${i}]`));
};
const LATEST_MS = Date.UTC(3000, 0) - 1; // 8.1
const instant = rule((v) => {
  const found = typeof v === 'string' && /^(\d{4})-(\d\d)-(\d\d)T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.exec(v);
  const within = Date.parse(v) >= 0 && Date.parse(v) <= LATEST_MS; // false for what is no time at all
  return found && within && new Date(Date.UTC(found[1], found[2] - 1, found[3])).getUTCDate() === Number(found[3]);
}, 'is no time');

/** Bytes of a bytes field, which stands as canonical b64 (2.2). */
export function unb64(value, field, length) {
  const bytes = typeof value === 'string' ? Buffer.from(value, 'base64') : refuse(field, 'is no base64');
  if (bytes.toString('base64') !== value) refuse(field, 'is not canonical base64');
  if (length !== undefined && bytes.length !== length) refuse(field, `is not of ${length} bytes`);
  return bytes;
}
const bytes = (length) => (value, field) => unb64(value, field, length);

/** An object with these members; a name that ends in ? may be absent or null. Unknown members are let be. */
const members = (schema) => (value, field) => {
  object(value, field);
  for (const [name, check] of Object.entries(schema)) {
    const key = name.replace('?', '');
    if (key !== name && (value[key] ?? null) === null) continue;
    if (!(key in value)) refuse(member(field, key), 'is missing');
    if (check.integer && floats.get(value)?.has(key)) refuse(member(field, key), 'is not written as an integer');
    check(value[key], member(field, key));
  }
};

// --- contents in the clear (5) and sealed ones (8) ------------------------------------------------------

const SEALED_TYPES = ['QUERY', 'RESPONSE', 'PROPOSAL', 'CONFIRMATION', 'REJECTION', 'DISCONNECT', 'ERROR'];
const error = members({
  errorCode: like(/^[A-Z][A-Z0-9_]{0,63}$/, 'is no error code'), message: text, 'details?': object, recoverable: flag, retryAfter: whole(0),
});
const ack = {
  ROUTED: members({}), CLOSED: members({}), DELIVERED: members({ logHead: bytes(32), signature: bytes(64) }), CONFIRMED: members({ tag: bytes(32) }),
};
const CLEAR = {
  AUTH: members({ token: filled, agentId: agent, 'invite?': text }),
  CONNECTED: members({
    connectionId: id, agentId: agent, heartbeatInterval: whole(0), idleTimeout: whole(0), maxMessageBytes: whole(0), tokenExpiresAt: whole(0), serverTime: whole(0), relayName: text,
  }),
  ACK: (v, f) => (members({ messageId: id, status: one(...Object.keys(ack)) })(v, f), ack[v.status](v, f)),
  PRESENCE: (v, f) => (isObject(v) && 'watch' in v ? members({ watch: many(0, 1000, agent) }) : members({ agentId: agent, status: one('ONLINE', 'OFFLINE') }))(v, f),
  HEARTBEAT: members({ timestamp: whole(0) }),
  DISCONNECT: members({ 'reason?': text }),
  ERROR: error,
  HANDSHAKE: members({
    agentId: agent, publicKey: bytes(32), identityKey: bytes(32), sessionId: id, signature: bytes(64), 'peerHash?': bytes(32), 'contactProof?': bytes(32),
    suite: (v, f) => (Array.isArray(v) ? many(1, 16, text) : text)(v, f),
  }),
  ENCRYPTED: members({
    encryptedData: (v, f) => unb64(v, f).length >= 16 || refuse(f, 'is too short'), nonce: bytes(24), signature: bytes(64), originalType: one(...SEALED_TYPES), sessionId: id, commitment: bytes(32),
  }),
};
const PARAMETERS = {
  AVAILABILITY: members({ startDate: instant, endDate: instant, timeZone: filled, 'durationMinutes?': whole(1, 1440) }),
  LOCATION_PREFERENCE: object,
  MEETING_TYPE_PREFERENCE: object,
  CUSTOM: members({ name: like(/^.{1,64}$/su, 'is not of 1 to 64 characters') }),
};
const kind = like(/^.{1,64}$/su, 'is not of 1 to 64 characters');
const degrees = (most) => rule((v) => typeof v === 'number' && Math.abs(v) <= most, `is not within ${most} degrees`);
const place = members({
  name: text, 'address?': text, 'locationType?': kind, 'coordinates?': members({ latitude: degrees(90), longitude: degrees(180) }),
});
const slot = { startTime: instant, endTime: instant, 'location?': place };
const inOrder = (v, f) => Date.parse(v.startTime) < Date.parse(v.endTime) || refuse(member(f, 'endTime'), 'is not after the start');
const SEALED = {
  QUERY: members({ requestId: id, queryType: one(...Object.keys(PARAMETERS)), parameters: object }),
  RESPONSE: members({ requestId: id, 'data?': object, 'error?': members({ code: text, message: text, 'details?': object }) }),
  PROPOSAL: members({
    proposalId: id,
    details: (v, f) => {
      members({
        title: filled, ...slot, status: one('PENDING', 'MODIFIED'), 'revision?': whole(1), 'timeZone?': text, 'localStart?': text, 'description?': text,
        'meetingType?': kind, 'participants?': many(0, 64, agent), 'alternatives?': many(0, 4, members(slot)), 'expiresAt?': whole(0, LATEST_MS),
      })(v, f);
      inOrder(v, f);
      if ((v.status === 'PENDING') !== ((v.revision ?? 1) === 1)) refuse(member(f, 'status'), 'does not fit the revision');
    },
  }),
  CONFIRMATION: members({ proposalId: id, status: one('ACCEPTED'), 'revision?': whole(1), 'alternative?': whole(0, 4), 'calendarEventId?': text }),
  REJECTION: members({
    proposalId: id, reason: one('SCHEDULE_CONFLICT', 'LOCATION_UNSUITABLE', 'TIME_UNSUITABLE', 'USER_DECLINED', 'OTHER'), 'revision?': whole(1), 'details?': text,
  }),
  DISCONNECT: CLEAR.DISCONNECT,
  ERROR: error,
};
export const checkSealed = (type, data) => SEALED[type](data, 'content');
export const checkParameters = (query) => PARAMETERS[query.queryType](query.parameters, 'content.parameters');

// --- envelopes (4) and frames (3.3) ---------------------------------------------------------------------

const metadata = members({ priority: one('HIGH', 'NORMAL', 'LOW'), encrypted: flag, requiresResponse: flag });
const ENVELOPE = {
  messageId: id, conversationId: id, senderId: party, recipientId: party, messageType: one(...Object.keys(CLEAR), ...SEALED_TYPES),
  content: object, timestamp: whole(0), metadata,
};
const BYTES_FIELDS = {
  HANDSHAKE: ['publicKey', 'identityKey', 'peerHash', 'signature', 'contactProof'],
  ENCRYPTED: ['encryptedData', 'nonce', 'signature', 'commitment'],
  ACK: ['signature', 'tag', 'logHead'],
};

/** The envelope in JSON form, with the eight fields and no other. */
export function readEnvelope(value) {
  if (!isObject(value)) refuse('envelope', 'is not an object');
  members(ENVELOPE)(value, '');
  CLEAR[value.messageType]?.(value.content, 'content');
  return Object.fromEntries(Object.keys(ENVELOPE).map((name) => [name, value[name]]));
}

/** msgpack's bin to b64 text, where bytes fields are; text there, and bin elsewhere, is refused. */
function toJsonForm(value) {
  const names = isObject(value) && isObject(value.content) ? (BYTES_FIELDS[value.messageType] ?? []) : [];
  for (const name of names) {
    const field = value.content[name] ?? null;
    if (field !== null && !(field instanceof Uint8Array)) refuse(`content.${name}`, 'is not bin');
    if (field !== null) value.content[name] = Buffer.from(field).toString('base64');
  }
  const search = (inner, path) => {
    if (inner instanceof Uint8Array) refuse(path, 'is bin');
    if (Array.isArray(inner)) inner.forEach((item, i) => search(item, `${path}[${i}]`));
    else if (isObject(inner)) for (const name of Object.keys(inner)) search(inner[name], member(path, name));
  };
  search(value, '');
  return value;
}

/** What a frame holds: a list of envelopes, and of what was refused in their place. */
export function readFrame(data, binary) {
  const found = (binary ? MsgpackReader : JsonReader).read(data, true);
  if (Array.isArray(found) && (found.length < 1 || found.length > 64)) refuse('frame', 'is no batch of 1 to 64');
  if (!Array.isArray(found) && !isObject(found)) refuse('frame', 'is neither an envelope nor a batch');
  return (Array.isArray(found) ? found : [[found, null]]).map(([value, fault]) => {
    try {
      if (fault) throw fault;
      return readEnvelope(binary ? toJsonForm(value) : value);
    } catch (problem) {
      if (problem instanceof Refused) return problem;
      throw problem;
    }
  });
}

function pack(value) {
  const head = (tag, width, number) => {
    const out = Buffer.alloc(1 + width, tag);
    out.writeUIntBE(number, 1, width);
    return out;
  };
  if (value === null) return Buffer.of(0xc0);
  if (typeof value === 'boolean') return Buffer.of(value ? 0xc3 : 0xc2);
  if (typeof value === 'string') return Buffer.concat([head(0xdb, 4, Buffer.byteLength(value)), Buffer.from(value)]);
  if (value instanceof Uint8Array) return Buffer.concat([head(0xc6, 4, value.length), value]);
  if (Array.isArray(value)) return Buffer.concat([head(0xdd, 4, value.length), ...value.map(pack)]);
  if (typeof value === 'object') {
    const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
    return Buffer.concat([head(0xdf, 4, entries.length), ...entries.flatMap(([key, inner]) => [pack(key), pack(inner)])]);
  }
  const out = Buffer.alloc(9);
  if (Number.isInteger(value)) out.writeBigInt64BE(BigInt(value), 1);
  else out.writeDoubleBE(value, 1);
  out[0] = Number.isInteger(value) ? 0xd3 : 0xcb;
  return out;
}

/** One envelope as a frame: text in JSON, bytes in msgpack. */
export function writeFrame(envelope, binary) {
  if (!binary) return JSON.stringify(envelope);
  const content = { ...envelope.content };
  for (const name of BYTES_FIELDS[envelope.messageType] ?? []) if (content[name]) content[name] = unb64(content[name], name);
  return pack({ ...envelope, content });
}
