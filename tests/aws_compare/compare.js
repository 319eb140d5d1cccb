// Keyward's reading of AWS policies beside an independent one, on generated cases.
//
//   node tests/aws_compare/compare.js [--seed N] [--cases N] [--show N] [--only ID]
//
// KEYWARD_BIN names the program; NODE_PATH where `@cloud-copilot/iam-simulate` is. Exit 1 if some
// disagreement has no class. See README.md beside this file.
'use strict';

const { spawnSync } = require('node:child_process');
const { makeCase } = require('./cases.js');
const { classOf, composed } = require('./classes.js');
const peer = require('./peer.js');

function options() {
  const found = { seed: Date.now() % 1_000_000_000, cases: 20_000, show: 3, only: undefined };
  const words = process.argv.slice(2);
  for (let n = 0; n < words.length; n += 2) {
    const name = words[n].replace(/^--/, '');
    const value = Number(words[n + 1]);
    if (!(name in found) || !Number.isInteger(value)) {
      console.error('usage: compare.js [--seed N] [--cases N] [--show N] [--only ID]');
      process.exit(2);
    }
    found[name] = value;
  }
  return found;
}

/** The case in the form of `keyward simulate --batch`. */
function line(found) {
  const documents = (list) => list.map((document) => ({ dialect: 'aws', document }));
  return JSON.stringify({
    id: found.id,
    principal: found.principal,
    request: { action: found.action, resource: found.resource, context: found.context },
    policies: documents(found.policies),
    resource_policies: documents(found.resourcePolicies),
    boundaries: found.boundaries.map(documents),
  });
}

function ours(cases) {
  const program = process.env.KEYWARD_BIN || 'target/debug/keyward';
  const run = spawnSync(program, ['simulate', '--batch'], {
    input: cases.map(line).join('\n') + '\n',
    maxBuffer: 1 << 30,
    encoding: 'utf8',
  });
  if (run.status !== 0) {
    console.error(run.error?.message ?? run.stderr);
    process.exit(2);
  }
  return run.stdout.trim().split('\n').map((answer) => JSON.parse(answer));
}

function main() {
  const { seed, cases: count, show, only } = options();
  const ids = only === undefined ? Array.from({ length: count }, (_, n) => seed + n) : [only];
  const cases = ids.map(makeCase);
  console.log(`seed ${seed}, ${cases.length} cases`);
  const answers = ours(cases);
  const outcomes = {};
  const classes = new Map();
  const unexplained = [];
  cases.forEach((found, n) => {
    const invalid = peer.findings(found);
    if (invalid.length) throw new Error(`case ${found.id} is no valid case: ${invalid[0]}`);
    const theirs = peer.decide(found);
    const answer = answers[n];
    if (answer.id !== found.id) throw new Error(`answer ${answer.id} to case ${found.id}`);
    outcomes[answer.decision] = (outcomes[answer.decision] ?? 0) + 1;
    const put = (name) => classes.set(name, [...(classes.get(name) ?? []), found.id]);
    // What the peer says of each document, joined as the design joins documents.
    const expected = composed(found, theirs);
    if (answer.decision !== expected) {
      const name = classOf(found, theirs, answer);
      if (name) put(name);
      else unexplained.push({ found, theirs, answer, expected });
    } else if (expected !== theirs.result) {
      put(expected === 'allow' || theirs.result !== 'allow' ? 'composition: two accounts' : 'composition: a boundary limits what a resource policy grants');
    }
  });
  console.log('answers:', JSON.stringify(outcomes));
  for (const [name, list] of [...classes].sort((a, b) => b[1].length - a[1].length)) {
    console.log(`${String(list.length).padStart(6)}  ${name}  (case ${list.slice(0, 3).join(', ')})`);
  }
  console.log(`${String(unexplained.length).padStart(6)}  without a class`);
  for (const { found, theirs, answer, expected } of unexplained.slice(0, only === undefined ? show : 1)) {
    console.log(`\ncase ${found.id}: expected ${expected} (peer: ${JSON.stringify(theirs)}), answered ${answer.decision}: ${answer.message}`);
    console.log(JSON.stringify(found, null, 1));
  }
  if (only !== undefined && !unexplained.length) {
    console.log(JSON.stringify({ case: cases[0], peer: peer.decide(cases[0]), answer: answers[0] }, null, 1));
  }
  process.exit(unexplained.length ? 1 : 0);
}

main();
