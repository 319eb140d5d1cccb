//! From a token of an identity provider to a session of a role.

use std::net::IpAddr;
use std::sync::Arc;

use keyward_iam::{
    AssumeRole, AssumeRoleError, AssumedRole, Directory, IdentityIx, Kind, OidcProvider, Provider,
    Session, Slug, TokenFacts, UnixMillis, organisation_of_audience,
};

use super::jwks::Jwks;
use super::jwt::{Expected, MAX_TOKEN_AGE_SECONDS, TokenError, UnverifiedToken, VerifiedToken};
use super::keys::{Asker, IssuerKeys, KeysError, KnownKeys};
use crate::login::{Login, LoginError, PASSWORD_ONLY_USER};
use crate::session_token::SessionId;
use crate::verifier::TokenVerifier;

/// User name that leaves the role to the token, where only one takes it.
pub const ANY_ROLE_USER: &str = "oidc";

/// Roles that are tried for a token that names none.
const MAX_TRIED: usize = 50;

/// Why a token was not verified.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The token is not what the provider takes.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The issuer's keys are not known.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// They are being fetched: ask again in a moment.
    #[error("the keys of the token's issuer are being fetched")]
    Pending,
}

/// Verifies the tokens of identity providers, and opens what they open.
#[derive(Clone, Debug)]
pub struct ProviderTokens {
    keys: IssuerKeys,
}

impl VerifiedToken {
    /// What decisions read of it.
    #[must_use]
    pub fn facts(&self) -> TokenFacts {
        TokenFacts {
            issuer: self.issuer.clone(),
            subject: self.subject.clone(),
            audiences: self.audiences.clone(),
            claims: self.claims.clone(),
            token_id: Some(self.token_id.clone()),
        }
    }

    /// A name for a session of its holder: its subject, as far as names of sessions permit.
    #[must_use]
    pub fn session_name(&self) -> String {
        let kept = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
        let name = self.subject.chars().take(64);
        let name = name.map(|c| if kept(c) { c } else { '-' });
        let mut name = name.collect::<String>();
        while name.len() < 2 {
            name.push('-');
        }
        name
    }
}

impl ProviderTokens {
    /// With the keys of issuers.
    #[must_use]
    pub fn new(keys: IssuerKeys) -> Self {
        Self { keys }
    }

    /// The keys of issuers.
    #[must_use]
    pub fn keys(&self) -> &IssuerKeys {
        &self.keys
    }

    /// Verifies a token for a provider of an organisation by what is known now.
    ///
    /// # Errors
    /// Why it does not pass, or that it cannot be told yet.
    pub fn verify(
        &self,
        provider: &OidcProvider,
        organisation: &str,
        token: &UnverifiedToken,
        now: UnixMillis,
    ) -> Result<VerifiedToken, VerifyError> {
        let asker = Asker::Organisation(organisation.into());
        let look = |unknown_key| self.keys.look(&provider.issuer, &asker, unknown_key, now);
        verify(provider, token, now, look)
    }
}

/// Providers of any organisation that a token could be for: those of its issuer that take one of its
/// audiences. Nothing of it was verified yet.
#[must_use]
pub fn providers_for(directory: &Directory, token: &UnverifiedToken) -> Vec<IdentityIx> {
    let issuer = token.issuer().unwrap_or_default();
    let audiences = token.audiences();
    let providers = directory.providers_of_issuer(issuer).iter().copied();
    providers
        .filter(|ix| {
            let oidc = oidc(directory, *ix);
            oidc.is_some_and(|oidc| oidc.audiences.iter().any(|own| audiences.contains(own)))
        })
        .collect()
}

fn oidc(directory: &Directory, ix: IdentityIx) -> Option<&OidcProvider> {
    match directory.provider(ix)? {
        Provider::Oidc(oidc) => Some(oidc),
        _ => None,
    }
}

fn verify(
    provider: &OidcProvider,
    token: &UnverifiedToken,
    now: UnixMillis,
    look: impl Fn(bool) -> KnownKeys,
) -> Result<VerifiedToken, VerifyError> {
    let max_age_seconds = provider.max_token_age_seconds;
    let expected = Expected {
        issuer: &provider.issuer,
        audiences: &provider.audiences,
        algorithms: &provider.algorithms,
        max_age_seconds: max_age_seconds.unwrap_or(MAX_TOKEN_AGE_SECONDS),
    };
    if let Some(inline) = &provider.jwks {
        let unusable = |error| KeysError::Keys(provider.issuer.clone(), format!("{error}"));
        let keys = Jwks::parse(inline.to_string().as_bytes()).map_err(unusable)?;
        return Ok(token.verify(&expected, &keys, now)?);
    }
    let known = look(false);
    let Some(keys) = &known.keys else {
        return Err(missing(&provider.issuer, known));
    };
    match token.verify(&expected, keys, now) {
        Err(unknown @ TokenError::UnknownKey(_)) => {
            let newer = look(true);
            if newer.pending {
                return Err(VerifyError::Pending);
            }
            match newer.keys {
                Some(newer) if newer != *keys => Ok(token.verify(&expected, &newer, now)?),
                _ => Err(unknown.into()),
            }
        }
        other => Ok(other?),
    }
}

fn missing(issuer: &str, known: KnownKeys) -> VerifyError {
    if known.pending {
        return VerifyError::Pending;
    }
    let slow = || KeysError::Slow(issuer.to_owned());
    known.failure.unwrap_or_else(slow).into()
}

/// A user name: `<role>[.<database>[.<organisation>]]`; no role where it is `oidc`, `default` or
/// nothing.
#[derive(Debug, Eq, PartialEq)]
struct RoleUser<'a> {
    role: Option<&'a str>,
    suffix: Option<&'a str>,
}

impl<'a> RoleUser<'a> {
    fn parse(user: &'a [u8]) -> Option<Self> {
        let user = std::str::from_utf8(user).ok()?;
        if user.is_empty() || user == PASSWORD_ONLY_USER {
            return Some(Self {
                role: None,
                suffix: None,
            });
        }
        let (role, suffix) = match user.split_once('.') {
            Some((role, suffix)) => (role, Some(suffix)),
            None => (user, None),
        };
        let is_slug = |id: &str| id.parse::<Slug>().is_ok();
        if let Some(suffix) = suffix
            && (suffix.split('.').count() > 2 || !suffix.split('.').all(is_slug))
        {
            return None;
        }
        let role = match role {
            ANY_ROLE_USER => None,
            role => Some(is_slug(role).then_some(role)?),
        };
        Some(Self { role, suffix })
    }

    fn organisation(&self) -> Option<&'a str> {
        self.suffix?
            .split_once('.')
            .map(|(_, organisation)| organisation)
    }
}

/// What a token opened, in one organisation.
type Opened = Vec<(String, AssumedRole)>;

impl ProviderTokens {
    /// Tries the roles that a login can mean, at every provider that takes its token.
    fn open(
        &self,
        directory: &Directory,
        user: &RoleUser<'_>,
        token: &UnverifiedToken,
        connection: &Session,
        now: UnixMillis,
    ) -> Result<Opened, LoginError> {
        let mut opened = Opened::new();
        let (mut pending, mut homeless) = (false, false);
        for provider in providers_for(directory, token) {
            let (Some(identity), Some(oidc)) =
                (directory.identity(provider), oidc(directory, provider))
            else {
                continue;
            };
            let organisation = identity.organisation.and_then(|ix| directory.identity(ix));
            let Some(organisation) = organisation.map(|organisation| organisation.id()) else {
                continue;
            };
            let verified = match self.verify(oidc, organisation, token, now) {
                Ok(verified) => verified,
                Err(VerifyError::Pending) => {
                    pending = true;
                    continue;
                }
                Err(_) => continue,
            };
            // Whose token it is stands in its audience, or the client says so: never does it
            // depend on what other organisations have registered.
            let audiences = verified
                .audiences
                .iter()
                .filter(|one| oidc.audiences.contains(one));
            let named = audiences.filter_map(|one| organisation_of_audience(one));
            if named.clone().count() == 0 && user.organisation() != Some(organisation) {
                homeless = true;
                continue;
            }
            let roles = match user.role {
                Some(role) => vec![format!("org/{organisation}/role/{role}")],
                None => roles_of(directory, provider),
            };
            let facts = Arc::new(verified.facts());
            for role in roles {
                let ask = AssumeRole {
                    role: role.clone(),
                    session_name: verified.session_name(),
                    ..AssumeRole::default()
                };
                let path = &identity.path;
                let id = SessionId::derived(&[path, &role, &facts.issuer, &verified.token_id]);
                let id = id.to_string();
                match directory.assume_role_with_token(path, &facts, &ask, connection, &id, now) {
                    Ok(assumed) => opened.push((role, assumed)),
                    Err(AssumeRoleError::Ambiguous { .. }) => {
                        return Err(LoginError::SeveralTrusts);
                    }
                    Err(_) => {}
                }
            }
        }
        if opened.is_empty() {
            return Err(match (pending, homeless) {
                (true, _) => LoginError::Pending,
                (_, true) => LoginError::NoOrganisation,
                _ => LoginError::WrongPass,
            });
        }
        Ok(opened)
    }
}

/// Paths of the roles that trust a provider.
fn roles_of(directory: &Directory, provider: IdentityIx) -> Vec<String> {
    let trusts = directory.trusts_in_provider(provider);
    let roles = trusts.filter_map(|trust| directory.identity(trust.trustor));
    let roles = roles.filter(|identity| identity.kind == Kind::Role);
    let mut roles = roles.map(|role| role.path.to_string()).collect::<Vec<_>>();
    roles.sort();
    roles.dedup();
    roles.truncate(MAX_TRIED);
    roles
}

impl TokenVerifier for ProviderTokens {
    fn login(
        &self,
        directory: &Directory,
        user: &[u8],
        token: &[u8],
        source: Option<IpAddr>,
        now: UnixMillis,
    ) -> Result<Login, LoginError> {
        let user = RoleUser::parse(user).ok_or(LoginError::WrongPass)?;
        let token = UnverifiedToken::parse(token).map_err(|_| LoginError::WrongPass)?;
        let connection = Session {
            source,
            // Whoever asks here has seen to it that credentials may come over the connection.
            secure: true,
            ..Session::unauthenticated()
        };
        let mut opened = self.open(directory, &user, &token, &connection, now)?;
        if opened.len() > 1 {
            return Err(LoginError::SeveralRoles);
        }
        let (_, assumed) = opened.pop().ok_or(LoginError::WrongPass)?;
        let session = directory
            .session_of(&Arc::new(assumed.session), now)
            .map_err(|_| LoginError::WrongPass)?;
        Ok(Login {
            session,
            suffix: user.suffix.map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_names() {
        let name = |role, suffix| Some(RoleUser { role, suffix });
        let cases = [
            ("", name(None, None)),
            ("default", name(None, None)),
            ("oidc", name(None, None)),
            ("oidc.sessions", name(None, Some("sessions"))),
            ("deployer", name(Some("deployer"), None)),
            (
                "deployer.sessions",
                name(Some("deployer"), Some("sessions")),
            ),
            (
                "deployer.sessions.acme",
                name(Some("deployer"), Some("sessions.acme")),
            ),
            ("deployer.", None),
            ("deployer.a.b.c", None),
            ("deployer..acme", None),
            ("Deployer", None),
            ("role/deployer", None),
            (".sessions", None),
            ("system", None),
        ];
        for (text, expected) in cases {
            assert_eq!(RoleUser::parse(text.as_bytes()), expected, "{text:?}");
        }
        assert_eq!(RoleUser::parse(b"\xff"), None);
    }
}
