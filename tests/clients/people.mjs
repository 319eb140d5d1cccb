// A person's way through the pages, in a real Chromium: invited, a second factor, a passkey, a device,
// a program.
//
// node people.mjs <chromium> <origin> <invitation link> [folder for pictures]
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { fill, open, picture, press, quote, run, send, settings, tell, title, until } from './browser.mjs';

const [, origin, invitation, pictures] = process.argv.slice(2);
settings.pictures = pictures;
settings.own = [origin];

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
async function call(path, body, token) {
  const answer = await fetch(origin + path, {
    method: body ? 'POST' : 'GET', body: body && JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
  });
  return answer.json();
}

async function story() {
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
  const { port } = server.address();
  settings.own.push(`http://127.0.0.1:${port}/`);
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

await tell(story);
