//! What a trust in a provider must say: for whom its tokens were made, and whose they are.

use serde_json::{Map, Value};

use super::OidcProvider;
use crate::ids::Slug;

/// Audiences that tokens for many services carry: whoever receives one of these could use it here.
/// `*` at the end stands for anything.
///
/// Source: the defaults of the issuers and the services that are named.
const GENERIC_AUDIENCES: [&str; 17] = [
    "sts.amazonaws.com",
    "https://kubernetes.default.svc*",
    "kubernetes.default.svc*",
    "kubernetes",
    "k3s",
    "api",
    "api://AzureADTokenExchange",
    "https://iam.googleapis.com/*",
    "//iam.googleapis.com/*",
    "https://github.com/*",
    "https://gitlab.com",
    "vault",
    "sigstore",
    "pypi",
    "npm:registry.npmjs.org",
    "account",
    "keyward",
];

/// Why a trust in a provider, or an audience, is refused when it is written.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustRuleError {
    /// Empty, too long, or with a character that no audience needs.
    #[error("`{0}` is no audience: 1 to 255 visible characters, and no pattern")]
    Audience(String),
    /// Tokens for other services carry it.
    #[error(
        "the audience `{audience}` is that of other services, too: a token made for one of them would open this organisation; have tokens made for `https://<this deployment>/org/{organisation}`"
    )]
    GenericAudience {
        /// The audience.
        audience: String,
        /// The organisation.
        organisation: String,
    },
    /// It names another organisation.
    #[error("the audience `{audience}` names the organisation `{named}`, not `{organisation}`")]
    OtherOrganisation {
        /// The audience.
        audience: String,
        /// Which it names.
        named: String,
        /// Whose provider it is.
        organisation: String,
    },
    /// The trust takes tokens for any audience.
    #[error(
        "a trust in an identity provider fixes the audience: add the condition {{\"StringEquals\": {{\"keyward:Token/aud\": \"{0}\"}}}}"
    )]
    NoAudience(String),
    /// It fixes one that the provider does not take.
    #[error("the provider takes no tokens for the audience `{found}`, only for `{}`", taken.join("`, `"))]
    AudienceNotTaken {
        /// What the trust says.
        found: String,
        /// The provider's audiences.
        taken: Vec<String>,
    },
    /// The trust takes tokens of every customer of a shared issuer.
    #[error(
        "`{issuer}` issues tokens to many customers, so that a trust in it fixes the subject: add a condition on `keyward:Token/sub`, such as {{\"StringLike\": {{\"keyward:Token/sub\": \"{example}\"}}}}"
    )]
    NoSubject {
        /// The issuer.
        issuer: String,
        /// What such a subject looks like.
        example: &'static str,
    },
    /// The subject is a pattern that leaves open whose tokens are meant.
    #[error(
        "the subject `{found}` does not fix whose tokens are meant: before its first wildcard it must name the customer whole, as `{example}` does"
    )]
    OpenSubject {
        /// The pattern.
        found: String,
        /// What such a subject looks like.
        example: &'static str,
    },
}

/// The organisation that an audience of the recommended form names: `…/org/<id>`.
#[must_use]
pub fn organisation_of_audience(audience: &str) -> Option<&str> {
    let (before, id) = audience.rsplit_once('/')?;
    let named = before.ends_with("/org") || before == "org" || before.ends_with(":org");
    (named && id.parse::<Slug>().is_ok()).then_some(id)
}

/// Whether a provider of an organisation may take tokens for an audience.
///
/// # Errors
/// Why not.
pub fn check_audience(audience: &str, organisation: &str) -> Result<(), TrustRuleError> {
    let visible = audience.bytes().all(|byte| byte.is_ascii_graphic());
    let pattern = audience.contains(['*', '?']) || audience.contains("${");
    if !(1..=255).contains(&audience.len()) || !visible || pattern {
        let shown = audience.chars().take(255).collect();
        return Err(TrustRuleError::Audience(shown));
    }
    let generic = GENERIC_AUDIENCES
        .iter()
        .any(|generic| match generic.strip_suffix('*') {
            Some(beginning) => audience.starts_with(beginning),
            None => audience.eq_ignore_ascii_case(generic),
        });
    match organisation_of_audience(audience) {
        Some(named) if named == organisation => Ok(()),
        Some(named) => Err(TrustRuleError::OtherOrganisation {
            audience: audience.to_owned(),
            named: named.to_owned(),
            organisation: organisation.to_owned(),
        }),
        None if generic => Err(TrustRuleError::GenericAudience {
            audience: audience.to_owned(),
            organisation: organisation.to_owned(),
        }),
        None => Ok(()),
    }
}

/// Whether the conditions of an assumable trust in a provider fix for whom a token must have been
/// made, and, where many customers share the issuer, whose it must be.
///
/// # Errors
/// What to add.
pub fn check_token_conditions(
    conditions: Option<&Value>,
    provider: &OidcProvider,
) -> Result<(), TrustRuleError> {
    let empty = Map::new();
    let conditions = conditions.and_then(Value::as_object).unwrap_or(&empty);
    // All values of one operator on one key are alternatives: each of them must fix.
    let audiences = asked(conditions, "aud").find(|asked| asked.exact);
    let Some(audiences) = audiences else {
        let example = provider.audiences.first().cloned().unwrap_or_default();
        return Err(TrustRuleError::NoAudience(example));
    };
    for value in &audiences.values {
        if !provider.audiences.iter().any(|taken| taken == value) {
            return Err(TrustRuleError::AudienceNotTaken {
                found: (*value).to_owned(),
                taken: provider.audiences.clone(),
            });
        }
    }
    if !provider.is_shared() {
        return Ok(());
    }
    let example = example_subject(&provider.issuer);
    let mut open = None;
    for asked in asked(conditions, "sub") {
        let loose = asked.values.iter().find(|value| !fixes(value, asked.exact));
        match loose {
            None => return Ok(()),
            Some(loose) => open = Some((*loose).to_owned()),
        }
    }
    Err(match open {
        Some(found) => TrustRuleError::OpenSubject { found, example },
        None => TrustRuleError::NoSubject {
            issuer: provider.issuer.clone(),
            example,
        },
    })
}

/// One operator on one claim.
struct Asked<'a> {
    /// Whether it compares whole texts; otherwise values are patterns.
    exact: bool,
    values: Vec<&'a str>,
}

/// The operators on a claim that hold only where the claim is there and has one of the values.
fn asked<'a>(
    conditions: &'a Map<String, Value>,
    claim: &'a str,
) -> impl Iterator<Item = Asked<'a>> {
    conditions.iter().filter_map(move |(operator, keys)| {
        let lower = operator.to_ascii_lowercase();
        let exact = match lower.strip_prefix("foranyvalue:").unwrap_or(&lower) {
            "stringequals" => true,
            "stringlike" => false,
            _ => return None,
        };
        let (_, value) = keys.as_object()?.iter().find(|(key, _)| {
            let rest = key
                .get(..14)
                .filter(|p| p.eq_ignore_ascii_case("keyward:Token/"));
            rest.is_some() && key.get(14..) == Some(claim)
        })?;
        let values = match value {
            Value::String(one) => vec![one.as_str()],
            Value::Array(list) => list.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?,
            _ => return None,
        };
        let fixed = !values.is_empty() && values.iter().all(|value| !value.contains("${"));
        fixed.then_some(Asked { exact, values })
    })
}

/// Whether a text fixes whose tokens are meant: whole, or a pattern that names at least two parts
/// of the subject whole before its first wildcard (`repo:acme/…`, `organization:acme:…`).
fn fixes(value: &str, exact: bool) -> bool {
    if value.is_empty() {
        return false;
    }
    let wild = value.find(['*', '?', '[', '\\']);
    let Some(end) = wild.filter(|_| !exact) else {
        return true;
    };
    let parts = value[..end].split([':', '/', '|']).collect::<Vec<_>>();
    // The last part may go on behind the wildcard.
    let whole = &parts[..parts.len() - 1];
    whole.len() >= 2 && whole.iter().take(2).all(|part| !part.is_empty())
}

/// What a subject of a known issuer looks like.
fn example_subject(issuer: &str) -> &'static str {
    let known = [
        (
            "https://token.actions.githubusercontent.com",
            "repo:acme/app:*",
        ),
        ("https://gitlab.com", "project_path:acme/app:*"),
        (
            "https://app.terraform.io",
            "organization:acme:project:app:*",
        ),
        (
            "https://app.eu.terraform.io",
            "organization:acme:project:app:*",
        ),
        (
            "https://agent.buildkite.com",
            "organization:acme:pipeline:app:*",
        ),
    ];
    let found = known.iter().find(|(known, _)| issuer.starts_with(known));
    found.map_or("the whole subject", |(_, example)| example)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::SignatureAlgorithm;

    fn provider(issuer: &str) -> OidcProvider {
        OidcProvider {
            issuer: issuer.to_owned(),
            audiences: vec![
                "https://kw.example/org/acme".to_owned(),
                "client-7".to_owned(),
            ],
            algorithms: SignatureAlgorithm::DEFAULT.to_vec(),
            jwks: None,
            shared: false,
            max_token_age_seconds: None,
            mappings: Vec::new(),
        }
    }

    #[test]
    fn audiences() {
        let cases = [
            ("https://kw.example/org/acme", "Ok"),
            ("http://127.0.0.1:6381/org/acme", "Ok"),
            ("keyward:org/acme", "Ok"),
            ("0oa1b2c3d4", "Ok"),
            ("https://kw.example/org/other", "OtherOrganisation"),
            ("keyward:org/other", "OtherOrganisation"),
            ("sts.amazonaws.com", "GenericAudience"),
            ("https://kubernetes.default.svc", "GenericAudience"),
            (
                "https://kubernetes.default.svc.cluster.local",
                "GenericAudience",
            ),
            ("api://AzureADTokenExchange", "GenericAudience"),
            ("https://github.com/acme", "GenericAudience"),
            ("keyward", "GenericAudience"),
            ("", "Audience"),
            ("*", "Audience"),
            ("https://kw.example/*", "Audience"),
            ("${x}", "Audience"),
            ("a b", "Audience"),
        ];
        for (audience, expected) in cases {
            let found = check_audience(audience, "acme");
            let name = found
                .as_ref()
                .err()
                .map_or("Ok".to_owned(), |e| format!("{e:?}"));
            assert!(name.starts_with(expected), "{audience:?}: {found:?}");
        }
    }

    #[test]
    fn what_a_trust_must_fix() {
        const AUD: &str = r#""StringEquals":{"keyward:Token/aud":"https://kw.example/org/acme"}"#;
        let github = "https://token.actions.githubusercontent.com";
        let own = "https://gitlab.acme.example";
        let with = |more: &str| format!("{{{AUD},{more}}}");
        let like = |sub: &str| with(&format!(r#""StringLike":{{"keyward:Token/sub":{sub}}}"#));
        let cases = [
            (own, format!("{{{AUD}}}"), "Ok"),
            (own, r#"{"ForAnyValue:StringEquals":{"keyward:Token/aud":["client-7"]}}"#.to_owned(), "Ok"),
            (own, "{}".to_owned(), "NoAudience"),
            (own, r#"{"StringLike":{"keyward:Token/aud":"*"}}"#.to_owned(), "NoAudience"),
            (own, r#"{"StringEqualsIfExists":{"keyward:Token/aud":"client-7"}}"#.to_owned(), "NoAudience"),
            (own, r#"{"ForAllValues:StringEquals":{"keyward:Token/aud":"client-7"}}"#.to_owned(), "NoAudience"),
            (own, r#"{"StringNotEquals":{"keyward:Token/aud":"client-7"}}"#.to_owned(), "NoAudience"),
            (own, r#"{"StringEquals":{"keyward:Token/aud":[]}}"#.to_owned(), "NoAudience"),
            (own, r#"{"StringEquals":{"keyward:Token/aud":"${keyward:x}"}}"#.to_owned(), "NoAudience"),
            (own, r#"{"StringEquals":{"keyward:Token/aud":["client-7","x"]}}"#.to_owned(), "AudienceNotTaken"),
            (github, format!("{{{AUD}}}"), "NoSubject"),
            (github, like(r#""*""#), "OpenSubject"),
            (github, like(r#""repo:*""#), "OpenSubject"),
            (github, like(r#""repo:acme*""#), "OpenSubject"),
            (github, like(r#""repo:*/app:*""#), "OpenSubject"),
            (github, like(r#""repo:?cme/app:x""#), "OpenSubject"),
            (github, like(r#"":/*""#), "OpenSubject"),
            (github, like(r#"["repo:acme/app:*","*"]"#), "OpenSubject"),
            (github, like(r#""repo:acme/*""#), "Ok"),
            (github, like(r#""repo:acme/app:ref:refs/heads/main""#), "Ok"),
            (github, like(r#"["repo:acme/app:*","repo:acme/web:*"]"#), "Ok"),
            (github, with(r#""StringLikeIfExists":{"keyward:Token/sub":"repo:acme/app:*"}"#), "NoSubject"),
            (github, with(r#""StringNotLike":{"keyward:Token/sub":"repo:acme/app:*"}"#), "NoSubject"),
            (
                github,
                r#"{"StringEquals":{"keyward:Token/aud":"client-7","keyward:Token/sub":"repo:acme/app:pull_request"}}"#.to_owned(),
                "Ok",
            ),
            (
                github,
                r#"{"StringEquals":{"keyward:Token/aud":"client-7","keyward:Token/sub":""}}"#.to_owned(),
                "OpenSubject",
            ),
        ];
        for (issuer, conditions, expected) in cases {
            let json = serde_json::from_str(&conditions).unwrap();
            let found = check_token_conditions(Some(&json), &provider(issuer));
            let name = found
                .as_ref()
                .err()
                .map_or("Ok".to_owned(), |e| format!("{e:?}"));
            assert!(
                name.starts_with(expected),
                "{issuer} {conditions}: {found:?}"
            );
        }
        let shared = OidcProvider {
            shared: true,
            ..provider(own)
        };
        let json = serde_json::from_str(&format!("{{{AUD}}}")).unwrap();
        assert!(matches!(
            check_token_conditions(Some(&json), &shared),
            Err(TrustRuleError::NoSubject { .. })
        ));
        assert!(matches!(
            check_token_conditions(None, &shared),
            Err(TrustRuleError::NoAudience(_))
        ));
    }
}
