//! Every kind of finding: its stable code, how bad it is, and what is to be known about it.

use std::fmt;
use std::sync::LazyLock;

use crate::CODES;

/// How bad a finding is, from bad to worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Could be written better; what it does is not in doubt.
    Suggestion,
    /// Legal, and probably not what was meant.
    Warning,
    /// Gives more, or protects less, than a reader would think.
    Security,
    /// The document is refused.
    Error,
}

impl Severity {
    /// All of them, the worst first.
    pub const ALL: [Self; 4] = [Self::Error, Self::Security, Self::Warning, Self::Suggestion];

    /// Its name in output and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Suggestion => "suggestion",
            Self::Warning => "warning",
            Self::Security => "security",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Stable: `E…` errors, `S…` security warnings, `W…` warnings, `I…` suggestions. Never reused or
    /// renumbered.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it says, in a few words.
    pub title: &'static str,
    /// Why it matters and what to do: one paragraph.
    pub explanation: &'static str,
}

/// Every rule, by code.
#[must_use]
pub fn rules() -> &'static [Rule] {
    static ALL: LazyLock<Box<[Rule]>> = LazyLock::new(|| {
        let error = |(code, title): &(&'static str, &'static str)| Rule {
            code,
            severity: Severity::Error,
            title,
            explanation: error_explanation(code).unwrap_or(title),
        };
        let mut all: Vec<Rule> = CODES.iter().map(error).chain(OWN.iter().copied()).collect();
        all.sort_unstable_by_key(|rule| rule.code);
        all.into()
    });
    &ALL
}

/// The rule of a code; letter case does not count.
#[must_use]
pub fn rule(code: &str) -> Option<&'static Rule> {
    rules()
        .iter()
        .find(|rule| rule.code.eq_ignore_ascii_case(code))
}

/// Explanations of the codes in [`CODES`].
fn error_explanation(code: &str) -> Option<&'static str> {
    let found = ERRORS.iter().find(|(known, _)| *known == code)?;
    Some(found.1)
}

macro_rules! own {
    ($($name:ident $code:literal $severity:ident $title:literal: $explanation:literal;)+) => {
        /// A kind of finding that is no error.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Kind { $($name),+ }

        /// In the order of [`Kind`].
        static OWN: &[Rule] = &[$(Rule {
            code: $code,
            severity: Severity::$severity,
            title: $title,
            explanation: $explanation,
        }),+];
    };
}

impl Kind {
    pub(crate) fn rule(self) -> &'static Rule {
        &OWN[self as usize]
    }
}

own! {
    Everyone "S001" Security "an Allow for every authenticated principal":
        "`*` in `Identities` of an Allow accepts every identity of every organisation, by itself: no trust of its own organisation has to allow the access too. Name the identities, or the organisation (`org/<id>`), so that its trusts still decide who of it gets in.";
    Unauthenticated "S002" Security "an Allow for connections without an identity":
        "`unauthenticated` in `Identities` of an Allow lets in whoever reaches the listener, without any credential. That is right for a public cache and for little else: name the few commands and the keys that may be public, and put everything else behind an identity.";
    FullAccess "S003" Security "an Allow of every action on every resource":
        "The statement allows all there is, on everything of the organisation, now and in future: data, credentials, trusts and policies. Whoever carries it is an administrator. Name the service (`kvdb:Execute*`), the resource (`kvdb/<id>`) or both.";
    HandsOutPower "S004" Security "hands out power on more than one identity":
        "Actions that make credentials, trusts, default policy versions, resource policies, tags or boundaries decide what others, and the caller itself, may do. On a pattern that covers many entities, or on the organisation itself, they are a way to become any of them. Name the one entity that is to be administered, or keep the statement for administrators and say so in its `Sid`.";
    LeavesWay "S005" Security "a Deny names one way to an effect and leaves another allowed":
        "The same effect can be had by other commands, and a statement of this document allows them: a key is gone after EXPIRE, RENAME or SET as well as after DEL, a database after FLUSHDB or SWAPDB as well as after FLUSHALL. Deny the effect as a whole: `kvdb:@delete`, `kvdb:@flush`, or every command that is listed.";
    AnyKeyInAllow "S006" Security "`ForAnyValue` on keys or channels in an Allow":
        "`ForAnyValue` holds as soon as one of the command's keys fits: `MGET mine yours` is allowed because of `mine`. In an Allow use a plain operator, which in the native dialect asks for every key, or the field `Keys`.";
    AllKeysInDeny "S007" Security "`ForAllValues` on keys or channels in a Deny":
        "`ForAllValues` holds only if every key of the command fits: one harmless key beside the protected one and the Deny no longer matches. In a Deny use a plain operator, which in the native dialect asks for any key, `ForAnyValue`, or the field `Keys`.";
    VacuousForAllValues "S008" Security "`ForAllValues` in an Allow without a guard against missing values":
        "`ForAllValues` also holds where the request has no value at all, so the Allow matches requests that say nothing about the key. Add `\"Null\": {\"<key>\": \"false\"}` to the same statement, or use a plain operator.";
    CallerChosen "S009" Security "rests on a value that the caller chooses":
        "The client names itself (`CLIENT SETNAME`, user agent, referrer) and may say what it likes, so the condition identifies nobody. Use it to tell well-meaning programs apart, never to decide who may do what.";
    VanishingDeny "S010" Security "a Deny that does not hold where its condition key is missing":
        "The key is not part of every request (multi-factor authentication is not known for access keys, tags may be missing), and a positive operator does not hold where the key is missing: the Deny then does nothing. Write the operator with `IfExists`, or deny by the negated operator, which holds for missing keys too.";
    AnyAddress "S011" Security "an address range that contains every address":
        "`0.0.0.0/0` and `::/0` contain every address of their family: the condition restricts nothing in an Allow and spares nobody in a Deny. Write the networks that are meant, or leave the condition out.";
    ForeignIdentity "S012" Security "an Allow for an identity of another organisation":
        "The identity gets in by this statement alone, whatever its own organisation grants it, and for as long as the statement stands. For work on behalf of others prefer an assumable trust with conditions, and narrow the statement to the commands and keys that are shared.";
    NegatedAllow "S013" Security "an Allow by a negated operator that also holds where the key is missing":
        "A negated operator (`…Not…`, `NotIpAddress`) holds where the request lacks the key, in AWS documents always and elsewhere with `IfExists`: everybody without the value is let in. Add `\"Null\": {\"<key>\": \"false\"}`, or name what is allowed instead of what is not.";
    AllowByExceptions "S014" Security "an Allow of everything but what is listed":
        "`NotAction`, `NotResource` and `NotPrincipal` in an Allow grant all that is not named, what is added to the catalogue later included. Name what is allowed, or allow broadly and deny the exceptions, so that both are seen.";
    AssumableByMany "S015" Security "a role that a whole account or everybody may assume without conditions":
        "The trust document names an account, or `*`, without a condition: every identity there that its own administrators allow may become the role. Name the identity, or ask for an external id (`sts:ExternalId`), a tag or a source address.";
    PassesCondition "S016" Security "conditions that every request meets":
        "The condition excludes no value (`*` as a pattern, a number of at least 0, a date long past): the statement is as if it had none. Write what is meant, or leave the condition out so that nobody relies on it.";
    AclNoPassword "S017" Security "an ACL user that anybody may be":
        "`nopass` accepts every password. Imported as it is, the rules protect nothing on the old server; here the identity gets an access key of its own, so drop the rule when the old server is gone.";
    AclWholeKeyspace "S018" Security "ACL rules with a key restriction that commands without keys do not meet":
        "In ACL rules a key pattern restricts only commands that name keys. `FLUSHALL`, `SCAN`, `KEYS`, `RANDOMKEY`, `DBSIZE` and the like act on or tell of every key whatever the patterns say. Take the listed commands away (`-@dangerous -scan …`), or use a native policy, in which they need `Keys: [\"*\"]` or are filtered.";
    AclScripts "S019" Security "ACL rules that allow scripts":
        "Scripts and functions may reach keys that their call does not declare; the server checks each inner command with the caller's rules, but enumerations and whole-keyspace commands inside are not filtered, and a stored function runs with the rights of whoever calls it. Allow them to trusted programs only (`-@scripting`).";
    AclEverything "S020" Security "an ACL user that may do everything":
        "`+@all` with `~*` gives every command on every key, administration of the server and commands of future versions included. Name categories, and take `@admin` and `@dangerous` away.";
    AclDefaultOpen "S021" Security "an ACL file without a closed `default` user":
        "A server that loads a file without `user default …` makes one that needs no password and may do everything, and every new connection is that user. Write `user default off` (or give it a password and little else).";
    AclAllChannels "S022" Security "ACL rules with a key restriction and every channel":
        "`&*` (and, on servers before 7, rules without any channel pattern) lets the user subscribe to everything: key-event notifications carry key names, so the key restriction tells less than it hides. Write `resetchannels` and the channels that are meant.";
    SetOnSingle "S023" Security "a set operator on a key with one value":
        "`ForAllValues:` and `ForAnyValue:` are for keys of which one request has several values. On a key with one value `ForAllValues:` adds nothing but that it also holds where the value is missing; write the plain operator, with `IfExists` if missing values are meant to pass.";
    PlainOnSeveral "S024" Security "a plain operator on a key with several values, in a vendor's document":
        "In vendors' documents a plain operator on a key with several values matches only requests with exactly one: a Deny on `kvdb:Key` that stops `GET secret` does not stop `MGET secret secret2`. Write `ForAnyValue:` in a Deny and `ForAllValues:` (with `Null`) in an Allow. The native dialect means every key in an Allow and any key in a Deny by the plain operator.";
    Shadowed "W001" Warning "an Allow that a Deny always covers":
        "Deny wins over every Allow, whatever their order. Here a Deny of the same document covers all that the Allow could ever match, so the Allow grants nothing. Remove it, or narrow the Deny.";
    Redundant "W002" Warning "a statement that another one covers":
        "Another statement of the same effect covers every request that this one matches: leaving it out changes nothing. It often remains from an edit, and misleads whoever later narrows one of the two.";
    NeverMatches "W003" Warning "actions that the key fields of the statement never let match":
        "A statement with key fields speaks of keys and channels. A command that touches every key is covered only by the pattern `*`; a command that writes is not covered by `ReadKeys` alone; one with channels needs `Channels`; and a Deny with key fields never meets commands without keys. Move such actions to a statement without these fields, or add the field that they need.";
    Administrative "W004" Warning "administrative commands, which are denied whatever a policy says":
        "Commands that administer the server (CONFIG SET, SHUTDOWN, REPLICAOF, MODULE, DEBUG, …) are refused for every identity unless the operator's configuration permits administration of the backend and `kvdb:SetAdministration` turned it on for the database. The Allow alone gives nothing.";
    AlwaysPossible "W005" Warning "a Deny of commands that are always possible":
        "AUTH, HELLO, QUIT and RESET are possible for every connection, before login too; no policy is asked. To keep somebody out, deny `kvdb:Connect`.";
    WrongResource "W006" Warning "actions that are never decided on these resources":
        "Each action is decided on one kind of resource: commands on `kvdb/<id>`, creating and listing on `org/<id>` (or `**`), trusts on the identity whose power they give away, access keys on the identity that they open. The statement names no resource of that kind, so it never matches for these actions.";
    ResourceWithoutAction "W007" Warning "a resource on which none of the actions is decided":
        "None of the statement's actions is ever decided on a resource of this kind, so the pattern does nothing. Often the action that was meant is missing, or the resource belongs into another statement.";
    ScriptsNeedAll "W008" Warning "scripts under a restriction":
        "Scripts and functions reach keys and commands that their call does not show. They need the whole database: every command that is not administrative, on all keys and channels, without conditions, and no Deny that matches any of it; `FUNCTION LOAD`, `DELETE`, `FLUSH` and `RESTORE` always, the others unless the server can hold an ACL user that is exactly as narrow. Beside key fields or conditions the Allow rarely gives what it seems to.";
    LooksLikeRegex "W009" Warning "a pattern that looks like a regular expression":
        "Patterns are the server's globs: `*` is any run of characters, `?` one, `[ab]` one of a set, `\\` takes the next character literally. `.*`, `^`, `$`, `\\d`, `+` and `|` mean nothing special, so the pattern matches other keys than it seems to, mostly none.";
    OuterSpace "W010" Warning "a value that begins or ends with white space":
        "Keys, channels and values are compared byte by byte: white space at either end is part of the pattern, and nothing will match that lacks it. Remove it if it came in by copying.";
    EmptyDocument "W011" Warning "a document without statements":
        "A document without statements allows nothing and denies nothing. As a boundary, a guardrail or a session policy it takes everything away, since there one document must allow.";
    Expired "W012" Warning "a date condition that is over":
        "The dates of the condition are past: the statement will never match again, or matches always from now on. Remove the statement, or renew the date.";
    Unsatisfiable "W013" Warning "conditions that no request can meet":
        "All conditions of a statement must hold at once, and here two of them exclude each other, or one asks for what cannot be: the statement never matches. An Allow gives nothing; a Deny protects nothing.";
    NeverHasKey "W014" Warning "a condition on a key that the actions never have":
        "The value is part of some requests only: a time to live of commands that can set one, keys of commands that name keys, database facts of commands. None of the statement's actions has it, so a positive condition never holds and the statement never matches (a negated one, or one with `IfExists`, always holds).";
    WildcardWithoutLike "W015" Warning "a wildcard in a value that is compared literally":
        "`StringEquals`, `StringNotEquals` and their `IgnoreCase` forms compare `*` and `?` as ordinary characters. Use `StringLike` or `StringNotLike` if a pattern is meant.";
    NegatedIfExists "W016" Warning "`IfExists` on an operator that holds for missing keys anyway":
        "In AWS documents, and in a Deny of every dialect, a negated operator already holds where the key is missing; `IfExists` changes nothing there and makes the reader think it does. Use the plain operator, or add `Null` if missing keys are to be excluded.";
    CatalogueGrew "W017" Warning "an action set or wildcard that has grown since the policy was written":
        "Action sets and wildcards mean all actions of the catalogue that they name. Newer catalogues have more of them, so the statement speaks of actions that its author could not know. Look at the list, and write the policy anew to say that it is meant.";
    TypeMismatch "W018" Warning "an operator that does not fit the type of its key":
        "The key holds a value of another type than the operator compares: text compared as a number, an address as text, a date as text. Such a comparison seldom holds, or holds for the wrong reason. Use the operator of the key's type.";
    DuplicateValue "I001" Suggestion "an element that another element of the same list covers":
        "The list names the same thing twice, or something that another pattern of it already covers. Leaving the element out changes nothing.";
    AllOfType "I002" Suggestion "`<type>/*` where one id might do":
        "The pattern covers every entity of the type, those that will be made later included. If the statement is meant for one or a few, name them.";
    AllResources "I003" Suggestion "`**` where a type or an id might do":
        "`**` covers the organisation itself and everything below it, though the actions of the statement are decided on one type of resource only. Name the type (`kvdb/*`) or better the entity (`kvdb/<id>`), so that an action that is added later does not reach further than meant.";
    BroadActions "I004" Suggestion "an action wildcard that covers data and administration":
        "`*` and `kvdb:*` cover the commands of clients and also creating, deleting, restoring and redirecting databases. Programs that only use a database need `kvdb:Execute*`, or narrower sets as `kvdb:@read` and `kvdb:@write`.";
    EveryKey "I005" Suggestion "key fields that restrict nothing":
        "`*` among `Keys` covers every key. Without any key field a statement speaks of all keys and all channels; with `Keys: [\"*\"]` it still has no channels unless `Channels` names them.";
    PartlyUnderKeys "I006" Suggestion "an action set of which some commands never match under the key fields":
        "The set holds commands that touch every key (FLUSHALL, FLUSHDB, SWAPDB, FUNCTION LOAD, …) or reach undeclared ones (scripts). Under a key restriction they are not granted, which is mostly what is wanted. It is said so that nobody expects otherwise.";
    DenyLeavesUnused "I007" Suggestion "a Deny names one way to an effect; nothing here allows the others":
        "The same effect can be had by other commands. No statement of this document allows them, but another policy of the same identity may. A Deny that is to hold whatever else is granted should name the effect as a whole: `kvdb:@delete`, `kvdb:@flush`, or every command that is listed.";
    HostBits "I008" Suggestion "an address range with bits outside its prefix":
        "The bits behind the prefix length are ignored: `10.1.2.3/8` means `10.0.0.0/8`. Write the network address, or the prefix length that was meant.";
    CaseSlip "I009" Suggestion "elements that differ only in letter case":
        "Keys, channels and most values are compared with regard to letter case. Two elements that differ in nothing else are often one with a typing error.";
    Implied "I010" Suggestion "an action that is implied":
        "`kvdb:Connect` comes with any allowed command, and what clients send as a matter of course (PING, SELECT, COMMAND, CLIENT SETINFO, MULTI, EXEC, …) needs only that. Listing them changes nothing in an Allow.";
    NotCompared "I011" Suggestion "the document is too large to compare every statement with every other":
        "Looking for statements that cover each other, and listing what was found, is bounded so that an answer comes within a second. What is listed holds; there may be more. Split the document.";
    MissingVersion "W019" Warning "an AWS document without a version, or of the old one":
        "Without `Version`, and with 2008-10-17, `${…}` is plain text and no variable. Write `\"Version\": \"2012-10-17\"` unless the old reading is meant.";
    VariableIgnored "W020" Warning "a variable that is read as plain text":
        "In this document, or in this place, `${…}` is no variable but text, so the pattern matches only what literally contains it. Variables need version 2012-10-17 in AWS documents, stand behind the fifth colon of an ARN and in values of String and Arn operators; Alibaba documents have none.";
    EmptySid "I012" Suggestion "an empty `Sid`":
        "An empty `Sid` names nothing. Give the statement a name that explanations and audit records can show, or leave the element out.";
    EmptyList "I013" Suggestion "an empty list or object":
        "An empty list of actions, resources, principals or values makes the statement match nothing, and an empty `Condition` restricts nothing. Fill it or leave it out.";
    OperationLevel "W021" Warning "an operation that is authorised only on `*`":
        "The vendor decides this operation without a resource: a statement that names resources never grants it. Put the action into a statement of its own with resource `*`.";
    ForeignAction "W022" Warning "an action that has no meaning here":
        "The service is none that Keyward answers for, or the service has no operation of that name: the action never occurs in a request. Check the spelling; nothing is wrong if the document also serves other parts of the vendor's cloud.";
    ForeignResource "W023" Warning "a resource that no request here has":
        "The service, the type or the form of the resource is none that a request of Keyward is rendered to, so the pattern never matches. Databases are `replicationgroup:`, `serverlesscache:`, `cluster:` (AWS), `instance/` (Tencent, Alibaba).";
    UnknownConditionKey "W024" Warning "a condition key that no request here has":
        "Keyward does not fill in this key, so a request never has it: a positive operator never holds, a negated one always (AWS). Check the spelling and the case, or leave the condition to the vendor's cloud.";
    SizeQuota "I014" Suggestion "longer than the vendor accepts":
        "The vendor limits policies by their characters without white space (AWS: 6,144 of a managed policy, 2,048 of a trust policy; Alibaba: 6,144). Keyward reads it, but it cannot be carried back.";
    Outdated "W025" Warning "an element that the vendor no longer documents":
        "The vendor replaced it, or lists it only in older copies of its reference. It is read as it was documented; prefer the current form.";
    ConnectNeedsBoth "W026" Warning "`elasticache:Connect` without the cache or without the user":
        "Connecting is decided on two resources at once, the cache (`replicationgroup:` or `serverlesscache:`) and the user (`user:`). The statements of this document allow it on one of them only, so nobody gets in by it.";
    ForeignPrincipal "W027" Warning "a principal that nobody here is":
        "No request here is made by a service of the vendor, by a canonical user, or by a provider by itself: the statement speaks of nobody. Whoever comes with a token of a provider is let in by an assumable trust in that provider; for the rest name an identity, a role or an account.";
    RefusedTrust "W028" Warning "a role's trust document that the vendor would not take":
        "A trust document has no resource, since it is about the role that it stands on; who has credentials assumes a role by `sts:AssumeRole`, who comes with a token by `sts:AssumeRoleWithWebIdentity` or `sts:AssumeRoleWithSAML`. An action that its principals never use lets nobody in.";
    PartialServiceWildcard "I015" Suggestion "a wildcard in the name of a service":
        "A wildcard before the colon covers services that nobody thought of. Name the service.";
    NotOffered "I016" Suggestion "an operation of the vendor that is not offered here":
        "The vendor has the operation, Keyward has none like it: the action never occurs in a request here. Nothing is wrong with it in a document that also serves the vendor's cloud.";
}

/// Explanations of errors, by code.
static ERRORS: &[(&str, &str)] = &[
    (
        "E001",
        "A document is JSON as RFC 8259 has it: names and texts in double quotes, no comments, no comma before a closing bracket, UTF-8 without a byte order mark. Nothing after the place is read, so there may be more to find once this is repaired.",
    ),
    (
        "E002",
        "A document has at most 1 MiB. Split it into several policies; an identity may carry many.",
    ),
    (
        "E003",
        "Policies are shallow: nothing in the language needs more than a handful of levels. Deeper nesting is refused so that reading it costs no stack.",
    ),
    (
        "E004",
        "Parsers differ in which of two members of the same name they take, so such a document could mean one thing to whoever reviews it and another to the engine. Remove one of them.",
    ),
    (
        "E005",
        "An object needs a `Version` that tells its dialect: `keyward-1` (native), `2012-10-17` or `2008-10-17` (AWS), `2.0` (Tencent), `1` (Alibaba). A bare array of statements is native.",
    ),
    (
        "E006",
        "The document is of a dialect that is not read in this place. Give `--dialect`, or write it in one that is.",
    ),
    (
        "E007",
        "An early form of native policies was one object with lower-case fields and resources such as `kvdb:*`. Write an array of statements with `Effect`, `Actions` and `Resources`, and resources as `kvdb/*`.",
    ),
    (
        "E008",
        "The field takes a value of another type: fields with several values take arrays, also for one value. The message tells what is expected.",
    ),
    (
        "E009",
        "Unknown fields are errors and not ignored, since a misspelt `Conditions` or `Keys` would leave the statement without its restriction. The message has the nearest names.",
    ),
    (
        "E010",
        "The field is required. A statement has `Effect`, `Actions`, and `Resources` (or `Identities` in a resource policy).",
    ),
    (
        "E011",
        "An empty array could be read as nothing or as everything, so it is refused. Name something, or leave the field out.",
    ),
    (
        "E012",
        "`Effect` is exactly `Allow` or `Deny`; letter case counts.",
    ),
    (
        "E013",
        "Actions are `<service>:<Name>` of the catalogue, a prefix with one `*` at the end, or an action set (`kvdb:@read`); letter case counts. What names nothing would silently allow or deny nothing. The message has the nearest names; `keyward commands` lists all.",
    ),
    (
        "E014",
        "A resource is `<type>/<id>`, `<type>/*` for every one of a type, or `**` for everything of the organisation, also as a full path (`org/<id>/…`). `*` stands for exactly one whole id.",
    ),
    (
        "E015",
        "`Identities` names who can act: `programmatic_identity/<id>`, `group/<id>`, `role/<id>`, `org_user/<id>`, `user/<id>`, `org/<id>`, `*` or `unauthenticated`. Access keys are credentials and never act.",
    ),
    (
        "E016",
        "Key and channel patterns are the server's globs, bounded in length and in the number of `*` so that matching stays fast, and without ranges that servers read differently.",
    ),
    (
        "E017",
        "A `Sid` names one statement in explanations and audit records: give each its own.",
    ),
    (
        "E018",
        "This part of the language is known but not read here yet. The document is refused rather than read without it.",
    ),
    (
        "E019",
        "`Keys`, `ReadKeys`, `WriteKeys` and `Channels` speak of what a command touches. None of the statement's actions is a command (`kvdb:Execute…`), so the fields could only mislead.",
    ),
    (
        "E020",
        "An Allow for `*` or `unauthenticated` may speak of `kvdb:` actions only: nobody may be let into the control plane without a name.",
    ),
    (
        "E021",
        "`org/*` speaks of every organisation. Only a Deny may: nobody can allow access to what another organisation owns.",
    ),
    (
        "E022",
        "Reading stops after 250 findings. Repair those that are listed and check again.",
    ),
    (
        "E023",
        "A `Sid` has 1 to 256 bytes. Leave the field out if the statement needs no name.",
    ),
    (
        "E024",
        "The rules of an ACL user are read as the server reads them, and what a server refuses is refused here: unknown commands and categories, malformed patterns and hashes, a pattern after `~*` or `&*`. The message repeats the rule.",
    ),
    (
        "E025",
        "Operators are those of the dialect, letter case included, with `IfExists` behind and `ForAllValues:` or `ForAnyValue:` before, where the dialect has them; in native documents the operator must compare what the key holds. The message has the nearest names.",
    ),
    (
        "E026",
        "A condition key that is not in the catalogue would never be part of a request, and its condition would silently hold always or never. Native keys are `keyward:…` and `kvdb:…`; letter case counts. The message has the nearest names.",
    ),
    (
        "E027",
        "The value is none that the operator can compare with: a number, a date (ISO 8601 or seconds since 1970), an address or a network, `true` or `false`, base64.",
    ),
    (
        "E028",
        "Variables are `${<condition key>}` or `${<condition key>, 'default'}`, in resources, keys, channels and values of operators that compare text; `${*}`, `${?}` and `${$}` stand for these characters. They speak of who asks, from where and of what, not of the command's own keys and arguments.",
    ),
    (
        "E029",
        "The vendor takes only some characters in a policy (AWS: tab, line ends and U+0020 to U+00FF). A document with others could not have come from there.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_explained() {
        for (code, _) in CODES {
            assert!(
                error_explanation(code).is_some(),
                "{code} has no explanation: add one to `ERRORS` in check/rules.rs, and a case to corpus/check"
            );
        }
        for rule in rules() {
            let first = rule.code.chars().next();
            let expected = match rule.severity {
                Severity::Error => 'E',
                Severity::Security => 'S',
                Severity::Warning => 'W',
                Severity::Suggestion => 'I',
            };
            assert_eq!(first, Some(expected), "{}", rule.code);
            assert!(rule.explanation.ends_with('.'), "{}", rule.code);
            assert!(!rule.explanation.contains('\n'), "{}", rule.code);
        }
    }

    #[test]
    fn codes_are_unique_and_dense() {
        for letter in ["E", "I", "S", "W"] {
            let codes: Vec<&str> = rules()
                .iter()
                .map(|rule| rule.code)
                .filter(|code| code.starts_with(letter))
                .collect();
            let expected: Vec<String> = (1..=codes.len())
                .map(|number| format!("{letter}{number:03}"))
                .collect();
            assert_eq!(codes, expected);
        }
        assert_eq!(rule("w001").map(|rule| rule.code), Some("W001"));
        assert_eq!(rule("W999"), None);
    }
}
