//! Changes of what vendors call an organisation.

use super::{ChangeError, Editor, Outcome};
use crate::aliases::VendorAliases;
use crate::directory::{Entity, account_key};

impl Editor<'_> {
    pub(super) fn set_aliases(&mut self, path: &str, aliases: &VendorAliases) -> Outcome {
        aliases.check()?;
        let ix = self.identity_at(path)?;
        for account in aliases.accounts() {
            let holder = self.directory.paths.get(&*account_key(account));
            if holder.is_some_and(|holder| *holder != Entity::Identity(ix)) {
                let path = format!("account {account}");
                return Err(ChangeError::NotAvailable { path });
            }
        }
        let missing = || ChangeError::NotFound {
            path: path.to_owned(),
        };
        let details = self.identity_mut(ix).details.as_mut();
        details.ok_or_else(missing)?.aliases =
            (!aliases.is_default()).then(|| Box::new(aliases.clone()));
        self.changed(path);
        Ok(())
    }
}
