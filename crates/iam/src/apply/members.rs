//! People in organisations.

use super::{ChangeError, Editor, Outcome};
use crate::entities::{Invitation, TrustKind};
use crate::ids::{IdentityIx, Kind, MAX_ID_LEN};

impl Editor<'_> {
    pub(super) fn create_organisation_user(
        &mut self,
        organisation: &str,
        id: &str,
        name: Option<&str>,
        user: Option<&str>,
        invitation: Option<&Invitation>,
    ) -> Outcome {
        if user.is_some() == invitation.is_some() {
            let reason = "an organisation user is for a user, or has an invitation".to_owned();
            return Err(ChangeError::Invalid { reason });
        }
        let ix = self.create_member(Kind::OrganisationUser, organisation, id, name)?;
        if let Some(user) = user {
            self.trust_person(ix, user, self.context.accepts)?;
        }
        if let Some(invitation) = invitation {
            self.offer(ix, invitation)?;
        }
        Ok(())
    }

    fn offer(&mut self, ix: IdentityIx, invitation: &Invitation) -> Outcome {
        if invitation.expires_at <= self.context.at {
            let reason = "the invitation would have expired already".to_owned();
            return Err(ChangeError::Invalid { reason });
        }
        self.identity_mut(ix).invitation = Some(Box::new(invitation.clone()));
        Ok(())
    }

    fn organisation_user(&self, path: &str) -> Result<IdentityIx, ChangeError> {
        let ix = self.identity_at(path)?;
        match self.identity(ix).kind {
            Kind::OrganisationUser => Ok(ix),
            _ => Err(ChangeError::NotFound {
                path: path.to_owned(),
            }),
        }
    }

    pub(super) fn invite(&mut self, path: &str, invitation: &Invitation) -> Outcome {
        let ix = self.organisation_user(path)?;
        if self.identity(ix).trustees > 0 {
            let reason = format!("`{path}` is somebody's already");
            return Err(ChangeError::Invalid { reason });
        }
        self.offer(ix, invitation)?;
        self.changed(path);
        Ok(())
    }

    pub(super) fn accept_invitation(
        &mut self,
        path: &str,
        user: &str,
        token_hash: &[u8; 32],
    ) -> Outcome {
        let ix = self.organisation_user(path)?;
        let now = self.context.at;
        let fits = self
            .identity(ix)
            .invitation
            .as_deref()
            .is_some_and(|found| found.token_hash == *token_hash && now < found.expires_at);
        if !fits {
            let reason = "there is no such invitation, or it has expired".to_owned();
            return Err(ChangeError::Invalid { reason });
        }
        self.identity_mut(ix).invitation = None;
        self.changed(path);
        self.trust_person(ix, user, true)
    }

    /// The trust that makes an organisation user a person's.
    fn trust_person(&mut self, ix: IdentityIx, user: &str, accepted: bool) -> Outcome {
        let person = self.identity_at(user)?;
        if self.identity(person).kind != Kind::User {
            let reason = format!("`{user}` is no user");
            return Err(ChangeError::Invalid { reason });
        }
        let identity = self.identity(ix);
        let organisation = identity.organisation;
        let other = self.identity(person).trusted_by.iter().find_map(|trust| {
            let trustor = self.identity(self.directory.trust(*trust)?.trustor);
            let member = trustor.kind == Kind::OrganisationUser;
            (member && trustor.organisation == organisation).then(|| trustor.path.to_string())
        });
        if let Some(other) = other {
            let reason = format!("`{user}` is a member of the organisation already: `{other}`");
            return Err(ChangeError::Invalid { reason });
        }
        let path = self.membership_path(ix);
        self.check_chain(ix, person)?;
        let mut trust = self.new_trust(&path, ix, person, TrustKind::Membership);
        trust.accepted = accepted;
        self.add_trust(trust)
    }

    /// A path for it that is and was not taken.
    fn membership_path(&self, ix: IdentityIx) -> String {
        let identity = self.identity(ix);
        let (organisation, _) = identity.path.split_once("/org_user/").unwrap_or_default();
        let id: String = format!("member-{}", identity.id());
        let mut number = 1;
        loop {
            let end = if number == 1 {
                String::new()
            } else {
                format!("-{number}")
            };
            let start = &id[..id.len().min(MAX_ID_LEN - end.len())];
            let path = format!("{organisation}/trust/{}{end}", start.trim_end_matches('-'));
            if self.directory.entity(&path).is_none() {
                return path;
            }
            number += 1;
        }
    }
}
