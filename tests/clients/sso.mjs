// Single sign-on in a real Chromium: two providers at once, linking and unlinking, whom a login means,
// and programs that are let in after it.
//
// node sso.mjs <chromium> <origin> <api> <invitation link> <issuer of corp> <issuer of partner> <keyward> <folder>
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { fill, open, press, quote, run, settings, tell, title, until } from './browser.mjs';

const [, origin, api, invitation, corp, partner, keyward, folder] = process.argv.slice(2);
settings.own = [origin, api, corp, partner];
settings.foreign = [corp, partner];

const password = 'purple monkeys dance at dawn';
const says = (text) => until(`"${text}"`,
  `document.readyState === 'complete' && document.body.innerText.includes(${quote(text)})`);

// At the provider: who signs in, where it asks, and the consent, where it asks for that.
async function atProvider(issuer, login) {
  for (;;) {
    const where = await until('the provider or the way back', `
      document.readyState === 'complete' && !document.body.dataset.seen
        && (location.origin === ${quote(issuer)}
          ? document.querySelector('input[name=login]') ? 'login'
            : document.querySelector('input[name=prompt][value=consent]') ? 'consent' : undefined
          : /[/](start|link)$/.test(location.pathname) ? undefined : 'back')`);
    if (where === 'back') return;
    if (where === 'login') {
      await run(`document.querySelector('input[name=login]').value = ${quote(login)};
        document.querySelector('input[name=password]').value = 'x'`);
    }
    await run(`document.body.dataset.seen = 1; document.querySelector('button[type=submit]').click()`);
    await until('the next page', `!document.body.dataset.seen`);
  }
}

// Presses what leads to a provider, and does what it asks for.
async function go(label, issuer, login) {
  await run(`document.body.dataset.seen = 1`);
  await press(label);
  await atProvider(issuer, login);
}

const enter = (label, issuer, login) => go(`Continue with ${label}`, issuer, login);

async function signOut() {
  await open(`${origin}/ui/account`);
  await title('Your account');
  await press('Sign out');
  await title('Sign in');
}

const user = () => run(`[...document.querySelectorAll('dd code')].map((c) => c.textContent)
  .find((text) => text.startsWith('user/'))`);
// The provider forgets who is signed in there.
async function leave(issuer) {
  await open(`${issuer}/session/end`);
  await run(`document.querySelector('button[name=logout], button[autofocus], button')?.click()`);
  await until('the end at the provider', `document.readyState === 'complete' && !document.querySelector('button')`);
}

// Runs `keyward <arguments>`; `line` is the first of its error output that matches.
function program(name, argument, pattern) {
  const home = `${folder}/${name}`;
  mkdirSync(home, { recursive: true });
  const child = spawn(keyward, ['login', '--url', api, ...argument], {
    env: { PATH: process.env.PATH, HOME: home, XDG_CONFIG_HOME: home, BROWSER: '/bin/true' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  child.stdout.on('data', (data) => { said += data; });
  const line = new Promise((found, never) => {
    let errors = '';
    child.stderr.on('data', (data) => {
      errors += data;
      const match = pattern.exec(errors);
      if (match) found(match);
    });
    child.on('exit', () => never(new Error(`keyward ended: ${errors}`)));
  });
  const ended = new Promise((done) => child.on('exit', (code) => done({ code, said })));
  return { line, ended, home };
}

async function whoami(home) {
  const child = spawn(keyward, ['--profile', 'default', 'whoami', '--output', 'json'], {
    env: { PATH: process.env.PATH, HOME: home, XDG_CONFIG_HOME: home }, stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.on('data', (data) => { said += data; });
  await new Promise((done) => child.on('exit', done));
  return JSON.parse(said);
}

// Who is in the group, as the administrator sees it.
async function developers() {
  const authorization = `Basic ${Buffer.from(readFileSync(`${folder}/administrator`)).toString('base64')}`;
  const answer = await fetch(`${api}/v1/org/dev/trust`, { headers: { authorization } });
  const { items } = await answer.json();
  const of = items.filter(({ trustor }) => trustor === 'org/dev/group/developers');
  return of.map(({ trustee }) => trustee).join();
}

async function expectDevelopers(expected) {
  const found = await developers();
  if (found !== expected) throw new Error(`developers: ${quote(found)}, expected ${quote(expected)}`);
}

async function story() {
  // Nobody has this login, whatever e-mail address it has: not let in.
  await open(`${origin}/ui/sign-in`);
  await title('Sign in');
  await enter('Corp', corp, 'alice');
  await title('Not signed in');
  await says('Nobody here has this login');

  // Bob, whose sign-in name is what the provider says is the e-mail address of alice and bob.
  await open(invitation);
  await title('Invitation');
  await fill('display', 'Bob');
  await fill('name', 'alice@acme.example');
  await fill('password', password);
  await press('Create an account and accept');
  await title('Your account');
  const bob = await user();

  // A provider with sign-up makes a user of its own of the same e-mail address.
  await signOut();
  await enter('Partner', partner, 'bob');
  await title('Your account');
  const stranger = await user();
  if (!stranger || stranger === bob) throw new Error(`matched by e-mail: ${stranger}`);
  await says('Partner: bob');
  // Its last way in cannot be unlinked.
  await press('Unlink');
  await says('last way to sign in');
  await signOut();

  // Bob links his login at Corp, signs in with it, and is who he was.
  await open(`${origin}/ui/sign-in`);
  await fill('name', 'alice@acme.example');
  await fill('password', password);
  await press('Sign in');
  await title('Your account');
  await go('Link a login of Corp', corp, 'alice');
  await title('Your account');
  await says('Corp: alice');
  await expectDevelopers('org/dev/org_user/bob');
  await signOut();
  await enter('Corp', corp, 'alice');
  await title('Your account');
  if (await user() !== bob) throw new Error(`Corp's alice is ${await user()}`);

  // One login means one person: the stranger cannot link it, too.
  await signOut();
  await enter('Partner', partner, 'bob');
  await title('Your account');
  await expectDevelopers('org/dev/org_user/bob');
  if (await user() !== stranger) throw new Error(`Partner's bob is ${await user()}`);
  await go('Link a login of Corp', corp, 'alice');
  await title('Not signed in');
  await says('belongs to somebody else');
  await signOut();

  // A program that opens a browser, by another name of this machine than the provider's way back.
  const browser = program('browser', [], /^(http.*\/ui\/cli\?.*)$/m);
  const [, page] = await browser.line;
  if (!page.startsWith(api)) throw new Error(page);
  await open(page);
  await title('Sign in');
  await enter('Corp', corp, 'alice');
  await title('Let a program in');
  settings.own.push(`http://127.0.0.1:${new URL(page).searchParams.get('port')}/`);
  await press('Allow');
  const first = await browser.ended;
  if (first.code !== 0 || !first.said.includes(bob)) throw new Error(quote(first));
  const me = await whoami(browser.home);
  if (me.principal !== bob) throw new Error(quote(me));
  await signOut();

  // A device.
  const device = program('device', ['--no-browser'], /open (\S+) in a browser and type the code (\S+)/);
  const [, at, code] = await device.line;
  await open(`${at}?code=${code}`);
  await title('Sign in');
  await enter('Corp', corp, 'alice');
  await title('Let a device in');
  await press('Allow');
  await title('Allowed');
  const second = await device.ended;
  if (second.code !== 0 || !second.said.includes(bob)) throw new Error(quote(second));

  // Unlinked: what the provider opened ends, and its login opens nothing.
  await open(`${origin}/ui/account`);
  await title('Your account');
  await press('Unlink');
  await title('Sign in');
  await expectDevelopers('');
  const after = await run(`fetch('/ui/account').then((answer) => answer.url)`);
  if (!after.includes('/ui/sign-in')) throw new Error(`still signed in: ${after}`);
  await enter('Corp', corp, 'alice');
  await title('Not signed in');
  await leave(corp);

  // A second factor that the provider vouches for.
  await open(`${origin}/ui/sign-in`);
  await fill('name', 'alice@acme.example');
  await fill('password', password);
  await press('Sign in');
  await title('Your account');
  await go('Link a login of Corp', corp, 'carol');
  await title('Your account');
  await says('Corp: carol');
  if (await run(`document.body.innerText.includes('with a second factor')`)) throw new Error('a factor out of nothing');
  await signOut();
  await enter('Corp', corp, 'carol');
  await title('Your account');
  await says('with a second factor');
  await expectDevelopers('');
}

await tell(story);
