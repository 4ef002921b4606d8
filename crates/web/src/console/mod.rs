//! The console: pages rendered on the server, forms that post, no script.
//!
//! A page asks `app` what it may show and says it in words; it never decides a right, never calculates
//! money and never keeps a secret: what is shown once stands on a receipt that the POST answers with.

mod audit;
mod audit_entry;
mod buckets;
mod child_new;
mod children;
mod cloud;
mod confirm;
mod costs;
mod earnings;
mod ending;
mod factors;
mod failed;
mod fields;
mod figures;
mod frame;
mod groups;
mod identity;
mod identity_provider;
mod keys;
mod line;
mod listing;
mod me;
mod me_security;
mod me_sessions;
mod me_tokens;
mod moving;
mod nav;
mod org_field;
mod overview;
mod paper;
mod papers;
mod people;
mod person;
mod person_field;
mod policies;
mod policy_edit;
mod policy_form;
mod preview;
mod prices;
mod quarantine;
mod reset;
mod second_step;
mod settings;
mod sign_in;
mod sources;
mod sso;
mod switch;
mod system;
mod tokens;
mod tree;
mod unattached;
mod usage;
mod who_can;

use crate::Web;
use axum::Router;
pub(crate) use failed::failed_page;
pub(crate) use frame::own_url;
pub(crate) use preview::tried;
pub(crate) use sign_in::next_cookie;
pub(crate) use system::system;

/// All pages of the console.
pub fn router() -> Router<Web> {
    Router::new()
        .merge(sign_in::router())
        .merge(second_step::router())
        .merge(sso::router())
        .merge(factors::router())
        .merge(identity::router())
        .merge(identity_provider::router())
        .merge(switch::router())
        .merge(overview::router())
        .merge(usage::router())
        .merge(costs::router())
        .merge(papers::router())
        .merge(paper::router())
        .merge(line::router())
        .merge(prices::router())
        .merge(tree::router())
        .merge(children::router())
        .merge(child_new::router())
        .merge(settings::router())
        .merge(moving::router())
        .merge(ending::router())
        .merge(people::router())
        .merge(person::router())
        .merge(unattached::router())
        .merge(reset::router())
        .merge(groups::router())
        .merge(policies::router())
        .merge(policy_edit::router())
        .merge(who_can::router())
        .merge(tokens::router())
        .merge(keys::router())
        .merge(sources::router())
        .merge(buckets::router())
        .merge(cloud::router())
        .merge(quarantine::router())
        .merge(audit::router())
        .merge(me::router())
        .merge(me_tokens::router())
        .merge(me_security::router())
        .merge(me_sessions::router())
}
