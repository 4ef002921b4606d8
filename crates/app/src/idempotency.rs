//! Retried API writes: the same key and request give the stored answer.

use crate::authority::Cx;
use crate::failure::{Failure, Kind};
use store::idempotency::{self, Kept};

/// Whose answers these are: a token's are its own, so that one with fewer rights cannot read what another was told.
fn caller(cx: &Cx) -> String {
    match cx.origin.token {
        Some(token) => format!("{} {token}", cx.doer()),
        None => cx.doer(),
    }
}

/// What the caller may do at this moment: an answer is told again to who could have caused it.
fn rights(cx: &Cx) -> String {
    crate::secrets::hash(&format!("{:?} {:?}", cx.actor.memberships(), cx.actor.bindings()))
}

/// The stored answer of a key, if the request is the same.
///
/// # Errors
/// [`Kind::Invalid`] when the key was used for another request; [`Kind::Forbidden`] when the caller's rights are others
/// than when it was answered.
pub async fn replay(cx: &Cx, key: &str, request_hash: &str) -> Result<Option<(u16, String)>, Failure> {
    if key.is_empty() || key.len() > 255 {
        return Err(Failure::invalid("Idempotency-Key", key, "must have 1 to 255 characters"));
    }
    let mut tx = cx.look_around().await?;
    match idempotency::get(&mut tx, &caller(cx), key).await? {
        Some(kept) if kept.request_hash.split('/').next() == Some(request_hash) => {
            // Answers of before have no rights beside them.
            if kept.request_hash.split_once('/').is_some_and(|(_, then)| then != rights(cx)) {
                let text =
                    "this was done with the key already, and your rights have changed since: look up what came of it";
                return Err(Failure::new(Kind::Forbidden, text).coded("rights_changed"));
            }
            let status =
                u16::try_from(kept.status).map_err(|_| Failure::new(Kind::Internal, "a stored answer is damaged"))?;
            Ok(Some((status, kept.body)))
        }
        Some(_) => Err(Failure::invalid("Idempotency-Key", key, "was used for another request")),
        None => Ok(None),
    }
}

/// Keeps an answer for 30 days.
///
/// # Errors
/// [`Failure`].
pub async fn keep(cx: &Cx, key: &str, request_hash: &str, status: u16, body: &str) -> Result<(), Failure> {
    let kept =
        Kept { request_hash: format!("{request_hash}/{}", rights(cx)), status: status.into(), body: body.to_owned() };
    let mut tx = cx.keep_own().await?;
    match idempotency::insert(&mut tx, &caller(cx), key, &kept, cx.now_us()).await {
        Ok(()) => Ok(tx.commit().await?),
        // Somebody kept the same answer at the same moment.
        Err(store::StoreError::Conflict(_)) => Ok(()),
        Err(other) => Err(other.into()),
    }
}
