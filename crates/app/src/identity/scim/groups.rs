//! Groups of the organisation, as its directory sees and fills them. Who was put into a group by hand is not
//! the directory's to show or to take out; groups that were made by hand keep their name and stay.

use super::{Asked, Directory, Refused, failed, taken, unknown};
use crate::authority::Change;
use crate::failure::Failure;
use crate::{admins, groups as own};
use base::{GroupId, OrgId, UserId};
use identity::scim::{
    Attribute, Group, GroupChange, NewGroup, Reference, ScimError, ScimType, list_response, read_group_patch,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use store::groups::{self, Group as Stored};
use store::scim::{self, GroupRow};
use store::{StoreError, Tx, bindings};

/// Members of one group at most.
const MEMBERS_MAX: usize = 10_000;
/// A name has at most this many characters.
const NAME_CHARS_MAX: usize = 256;
/// Members that one entry of the audit log names.
const NOTED_MAX: usize = 100;

/// Who comes and who goes, by account.
#[derive(Default)]
struct Members {
    add: BTreeSet<UserId>,
    remove: BTreeSet<UserId>,
}

impl Directory {
    /// Makes a group.
    ///
    /// # Errors
    /// [`ScimError`]; 409 `uniqueness` for a name that is taken.
    pub async fn create_group(&self, body: &[u8]) -> Result<Value, ScimError> {
        let new = NewGroup::read(body)?;
        let work = async {
            check_name(&new.display_name)?;
            let mut tx = self.begin().await?;
            let group = Stored {
                id: GroupId(self.cx.app.fresh()),
                org: self.org,
                name: new.display_name.clone(),
                source: "scim".to_owned(),
                created_us: self.cx.now_us(),
            };
            own::insert(&mut tx, &group).await?;
            self.note(&mut tx, "group.create", &group.id.to_string(), json!({ "name": group.name })).await?;
            let add = self.accounts(&mut tx, new.members.as_deref().unwrap_or_default()).await?;
            self.put_members(&mut tx, &group, Members { add, ..Members::default() }).await?;
            self.put_row(&mut tx, group.id, new.external_id.unwrap_or_default()).await?;
            let shown = self.shown_group(&mut tx, group.id, true).await?;
            self.commit(tx).await?;
            Ok(shown.to_json(&self.base_url))
        };
        self.change("", work).await
    }

    /// One group.
    ///
    /// # Errors
    /// 404 for one that the organisation does not have.
    pub async fn group(&self, id: &str, asked: &Asked) -> Result<Value, ScimError> {
        let work = async {
            let projection = asked.projection()?;
            let mut tx = self.read().await?;
            let group = self.stored(&mut tx, id).await?;
            let shown = self.shown_group(&mut tx, group.id, projection.wants("members")).await?;
            let mut resource = shown.to_json(&self.base_url);
            projection.apply(&mut resource);
            Ok(resource)
        };
        work.await.map_err(failed)
    }

    /// Groups that pass a filter, a page of them.
    ///
    /// # Errors
    /// 400 for a filter that is not supported.
    pub async fn groups(&self, asked: &Asked) -> Result<Value, ScimError> {
        let work = async {
            let (filter, page, projection) = (asked.filter()?, asked.page()?, asked.projection()?);
            let by_member = filter.0.iter().any(|term| term.attribute == Attribute::Member);
            let mut tx = self.read().await?;
            let rows = rows_by_id(scim::groups(&mut tx, self.org).await?);
            let mut fitting = Vec::new();
            for stored in groups::at_org(&mut tx, self.org).await? {
                let mut group = without_members(&stored, rows.get(&stored.id));
                if by_member {
                    group.members = self.members(&mut tx, stored.id).await?;
                }
                if filter.matches_group(&group) {
                    fitting.push((stored.id, group));
                }
            }
            let total = fitting.len();
            let mut resources = Vec::new();
            for (id, mut group) in fitting.into_iter().skip(page.skip).take(page.take) {
                if !by_member && projection.wants("members") {
                    group.members = self.members(&mut tx, id).await?;
                }
                let mut resource = group.to_json(&self.base_url);
                projection.apply(&mut resource);
                resources.push(resource);
            }
            Ok(list_response(total, page, resources))
        };
        work.await.map_err(failed)
    }

    /// Replaces a group. When nothing is said of its members, they stay.
    ///
    /// # Errors
    /// [`ScimError`]; 409 `mutability` when an organisation would lose its last admin.
    pub async fn replace_group(&self, id: &str, body: &[u8]) -> Result<Value, ScimError> {
        let new = NewGroup::read(body)?;
        let mut changes = vec![GroupChange::DisplayName(new.display_name), GroupChange::ExternalId(new.external_id)];
        changes.extend(new.members.map(GroupChange::ReplaceMembers));
        self.change(id, self.change_group(id, changes)).await
    }

    /// Changes a group.
    ///
    /// # Errors
    /// [`ScimError`]; 409 `mutability` when an organisation would lose its last admin.
    pub async fn patch_group(&self, id: &str, body: &[u8]) -> Result<Value, ScimError> {
        let changes = read_group_patch(body)?;
        self.change(id, self.change_group(id, changes)).await
    }

    /// Deletes a group that the directory made: its members lose what they had through it.
    ///
    /// # Errors
    /// [`ScimError`]; 409 `mutability` when an organisation would lose its last admin.
    pub async fn delete_group(&self, id: &str) -> Result<(), ScimError> {
        let work = async {
            let mut tx = self.begin().await?;
            let group = self.stored(&mut tx, id).await?;
            check_ours(&group, "deleted")?;
            groups::delete(&mut tx, group.id).await?;
            scim::delete_group(&mut tx, self.org, group.id).await?;
            self.note(&mut tx, "group.delete", &group.id.to_string(), json!({ "name": group.name })).await?;
            self.commit(tx).await
        };
        self.change(id, work).await
    }

    async fn change_group(&self, id: &str, changes: Vec<GroupChange>) -> Result<Value, Refused> {
        let mut tx = self.begin().await?;
        let group = self.stored(&mut tx, id).await?;
        let rows = rows_by_id(scim::groups(&mut tx, self.org).await?);
        let mut external_id = rows.get(&group.id).map_or_else(String::new, |row| row.external_id.clone());
        for change in changes {
            match change {
                GroupChange::DisplayName(name) => self.rename(&mut tx, &group, &name).await?,
                GroupChange::ExternalId(said) => external_id = said.unwrap_or_default(),
                GroupChange::AddMembers(ids) => {
                    let add = self.accounts(&mut tx, &ids).await?;
                    self.put_members(&mut tx, &group, Members { add, ..Members::default() }).await?;
                }
                GroupChange::RemoveMembers(ids) => {
                    let remove = self.known_accounts(&mut tx, &ids).await?;
                    self.put_members(&mut tx, &group, Members { remove, ..Members::default() }).await?;
                }
                GroupChange::ReplaceMembers(ids) => {
                    let add = self.accounts(&mut tx, &ids).await?;
                    let were = scim_members(&mut tx, group.id).await?;
                    let remove = were.difference(&add).copied().collect();
                    self.put_members(&mut tx, &group, Members { add, remove }).await?;
                }
            }
        }
        self.put_row(&mut tx, group.id, external_id).await?;
        // Last, over all changes of this message: what matters is who is admin at its end.
        let shown = self.shown_group(&mut tx, group.id, true).await?;
        self.commit(tx).await?;
        Ok(shown.to_json(&self.base_url))
    }

    async fn rename(&self, tx: &mut Change, group: &Stored, name: &str) -> Result<(), Refused> {
        if name == group.name {
            return Ok(());
        }
        check_ours(group, "renamed")?;
        check_name(name)?;
        match groups::rename(tx, group.id, name).await {
            Err(StoreError::Conflict(_)) => return Err(taken("displayName", name)),
            other => other?,
        };
        let detail = json!({ "before": group.name, "after": name });
        self.note(tx, "group.update", &group.id.to_string(), detail).await
    }

    async fn put_members(&self, tx: &mut Change, group: &Stored, change: Members) -> Result<(), Refused> {
        let were: BTreeMap<UserId, String> = groups::members(tx, group.id).await?.into_iter().collect();
        let added: Vec<UserId> = change.add.into_iter().filter(|user| !were.contains_key(user)).collect();
        let ours = |user: &UserId| were.get(user).is_some_and(|source| source == "scim");
        let removed: Vec<UserId> = change.remove.into_iter().filter(ours).collect();
        if were.len() + added.len() > MEMBERS_MAX + removed.len() {
            return Err(Failure::conflict("a group can have 10,000 members").into());
        }
        for user in &added {
            groups::add_member(tx, group.id, *user, "scim").await?;
        }
        for user in &removed {
            groups::remove_member(tx, group.id, *user).await?;
        }
        if !added.is_empty() {
            for org in given_at(tx, group.id).await? {
                admins::note_first(tx, org).await?;
            }
        }
        if added.is_empty() && removed.is_empty() {
            return Ok(());
        }
        let first = |users: &[UserId]| users.iter().take(NOTED_MAX).map(ToString::to_string).collect::<Vec<_>>();
        let detail = json!({
            "added": first(&added), "added_count": added.len(),
            "removed": first(&removed), "removed_count": removed.len(),
        });
        self.note(tx, "group.change_members", &group.id.to_string(), detail).await
    }

    /// The accounts behind ids, all of which must be users of the directory.
    async fn accounts(&self, tx: &mut Tx, ids: &[String]) -> Result<BTreeSet<UserId>, Refused> {
        let found = self.known_accounts(tx, ids).await?;
        if found.len() < ids.iter().collect::<BTreeSet<_>>().len() {
            let text = "members: names somebody who is no user of this directory";
            return Err(ScimError::new(400, Some(ScimType::InvalidValue), text).into());
        }
        Ok(found)
    }

    async fn known_accounts(&self, tx: &mut Tx, ids: &[String]) -> Result<BTreeSet<UserId>, Refused> {
        let mut found = BTreeSet::new();
        for id in ids.iter().filter_map(|id| id.parse().ok()) {
            found.extend(scim::user(tx, self.org, id).await?.map(|row| row.account));
        }
        Ok(found)
    }

    async fn put_row(&self, tx: &mut Tx, id: GroupId, external_id: String) -> Result<(), Refused> {
        let now_us = self.cx.now_us();
        Ok(scim::put_group(tx, self.org, &GroupRow { id, external_id, created_us: now_us, changed_us: now_us }).await?)
    }

    async fn stored(&self, tx: &mut Tx, id: &str) -> Result<Stored, Refused> {
        let id: GroupId = id.parse().map_err(|_| unknown("group"))?;
        match groups::get(tx, id).await {
            Ok(group) if group.org == self.org => Ok(group),
            Ok(_) | Err(StoreError::NotFound(_)) => Err(unknown("group")),
            Err(error) => Err(error.into()),
        }
    }

    async fn shown_group(&self, tx: &mut Tx, id: GroupId, with_members: bool) -> Result<Group, Refused> {
        let stored = groups::get(tx, id).await?;
        let rows = rows_by_id(scim::groups(tx, self.org).await?);
        let mut group = without_members(&stored, rows.get(&id));
        if with_members {
            group.members = self.members(tx, id).await?;
        }
        Ok(group)
    }

    async fn members(&self, tx: &mut Tx, group: GroupId) -> Result<Vec<Reference>, Refused> {
        let found = scim::members(tx, self.org, group).await?;
        Ok(found.into_iter().map(|(id, display)| Reference { id: id.to_string(), display }).collect())
    }
}

fn rows_by_id(rows: Vec<GroupRow>) -> BTreeMap<GroupId, GroupRow> {
    rows.into_iter().map(|row| (row.id, row)).collect()
}

fn without_members(group: &Stored, row: Option<&GroupRow>) -> Group {
    Group {
        id: group.id.to_string(),
        display_name: group.name.clone(),
        external_id: row.map(|row| row.external_id.clone()).filter(|id| !id.is_empty()),
        members: Vec::new(),
        created_us: group.created_us,
        modified_us: row.map_or(group.created_us, |row| row.changed_us),
    }
}

/// Where something was given to a group.
async fn given_at(tx: &mut Tx, group: GroupId) -> Result<Vec<OrgId>, Failure> {
    Ok(bindings::of_group(tx, group).await?.into_iter().map(|held| held.scope).collect())
}

async fn scim_members(tx: &mut Tx, group: GroupId) -> Result<BTreeSet<UserId>, Failure> {
    let members = groups::members(tx, group).await?;
    Ok(members.into_iter().filter(|(_, source)| source == "scim").map(|(user, _)| user).collect())
}

fn check_ours(group: &Stored, what: &str) -> Result<(), Refused> {
    if group.source == "scim" {
        return Ok(());
    }
    let text = format!("displayName: {:?} was made by hand and cannot be {what} by a directory", group.name);
    Err(ScimError::new(409, Some(ScimType::Mutability), text).into())
}

fn check_name(name: &str) -> Result<(), Refused> {
    if name.chars().count() <= NAME_CHARS_MAX {
        return Ok(());
    }
    let text = "displayName: has more than 256 characters";
    Err(ScimError::new(400, Some(ScimType::InvalidValue), text).into())
}
