//! One organisation, thing by thing, for tests that say what is in it.

use keyward_iam::{
    Backend, Change, ChangeContext, Directory, OidcProvider, Provider, SignatureAlgorithm,
    UnixMillis,
};

/// A directory in which these changes were made; each must be possible.
pub(crate) fn build(changes: Vec<Change>) -> Directory {
    let context = ChangeContext::system(UnixMillis(1));
    let mut directory = Directory::empty();
    for change in changes {
        directory = match directory.apply(&change, &context) {
            Ok(applied) => applied.directory,
            Err(error) => panic!("{change:?}: {error}"),
        };
    }
    directory
}

/// An organisation and `user/u-<id>`, whose it is.
pub(crate) fn organisation(id: &str) -> Vec<Change> {
    vec![
        Change::CreateUser {
            id: format!("u-{id}"),
            name: None,
        },
        Change::CreateOrganisation {
            id: id.into(),
            name: None,
            owner: format!("user/u-{id}"),
            account: format!("{:0>12}", id.len()),
            administrator: None,
        },
    ]
}

/// A programmatic identity of `acme`.
pub(crate) fn identity(id: &str) -> Change {
    Change::CreateProgrammaticIdentity {
        organisation: "acme".into(),
        id: id.into(),
        name: None,
    }
}

/// A role of `acme`.
pub(crate) fn role(id: &str) -> Change {
    Change::CreateRole {
        organisation: "acme".into(),
        id: id.into(),
        name: None,
        description: None,
        max_session_seconds: None,
    }
}

/// A database of `acme`.
pub(crate) fn database(id: &str) -> Change {
    Change::CreateDatabase {
        organisation: "acme".into(),
        id: id.into(),
        name: None,
        description: None,
        backend: Backend::Embedded,
    }
}

/// An identity provider of `acme` whose tokens are for `https://kw.example/org/acme`.
pub(crate) fn token_issuer(id: &str) -> Change {
    Change::CreateIdentityProvider {
        organisation: "acme".into(),
        id: id.into(),
        name: None,
        provider: Box::new(Provider::Oidc(OidcProvider {
            issuer: "https://ci.example".into(),
            audiences: vec!["https://kw.example/org/acme".into()],
            algorithms: SignatureAlgorithm::DEFAULT.to_vec(),
            jwks: None,
            shared: false,
            max_token_age_seconds: None,
            mappings: Vec::new(),
        })),
    }
}
