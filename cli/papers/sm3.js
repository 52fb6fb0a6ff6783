"use strict";
// SM3 (GM/T 0004-2012, ISO/IEC 10118-3), which browsers do not have.

const SM3_START = [
  0x7380166f, 0x4914b2b9, 0x172442d7, 0xda8a0600, 0xa96f30bc, 0x163138aa, 0xe38dee4d, 0xb0fb0e4e,
];
const SM3_BLOCK = 64;

const rotate = (x, n) => (x << n) | (x >>> (32 - n));

// T(j) <<< j of the standard's section 4.2, for each of the 64 rounds.
const SM3_T = Int32Array.from({ length: 64 }, (_, j) => rotate(j < 16 ? 0x79cc4519 : 0x7a879d8a, j % 32));

class Sm3 {
  constructor() {
    this.state = Int32Array.from(SM3_START);
    this.words = new Int32Array(68);
    this.rest = new Uint8Array(0);
    this.length = 0;
  }

  update(bytes) {
    this.length += bytes.length;
    const all = this.rest.length === 0 ? bytes : concat(this.rest, bytes);
    const whole = all.length - (all.length % SM3_BLOCK);
    const view = new DataView(all.buffer, all.byteOffset, all.byteLength);
    for (let at = 0; at < whole; at += SM3_BLOCK) this.compress(view, at);
    this.rest = all.slice(whole);
    return this;
  }

  digest() {
    const bits = BigInt(this.length) * 8n;
    const padding = new Uint8Array(SM3_BLOCK - ((this.length + 8) % SM3_BLOCK) + 8);
    padding[0] = 0x80;
    new DataView(padding.buffer).setBigUint64(padding.length - 8, bits);
    this.update(padding);
    const result = new DataView(new ArrayBuffer(32));
    this.state.forEach((word, i) => result.setInt32(4 * i, word));
    return new Uint8Array(result.buffer);
  }

  compress(view, at) {
    const w = this.words;
    for (let j = 0; j < 16; j++) w[j] = view.getInt32(at + 4 * j);
    for (let j = 16; j < 68; j++) {
      const x = w[j - 16] ^ w[j - 9] ^ rotate(w[j - 3], 15);
      w[j] = x ^ rotate(x, 15) ^ rotate(x, 23) ^ rotate(w[j - 13], 7) ^ w[j - 6];
    }
    let [a, b, c, d, e, f, g, h] = this.state;
    for (let j = 0; j < 64; j++) {
      const turned = rotate(a, 12);
      const ss1 = rotate((turned + e + SM3_T[j]) | 0, 7);
      const ff = j < 16 ? a ^ b ^ c : (a & b) | (a & c) | (b & c);
      const gg = j < 16 ? e ^ f ^ g : (e & f) | (~e & g);
      const tt1 = (ff + d + (ss1 ^ turned) + (w[j] ^ w[j + 4])) | 0;
      const tt2 = (gg + h + ss1 + w[j]) | 0;
      d = c;
      c = rotate(b, 9);
      b = a;
      a = tt1;
      h = g;
      g = rotate(f, 19);
      f = e;
      e = tt2 ^ rotate(tt2, 9) ^ rotate(tt2, 17);
    }
    [a, b, c, d, e, f, g, h].forEach((word, i) => (this.state[i] ^= word));
  }
}

const sm3 = (...parts) => parts.reduce((hash, part) => hash.update(part), new Sm3()).digest();

function hmacSm3(key, message) {
  const block = new Uint8Array(SM3_BLOCK);
  block.set(key.length > SM3_BLOCK ? sm3(key) : key);
  const inner = sm3(block.map((byte) => byte ^ 0x36), message);
  return sm3(block.map((byte) => byte ^ 0x5c), inner);
}

function concat(...parts) {
  const result = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}
