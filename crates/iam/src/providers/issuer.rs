//! URLs of issuers.

/// Longest URL of an issuer, in bytes.
pub const MAX_ISSUER_LEN: usize = 255;

/// Issuers whose tokens anybody can get who has an account there: a trust in one of them must say
/// whose tokens it means. `*` stands for one or more characters without `/`.
///
/// Source: the documentation of each; per-customer issuers of the same vendors are not listed.
const SHARED_ISSUERS: [&str; 30] = [
    "https://token.actions.githubusercontent.com",
    "https://token.actions.githubusercontent.com/*",
    "https://github.com/login/oauth",
    "https://gitlab.com",
    "https://accounts.google.com",
    "https://login.microsoftonline.com/common/v2.0",
    "https://login.microsoftonline.com/organizations/v2.0",
    "https://login.microsoftonline.com/consumers/v2.0",
    "https://login.microsoftonline.com/{tenantid}/v2.0",
    "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0",
    "https://app.terraform.io",
    "https://app.eu.terraform.io",
    "https://agent.buildkite.com",
    "https://cognito-identity.amazonaws.com",
    "https://appleid.apple.com",
    "https://www.facebook.com",
    "https://limited.facebook.com",
    "https://slack.com",
    "https://login.salesforce.com",
    "https://test.salesforce.com",
    "https://www.linkedin.com/oauth",
    "https://id.twitch.tv/oauth2",
    "https://api.login.yahoo.com",
    "https://oidc.vercel.com",
    "https://api.pulumi.com/oidc",
    "https://oidc.codefresh.io",
    "https://identity.depot.dev",
    "https://issuer.enforce.dev",
    "https://oauth2.sigstore.dev/auth",
    "https://login.app.env0.com",
];

/// Whether an issuer is known to be shared by many customers. A `/` at the end does not count.
#[must_use]
pub fn is_shared_issuer(issuer: &str) -> bool {
    let bare = issuer.strip_suffix('/').unwrap_or(issuer);
    SHARED_ISSUERS
        .iter()
        .any(|known| match known.strip_suffix('*') {
            Some(beginning) => bare
                .strip_prefix(beginning)
                .is_some_and(|rest| !rest.is_empty()),
            None => bare.eq_ignore_ascii_case(known),
        })
}

/// A URL of an issuer: `https`, or `http` on this machine, without user, query and fragment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct IssuerUrl<'a> {
    host: &'a str,
    plain: bool,
}

/// Why a text is no URL of an issuer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{url}` is no URL of an issuer: {reason}")]
pub struct IssuerUrlError {
    url: String,
    reason: &'static str,
}

impl<'a> IssuerUrl<'a> {
    /// Reads the URL of an issuer.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(url: &'a str) -> Result<Self, IssuerUrlError> {
        let wrong = |reason| Self::wrong(url, reason);
        if url.contains('?') {
            return Err(wrong("it has a query"));
        }
        Self::parse_endpoint(url)
    }

    /// Reads a URL that an issuer names, which may have a query.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse_endpoint(url: &'a str) -> Result<Self, IssuerUrlError> {
        let wrong = |reason| Self::wrong(url, reason);
        if url.len() > MAX_ISSUER_LEN {
            return Err(wrong("it is longer than 255 bytes"));
        }
        if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("it has blanks, or characters outside ASCII"));
        }
        if url.contains(['#', '\\']) {
            return Err(wrong("it has a fragment or a backslash"));
        }
        let (rest, plain) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (rest, false),
            (None, Some(rest)) => (rest, true),
            (None, None) => return Err(wrong("it does not begin with `https://`")),
        };
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(wrong("it names a user"));
        }
        let host = match authority.strip_prefix('[') {
            Some(v6) => v6.split(']').next().unwrap_or_default(),
            None => authority.split(':').next().unwrap_or_default(),
        };
        if host.is_empty() {
            return Err(wrong("it has no host"));
        }
        let local = host == "localhost"
            || host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback());
        if plain && !local {
            return Err(wrong(
                "`http` is for issuers on this machine only; write `https`",
            ));
        }
        Ok(Self { host, plain })
    }

    fn wrong(url: &str, reason: &'static str) -> IssuerUrlError {
        IssuerUrlError {
            url: url.chars().take(MAX_ISSUER_LEN).collect(),
            reason,
        }
    }

    /// Its host, an address without brackets.
    #[must_use]
    pub fn host(&self) -> &'a str {
        self.host
    }

    /// Whether it is `http`.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let cases = [
            (
                "https://token.actions.githubusercontent.com",
                Some("token.actions.githubusercontent.com"),
            ),
            (
                "https://gitlab.acme.example:8443/x",
                Some("gitlab.acme.example"),
            ),
            ("http://127.0.0.1:4000", Some("127.0.0.1")),
            ("http://localhost:4000/x", Some("localhost")),
            ("http://[::1]:4000", Some("::1")),
            ("http://acme.example", None),
            ("http://127.0.0.1.evil.example", None),
            ("http://localhost.evil.example", None),
            ("https://", None),
            ("https:///x", None),
            ("https://user@acme.example", None),
            ("https://acme.example/x?y", None),
            ("https://acme.example/x#y", None),
            ("https://acme.example\\@evil.example", None),
            ("https://acme .example", None),
            ("https://acm\u{e9}.example", None),
            ("ftp://acme.example", None),
            ("", None),
        ];
        for (url, host) in cases {
            assert_eq!(
                IssuerUrl::parse(url).ok().map(|url| url.host()),
                host,
                "{url:?}"
            );
        }
    }

    #[test]
    fn who_shares() {
        let cases = [
            ("https://token.actions.githubusercontent.com", true),
            ("https://token.actions.githubusercontent.com/", true),
            (
                "https://token.actions.githubusercontent.com/acme-enterprise",
                true,
            ),
            ("https://gitlab.com", true),
            ("https://gitlab.com/", true),
            ("https://login.microsoftonline.com/common/v2.0", true),
            (
                "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0",
                false,
            ),
            ("https://gitlab.acme.example", false),
            ("https://oidc.eks.eu-west-1.amazonaws.com/id/ABC", false),
        ];
        for (issuer, shared) in cases {
            assert_eq!(is_shared_issuer(issuer), shared, "{issuer}");
        }
    }
}
