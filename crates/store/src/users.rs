//! People.

use crate::sql::{Row, StoreError, Tx, params, scoped};
use base::{OrgId, UserId};
use serde::Serialize;
use std::collections::BTreeSet;

/// A person. Exists once per realm, whatever he may do where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct User {
    /// His id.
    pub id: UserId,
    /// Where he was made.
    pub home_org: OrgId,
    /// Address as he wrote it.
    pub email: String,
    /// Name as shown.
    pub display_name: String,
    /// argon2id hash; empty when he has no password.
    #[serde(skip)]
    pub password_hash: String,
    /// `active`, `suspended` or `deprovisioned`.
    pub state: String,
    /// When he was made.
    pub created_us: i64,
    /// `human` or `service`.
    pub kind: String,
    /// What a service is for.
    pub description: String,
}

impl User {
    /// A person who can begin at once.
    #[must_use]
    pub fn person(
        id: UserId,
        home_org: OrgId,
        email: &str,
        name: &str,
        password_hash: String,
        created_us: i64,
    ) -> Self {
        Self {
            id,
            home_org,
            email: email.trim().to_owned(),
            display_name: name.trim().to_owned(),
            password_hash,
            state: "active".to_owned(),
            created_us,
            kind: "human".to_owned(),
            description: String::new(),
        }
    }

    /// A program: no address, no password, no console.
    #[must_use]
    pub fn service(id: UserId, home_org: OrgId, name: &str, description: &str, created_us: i64) -> Self {
        Self {
            kind: "service".to_owned(),
            description: description.trim().to_owned(),
            ..Self::person(id, home_org, "", name, String::new(), created_us)
        }
    }

    /// Whether nothing names the person any more.
    #[must_use]
    pub fn is_erased(&self) -> bool {
        self.state == "deprovisioned" && self.email.is_empty() && self.display_name == FORMER
    }

    /// What keeps an address unique: the address itself, or the id of a service.
    fn key(&self) -> String {
        if self.email.is_empty() { self.id.to_string() } else { email_key(&self.email) }
    }
}

pub(crate) fn from_row(row: &Row) -> Result<User, StoreError> {
    Ok(User {
        id: row.parsed("user_id")?,
        home_org: row.parsed("home_org_id")?,
        email: row.text("email")?,
        display_name: row.text("display_name")?,
        password_hash: row.text("password_hash")?,
        state: row.text("state")?,
        created_us: row.int("created_us")?,
        kind: row.text("kind")?,
        description: row.text("description")?,
    })
}

pub use base::text::email_key;

/// One user.
pub async fn get(tx: &mut Tx, user: UserId) -> Result<User, StoreError> {
    let sql = scoped!(
        "select user_id, home_org_id, email, display_name, password_hash, state, created_us, kind, description
           from user_account
          where realm_id = $1 and user_id = $2"
    );
    tx.fetch_one("user", sql, params![user], from_row).await
}

/// The user with this address, if the realm has one.
pub async fn by_email(tx: &mut Tx, email: &str) -> Result<Option<User>, StoreError> {
    let sql = scoped!(
        "select user_id, home_org_id, email, display_name, password_hash, state, created_us, kind, description
           from user_account
          where realm_id = $1 and email_key = $2"
    );
    tx.fetch_optional(sql, params![email_key(email)], from_row).await
}

/// Which people of a subtree.
#[derive(Debug, Clone, Default)]
pub struct PeopleQuestion {
    /// Part of a name or an address, in any case; empty for everybody.
    pub search: String,
    /// The last one of the page before.
    pub after: Option<UserId>,
    /// At most so many; 0 for [`PEOPLE_MAX`].
    pub limit: usize,
}

/// The name of somebody whose name was replaced.
const FORMER: &str = "former user";

/// People that one question gives at most.
pub const PEOPLE_MAX: usize = 1_001;

impl PeopleQuestion {
    /// Compared here, not by the engine: each has its own idea of upper and lower case.
    fn fits(&self, user: &Named) -> bool {
        let search = self.search.trim().to_lowercase();
        user.email_key.contains(&search)
            || user.email.to_lowercase().contains(&search)
            || user.name.to_lowercase().contains(&search)
    }

    fn limit(&self) -> usize {
        if self.limit == 0 { PEOPLE_MAX } else { self.limit.min(PEOPLE_MAX) }
    }
}

/// A user, his name, and what orders him.
struct Named {
    id: UserId,
    name: String,
    email: String,
    email_key: String,
}

/// People and services that belong to `org` or to something below it, by address: one page of them.
pub async fn below(tx: &mut Tx, org: OrgId, question: &PeopleQuestion) -> Result<Vec<User>, StoreError> {
    let after = match question.after {
        Some(user) => get(tx, user).await?.key(),
        None => String::new(),
    };
    if question.search.trim().is_empty() {
        return page_below(tx, org, &after, question.limit()).await;
    }
    let mut found = Vec::new();
    let fits = |user: &Named| user.email_key > after && question.fits(user);
    for user in named_below(tx, org).await?.into_iter().filter(fits).take(question.limit()) {
        found.push(get(tx, user.id).await?);
    }
    Ok(found)
}

async fn page_below(tx: &mut Tx, org: OrgId, after: &str, limit: usize) -> Result<Vec<User>, StoreError> {
    let sql = scoped!(
        "select u.user_id, u.home_org_id, u.email, u.display_name, u.password_hash, u.state, u.created_us, u.kind,
                u.description
           from user_account u
          where u.realm_id = $1 and u.email_key > $3
            and exists (select 1
                          from membership m
                          join org_above a on a.realm_id = m.realm_id and a.org_id = m.org_id
                         where m.realm_id = u.realm_id and m.user_id = u.user_id and a.ancestor_id = $2)
          order by u.email_key
          limit $4"
    );
    let limit = i64::try_from(limit).expect("a page is small");
    tx.fetch_all(sql, params![org, after, limit], from_row).await
}

async fn named_below(tx: &mut Tx, org: OrgId) -> Result<Vec<Named>, StoreError> {
    let sql = scoped!(
        "select u.user_id, u.display_name, u.email, u.email_key
           from user_account u
          where u.realm_id = $1
            and exists (select 1
                          from membership m
                          join org_above a on a.realm_id = m.realm_id and a.org_id = m.org_id
                         where m.realm_id = u.realm_id and m.user_id = u.user_id and a.ancestor_id = $2)"
    );
    let read = |row: &Row| {
        let (name, email) = (row.text("display_name")?, row.text("email")?);
        Ok(Named { id: row.parsed("user_id")?, name, email, email_key: row.text("email_key")? })
    };
    let mut found = tx.fetch_all(sql, params![org], read).await?;
    // In the order in which they are compared: a database may have another one.
    found.sort_by(|one, other| one.email_key.cmp(&other.email_key));
    Ok(found)
}

/// How many [`below`] finds on all pages.
pub async fn count_below(tx: &mut Tx, org: OrgId, question: &PeopleQuestion) -> Result<i64, StoreError> {
    if !question.search.trim().is_empty() {
        let found = named_below(tx, org).await?.iter().filter(|user| question.fits(user)).count();
        return Ok(i64::try_from(found).expect("a tree has fewer people"));
    }
    let sql = scoped!(
        "select count(*) as people
           from user_account u
          where u.realm_id = $1
            and exists (select 1
                          from membership m
                          join org_above a on a.realm_id = m.realm_id and a.org_id = m.org_id
                         where m.realm_id = u.realm_id and m.user_id = u.user_id and a.ancestor_id = $2)"
    );
    tx.fetch_one("user", sql, params![org], |row| row.int("people")).await
}

/// The people and services that belong to one of these organisations, by address: for whoever does not see all that
/// is below one.
async fn named_at(tx: &mut Tx, orgs: &BTreeSet<OrgId>) -> Result<Vec<Named>, StoreError> {
    let sql = scoped!(
        "select u.user_id, u.display_name, u.email, u.email_key
           from membership m
           join user_account u on u.realm_id = m.realm_id and u.user_id = m.user_id
          where m.realm_id = $1 and m.org_id = $2"
    );
    let read = |row: &Row| {
        let (name, email) = (row.text("display_name")?, row.text("email")?);
        Ok(Named { id: row.parsed("user_id")?, name, email, email_key: row.text("email_key")? })
    };
    let mut found = Vec::new();
    for org in orgs {
        found.extend(tx.fetch_all(sql, params![*org], read).await?);
    }
    found.sort_by(|one, other| one.email_key.cmp(&other.email_key));
    found.dedup_by(|one, other| one.id == other.id);
    Ok(found)
}

/// As [`below`], of these organisations alone.
pub async fn at(tx: &mut Tx, orgs: &BTreeSet<OrgId>, question: &PeopleQuestion) -> Result<Vec<User>, StoreError> {
    let after = match question.after {
        Some(user) => get(tx, user).await?.key(),
        None => String::new(),
    };
    let fits = |user: &Named| user.email_key > after && question.fits(user);
    let mut found = Vec::new();
    for user in named_at(tx, orgs).await?.into_iter().filter(fits).take(question.limit()) {
        found.push(get(tx, user.id).await?);
    }
    Ok(found)
}

/// How many [`at`] finds on all pages.
pub async fn count_at(tx: &mut Tx, orgs: &BTreeSet<OrgId>, question: &PeopleQuestion) -> Result<i64, StoreError> {
    let found = named_at(tx, orgs).await?.iter().filter(|user| question.fits(user)).count();
    Ok(i64::try_from(found).expect("a tree has fewer people"))
}

/// Ids and names of the people and services of these organisations, by address.
pub async fn names_at(tx: &mut Tx, orgs: &BTreeSet<OrgId>) -> Result<Vec<(UserId, String)>, StoreError> {
    Ok(named_at(tx, orgs).await?.into_iter().map(|user| (user.id, user.name)).collect())
}

/// Whether a user belongs to `org` or to something below it.
pub async fn is_below(tx: &mut Tx, user: UserId, org: OrgId) -> Result<bool, StoreError> {
    let sql = scoped!(
        "select 1 as found
           from membership m
           join org_above a on a.realm_id = m.realm_id and a.org_id = m.org_id
          where m.realm_id = $1 and m.user_id = $2 and a.ancestor_id = $3
          limit 1"
    );
    Ok(tx.fetch_optional(sql, params![user, org], |row| row.int("found")).await?.is_some())
}

/// Ids and names of people and services that belong to `org` or to something below it, by address.
pub async fn names_below(tx: &mut Tx, org: OrgId) -> Result<Vec<(UserId, String)>, StoreError> {
    Ok(named_below(tx, org).await?.into_iter().map(|user| (user.id, user.name)).collect())
}

/// Services that belong to `org` or to something below it, by name.
pub async fn services_below(tx: &mut Tx, org: OrgId) -> Result<Vec<User>, StoreError> {
    let sql = scoped!(
        "select u.user_id, u.home_org_id, u.email, u.display_name, u.password_hash, u.state, u.created_us, u.kind,
                u.description
           from user_account u
          where u.realm_id = $1 and u.kind = 'service'
            and exists (select 1
                          from membership m
                          join org_above a on a.realm_id = m.realm_id and a.org_id = m.org_id
                         where m.realm_id = u.realm_id and m.user_id = u.user_id and a.ancestor_id = $2)
          order by u.display_name, u.user_id"
    );
    tx.fetch_all(sql, params![org], from_row).await
}

/// Adds a user.
pub async fn insert(tx: &mut Tx, user: &User) -> Result<(), StoreError> {
    let sql = scoped!(
        "insert into user_account (realm_id, user_id, home_org_id, email, email_key, display_name, password_hash, state,
                                   created_us, kind, description)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
    );
    let values = params![
        user.id,
        user.home_org,
        user.email.trim(),
        user.key(),
        user.display_name.as_str(),
        user.password_hash.as_str(),
        user.state.as_str(),
        user.created_us,
        user.kind.as_str(),
        user.description.as_str(),
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// Sets a new password hash.
pub async fn set_password(tx: &mut Tx, user: UserId, password_hash: &str) -> Result<(), StoreError> {
    let sql = scoped!("update user_account set password_hash = $3 where realm_id = $1 and user_id = $2");
    tx.execute(sql, params![user, password_hash]).await?;
    Ok(())
}

/// Sets the state.
pub async fn set_state(tx: &mut Tx, user: UserId, state: &str) -> Result<u64, StoreError> {
    crate::watch::user(tx, user).await?;
    let sql = scoped!("update user_account set state = $3 where realm_id = $1 and user_id = $2");
    tx.execute(sql, params![user, state]).await
}

/// Changes the name as shown.
pub async fn rename(tx: &mut Tx, user: UserId, name: &str) -> Result<u64, StoreError> {
    let sql = scoped!("update user_account set display_name = $3 where realm_id = $1 and user_id = $2");
    tx.execute(sql, params![user, name]).await
}

/// Gives an account an address, or another one; one that somebody has is a conflict.
pub async fn set_email(tx: &mut Tx, user: UserId, email: &str) -> Result<u64, StoreError> {
    let sql = scoped!("update user_account set email = $3, email_key = $4 where realm_id = $1 and user_id = $2");
    tx.execute(sql, params![user, email.trim(), email_key(email)]).await
}

/// Changes where a user is at home.
pub async fn set_home(tx: &mut Tx, user: UserId, home: OrgId) -> Result<u64, StoreError> {
    let sql = scoped!("update user_account set home_org_id = $3 where realm_id = $1 and user_id = $2");
    tx.execute(sql, params![user, home]).await
}

/// Shuts an account for good: nothing opens it again, and its address stays taken for a while.
pub async fn deprovision(tx: &mut Tx, user: UserId, now_us: i64) -> Result<u64, StoreError> {
    crate::watch::user(tx, user).await?;
    crate::known_addresses::forget(tx, user).await?;
    let sql = scoped!(
        "update user_account
            set state = 'deprovisioned', password_hash = '', deprovisioned_us = $3
          where realm_id = $1 and user_id = $2 and state <> 'deprovisioned'"
    );
    tx.execute(sql, params![user, now_us]).await
}

/// Replaces what names a person by his id, for accounts that were shut before an instant.
pub async fn pseudonymise_before(tx: &mut Tx, before_us: i64) -> Result<u64, StoreError> {
    let sql = scoped!(
        "update user_account
            set email = '', email_key = user_id, display_name = 'former user'
          where realm_id = $1 and state = 'deprovisioned' and deprovisioned_us <= $2 and email_key <> user_id"
    );
    tx.execute(sql, params![before_us]).await
}

/// Replaces what names one person by their id, at once. Their account must be shut.
pub async fn pseudonymise(tx: &mut Tx, user: UserId) -> Result<u64, StoreError> {
    let sql = scoped!(
        "update user_account
            set email = '', email_key = user_id, display_name = 'former user', description = ''
          where realm_id = $1 and user_id = $2 and state = 'deprovisioned'"
    );
    tx.execute(sql, params![user]).await
}

/// People who belong to no organisation, by address: those whose names are not replaced yet, and who wait nowhere.
pub async fn unattached(tx: &mut Tx) -> Result<Vec<User>, StoreError> {
    let sql = scoped!(
        "select u.user_id, u.home_org_id, u.email, u.display_name, u.password_hash, u.state, u.created_us, u.kind,
                u.description
           from user_account u
          where u.realm_id = $1 and u.kind = 'human' and u.state <> 'pending'
            and not (u.state = 'deprovisioned' and u.email = '' and u.display_name = 'former user')
            and not exists (select 1 from membership m where m.realm_id = $1 and m.user_id = u.user_id)
          order by u.email_key"
    );
    tx.fetch_all(sql, params![], from_row).await
}

/// Whether an account keeps its password where sign-in by a provider is enforced.
pub async fn is_break_glass(tx: &mut Tx, user: UserId) -> Result<bool, StoreError> {
    let sql = scoped!("select break_glass from user_account where realm_id = $1 and user_id = $2");
    tx.fetch_one("user", sql, params![user], |row| Ok(row.int("break_glass")? == 1)).await
}

/// Marks an account as one for emergencies, or takes the mark away.
pub async fn set_break_glass(tx: &mut Tx, user: UserId, on: bool) -> Result<u64, StoreError> {
    crate::watch::user(tx, user).await?;
    let sql = scoped!("update user_account set break_glass = $3 where realm_id = $1 and user_id = $2");
    tx.execute(sql, params![user, i64::from(on)]).await
}

/// The accounts for emergencies.
pub async fn break_glass(tx: &mut Tx) -> Result<Vec<UserId>, StoreError> {
    let sql = scoped!(
        "select user_id
           from user_account
          where realm_id = $1 and break_glass = 1 and state = 'active'
          order by user_id"
    );
    tx.fetch_all(sql, params![], |row| row.parsed("user_id")).await
}
