// A person's way through the pages, in a real Chromium: invited, a second factor, a passkey, a device,
// a program. Speaks the browser's debugging protocol over its pipe, so that nothing has to be
// installed beside the browser.
//
// node people.mjs <chromium> <origin> <invitation link> [folder for pictures]
import { spawn } from 'node:child_process';
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const [chromium, origin, invitation, pictures] = process.argv.slice(2);
const profile = mkdtempSync(join(tmpdir(), 'keyward-chromium-'));
const browser = spawn(chromium, [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
  '--disable-dev-shm-usage', '--remote-debugging-pipe', `--user-data-dir=${profile}`, 'about:blank',
], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
browser.on('error', (error) => fail(`chromium does not start: ${error.message}`));

// Processes of the browser may still write while their folder goes: then the system's cleaner has it.
function tidy() {
  try {
    rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
  } catch {}
}

function fail(text) {
  console.error(text);
  browser.kill();
  tidy();
  process.exit(1);
}
setTimeout(() => fail('the browser took more than three minutes'), 180_000).unref();

// ---- the protocol ----

let number = 0;
let session;
const waiting = new Map();
const complaints = [];
let loaded = () => {};

function send(method, params = {}) {
  const id = ++number;
  browser.stdio[3].write(JSON.stringify({ id, method, params, sessionId: session }) + '\0');
  return new Promise((done, broken) => waiting.set(id, { done, broken, method }));
}

let rest = '';
browser.stdio[4].setEncoding('utf8').on('data', (data) => {
  const messages = (rest + data).split('\0');
  rest = messages.pop();
  for (const text of messages) heard(JSON.parse(text));
});

function heard(message) {
  if (message.id) {
    const { done, broken, method } = waiting.get(message.id);
    waiting.delete(message.id);
    if (message.error) broken(new Error(`${method}: ${message.error.message}`));
    else done(message.result);
    return;
  }
  const { method, params } = message;
  if (method === 'Page.loadEventFired') loaded();
  if (method === 'Runtime.bindingCalled') complaints.push(params.payload);
  if (method === 'Runtime.exceptionThrown') complaints.push(JSON.stringify(params.exceptionDetails));
  if (method === 'Log.entryAdded' && /Content Security Policy|Refused/.test(params.entry.text)) {
    complaints.push(params.entry.text);
  }
  if (method === 'Network.requestWillBeSent') {
    const { url } = params.request;
    const own = [origin, `http://127.0.0.1:${port}/`, 'about:', 'data:'];
    if (!own.some((start) => url.startsWith(start))) complaints.push(`a request to ${url}`);
  }
}

async function run(expression) {
  const { result, exceptionDetails } = await send('Runtime.evaluate', {
    expression, awaitPromise: true, returnByValue: true, userGesture: true,
  });
  if (exceptionDetails) throw new Error(`${expression}: ${exceptionDetails.exception?.description}`);
  return result.value;
}

const quote = JSON.stringify;
const pause = (millis) => new Promise((done) => setTimeout(done, millis));

async function until(what, expression) {
  for (let attempt = 0; attempt < 300; attempt += 1) {
    // While a page is being replaced there is none to ask.
    const found = await run(expression).catch(() => undefined);
    if (found) return found;
    await pause(100);
  }
  const page = await run('document.body.innerText').catch(() => 'no page');
  throw new Error(`${what} did not come; the page says:\n${page}`);
}

async function open(url) {
  const ready = new Promise((done) => { loaded = done; });
  await send('Page.navigate', { url });
  await ready;
}

const title = (text) => until(`the page "${text}"`,
  `document.readyState === 'complete' && document.querySelector('h1')?.textContent === ${quote(text)}`);
const fill = (name, value) => run(
  `document.querySelector(${quote(`input[name="${name}"]:not([type=hidden])`)}).value = ${quote(value)}`);

async function press(label) {
  await run(`{
    const buttons = [...document.querySelectorAll('button, a.button')];
    const button = buttons.find((b) => b.textContent.trim() === ${quote(label)} && b.offsetParent);
    if (!button) throw new Error('no button ' + ${quote(label)} + ' on: ' + document.body.innerText);
    button.click();
  }`);
}

async function picture(name) {
  if (!pictures) return;
  const { data } = await send('Page.captureScreenshot', { captureBeyondViewport: true });
  writeFileSync(join(pictures, `${name}.png`), Buffer.from(data, 'base64'));
}

// ---- what an authenticator app does ----

function code(secret, ahead = 0) {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const bits = [...secret].map((c) => letters.indexOf(c).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + ahead));
  const hash = createHmac('sha1', key).update(step).digest();
  const word = hash.readUInt32BE(hash[19] & 15) & 0x7fffffff;
  return String(word % 1_000_000).padStart(6, '0');
}

// ---- the story ----

const password = 'purple monkeys dance at dawn';
let port;

async function call(path, body, token) {
  const answer = await fetch(origin + path, {
    method: body ? 'POST' : 'GET', body: body && JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
  });
  return answer.json();
}

async function story() {
  const { targetInfos } = await send('Target.getTargets');
  const target = targetInfos.find(({ type }) => type === 'page');
  const attached = await send('Target.attachToTarget', { targetId: target.targetId, flatten: true });
  session = attached.sessionId;
  for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await send(`${domain}.enable`);
  await send('Runtime.addBinding', { name: 'complain' });
  await send('Page.addScriptToEvaluateOnNewDocument', { source: `
    document.addEventListener('securitypolicyviolation',
      (event) => complain('policy: ' + event.violatedDirective + ' ' + event.blockedURI))` });

  // Invited: an account, and the membership.
  await open(invitation);
  await title('Invitation');
  await picture('invitation');
  await fill('display', 'Bob');
  await fill('name', 'bob@example.com');
  await fill('password', 'password1234');
  await press('Create an account and accept');
  await until('the refusal of a weak password', `document.querySelector('[role=alert]')?.textContent.includes('guess')`);
  await fill('display', 'Bob');
  await fill('name', 'bob@example.com');
  await fill('password', password);
  await press('Create an account and accept');
  await title('Your account');
  await until('the membership', `document.body.innerText.includes('org/dev/org_user/bob')`);
  await picture('account');

  // A second factor.
  await press('Set up an authenticator app');
  await title('Authenticator app');
  await picture('totp');
  const secret = await run(`document.querySelector('#totp-secret').textContent`);
  await fill('code', '000000');
  await press('Set it up');
  await until('the refusal of a wrong code', `document.querySelector('[role=alert]')?.textContent.includes('wrong')`);
  await fill('code', code(secret));
  await press('Set it up');
  await title('Recovery codes');
  const codes = await run(`[...document.querySelectorAll('.codes code')].map((c) => c.textContent)`);
  if (codes.length !== 10) throw new Error(`${codes.length} recovery codes`);
  await picture('codes');
  await press('I have kept them');
  await title('Your account');

  // In again, with it.
  await press('Sign out');
  await title('Sign in');
  await picture('sign-in');
  await fill('name', 'bob@example.com');
  await fill('password', 'something else entirely');
  await press('Sign in');
  await until('the refusal', `document.querySelector('[role=alert]')?.textContent.includes('wrong')`);
  await fill('name', 'bob@example.com');
  await fill('password', password);
  await press('Sign in');
  await title('Second factor');
  await picture('second-factor');
  await fill('code', code(secret, 1));
  await press('Go on');
  await title('Your account');
  await until('the second factor in the list', `document.body.innerText.includes('with a second factor')`);

  // A passkey, then nothing but it.
  await send('WebAuthn.enable');
  await send('WebAuthn.addVirtualAuthenticator', { options: {
    protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true,
    isUserVerified: true, automaticPresenceSimulation: true,
  } });
  await fill('name', 'Laptop');
  await press('Add a passkey');
  await until('the passkey', `document.body.innerText.includes('The passkey was added')`);
  await press('Sign out');
  await title('Sign in');
  await press('Sign in with a passkey');
  await title('Your account');

  // As the second factor of a password.
  await press('Sign out');
  await title('Sign in');
  await fill('name', 'bob@example.com');
  await fill('password', password);
  await press('Sign in');
  await title('Second factor');
  await press('Use a passkey');
  await title('Your account');

  // A device.
  const device = await call('/v1/login/device', { client: 'a terminal elsewhere' });
  await open(device.verification_uri_complete);
  await title('Let a device in');
  await until('what asks', `document.body.innerText.includes('a terminal elsewhere')`);
  await picture('device');
  await press('Allow');
  await title('Allowed');
  const grant = 'urn:ietf:params:oauth:grant-type:device_code';
  const token = await call('/v1/login/token', { grant_type: grant, device_code: device.device_code });
  const me = await call('/v1/whoami', undefined, token.access_token);
  if (!me.principal?.startsWith('user/')) throw new Error(`device: ${quote(token)} ${quote(me)}`);

  // A program on this machine.
  const verifier = randomBytes(32).toString('base64url');
  const challenge = createHash('sha256').update(verifier).digest('base64url');
  const server = createServer();
  const called = new Promise((done) => server.on('request', (request, answer) => {
    answer.end('done');
    if (request.url.startsWith('/callback')) done(new URL(request.url, 'http://x').searchParams);
  }));
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  ({ port } = server.address());
  await open(`${origin}/ui/cli?port=${port}&state=statestate&challenge=${challenge}`);
  await title('Let a program in');
  await press('Allow');
  const answer = await called;
  server.close();
  if (answer.get('state') !== 'statestate') throw new Error('the state did not come back');
  const exchanged = await call('/v1/login/token', {
    grant_type: 'authorization_code', code: answer.get('code'), code_verifier: verifier,
  });
  if (exchanged.user !== me.principal) throw new Error(`program: ${quote(exchanged)}`);
  const twice = await call('/v1/login/token', {
    grant_type: 'authorization_code', code: answer.get('code'), code_verifier: verifier,
  });
  if (twice.error !== 'invalid_grant') throw new Error(`a code was taken twice: ${quote(twice)}`);

  // In the dark, too.
  await send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: 'dark' }] });
  await open(`${origin}/ui/account`);
  await title('Your account');
  await picture('account-dark');
  await press('End all others');
  await until('their end', `document.body.innerText.includes('All other sessions have ended')`);
  const after = await call('/v1/whoami', undefined, token.access_token);
  if (after.status !== 401) throw new Error(`the device is still signed in: ${quote(after)}`);
}

try {
  await story();
  if (complaints.length) throw new Error(`the browser complains:\n${complaints.join('\n')}`);
  console.log(JSON.stringify({ done: true }));
} catch (error) {
  fail(error.stack);
}
browser.kill();
await new Promise((done) => browser.on('exit', done));
tidy();
process.exit(0);
