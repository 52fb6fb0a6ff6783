// Proof, policy and record: read from the very files that the page carries, and checked as docs/formats/log-and-proofs.md says.

class Wrong extends Error {}

const utf8 = new TextEncoder();
const text = (bytes) => new TextDecoder("utf-8", { fatal: true }).decode(bytes);
const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const same = (one, other) => hex(one) === hex(other);
const fromBase64 = (line) => Uint8Array.from(atob(line), (c) => c.charCodeAt(0));

// -- hashes and signatures ------------------------------------------------------------------------------

const SUBTLE = { sha256: "SHA-256", sha384: "SHA-384", sha512: "SHA-512" };
const SM3_SLICE = 4 << 20; // bytes between two breaths, so that the page stays alive

async function digest(algorithm, bytes) {
  if (algorithm !== "sm3") return new Uint8Array(await crypto.subtle.digest(SUBTLE[algorithm], bytes));
  const hash = new Sm3();
  for (let at = 0; at < bytes.length; at += SM3_SLICE) {
    hash.update(bytes.subarray(at, at + SM3_SLICE));
    if (at + SM3_SLICE < bytes.length) await new Promise((go) => setTimeout(go));
  }
  return hash.digest();
}

async function hmac(algorithm, key, message) {
  if (algorithm === "sm3") return hmacSm3(key, message);
  const use = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", use, message));
}

const ed25519 = (key) => crypto.subtle.importKey("raw", key, { name: "Ed25519" }, false, ["verify"]);

async function hasEd25519() {
  try {
    // The base point: a key like any other.
    await ed25519(Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? 0x58 : 0x66)));
    return true;
  } catch {
    return false;
  }
}

// -- reading --------------------------------------------------------------------------------------------

function readProof(file) {
  const head = file.indexOf("\n\n");
  const lines = file.slice(0, head).split("\n");
  if (lines.shift() !== "c2sp.org/tlog-proof@v1") throw new Wrong("no tlog-proof");
  const extra = fromBase64(lines.shift().replace(/^extra /, ""));
  const index = BigInt(lines.shift().replace(/^index /, ""));
  const note = file.slice(head + 2);
  const end = note.indexOf("\n\n");
  const checkpoint = note.slice(0, end + 1);
  const [origin, size, root] = checkpoint.split("\n");
  const signatures = note.slice(end + 2).split("\n").filter(Boolean).map((line) => {
    const [, name, value] = line.split(" ");
    const bytes = fromBase64(value);
    return { name, id: hex(bytes.subarray(0, 4)), value: bytes.subarray(4) };
  });
  return { extra, index, hashes: lines.map(fromBase64), checkpoint, origin, size: BigInt(size), root: fromBase64(root), signatures };
}

function readKey(vkey) {
  const [name, id, ...rest] = vkey.split("+");
  const bytes = fromBase64(rest.join("+"));
  const kind = { 1: "Ed25519", 4: "Ed25519", 6: "ML-DSA-44" }[bytes[0]] ?? "SM2";
  return { name, id, kind, key: bytes.subarray(1) };
}

function readPolicy(file) {
  const policy = { logs: [], witnesses: [], groups: [], quorum: "none" };
  for (const line of file.split("\n")) {
    const [word, ...items] = line.split(/[ \t]+/).filter(Boolean);
    if (word === "log") policy.logs.push(readKey(items[0]));
    else if (word === "witness") policy.witnesses.push({ witness: items[0], ...readKey(items[1]) });
    else if (word === "group") policy.groups.push({ name: items[0], rule: items[1], members: items.slice(2) });
    else if (word === "quorum") policy.quorum = items[0];
  }
  return policy;
}

// MessagePack, as much of it as records are made of.
function unpack(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const take = (count) => {
    if (at + count > bytes.length) throw new Wrong("MessagePack: cut off");
    return bytes.subarray(at, (at += count));
  };
  const number = (width) => {
    let value = 0n;
    for (const byte of take(width)) value = value * 256n + BigInt(byte);
    return value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
  };
  const array = (count) => {
    const values = [];
    for (let i = 0; i < count; i++) values.push(value());
    return values;
  };
  function value() {
    const type = number(1);
    if (type < 0x80) return type;
    if (type >= 0x90 && type < 0xa0) return array(type - 0x90);
    if (type >= 0xa0 && type < 0xc0) return text(take(type - 0xa0));
    if (type === 0xc0) return null;
    if (type === 0xc2 || type === 0xc3) return type === 0xc3;
    if (type >= 0xc4 && type <= 0xc6) return take(number(1 << (type - 0xc4)));
    if (type >= 0xcc && type <= 0xcf) return number(1 << (type - 0xcc));
    if (type >= 0xd9 && type <= 0xdb) return text(take(number(1 << (type - 0xd9))));
    if (type === 0xdc || type === 0xdd) return array(number(2 << (type - 0xdc)));
    throw new Wrong(`MessagePack: type ${type} at ${at - 1}`);
  }
  const result = value();
  if (at !== view.byteLength) throw new Wrong("MessagePack: something follows");
  return result;
}

// The canonical bytes of [[algorithm, digest], ...]: at most three, names under 32 bytes, digests under 256.
const packDigests = (digests) =>
  concat(
    Uint8Array.of(0x90 + digests.length),
    ...digests.flatMap(([name, value]) => [
      Uint8Array.of(0x92, 0xa0 + name.length), utf8.encode(name), Uint8Array.of(0xc4, value.length), value,
    ]),
  );

function readRecord(extra) {
  const [leaf, [salt, digests]] = unpack(extra);
  const [, kind, height, timeMs, notBeforeMs, notAfterMs, txId, call, item, , account, body] = unpack(leaf);
  if (kind !== "notary") throw new Wrong(`a record of kind ${kind}`);
  return { leaf, salt, digests, height, timeMs, notBeforeMs, notAfterMs, txId, call, item, account, commitment: body[0] };
}

// -- checking -------------------------------------------------------------------------------------------

// RFC 9162 section 2.1.3.2.
async function isIncluded(algorithm, proof, leaf) {
  let index = proof.index;
  let last = proof.size - 1n;
  let hash = await digest(algorithm, concat(Uint8Array.of(0), leaf));
  if (index > last) return false;
  for (const sibling of proof.hashes) {
    if (last === 0n) return false;
    const isRight = index % 2n === 1n || index === last;
    hash = await digest(algorithm, concat(Uint8Array.of(1), ...(isRight ? [sibling, hash] : [hash, sibling])));
    while (isRight && index % 2n === 0n && index !== 0n) {
      index >>= 1n;
      last >>= 1n;
    }
    index >>= 1n;
    last >>= 1n;
  }
  return last === 0n && same(hash, proof.root);
}

// How many further witnesses the quorum needs at least.
function missing(policy, cosigned) {
  const cost = new Map([["none", 0], ...policy.witnesses.map((w) => [w.witness, cosigned.has(w.witness) ? 0 : 1])]);
  for (const { name, rule, members } of policy.groups) {
    const needed = rule === "all" ? members.length : rule === "any" ? 1 : Number(rule);
    const cheapest = members.map((member) => cost.get(member)).sort((a, b) => a - b);
    cost.set(name, cheapest.slice(0, needed).reduce((sum, each) => sum + each, 0));
  }
  return cost.get(policy.quorum);
}

// A known key whose signature fails condemns the whole checkpoint, as in `chainnode verify`. Browsers know no ML-DSA-44, so
// cosignatures of that kind stay unchecked: `lacking` is without them, `lackingAtBest` if all of them verify.
async function checkSignatures(proof, policy) {
  const find = (keys, { name, id }) => keys.find((key) => key.name === name && key.id === id);
  const holds = async (key, message, signature) =>
    crypto.subtle.verify("Ed25519", await ed25519(key.key), signature, utf8.encode(message));
  const cosigners = new Map();
  const unchecked = new Map();
  let isLogged = false;
  for (const signature of proof.signatures) {
    const log = signature.name === proof.origin && find(policy.logs, signature);
    const witness = find(policy.witnesses, signature);
    if (log) {
      if (!(await holds(log, proof.checkpoint, signature.value))) return { forged: signature.name };
      isLogged = true;
    } else if (witness && witness.kind !== "Ed25519") {
      unchecked.set(witness.witness, signature.name);
    } else if (witness) {
      const timeS = new DataView(signature.value.slice(0, 8).buffer).getBigUint64(0);
      const message = `cosignature/v1\ntime ${timeS}\n${proof.checkpoint}`;
      if (!(await holds(witness, message, signature.value.subarray(8)))) return { forged: signature.name };
      cosigners.set(witness.witness, signature.name);
    }
  }
  return {
    isLogged,
    cosigners: [...cosigners.values()],
    unchecked: [...unchecked.values()],
    lacking: missing(policy, new Set(cosigners.keys())),
    lackingAtBest: missing(policy, new Set([...cosigners.keys(), ...unchecked.keys()])),
  };
}
