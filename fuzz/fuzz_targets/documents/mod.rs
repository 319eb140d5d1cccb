//! Documents and requests out of few words, so that they meet: chosen by the fuzzer's bytes.

#![allow(dead_code, reason = "each target uses a part")]

use keyward_iam::{Case, CaseDocument, CaseRequest, VendorAliases};
use keyward_policy::Dialect;
use libfuzzer_sys::arbitrary::{Result, Unstructured};

type Words = &'static [&'static str];

const ACTIONS: Words = &[
    "kvdb:ExecuteGet", "kvdb:ExecuteSet", "kvdb:ExecuteDel", "kvdb:ExecuteExpire", "kvdb:Execute*",
    "kvdb:ExecuteS*", "kvdb:@read", "kvdb:@write", "kvdb:@dangerous", "kvdb:*", "*", "kvdb:Connect",
    "kvdb:ExecutePublish", "kvdb:ExecuteScan", "kvdb:ExecuteRename", "kvdb:Describe", "kvdb:Delete",
];
const RESOURCES: Words = &["kvdb/a", "kvdb/b", "kvdb/*", "**", "org/test/kvdb/a", "org/other/kvdb/a"];
const KEYS: Words = &["*", "a:*", "a:?", "a:[12]", "b:*", "?:*", "*1", "a:1", "", "${keyward:PrincipalTag/team}:*"];
const CONDITIONS: Words = &[
    r#""IpAddress":{"keyward:SourceIp":"10.0.0.0/8"}"#,
    r#""NotIpAddress":{"keyward:SourceIp":["10.1.0.0/16","2001:db8::/32"]}"#,
    r#""StringEquals":{"keyward:PrincipalTag/team":"red"}"#,
    r#""StringNotLike":{"keyward:PrincipalTag/team":["r*","b?"]}"#,
    r#""Null":{"keyward:PrincipalTag/team":"true"}"#,
    r#""Bool":{"keyward:SecureTransport":"true"}"#,
    r#""DateLessThan":{"keyward:CurrentTime":"2026-06-01T00:00:00Z"}"#,
    r#""NumericLessThanEquals":{"kvdb:TtlSeconds":"60"}"#,
    r#""NumericGreaterThan":{"kvdb:KeyCount":"1"}"#,
    r#""NumericLessThanIfExists":{"kvdb:Count":"100"}"#,
    r#""ForAllValues:StringLike":{"kvdb:Key":["a:*"]}"#,
    r#""StringLike":{"kvdb:WriteKey":"b:*"}"#,
];

const AWS_ACTIONS: Words = &[
    "kvdb:ExecuteGet", "KVDB:executeset", "kvdb:Execute*", "kvdb:*Get*", "elasticache:Connect",
    "elasticache:*", "*", "kvdb:ExecuteDel", "elasticache:DescribeReplicationGroups", "kvdb:?xecuteScan",
];
const AWS_RESOURCES: Words = &[
    "*", "arn:aws:elasticache:*:*:replicationgroup:a", "arn:aws:elasticache:us-east-1:123456789012:replicationgroup:*",
    "arn:aws:elasticache:*:123456789012:*", "arn:aws:elasticache:us-east-1:999999999999:replicationgroup:a",
    "arn:aws:elasticache:*:*:user:*", "arn:aws:elasticache:*:*:replicationgroup:?",
];
const AWS_CONDITIONS: Words = &[
    r#""IpAddress":{"aws:SourceIp":"10.0.0.0/8"}"#,
    r#""NotIpAddressIfExists":{"aws:SourceIp":"10.1.0.0/16"}"#,
    r#""Bool":{"aws:SecureTransport":"true"}"#,
    r#""StringLike":{"kvdb:Key":["a:*","b:1"]}"#,
    r#""StringNotEquals":{"kvdb:Key":"a:1"}"#,
    r#""NumericLessThan":{"kvdb:TtlSeconds":"60"}"#,
    r#""DateGreaterThan":{"aws:CurrentTime":"2026-06-01T00:00:00Z"}"#,
    r#""Null":{"aws:ResourceTag/env":"true"}"#,
];
const TENCENT_ACTIONS: Words = &["kvdb:ExecuteGet", "name/kvdb:Execute*", "*", "redis:Describe*", "kvdb:ExecuteSet", "kvdb:*"];
const TENCENT_RESOURCES: Words = &[
    "*", "qcs::redis:::instance/a", "qcs::redis:gz:uin/123456789012:instance/*", "qcs::::uin/123456789012:*",
    "qcs::redis:ap-beijing:uin/123456789012:instance/a",
];
const TENCENT_CONDITIONS: Words = &[
    r#""ip_equal":{"qcs:ip":"10.0.0.0/8"}"#,
    r#""ip_not_equal":{"qcs:ip":"10.1.0.0/16"}"#,
    r#""date_less_than":{"qcs:current_time":"2026-06-01T00:00:00Z"}"#,
    r#""string_equal":{"kvdb:Key":"a:1"}"#,
];
const ALIBABA_ACTIONS: Words = &["kvdb:ExecuteGet", "kvdb:execute*", "*", "kvstore:Describe*", "kvdb:?xecuteSet"];
const ALIBABA_RESOURCES: Words = &[
    "*", "acs:kvstore:*:*:instance/a", "acs:kvstore:cn-hangzhou:123456789012:*", "acs:*:*:*:instance/?",
];
const ALIBABA_CONDITIONS: Words = &[
    r#""IpAddress":{"acs:SourceIp":"10.0.0.0/8"}"#,
    r#""Bool":{"acs:SecureTransport":"false"}"#,
    r#""StringLike":{"kvdb:Key":["a:*"]}"#,
];
const RULES: Words = &[
    "+get", "+set", "+@all", "-@all", "-get", "+@read", "-@write", "~*", "~a:*", "%R~b:*", "%W~a:1", "&*", "&a:*",
    "resetkeys", "resetchannels", "(+set ~b:*)", "(+@all ~a:*)", "clearselectors", "db=0", "alldbs", "+config|get",
];

fn list(u: &mut Unstructured<'_>, words: Words) -> Result<String> {
    let mut chosen = vec![*u.choose(words)?];
    while chosen.len() < 3 && u.ratio(1, 3)? {
        chosen.push(u.choose(words)?);
    }
    let quoted: Vec<String> = chosen.iter().map(|word| format!("{word:?}")).collect();
    Ok(format!("[{}]", quoted.join(",")))
}

/// A document of one of the dialects; it may be refused.
pub fn document(u: &mut Unstructured<'_>) -> Result<(Dialect, String)> {
    let dialects = [Dialect::Native, Dialect::Native, Dialect::Aws, Dialect::Tencent, Dialect::Alibaba, Dialect::Acl];
    let dialect = *u.choose(&dialects)?;
    Ok((dialect, of_dialect(u, dialect)?))
}

/// A document of this dialect.
pub fn of_dialect(u: &mut Unstructured<'_>, dialect: Dialect) -> Result<String> {
    if dialect == Dialect::Acl {
        let mut rules = vec!["on"];
        for _ in 0..u.int_in_range(1..=6)? {
            rules.push(u.choose(RULES)?);
        }
        return Ok(rules.join(" "));
    }
    let mut statements = Vec::new();
    for _ in 0..u.int_in_range(1..=4)? {
        statements.push(statement(u, dialect)?);
    }
    let all = statements.join(",");
    Ok(match dialect {
        Dialect::Aws => format!(r#"{{"Version":"2012-10-17","Statement":[{all}]}}"#),
        Dialect::Tencent => format!(r#"{{"version":"2.0","statement":[{all}]}}"#),
        Dialect::Alibaba => format!(r#"{{"Version":"1","Statement":[{all}]}}"#),
        _ => format!("[{all}]"),
    })
}

fn statement(u: &mut Unstructured<'_>, dialect: Dialect) -> Result<String> {
    let (actions, resources, conditions, names) = match dialect {
        Dialect::Aws => (AWS_ACTIONS, AWS_RESOURCES, AWS_CONDITIONS, ["Effect", "Action", "Resource", "Condition"]),
        Dialect::Tencent => {
            (TENCENT_ACTIONS, TENCENT_RESOURCES, TENCENT_CONDITIONS, ["effect", "action", "resource", "condition"])
        }
        Dialect::Alibaba => {
            (ALIBABA_ACTIONS, ALIBABA_RESOURCES, ALIBABA_CONDITIONS, ["Effect", "Action", "Resource", "Condition"])
        }
        _ => (ACTIONS, RESOURCES, CONDITIONS, ["Effect", "Actions", "Resources", "Conditions"]),
    };
    let effect = if u.ratio(1, 3)? { "Deny" } else { "Allow" };
    let effect = if dialect == Dialect::Tencent { effect.to_lowercase() } else { effect.to_owned() };
    let mut text = format!(
        r#"{{"{}":"{effect}","{}":{},"{}":{}"#,
        names[0],
        names[1],
        list(u, actions)?,
        names[2],
        list(u, resources)?
    );
    if dialect == Dialect::Native {
        for field in ["Keys", "ReadKeys", "WriteKeys", "Channels"] {
            if u.ratio(1, 4)? {
                text += &format!(r#","{field}":{}"#, list(u, KEYS)?);
            }
        }
    }
    if u.ratio(1, 3)? {
        text += &format!(r#","{}":{{{}}}"#, names[3], u.choose(conditions)?);
    }
    Ok(text + "}")
}

const CALLS: Words = &[
    "GET a:1", "GET b:1", "SET a:1 v", "SET b:1 v EX 10", "SET a:1 v EX 100", "DEL a:1 b:1", "EXPIRE a:1 0",
    "EXPIRE a:1 60", "MGET a:1 a:2", "RENAME a:1 b:1", "FLUSHALL", "PING", "SCAN 0 COUNT 1000", "SCAN 0",
    "PUBLISH a:news x", "CONFIG GET maxmemory", "EVAL x 1 a:1", "XREADGROUP GROUP g c STREAMS a:1 >",
];

/// A call, and what is known of it.
pub struct Asked {
    /// Its words.
    pub words: Vec<Vec<u8>>,
    /// On which database.
    pub database: &'static str,
    /// What is known.
    pub context: Vec<(String, Vec<Vec<u8>>)>,
}

/// A call on a database.
pub fn asked(u: &mut Unstructured<'_>) -> Result<Asked> {
    let words = u.choose(CALLS)?.split(' ').map(|word| word.as_bytes().to_vec());
    let mut context = Vec::new();
    let facts: &[(&str, Words)] = &[
        ("keyward:SourceIp", &["10.0.0.1", "10.1.2.3", "192.0.2.1", "2001:db8::1"]),
        ("keyward:SecureTransport", &["true", "false"]),
        ("keyward:CurrentTime", &["2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"]),
        ("keyward:PrincipalTag/team", &["red", "ba", "a", "*"]),
        ("keyward:ResourceTag/env", &["prod"]),
    ];
    for (name, values) in facts {
        if u.ratio(2, 3)? {
            let value = u.choose(values)?.as_bytes().to_vec();
            context.push(((*name).to_owned(), vec![value]));
        }
    }
    Ok(Asked {
        words: words.collect(),
        database: *u.choose(&["kvdb/a", "kvdb/b", "kvdb/main", "org/other/kvdb/a"])?,
        context,
    })
}

/// Whether a document alone, on the one trust, allows a call; `None` if it is refused.
pub fn allows(dialect: Dialect, text: &str, asked: &Asked) -> Option<bool> {
    let case = Case {
        policies: vec![CaseDocument {
            dialect: Some(dialect.name().to_owned()),
            text: text.to_owned(),
            policy: None,
        }],
        resource_policies: Vec::new(),
        boundaries: Vec::new(),
        principal: "programmatic_identity/app".to_owned(),
        request: CaseRequest::Command {
            words: asked.words.clone(),
            database: asked.database.to_owned(),
            db_index: 0,
        },
        context: asked.context.clone(),
        lists: Vec::new(),
        aliases: VendorAliases::default(),
    };
    case.decide().ok().map(|decision| decision.is_allow())
}
