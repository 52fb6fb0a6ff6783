// What a person does on the page, and sees.

const MAX_FILE_BYTES = 512 << 20; // WebCrypto wants a file in memory as a whole; larger ones are for the command line

const element = (id) => document.getElementById(id);
const carried = (id) => text(fromBase64(element(id).href.split("base64,")[1]));
const GOOD = "good", BAD = "bad", OPEN = "open";

function line(tag, state, zh, en) {
  const made = document.createElement(tag);
  made.className = state;
  for (const [lang, words] of [["zh-Hans", zh], ["en", en]]) {
    const span = document.createElement("span");
    span.lang = lang;
    span.textContent = words;
    made.append(span);
  }
  return made;
}

function show(state, zh, en, steps = []) {
  const list = document.createElement("ul");
  list.append(...steps.map((step) => line("li", ...step)));
  const head = line("p", state, zh, en);
  head.id = "verdict";
  element("result").replaceChildren(head, list);
}

const when = (ms) => (ms > 253402300799999 ? `${ms} ms` : new Date(ms).toISOString());

async function documentSteps(bytes, record) {
  const steps = [];
  for (const [name, expected] of record.digests) {
    const found = await digest(name, bytes);
    steps.push(
      same(found, expected)
        ? [GOOD, `文件的 ${name} 与存证一致：${hex(found)}`, `the file's ${name} is the record's: ${hex(found)}`]
        : [BAD, `文件的 ${name} 是 ${hex(found)}，存证是 ${hex(expected)}`, `the file's ${name} is ${hex(found)}; the record's is ${hex(expected)}`],
    );
  }
  return steps;
}

async function signatureSteps(proof, policy) {
  if (policy.logs[0].kind !== "Ed25519")
    return [[OPEN, "SM2 签名未检查：浏览器不支持，请用下面的命令", "the SM2 signatures were NOT checked: browsers cannot; use the commands below"]];
  if (!(await hasEd25519()))
    return [[OPEN, "Ed25519 签名未检查：此浏览器不支持，请用下面的命令", "the Ed25519 signatures were NOT checked: this browser cannot; use the commands below"]];
  const found = await checkSignatures(proof, policy);
  if (found.forged) return [[BAD, `${found.forged} 的签名不成立`, `the signature of ${found.forged} does not verify`]];
  if (!found.isLogged) return [[BAD, "日志自身未签名", "no log of the policy has signed"]];
  const names = found.cosigners.join(", ");
  if (found.lackingAtBest > 0)
    return [[BAD, `见证签名不足，还差 ${found.lackingAtBest} 个；已有：${names}`, `the quorum needs ${found.lackingAtBest} more cosignatures than those of ${names}`]];
  if (found.lacking === 0) return [[GOOD, `见证签名成立，达到法定多数：${names}`, `a quorum of cosignatures verifies: ${names}`]];
  const others = found.unchecked.join(", ");
  return [
    [GOOD, `Ed25519 见证签名成立：${names}`, `the Ed25519 cosignatures verify: ${names}`],
    [OPEN, `ML-DSA-44 签名未检查：浏览器不支持，请用下面的命令：${others}`, `the ML-DSA-44 cosignatures were NOT checked: browsers cannot; use the commands below: ${others}`],
  ];
}

async function check(file) {
  if (!globalThis.crypto?.subtle) return show(OPEN, "未检查：此浏览器没有 WebCrypto，请用下面的命令", "nothing was checked: this browser offers no WebCrypto here; use the commands below");
  if (file.size > MAX_FILE_BYTES) return show(OPEN, "未检查：文件超过 512 MiB，请用下面的命令", "nothing was checked: the file is larger than 512 MiB; use the commands below");
  show(OPEN, "正在计算……", "computing ...");
  const [proof, policy] = [readProof(carried("proof")), readPolicy(carried("policy"))];
  const record = readRecord(proof.extra);
  const algorithm = policy.logs[0].kind === "Ed25519" ? "sha256" : "sm3";
  const steps = await documentSteps(new Uint8Array(await file.arrayBuffer()), record);
  const isOther = steps.some(([state]) => state === BAD);
  steps.push(
    same(await hmac(algorithm, record.salt, packDigests(record.digests)), record.commitment)
      ? [GOOD, "日志中的承诺由这些摘要得出（HMAC）", "the record commits to these digests (HMAC)"]
      : [BAD, "日志中的承诺与摘要不符", "the record commits to something else"],
    (await isIncluded(algorithm, proof, record.leaf))
      ? [GOOD, `记录在日志 ${proof.origin} 第 ${proof.index} 号，检查点共 ${proof.size} 条`, `the record is number ${proof.index} of the log ${proof.origin}, under a checkpoint of ${proof.size}`]
      : [BAD, "记录不在该检查点的日志中", "the record is not in the log under this checkpoint"],
  );
  const signed = await signatureSteps(proof, policy);
  steps.push(...signed);
  steps.push([OPEN, `区块 ${record.height}，认证时间区间 ${when(record.notBeforeMs)} 至 ${when(record.notAfterMs)}`,
    `block ${record.height}, certified between ${when(record.notBeforeMs)} and ${when(record.notAfterMs)}`]);
  if (isOther) return show(BAD, `不成立：${file.name} 不是存证的文件，或已被改动`, `It does NOT hold: ${file.name} is another document, or an altered one`, steps);
  if (steps.some(([state]) => state === BAD)) return show(BAD, "不成立：证明本身有误", "It does NOT hold: the proof itself is wrong", steps);
  if (steps.slice(0, -1).some(([state]) => state === OPEN))
    return signed.length > 1
      ? show(OPEN, `${file.name} 与存证一致，但签名未全部检查`, `${file.name} is the record's document; NOT all signatures were checked`, steps)
      : show(OPEN, `${file.name} 与存证一致，但签名未检查`, `${file.name} is the record's document; signatures were NOT checked`, steps);
  return show(GOOD, `成立：${file.name} 最迟于 ${when(record.notAfterMs)} 已存在`, `It holds: ${file.name} existed by ${when(record.notAfterMs)}`, steps);
}

// Of several files the one that came last is shown, whichever is computed first.
let turn = Promise.resolve();
function begin(files) {
  if (files.length !== 1) return show(OPEN, "请只选择一个文件", "choose exactly one file");
  turn = turn.then(() => check(files[0])).catch((error) => show(OPEN, `未检查：${error.message}`, `nothing was checked: ${error.message}`));
}

element("file").addEventListener("change", (event) => begin(event.target.files));
for (const name of ["dragover", "drop"]) document.addEventListener(name, (event) => event.preventDefault());
document.addEventListener("drop", (event) => begin(event.dataTransfer.files));
