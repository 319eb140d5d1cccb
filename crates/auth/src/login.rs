//! From what a client sends as user name and password to a session.

use std::net::IpAddr;

use keyward_iam::{Directory, Session, Slug, UnixMillis};
use subtle::{Choice, ConstantTimeEq as _};

use crate::access_key::{AccessKeyId, AccessKeySecret, ENTROPY_LEN, KEY_ID_LEN};
use crate::hash::{HashKey, hash_secret};

/// User name that means password-only, as the empty one does.
///
/// Source: clients of Valkey and Redis send it for `AUTH <password>`.
pub const PASSWORD_ONLY_USER: &str = "default";

/// A login that succeeded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Login {
    /// The session, not marked secure: whether the connection is, its owner knows.
    pub session: Session,
    /// What followed the key id in the user name, without its dot: a database (`sessions`), or a
    /// database and its organisation (`sessions.acme`).
    pub suffix: Option<String>,
}

/// Why a login failed. Tells nobody more than that it did: an unknown key, a disabled one, another
/// secret and a malformed one are the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// User name and password open nothing.
    #[error("invalid username-password pair or user is disabled")]
    WrongPass,
}

/// Judges an access key: the user name is the key id, with a database behind it or not, or
/// `default` or empty, since the secret carries its key id; the password is the secret. Whatever is
/// wrong, the same work is done and the same answer given.
///
/// # Errors
/// [`LoginError::WrongPass`]. Show it to [`LoginThrottle::failed`] and wait as long as that says.
///
/// [`LoginThrottle::failed`]: crate::LoginThrottle::failed
pub fn login(
    directory: &Directory,
    hash_key: &HashKey,
    user: &[u8],
    password: &[u8],
    source: Option<IpAddr>,
    now: UnixMillis,
) -> Result<Login, LoginError> {
    let user = UserName::parse(user);
    let given = AccessKeySecret::parse(password).ok();
    let well_formed = given.is_some();
    let secret = given.unwrap_or_else(no_secret);
    let named = match &user {
        Some(UserName {
            key_id: Some(key_id),
            ..
        }) => *key_id == secret.key_id(),
        Some(UserName { key_id: None, .. }) => true,
        None => false,
    };
    let found = directory
        .access_key(secret.key_id().as_str())
        .map(|(ix, key)| {
            let session = Session {
                source,
                ..Session::of_key(ix, key.identity)
            };
            let in_force = directory.check_session(&session, now).is_ok();
            (session, key.secret_hash, in_force)
        });
    let (stored, in_force) = found
        .as_ref()
        .map_or(([0; 32], false), |found| (found.1, found.2));
    let fits = hash_secret(hash_key, &secret).ct_eq(&stored);
    let passes = fits & choice(well_formed) & choice(named) & choice(in_force);
    match (found, user) {
        (Some((session, ..)), Some(user)) if bool::from(passes) => Ok(Login {
            session,
            suffix: user.suffix,
        }),
        _ => Err(LoginError::WrongPass),
    }
}

fn choice(holds: bool) -> Choice {
    Choice::from(u8::from(holds))
}

/// What is hashed in the place of a password that is no secret. That its bits are known opens
/// nothing: what was not well-formed does not pass.
fn no_secret() -> AccessKeySecret {
    let key_id = AccessKeyId::parse("KWAKAAAAAAAAAAAAAAAA").expect("this is a key id");
    AccessKeySecret::of_entropy(key_id, &[0; ENTROPY_LEN])
}

/// A user name, taken apart.
#[derive(Debug, Eq, PartialEq)]
struct UserName {
    key_id: Option<AccessKeyId>,
    suffix: Option<String>,
}

impl UserName {
    /// `KWAK…`, `KWAK….<database>`, `KWAK….<database>.<organisation>`, `default` or nothing.
    fn parse(user: &[u8]) -> Option<Self> {
        if user.is_empty() || user == PASSWORD_ONLY_USER.as_bytes() {
            return Some(Self {
                key_id: None,
                suffix: None,
            });
        }
        let (key_id, rest) = user.split_at_checked(KEY_ID_LEN)?;
        let key_id = Some(AccessKeyId::parse(key_id).ok()?);
        let suffix = match rest {
            [] => None,
            [b'.', suffix @ ..] => {
                let suffix = std::str::from_utf8(suffix).ok()?;
                let ids = suffix.split('.').collect::<Vec<_>>();
                let fits = ids.len() <= 2 && ids.iter().all(|id| id.parse::<Slug>().is_ok());
                Some(fits.then(|| suffix.to_owned())?)
            }
            _ => return None,
        };
        Some(Self { key_id, suffix })
    }
}

#[cfg(test)]
mod tests {
    use keyward_iam::{Change, ChangeContext, KeyStatus, Principal, UnixMillis};

    use super::*;

    struct World {
        directory: Directory,
        hash_key: HashKey,
    }

    impl World {
        fn new() -> Self {
            let mut world = Self {
                directory: Directory::empty(),
                hash_key: HashKey::generate(),
            };
            world.apply(Change::CreateUser {
                id: "u-1".into(),
                name: None,
            });
            world.apply(Change::CreateOrganisation {
                id: "acme".into(),
                name: None,
                owner: "user/u-1".into(),
                account: "123456789012".into(),
                administrator: None,
            });
            for id in ["app", "ci"] {
                world.apply(Change::CreateProgrammaticIdentity {
                    organisation: "acme".into(),
                    id: id.into(),
                    name: None,
                });
            }
            world
        }

        fn apply(&mut self, change: Change) {
            let context = ChangeContext::system(UnixMillis(1_800_000_000_000));
            self.directory = self.directory.apply(&change, &context).unwrap().directory;
        }

        fn key(&mut self, identity: &str) -> AccessKeySecret {
            let secret = AccessKeySecret::generate(AccessKeyId::generate());
            self.apply(Change::CreateAccessKey {
                identity: format!("org/acme/programmatic_identity/{identity}"),
                key_id: secret.key_id().to_string(),
                secret_hash: hash_secret(&self.hash_key, &secret),
                description: None,
                expires_at: None,
                sealed_secret: None,
            });
            secret
        }

        fn login(&self, user: &str, password: &str) -> Result<Login, LoginError> {
            let source = "192.0.2.7".parse().ok();
            login(
                &self.directory,
                &self.hash_key,
                user.as_bytes(),
                password.as_bytes(),
                source,
                UnixMillis(1_800_000_000_000),
            )
        }

        fn key_path(&self, secret: &AccessKeySecret) -> String {
            let key = self
                .directory
                .access_key(secret.key_id().as_str())
                .unwrap()
                .1;
            self.directory.access_key_path(key)
        }
    }

    #[test]
    fn user_names() {
        let id = AccessKeyId::parse("KWAKAAAAAAAAAAAAAAAA").unwrap();
        let name = |key_id, suffix: Option<&str>| {
            Some(UserName {
                key_id,
                suffix: suffix.map(str::to_owned),
            })
        };
        let cases = [
            ("", name(None, None)),
            ("default", name(None, None)),
            ("KWAKAAAAAAAAAAAAAAAA", name(Some(id), None)),
            (
                "KWAKAAAAAAAAAAAAAAAA.sessions",
                name(Some(id), Some("sessions")),
            ),
            (
                "KWAKAAAAAAAAAAAAAAAA.sessions.acme",
                name(Some(id), Some("sessions.acme")),
            ),
            ("KWAKAAAAAAAAAAAAAAAA.sessions.acme.x", None),
            ("KWAKAAAAAAAAAAAAAAAA.", None),
            ("KWAKAAAAAAAAAAAAAAAA..acme", None),
            ("KWAKAAAAAAAAAAAAAAAA.sessions.", None),
            ("KWAKAAAAAAAAAAAAAAAA.Sessions", None),
            ("KWAKAAAAAAAAAAAAAAAA.a/b", None),
            ("KWAKAAAAAAAAAAAAAAAAsessions", None),
            ("KWAKAAAAAAAAAAAAAAA", None),
            ("kwakAAAAAAAAAAAAAAAA", None),
            ("default.sessions", None),
            ("Default", None),
            ("app", None),
            ("KWAKAAAAAAAAAAAAAAA\u{e9}", None),
        ];
        for (text, expected) in cases {
            assert_eq!(UserName::parse(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn who_gets_in() {
        let mut world = World::new();
        let (app, ci) = (world.key("app"), world.key("ci"));
        let id = app.key_id();
        let other = AccessKeySecret::generate(id);
        let unknown = AccessKeySecret::generate(AccessKeyId::generate());
        let cut = &app.expose()[..74];
        let cases: Vec<(String, &str, Option<Option<&str>>)> = vec![
            (id.to_string(), app.expose(), Some(None)),
            (String::new(), app.expose(), Some(None)),
            ("default".into(), app.expose(), Some(None)),
            (
                format!("{id}.sessions"),
                app.expose(),
                Some(Some("sessions")),
            ),
            (
                format!("{id}.sessions.acme"),
                app.expose(),
                Some(Some("sessions.acme")),
            ),
            (format!("{id}."), app.expose(), None),
            ("admin".into(), app.expose(), None),
            (ci.key_id().to_string(), app.expose(), None),
            (unknown.key_id().to_string(), app.expose(), None),
            (id.to_string(), other.expose(), None),
            (String::new(), other.expose(), None),
            (unknown.key_id().to_string(), unknown.expose(), None),
            (String::new(), unknown.expose(), None),
            (id.to_string(), cut, None),
            (id.to_string(), "", None),
            (String::new(), "", None),
            (id.to_string(), "hunter2", None),
        ];
        for (user, password, expected) in cases {
            let found = world.login(&user, password);
            let Some(suffix) = expected else {
                assert_eq!(found, Err(LoginError::WrongPass), "{user:?}");
                continue;
            };
            let login = found.unwrap();
            assert_eq!(login.suffix.as_deref(), suffix, "{user:?}");
            let path = "org/acme/programmatic_identity/app";
            let identity = world.directory.identity_at(path).unwrap();
            assert_eq!(login.session.principal, Principal::Identity(identity));
            assert_eq!(login.session.source, "192.0.2.7".parse().ok());
            assert!(!login.session.secure);
        }
    }

    #[test]
    fn nothing_passes_for_what_is_not_a_secret() {
        // A key whose stored hash is that of the stand-in, or nothing but zeros.
        let mut world = World::new();
        let stand_in = no_secret();
        for (key_id, secret_hash) in [
            (stand_in.key_id(), hash_secret(&world.hash_key, &stand_in)),
            (AccessKeyId::generate(), [0; 32]),
        ] {
            world.apply(Change::CreateAccessKey {
                identity: "org/acme/programmatic_identity/app".into(),
                key_id: key_id.to_string(),
                secret_hash,
                description: None,
                expires_at: None,
                sealed_secret: None,
            });
            for user in [String::new(), key_id.to_string()] {
                for password in ["", "x", "kws_"] {
                    assert_eq!(world.login(&user, password), Err(LoginError::WrongPass));
                }
            }
        }
    }

    #[test]
    fn until_the_key_or_its_identity_ends() {
        type Step = fn(&World, &AccessKeySecret) -> Change;
        let cases: [(&str, Step, bool); 4] = [
            (
                "disabled",
                |world, key| Change::UpdateAccessKey {
                    path: world.key_path(key),
                    status: Some(KeyStatus::Disabled),
                    description: None,
                    expires_at: None,
                },
                false,
            ),
            (
                "enabled again",
                |world, key| Change::UpdateAccessKey {
                    path: world.key_path(key),
                    status: Some(KeyStatus::Active),
                    description: None,
                    expires_at: None,
                },
                true,
            ),
            (
                "deleted",
                |world, key| Change::DeleteAccessKey {
                    path: world.key_path(key),
                },
                false,
            ),
            (
                "identity deleted",
                |_, _| Change::DeleteIdentity {
                    path: "org/acme/programmatic_identity/app".into(),
                    cascade: true,
                },
                false,
            ),
        ];
        let mut world = World::new();
        let key = world.key("app");
        for (name, step, passes) in cases {
            let change = step(&world, &key);
            world.apply(change);
            assert_eq!(world.login("", key.expose()).is_ok(), passes, "{name}");
        }
    }

    #[test]
    fn another_hash_key_opens_nothing() {
        let mut world = World::new();
        let key = world.key("app");
        world.hash_key = HashKey::generate();
        assert_eq!(world.login("", key.expose()), Err(LoginError::WrongPass));
    }

    /// `cargo test --release -p keyward-auth -- --ignored figures --nocapture`
    #[test]
    #[ignore = "measures"]
    fn figures() {
        let mut world = World::new();
        let (active, disabled) = (world.key("app"), world.key("ci"));
        world.apply(Change::UpdateAccessKey {
            path: world.key_path(&disabled),
            status: Some(KeyStatus::Disabled),
            description: None,
            expires_at: None,
        });
        let wrong = AccessKeySecret::generate(active.key_id());
        let unknown = AccessKeySecret::generate(AccessKeyId::generate());
        let cases = [
            ("right", active.expose()),
            ("wrong", wrong.expose()),
            ("disabled", disabled.expose()),
            ("unknown", unknown.expose()),
            ("malformed", "hunter2"),
        ];
        // In turn, so that what else happens on the machine happens to all; the fastest tenth.
        let mut times = cases.map(|_| Vec::new());
        for _ in 0..20_000 {
            for ((_, password), times) in cases.iter().zip(&mut times) {
                let start = std::time::Instant::now();
                let _ = std::hint::black_box(world.login("", password));
                times.push(start.elapsed());
            }
        }
        for ((name, _), times) in cases.iter().zip(&mut times) {
            times.sort();
            println!(
                "{name}: {:?} (fastest tenth), {:?} (median)",
                times[2000], times[10_000]
            );
        }
    }
}
