use super::*;
use crate::facts::{ListedFacts, NoFacts};

/// `operator | key | wanted, … | found, … (or `-` for absent) | in an Allow | in a Deny`; values
/// are separated by blanks.
fn check(dialect: Dialect, table: &str) {
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let [operator, name, wanted, found, allow, deny] = columns[..] else {
            panic!("{line}");
        };
        let (set, plain) = match operator.split_once(':') {
            Some(("ForAllValues", plain)) => (Some(SetOperator::ForAllValues), plain),
            Some((_, plain)) => (Some(SetOperator::ForAnyValue), plain),
            None => (None, operator),
        };
        let if_exists = plain.ends_with("IfExists");
        let plain = plain.strip_suffix("IfExists").unwrap_or(plain);
        let operator = Operator::by_name(plain).unwrap();
        let key = ConditionKey::new(dialect, name);
        let wanted: Vec<&str> = wanted.split_whitespace().collect();
        let clause = Clause::parse(dialect, operator, set, if_exists, key, &wanted).unwrap();
        let values = found.split_whitespace().map(|value| match value {
            "''" => Vec::new(),
            value => value.as_bytes().to_vec(),
        });
        let facts = (found != "-").then(|| (name.to_owned(), values.collect()));
        let facts = ListedFacts::new(dialect, facts);
        for (effect, expected) in [(Effect::Allow, allow), (Effect::Deny, deny)] {
            assert_eq!(
                clause.holds(effect, &facts).unwrap().to_string(),
                expected,
                "{effect:?} {line}"
            );
        }
    }
}

/// AWS: "IAM JSON policy elements: Condition operators" and "Multivalued context keys".
#[test]
fn as_aws_has_it() {
    check(
        Dialect::Aws,
        "StringEquals | s3:prefix | a b | a | true | true
         StringEquals | s3:prefix | a b | c | false | false
         StringEquals | s3:prefix | a | - | false | false
         StringEquals | s3:prefix | a | a b | false | false
         StringNotEquals | s3:prefix | a b | c | true | true
         StringNotEquals | s3:prefix | a b | b | false | false
         StringNotEquals | s3:prefix | a | - | true | true
         StringEqualsIfExists | s3:prefix | a | - | true | true
         StringNotEqualsIfExists | s3:prefix | a | - | true | true
         StringNotEqualsIfExists | s3:prefix | a | a | false | false
         StringEqualsIgnoreCase | s3:prefix | ABC | aBc | true | true
         StringNotEqualsIgnoreCase | s3:prefix | ABC | aBc | false | false
         StringLike | s3:prefix | a*c?e | abbce | false | false
         StringLike | s3:prefix | a*c?e | abbcde | true | true
         StringLike | s3:prefix | * | '' | true | true
         StringNotLike | s3:prefix | a* | b | true | true
         StringNotLike | s3:prefix | a* | - | true | true
         NumericEquals | s3:max-keys | 10 | 10.0 | true | true
         NumericEquals | s3:max-keys | 10 | x | false | false
         NumericNotEquals | s3:max-keys | 10 | x | false | true
         NumericLessThan | s3:max-keys | 10 | 9.99 | true | true
         NumericLessThan | s3:max-keys | 10 | 10 | false | false
         NumericLessThanEquals | s3:max-keys | 10 | 10 | true | true
         NumericGreaterThan | s3:max-keys | -1 | 0 | true | true
         NumericGreaterThanEquals | s3:max-keys | 0 | -0 | true | true
         DateLessThan | aws:CurrentTime | 2026-01-02T00:00:00Z | 2026-01-01T23:59:59Z | true | true
         DateGreaterThan | aws:CurrentTime | 1767312000 | 2026-01-02T00:00:01Z | true | true
         DateEquals | aws:CurrentTime | 2026-01-02T01:00:00+01:00 | 2026-01-02 | true | true
         DateNotEquals | aws:CurrentTime | 2026-01-02 | 2026-01-03 | true | true
         Bool | aws:SecureTransport | true | TRUE | true | true
         Bool | aws:SecureTransport | false | - | false | false
         BoolIfExists | aws:MultiFactorAuthPresent | false | - | true | true
         BinaryEquals | s3:x | YWI= | ab | true | true
         BinaryEquals | s3:x | YWI= | YWI= | true | true
         BinaryEquals | s3:x | YWI= | ac | false | false
         IpAddress | aws:SourceIp | 10.0.0.0/8 192.168.0.0/16 | 192.168.1.1 | true | true
         IpAddress | aws:SourceIp | 10.0.0.0/8 | 11.0.0.1 | false | false
         IpAddress | aws:SourceIp | 10.0.0.0/8 | ::ffff:10.0.0.1 | true | true
         NotIpAddress | aws:SourceIp | 10.0.0.0/8 | 11.0.0.1 | true | true
         NotIpAddress | aws:SourceIp | 10.0.0.0/8 | - | true | true
         ArnLike | aws:PrincipalArn | arn:aws:iam::*:user/a* | arn:aws:iam::1:user/abc | true | true
         ArnEquals | aws:PrincipalArn | arn:aws:iam::*:user/a* | arn:aws:iam::1:user/abc | true | true
         ArnLike | aws:PrincipalArn | arn:aws:i*:1:user/a:b | arn:aws:iam::1:user/a | false | false
         ArnNotLike | aws:PrincipalArn | arn:aws:iam::*:user/a* | arn:aws:iam::1:role/abc | true | true
         ArnLike | aws:PrincipalArn | arn:aws:s3:::b/* | arn:aws:s3:::b/c:d/e | true | true
         Null | s3:prefix | true | - | true | true
         Null | s3:prefix | true | a | false | false
         Null | s3:prefix | false | '' | true | true
         Null | s3:prefix | false | - | false | false
         ForAllValues:StringEquals | aws:TagKeys | a b | a b | true | true
         ForAllValues:StringEquals | aws:TagKeys | a b | a c | false | false
         ForAllValues:StringEquals | aws:TagKeys | a | - | true | true
         ForAllValues:StringEquals | aws:TagKeys | a | '' | true | true
         ForAllValues:StringNotEquals | aws:TagKeys | a | b c | true | true
         ForAllValues:StringNotEquals | aws:TagKeys | a | a b | false | false
         ForAnyValue:StringEquals | aws:TagKeys | a b | c a | true | true
         ForAnyValue:StringEquals | aws:TagKeys | a | - | false | false
         ForAnyValue:StringNotEquals | aws:TagKeys | a | a b | true | true
         ForAnyValue:StringNotEquals | aws:TagKeys | a | - | false | false
         ForAnyValue:StringEqualsIfExists | aws:TagKeys | a | - | true | true
         StringLike | kvdb:Key | app:* | app:1 app:2 | true | true
         StringLike | kvdb:Key | app:* | app:1 b | false | true
         StringLike | kvdb:Key | app:* | - | false | false",
    );
}

#[test]
fn natively() {
    check(
        Dialect::Native,
        "StringLike | kvdb:Key | app:* | app:1 b | false | true
         StringNotLike | kvdb:Key | secret:* | a secret:1 | false | true
         StringNotLike | kvdb:Key | secret:* | a b | true | true
         StringNotLike | kvdb:Key | secret:* | - | true | true
         ForAnyValue:StringLike | kvdb:Key | app:* | app:1 b | true | true
         ForAllValues:StringLike | kvdb:Key | app:* | app:1 b | false | false
         GlobLike | kvdb:Key | [ab]:* | a:1 b:2 | true | true
         GlobNotLike | kvdb:Key | [ab]:* | c | true | true
         StringLike | kvdb:Key | [ab]:* | a:1 | false | false
         StringEquals | kvdb:Key | a* | a* | true | true
         StringEquals | kvdb:Key | a* | ab | false | false
         NumericLessThan | kvdb:TtlSeconds | 60 | x | false | true
         StringEquals | keyward:PrincipalTag/team | a b | a | true | true",
    );
}

/// What the vendors do not say is decided so that nothing is allowed by it.
#[test]
fn tencent_and_alibaba() {
    check(
        Dialect::Tencent,
        "StringEquals | qcs:ip | a | - | false | false
         StringNotEquals | qcs:x | a | - | false | true
         StringNotEqualsIfExists | qcs:x | a | - | true | true
         ForAnyValue:StringEquals | qcs:resource_tag | env&prod | team&a env&prod | true | true
         Null | qcs:x | true | '' | true | true
         Null | qcs:x | true | a | false | false",
    );
    check(
        Dialect::Alibaba,
        "NotIpAddress | acs:SourceIp | 10.0.0.0/8 | - | false | true
         NotIpAddress | acs:SourceIp | 10.0.0.0/8 | 11.0.0.1 | true | true",
    );
}

fn clause(operator: Operator, set: Option<SetOperator>, name: &str, wanted: &[&str]) -> Clause {
    let key = ConditionKey::new(Dialect::Native, name);
    Clause::parse(Dialect::Native, operator, set, false, key, wanted).unwrap()
}

struct Fixed<'a>(Found<'a>);
impl Facts for Fixed<'_> {
    fn find(&self, _: &ConditionKey) -> Found<'_> {
        self.0
    }
}

/// Whatever touches every key satisfies an Allow by `*` alone, and always a Deny.
#[test]
fn every_key() {
    let cases = [
        (Operator::StringLike, None, "*", true),
        (Operator::GlobLike, None, "*", true),
        (
            Operator::StringLike,
            Some(SetOperator::ForAllValues),
            "app:*",
            false,
        ),
        (
            Operator::StringLike,
            Some(SetOperator::ForAnyValue),
            "*",
            true,
        ),
        (Operator::StringNotLike, None, "secret:*", false),
        (Operator::StringEquals, None, "*", false),
    ];
    for (operator, set, wanted, allowed) in cases {
        let clause = clause(operator, set, "kvdb:Key", &[wanted]);
        let facts = Fixed(Found::Every);
        assert_eq!(
            clause.holds(Effect::Allow, &facts),
            Some(allowed),
            "{clause:?}"
        );
        assert_eq!(clause.holds(Effect::Deny, &facts), Some(true), "{clause:?}");
    }
}

/// A pattern as argument stands for all that it matches.
#[test]
fn channel_patterns() {
    // (operator, wanted, pattern, in an Allow, in a Deny)
    let cases = [
        (Operator::GlobLike, "news:*", "news:*", true, true),
        (Operator::GlobLike, "*", "news:*", true, true),
        (Operator::GlobLike, "news:?", "news:*", false, true),
        (Operator::GlobLike, "secret:*", "s*", false, true),
        (Operator::GlobLike, "secret:*", "t*", false, false),
        (Operator::StringEquals, "news:*", "news:*", false, true),
        (Operator::StringNotLike, "secret:*", "t*", true, true),
        (Operator::StringNotLike, "secret:*", "s*", false, true),
        (
            Operator::StringNotLike,
            "secret:*",
            "secret:*",
            false,
            false,
        ),
    ];
    for (operator, wanted, pattern, allow, deny) in cases {
        let clause = clause(operator, None, "kvdb:Channel", &[wanted]);
        let channels = [ChannelUse {
            channel: pattern.as_bytes(),
            pattern: true,
        }];
        let facts = Fixed(Found::Channels(&channels));
        assert_eq!(
            clause.holds(Effect::Allow, &facts),
            Some(allow),
            "{clause:?} {pattern}"
        );
        assert_eq!(
            clause.holds(Effect::Deny, &facts),
            Some(deny),
            "{clause:?} {pattern}"
        );
    }
}

/// A missing variable matches nothing in an Allow and everything in a Deny; what is put in is
/// literal.
#[test]
fn variables() {
    let team = |value: &str| {
        let tag = (
            "keyward:PrincipalTag/team".to_owned(),
            vec![value.as_bytes().to_vec()],
        );
        let key = ("kvdb:Key".to_owned(), vec![b"ab:1".to_vec()]);
        ListedFacts::new(Dialect::Native, [tag, key])
    };
    let wanted = &["${keyward:PrincipalTag/team}:*"];
    let like = clause(Operator::StringLike, None, "kvdb:Key", wanted);
    let not_like = clause(Operator::StringNotLike, None, "kvdb:Key", wanted);
    // (clause, value of the tag, in an Allow, in a Deny)
    let cases = [
        (&like, "ab", true, true),
        (&like, "a*", false, false),
        (&like, "", false, true),
        (&not_like, "ab", false, false),
        (&not_like, "x", true, true),
        (&not_like, "", false, true),
    ];
    for (clause, value, allow, deny) in cases {
        let facts = team(value);
        assert_eq!(
            clause.holds(Effect::Allow, &facts),
            Some(allow),
            "{clause:?} {value}"
        );
        assert_eq!(
            clause.holds(Effect::Deny, &facts),
            Some(deny),
            "{clause:?} {value}"
        );
    }
}

#[test]
fn what_is_refused() {
    let cases: &[(Operator, &[&str], &str)] = &[
        (
            Operator::NumericEquals,
            &["1", "x"],
            "expected a number, found `x`",
        ),
        (
            Operator::Bool,
            &["yes"],
            "expected `true` or `false`, found `yes`",
        ),
        (
            Operator::IpAddress,
            &["10.0.0.0/40"],
            "expected an address or a network as in `10.0.0.0/8`, found `10.0.0.0/40`",
        ),
        (
            Operator::DateLessThan,
            &["soon"],
            "expected a date as in `2026-01-02T03:04:05Z`, or seconds since 1970, found `soon`",
        ),
        (
            Operator::BinaryEquals,
            &["a"],
            "expected bytes in base64, found `a`",
        ),
        (Operator::StringEquals, &[], "no value to compare with"),
        (
            Operator::NumericEquals,
            &["${keyward:PrincipalTag/n}"],
            "`NumericEquals` takes no variables",
        ),
    ];
    for (operator, wanted, expected) in cases {
        let key = ConditionKey::new(Dialect::Native, "keyward:PrincipalTag/x");
        let found = Clause::parse(Dialect::Native, *operator, None, false, key, wanted);
        assert_eq!(found.unwrap_err().message, *expected);
    }
}

#[test]
fn what_is_not_known_yet() {
    let key = clause(Operator::StringLike, None, "kvdb:Key", &["a*"]);
    let tag = clause(
        Operator::StringEquals,
        None,
        "keyward:PrincipalTag/x",
        &["a"],
    );
    assert_eq!(key.holds(Effect::Allow, &Fixed(Found::Later)), None);
    let both = Conditions::new(vec![key.clone(), tag.clone()]);
    struct KeysLater;
    impl Facts for KeysLater {
        fn find(&self, key: &ConditionKey) -> Found<'_> {
            match key.fact().is_of_touch() {
                true => Found::Later,
                false => NoFacts.find(key),
            }
        }
    }
    assert_eq!(both.holds(Effect::Allow, &KeysLater), Some(false));
    assert_eq!(
        Conditions::new(vec![key]).holds(Effect::Deny, &KeysLater),
        None
    );
}
