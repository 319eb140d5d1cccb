//! Changes of how people sign in.

use super::{ChangeError, Editor, Outcome};
use crate::directory::Entity;
use crate::ids::{IdentityIx, Kind, Slug};
use crate::people::{
    Hash, LONGEST_LOGIN, LinkedLogin, LoginSession, MAX_LINKED, MAX_LOGINS, MAX_PASSKEYS,
    MAX_SIGN_IN_NAME, MAX_SOURCES, Passkey, Person, PersonChange, SetupLink, Totp, UsedFactor,
    linked_key, passkey_key, sign_in_key,
};

/// Most recovery codes of one person.
const MAX_RECOVERY_CODES: usize = 20;

/// Longest description of a client or name of a passkey, in bytes.
const MAX_LABEL: usize = 200;

fn invalid(reason: &str) -> ChangeError {
    ChangeError::Invalid {
        reason: reason.to_owned(),
    }
}

fn check_label(what: &str, text: &str) -> Outcome {
    if text.is_empty() || text.len() > MAX_LABEL || text.chars().any(char::is_control) {
        let text = format!("{what} has 1 to {MAX_LABEL} bytes and no control characters");
        return Err(invalid(&text));
    }
    Ok(())
}

impl Editor<'_> {
    pub(super) fn register_user(
        &mut self,
        id: &str,
        name: Option<&str>,
        sign_in_name: &str,
        password: Option<&str>,
    ) -> Outcome {
        let path = format!("user/{}", id.parse::<Slug>()?);
        self.create_user(id, name)?;
        let user = self.identity_at(&path)?;
        self.set_sign_in_name(user, sign_in_name)?;
        let at = self.context.at;
        let person = self.person_mut(user);
        person.password = password.map(Into::into);
        person.password_set = password.map(|_| at);
        Ok(())
    }

    pub(super) fn decline_invitation(&mut self, path: &str, token_hash: [u8; 32]) -> Outcome {
        let ix = self.identity_at(path)?;
        let invitation = self.identity(ix).invitation.as_deref();
        if invitation.is_none_or(|invitation| invitation.token_hash != token_hash) {
            return Err(ChangeError::NotFound {
                path: path.to_owned(),
            });
        }
        self.identity_mut(ix).invitation = None;
        self.changed(path);
        Ok(())
    }

    fn person_mut(&mut self, user: IdentityIx) -> &mut Person {
        self.identity_mut(user).person.get_or_insert_default()
    }

    fn person(&self, user: IdentityIx) -> Person {
        let person = self.identity(user).person.as_deref();
        person.cloned().unwrap_or_default()
    }

    /// Takes a key of the index of paths for a user.
    fn claim_key(&mut self, key: String, user: IdentityIx, taken: ChangeError) -> Outcome {
        match self.directory.paths.get(&*key) {
            Some(Entity::Identity(ix)) if *ix == user => Ok(()),
            None | Some(Entity::Tombstone) => {
                self.directory
                    .paths
                    .insert(key.into(), Entity::Identity(user));
                Ok(())
            }
            Some(_) => Err(taken),
        }
    }

    fn free_key(&mut self, key: String) {
        self.directory.paths.insert(key.into(), Entity::Tombstone);
    }

    pub(super) fn delete_user(&mut self, path: &str, cascade: bool) -> Outcome {
        let user = self.identity_at(path)?;
        if self.identity(user).kind != Kind::User {
            return Err(ChangeError::NotFound {
                path: path.to_owned(),
            });
        }
        let owns = self.directory.organisations().filter(|(_, organisation)| {
            let details = organisation.organisation_details();
            details.is_some_and(|details| details.owner == user)
        });
        let owned: Vec<String> = owns.map(|(_, o)| o.path.to_string()).collect();
        let trusts = self.directory.trusts_of_identity(user);
        let dependents = if owned.is_empty() && !cascade {
            trusts.clone()
        } else {
            owned
        };
        if !dependents.is_empty() {
            return Err(ChangeError::Conflict {
                path: path.to_owned(),
                dependents,
            });
        }
        for trust in trusts {
            self.remove_trust(&trust)?;
        }
        self.forget_person(user);
        self.remove_identity(user);
        Ok(())
    }

    /// Frees what a user who is deleted had in the index.
    fn forget_person(&mut self, user: IdentityIx) {
        let person = self.person(user);
        if let Some(name) = &person.sign_in_name {
            self.free_key(sign_in_key(name));
        }
        for linked in &person.linked {
            self.free_key(linked_key(&linked.issuer, &linked.subject));
        }
        for passkey in &person.passkeys {
            self.free_key(passkey_key(&passkey.credential));
        }
    }

    pub(super) fn change_person(&mut self, path: &str, change: &PersonChange) -> Outcome {
        let user = self.identity_at(path)?;
        if self.identity(user).kind != Kind::User {
            return Err(ChangeError::NotFound {
                path: path.to_owned(),
            });
        }
        match change {
            PersonChange::SetSignInName(name) => self.set_sign_in_name(user, name)?,
            PersonChange::SetPassword { hash } => {
                self.set_password(user, hash.as_deref());
                self.check_way_in(user)?;
            }
            PersonChange::SetTotp {
                sealed,
                step,
                recovery_codes,
            } => self.set_totp(user, sealed, *step, recovery_codes)?,
            PersonChange::RemoveTotp => {
                let person = self.person_mut(user);
                if person.totp.take().is_none() {
                    return Err(invalid("there is no authenticator app to take away"));
                }
                person.drop_idle_recovery_codes();
            }
            PersonChange::SetRecoveryCodes(hashes) => {
                if !self.person(user).has_second_factor() {
                    let reason = "recovery codes stand in for a second factor: set one up first";
                    return Err(invalid(reason));
                }
                self.set_recovery_codes(user, hashes)?;
            }
            PersonChange::AddPasskey(passkey) => self.add_passkey(user, passkey)?,
            PersonChange::RenamePasskey { id, name } => self.rename_passkey(user, id, name)?,
            PersonChange::RemovePasskey(id) => self.remove_passkey(user, id)?,
            PersonChange::Link(linked) => self.link(user, linked)?,
            PersonChange::Unlink { issuer, subject } => {
                let person = self.person_mut(user);
                let before = person.linked.len();
                person
                    .linked
                    .retain(|known| *known.issuer != **issuer || *known.subject != **subject);
                if person.linked.len() == before {
                    return Err(invalid("this login is not linked"));
                }
                // What the provider opened ends with the link.
                if !person.linked.iter().any(|known| *known.issuer == **issuer) {
                    let of_it = |login: &LoginSession| login.provider.as_deref() == Some(issuer);
                    person.logins.retain(|login| !of_it(login));
                }
                self.free_key(linked_key(issuer, subject));
                self.check_way_in(user)?;
            }
            PersonChange::BeginLogin { session, factor } => {
                self.begin_login(user, session, factor)?;
            }
            PersonChange::EndLogin(id) => {
                let person = self.person_mut(user);
                let before = person.logins.len();
                person.logins.retain(|login| *login.id != **id);
                if person.logins.len() == before {
                    return Err(ChangeError::NotFound {
                        path: format!("{path}/session/{id}"),
                    });
                }
            }
            PersonChange::EndLogins { except } => self
                .person_mut(user)
                .logins
                .retain(|login| except.as_deref() == Some(&*login.id)),
            PersonChange::SetSetupLink(link) => self.person_mut(user).setup = link.clone(),
            PersonChange::UseSetupLink { token_hash, hash } => {
                self.use_setup_link(user, *token_hash, hash)?;
            }
            PersonChange::ResetFactors => {
                for passkey in self.person(user).passkeys {
                    self.free_key(passkey_key(&passkey.credential));
                }
                let person = self.person_mut(user);
                person.totp = None;
                person.passkeys.clear();
                person.recovery_codes.clear();
                person.logins.clear();
            }
        }
        self.changed(path);
        Ok(())
    }

    fn set_sign_in_name(&mut self, user: IdentityIx, name: &str) -> Outcome {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"._+-@".contains(&b);
        if name.is_empty() || name.len() > MAX_SIGN_IN_NAME || !name.bytes().all(fits) {
            let reason = format!(
                "a sign-in name has 1 to {MAX_SIGN_IN_NAME} of the characters a-z, 0-9 and `._+-@`"
            );
            return Err(invalid(&reason));
        }
        let taken = ChangeError::NameTaken {
            name: name.to_owned(),
        };
        let old = self.person(user).sign_in_name;
        self.claim_key(sign_in_key(name), user, taken)?;
        if let Some(old) = old.filter(|old| !old.eq_ignore_ascii_case(name)) {
            self.free_key(sign_in_key(&old));
        }
        self.person_mut(user).sign_in_name = Some(name.into());
        Ok(())
    }

    fn set_password(&mut self, user: IdentityIx, hash: Option<&str>) {
        let at = self.context.at;
        let person = self.person_mut(user);
        person.password = hash.map(Into::into);
        person.password_set = hash.map(|_| at);
        person.setup = None;
        person.logins.clear();
    }

    /// Refuses to take a person's last way to sign in.
    fn check_way_in(&self, user: IdentityIx) -> Outcome {
        let person = self.person(user);
        if person.password.is_none() && person.passkeys.is_empty() && person.linked.is_empty() {
            return Err(invalid(
                "that would be the last way to sign in: add another one first",
            ));
        }
        Ok(())
    }

    fn set_recovery_codes(&mut self, user: IdentityIx, hashes: &[Hash]) -> Outcome {
        if hashes.len() > MAX_RECOVERY_CODES {
            return Err(ChangeError::Limit {
                what: "recovery codes of a person",
                max: MAX_RECOVERY_CODES,
            });
        }
        self.person_mut(user).recovery_codes = hashes.to_vec();
        Ok(())
    }

    fn set_totp(
        &mut self,
        user: IdentityIx,
        sealed: &[u8],
        step: u64,
        recovery_codes: &[Hash],
    ) -> Outcome {
        if self.person(user).totp.is_some() {
            return Err(invalid(
                "there is an authenticator app already: take it away first",
            ));
        }
        self.set_recovery_codes(user, recovery_codes)?;
        let added = self.context.at;
        self.person_mut(user).totp = Some(Totp {
            sealed: sealed.to_vec(),
            last_step: step,
            added,
        });
        Ok(())
    }

    fn add_passkey(&mut self, user: IdentityIx, passkey: &Passkey) -> Outcome {
        check_label("the name of a passkey", &passkey.name)?;
        let person = self.person(user);
        if person.passkeys.len() >= MAX_PASSKEYS {
            return Err(ChangeError::Limit {
                what: "passkeys of a person",
                max: MAX_PASSKEYS,
            });
        }
        if person.passkeys.iter().any(|known| known.id == passkey.id) {
            return Err(invalid("the passkey's id is taken"));
        }
        if person.passkey(&passkey.credential).is_some() {
            return Err(invalid("this passkey is registered already"));
        }
        let taken = invalid("this passkey is registered already");
        self.claim_key(passkey_key(&passkey.credential), user, taken)?;
        self.person_mut(user).passkeys.push(passkey.clone());
        Ok(())
    }

    fn no_passkey(&self, user: IdentityIx, id: &str) -> ChangeError {
        let path = format!("{}/passkey/{id}", self.identity(user).path);
        ChangeError::NotFound { path }
    }

    fn rename_passkey(&mut self, user: IdentityIx, id: &str, name: &str) -> Outcome {
        check_label("the name of a passkey", name)?;
        let mut passkeys = self.person_mut(user).passkeys.iter_mut();
        match passkeys.find(|known| *known.id == *id) {
            Some(passkey) => passkey.name = name.into(),
            None => return Err(self.no_passkey(user, id)),
        }
        Ok(())
    }

    fn remove_passkey(&mut self, user: IdentityIx, id: &str) -> Outcome {
        let person = self.person_mut(user);
        let Some(at) = person.passkeys.iter().position(|known| *known.id == *id) else {
            return Err(self.no_passkey(user, id));
        };
        let passkey = person.passkeys.remove(at);
        person.drop_idle_recovery_codes();
        self.free_key(passkey_key(&passkey.credential));
        self.check_way_in(user)
    }

    fn link(&mut self, user: IdentityIx, linked: &LinkedLogin) -> Outcome {
        let fits = |text: &str| {
            !text.is_empty() && text.len() <= 1024 && !text.chars().any(char::is_control)
        };
        if !fits(&linked.issuer) || !fits(&linked.subject) {
            return Err(invalid("issuer and subject have 1 to 1024 bytes each"));
        }
        if self.person(user).linked.len() >= MAX_LINKED {
            return Err(ChangeError::Limit {
                what: "linked logins of a person",
                max: MAX_LINKED,
            });
        }
        let taken = invalid("this login is linked to another user");
        let key = linked_key(&linked.issuer, &linked.subject);
        self.claim_key(key, user, taken)?;
        let person = self.person_mut(user);
        person
            .linked
            .retain(|known| known.issuer != linked.issuer || known.subject != linked.subject);
        person.linked.push(linked.clone());
        Ok(())
    }

    fn begin_login(
        &mut self,
        user: IdentityIx,
        session: &LoginSession,
        factor: &UsedFactor,
    ) -> Outcome {
        let at = self.context.at;
        check_label("the description of a client", &session.client)?;
        if session.expires_at.0.saturating_sub(session.created.0) > LONGEST_LOGIN {
            return Err(invalid("a login session lasts twelve hours at most"));
        }
        let person = self.person_mut(user);
        // Two who give the same code at the same time: one of them is first.
        match factor {
            // A provider asks for what it wants; a device comes with its approver's factor.
            UsedFactor::None
                if person.has_second_factor()
                    && session.provider.is_none()
                    && session.authenticated.is_some() =>
            {
                return Err(invalid("a second factor is needed"));
            }
            UsedFactor::None => {}
            UsedFactor::Totp { step } => {
                let fresh = |totp: &&mut Totp| *step > totp.last_step;
                let totp = person.totp.as_mut().filter(fresh);
                totp.ok_or_else(|| invalid("this code was used already"))?
                    .last_step = *step;
            }
            UsedFactor::RecoveryCode(hash) => {
                let unused = person.recovery_codes.iter().position(|known| known == hash);
                let unused = unused.ok_or_else(|| invalid("this code was used already"))?;
                person.recovery_codes.remove(unused);
            }
            UsedFactor::Passkey { id, count } => {
                let passkey = person.passkeys.iter_mut().find(|known| *known.id == **id);
                let passkey = passkey.ok_or_else(|| invalid("the passkey was taken away"))?;
                // Authenticators that count at all count up: a copy of one does not know how far.
                if (*count > 0 || passkey.count > 0) && *count <= passkey.count {
                    return Err(invalid(
                        "the passkey may have been copied: it counts backwards",
                    ));
                }
                passkey.count = *count;
                passkey.used = Some(at);
            }
        }
        person.logins.retain(|login| at < login.expires_at);
        while person.logins.len() >= MAX_LOGINS {
            person.logins.remove(0);
        }
        person.logins.push(session.clone());
        if let Some(source) = session.source {
            person.sources.retain(|known| *known != source);
            while person.sources.len() >= MAX_SOURCES {
                person.sources.remove(0);
            }
            person.sources.push(source);
        }
        Ok(())
    }

    fn use_setup_link(&mut self, user: IdentityIx, token_hash: Hash, hash: &str) -> Outcome {
        let at = self.context.at;
        let opens = |link: &SetupLink| link.token_hash == token_hash && at < link.expires_at;
        if !self.person(user).setup.as_ref().is_some_and(opens) {
            return Err(invalid("the link was used, replaced, or has expired"));
        }
        self.set_password(user, Some(hash));
        Ok(())
    }
}

impl Person {
    /// Recovery codes stand in for a second factor: without one they are nothing.
    fn drop_idle_recovery_codes(&mut self) {
        if !self.has_second_factor() {
            self.recovery_codes.clear();
        }
    }
}
