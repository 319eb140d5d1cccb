//! Changes of tags.

use std::collections::BTreeMap;

use super::{ChangeError, Editor, Outcome};
use crate::directory::Entity;

impl Editor<'_> {
    pub(super) fn set_tags(
        &mut self,
        path: &str,
        set: &BTreeMap<String, String>,
        remove: &[String],
    ) -> Outcome {
        let missing = || ChangeError::NotFound {
            path: path.to_owned(),
        };
        let place = match self.directory.entity(path).ok_or_else(missing)? {
            Entity::Identity(ix) => self.directory.identities.get_mut(ix.0).map(|i| &mut i.tags),
            Entity::Database(ix) => self.directory.databases.get_mut(ix.0).map(|d| &mut d.tags),
            Entity::Trust(_) | Entity::AccessKey(_) | Entity::Policy(_) | Entity::Snapshot(_) => {
                let reason = format!("`{path}` has no tags: identities and databases have");
                return Err(ChangeError::Invalid { reason });
            }
            Entity::Tombstone => None,
        };
        let tags = place.ok_or_else(missing)?;
        *tags = tags.changed(set, remove)?;
        self.changed(path);
        Ok(())
    }
}
