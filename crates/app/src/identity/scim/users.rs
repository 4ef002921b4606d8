//! Users of a directory.

use super::joining::{Account, claims, find, is_managed};
use super::{Asked, Directory, Refused, failed, taken, unknown};
use crate::authority::Change;
use crate::failure::Failure;
use crate::people;
use base::UserId;
use identity::scim::{
    Attribute, Filter, NewUser, Reference, ScimError, User, UserChange, list_response, read_user_patch,
};
use serde_json::{Value, json};
use store::scim::{self, UserRow};
use store::{Tx, groups, memberships, sessions, users};

/// A name as shown has at most this many characters.
const NAME_CHARS_MAX: usize = 128;

impl Directory {
    /// Makes or links a user.
    ///
    /// # Errors
    /// [`ScimError`]; 409 `uniqueness` for one that the directory has already.
    pub async fn create_user(&self, body: &[u8]) -> Result<Value, ScimError> {
        let new = match NewUser::read(body) {
            Ok(new) => new,
            Err(error) => return Err(self.unread("", body, error).await),
        };
        let work = async {
            let mut tx = self.begin().await?;
            let account = self.account_for(&mut tx, &new).await?;
            let active = new.active.unwrap_or(true);
            let detail = json!({ "user_name": new.user_name });
            self.note(&mut tx, "user.provision", &account.to_string(), detail).await?;
            let row = fresh_row(account, self.cx.now_us());
            let shown = self.write_user(&mut tx, row, wanted(new), Some(active)).await?;
            self.commit(tx).await?;
            Ok(shown.to_json(&self.base_url))
        };
        self.change("", work).await
    }

    /// One user.
    ///
    /// # Errors
    /// 404 for one that the directory does not have.
    pub async fn user(&self, id: &str, asked: &Asked) -> Result<Value, ScimError> {
        let work = async {
            let projection = asked.projection()?;
            let mut tx = self.read().await?;
            let row = self.row(&mut tx, id).await?;
            let mut resource = self.with_groups(&mut tx, &row).await?.to_json(&self.base_url);
            projection.apply(&mut resource);
            Ok(resource)
        };
        work.await.map_err(failed)
    }

    /// Users that pass a filter, a page of them.
    ///
    /// # Errors
    /// 400 for a filter that is not supported.
    pub async fn users(&self, asked: &Asked) -> Result<Value, ScimError> {
        let work = async {
            let (filter, page, projection) = (asked.filter()?, asked.page()?, asked.projection()?);
            let mut tx = self.read().await?;
            let mut fitting = Vec::new();
            for row in self.rows(&mut tx, &filter).await? {
                if filter.matches_user(&shown(&row)?) {
                    fitting.push(row);
                }
            }
            let mut resources = Vec::new();
            for row in fitting.iter().skip(page.skip).take(page.take) {
                let user = if projection.wants("groups") { self.with_groups(&mut tx, row).await? } else { shown(row)? };
                let mut resource = user.to_json(&self.base_url);
                projection.apply(&mut resource);
                resources.push(resource);
            }
            Ok(list_response(fitting.len(), page, resources))
        };
        work.await.map_err(failed)
    }

    /// Replaces a user. When nothing is said of `active`, that stays as it is.
    ///
    /// # Errors
    /// [`ScimError`]; 409 `mutability` for the last admin.
    pub async fn replace_user(&self, id: &str, body: &[u8]) -> Result<Value, ScimError> {
        let new = match NewUser::read(body) {
            Ok(new) => new,
            Err(error) => return Err(self.unread(id, body, error).await),
        };
        let work = async {
            let mut tx = self.begin().await?;
            let row = self.row(&mut tx, id).await?;
            let active = new.active;
            let shown = self.write_user(&mut tx, row, wanted(new), active).await?;
            self.commit(tx).await?;
            Ok(shown.to_json(&self.base_url))
        };
        self.change(id, work).await
    }

    /// Changes a user.
    ///
    /// # Errors
    /// [`ScimError`]; 409 `mutability` for the last admin.
    pub async fn patch_user(&self, id: &str, body: &[u8]) -> Result<Value, ScimError> {
        let changes = match read_user_patch(body) {
            Ok(changes) => changes,
            Err(error) => return Err(self.unread(id, body, error).await),
        };
        let work = async {
            let mut tx = self.begin().await?;
            let row = self.row(&mut tx, id).await?;
            let mut wanted = shown(&row)?;
            wanted.apply(&changes);
            let says_active = changes.iter().any(|change| matches!(change, UserChange::Active(_)));
            let active = says_active.then_some(wanted.active);
            let shown = self.write_user(&mut tx, row, wanted, active).await?;
            self.commit(tx).await?;
            Ok(shown.to_json(&self.base_url))
        };
        self.change(id, work).await
    }

    /// Takes a user out of the organisation. The person stays in the tree, with what he has elsewhere.
    ///
    /// # Errors
    /// [`ScimError`]; 409 `mutability` for the last admin.
    pub async fn delete_user(&self, id: &str) -> Result<(), ScimError> {
        let work = async {
            let mut tx = self.begin().await?;
            let row = self.row(&mut tx, id).await?;
            if row.suspended.contains("account") {
                // What the directory closed it does not leave closed: he belongs to others now, or to nobody.
                people::set_suspended_in(&mut tx, row.account, false).await?;
            }
            people::take_out(&mut tx, self.org, row.account).await?;
            let account = users::get(&mut tx, row.account).await?;
            if account.email.is_empty() && memberships::of_user(&mut tx, row.account).await?.is_empty() {
                people::shut(&mut tx, row.account).await?; // Nobody ever took it over.
            }
            self.commit(tx).await
        };
        self.change(id, work).await
    }

    async fn row(&self, tx: &mut Tx, id: &str) -> Result<UserRow, Refused> {
        let id: UserId = id.parse().map_err(|_| unknown("user"))?;
        scim::user(tx, self.org, id).await?.ok_or_else(|| unknown("user"))
    }

    /// The rows that can pass a filter, by an index where one fits.
    async fn rows(&self, tx: &mut Tx, filter: &Filter) -> Result<Vec<UserRow>, Refused> {
        if let Some(name) = filter.equals(&Attribute::UserName) {
            return Ok(scim::user_by_name(tx, self.org, name).await?.into_iter().collect());
        }
        if let Some(id) = filter.equals(&Attribute::ExternalId) {
            return Ok(scim::users_by_external_id(tx, self.org, id).await?);
        }
        if let Some(id) = filter.equals(&Attribute::Id) {
            let Ok(id) = id.parse() else { return Ok(Vec::new()) };
            return Ok(scim::user(tx, self.org, id).await?.into_iter().collect());
        }
        Ok(scim::users(tx, self.org).await?)
    }

    async fn with_groups(&self, tx: &mut Tx, row: &UserRow) -> Result<User, Refused> {
        let mut user = shown(row)?;
        let groups = groups::of_user(tx, row.account).await?;
        let own = groups.into_iter().filter(|(group, source)| group.org == self.org && source == "scim");
        user.groups = own.map(|(group, _)| Reference { id: group.id.to_string(), display: group.name }).collect();
        Ok(user)
    }

    /// The account behind a new user, a member of the organisation from now on.
    async fn account_for(&self, tx: &mut Change, new: &NewUser) -> Result<UserId, Refused> {
        match find(tx, self.org, address(new)).await? {
            Account::Known(user) => {
                if scim::user_of(tx, self.org, user.id).await?.is_some() {
                    return Err(taken("emails", &user.email));
                }
                if memberships::get(tx, user.id, self.org).await?.is_none() {
                    people::join(tx, user.id, self.org, "scim").await?;
                }
                Ok(user.id)
            }
            Account::New(email) => {
                let (id, name) = (UserId(self.cx.app.fresh()), name_of(&wanted(new.clone())));
                let email = email.unwrap_or_default();
                let user = users::User::person(id, self.org, &email, &name, String::new(), self.cx.now_us());
                people::insert(tx, &user).await?;
                people::join(tx, id, self.org, "scim").await?;
                Ok(id)
            }
        }
    }

    /// Writes what the directory wants of a user, and gives it back as it is now.
    async fn write_user(
        &self,
        tx: &mut Change,
        mut row: UserRow,
        wanted: User,
        active: Option<bool>,
    ) -> Result<User, Refused> {
        let is_other = |other: Option<UserRow>| other.is_some_and(|other| other.id != row.id);
        if is_other(scim::user_by_name(tx, self.org, &wanted.user_name).await?) {
            return Err(taken("userName", &wanted.user_name));
        }
        let new = new_of(&wanted);
        let email = address(&new).unwrap_or_default();
        if !email.is_empty() && is_other(scim::user_by_email(tx, self.org, email).await?) {
            return Err(taken("emails", email));
        }
        self.follow(tx, &row, &wanted, email).await?;
        if let Some(active) = active {
            self.set_active(tx, &mut row, active).await?;
        }
        row.external_id = wanted.external_id.clone().unwrap_or_default();
        row.user_name.clone_from(&wanted.user_name);
        row.email_key = users::email_key(email);
        row.attributes_json = wanted.to_json("").to_string();
        row.changed_us = self.cx.now_us();
        scim::put_user(tx, self.org, &row).await?;
        let row = scim::user(tx, self.org, row.id).await?.ok_or_else(|| unknown("user"))?;
        self.with_groups(tx, &row).await
    }

    /// Lets the account follow the directory in name and address, if it is the directory's to change. The
    /// address only within the domains that the organisation has proved.
    async fn follow(&self, tx: &mut Change, row: &UserRow, wanted: &User, email: &str) -> Result<(), Refused> {
        let account = users::get(tx, row.account).await?;
        if !is_managed(tx, self.org, account.id).await? {
            return Ok(());
        }
        let name = name_of(wanted);
        if name != account.display_name {
            users::rename(tx, account.id, &name).await?;
            let detail = json!({ "before": account.display_name, "after": name });
            self.note(tx, "user.update", &account.id.to_string(), detail).await?;
        }
        let same = users::email_key(email) == users::email_key(&account.email);
        let is_ours = account.email.is_empty() || claims(tx, self.org, &account.email).await?;
        if email.is_empty() || same || !is_ours || !claims(tx, self.org, email).await? {
            return Ok(());
        }
        if users::by_email(tx, email).await?.is_some() {
            return Err(taken("emails", email));
        }
        users::set_email(tx, account.id, email).await?;
        let detail = json!({ "before": account.email, "after": email });
        self.note(tx, "user.change_email", &account.id.to_string(), detail).await
    }

    /// Suspends or resumes: the membership, and the account if it belongs nowhere else. What somebody else
    /// suspended stays so.
    async fn set_active(&self, tx: &mut Change, row: &mut UserRow, active: bool) -> Result<(), Refused> {
        let user = row.account;
        let account = users::get(tx, user).await?;
        let membership = memberships::get(tx, user, self.org).await?.ok_or_else(|| unknown("user"))?;
        if active {
            return self.resume(tx, row, &account.state).await;
        }
        let whole = account.state == "active" && is_managed(tx, self.org, user).await?;
        if membership.state != "active" && !whole {
            return Ok(());
        }
        memberships::set_state(tx, user, self.org, "suspended").await?;
        sessions::delete_of(tx, user).await?;
        if whole {
            people::set_suspended_in(tx, user, true).await?;
        }
        let before = std::mem::take(&mut row.suspended);
        let ours = [("membership", membership.state == "active"), ("account", whole)];
        let kept = ours.into_iter().filter(|(what, now)| *now || before.contains(what)).map(|(what, _)| what);
        row.suspended = kept.collect::<Vec<_>>().join(" ");
        self.note(tx, "membership.suspend", &user.to_string(), json!({ "account": whole })).await
    }

    async fn resume(&self, tx: &mut Change, row: &mut UserRow, account: &str) -> Result<(), Refused> {
        if row.suspended.is_empty() {
            return Ok(());
        }
        if row.suspended.contains("membership") {
            memberships::set_state(tx, row.account, self.org, "active").await?;
        }
        if account == "suspended" && row.suspended.contains("account") {
            people::set_suspended_in(tx, row.account, false).await?;
        }
        row.suspended.clear();
        self.note(tx, "membership.resume", &row.account.to_string(), json!({})).await
    }
}

/// A user that the directory has not described yet.
fn fresh_row(account: UserId, now_us: i64) -> UserRow {
    UserRow {
        id: account,
        account,
        external_id: String::new(),
        user_name: String::new(),
        email_key: String::new(),
        attributes_json: String::new(),
        suspended: String::new(),
        created_us: now_us,
        changed_us: now_us,
        is_active: true,
    }
}

/// A user as it goes out, without its groups.
fn shown(row: &UserRow) -> Result<User, Failure> {
    let corrupt = |_| store::StoreError::Corrupt {
        column: "attributes_json".to_owned(),
        value: row.attributes_json.chars().take(100).collect(),
    };
    let said = NewUser::read(row.attributes_json.as_bytes()).map_err(corrupt)?;
    Ok(User {
        id: row.id.to_string(),
        active: row.is_active,
        created_us: row.created_us,
        modified_us: row.changed_us,
        ..wanted(said)
    })
}

/// A user as it came in, in the form in which it goes out.
fn wanted(new: NewUser) -> User {
    User {
        user_name: new.user_name,
        external_id: new.external_id,
        name: new.name,
        display_name: new.display_name,
        emails: new.emails,
        active: new.active.unwrap_or(true),
        ..User::default()
    }
}

fn new_of(user: &User) -> NewUser {
    NewUser { user_name: user.user_name.clone(), emails: user.emails.clone(), ..NewUser::default() }
}

/// The main address, if it is one.
fn address(new: &NewUser) -> Option<&str> {
    new.main_email().map(str::trim).filter(|email| people::check_email(email).is_ok())
}

/// The name to show: the one for that, else the whole, else its parts, else the user name.
fn name_of(user: &User) -> String {
    let parts = [&user.name.given, &user.name.family];
    let joined = parts.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ");
    let name = [user.display_name.as_deref(), user.name.formatted.as_deref(), Some(joined.as_str())]
        .into_iter()
        .flatten()
        .find(|name| !name.is_empty())
        .unwrap_or(&user.user_name);
    name.chars().take(NAME_CHARS_MAX).collect()
}
