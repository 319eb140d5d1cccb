// Generated cases: AWS policies and a request, each reproducible from its seed alone.
'use strict';

/** A small generator of pseudo-random numbers (mulberry32). */
function random(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const below = (n) => Math.floor(next() * n);
  return {
    below,
    chance: (probability) => next() < probability,
    pick: (list) => list[below(list.length)],
    /** One of several functions, by weight: `[[weight, f], …]`. */
    weighted(choices) {
      let left = next() * choices.reduce((sum, [weight]) => sum + weight, 0);
      for (const [weight, make] of choices) {
        left -= weight;
        if (left < 0) return make();
      }
      return choices[0][1]();
    },
    some(list, most) {
      const found = [];
      const count = 1 + below(most);
      for (let n = 0; n < count; n++) found.push(list[below(list.length)]);
      return found;
    },
  };
}

const HOME = '111122223333';
const AWAY = '444455556666';

const PRINCIPALS = [
  [10, `arn:aws:iam::${HOME}:user/alice`],
  [3, `arn:aws:iam::${HOME}:user/team/bob`],
  [6, `arn:aws:sts::${HOME}:assumed-role/app/session-1`],
  [1, `arn:aws:sts::${HOME}:assumed-role/Batch-Role/i-0123`],
  [1, `arn:aws:iam::${HOME}:role/team/deploy`],
  [1, `arn:aws:sts::${HOME}:federated-user/dave`],
  [4, `arn:aws:iam::${AWAY}:user/carol`],
  [2, `arn:aws:sts::${AWAY}:assumed-role/app/session-1`],
];

/** The action in its usual spelling, others of its service, and resources. */
const REQUESTS = [
  {
    action: 's3:GetObject',
    others: ['s3:PutObject', 's3:GetObjectAcl', 's3:DeleteObject', 's3:ListBucket'],
    // Without `*`: the peer takes one in a request's resource for a pattern.
    resources: ['arn:aws:s3:::bucket-a/home/alice/k.txt', 'arn:aws:s3:::bucket-b/Report.CSV'],
  },
  {
    action: 's3:ListBucket',
    others: ['s3:GetBucketLocation', 's3:GetObject'],
    resources: ['arn:aws:s3:::bucket-a', 'arn:aws:s3:::bucket-b'],
  },
  {
    action: 'sqs:SendMessage',
    others: ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:SendMessageBatch'],
    resources: [`arn:aws:sqs:us-east-1:${HOME}:queue-a`, `arn:aws:sqs:eu-west-1:${HOME}:alice-queue`],
  },
  {
    action: 'dynamodb:GetItem',
    others: ['dynamodb:PutItem', 'dynamodb:BatchGetItem', 'dynamodb:Query'],
    resources: [`arn:aws:dynamodb:us-east-1:${HOME}:table/orders`, `arn:aws:dynamodb:us-east-1:${HOME}:table/orders/index/by-day`],
  },
  {
    action: 'elasticache:ModifyReplicationGroup',
    others: ['elasticache:DescribeReplicationGroups', 'elasticache:DeleteReplicationGroup', 'elasticache:Connect'],
    resources: [`arn:aws:elasticache:us-east-1:${HOME}:replicationgroup:sessions`, `arn:aws:elasticache:eu-west-1:${HOME}:replicationgroup:prod-cache`],
  },
  {
    action: 'elasticache:Connect',
    others: ['elasticache:DescribeUsers', 'elasticache:ModifyUser'],
    resources: [`arn:aws:elasticache:us-east-1:${HOME}:serverlesscache:sessions`, `arn:aws:elasticache:us-east-1:${HOME}:user:alice`],
  },
  {
    action: 'iam:CreateAccessKey',
    others: ['iam:DeleteAccessKey', 'iam:ListAccessKeys', 'iam:GetUser'],
    resources: [`arn:aws:iam::${HOME}:user/alice`, `arn:aws:iam::${HOME}:user/team/bob`],
  },
  {
    action: 'lambda:InvokeFunction',
    others: ['lambda:GetFunction', 'lambda:UpdateFunctionCode'],
    resources: [`arn:aws:lambda:us-east-1:${HOME}:function:resize`, `arn:aws:lambda:us-east-1:${HOME}:function:resize:prod`],
  },
  {
    action: 'ec2:StartInstances',
    others: ['ec2:StopInstances', 'ec2:TerminateInstances', 'ec2:RunInstances'],
    resources: [`arn:aws:ec2:us-east-1:${HOME}:instance/i-0123456789abcdef0`],
  },
  {
    action: 'sns:Publish',
    others: ['sns:Subscribe', 'sns:GetTopicAttributes'],
    resources: [`arn:aws:sns:us-east-1:${HOME}:alerts`],
  },
  // Calls on no resource: only `*` speaks of them.
  { action: 'ec2:DescribeInstances', others: ['ec2:DescribeVpcs', 'ec2:RunInstances'], resources: ['*'] },
  { action: 'elasticache:DescribeEvents', others: ['elasticache:DescribeUsers'], resources: ['*'] },
  {
    action: 'kvdb:ExecuteGet',
    others: ['kvdb:ExecuteSet', 'kvdb:ExecuteFlushall', 'kvdb:Describe'],
    resources: [`arn:aws:elasticache:us-east-1:${HOME}:replicationgroup:sessions`],
  },
];

const OTHER_ACTIONS = ['s3:*', 'ec2:Describe*', 'iam:PassRole', 'sts:AssumeRole', 'rds:*', 'sqs:*', 'dynamodb:*'];

const TEAMS = ['red', 'Blue', 'blue', 'b*e', 'green?', '', 'blue'.repeat(250), '$', 'a}b', 'b\\e', ' blue', 'bl\u00fce', 'BL\u00dcE', 'x'];
const PATHS = ['o-a1/r-a1/ou-a1/', 'o-a1/r-a1/ou-b2/', 'o-z9/r-z9/'];
const TAG_KEYS = ['team', 'cost', 'env', 'Owner'];
const IPS = ['10.0.0.7', '10.1.2.3', '192.168.1.77', '203.0.113.9', '2001:db8::7', '2001:db8:1::1', '2001:DB8:0:0:0:0:0:7', '::1', 'fe80::1'];
const RANGES = ['10.0.0.0/8', '10.0.0.7', '10.0.0.0/24', '10.0.0.7/32', '192.168.1.0/25', '0.0.0.0/0', '2001:db8::/32', '2001:db8::7/128', '::/0', '203.0.113.13/29', '10.255.1.2/9', '192.168.1.77/31', '2001:db8:1::/47', '2001:0db8:0000::/33', '2001:db8::7', '::1', '::1/128', '128.0.0.0/1'];
const DATES = ['2026-01-01T00:00:00Z', '2026-06-15T12:30:00Z', '2026-06-15T12:30:00.000Z', '2027-01-01', '2026-06-15T14:30:00+02:00', '2025-12-31T23:59:59Z', '2026-06-15T12:30Z', '2026-06', '2026-06-15T12:30:00.5Z', '2026-06-15T07:00:00-05:30'];
const EPOCHS = ['1767225600', '1781526600', '1798761600', '1781526600.5'];
const NUMBERS = ['0', '10', '10.5', '100', '-3', '3600', '10.0', '010', '-0', '+10', '0.1', '0.10', '12345678901234567890'];
const ARNS = [
  `arn:aws:s3:::bucket-a`,
  `arn:aws:sns:us-east-1:${HOME}:alerts`,
  `arn:aws:sns:eu-west-1:${AWAY}:alerts`,
  `arn:aws:iam::${HOME}:role/app`,
];
const ARN_PATTERNS = [
  ...ARNS,
  `arn:aws:sns:*:${HOME}:*`,
  'arn:aws:s3:::bucket-*',
  `arn:aws:iam::${HOME}:role/ap?`,
  'arn:aws:sns:us-east-?:*:alerts',
  `arn:aws:sns:us-east-1:${HOME.slice(0, 6)}*:alerts`,
  'arn:aws:sns:us-east-1:${aws:PrincipalAccount}:alerts',
  'arn:AWS:sns:US-EAST-1:*:alerts',
  'arn:aws:sns:*:*:alerts',
  `arn:aws:*:*:${HOME}:*`,
  'arn:aws:s3:::bucket-?',
  `arn:aws:iam::${HOME}:role/*`,
  `arn:aws:iam::${HOME}:*/app`,
  'arn:*:sns:us-*-1:*:a*s',
];
// A long value. (Patterns with many stars are `policy`'s own tests: the peer takes minutes for one.)
const LONG = 'blue'.repeat(250);
const TEXT_PATTERNS = ['*', 'b*', '?lue', 'B*', '*e', 'r?d', 'red', 'Blue', 'BLUE', 'green', 'home/*', 'a**b', '*l*', '', '?', '??', '****', '*?', LONG, 'bl[a-z]e', 'b.*', '\\*', '$', '^b', 'blue$'];
const BLOBS = ['QmluYXJ5', 'cmVk', 'AAEC'];

/** Condition keys: name, the operators that fit, values of requests and of policies. */
const KEYS = [
  { name: 'aws:username', type: 'string', request: ['alice', 'team', 'bob'], policy: ['alice', 'bob', 'Alice', 'a*', 'al?ce', "${aws:PrincipalTag/team, 'bob'}", '${AWS:UserName}', '${aws:TagKeys}', "${aws:TagKeys, 'alice'}", 'al${?}ce', '${*}', '${$}{x}'] },
  { name: 'aws:PrincipalAccount', type: 'string', request: [HOME, AWAY, '012345678901'], policy: [HOME, AWAY, '012345678901', '12345678901', '${aws:ResourceAccount}', '1111*', '?'.repeat(12)] },
  { name: 'aws:ResourceAccount', type: 'string', request: [HOME, AWAY], policy: [HOME, '${aws:PrincipalAccount}', '*'] },
  { name: 'aws:PrincipalTag/Cost Center', type: 'string', request: ['1', '2'], policy: ['1', '?', "${aws:PrincipalTag/Owner-ID, '2'}"] },
  { name: 'saml:sub', type: 'string', request: ['Max_M\u00fcller'], policy: ['max_m\u00fcller', 'Max*', 'MAX_M\u00dcLLER'] },
  { name: 'aws:userid', type: 'string', request: ['AIDAEXAMPLE', 'AROAEXAMPLE:session-1'], policy: ['AIDAEXAMPLE', 'AROAEXAMPLE:*', '*:session-1'] },
  { name: 'aws:PrincipalTag/team', type: 'string', request: TEAMS, policy: TEXT_PATTERNS },
  { name: 'aws:ResourceTag/env', type: 'string', request: ['prod', 'Prod', 'dev'], policy: ['prod', 'PROD', 'p*', 'dev', '${aws:PrincipalTag/team}'] },
  { name: 'aws:RequestTag/team', type: 'string', request: TEAMS.filter(Boolean), policy: [...TEXT_PATTERNS, '${aws:PrincipalTag/team}'] },
  { name: 'aws:RequestedRegion', type: 'string', request: ['us-east-1', 'eu-west-1'], policy: ['us-east-1', 'eu-*', 'us-????-1'] },
  { name: 'aws:UserAgent', type: 'string', request: ['curl/8.1', 'aws-cli (a.b+c)'], policy: ['curl/*', 'aws-cli (a.b+c)', 'aws-cli (*)', 'aws-cli .*'] },
  { name: 's3:prefix', type: 'string', request: ['home/alice/', 'home/bob/', 'home/'], policy: ['home/*', 'home/${aws:username}/*', 'home/${aws:username}/', '${aws:username}'] },
  { name: 'sts:ExternalId', type: 'string', request: ['x-1', 'X-1', '$x', 'a*b'], policy: ['x-1', 'x-?', '${$}x', 'a${*}b', 'a*b', 'X-1', '${$}${?}', '$x', 'x-${aws:username}', '${sts:ExternalId}'] },
  { name: 'aws:TagKeys', type: 'list', request: TAG_KEYS, policy: [...TAG_KEYS, 't*', 'TEAM', '*'] },
  { name: 'aws:PrincipalOrgPaths', type: 'list', request: PATHS, policy: [...PATHS, 'o-a1/*', 'o-a1/r-a1/ou-??/*'] },
  { name: 's3:max-keys', type: 'number', request: NUMBERS, policy: NUMBERS },
  { name: 'aws:MultiFactorAuthAge', type: 'number', request: NUMBERS, policy: NUMBERS },
  { name: 'aws:CurrentTime', type: 'date', request: DATES, policy: DATES },
  { name: 'aws:TokenIssueTime', type: 'date', request: DATES, policy: DATES },
  { name: 'aws:EpochTime', type: 'epoch', request: EPOCHS, policy: EPOCHS },
  { name: 'aws:SecureTransport', type: 'bool', request: ['true', 'false', 'True', 'yes', ''], policy: ['true', 'false', 'TRUE'] },
  { name: 'aws:MultiFactorAuthPresent', type: 'bool', request: ['true', 'false'], policy: ['true', 'false'] },
  { name: 'aws:SourceIp', type: 'ip', request: IPS, policy: RANGES },
  { name: 'aws:VpcSourceIp', type: 'ip', request: IPS, policy: RANGES },
  { name: 'aws:SourceArn', type: 'arn', request: ARNS, policy: ARN_PATTERNS },
  { name: 'aws:PrincipalArn', type: 'arn', request: [`arn:aws:iam::${HOME}:user/alice`, `arn:aws:iam::${HOME}:role/app`], policy: [`arn:aws:iam::${HOME}:user/*`, `arn:aws:iam::${HOME}:role/app`, `arn:aws:iam::*:user/\${aws:username}`] },
  { name: 'lambda:Blob', type: 'binary', request: BLOBS, policy: BLOBS },
];

const OPERATORS = {
  string: ['StringEquals', 'StringNotEquals', 'StringEqualsIgnoreCase', 'StringNotEqualsIgnoreCase', 'StringLike', 'StringNotLike'],
  number: ['NumericEquals', 'NumericNotEquals', 'NumericLessThan', 'NumericLessThanEquals', 'NumericGreaterThan', 'NumericGreaterThanEquals'],
  date: ['DateEquals', 'DateNotEquals', 'DateLessThan', 'DateLessThanEquals', 'DateGreaterThan', 'DateGreaterThanEquals'],
  bool: ['Bool'],
  ip: ['IpAddress', 'NotIpAddress'],
  arn: ['ArnEquals', 'ArnNotEquals', 'ArnLike', 'ArnNotLike'],
  binary: ['BinaryEquals'],
};
OPERATORS.list = OPERATORS.string;
OPERATORS.epoch = OPERATORS.number;

const flipCase = (text) =>
  [...text].map((c, n) => (n % 2 ? c.toUpperCase() : c.toLowerCase())).join('');

/** One element alone, or a list. */
const scalarOrList = (r, list) => (list.length === 1 && r.chance(0.5) ? list[0] : list);

function actionPattern(r, request) {
  const [service, name] = request.action.split(':');
  return r.weighted([
    [6, () => request.action],
    [2, () => `${service}:*`],
    [2, () => '*'],
    [2, () => `${service}:${name.slice(0, 3)}*`],
    [1, () => `${service}:*${name.slice(-4)}`],
    [1, () => `${service}:?${name.slice(1)}`],
    [1, () => `${service}:${name[0]}*${name.slice(3, 5)}*`],
    [1, () => `${service.toUpperCase()}:${flipCase(name)}`],
    [1, () => `${service}:${name}?`],
    [1, () => `${service}:${name.replace(/[a-z]/g, '?')}`],
    [1, () => `${service}:**`],
    [1, () => `${service}:*${name.slice(2, 4)}*?`],
    [1, () => `${service}:${name}*`],
    [4, () => r.pick(request.others)],
    [2, () => r.pick(OTHER_ACTIONS)],
  ]);
}

function resourcePattern(r, resource, request) {
  if (resource === '*') return r.chance(0.5) ? '*' : r.pick(r.pick(REQUESTS).resources);
  const parts = resource.split(':');
  const last = parts.slice(5).join(':');
  const with6 = (text) => [...parts.slice(0, 5), text].join(':');
  // The kind of resource is never a pattern: AWS does not allow it.
  const kind = parts[2] === 's3' ? 0 : last.search(/[:/]/) + 1;
  const id = last.slice(kind);
  const withId = (text) => with6(last.slice(0, kind) + text);
  return r.weighted([
    [6, () => resource],
    [5, () => '*'],
    [3, () => withId('*')],
    [2, () => withId(`${id.slice(0, 2)}*`)],
    [2, () => withId(`*${id.slice(-2)}`)],
    [1, () => withId(`?${id.slice(1)}`)],
    [1, () => withId(`${id[0]}*${id.slice(3, 4)}*`)],
    [1, () => [parts[0], parts[1], parts[2], '*', parts[4], last].join(':')],
    [1, () => [parts[0], parts[1], parts[2], '*', '*', last].join(':')],
    [1, () => ['arn', '*', parts[2], parts[3] && `${parts[3].slice(0, 2)}*`, parts[4], last].join(':')],
    [1, () => ['arn', 'AWS', parts[2], parts[3].toUpperCase(), parts[4], last].join(':')],
    [1, () => withId(flipCase(id))],
    [1, () => [...parts.slice(0, 4), AWAY, last].join(':')],
    [1, () => with6('*')],
    [1, () => [...parts.slice(0, 3), parts[3] && `${parts[3].slice(0, -1)}?`, parts[4] && `${parts[4].slice(0, 5)}*`, last].join(':')],
    [1, () => [parts[0], 'aws-cn', ...parts.slice(2)].join(':')],
    [1, () => [parts[0], 'a*', parts[2], parts[3], parts[4] && '?'.repeat(12), last].join(':')],
    [1, () => withId(`${id}*`)],
    [1, () => withId(`${id}?`)],
    [1, () => withId(`*${id.slice(1, 3)}*${id.slice(-1)}`)],
    [1, () => (kind || parts[2] === 's3' ? withId('*${aws:PrincipalTag/team}*') : resource)],
    [1, () => (kind || parts[2] === 's3' ? withId("${aws:TagKeys, 'a'}*") : resource)],
    [1, () => (kind || parts[2] === 's3' ? withId('${$}*${?}') : resource)],
    [1, () => (kind || parts[2] === 's3' ? withId('${AWS:USERNAME}*') : resource)],
    // A pattern over the parts before the last one does not cross a colon.
    [1, () => [parts[0], parts[1], parts[2], parts[3], '*', last.slice(-3)].join(':')],
    [2, () => (parts[2] === 's3' ? 'arn:aws:s3:::bucket-a/home/${aws:username}/*' : withId(kind ? '${aws:username}' : `${id.slice(0, 1)}\${aws:username}`))],
    [1, () => (kind || parts[2] === 's3' ? withId("${aws:PrincipalTag/team, 'alice'}*") : resource)],
    [1, () => (kind || parts[2] === 's3' ? withId(`${id.slice(0, 1)}\${*}`) : resource)],
    [3, () => r.pick(r.pick(REQUESTS).resources)],
  ]);
}

function condition(r, facts) {
  const block = {};
  const count = r.weighted([[6, () => 1], [3, () => 2], [1, () => 3]]);
  for (let n = 0; n < count; n++) {
    const key = r.pick(KEYS);
    let name = key.name;
    let values = r.some(key.policy, 3);
    const multiple = Array.isArray(facts[key.name]) || key.type === 'list';
    if (r.chance(0.08)) {
      values = r.chance(0.1) ? ['true', 'false'] : [r.pick(['true', 'false', true, false, 'TRUE', 'False'])];
      if (r.chance(0.1)) name = flipCase(name);
      if (r.chance(0.1)) name = 'aws:PrincipalTag/nobody-has-it';
      put(block, 'Null', name, scalarOrList(r, values));
      continue;
    }
    let type = key.type;
    // Text operators fit everything, and a date may be seconds since 1970.
    if (r.chance(0.1) && !['list', 'binary'].includes(type)) type = 'string';
    if (type === 'epoch' && r.chance(0.4)) type = 'date';
    if (type === 'date' && key.type === 'date' && r.chance(0.1)) values = values.map(() => r.pick(EPOCHS));
    let operator = r.pick(OPERATORS[type]);
    if (type !== 'string' && type !== 'arn' && type !== 'list') {
      values = values.filter((value) => !value.includes('${'));
    }
    if (type === 'arn') values = values.filter((value) => value.startsWith('arn:'));
    if (r.chance(0.2)) operator += 'IfExists';
    const setChance = multiple ? 0.85 : 0.1;
    if (r.chance(setChance)) operator = `${r.pick(['ForAllValues', 'ForAnyValue'])}:${operator}`;
    if (r.chance(0.05)) name = flipCase(name);
    if (values.length === 0) continue;
    if (r.chance(0.15) && ['number', 'bool', 'epoch'].includes(type)) {
      values = values.map((value) => (['true', 'false'].includes(value) ? value === 'true' : String(Number(value)) === value ? Number(value) : value));
    }
    put(block, operator, name, scalarOrList(r, values));
  }
  return Object.keys(block).length ? block : undefined;
}

/** Adds a key unless it is there in some case already: that is an error in a document. */
function put(block, operator, name, values) {
  const keys = (block[operator] ??= {});
  if (!Object.keys(keys).some((known) => known.toLowerCase() === name.toLowerCase())) {
    keys[name] = values;
  }
}

/** The name in another letter case: IAM's names keep theirs. */
const flipName = (arn) => arn.replace(/[^/]+$/, (name) => name.toUpperCase());

function principalElement(r, principal) {
  const [, , , , account, rest] = principal.split(':');
  const role = principal.includes(':assumed-role/') && `arn:aws:iam::${account}:role/${rest.split('/')[1]}`;
  const one = () =>
    r.weighted([
      [6, () => principal],
      [role ? 6 : 0, () => role || principal],
      [2, () => '*'],
      [2, () => account],
      [2, () => `arn:aws:iam::${account}:root`],
      [2, () => `arn:aws:iam::${HOME}:user/mallory`],
      [1, () => `arn:aws:iam::${AWAY}:root`],
      [1, () => AWAY],
      [1, () => principal.replace('arn:aws:', 'arn:aws-us-gov:')],
      [1, () => flipName(principal)],
      [role ? 1 : 0, () => (role || principal).replace(':role/', ':role/some/path/')],
      [1, () => `arn:aws:iam::${account}:user/${rest.split('/').pop()}`],
      [1, () => `arn:aws:sts::${account}:federated-user/dave`],
      [1, () => `arn:aws:iam::${account}:role/other`],
      [1, () => `arn:aws:sts::${account}:assumed-role/app/other`],
    ]);
  return r.weighted([
    [1, () => '*'],
    [1, () => ({ AWS: '*' })],
    [1, () => ({ AWS: [account, `arn:aws:iam::${account}:root`, ...(role ? [role] : []), principal] })],
    [1, () => ({ Federated: 'arn:aws:iam::' + HOME + ':saml-provider/Idp' })],
    [9, () => ({ AWS: scalarOrList(r, r.chance(0.3) ? [one(), one()] : [one()]) })],
    [1, () => ({ Service: 'lambda.amazonaws.com' })],
    [1, () => ({ AWS: one(), Service: ['sns.amazonaws.com'] })],
  ]);
}

function statement(r, made, kind) {
  const { request, resource, principal, facts } = made;
  const found = {};
  if (r.chance(0.3)) found.Sid = r.chance(0.1) ? '' : `S${r.below(1000)}`;
  found.Effect = r.chance(kind === 'resource' ? 0.75 : 0.8) ? 'Allow' : 'Deny';
  const actions = [];
  for (let n = r.weighted([[6, () => 1], [2, () => 2], [1, () => 3]]); n > 0; n--) {
    actions.push(actionPattern(r, request));
  }
  found[r.chance(0.1) ? 'NotAction' : 'Action'] = scalarOrList(r, actions);
  const resources = [];
  for (let n = r.weighted([[6, () => 1], [2, () => 2]]); n > 0; n--) {
    resources.push(resourcePattern(r, resource, request));
  }
  found[r.chance(0.1) ? 'NotResource' : 'Resource'] = scalarOrList(r, resources);
  if (kind === 'resource') {
    const negated = r.chance(found.Effect === 'Deny' ? 0.25 : 0.03);
    found[negated ? 'NotPrincipal' : 'Principal'] = principalElement(r, principal);
  }
  if (r.chance(0.5)) {
    const block = condition(r, facts);
    if (block) found.Condition = block;
  } else if (r.chance(0.03)) {
    found.Condition = r.pick([{}, { StringEquals: {} }]);
  }
  // The order of members means nothing.
  return r.chance(0.2) ? Object.fromEntries(Object.entries(found).reverse()) : found;
}

function document(r, made, kind) {
  const found = {};
  const version = r.weighted([[16, () => '2012-10-17'], [1, () => '2008-10-17'], [1, () => undefined]]);
  if (version) found.Version = version;
  if (r.chance(0.05)) found.Id = 'policy-1';
  const statements = [];
  for (let n = r.weighted([[5, () => 1], [3, () => 2], [2, () => 3], [1, () => 5]]); n > 0; n--) {
    statements.push(statement(r, made, kind));
  }
  const sids = new Set();
  for (const one of statements) {
    if (one.Sid !== undefined && sids.has(one.Sid)) delete one.Sid;
    sids.add(one.Sid);
  }
  found.Statement = scalarOrList(r, statements);
  return found;
}

/** The case of a seed. */
function makeCase(seed) {
  const r = random(Math.imul(seed, 2654435761) + 97);
  r.below(7);
  const principal = r.weighted(PRINCIPALS.map(([weight, arn]) => [weight, () => arn]));
  const request = r.pick(REQUESTS);
  const resource = r.pick(request.resources);
  const facts = {};
  for (const key of KEYS) {
    if (!r.chance(key.name === 'aws:username' ? 0.8 : 0.6)) continue;
    if (key.type === 'list') {
      facts[key.name] = [...new Set(r.some(key.request, 3))];
      if (r.chance(0.03)) facts[key.name] = [];
      if (r.chance(0.03)) facts[key.name] = [''];
      if (r.chance(0.02)) facts[key.name].push('');
    } else {
      facts[key.name] = r.pick(key.request);
    }
    // The names of keys are the same in any letter case.
    if (r.chance(0.02)) {
      facts[flipCase(key.name)] = facts[key.name];
      delete facts[key.name];
    }
  }
  const made = { request, resource, principal, facts };
  const policies = [];
  for (let n = r.weighted([[1, () => 0], [6, () => 1], [2, () => 2]]); n > 0; n--) policies.push(document(r, made, 'identity'));
  const resourcePolicies = r.chance(0.35) ? [document(r, made, 'resource')] : [];
  const boundaries = r.chance(0.2) ? [[document(r, made, 'identity')]] : [];
  const [service, name] = request.action.split(':');
  return {
    id: seed,
    principal,
    action: r.chance(0.05) ? `${service}:${flipCase(name)}` : request.action,
    resource,
    account: HOME,
    context: facts,
    policies,
    resourcePolicies,
    boundaries,
  };
}

module.exports = { makeCase, HOME, AWAY };
