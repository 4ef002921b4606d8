//! Organisations and their closure table.

use crate::sql::{Row, StoreError, Tx, params, scoped, to_json};
use access::tree::{AdminMode, GatewayRule, MfaPolicy, OrgState, slug_of};
use access::{Cost, Costs, GuardRail, Place, Product, Products, Reach};
use base::text::skeleton;
use base::{Currency, OrgId, RealmId, Zone};
use billing::InvoiceKind;
use serde::Serialize;

/// An organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Org {
    /// Its id.
    pub id: OrgId,
    /// Its parent; `None` for the root.
    pub parent: Option<OrgId>,
    /// `provider`, `reseller`, `customer`, `department`, `project`.
    pub kind: String,
    /// Name as shown.
    pub name: String,
    /// Address lines as printed.
    pub address: Vec<String>,
    /// Money of its papers.
    pub currency: Currency,
    /// Calendar of its papers.
    pub zone: Zone,
    /// Whether it gets invoices or statements from its parent.
    pub invoice_kind: InvoiceKind,
    /// When it was made.
    pub created_us: i64,
    /// Short name, unique among siblings.
    pub slug: String,
    /// Its own state; what lies above it may say more.
    pub state: OrgState,
    /// When it is gone for good, if it is to be deleted.
    pub delete_after_us: Option<i64>,
    /// What its admins decided.
    #[serde(flatten)]
    pub settings: OrgSettings,
}

/// Settings of an organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrgSettings {
    /// Who runs it.
    pub admin_mode: AdminMode,
    /// The cost that its pages show first.
    pub cost_default: Cost,
    /// The same for new children.
    pub child_cost_default: Cost,
    /// Which costs its people may be shown, as far as those above it may.
    pub visible_costs: Costs,
    /// Whether its people need a second factor.
    pub mfa_policy: MfaPolicy,
    /// What the S3 gateway does when it is suspended.
    pub gateway_when_suspended: GatewayRule,
    /// Days that a token may live at most.
    pub token_days_max: i64,
}

impl Default for OrgSettings {
    fn default() -> Self {
        Self {
            admin_mode: AdminMode::Inherited,
            cost_default: Cost::Charged,
            child_cost_default: Cost::Charged,
            visible_costs: Costs::CHARGED,
            mfa_policy: MfaPolicy::Off,
            gateway_when_suspended: GatewayRule::Deny,
            token_days_max: 365,
        }
    }
}

/// Reads a column that holds one of a closed list of words.
macro_rules! word {
    ($row:expr, $column:literal, $type:ty) => {{
        let value = $row.text($column)?;
        <$type>::from_code(&value).ok_or(StoreError::Corrupt { column: $column.to_owned(), value })?
    }};
}

fn costs(row: &Row) -> Result<Costs, StoreError> {
    let value = row.text("visible_costs")?;
    Costs::from_codes(&value).map_err(|_| StoreError::Corrupt { column: "visible_costs".to_owned(), value })
}

fn settings(row: &Row) -> Result<OrgSettings, StoreError> {
    Ok(OrgSettings {
        admin_mode: word!(row, "admin_mode", AdminMode),
        cost_default: word!(row, "cost_default", Cost),
        child_cost_default: word!(row, "child_cost_default", Cost),
        visible_costs: costs(row)?,
        mfa_policy: word!(row, "mfa_policy", MfaPolicy),
        gateway_when_suspended: word!(row, "gateway_when_suspended", GatewayRule),
        token_days_max: row.int("token_days_max")?,
    })
}

fn from_row(row: &Row) -> Result<Org, StoreError> {
    let invoice_kind = match row.text("invoice_kind")?.as_str() {
        "invoice" => InvoiceKind::Invoice,
        _ => InvoiceKind::Statement,
    };
    Ok(Org {
        id: row.parsed("org_id")?,
        parent: row.opt_parsed("parent_id")?,
        kind: row.text("kind")?,
        name: row.text("name")?,
        address: row.json("address_json")?,
        currency: row.parsed("currency")?,
        zone: row.parsed("zone")?,
        invoice_kind,
        created_us: row.int("created_us")?,
        slug: row.text("slug")?,
        state: word!(row, "state", OrgState),
        delete_after_us: row.opt_int("delete_after_us")?,
        settings: settings(row)?,
    })
}

impl Org {
    /// A new organisation with the settings that most have.
    #[must_use]
    pub fn new(id: OrgId, parent: Option<OrgId>, kind: &str, name: &str, currency: Currency, zone: Zone) -> Self {
        let name = name.trim().to_owned();
        Self {
            id,
            parent,
            kind: kind.to_owned(),
            slug: slug_of(&name),
            name,
            address: Vec::new(),
            currency,
            zone,
            invoice_kind: InvoiceKind::Invoice,
            created_us: 0,
            state: OrgState::Active,
            delete_after_us: None,
            settings: OrgSettings::default(),
        }
    }
}

/// One organisation.
pub async fn get(tx: &mut Tx, org: OrgId) -> Result<Org, StoreError> {
    let sql = scoped!(
        "select org_id, parent_id, kind, name, address_json, currency, zone, invoice_kind, created_us, slug, state, delete_after_us,
                admin_mode, cost_default, child_cost_default, visible_costs, mfa_policy, gateway_when_suspended, token_days_max
           from org
          where realm_id = $1 and org_id = $2"
    );
    tx.fetch_one("organisation", sql, params![org], from_row).await
}

/// The ids from the root down to `org`; empty when there is no such organisation.
pub async fn path(tx: &mut Tx, org: OrgId) -> Result<Vec<OrgId>, StoreError> {
    let sql = scoped!(
        "select ancestor_id
           from org_above
          where realm_id = $1 and org_id = $2
          order by depth desc"
    );
    tx.fetch_all(sql, params![org], |row| row.parsed("ancestor_id")).await
}

/// The way from the root down to `org` with what it says about it: what a decision is made on.
pub async fn place(tx: &mut Tx, org: OrgId) -> Result<Place, StoreError> {
    let sql = scoped!(
        "select a.ancestor_id, o.state, o.visible_costs
           from org_above a
           join org o on o.realm_id = a.realm_id and o.org_id = a.ancestor_id
          where a.realm_id = $1 and a.org_id = $2
          order by a.depth desc"
    );
    let steps = tx
        .fetch_all(sql, params![org], |row| {
            Ok((row.parsed::<OrgId>("ancestor_id")?, word!(row, "state", OrgState), costs(row)?))
        })
        .await?;
    if steps.last().is_none_or(|(_, state, _)| *state == OrgState::Deleted) {
        return Err(StoreError::NotFound("organisation"));
    }
    Ok(Place {
        realm: tx.realm(),
        suspended_from: steps.iter().position(|(_, state, _)| *state != OrgState::Active),
        costs: Costs::along(steps.iter().map(|(_, _, costs)| *costs)),
        path: steps.into_iter().map(|(id, ..)| id).collect(),
        products: products_along(tx, org).await?,
        guards: guards(tx, org).await?,
    })
}

async fn guards(tx: &mut Tx, org: OrgId) -> Result<Vec<GuardRail>, StoreError> {
    Ok(crate::policies::guards_on(tx, org).await?.into_iter().map(|(_, guard)| guard).collect())
}

/// The products that `org` and every organisation above it has.
// `cross join`, here and below: SQLite keeps its order, and would else begin with every row of the realm.
async fn products_along(tx: &mut Tx, org: OrgId) -> Result<Products, StoreError> {
    let sql = scoped!(
        "select p.product
           from org_above a
          cross join product_access p
          where a.realm_id = $1 and a.org_id = $2
            and p.realm_id = a.realm_id and p.org_id = a.ancestor_id and p.state = 'granted'
          group by p.product
         having count(*) = (select count(*) from org_above where realm_id = $1 and org_id = $2)"
    );
    let read = |row: &Row| Ok(word!(row, "product", Product));
    Ok(tx.fetch_all(sql, params![org], read).await?.into_iter().collect())
}

/// A child as its parent's list shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Child {
    /// The organisation.
    #[serde(flatten)]
    pub org: Org,
    /// Cloud and S3 accounts at it and below that are linked now.
    pub accounts: i64,
    /// People at it and below.
    pub users: i64,
    /// Its direct children.
    pub children: i64,
}

/// Which children of a page.
#[derive(Debug, Clone, Copy, Default)]
pub struct ChildrenAsked<'a> {
    /// Name and id of the last one of the page before.
    pub after: (&'a str, &'a str),
    /// Part of a name, in any case; empty for all.
    pub search: &'a str,
    /// At most so many.
    pub limit: i64,
}

/// Direct children by name, with their figures.
pub async fn children_page(
    tx: &mut Tx,
    org: OrgId,
    asked: ChildrenAsked<'_>,
    now_us: i64,
) -> Result<Vec<Child>, StoreError> {
    let sql = scoped!(
        "select o.org_id, o.parent_id, o.kind, o.name, o.address_json, o.currency, o.zone, o.invoice_kind, o.created_us, o.slug,
                o.state, o.delete_after_us, o.admin_mode, o.cost_default, o.child_cost_default, o.visible_costs, o.mfa_policy,
                o.gateway_when_suspended, o.token_days_max,
                (select count(*)
                   from org_above a
                  cross join cloud_link l
                  where a.realm_id = $1 and a.ancestor_id = o.org_id
                    and l.realm_id = a.realm_id and l.org_id = a.org_id
                    and l.from_us <= $5 and (l.to_us is null or l.to_us > $5))
                + (select count(*)
                     from org_above a
                    cross join s3_account s
                    where a.realm_id = $1 and a.ancestor_id = o.org_id
                      and s.realm_id = a.realm_id and s.org_id = a.org_id) as accounts,
                (select count(distinct m.user_id)
                   from org_above a
                  cross join membership m
                  where a.realm_id = $1 and a.ancestor_id = o.org_id
                    and m.realm_id = a.realm_id and m.org_id = a.org_id) as users,
                (select count(*) from org c where c.realm_id = $1 and c.parent_id = o.org_id and c.state <> 'deleted') as children
           from org o
          where o.realm_id = $1 and o.parent_id = $2 and o.state <> 'deleted'
            and (o.name_key > $3 or (o.name_key = $3 and o.org_id > $4))
            and ($7 = '' or replace(o.name_key, $7, '') <> o.name_key)
          order by o.name_key, o.org_id
          limit $6"
    );
    let key = |text: &str| text.trim().to_lowercase();
    let values = params![org, key(asked.after.0), asked.after.1, now_us, asked.limit, key(asked.search)];
    tx.fetch_all(sql, values, |row| {
        Ok(Child {
            org: from_row(row)?,
            accounts: row.int("accounts")?,
            users: row.int("users")?,
            children: row.int("children")?,
        })
    })
    .await
}

/// Whether there are fewer children than `max`, deleted ones left out.
pub async fn has_room(tx: &mut Tx, org: OrgId, max: i64) -> Result<bool, StoreError> {
    // Counted in the index alone; only a full parent has the states of its children read.
    let all = scoped!("select count(*) as children from org where realm_id = $1 and parent_id = $2");
    if tx.fetch_one("organisation", all, params![org], |row| row.int("children")).await? < max {
        return Ok(true);
    }
    let sql = scoped!(
        "select count(*) as children
           from org
          where realm_id = $1 and parent_id = $2 and state <> 'deleted'"
    );
    Ok(tx.fetch_one("organisation", sql, params![org], |row| row.int("children")).await? < max)
}

/// Whether a child of `parent` has a name that looks like this one, and whether one has this slug.
pub async fn sibling_has(tx: &mut Tx, parent: OrgId, name: &str, slug: &str) -> Result<(bool, bool), StoreError> {
    let sql = scoped!(
        "select (select count(*) from org where realm_id = $1 and parent_id = $2 and name_skeleton = $3) as names,
                (select count(*) from org where realm_id = $1 and parent_id = $2 and slug = $4) as slugs"
    );
    let values = params![parent, skeleton(name), slug];
    tx.fetch_one("organisation", sql, values, |row| Ok((row.int("names")? > 0, row.int("slugs")? > 0))).await
}

/// Levels of the subtree, `org` included.
pub async fn height(tx: &mut Tx, org: OrgId) -> Result<usize, StoreError> {
    let sql = scoped!(
        "select max(depth) + 1 as height
           from org_above
          where realm_id = $1 and ancestor_id = $2"
    );
    let height = tx.fetch_one("organisation", sql, params![org], |row| row.int("height")).await?;
    Ok(usize::try_from(height).unwrap_or(usize::MAX))
}

/// Hangs `org` with everything below it under another parent: every path of the subtree is made anew. Its
/// bills are its new parent's business from `billed_from_us` on.
pub async fn move_under(tx: &mut Tx, org: OrgId, parent: OrgId, billed_from_us: i64) -> Result<(), StoreError> {
    // Until the first move the present parent was the one of all time.
    let before = scoped!(
        "insert into org_billed_under (realm_id, org_id, from_us, parent_id)
         select o.realm_id, o.org_id, 0, o.parent_id
           from org o
          where o.realm_id = $1 and o.org_id = $2
         on conflict (realm_id, org_id, from_us) do nothing"
    );
    tx.execute(before, params![org]).await?;
    let from_then = scoped!(
        "insert into org_billed_under (realm_id, org_id, from_us, parent_id)
         values ($1, $2, $3, $4)
         on conflict (realm_id, org_id, from_us) do update set parent_id = excluded.parent_id"
    );
    tx.execute(from_then, params![org, billed_from_us, parent]).await?;
    let cut = scoped!(
        "delete from org_above
          where realm_id = $1
            and org_id in (select org_id from org_above where realm_id = $1 and ancestor_id = $2)
            and ancestor_id in (select ancestor_id from org_above where realm_id = $1 and org_id = $2 and depth > 0)"
    );
    tx.execute(cut, params![org]).await?;
    let join = scoped!(
        "insert into org_above (realm_id, ancestor_id, org_id, depth)
         select u.realm_id, u.ancestor_id, d.org_id, u.depth + d.depth + 1
           from org_above u
           join org_above d on d.realm_id = u.realm_id
          where u.realm_id = $1 and u.org_id = $3 and d.ancestor_id = $2"
    );
    tx.execute(join, params![org, parent]).await?;
    let sql = scoped!("update org set parent_id = $3 where realm_id = $1 and org_id = $2");
    tx.execute(sql, params![org, parent]).await?;
    crate::watch::below(tx, org).await
}

/// Every organisation of the realm, gone ones included, with the parent that it was billed by at an instant.
pub async fn billed_tree(tx: &mut Tx, at_us: i64) -> Result<Vec<Org>, StoreError> {
    let sql = scoped!(
        "select o.org_id,
                coalesce((select b.parent_id from org_billed_under b
                           where b.realm_id = $1 and b.org_id = o.org_id and b.from_us <= $2
                           order by b.from_us desc limit 1), o.parent_id) as parent_id,
                o.kind, o.name, o.address_json, o.currency, o.zone, o.invoice_kind, o.created_us, o.slug,
                o.state, o.delete_after_us, o.admin_mode, o.cost_default, o.child_cost_default, o.visible_costs, o.mfa_policy,
                o.gateway_when_suspended, o.token_days_max
           from org o
          where o.realm_id = $1
          order by o.name_key, o.org_id"
    );
    tx.fetch_all(sql, params![at_us], from_row).await
}

/// Writes the settings.
pub async fn set_settings(tx: &mut Tx, org: OrgId, settings: &OrgSettings) -> Result<(), StoreError> {
    if settings.admin_mode == AdminMode::Own && get(tx, org).await?.settings.admin_mode != AdminMode::Own {
        tx.watch([org]);
    }
    let sql = scoped!(
        "update org
            set admin_mode = $3, cost_default = $4, child_cost_default = $5, visible_costs = $6, mfa_policy = $7,
                gateway_when_suspended = $8, token_days_max = $9
          where realm_id = $1 and org_id = $2"
    );
    let values = params![
        org,
        settings.admin_mode.code(),
        settings.cost_default.code(),
        settings.child_cost_default.code(),
        settings.visible_costs.codes(),
        settings.mfa_policy.code(),
        settings.gateway_when_suspended.code(),
        settings.token_days_max,
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// Writes the state, with the day on which it is gone for good.
pub async fn set_state(
    tx: &mut Tx,
    org: OrgId,
    state: OrgState,
    delete_after_us: Option<i64>,
) -> Result<(), StoreError> {
    let sql = scoped!("update org set state = $3, delete_after_us = $4 where realm_id = $1 and org_id = $2");
    tx.execute(sql, params![org, state.code(), delete_after_us]).await?;
    Ok(())
}

/// Marks an organisation as gone; its name and slug become free for its siblings.
pub async fn bury(tx: &mut Tx, org: OrgId) -> Result<(), StoreError> {
    let sql = scoped!(
        "update org
            set state = 'deleted', delete_after_us = null, name_key = name_key || '#' || org_id, slug = org_id,
                name_skeleton = org_id
          where realm_id = $1 and org_id = $2"
    );
    tx.execute(sql, params![org]).await?;
    Ok(())
}

/// Organisations whose time to be restored is over.
pub async fn due_for_burial(tx: &mut Tx, now_us: i64) -> Result<Vec<OrgId>, StoreError> {
    let sql = scoped!(
        "select org_id
           from org
          where realm_id = $1 and state = 'pending_deletion' and delete_after_us <= $2
          order by org_id"
    );
    tx.fetch_all(sql, params![now_us], |row| row.parsed("org_id")).await
}

/// What stands in the way of deleting `org` and what is below it: papers of the payers there that are
/// not drafts and not without amount, as long as nothing is known of their payment.
pub async fn open_invoices(tx: &mut Tx, org: OrgId) -> Result<i64, StoreError> {
    let sql = scoped!(
        "select count(*) as open
           from org_above a
           join invoice i on i.realm_id = a.realm_id and i.payer_org_id = a.org_id
          where a.realm_id = $1 and a.ancestor_id = $2
            and i.kind = 'invoice' and i.total_minor > 0 and i.state in ('draft', 'issued')"
    );
    tx.fetch_one("organisation", sql, params![org], |row| row.int("open")).await
}

/// Organisations below `org` that are not gone, itself left out.
pub async fn count_below(tx: &mut Tx, org: OrgId) -> Result<i64, StoreError> {
    let sql = scoped!(
        "select count(*) as below
           from org_above a
           join org o on o.realm_id = a.realm_id and o.org_id = a.org_id
          where a.realm_id = $1 and a.ancestor_id = $2 and a.depth > 0
            and o.state in ('active', 'suspended')"
    );
    tx.fetch_one("organisation", sql, params![org], |row| row.int("below")).await
}

/// Ids as one text: 30 characters each, so that a statement can take a list apart on both engines.
fn packed(ids: &[OrgId]) -> String {
    ids.iter().map(ToString::to_string).collect()
}

/// The organisations that an actor reaches, by the sets that the decision was compiled to, in order of id.
/// What a decision adds for single places (suspension, products, guard-rails) is not looked at.
pub async fn reached(tx: &mut Tx, reach: &Reach, after: &str, limit: i64) -> Result<Vec<OrgId>, StoreError> {
    let sql = scoped!(
        "with recursive
           place(n) as (select 0 union all select n + 1 from place where n * 30 < cast($9 as bigint)),
           here(id) as (select substr(cast($2 as text), n * 30 + 1, 30) from place where n * 30 < length(cast($2 as text))),
           below(id) as (select substr(cast($3 as text), n * 30 + 1, 30) from place where n * 30 < length(cast($3 as text))),
           not_here(id) as (select substr(cast($4 as text), n * 30 + 1, 30) from place where n * 30 < length(cast($4 as text))),
           not_below(id) as (select substr(cast($5 as text), n * 30 + 1, 30) from place where n * 30 < length(cast($5 as text))),
           member(id) as (select substr(cast($6 as text), n * 30 + 1, 30) from place where n * 30 < length(cast($6 as text))),
           may(org_id) as (
             select id from here
             union
             select a.org_id from org_above a join below on below.id = a.ancestor_id
              where a.realm_id = $1 and a.depth > 0),
           known(org_id) as (
             select a.org_id from org_above a join member on member.id = a.ancestor_id where a.realm_id = $1),
           refused(org_id) as (
             select id from not_here
             union
             select a.org_id from org_above a join not_below on not_below.id = a.ancestor_id
              where a.realm_id = $1 and a.depth > 0),
           inside(org_id) as (
             select a.org_id from org_above a where a.realm_id = $1 and a.ancestor_id = $7)
         select o.org_id
           from org o
          where o.realm_id = $1 and o.state <> 'deleted' and o.org_id > $8
            and o.org_id in (select org_id from may)
            and o.org_id in (select org_id from known)
            and o.org_id not in (select org_id from refused)
            and ($7 = '' or o.org_id in (select org_id from inside))
          order by o.org_id
          limit $10"
    );
    let lists = [&reach.here, &reach.below, &reach.not_here, &reach.not_below, &reach.member].map(|ids| packed(ids));
    let longest = lists.iter().map(String::len).max().unwrap_or(0) as i64;
    let [here, below, not_here, not_below, member] = lists;
    let within = reach.within.map(|org| org.to_string()).unwrap_or_default();
    let values = params![here, below, not_here, not_below, member, within, after, longest, limit];
    tx.fetch_all(sql, values, |row| row.parsed("org_id")).await
}

/// Direct children, by name.
pub async fn children(tx: &mut Tx, org: OrgId) -> Result<Vec<Org>, StoreError> {
    let sql = scoped!(
        "select org_id, parent_id, kind, name, address_json, currency, zone, invoice_kind, created_us, slug, state, delete_after_us,
                admin_mode, cost_default, child_cost_default, visible_costs, mfa_policy, gateway_when_suspended, token_days_max
           from org
          where realm_id = $1 and parent_id = $2 and state <> 'deleted'
          order by name_key, org_id"
    );
    tx.fetch_all(sql, params![org], from_row).await
}

/// `org` and everything below it, parents before their children.
pub async fn subtree(tx: &mut Tx, org: OrgId) -> Result<Vec<Org>, StoreError> {
    let sql = scoped!(
        "select o.org_id, o.parent_id, o.kind, o.name, o.address_json, o.currency, o.zone, o.invoice_kind, o.created_us, o.slug,
                o.state, o.delete_after_us, o.admin_mode, o.cost_default, o.child_cost_default, o.visible_costs, o.mfa_policy,
                o.gateway_when_suspended, o.token_days_max
           from org_above a
           join org o on o.realm_id = a.realm_id and o.org_id = a.org_id
          where a.realm_id = $1 and a.ancestor_id = $2 and o.state <> 'deleted'
          order by a.depth, o.name_key, o.org_id"
    );
    tx.fetch_all(sql, params![org], from_row).await
}

/// Ids and names of `org` and everything below it.
pub async fn names_below(tx: &mut Tx, org: OrgId) -> Result<Vec<(OrgId, String)>, StoreError> {
    let sql = scoped!(
        "select o.org_id, o.name
           from org_above a
           join org o on o.realm_id = a.realm_id and o.org_id = a.org_id
          where a.realm_id = $1 and a.ancestor_id = $2 and o.state <> 'deleted'"
    );
    tx.fetch_all(sql, params![org], |row| Ok((row.parsed("org_id")?, row.text("name")?))).await
}

/// The name of `org` if it is `top` or below it.
pub async fn name_below(tx: &mut Tx, top: OrgId, org: OrgId) -> Result<Option<String>, StoreError> {
    let sql = scoped!(
        "select o.name
           from org_above a
           join org o on o.realm_id = a.realm_id and o.org_id = a.org_id
          where a.realm_id = $1 and a.ancestor_id = $2 and a.org_id = $3 and o.state <> 'deleted'"
    );
    tx.fetch_optional(sql, params![top, org], |row| row.text("name")).await
}

/// Every (organisation, organisation below it) pair under `org`, depth first: the tree for rating.
pub async fn pairs_below(tx: &mut Tx, org: OrgId) -> Result<Vec<(OrgId, OrgId)>, StoreError> {
    let sql = scoped!(
        "select p.ancestor_id, p.org_id
           from org_above a
           join org_above p on p.realm_id = a.realm_id and p.ancestor_id = a.org_id
          where a.realm_id = $1 and a.ancestor_id = $2
          order by p.ancestor_id, p.org_id"
    );
    tx.fetch_all(sql, params![org], |row| Ok((row.parsed("ancestor_id")?, row.parsed("org_id")?))).await
}

/// Adds a child (or, without parent, the root) and its rows of the closure table.
pub async fn insert(tx: &mut Tx, org: &Org) -> Result<(), StoreError> {
    let sql = scoped!(
        "insert into org (realm_id, org_id, parent_id, kind, name, name_key, address_json, currency, zone, invoice_kind,
                          created_us, slug, state, name_skeleton)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
    );
    let kind = if org.invoice_kind == InvoiceKind::Invoice { "invoice" } else { "statement" };
    let values = params![
        org.id,
        org.parent,
        org.kind.as_str(),
        org.name.as_str(),
        org.name.trim().to_lowercase(),
        to_json(&org.address),
        org.currency,
        org.zone.name(),
        kind,
        org.created_us,
        org.slug.as_str(),
        org.state.code(),
        skeleton(&org.name),
    ];
    tx.execute(sql, values).await?;
    set_settings(tx, org.id, &org.settings).await?;
    let own = scoped!("insert into org_above (realm_id, ancestor_id, org_id, depth) values ($1, $2, $3, 0)");
    tx.execute(own, params![org.id, org.id]).await?;
    if let Some(parent) = org.parent {
        let inherited = scoped!(
            "insert into org_above (realm_id, ancestor_id, org_id, depth)
             select realm_id, ancestor_id, cast($2 as text), depth + 1
               from org_above
              where realm_id = $1 and org_id = $3"
        );
        tx.execute(inherited, params![org.id, parent]).await?;
    }
    Ok(())
}

/// Changes name and address.
pub async fn rename(tx: &mut Tx, org: OrgId, name: &str, address: &[String]) -> Result<(), StoreError> {
    let sql = scoped!(
        "update org
            set name = $3, name_key = $4, address_json = $5, name_skeleton = $6
          where realm_id = $1 and org_id = $2"
    );
    let touched =
        tx.execute(sql, params![org, name, name.trim().to_lowercase(), to_json(&address), skeleton(name)]).await?;
    if touched == 0 { Err(StoreError::NotFound("organisation")) } else { Ok(()) }
}

/// Writes the realm's own row; the first write of a new realm.
pub async fn insert_realm(tx: &mut Tx, realm: RealmId, name: &str, created_us: i64) -> Result<(), StoreError> {
    assert_eq!(tx.realm(), realm, "a transaction writes its own realm only");
    let sql = scoped!("insert into realm (realm_id, name, created_us) values ($1, $2, $3)");
    tx.execute(sql, params![name, created_us]).await?;
    Ok(())
}
