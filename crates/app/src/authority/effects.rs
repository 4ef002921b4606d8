//! What a change of rights would do: it is made, both sides are compared by the decision itself, and it is undone.

use super::lockout::trial;
use super::offers;
use crate::failure::Failure;
use access::{Action, Actor, Ask, Context, Place};
use base::{OrgId, UserId};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use store::holdings::{self, Holdings};
use store::{StoreError, Tx, actors, orgs};

/// People that one answer compares at most.
const PEOPLE_MAX: usize = 1_000;

/// What somebody would gain and lose at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Effect {
    pub(crate) user: UserId,
    pub(crate) name: String,
    /// Where they belong or have something: who may see them there may see this.
    pub(crate) places: BTreeSet<OrgId>,
    pub(crate) org: OrgId,
    /// Whether it is so at the place itself, and at what lies below it.
    pub(crate) reach: (bool, bool),
    pub(crate) gains: Vec<Action>,
    pub(crate) loses: Vec<Action>,
}

/// What a change would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    pub(crate) rows: Vec<Effect>,
    /// Whether everybody was compared whom it touches.
    pub(crate) is_complete: bool,
}

/// Set for a context in which changes are only tried; what they would do comes back in it.
#[derive(Clone, Default)]
pub struct Preview(Option<Arc<Mutex<Option<Effects>>>>);

impl Preview {
    pub(super) fn on() -> Self {
        Self(Some(Arc::default()))
    }

    /// Whether changes are only tried.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn put(&self, effects: Effects) {
        if let Some(cell) = &self.0 {
            *cell.lock().unwrap_or_else(PoisonError::into_inner) = Some(effects);
        }
    }

    pub(crate) fn take(&self) -> Option<Effects> {
        self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Compares a change with what was before it.
pub(super) async fn of(before: &mut Tx, after: &mut Tx, now_us: i64) -> Result<Effects, Failure> {
    let (was, is) = (holdings::all(before).await?, holdings::all(after).await?);
    let changed: BTreeSet<OrgId> = differing(&was.orgs, &is.orgs).copied().collect();
    let touched = touched(&was, &is, &changed);
    let mut found = Effects { rows: Vec::new(), is_complete: touched.len() <= PEOPLE_MAX };
    let context = trial(now_us, None);
    let mut known_places: BTreeMap<OrgId, (Option<Place>, Option<Place>)> = BTreeMap::new();
    for user in touched.into_iter().take(PEOPLE_MAX) {
        let actors =
            (found_or_none(actors::load(before, user).await)?, found_or_none(actors::load(after, user).await)?);
        let known = actors.1.as_ref().or(actors.0.as_ref());
        let name = known.map(|actor| actor.identity.name.clone()).unwrap_or_default();
        let places: BTreeSet<OrgId> =
            [&was, &is].iter().filter_map(|side| side.places.get(&user)).flatten().copied().collect();
        for org in places.union(&changed) {
            let at = match known_places.entry(*org) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(free) => free.insert((
                    found_or_none(orgs::place(before, *org).await)?,
                    found_or_none(orgs::place(after, *org).await)?,
                )),
            };
            let rows = compare((&actors.0, &at.0), (&actors.1, &at.1), &context);
            found.rows.extend(rows.into_iter().map(|(reach, gains, loses)| Effect {
                user,
                name: name.clone(),
                places: places.clone(),
                org: *org,
                reach,
                gains,
                loses,
            }));
        }
    }
    Ok(found)
}

/// Whom a change may touch: whose own rows are others, who holds a policy that reads otherwise, and whoever has something
/// on the way to a place that changed, or below it.
fn touched(was: &Holdings, is: &Holdings, changed: &BTreeSet<OrgId>) -> BTreeSet<UserId> {
    let mut found: BTreeSet<UserId> = differing(&was.users, &is.users).copied().collect();
    for policy in differing(&was.policies, &is.policies) {
        found.extend([was, is].iter().filter_map(|side| side.holders.get(policy)).flatten());
    }
    for side in [was, is] {
        let is_near = |org: &OrgId| changed.iter().any(|place| side.on_one_way(*org, *place));
        let near = side.places.iter().filter(|(_, places)| places.iter().any(is_near));
        found.extend(near.map(|(user, _)| *user));
    }
    found
}

/// The keys whose values are others; some stand twice.
fn differing<'a, K: Ord, V: PartialEq>(was: &'a BTreeMap<K, V>, is: &'a BTreeMap<K, V>) -> impl Iterator<Item = &'a K> {
    was.keys().chain(is.keys()).filter(|key| was.get(key) != is.get(key))
}

/// What one side of a change does not have.
fn found_or_none<T>(found: Result<T, StoreError>) -> Result<Option<T>, Failure> {
    match found {
        Err(StoreError::NotFound(_)) => Ok(None),
        found => Ok(Some(found?)),
    }
}

type Side<'a> = (&'a Option<Actor>, &'a Option<Place>);
type Row = ((bool, bool), Vec<Action>, Vec<Action>);

/// What is gained and lost at a place and below it; one row where both are the same.
fn compare(was: Side<'_>, is: Side<'_>, context: &Context) -> Vec<Row> {
    let diff = |below: bool| {
        let (was, is) = (rights(was, below, context), rights(is, below, context));
        let of = |some: &BTreeSet<Action>, others: &BTreeSet<Action>| some.difference(others).copied().collect();
        let (gains, loses): (Vec<Action>, Vec<Action>) = (of(&is, &was), of(&was, &is));
        (gains, loses)
    };
    let (here, below) = (diff(false), diff(true));
    let is_something = |(gains, loses): &(Vec<Action>, Vec<Action>)| !gains.is_empty() || !loses.is_empty();
    let rows =
        if here == below { vec![((true, true), here)] } else { vec![((true, false), here), ((false, true), below)] };
    rows.into_iter().filter(|(_, row)| is_something(row)).map(|(reach, (gains, loses))| (reach, gains, loses)).collect()
}

fn rights((actor, place): Side<'_>, below: bool, context: &Context) -> BTreeSet<Action> {
    let (Some(actor), Some(place)) = (actor, place) else { return BTreeSet::new() };
    let place = if below { place.somewhere_below() } else { place.clone() };
    Action::ALL.iter().copied().filter(|action| offers(actor, &Ask::of(*action), &place, context)).collect()
}
