// Passkeys: the one thing that pages cannot do without script.
'use strict';

const bytes = (text) => Uint8Array.from(
  atob(text.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
  .replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');

function request(options) {
  options.challenge = bytes(options.challenge);
  if (options.user) options.user.id = bytes(options.user.id);
  for (const list of [options.allowCredentials, options.excludeCredentials]) {
    for (const known of list || []) known.id = bytes(known.id);
  }
  return { publicKey: options };
}

function answer(credential) {
  const response = {};
  for (const field of ['clientDataJSON', 'attestationObject', 'authenticatorData', 'signature']) {
    if (credential.response[field]) response[field] = text(credential.response[field]);
  }
  return JSON.stringify({ rawId: text(credential.rawId), type: credential.type, response });
}

async function ask(form) {
  const asked = await fetch(form.dataset.challenge, {
    method: 'POST', body: new URLSearchParams(new FormData(form)), credentials: 'same-origin',
  });
  const options = await asked.json();
  if (!asked.ok) throw new Error(options.detail);
  const credential = form.dataset.passkey === 'create'
    ? await navigator.credentials.create(request(options))
    : await navigator.credentials.get(request(options));
  form.elements.passkey.value = answer(credential);
  form.submit();
}

for (const form of document.querySelectorAll('form[data-passkey]')) {
  if (!window.PublicKeyCredential) continue;
  form.hidden = false;
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const problem = form.querySelector('[role=alert]');
    problem.hidden = true;
    ask(form).catch((error) => {
      problem.textContent = error.name === 'NotAllowedError'
        ? 'The passkey was not used: it was cancelled, or took too long.' : error.message;
      problem.hidden = false;
    });
  });
}
