// A real Chromium, spoken to by its debugging protocol over its pipe, so that nothing has to be
// installed beside the browser. What it complains of fails the test.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// `own` begins with our own origin; what pages of `foreign` origins load is not ours to judge.
export const settings = { pictures: '', own: [], foreign: [] };
const chromium = process.argv[2];
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

export function fail(text) {
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

export function send(method, params = {}) {
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
  const from = params?.entry?.url ?? '';
  if (method === 'Log.entryAdded' && /Content Security Policy|Refused/.test(params.entry.text)
      && !settings.foreign.some((start) => from.startsWith(start))) {
    complaints.push(params.entry.text);
  }
  if (method === 'Network.requestWillBeSent') {
    const { url } = params.request;
    if (settings.foreign.some((start) => params.documentURL.startsWith(start))) return;
    const own = [...settings.own, 'about:', 'data:'];
    if (!own.some((start) => url.startsWith(start))) complaints.push(`a request to ${url}`);
  }
}

export async function run(expression) {
  const { result, exceptionDetails } = await send('Runtime.evaluate', {
    expression, awaitPromise: true, returnByValue: true, userGesture: true,
  });
  if (exceptionDetails) throw new Error(`${expression}: ${exceptionDetails.exception?.description}`);
  return result.value;
}

export const quote = JSON.stringify;
export const pause = (millis) => new Promise((done) => setTimeout(done, millis));

export async function until(what, expression) {
  for (let attempt = 0; attempt < 300; attempt += 1) {
    // While a page is being replaced there is none to ask.
    const found = await run(expression).catch(() => undefined);
    if (found) return found;
    await pause(100);
  }
  const page = await run('document.body.innerText').catch(() => 'no page');
  throw new Error(`${what} did not come; the page says:\n${page}`);
}

export async function open(url) {
  const ready = new Promise((done) => { loaded = done; });
  await send('Page.navigate', { url });
  await ready;
}

export const title = (text) => until(`the page "${text}"`,
  `document.readyState === 'complete' && document.querySelector('h1')?.textContent === ${quote(text)}`);
export const fill = (name, value) => run(
  `document.querySelector(${quote(`input[name="${name}"]:not([type=hidden])`)}).value = ${quote(value)}`);

export async function press(label) {
  await run(`{
    const buttons = [...document.querySelectorAll('button, a.button')];
    const button = buttons.find((b) => b.textContent.trim() === ${quote(label)} && b.offsetParent);
    if (!button) throw new Error('no button ' + ${quote(label)} + ' on: ' + document.body.innerText);
    button.click();
  }`);
}

export async function picture(name) {
  if (!settings.pictures) return;
  const { data } = await send('Page.captureScreenshot', { captureBeyondViewport: true });
  writeFileSync(join(settings.pictures, `${name}.png`), Buffer.from(data, 'base64'));
}

// Runs a story in the browser's one page, and ends with the browser.
export async function tell(story) {
  try {
    const { targetInfos } = await send('Target.getTargets');
    const target = targetInfos.find(({ type }) => type === 'page');
    const attached = await send('Target.attachToTarget', { targetId: target.targetId, flatten: true });
    session = attached.sessionId;
    for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await send(`${domain}.enable`);
    await send('Runtime.addBinding', { name: 'complain' });
    await send('Page.addScriptToEvaluateOnNewDocument', { source: `
      document.addEventListener('securitypolicyviolation',
        (event) => ${JSON.stringify(settings.foreign)}.includes(location.origin)
          || complain('policy: ' + event.violatedDirective + ' ' + event.blockedURI))` });
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
}
