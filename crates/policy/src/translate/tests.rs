use keyward_commands::ActionId;
use proptest::prelude::*;

use super::*;
use crate::condition::{ConditionKey, Fact};
use crate::facts::{Facts, Found, ListedFacts, touched};
use crate::vendor::{render, tencent_operator};
use crate::{ChannelUse, Effect, KeyUse, Match, Touch, Value, read_as};

const DIALECTS: [Dialect; 4] = [
    Dialect::Native,
    Dialect::Aws,
    Dialect::Tencent,
    Dialect::Alibaba,
];

fn policy(dialect: Dialect, text: &str) -> Policy {
    read_as(Some(dialect), text, PolicyKind::Identity, "test")
        .unwrap_or_else(|findings| panic!("{dialect} {text}\n{findings}"))
}

/// Facts of one request: what it touches, and the rest.
struct Known<'a> {
    touch: Touch<'a>,
    listed: &'a ListedFacts,
    /// The resource's tag `env`, as Tencent has it.
    pairs: Vec<Vec<u8>>,
}

impl Facts for Known<'_> {
    fn find(&self, key: &ConditionKey) -> Found<'_> {
        match key.fact() {
            fact if fact.is_of_touch() => touched(fact, &self.touch),
            Fact::ResourceTagPairs if self.pairs.is_empty() => Found::Absent,
            Fact::ResourceTagPairs => Found::Texts(&self.pairs),
            // Natively a permanent key has no second factor; for vendors it has not even that.
            Fact::MultiFactorAuthPresent if key.dialect() == Dialect::Native => {
                match self.listed.find(key) {
                    Found::Absent => Found::One(Value::Boolean(false)),
                    found => found,
                }
            }
            _ => self.listed.find(key),
        }
    }

    fn is_enumeration(&self) -> bool {
        self.touch.is_enumeration()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Silent,
    Allow,
    Deny,
}

/// What a document by itself says of a native request.
fn says(
    policy: &Policy,
    action: ActionId,
    path: &str,
    touch: &Touch<'_>,
    listed: &ListedFacts,
) -> Said {
    let touch = match touch {
        Touch::None => Touch::of_action(action),
        touch => *touch,
    };
    let env = ConditionKey::new(Dialect::Native, "keyward:ResourceTag/env");
    let pair = |value: &Vec<u8>| [b"env&", &value[..]].concat();
    let facts = Known {
        touch,
        listed,
        pairs: listed
            .values(&env)
            .into_iter()
            .flatten()
            .map(pair)
            .collect(),
    };
    let said = |matches: &dyn Fn(&crate::Statement) -> bool| {
        let any = |effect| {
            policy
                .statements()
                .iter()
                .any(|s| s.effect == effect && matches(s))
        };
        match (any(Effect::Deny), any(Effect::Allow)) {
            (true, _) => Said::Deny,
            (_, true) => Said::Allow,
            _ => Said::Silent,
        }
    };
    if policy.dialect() == Dialect::Native {
        return said(&|s| s.matches(action, path, &facts.touch, &facts) == Match::Full);
    }
    let mut names = TranslationNames::default();
    if !path.starts_with("org/test") {
        names.account = "999999999999".into();
    }
    let place = names.place(policy.dialect());
    let mut all = Said::Allow;
    for request in render(policy.dialect(), action, path, &place) {
        match said(&|s| s.matches_vendor(&request, "123456789012", &facts) == Match::Full) {
            Said::Deny => return Said::Deny,
            Said::Silent => all = Said::Silent,
            Said::Allow => {}
        }
    }
    all
}

fn key(key: &'static [u8], reads: bool, writes: bool) -> KeyUse<'static> {
    KeyUse { key, reads, writes }
}

/// What a request says beside what it touches.
type Context = Vec<(String, Vec<Vec<u8>>)>;

fn fact(name: &str, values: &[&str]) -> (String, Vec<Vec<u8>>) {
    let values = values.iter().map(|value| value.as_bytes().to_vec());
    (name.to_owned(), values.collect())
}

fn contexts() -> [Context; 4] {
    [
        vec![],
        vec![
            fact("keyward:SourceIp", &["10.0.0.1"]),
            fact("keyward:SecureTransport", &["true"]),
            fact("keyward:CurrentTime", &["2026-06-01T00:00:00Z"]),
            fact("keyward:ResourceTag/env", &["prod"]),
            fact("kvdb:Count", &["10"]),
            fact("keyward:MultiFactorAuthPresent", &["true"]),
        ],
        vec![
            fact("keyward:SourceIp", &["192.0.2.1"]),
            fact("keyward:SecureTransport", &["false"]),
            fact("keyward:CurrentTime", &["2036-06-01T00:00:00Z"]),
            fact("keyward:ResourceTag/env", &["test"]),
            fact("keyward:PrincipalTag/team", &["a"]),
            fact("kvdb:Count", &["1000"]),
            fact("keyward:MultiFactorAuthPresent", &["false"]),
        ],
        vec![fact("keyward:ResourceTag/env", &[""])],
    ]
}

/// Every request that the tests ask: they must allow no more than before, and deny no less.
fn compare(
    before: &Policy,
    after: &Translated,
    to: Dialect,
    contexts: &[Context],
) -> Result<(), TestCaseError> {
    let translated = policy(to, &after.text);
    let read = [key(b"a:1", true, false)];
    let two = [key(b"a:1", true, false), key(b"b:1", true, false)];
    let write = [key(b"b:1", false, true)];
    let both = [key(b"a:1", true, true)];
    let news = [ChannelUse {
        channel: b"a:news",
        pattern: false,
    }];
    let keys = |keys| Touch::Named {
        keys,
        channels: &[],
    };
    let of_action = Touch::None;
    let asked: Vec<(&str, Touch<'_>)> = vec![
        ("kvdb:ExecuteGet", keys(&read)),
        ("kvdb:ExecuteMget", keys(&two)),
        ("kvdb:ExecuteSet", keys(&write)),
        ("kvdb:ExecuteGetdel", keys(&both)),
        ("kvdb:ExecuteFlushall", of_action),
        ("kvdb:ExecuteScan", of_action),
        ("kvdb:ExecuteTime", Touch::Keyless),
        (
            "kvdb:ExecutePublish",
            Touch::Named {
                keys: &[],
                channels: &news,
            },
        ),
    ];
    let control = [
        "kvdb:Connect",
        "kvdb:Describe",
        "kvdb:Update",
        "kvdb:Delete",
        "kvdb:SetBackend",
        "iam:TagDatabase",
    ];
    let organisation = [
        "kvdb:List",
        "kvdb:Create",
        "iam:CreateRole",
        "iam:ListRole",
        "org:Describe",
        "iam:CreateTrust",
    ];
    let others = [
        ("iam:CreateAccessKey", "programmatic_identity/p"),
        ("iam:CreateAccessKey", "programmatic_identity/q"),
        ("iam:DescribeOrgUser", "org_user/p"),
        ("sts:AssumeRole", "role/r"),
        ("sts:AssumeRole", "role/s"),
        ("iam:AcceptTrust", "role/r"),
    ];
    let mut cases: Vec<(&str, String, Touch<'_>)> = Vec::new();
    for path in ["org/test/kvdb/x", "org/test/kvdb/y", "org/other/kvdb/x"] {
        cases.extend(
            asked
                .iter()
                .map(|(action, touch)| (*action, path.to_owned(), *touch)),
        );
        cases.extend(
            control
                .iter()
                .map(|action| (*action, path.to_owned(), Touch::None)),
        );
    }
    cases.extend(
        organisation
            .iter()
            .map(|action| (*action, "org/test".to_owned(), Touch::None)),
    );
    cases.extend(
        others
            .iter()
            .map(|(action, path)| (*action, format!("org/test/{path}"), Touch::None)),
    );
    for listed in contexts {
        let listed = ListedFacts::new(Dialect::Native, listed.clone());
        for (action, path, touch) in &cases {
            let action = keyward_commands::action(action).unwrap();
            let was = says(before, action, path, touch, &listed);
            let is = says(&translated, action, path, touch, &listed);
            let wider =
                is == Said::Allow && was != Said::Allow || was == Said::Deny && is != Said::Deny;
            prop_assert!(
                !wider,
                "wider: {} on {path} was {was:?} and is {is:?} {listed:?}\n{}\n{}",
                action.name(),
                before.text(),
                after.text
            );
            // An Allow of `*` natively ends with the organisation.
            let own = path.starts_with("org/test");
            prop_assert!(
                !after.losses.is_empty() || was == is || !own,
                "not faithful: {} on {path} was {was:?} and is {is:?} {listed:?}\n{}\n{}",
                action.name(),
                before.text(),
                after.text
            );
        }
    }
    Ok(())
}

const NATIVE_ACTIONS: &[&str] = &[
    "kvdb:ExecuteGet",
    "kvdb:ExecuteSet",
    "kvdb:Execute*",
    "kvdb:ExecuteG*",
    "kvdb:@read",
    "kvdb:@dangerous",
    "kvdb:*",
    "*",
    "kvdb:Connect",
    "kvdb:Describe",
    "kvdb:List",
    "kvdb:Create",
    "kvdb:Update",
    "kvdb:Delete",
    "iam:CreateAccessKey",
    "sts:AssumeRole",
    "kvdb:ExecuteFlushall",
    "kvdb:ExecuteTime",
    "kvdb:ExecutePublish",
    "iam:*",
    "iam:CreateRole",
    "iam:CreateTrust",
    "kvdb:SetBackend",
];
const NATIVE_RESOURCES: &[&str] = &[
    "kvdb/x",
    "kvdb/*",
    "**",
    "org/test",
    "role/r",
    "programmatic_identity/p",
    "programmatic_identity/*",
    "role/*",
    "kvdb/x/snapshot/s",
    "org/test/kvdb/y",
];
const NATIVE_FIELDS: &[&str] = &[
    "",
    "",
    "",
    r#","Keys":["a:*"]"#,
    r#","Keys":["*"]"#,
    r#","Keys":["a:*","x?"]"#,
    r#","ReadKeys":["a:*"],"WriteKeys":["b:*"]"#,
    r#","Channels":["a:*"]"#,
    r#","Keys":["b:*"],"Channels":["*"]"#,
];
const NATIVE_CONDITIONS: &[&str] = &[
    "",
    "",
    "",
    r#","Conditions":{"IpAddress":{"keyward:SourceIp":"10.0.0.0/8"}}"#,
    r#","Conditions":{"NotIpAddress":{"keyward:SourceIp":"10.0.0.0/8"}}"#,
    r#","Conditions":{"Bool":{"keyward:SecureTransport":"true"}}"#,
    r#","Conditions":{"Bool":{"keyward:MultiFactorAuthPresent":"true"}}"#,
    r#","Conditions":{"Bool":{"keyward:MultiFactorAuthPresent":"false"}}"#,
    r#","Conditions":{"DateLessThan":{"keyward:CurrentTime":"2030-01-01T00:00:00Z"}}"#,
    r#","Conditions":{"NumericLessThanIfExists":{"kvdb:Count":"100"}}"#,
    r#","Conditions":{"StringNotEquals":{"keyward:ResourceTag/env":["prod","dev"]}}"#,
    r#","Conditions":{"StringEquals":{"keyward:ResourceTag/env":["prod","dev"]}}"#,
    r#","Conditions":{"StringLike":{"kvdb:Key":"a:*"}}"#,
    r#","Conditions":{"GlobNotLike":{"kvdb:Key":"a:*"}}"#,
    r#","Conditions":{"Null":{"keyward:ResourceTag/env":"true"}}"#,
    r#","Conditions":{"StringEquals":{"keyward:PrincipalTag/team":"a"}}"#,
    r#","Conditions":{"ForAnyValue:StringLike":{"kvdb:ReadKey":"a:*"}}"#,
];

fn pick(list: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(list)
}

fn quoted_list(list: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::collection::vec(pick(list), 1..4).prop_map(|items| {
        let items: Vec<String> = items.iter().map(|item| format!("\"{item}\"")).collect();
        items.join(",")
    })
}

fn native_document() -> impl Strategy<Value = String> {
    let statement = (
        pick(&["Allow", "Allow", "Deny"]),
        quoted_list(NATIVE_ACTIONS),
        quoted_list(NATIVE_RESOURCES),
        pick(NATIVE_FIELDS),
        pick(NATIVE_CONDITIONS),
    )
        .prop_map(|(effect, actions, resources, fields, conditions)| {
            format!(
                r#"{{"Effect":"{effect}","Actions":[{actions}],"Resources":[{resources}]{fields}{conditions}}}"#
            )
        });
    prop::collection::vec(statement, 1..3)
        .prop_map(|statements| format!("[{}]", statements.join(",")))
}

const VENDOR_ACTIONS: [&[&str]; 3] = [
    &[
        "kvdb:ExecuteGet",
        "kvdb:executeset",
        "kvdb:Execute*",
        "kvdb:*Get*",
        "kvdb:*",
        "*",
        "elasticache:*",
        "elasticache:Connect",
        "elasticache:DescribeReplicationGroups",
        "elasticache:ModifyReplicationGroup",
        "elasticache:Describe*",
        "iam:CreateAccessKey",
        "sts:AssumeRole",
        "iam:*",
        "s3:GetObject",
        "iam:CreateRole",
        "elasticache:CreateReplicationGroup",
        "iam:*AccessKey*",
        "*:List*",
        "kvdb:SetBackend",
        "iam:AttachUserPolicy",
    ],
    &[
        "kvdb:ExecuteGet",
        "name/kvdb:Execute*",
        "kvdb:*",
        "*",
        "redis:*",
        "redis:DescribeInstances",
        "redis:ModifyInstance",
        "redis:CreateInstances",
        "redis:DestroyPostpaidInstance",
        "sts:AssumeRole",
        "cam:CreateAccessKey",
        "cam:*",
        "kvdb:Connect",
        "cos:GetObject",
        "redis:ClearInstance",
    ],
    &[
        "kvdb:ExecuteGet",
        "kvdb:Execute*",
        "kvdb:*",
        "*",
        "kvstore:*",
        "kvstore:DescribeInstances",
        "kvstore:DescribeInstanceAttribute",
        "kvstore:ModifyInstance*",
        "kvstore:DeleteInstance",
        "sts:AssumeRole",
        "ram:CreateAccessKey",
        "ram:*",
        "kvdb:Connect",
        "oss:GetObject",
        "kvstore:FlushInstance",
    ],
];
const VENDOR_RESOURCES: [&[&str]; 3] = [
    &[
        "*",
        "arn:aws:elasticache:*:123456789012:replicationgroup:x",
        "arn:aws:elasticache:us-east-1:123456789012:*",
        "arn:aws:elasticache:*:*:replicationgroup:*",
        "arn:aws:elasticache:eu-west-1:123456789012:replicationgroup:x",
        "arn:aws:elasticache:*:123456789012:user:*",
        "arn:aws:elasticache:*:999999999999:replicationgroup:x",
        "arn:aws:elasticache:*:123456789012:replicationgroup:x*",
        "arn:aws:iam::123456789012:role/r",
        "arn:aws:iam::123456789012:user/*",
        "arn:aws:iam::123456789012:user/p",
        "arn:aws:iam::123456789012:*",
    ],
    &[
        "*",
        "qcs::redis:::instance/x",
        "qcs::redis::uin/123456789012:instance/*",
        "qcs::redis:gz::instance/x",
        "qcs::redis:bj::instance/x",
        "qcs::::uin/123456789012:*",
        "qcs::cam::uin/123456789012:roleName/r",
        "qcs::cam::uin/123456789012:uin/*",
        "qcs::redis::uin/999999999999:instance/x",
        "qcs::redis:::instance/x*",
    ],
    &[
        "*",
        "acs:kvstore:*:123456789012:instance/x",
        "acs:kvstore:*:*:instance/*",
        "acs:kvstore:cn-hangzhou:123456789012:*",
        "acs:kvstore:cn-beijing:123456789012:instance/x",
        "acs:*:*:123456789012:*",
        "acs:ram::123456789012:role/r",
        "acs:ram:*:123456789012:user/*",
        "acs:kvstore:*:999999999999:instance/x",
        "acs:kvstore:*:123456789012:instance/?",
    ],
];
const VENDOR_CONDITIONS: [&[&str]; 3] = [
    &[
        "",
        "",
        "",
        r#","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#,
        r#","Condition":{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#,
        r#","Condition":{"BoolIfExists":{"aws:SecureTransport":"false"}}"#,
        r#","Condition":{"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}}"#,
        r#","Condition":{"Bool":{"aws:MultiFactorAuthPresent":["true","false"]}}"#,
        r#","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}"#,
        r#","Condition":{"StringNotEquals":{"aws:ResourceTag/env":"prod"}}"#,
        r#","Condition":{"StringEquals":{"aws:PrincipalTag/team":"a"}}"#,
        r#","Condition":{"StringLike":{"KVDB:key":"a:*"}}"#,
        r#","Condition":{"ForAllValues:StringLike":{"kvdb:Key":"a:*"}}"#,
        r#","Condition":{"Null":{"aws:ResourceTag/env":"false"}}"#,
        r#","Condition":{"NumericLessThan":{"kvdb:Count":100}}"#,
    ],
    &[
        "",
        "",
        "",
        r#","condition":{"ip_equal":{"qcs:ip":"10.0.0.0/8"}}"#,
        r#","condition":{"ip_not_equal":{"qcs:ip":"10.0.0.0/8"}}"#,
        r#","condition":{"ip_not_equal_if_exist":{"qcs:ip":"10.0.0.0/8"}}"#,
        r#","condition":{"for_any_value:string_equal":{"qcs:resource_tag":["env&prod","env&dev"]}}"#,
        r#","condition":{"for_any_value:string_equal":{"qcs:resource_tag":["env&prod","x&y"]}}"#,
        r#","condition":{"date_less_than":{"qcs:current_time":"2030-01-01 00:00:00"}}"#,
        r#","condition":{"string_like":{"kvdb:Key":"a:*"}}"#,
        r#","condition":{"string_equal":{"qcs:create_uin":"1"}}"#,
    ],
    &[
        "",
        "",
        "",
        r#","Condition":{"IpAddress":{"acs:SourceIp":"10.0.0.0/8"}}"#,
        r#","Condition":{"NotIpAddress":{"acs:SourceIp":"10.0.0.0/8"}}"#,
        r#","Condition":{"Bool":{"acs:SecureTransport":"true"}}"#,
        r#","Condition":{"Bool":{"acs:MFAPresent":"true"}}"#,
        r#","Condition":{"Bool":{"acs:MFAPresent":"false"}}"#,
        r#","Condition":{"StringNotEquals":{"acs:ResourceTag/env":"prod"}}"#,
        r#","Condition":{"StringLike":{"kvdb:Key":"a:*"}}"#,
        r#","Condition":{"StringNotLike":{"kvdb:Key":["a:*","c:*"]}}"#,
        r#","Condition":{"StringLike":{"acs:PrincipalARN":"acs:ram::*:user/ci"}}"#,
    ],
];

fn vendor_document(at: usize) -> impl Strategy<Value = String> {
    let lower = at == 1;
    let statement = (
        pick(&["Allow", "Allow", "Deny"]),
        pick(&["Action", "Action", "Action", "NotAction"]),
        quoted_list(VENDOR_ACTIONS[at]),
        quoted_list(VENDOR_RESOURCES[at]),
        pick(VENDOR_CONDITIONS[at]),
    )
        .prop_map(move |(effect, action, actions, resources, condition)| {
            if lower {
                let effect = effect.to_lowercase();
                return format!(
                    r#"{{"effect":"{effect}","action":[{actions}],"resource":[{resources}]{condition}}}"#
                );
            }
            format!(
                r#"{{"Effect":"{effect}","{action}":[{actions}],"Resource":[{resources}]{condition}}}"#
            )
        });
    prop::collection::vec(statement, 1..3).prop_map(move |statements| {
        let statements = statements.join(",");
        match at {
            0 => format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#),
            1 => format!(r#"{{"version":"2.0","statement":[{statements}]}}"#),
            _ => format!(r#"{{"Version":"1","Statement":[{statements}]}}"#),
        }
    })
}

/// Keys of a dialect with operators and values that fit them.
type KeyRow = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

const TEXTS: &[&str] = &[
    "prod", "Prod", "p*", "*", "", "pro?", "a", "test", "prod&x", "[p]rod", "a\\\\*", "${*}",
];
const PATTERNS: &[&str] = &[
    "a:*", "*", "b:1", "", "a:?", "A:*", "a:1", "[ab]:*", "a:\\\\*",
];
const MOMENTS: &[&str] = &[
    "2030-01-01T00:00:00Z",
    "2026-06-01T00:00:00Z",
    "2026-06-01T08:00:00+08:00",
];
const NETWORKS: &[&str] = &[
    "10.0.0.0/8",
    "10.0.0.1",
    "::/0",
    "2001:db8::/32",
    "0.0.0.0/0",
];
const NUMBERS: &[&str] = &["100", "10", "10.0", "1e1", "0"];
const TRUTHS: &[&str] = &["true", "false"];
const TEXT_OPERATORS: &[&str] = &[
    "StringEquals",
    "StringNotEquals",
    "StringLike",
    "StringNotLike",
    "StringEqualsIgnoreCase",
    "StringNotEqualsIgnoreCase",
    "Null",
];
const GLOB_OPERATORS: &[&str] = &[
    "GlobLike",
    "GlobNotLike",
    "StringLike",
    "StringNotLike",
    "StringEquals",
    "StringNotEquals",
    "StringEqualsIgnoreCase",
    "Null",
];
const MOMENT_OPERATORS: &[&str] = &[
    "DateLessThan",
    "DateGreaterThanEquals",
    "DateEquals",
    "DateNotEquals",
    "StringEquals",
    "Null",
];
const NETWORK_OPERATORS: &[&str] = &["IpAddress", "NotIpAddress", "StringLike", "Null"];
const NUMBER_OPERATORS: &[&str] = &[
    "NumericLessThan",
    "NumericGreaterThanEquals",
    "NumericEquals",
    "NumericNotEquals",
    "StringNotEquals",
    "Null",
];
const TRUTH_OPERATORS: &[&str] = &["Bool", "StringEquals", "StringNotEquals", "Null"];

/// Those of native documents, AWS's, Tencent's and Alibaba's.
const CONDITION_KEYS: [&[KeyRow]; 4] = [
    &[
        ("keyward:SourceIp", NETWORK_OPERATORS, NETWORKS),
        ("keyward:SecureTransport", TRUTH_OPERATORS, TRUTHS),
        ("keyward:CurrentTime", MOMENT_OPERATORS, MOMENTS),
        ("keyward:ResourceTag/env", TEXT_OPERATORS, TEXTS),
        ("keyward:PrincipalTag/team", TEXT_OPERATORS, TEXTS),
        ("keyward:TagKeys", TEXT_OPERATORS, TEXTS),
        ("kvdb:Count", NUMBER_OPERATORS, NUMBERS),
        ("kvdb:Key", GLOB_OPERATORS, PATTERNS),
        ("kvdb:ReadKey", GLOB_OPERATORS, PATTERNS),
        ("kvdb:WriteKey", GLOB_OPERATORS, PATTERNS),
        ("kvdb:Channel", GLOB_OPERATORS, PATTERNS),
    ],
    &[
        ("aws:SourceIp", NETWORK_OPERATORS, NETWORKS),
        ("aws:SecureTransport", TRUTH_OPERATORS, TRUTHS),
        ("aws:CurrentTime", MOMENT_OPERATORS, MOMENTS),
        ("aws:ResourceTag/env", TEXT_OPERATORS, TEXTS),
        ("aws:resourcetag/Env", TEXT_OPERATORS, TEXTS),
        ("aws:PrincipalTag/team", TEXT_OPERATORS, TEXTS),
        ("aws:TagKeys", TEXT_OPERATORS, TEXTS),
        ("kvdb:Count", NUMBER_OPERATORS, NUMBERS),
        ("kvdb:Key", TEXT_OPERATORS, PATTERNS),
        ("kvdb:readkey", TEXT_OPERATORS, PATTERNS),
        ("kvdb:WriteKey", TEXT_OPERATORS, PATTERNS),
        ("kvdb:Channel", TEXT_OPERATORS, PATTERNS),
    ],
    &[
        ("qcs:ip", NETWORK_OPERATORS, NETWORKS),
        ("qcs:current_time", MOMENT_OPERATORS, MOMENTS),
        (
            "qcs:resource_tag",
            TEXT_OPERATORS,
            &["env&prod", "env&Prod", "env&", "Env&a", "env&p*"],
        ),
        ("qcs:tag/env", TEXT_OPERATORS, TEXTS),
        ("kvdb:Count", NUMBER_OPERATORS, NUMBERS),
        ("kvdb:Key", TEXT_OPERATORS, PATTERNS),
        ("kvdb:ReadKey", TEXT_OPERATORS, PATTERNS),
        ("kvdb:WriteKey", TEXT_OPERATORS, PATTERNS),
        ("kvdb:Channel", TEXT_OPERATORS, PATTERNS),
    ],
    &[
        ("acs:SourceIp", NETWORK_OPERATORS, NETWORKS),
        ("acs:SecureTransport", TRUTH_OPERATORS, TRUTHS),
        ("acs:CurrentTime", MOMENT_OPERATORS, MOMENTS),
        ("acs:ResourceTag/env", TEXT_OPERATORS, TEXTS),
        ("acs:RequestTag/env", TEXT_OPERATORS, TEXTS),
        ("kvdb:Count", NUMBER_OPERATORS, NUMBERS),
        ("kvdb:Key", TEXT_OPERATORS, PATTERNS),
        ("kvdb:ReadKey", TEXT_OPERATORS, PATTERNS),
        ("kvdb:WriteKey", TEXT_OPERATORS, PATTERNS),
        ("kvdb:Channel", TEXT_OPERATORS, PATTERNS),
    ],
];

/// The name of an operator as a dialect writes it.
fn operator_of(dialect: Dialect, name: &str, set: &str, if_exists: bool) -> String {
    if dialect != Dialect::Tencent {
        return format!("{set}{name}{}", if if_exists { "IfExists" } else { "" });
    }
    let set = match set {
        "" => "",
        "ForAllValues:" => "for_all_value:",
        _ => "for_any_value:",
    };
    let all = crate::condition::Operator::ALL;
    let operator = all.iter().find(|operator| operator.name() == name);
    let name = operator.and_then(|operator| tencent_operator(*operator));
    let suffix = if if_exists { "_if_exist" } else { "" };
    format!("{set}{}{suffix}", name.unwrap_or("none"))
}

/// One clause: operator, key and values.
fn clause(dialect: Dialect) -> impl Strategy<Value = (String, String, String)> {
    let at = DIALECTS.iter().position(|one| *one == dialect).unwrap();
    prop::sample::select(CONDITION_KEYS[at]).prop_flat_map(move |(key, operators, values)| {
        (
            pick(operators),
            prop::sample::select(&["", "", "", "ForAllValues:", "ForAnyValue:"][..]),
            prop::bool::weighted(0.2),
            prop::collection::vec(pick(values), 1..3),
            pick(TRUTHS),
        )
            .prop_map(move |(operator, set, if_exists, values, truth)| {
                let (set, if_exists, values) = match operator {
                    "Null" => ("", false, vec![truth]),
                    _ => (set, if_exists, values),
                };
                let values: Vec<String> = values.iter().map(|one| format!("\"{one}\"")).collect();
                let operator = operator_of(dialect, operator, set, if_exists);
                (operator, key.to_owned(), values.join(","))
            })
    })
}

/// A document of one or two statements with conditions of many kinds.
fn conditional_document(dialect: Dialect) -> impl Strategy<Value = String> {
    let actions: &[&str] = &["kvdb:*", "kvdb:ExecuteGet", "kvdb:Execute*", "*"];
    let fields = match dialect {
        Dialect::Native => NATIVE_FIELDS,
        _ => &[""],
    };
    let statement = (
        pick(&["Allow", "Allow", "Deny"]),
        prop::sample::select(actions),
        prop::collection::vec(clause(dialect), 1..3),
        pick(fields),
    )
        .prop_map(move |(effect, action, clauses, fields)| {
            let mut operators: Vec<String> = Vec::new();
            for (n, (operator, key, values)) in clauses.iter().enumerate() {
                // Two of one name would be an error, and say nothing new.
                if !clauses[..n].iter().any(|(known, _, _)| known == operator) {
                    operators.push(format!(r#""{operator}":{{"{key}":[{values}]}}"#));
                }
            }
            let conditions = operators.join(",");
            match dialect {
                Dialect::Native => format!(
                    r#"{{"Effect":"{effect}","Actions":["{action}"],"Resources":["**"]{fields},"Conditions":{{{conditions}}}}}"#
                ),
                Dialect::Tencent => format!(
                    r#"{{"effect":"{}","action":["{action}"],"resource":["*"],"condition":{{{conditions}}}}}"#,
                    effect.to_lowercase()
                ),
                _ => format!(
                    r#"{{"Effect":"{effect}","Action":["{action}"],"Resource":["*"],"Condition":{{{conditions}}}}}"#
                ),
            }
        });
    prop::collection::vec(statement, 1..3).prop_map(move |statements| {
        let statements = statements.join(",");
        match dialect {
            Dialect::Native => format!("[{statements}]"),
            Dialect::Aws => format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#),
            Dialect::Tencent => format!(r#"{{"version":"2.0","statement":[{statements}]}}"#),
            _ => format!(r#"{{"Version":"1","Statement":[{statements}]}}"#),
        }
    })
}

/// Whatever a request may say, or not.
fn context() -> impl Strategy<Value = Context> {
    let one = |name: &'static str, values: &'static [&'static [&'static str]]| {
        prop::option::weighted(0.6, prop::sample::select(values))
            .prop_map(move |values| values.map(|values| fact(name, values)))
    };
    (
        one(
            "keyward:SourceIp",
            &[&["10.0.0.1"], &["2001:db8::1"], &["11.0.0.1"]],
        ),
        one("keyward:SecureTransport", &[&["true"], &["false"]]),
        one(
            "keyward:CurrentTime",
            &[&["2026-06-01T00:00:00Z"], &["2036-06-01T00:00:00Z"]],
        ),
        one(
            "keyward:ResourceTag/env",
            &[
                &["prod"],
                &["Prod"],
                &[""],
                &["a*"],
                &["test"],
                &["prod&x"],
                &["pro?"],
                &["*"],
            ],
        ),
        one("keyward:PrincipalTag/team", &[&["a"], &["prod"], &[""]]),
        one(
            "keyward:TagKeys",
            &[&["a"], &["a", "test"], &["prod", "Prod"]],
        ),
        one("kvdb:Count", &[&["10"], &["100"], &["1000"]]),
    )
        .prop_map(|(a, b, c, d, e, f, g)| [a, b, c, d, e, f, g].into_iter().flatten().collect())
}

fn check(from: Dialect, text: &str) -> Result<(), TestCaseError> {
    check_in(from, text, &contexts())
}

fn check_in(from: Dialect, text: &str, contexts: &[Context]) -> Result<(), TestCaseError> {
    let before = policy(from, text);
    for to in DIALECTS {
        let names = TranslationNames::default();
        for narrow in [false, true] {
            match translate(&before, to, &names, narrow) {
                Ok(after) => {
                    prop_assert!(narrow || after.losses.is_empty());
                    compare(&before, &after, to, contexts)?;
                }
                Err(refusal) => prop_assert!(!refusal.reasons.is_empty()),
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn native_documents_never_widen(text in native_document()) {
        prop_assume!(read_as(Some(Dialect::Native), &text, PolicyKind::Identity, "test").is_ok());
        check(Dialect::Native, &text)?;
    }

    #[test]
    fn aws_documents_never_widen(text in vendor_document(0)) {
        check(Dialect::Aws, &text)?;
    }

    #[test]
    fn tencent_documents_never_widen(text in vendor_document(1)) {
        check(Dialect::Tencent, &text)?;
    }

    #[test]
    fn alibaba_documents_never_widen(text in vendor_document(2)) {
        check(Dialect::Alibaba, &text)?;
    }

    #[test]
    fn conditions_never_widen(
        (dialect, text) in prop::sample::select(&DIALECTS[..])
            .prop_flat_map(|dialect| (Just(dialect), conditional_document(dialect))),
        contexts in prop::collection::vec(context(), 1..4),
    ) {
        prop_assume!(read_as(Some(dialect), &text, PolicyKind::Identity, "test").is_ok());
        check_in(dialect, &text, &contexts)?;
    }
}

fn cases() -> u32 {
    let set = std::env::var("KEYWARD_TRANSLATE_CASES").ok();
    set.and_then(|cases| cases.parse().ok()).unwrap_or(48)
}

/// What was once translated to something wider.
#[test]
fn widened_before() {
    let texts = [
        // Attaching is trusting, which is decided on the organisation.
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["iam:AttachUserPolicy"],"Resource":["arn:aws:iam::123456789012:user/*"]}]}"#,
        // A tag with an empty value, under `ForAllValues`, is none to AWS.
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"kvdb:*","Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:ResourceTag/env":"prod"}}}]}"#,
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":["iam:PutUserPolicy","s3:GetObject"],"Resource":"arn:aws:iam::123456789012:user/p"}]}"#,
    ];
    for text in texts {
        if let Err(failure) = check(Dialect::Aws, text) {
            panic!("{text}: {failure}");
        }
    }
}

/// Connecting is two calls of AWS's: on what one connects to, and as whom.
#[test]
fn what_statements_allow_together_is_not_dropped_in_silence() {
    let text = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","NotAction":"kvdb:ExecuteGet",
         "Resource":"arn:aws:elasticache:*:123456789012:replicationgroup:x"},
        {"Effect":"Allow","Action":"elasticache:Connect",
         "Resource":["arn:aws:elasticache:*:123456789012:user:*","arn:aws:iam::123456789012:role/r"]},
        {"Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::123456789012:role/r"}]}"#;
    let policy = policy(Dialect::Aws, text);
    let refused = translate(
        &policy,
        Dialect::Native,
        &TranslationNames::default(),
        false,
    );
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains("`kvdb:Connect` on `org/test/kvdb/x`"),
        "{refused}"
    );
    assert!(refused.contains("together"), "{refused}");
}

/// Policies as people write them that have a faithful translation come back the same.
#[test]
fn there_and_back() {
    let usual = include_str!("../../../../corpus/diff/usual.json");
    let usual: std::collections::BTreeMap<String, serde_json::Value> =
        serde_json::from_str(usual).unwrap();
    let mut faithful = [0; 3];
    for (name, document) in &usual {
        let before = policy(Dialect::Native, &document.to_string());
        for (at, dialect) in DIALECTS[1..].iter().enumerate() {
            let Ok(there) = translate(&before, *dialect, &TranslationNames::default(), false)
            else {
                continue;
            };
            faithful[at] += 1;
            let written = policy(*dialect, &there.text);
            let back = translate(
                &written,
                Dialect::Native,
                &TranslationNames::default(),
                false,
            );
            let back = match back {
                Ok(back) => policy(Dialect::Native, &back.text),
                Err(refusal) => panic!("{name} to {dialect}: {refusal}\n{}", there.text),
            };
            let found = crate::diff(&before, &back);
            assert!(
                found.is_empty(),
                "{name} to {dialect}: {found:?}\n{}",
                back.text()
            );
        }
    }
    assert!(faithful.iter().all(|count| *count > 5), "{faithful:?}");
}

/// What once became a document that its own reader refuses: dates compared as text.
#[test]
fn what_the_native_dialect_does_not_compare_is_refused() {
    let statement = |condition: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"kvdb:ExecuteGet","Resource":"*","Condition":{condition}}}]}}"#
        )
    };
    let cases = [
        (
            r#"{"StringEquals":{"aws:CurrentTime":"2030-01-01T00:00:00Z"}}"#,
            "compares text",
        ),
        (
            r#"{"NumericEquals":{"aws:SourceIp":"10"}}"#,
            "compares numbers",
        ),
        (r#"{"Bool":{"kvdb:Count":"true"}}"#, "compares truth values"),
    ];
    for (condition, reason) in cases {
        let policy = policy(Dialect::Aws, &statement(condition));
        for to in [
            Dialect::Native,
            Dialect::Acl,
            Dialect::Tencent,
            Dialect::Alibaba,
        ] {
            let refused = translate(&policy, to, &TranslationNames::default(), true);
            let refused = refused.unwrap_err().to_string();
            assert!(refused.contains(reason), "{to}: {refused}");
        }
    }
}

/// A document that would take long is refused in part, not for long.
#[test]
fn a_call_that_is_a_part_of_an_action_is_not_dropped_in_silence() {
    let documents = [
        r#"{"version":"2.0","statement":[{"effect":"allow","resource":"qcs::redis:::instance/a",
            "action":["redis:DescribeInstances","kvdb:ExecuteGet"]}]}"#,
        r#"{"version":"2.0","statement":[
            {"effect":"allow","resource":"qcs::redis:::instance/a","action":"redis:DescribeInstances"},
            {"effect":"allow","resource":"qcs::redis:::instance/a","action":["kvdb:ExecuteGet",
             "redis:DescribeInstanceNodeInfo"]}]}"#,
    ];
    for text in documents {
        let policy = policy(Dialect::Tencent, text);
        for to in [Dialect::Native, Dialect::Aws, Dialect::Alibaba] {
            let refused = translate(&policy, to, &TranslationNames::default(), false).unwrap_err();
            assert!(refused.to_string().contains("no whole action"), "{refused}");
            let narrowed = translate(&policy, to, &TranslationNames::default(), true).unwrap();
            assert!(narrowed.text.contains("ExecuteGet"), "{}", narrowed.text);
            assert!(!narrowed.losses.is_empty());
        }
    }
}

#[test]
fn large_documents_take_bounded_time() {
    let one = |i: usize| {
        format!(r#"{{"Effect":"Allow","Actions":["*"],"Resources":["kvdb/a{i}","kvdb/b{i}"]}}"#)
    };
    let statements: Vec<String> = (0..5_000).map(one).collect();
    let policy = policy(Dialect::Native, &format!("[{}]", statements.join(",")));
    let start = std::time::Instant::now();
    let found = translate(&policy, Dialect::Aws, &TranslationNames::default(), false);
    let limit = if cfg!(debug_assertions) { 60 } else { 3 };
    assert!(start.elapsed().as_secs() < limit, "{:?}", start.elapsed());
    assert!(found.is_err());
}

/// What is told, asked and written of a large document is counted, whatever its shape.
#[test]
fn large_documents_are_counted() {
    let names = TranslationNames::default();
    let statement = |n: usize| {
        format!(
            r#"{{"Effect":"Allow","Actions":["kvdb:@read"],"Resources":["kvdb/d{n}"],"Keys":["k{n}"]}}"#
        )
    };
    let statements: Vec<String> = (0..1_000).map(statement).collect();
    let long = policy(Dialect::Native, &format!("[{}]", statements.join(",")));
    let refused = translate(&long, Dialect::Aws, &names, true).unwrap_err();
    assert!(refused.to_string().contains("in parts"), "{refused}");

    // Each reason is told once, and not without end.
    let actions: Vec<String> = (0..2_000).map(|n| format!("\"svc{n}:Do\"")).collect();
    let strange = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Resource":"*","Action":[{}]}}]}}"#,
        actions.join(",")
    );
    let strange = policy(Dialect::Aws, &strange);
    let refused = translate(&strange, Dialect::Native, &names, false).unwrap_err();
    assert_eq!(refused.reasons.len(), MAX_FINDINGS + 2);
    let narrowed = translate(&strange, Dialect::Native, &names, true).unwrap();
    assert!(narrowed.losses.len() >= actions.len());

    // A statement with many patterns counts as many requests.
    let patterns: Vec<String> = (0..4_000).map(|n| format!("\"kvdb:*e{n}*t\"")).collect();
    let wild = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Resource":"*","NotAction":[{}]}}]}}"#,
        patterns.join(",")
    );
    let refused = translate(&policy(Dialect::Aws, &wild), Dialect::Native, &names, true);
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("too much to compare")
    );
}

/// Statements that differ in keys only are compared once, and each still tells what it loses.
#[test]
fn alike_statements_are_compared_once() {
    let one = |n: usize| {
        format!(
            r#"{{"Effect":"Allow","Actions":["kvdb:ExecuteGet"],"Resources":["kvdb/a"],"Keys":["k{n}"]}}"#
        )
    };
    let statements: Vec<String> = (0..3_000).map(one).collect();
    let policy = policy(Dialect::Native, &format!("[{}]", statements.join(",")));
    let mut report = Report::default();
    let rules = rule::of_native(&policy, &mut report);
    export::write(
        &rules,
        Dialect::Aws,
        &TranslationNames::default(),
        &mut report,
    );
    assert!(report.asked > 0 && report.asked < 1_000, "{}", report.asked);
}
