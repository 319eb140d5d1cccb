//! Identity providers, and what their claims lead to.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{ChangeContext, ChangeError, Editor, Outcome};
use crate::change::Change;
use crate::directory::Directory;
use crate::entities::{Trust, TrustKind};
use crate::ids::{IdentityIx, Kind, MAX_ID_LEN, PathParts, Slug, UnixMillis};
use crate::providers::{
    CertificateAuthority, ClaimMapping, IssuerUrl, MAX_AUDIENCES, MAX_BUNDLE_LEN,
    MAX_MAPPING_VALUES, MAX_MAPPINGS, OidcProvider, Provider, SignInMapping, check_audience,
    check_token_conditions,
};

/// Longest claim path, claim value, certificate name or id of a sign-in, in bytes.
const MAX_TEXT_LEN: usize = 512;

/// Longest inline set of keys, in bytes.
const MAX_INLINE_KEYS_LEN: usize = 64 * 1024;

/// Shortest and longest age of tokens that a provider can take, in seconds.
const TOKEN_AGE_SECONDS: std::ops::RangeInclusive<u32> = 60..=24 * 60 * 60;

fn invalid<T>(reason: impl Into<String>) -> Result<T, ChangeError> {
    Err(ChangeError::Invalid {
        reason: reason.into(),
    })
}

fn limit<T>(what: &'static str, max: usize) -> Result<T, ChangeError> {
    Err(ChangeError::Limit { what, max })
}

fn check_text(what: &str, text: &str) -> Outcome {
    let fits = (1..=MAX_TEXT_LEN).contains(&text.len()) && !text.chars().any(char::is_control);
    match fits {
        true => Ok(()),
        false => invalid(format!(
            "{what} has 1 to {MAX_TEXT_LEN} bytes and no control characters"
        )),
    }
}

/// The id of what a provider manages by itself: a function of what it says, so that it can come
/// back after it went, and never comes to mean another thing.
fn managed_id(parts: &[&str]) -> String {
    // FNV-1a of 64 bits, twice: an id, no secret.
    let hash = |basis: u64| {
        let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
        bytes.fold(basis, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    };
    let id = format!(
        "managed-{:016x}{:016x}",
        hash(0xcbf2_9ce4_8422_2325),
        hash(0x8422_2325_cbf2_9ce4)
    );
    debug_assert!(id.len() <= MAX_ID_LEN);
    id
}

/// The conditions of the trust that a mapping of an issuer's claims stands for.
fn mapping_conditions(provider: &OidcProvider, mapping: &ClaimMapping) -> String {
    let claim = format!("keyward:Token/{}", mapping.claim);
    let mut any = BTreeMap::from([("keyward:Token/aud".to_owned(), &provider.audiences)]);
    any.insert(claim, &mapping.values);
    json!({ "ForAnyValue:StringEquals": any }).to_string()
}

impl Trust {
    /// Path of the identity provider that made the trust and ends it; `None` where people did.
    #[must_use]
    pub fn managed_by(&self) -> Option<&str> {
        let by = &*self.created.by;
        by.contains("/identity_provider/").then_some(by)
    }
}

impl Directory {
    /// Providers of any organisation that speak for an issuer.
    #[must_use]
    pub fn providers_of_issuer(&self, issuer: &str) -> &[IdentityIx] {
        self.providers_by(&format!("oidc {issuer}"))
    }

    /// What organisations make of a sign-in provider of the deployment.
    #[must_use]
    pub fn providers_of_sign_in(&self, sign_in: &str) -> &[IdentityIx] {
        self.providers_by(&format!("sign_in {sign_in}"))
    }

    /// Certificate authorities of all organisations.
    #[must_use]
    pub fn certificate_authorities(&self) -> &[IdentityIx] {
        self.providers_by("certificate_authority")
    }

    fn providers_by(&self, key: &str) -> &[IdentityIx] {
        self.providers.get(key).map_or(&[], Vec::as_slice)
    }

    /// What a provider is.
    #[must_use]
    pub fn provider(&self, ix: IdentityIx) -> Option<&Provider> {
        self.identity(ix)?.provider.as_deref()
    }

    /// Keeps the index of providers.
    pub(crate) fn index_provider(
        &mut self,
        ix: IdentityIx,
        old: Option<&Provider>,
        new: Option<&Provider>,
    ) {
        let providers = Arc::make_mut(&mut self.providers);
        if let Some(key) = old.map(Provider::index_key)
            && let Some(list) = providers.get_mut(&*key)
        {
            list.retain(|found| *found != ix);
            if list.is_empty() {
                providers.remove(&*key);
            }
        }
        if let Some(key) = new.map(Provider::index_key) {
            providers.entry(key).or_default().push(ix);
        }
    }

    /// The trusts in which a provider is the trustee.
    pub fn trusts_in_provider(&self, ix: IdentityIx) -> impl Iterator<Item = &Trust> {
        let trusts = self.identity(ix).map(|i| &i.trusted_by[..]);
        let trusts = trusts.unwrap_or_default().iter();
        trusts.filter_map(|trust| self.trust(*trust))
    }

    /// Whether what a person's claims give differs from what the person has: most sign-ins change
    /// nothing.
    #[must_use]
    pub fn would_sync(&self, sync: &Change, at: UnixMillis) -> bool {
        let applied = self.apply(sync, &ChangeContext::system(at));
        applied.map_or(true, |applied| !applied.rows.is_empty())
    }

    /// The roles, groups and identities that a provider feeds: those of its mappings, and those that
    /// trust it.
    #[must_use]
    pub fn fed_by_provider(&self, ix: IdentityIx) -> Vec<String> {
        let mut fed = self.provider(ix).map(Provider::targets).unwrap_or_default();
        let trusts = self
            .identity(ix)
            .map(|i| &i.trusted_by[..])
            .unwrap_or_default();
        for trust in trusts.iter().filter_map(|trust| self.trust(*trust)) {
            fed.extend(self.identity(trust.trustor).map(|i| i.path.to_string()));
        }
        fed.sort();
        fed.dedup();
        fed
    }
}

impl Provider {
    fn index_key(&self) -> Box<str> {
        match self {
            Self::Oidc(oidc) => format!("oidc {}", oidc.issuer).into(),
            Self::SignIn(sign_in) => format!("sign_in {}", sign_in.sign_in).into(),
            Self::CertificateAuthority(_) => "certificate_authority".into(),
        }
    }

    /// What its mappings lead to.
    #[must_use]
    pub fn targets(&self) -> Vec<String> {
        let mut targets = match self {
            Self::Oidc(OidcProvider { mappings, .. })
            | Self::SignIn(SignInMapping { mappings, .. }) => mappings
                .iter()
                .flat_map(|mapping| mapping.to.clone())
                .collect(),
            Self::CertificateAuthority(authority) => {
                let identities = authority.mappings.iter().map(|m| m.identity.clone());
                identities.collect::<Vec<_>>()
            }
        };
        targets.sort();
        targets.dedup();
        targets
    }

    /// The same, with the paths of its mappings in full.
    #[must_use]
    pub fn with_full_paths(mut self, organisation: &str) -> Self {
        let full = |path: &mut String| *path = crate::ids::full_path(path, organisation);
        match &mut self {
            Self::Oidc(OidcProvider { mappings, .. })
            | Self::SignIn(SignInMapping { mappings, .. }) => {
                mappings.iter_mut().flat_map(|m| &mut m.to).for_each(full);
            }
            Self::CertificateAuthority(authority) => {
                authority
                    .mappings
                    .iter_mut()
                    .map(|m| &mut m.identity)
                    .for_each(full);
            }
        }
        self
    }
}

impl Editor<'_> {
    pub(super) fn create_provider(
        &mut self,
        organisation: &str,
        id: &str,
        name: Option<&str>,
        provider: &Provider,
    ) -> Outcome {
        let provider = provider.clone().with_full_paths(organisation);
        self.check_provider(organisation, &provider)?;
        let ix = self.create_member(Kind::IdentityProvider, organisation, id, name)?;
        self.directory.index_provider(ix, None, Some(&provider));
        self.identity_mut(ix).provider = Some(Box::new(provider));
        self.renew_mapping_trusts(ix)
    }

    pub(super) fn update_provider(&mut self, path: &str, provider: &Provider) -> Outcome {
        let ix = self.identity_at(path)?;
        let missing = || ChangeError::NotFound {
            path: path.to_owned(),
        };
        let organisation = self.organisation_id(ix);
        let provider = provider.clone().with_full_paths(&organisation);
        let old = self.identity(ix).provider.clone().ok_or_else(missing)?;
        if std::mem::discriminant(&*old) != std::mem::discriminant(&provider) {
            return invalid("a provider keeps its type: make another one");
        }
        if let (Provider::Oidc(old), Provider::Oidc(new)) = (&*old, &provider)
            && old.issuer != new.issuer
        {
            // What trusts say of subjects is about this issuer's.
            return invalid("a provider keeps its issuer: make another one");
        }
        if let (Provider::SignIn(old), Provider::SignIn(new)) = (&*old, &provider)
            && old.sign_in != new.sign_in
        {
            return invalid("a provider keeps its sign-in: make another one");
        }
        self.check_provider(&organisation, &provider)?;
        self.directory
            .index_provider(ix, Some(&old), Some(&provider));
        self.identity_mut(ix).provider = Some(Box::new(provider.clone()));
        self.changed(path);
        self.renew_mapping_trusts(ix)?;
        self.end_unmapped(path, &old, &provider)?;
        for trust in self.identity(ix).trusted_by.clone() {
            if let Some(trust) = self.directory.trust(trust).cloned() {
                self.check_provider_trust(&trust)?;
            }
        }
        Ok(())
    }

    /// What a provider made by itself goes with it.
    pub(super) fn forget_provider(&mut self, ix: IdentityIx) -> Outcome {
        let path = self.identity(ix).path.clone();
        for trust in self.managed_trusts(&path) {
            self.remove_trust(&trust)?;
        }
        let provider = self.identity(ix).provider.clone();
        self.directory.index_provider(ix, provider.as_deref(), None);
        Ok(())
    }

    /// A trust in a provider must be of the same organisation, assumable, and say whose tokens it
    /// means.
    pub(super) fn check_provider_trust(&self, trust: &Trust) -> Outcome {
        let trustee = self.identity(trust.trustee);
        let Some(provider) = &trustee.provider else {
            return Ok(());
        };
        let path = &trustee.path;
        if self.identity(trust.trustor).organisation != trustee.organisation {
            return invalid(format!(
                "`{path}` speaks for identities of its own organisation only"
            ));
        }
        let Provider::Oidc(oidc) = &**provider else {
            return invalid(format!(
                "`{path}` issues no tokens: what it leads to stands in its mappings"
            ));
        };
        let conditions = trust.conditions_text();
        let conditions = conditions.and_then(|text| serde_json::from_str::<Value>(text).ok());
        check_token_conditions(conditions.as_ref(), oidc)?;
        Ok(())
    }

    fn organisation_id(&self, ix: IdentityIx) -> String {
        let organisation = self.identity(ix).organisation.map(|ix| self.identity(ix));
        organisation.map(|o| o.id().to_owned()).unwrap_or_default()
    }

    fn check_provider(&self, organisation: &str, provider: &Provider) -> Outcome {
        match provider {
            Provider::Oidc(oidc) => self.check_oidc(organisation, oidc),
            Provider::SignIn(sign_in) => {
                sign_in.sign_in.parse::<Slug>()?;
                self.check_mappings(organisation, &sign_in.mappings, &[Kind::Group, Kind::Role])
            }
            Provider::CertificateAuthority(authority) => {
                self.check_authority(organisation, authority)
            }
        }
    }

    fn check_oidc(&self, organisation: &str, oidc: &OidcProvider) -> Outcome {
        IssuerUrl::parse(&oidc.issuer).map_err(|error| ChangeError::Invalid {
            reason: error.to_string(),
        })?;
        if oidc.audiences.is_empty() {
            return invalid(
                "a provider has at least one audience: what tokens that are made for this \
                 organisation say in `aud`",
            );
        }
        if oidc.audiences.len() > MAX_AUDIENCES {
            return limit("audiences of a provider", MAX_AUDIENCES);
        }
        for audience in &oidc.audiences {
            check_audience(audience, organisation)?;
        }
        if oidc.algorithms.is_empty() {
            return invalid("a provider uses at least one algorithm");
        }
        if let Some(age) = oidc.max_token_age_seconds
            && !TOKEN_AGE_SECONDS.contains(&age)
        {
            return invalid("tokens may be 60 to 86400 seconds old");
        }
        if let Some(keys) = &oidc.jwks {
            let form = keys.get("keys").is_some_and(Value::is_array);
            if !form || keys.to_string().len() > MAX_INLINE_KEYS_LEN {
                return invalid("`jwks` is a set of keys: {\"keys\": […]}, 64 KiB at most");
            }
        }
        self.check_mappings(organisation, &oidc.mappings, &[Kind::Role])
    }

    fn check_mappings(
        &self,
        organisation: &str,
        mappings: &[ClaimMapping],
        kinds: &[Kind],
    ) -> Outcome {
        if mappings.len() > MAX_MAPPINGS {
            return limit("mappings of a provider", MAX_MAPPINGS);
        }
        for mapping in mappings {
            check_text("a claim", &mapping.claim)?;
            for (what, list) in [
                ("values", &mapping.values),
                ("things to lead to", &mapping.to),
            ] {
                if list.is_empty() {
                    return invalid(format!("a mapping of `{}` has no {what}", mapping.claim));
                }
                if list.len() > MAX_MAPPING_VALUES {
                    return limit(
                        "values of a mapping, and what it leads to",
                        MAX_MAPPING_VALUES,
                    );
                }
            }
            for value in &mapping.values {
                check_text("a value of a claim", value)?;
                if value.contains("${") {
                    return invalid(format!(
                        "the value `{value}` has a variable: a mapping takes whole values"
                    ));
                }
            }
            for path in &mapping.to {
                self.check_target(organisation, path, kinds)?;
            }
        }
        Ok(())
    }

    fn check_target(&self, organisation: &str, path: &str, kinds: &[Kind]) -> Outcome {
        // Before it is looked for: whether another organisation has it is not told.
        let of = PathParts::of(path).and_then(|parts| parts.organisation);
        if of != Some(organisation) {
            return invalid(format!("`{path}` is not of the provider's organisation"));
        }
        let identity = self.identity(self.identity_at(path)?);
        if kinds.contains(&identity.kind) {
            return Ok(());
        }
        let names = kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>();
        invalid(format!(
            "a mapping leads to a {}, and `{path}` is none",
            names.join(" or ")
        ))
    }

    fn check_authority(&self, organisation: &str, authority: &CertificateAuthority) -> Outcome {
        let pem = &authority.pem;
        if pem.len() > MAX_BUNDLE_LEN {
            return limit("bytes of a certificate bundle", MAX_BUNDLE_LEN);
        }
        if !pem.contains("-----BEGIN CERTIFICATE-----") || pem.contains("PRIVATE KEY") {
            return invalid(
                "`pem` is the certificate of an authority in PEM, and never a private key",
            );
        }
        if authority.mappings.len() > MAX_MAPPINGS {
            return limit("mappings of a provider", MAX_MAPPINGS);
        }
        let kinds = [Kind::ProgrammaticIdentity];
        for (number, mapping) in authority.mappings.iter().enumerate() {
            check_text("a name", &mapping.value)?;
            if mapping.value.contains(['*', '?']) {
                return invalid(format!(
                    "`{}` looks like a pattern: a mapping names one certificate, exactly",
                    mapping.value
                ));
            }
            let twin = authority.mappings[..number]
                .iter()
                .any(|other| other.name == mapping.name && other.value == mapping.value);
            if twin {
                return invalid(format!("`{}` is mapped twice", mapping.value));
            }
            self.check_target(organisation, &mapping.identity, &kinds)?;
        }
        Ok(())
    }

    /// Paths of the trusts that a provider made.
    fn managed_trusts(&self, provider: &str) -> Vec<String> {
        let all = self.directory.trusts();
        all.filter(|(_, trust)| trust.managed_by() == Some(provider))
            .map(|(_, trust)| trust.path.to_string())
            .collect()
    }

    /// A trust that a provider makes, unless it is there.
    fn manage(
        &mut self,
        provider: &str,
        id: &str,
        ends: (&str, &str),
        conditions: Option<&str>,
    ) -> Outcome {
        let organisation = provider.split('/').nth(1).unwrap_or_default();
        let path = format!("org/{organisation}/trust/{id}");
        if self.directory.trust_at(&path).is_some() {
            return Ok(());
        }
        let (from, to) = (self.identity_at(ends.0)?, self.identity_at(ends.1)?);
        let kind = match self.identity(from).kind {
            Kind::Role => TrustKind::Assumable,
            _ => TrustKind::Membership,
        };
        if kind == TrustKind::Membership {
            self.check_chain(from, to)?;
        }
        // Accepted: both ends are of one organisation, and its mapping was decided.
        let mut trust = self.new_trust(&path, from, to, kind);
        trust.conditions = self.conditions(conditions, ends.1, organisation)?;
        trust.created.by = provider.into();
        // What an earlier trust of this id opened ended with it.
        trust.conditions_revision = self.directory.revision + 1;
        self.check_provider_trust(&trust)?;
        // The id says what the trust is: to bring it back gives an old name no new meaning.
        self.put_trust(trust);
        Ok(())
    }

    /// The trusts that an issuer's mappings stand for: those that are new are made, those that are
    /// gone end.
    fn renew_mapping_trusts(&mut self, ix: IdentityIx) -> Outcome {
        let identity = self.identity(ix);
        let path = identity.path.clone();
        let Some(Provider::Oidc(oidc)) = identity.provider.as_deref().cloned() else {
            return Ok(());
        };
        let mut wanted = Vec::new();
        for mapping in &oidc.mappings {
            let conditions = mapping_conditions(&oidc, mapping);
            for role in &mapping.to {
                let id = managed_id(&[&path, role, &conditions]);
                self.manage(&path, &id, (role, &path), Some(&conditions))?;
                wanted.push(id);
            }
        }
        for trust in self.managed_trusts(&path) {
            let id = trust.rsplit('/').next().unwrap_or_default();
            if !wanted.iter().any(|wanted| wanted == id) {
                self.remove_trust(&trust)?;
            }
        }
        Ok(())
    }

    /// Memberships that a mapping gave which is gone, or asks for more now, end at once: whoever
    /// still has the claims gets them again at the next sign-in.
    fn end_unmapped(&mut self, path: &str, old: &Provider, new: &Provider) -> Outcome {
        let (Provider::SignIn(old), Provider::SignIn(new)) = (old, new) else {
            return Ok(());
        };
        let feeds = |mappings: &[ClaimMapping], target: &str| {
            let to = |mapping: &&ClaimMapping| mapping.to.iter().any(|path| path == target);
            let given = mappings.iter().filter(to);
            given
                .flat_map(|m| {
                    m.values
                        .iter()
                        .map(|value| (m.claim.clone(), value.clone()))
                })
                .collect::<Vec<_>>()
        };
        for trust in self.managed_trusts(path) {
            let (_, found) = self.trust_at(&trust)?;
            let target = self.identity(found.trustor).path.clone();
            let still = feeds(&new.mappings, &target);
            let kept = feeds(&old.mappings, &target)
                .iter()
                .all(|feed| still.contains(feed));
            if !kept {
                self.remove_trust(&trust)?;
            }
        }
        Ok(())
    }

    /// What a person's claims give in the organisations where the person is a member: memberships
    /// that are new are made, those that the claims no longer give end.
    pub(super) fn sync_sign_in(
        &mut self,
        user: &str,
        sign_in: &str,
        claims: &BTreeMap<String, Vec<String>>,
    ) -> Outcome {
        let person = self.identity_at(user)?;
        if self.identity(person).kind != Kind::User {
            return invalid(format!("`{user}` is no user"));
        }
        for provider in self.directory.providers_of_sign_in(sign_in).to_vec() {
            let identity = self.identity(provider);
            let (path, organisation) = (identity.path.clone(), identity.organisation);
            let Some(Provider::SignIn(mapping)) = identity.provider.as_deref().cloned() else {
                continue;
            };
            let Some(member) = self.member_of(person, organisation) else {
                continue;
            };
            let member_path = self.identity(member).path.clone();
            let mut wanted = Vec::new();
            for mapping in mapping
                .mappings
                .iter()
                .filter(|m| m.matches(claims).is_ok())
            {
                for target in &mapping.to {
                    let id = managed_id(&[&path, target, &member_path]);
                    if self.stands_already(target, member, &id) {
                        continue;
                    }
                    self.manage(&path, &id, (target, &member_path), None)?;
                    wanted.push(id);
                }
            }
            let ended = self.identity(member).trusted_by.iter().filter_map(|ix| {
                let trust = self.directory.trust(*ix)?;
                let id = trust.path.rsplit('/').next()?;
                let gone = trust.managed_by() == Some(&*path) && !wanted.iter().any(|w| w == id);
                gone.then(|| trust.path.to_string())
            });
            for trust in ended.collect::<Vec<_>>() {
                self.remove_trust(&trust)?;
            }
        }
        Ok(())
    }

    /// Whether a membership stands that somebody else made: it is theirs to end.
    fn stands_already(&self, target: &str, member: IdentityIx, id: &str) -> bool {
        let Ok(target) = self.identity_at(target) else {
            return true; // deleted: a mapping to nothing gives nothing
        };
        let trusts = self.identity(member).trusted_by.iter();
        let mut found = trusts.filter_map(|ix| self.directory.trust(*ix));
        found.any(|trust| trust.trustor == target && !trust.path.ends_with(&format!("/{id}")))
    }

    /// The membership of a person in an organisation, once the person has accepted it.
    fn member_of(
        &self,
        person: IdentityIx,
        organisation: Option<IdentityIx>,
    ) -> Option<IdentityIx> {
        let trusts = self.identity(person).trusted_by.iter();
        trusts
            .filter_map(|ix| self.directory.trust(*ix))
            .filter(|trust| trust.accepted && trust.kind != TrustKind::Ownership)
            .map(|trust| trust.trustor)
            .find(|trustor| {
                let identity = self.identity(*trustor);
                identity.kind == Kind::OrganisationUser && identity.organisation == organisation
            })
    }
}
