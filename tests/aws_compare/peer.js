// What the independent implementation says, layer by layer and as a whole.
//
// `@cloud-copilot/iam-simulate` (AGPL) is only run here, as a program of its own beside ours. Its
// core is asked rather than its front, which knows only the services and keys of its data.
'use strict';

const path = require('node:path');

const modules = path.dirname(require.resolve('@cloud-copilot/iam-simulate'));
const inside = (file) => require(path.join(modules, file));
const { authorize } = inside('core_engine/CoreSimulatorEngine.js');
const { AwsRequestImpl } = inside('request/request.js');
const { RequestContextImpl } = inside('requestContext.js');
const { DiscoveryContextKeyConstraints } = inside('context_keys/discoveryContextKeyConstraints.js');
const policies = require(require.resolve('@cloud-copilot/iam-policy', { paths: [modules] }));
const { loadPolicy, validateIdentityPolicy, validateResourcePolicy } = policies;

const OUTCOMES = {
  Allowed: 'allow',
  AllowedForAccount: 'allow_for_account',
  DeniedForAccount: 'explicit_deny',
  ExplicitlyDenied: 'explicit_deny',
  ImplicitlyDenied: 'implicit_deny',
  NotApplicable: 'implicit_deny',
};

/** What the peer's validation finds in the documents of a case. */
function findings(found) {
  return [
    ...[...found.policies, ...found.boundaries.flat()].flatMap((policy) => validateIdentityPolicy(policy)),
    ...found.resourcePolicies.flatMap((policy) => validateResourcePolicy(policy)),
  ].map((error) => `${error.path}: ${error.message}`);
}

/** `{result, identity, resource, boundary}`; the boundary is `allow` if there is none. */
function decide(found) {
  const load = (policy, n) => loadPolicy(policy, { name: `p${n}` });
  const boundaries = found.boundaries.flat();
  const analysis = authorize({
    request: new AwsRequestImpl(
      found.principal,
      { resource: found.resource, accountId: found.account },
      found.action,
      new RequestContextImpl(found.context),
      found.resource === '*',
    ),
    sessionPolicy: undefined,
    identityPolicies: found.policies.map(load),
    // Nobody who is not in an organisation has these; there, everything is allowed by default.
    serviceControlPolicies: [organisation(load)],
    resourceControlPolicies: [organisation(load)],
    resourcePolicy: found.resourcePolicies.map(load)[0],
    permissionBoundaries: boundaries.length ? boundaries.map(load) : undefined,
    vpcEndpointPolicies: undefined,
    simulationParameters: {
      simulationMode: 'Strict',
      discoveryContextKeyConstraints: new DiscoveryContextKeyConstraints([]),
    },
    serviceSettings: { s3: { blockPublicAccess: false } },
  });
  return {
    result: OUTCOMES[analysis.result],
    identity: OUTCOMES[analysis.identityAnalysis.result],
    resource: OUTCOMES[analysis.resourceAnalysis.result],
    boundary: analysis.permissionBoundaryAnalysis ? OUTCOMES[analysis.permissionBoundaryAnalysis.result] : 'allow',
  };
}

const EVERYTHING = {
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Principal: '*', Action: '*', Resource: '*' }],
};
const organisation = (load) => ({ orgIdentifier: 'o-1', policies: [load(EVERYTHING, 0)] });

module.exports = { decide, findings };
