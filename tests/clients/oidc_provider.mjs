// An OpenID provider for the tests: a certified implementation, with clients whose tokens look like
// those of GitHub Actions, GitLab and Kubernetes, and a sign-in for people.
//
// node oidc_provider.mjs <host> <port> <callback of keyward>...; prints one line of JSON when it listens.
import { createRequire } from 'node:module';
import { createServer } from 'node:http';
import { join } from 'node:path';

const modules = process.env.KEYWARD_TEST_NODE_MODULES;
const require = createRequire(join(modules, 'index.js'));
const { default: Provider } = await import(require.resolve('oidc-provider'));

const [host, port, ...callbacks] = process.argv.slice(2);

// What each workload's tokens say besides times, issuer and audience.
const workloads = {
  'github-main': {
    sub: 'repo:acme/app:ref:refs/heads/main',
    repository: 'acme/app', repository_owner: 'acme', repository_id: '74', repository_owner_id: '65',
    ref: 'refs/heads/main', ref_type: 'branch', ref_protected: 'true', environment: 'production',
    workflow: 'deploy', job_workflow_ref: 'acme/app/.github/workflows/deploy.yml@refs/heads/main',
    event_name: 'push', actor: 'octocat', run_id: '1', run_number: '10', run_attempt: '1',
    runner_environment: 'github-hosted', sha: '0123456789abcdef0123456789abcdef01234567',
  },
  'github-pull-request': {
    sub: 'repo:acme/app:pull_request',
    repository: 'acme/app', repository_owner: 'acme', ref: 'refs/pull/7/merge', event_name: 'pull_request',
  },
  'github-stranger': {
    sub: 'repo:evil/app:ref:refs/heads/main',
    repository: 'evil/app', repository_owner: 'evil', ref: 'refs/heads/main', event_name: 'push',
  },
  gitlab: {
    sub: 'project_path:acme/app:ref_type:branch:ref:main',
    namespace_path: 'acme', project_path: 'acme/app', project_id: '22', user_login: 'bob',
    ref: 'main', ref_type: 'branch', ref_protected: 'true', environment_protected: 'true',
    pipeline_source: 'push', ci_config_sha: '0123', user_access_level: 'maintainer',
  },
  'gitlab-unprotected': {
    sub: 'project_path:acme/app:ref_type:branch:ref:feature',
    namespace_path: 'acme', project_path: 'acme/app', ref: 'feature', ref_type: 'branch', ref_protected: 'false',
  },
  kubernetes: {
    sub: 'system:serviceaccount:shop:orders',
    'kubernetes.io': {
      namespace: 'shop',
      node: { name: 'node-1', uid: 'a' },
      pod: { name: 'orders-7d9', uid: 'b' },
      serviceaccount: { name: 'orders', uid: 'c' },
      warnafter: 1800003607,
    },
  },
};

// What is said of people who sign in.
const people = {
  alice: { groups: ['everyone', 'developers'], realm_access: { roles: ['deployer'] }, email: 'alice@acme.example' },
  bob: { groups: 'operators', email: 'alice@acme.example', email_verified: true },
  carol: { groups: [], amr: ['pwd', 'otp', 'mfa'] },
};

const client = (client_id, more) => ({
  client_id, client_secret: `secret-of-${client_id}`, redirect_uris: [], response_types: [],
  grant_types: ['client_credentials'], ...more,
});

const issuer = `http://${host}:${port}`;
const provider = new Provider(issuer, {
  clients: [
    ...Object.keys(workloads).map((id) => client(id)),
    client('keyward', {
      redirect_uris: callbacks, response_types: ['code'], grant_types: ['authorization_code'],
      application_type: 'native',
    }),
  ],
  claims: { openid: ['sub', 'groups', 'realm_access', 'email', 'email_verified', 'amr'] },
  conformIdTokenClaims: false,
  findAccount: (_, id) => ({ accountId: id, claims: async () => ({ sub: id, ...people[id] }) }),
  pkce: { required: () => true },
  features: {
    devInteractions: { enabled: true },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => ({
        scope: '', audience: resource, accessTokenFormat: 'jwt', accessTokenTTL: 300,
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
  formats: {
    customizers: {
      jwt: (_, token, parts) => {
        Object.assign(parts.payload, workloads[token.clientId]);
      },
    },
  },
});
// With which factors somebody signed in; its own pages for development tell none.
Object.defineProperty(provider.Session.prototype, 'amr', {
  get() { return people[this.accountId]?.amr; },
  set() {},
});
provider.on('server_error', (_, error) => console.error(error));

createServer(provider.callback()).listen(Number(port), host, () => {
  console.log(JSON.stringify({ issuer }));
});
