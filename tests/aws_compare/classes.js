// How documents are joined here, and the disagreements that are not a fault of Keyward, each with
// what decides it. A class is recognised by rule, never by a list of cases.
'use strict';

/**
 * What the design (sections 3 and 4) makes of the peer's answers on single layers: a deny anywhere
 * denies; the owner of the resource trusts the principal with its identity policies; a resource
 * policy accepts whom it names; boundaries bind both ways.
 */
function composed(found, { identity, resource, boundary }) {
  if ([identity, resource, boundary].includes('explicit_deny')) return 'explicit_deny';
  const granted = identity === 'allow' || resource === 'allow';
  return granted && boundary === 'allow' ? 'allow' : 'implicit_deny';
}

/** Every statement of a case, with the version of its document. */
function statements(found) {
  return [...found.policies, ...found.resourcePolicies, ...found.boundaries.flat()].flatMap((document) =>
    [document.Statement].flat().map((statement) => ({ statement, version: document.Version ?? '2008-10-17' })),
  );
}

/** `[operator, key, values, version]` of every clause. */
function clauses(found) {
  return statements(found).flatMap(({ statement, version }) =>
    Object.entries(statement.Condition ?? {}).flatMap(([operator, keys]) =>
      Object.entries(keys).map(([key, values]) => ({ operator, key, values: [values].flat().map(String), version, effect: statement.Effect })),
    ),
  );
}

const valueOf = (found, key) => {
  const name = Object.keys(found.context).find((known) => known.toLowerCase() === key.toLowerCase());
  return name === undefined ? undefined : found.context[name];
};

const texts = (found) =>
  statements(found).flatMap(({ statement, version }) => [
    ...[statement.Resource ?? statement.NotResource ?? []].flat().map((text) => ({ text, version })),
    ...Object.values(statement.Condition ?? {}).flatMap((keys) =>
      Object.values(keys).flat().map((value) => ({ text: String(value), version })),
    ),
  ]);

/** Variables of a text that the request does not answer with one text. */
const unresolved = (found, text) =>
  [...text.matchAll(/\$\{([^},]*)(,[^}]*)?\}/g)].some(
    ([, name, fallback]) => !'*?$'.includes(name) && !fallback && (typeof valueOf(found, name) !== 'string' || valueOf(found, name) === ''),
  );

/** Every name in `Principal` and `NotPrincipal` of the resource policies. */
const principals = (found) =>
  statements(found).flatMap(({ statement }) =>
    [statement.Principal, statement.NotPrincipal].filter(Boolean).flatMap((one) => (typeof one === 'string' ? [one] : Object.values(one).flat())),
  );

const isEpoch = (value) => /^\d{9,}(\.\d+)?$/.test(String(value));

const CLASSES = [
  [
    'seconds since 1970 beside a date: the same clock (AWS, "Date condition operators": "or in epoch (UNIX) time"); the peer compares seconds with milliseconds, and takes no fractions',
    (found) =>
      clauses(found).some(
        ({ operator, key, values }) =>
          operator.includes('Date') &&
          [...values, ...[valueOf(found, key) ?? []].flat()].some(isEpoch) &&
          [...values, ...[valueOf(found, key) ?? []].flat()].some((value) => !isEpoch(value) || String(value).includes('.')),
      ),
  ],
  [
    'one IPv6 address in two spellings: the same address (AWS, "IP address condition operators": RFC 4632 and what it refers to); the peer compares the texts',
    (found) =>
      clauses(found).some(
        ({ operator, key, values }) =>
          operator.includes('IpAddress') && String(valueOf(found, key)).includes(':') && values.some((value) => value.includes(':') && !value.includes('/')),
      ),
  ],
  [
    "a role's name in another letter case is another name (AWS, \"IAM identifiers\"; reference 2.2); the peer takes it for the same",
    (found) => {
      const [, role] = found.principal.match(/:assumed-role\/([^/]+)\//) ?? [];
      return role !== undefined && principals(found).some((name) => /:role\//.test(name) && name.split('/').pop() !== role && name.split('/').pop().toLowerCase() === role.toLowerCase());
    },
  ],
  [
    "a federated user's session is named by its own ARN: whose keys it was made with does not stand in it; the peer takes its name for the user's",
    (found) => found.principal.includes(':federated-user/') && principals(found).some((name) => name.includes(':user/') && name.endsWith(`/${found.principal.split('/').pop()}`)),
  ],
  [
    'a single address under NotIpAddress and a request of the other family: it differs; the peer says it does not, though it does for networks',
    (found) =>
      clauses(found).some(
        ({ operator, key, values }) =>
          operator.includes('NotIpAddress') &&
          values.some((value) => !value.includes('/') && value.includes(':') !== String(valueOf(found, key)).includes(':')),
      ),
  ],
  [
    'a network of length 0: every address of its family; the peer takes it for no network',
    (found) => clauses(found).some(({ operator, values }) => operator.includes('IpAddress') && values.some((value) => value.endsWith('/0'))),
  ],
  [
    'NotResource in an Allow with a variable that is missing: allows nothing (AWS, "Policy elements: variables": such a statement may be invalid as a whole); the peer looks at the parts before it first',
    (found, theirs, answer) =>
      answer.decision !== 'allow' &&
      statements(found).some(({ statement }) => statement.Effect === 'Allow' && [statement.NotResource ?? []].flat().some((text) => unresolved(found, text))),
  ],
  [
    'NotResource in a Deny with a variable that is missing: denies, as nothing is excepted (reference 2.5: such a pattern matches nothing); the peer leaves the statement out',
    (found, theirs, answer) =>
      answer.decision === 'explicit_deny' &&
      statements(found).some(({ statement }) => statement.Effect === 'Deny' && [statement.NotResource ?? []].flat().some((text) => unresolved(found, text))),
  ],
  [
    'NotPrincipal in a Deny: spares only those whose account, and for a session also role, is listed too (AWS, "NotPrincipal": "you must also specify the account ARN"); the peer spares whoever has one name listed',
    (found, theirs, answer) =>
      answer.decision === 'explicit_deny' && statements(found).some(({ statement }) => statement.Effect === 'Deny' && statement.NotPrincipal),
  ],
  [
    'variables in a document of 2008: literal text (AWS, "Version": variables need 2012-10-17); the peer replaces them',
    (found) => texts(found).some(({ text, version }) => version !== '2012-10-17' && text.includes('${')),
  ],
  [
    'IfExists under a set operator, key missing: holds (AWS, "...IfExists": "If the key is not present, evaluate the condition element as true"); the peer ignores IfExists',
    (found) =>
      clauses(found).some(({ operator, key }) => /^ForAnyValue:.*IfExists$/.test(operator) && isNone(valueOf(found, key))),
  ],
  [
    'a variable before the sixth part of an ARN in a condition: its value is put in (AWS, "Policy variables": in values of ARN operators); the peer takes the colon in its name for one of the ARN',
    (found) =>
      clauses(found).some(
        ({ operator, values }) => /Arn(Not)?(Equals|Like)/.test(operator) && values.some((value) => /^([^:]*:){3,4}\$\{[^}]*:/.test(value)),
      ),
  ],
  [
    'a negated operator whose variable is missing: holds, as a value that matches nothing (AWS, "Policy variables with no value"); the peer says it does not',
    (found) => clauses(found).some(({ operator, values }) => operator.includes('Not') && values.some((value) => unresolved(found, value))),
  ],
  [
    'a literal of the form ${*} under an operator without wildcards: the character itself (AWS, "predefined policy variables"); the peer compares the three characters',
    (found) => clauses(found).some(({ operator, values }) => /StringN?o?t?Equals/.test(operator) && values.some((value) => /\$\{[*?$]\}/.test(value))),
  ],
  [
    'a key whose list of values is empty: as if it were missing (AWS, "ForAllValues": "resolves to a null data set"); the peer takes it as present',
    (found) => clauses(found).some(({ key }) => Array.isArray(valueOf(found, key)) && valueOf(found, key).length === 0),
  ],
  [
    'ForAllValues and an empty text: no value at all (AWS, "ForAllValues": "such as an empty string"); the peer compares it',
    (found) =>
      clauses(found).some(({ operator, key }) => {
        const values = [valueOf(found, key)].flat();
        return operator.startsWith('ForAllValues:') && values.length > 0 && values.every((value) => value === '');
      }),
  ],
];

const isNone = (value) => value === undefined || (Array.isArray(value) && value.length === 0);

/** The class of a disagreement, if it has one. */
function classOf(found, theirs, answer) {
  return CLASSES.find(([, holds]) => holds(found, theirs, answer))?.[0];
}

module.exports = { classOf, composed };
