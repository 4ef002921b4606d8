//! What was worked out for an epoch of a realm, and is good as long as that lasts.

use super::App;
use crate::failure::Failure;
use access::{Actor, Place};
use base::{OrgId, RealmId, UserId};
use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};
use store::{Tx, actors, epoch, orgs};

/// Entries kept at once.
const KNOWN_MAX: usize = 20_000;

type Memory<K, V> = RwLock<BTreeMap<K, (i64, Arc<V>)>>;

/// Places and actors.
#[derive(Default)]
pub(crate) struct Known {
    places: Memory<(RealmId, OrgId), Place>,
    actors: Memory<(RealmId, UserId), Actor>,
}

fn look_up<K: Ord, V>(memory: &Memory<K, V>, key: &K, epoch: Option<i64>) -> Option<Arc<V>> {
    let memory = memory.read().ok()?;
    memory.get(key).filter(|(at, _)| Some(*at) == epoch).map(|(_, value)| value.clone())
}

fn keep<K: Ord, V>(memory: &Memory<K, V>, key: K, epoch: Option<i64>, value: &Arc<V>) {
    let (Some(epoch), Ok(mut memory)) = (epoch, memory.write()) else { return };
    if memory.len() >= KNOWN_MAX {
        memory.clear();
    }
    memory.insert(key, (epoch, value.clone()));
}

/// The place of an organisation at this moment. A transaction that writes reads it anew and leaves nothing behind:
/// its epoch may never become true, and another one with the same number would be taken for it.
pub(crate) async fn place_of(app: &App, tx: &mut Tx, org: OrgId) -> Result<Arc<Place>, Failure> {
    if tx.writes() {
        return Ok(Arc::new(orgs::place(tx, org).await?));
    }
    let (key, now) = ((tx.realm(), org), epoch::get(tx).await?);
    if let Some(place) = look_up(&app.known.places, &key, now) {
        return Ok(place);
    }
    let place = Arc::new(orgs::place(tx, org).await?);
    keep(&app.known.places, key, now, &place);
    Ok(place)
}

/// The actor that a user is at this moment; the rule of [`place_of`] holds.
pub(crate) async fn actor_of(app: &App, tx: &mut Tx, user: UserId) -> Result<Arc<Actor>, Failure> {
    if tx.writes() {
        return Ok(Arc::new(actors::load(tx, user).await?));
    }
    let (key, now) = ((tx.realm(), user), epoch::get(tx).await?);
    if let Some(actor) = look_up(&app.known.actors, &key, now) {
        return Ok(actor);
    }
    let actor = Arc::new(actors::load(tx, user).await?);
    keep(&app.known.actors, key, now, &actor);
    Ok(actor)
}
