//! Nobody is locked out (T-C, T-D), and nobody binds those above (T-F): by a denial, a rail, a group, an edit, a limit
//! or the clock. At the end a long walk of random changes, after each of which every organisation that runs itself is
//! still run by somebody.

use super::*;
use access::policy::Document;
use access::tree::{AdminMode, GatewayRule};
use access::{Action, Actor, Ask, Context, Level, Place, Product, decide, decide_job};
use app::bindings::NewBinding;
use app::cloud_links::{self, NewLink};
use app::idps::{self, NewIdp};
use app::org_life::{self, Deletion};
use app::policies::{self, PolicyChange};
use app::rows::{Holder, IdpSettings};
use app::sessions::by_session;
use app::{bindings, groups, timers};
use base::{BindingId, GroupId, PolicyId, World};
use store::bindings::Held;

const MINUTE_US: i64 = 60_000_000;
const DAY_US: i64 = 86_400_000_000;
const MEMBER: PolicyRef = PolicyRef::Builtin(Builtin::Member);
const ADMIN: PolicyRef = PolicyRef::ADMIN;

/// With these at an organisation, everything else can be given back.
const NEEDED: [Action; 4] = [Action::PolicyBind, Action::UserInvite, Action::OrgUpdate, Action::PolicyGuard];

/// Denials of which each one alone locks its holder out. (`*` is in none: no admin holds `scim:*` and `support:*`, and
/// nobody denies what they do not hold.)
const TRAPS: [&str; 9] = [
    r#"{"statements":[{"effect":"DENY","actions":["policy:*","user:*","org:*","token:*"]}]}"#,
    r#"{"statements":[{"effect":"DENY","actions":["org:*","user:*","group:*","policy:*","idp:*"]}]}"#,
    r#"{"statements":[{"effect":"DENY","actions":["policy:bind"]}]}"#,
    r#"{"statements":[{"effect":"DENY","actions":["user:invite"]}]}"#,
    r#"{"statements":[{"effect":"DENY","actions":["org:update"]}]}"#,
    r#"{"statements":[{"effect":"DENY","actions":["policy:guard"]}]}"#,
    r#"{"statements":[{"effect":"ALLOW","actions":["policy:*"]},{"effect":"DENY","actions":["*:bind"],"resources":["*"]}]}"#,
    r#"{"statements":[{"effect":"DENY","actions":["policy:*"],"condition":{"StringNotEquals":{"request:ip":["10.0.0.1"]}}}]}"#,
    r#"{"statements":[{"effect":"DENY","actions":["policy:*"],"condition":{"StringEquals":{"token:kind":["none"]}}}]}"#,
];
const HARMLESS: &str = r#"{"statements":[{"effect":"ALLOW","actions":["invoice:read"]}]}"#;

fn document(json: &str) -> Document {
    serde_json::from_str(json).unwrap()
}

fn binding(holder: Holder, policy: PolicyRef, propagate: Propagate) -> NewBinding {
    NewBinding { holder, policy, propagate, resources: Vec::new(), not_before_us: None, not_after_us: None }
}

fn custom(policy: PolicyId) -> PolicyRef {
    PolicyRef::Custom(policy)
}

/// What was refused, and that it was for the last admin's sake.
fn is_last_admin<T>(result: Result<T, Failure>, what: &str) {
    let failure = result.map(drop).expect_err(what);
    assert_eq!((failure.kind, failure.code), (Kind::Conflict, Some("last_organization_admin")), "{what}: {failure}");
}

/// What was refused, for whatever good reason.
fn is_refused<T>(result: Result<T, Failure>, what: &str) {
    let failure = result.map(drop).expect_err(what);
    let good = matches!(failure.kind, Kind::Conflict | Kind::Forbidden | Kind::Invalid | Kind::NotFound);
    assert!(good, "{what}: {:?} {failure}", failure.kind);
}

/// Whether somebody could run an organisation, if it is not suspended.
fn runs(actor: &Actor, place: &Place, now_us: i64) -> bool {
    let place = Place { suspended_from: None, ..place.clone() };
    let fresh = Context { now_us, proved_us: Some(now_us), ..Context::default() };
    NEEDED.iter().all(|action| decide(actor, &Ask::of(*action), &place, &fresh).is_ok())
}

impl Bench {
    fn top(&self) -> OrgId {
        self.cx.realm.root()
    }

    async fn looking(&self) -> store::Tx {
        let store = Store::open(&self.url).await.unwrap();
        store.read(&decide_job(self.cx.realm, self.top())).await.unwrap()
    }

    async fn id_of(&self, email: &str) -> UserId {
        store::users::by_email(&mut self.looking().await, email).await.unwrap().unwrap().id
    }

    /// The root's first admin.
    async fn me(&self) -> UserId {
        self.id_of("admin@example.com").await
    }

    async fn can_run(&self, org: OrgId, user: UserId) -> bool {
        let mut tx = self.looking().await;
        let place = store::orgs::place(&mut tx, org).await.unwrap();
        let actor = store::actors::load(&mut tx, user).await.unwrap();
        runs(&actor, &place, self.world_now())
    }

    async fn policy(&self, cx: &Cx, org: OrgId, json: &str) -> PolicyId {
        let name = format!("Policy {}", base::World::fresh_id(self.world.as_ref()));
        policies::create(cx, org, &name, Level::Org, document(json)).await.unwrap().id
    }
}

/// The change that makes the first version of a policy say something else.
fn into(json: &str) -> PolicyChange {
    PolicyChange { version: 1, document: Some(document(json)), ..PolicyChange::default() }
}

on_both_engines!(
    t_c_an_editor_takes_nothing_from_the_admin,
    t_d_the_only_admin_does_not_lock_himself_out,
    t_d_a_harmless_policy_is_not_edited_into_a_trap,
    t_d_an_admin_does_not_narrow_himself_away,
    t_d_a_rail_locks_nobody_out,
    t_f_a_rail_binds_what_its_author_could_deny,
    nobody_denies_those_above,
    a_rail_can_be_lifted_again,
    inherited_children_keep_somebody_above,
    a_denial_that_begins_later_is_one,
    a_groups_last_admin_does_not_expire,
    what_is_restored_has_somebody,
    t_n_cloud_connections_ask_for_their_product,
    r02_keys_are_for_those_below,
    after_three_hundred_changes_somebody_runs_everything,
    who_ends_soon_is_no_last_admin,
    what_was_so_before_is_not_held_against_others,
    names_are_no_facts,
    who_has_a_right_for_a_time_does_not_prolong_it,
    a_denial_of_anything_is_not_bound_to_the_only_admin,
    the_operator_restores_an_admin,
    a_services_token_is_made_by_who_could_give_its_rights,
    the_own_log_tells_of_nobody,
    who_was_given_one_connection_works_on_it,
);

async fn t_c_an_editor_takes_nothing_from_the_admin(bench: Bench) {
    let org = bench.customer;
    let (_, admin) = bench.person(org, "only", Builtin::OrganizationAdmin).await;
    let (editor, _) = bench.person(org, "editor", Builtin::OrganizationEditor).await;
    let case = r#"{"statements":[{"effect":"DENY","actions":["policy:*","user:*","org:read","org:update"]}]}"#;
    let trap = bench.policy(&editor, org, case).await;
    for reach in [Propagate::Here, Propagate::Subtree] {
        is_refused(bindings::bind(&editor, org, binding(Holder::User(admin), custom(trap), reach)).await, "bound");
    }
    is_refused(people::add_member(&editor, org, admin, custom(trap)).await, "given with a membership");
    let group = groups::create(&editor, org, "Trapped").await.unwrap().id;
    bindings::bind(&editor, org, binding(Holder::Group(group), custom(trap), Propagate::Here)).await.unwrap();
    is_refused(groups::add_member(&editor, org, group, admin).await, "by a group that has it");
    let full = groups::create(&editor, org, "Full").await.unwrap().id;
    groups::add_member(&editor, org, full, admin).await.unwrap();
    let to_full = binding(Holder::Group(full), custom(trap), Propagate::Here);
    is_refused(bindings::bind(&editor, org, to_full).await, "by a group that he is in");
    let harmless = bench.policy(&editor, org, HARMLESS).await;
    bindings::bind(&editor, org, binding(Holder::User(admin), custom(harmless), Propagate::Here)).await.unwrap();
    is_refused(policies::update(&editor, org, harmless, into(case)).await, "by an edit");
    assert!(bench.can_run(org, admin).await, "nothing has changed");
    // Beside a second admin it is still not the editor's: nobody denies what they may not take away.
    bench.person(org, "second", Builtin::OrganizationAdmin).await;
    let denied = bindings::bind(&editor, org, binding(Holder::User(admin), custom(trap), Propagate::Here)).await;
    assert_eq!(denied.map(drop).unwrap_err().kind, Kind::Forbidden);
    assert!(bench.can_run(org, admin).await);
}

async fn t_d_the_only_admin_does_not_lock_himself_out(bench: Bench) {
    let (org, cx, me) = (bench.top(), bench.admin().await, bench.me().await);
    let full = groups::create(&cx, org, "Full").await.unwrap().id;
    groups::add_member(&cx, org, full, me).await.unwrap();
    for json in TRAPS {
        let trap = bench.policy(&cx, org, json).await;
        for reach in [Propagate::Here, Propagate::Subtree] {
            let to_me = binding(Holder::User(me), custom(trap), reach);
            is_last_admin(bindings::bind(&cx, org, to_me).await, json);
            is_last_admin(bindings::bind(&cx, org, binding(Holder::Group(full), custom(trap), reach)).await, json);
        }
        is_last_admin(people::add_member(&cx, org, me, custom(trap)).await, json);
        let group = groups::create(&cx, org, &format!("Trapped {trap}")).await.unwrap().id;
        bindings::bind(&cx, org, binding(Holder::Group(group), custom(trap), Propagate::Subtree)).await.unwrap();
        is_last_admin(groups::add_member(&cx, org, group, me).await, json);
        assert!(bench.can_run(org, me).await, "{json}");
    }
    // A denial that is about something else is his to give himself, and so is any beside another admin.
    let other = r#"{"statements":[{"effect":"DENY","actions":["policy:*"],"resources":["source:acc_*"]}]}"#;
    let other = bench.policy(&cx, org, other).await;
    bindings::bind(&cx, org, binding(Holder::User(me), custom(other), Propagate::Subtree)).await.unwrap();
    let (_, second) = bench.person(org, "second", Builtin::OrganizationAdmin).await;
    let trap = bench.policy(&cx, org, TRAPS[0]).await;
    bindings::bind(&cx, org, binding(Holder::User(me), custom(trap), Propagate::Subtree)).await.unwrap();
    assert!(!bench.can_run(org, me).await && bench.can_run(org, second).await);
    // Now the second one is the only one.
    let second_cx = sign_in(&bench.app, "second@example.com", PASSWORD).await.unwrap().1.cx;
    is_last_admin(people::remove(&second_cx, org, second).await, "the only one who can");
    is_last_admin(people::set_suspended(&second_cx, second, true).await, "the only one who can");
}

async fn t_d_a_harmless_policy_is_not_edited_into_a_trap(bench: Bench) {
    let (org, cx, me) = (bench.top(), bench.admin().await, bench.me().await);
    let group = groups::create(&cx, org, "Everybody").await.unwrap().id;
    groups::add_member(&cx, org, group, me).await.unwrap();
    for json in TRAPS {
        let held = bench.policy(&cx, org, HARMLESS).await;
        bindings::bind(&cx, org, binding(Holder::User(me), custom(held), Propagate::Subtree)).await.unwrap();
        is_last_admin(policies::update(&cx, org, held, into(json)).await, json);
        let by_group = bench.policy(&cx, org, HARMLESS).await;
        bindings::bind(&cx, org, binding(Holder::Group(group), custom(by_group), Propagate::Subtree)).await.unwrap();
        is_last_admin(policies::update(&cx, org, by_group, into(json)).await, json);
        assert!(bench.can_run(org, me).await, "{json}");
    }
}

/// Giving the same policy once more renews its limits: also those of the one binding by which somebody is admin.
async fn t_d_an_admin_does_not_narrow_himself_away(bench: Bench) {
    let (org, cx, me) = (bench.top(), bench.admin().await, bench.me().await);
    let whole = binding(Holder::User(me), ADMIN, Propagate::Subtree);
    let narrow = NewBinding { resources: vec!["source:none".to_owned()], ..whole.clone() };
    is_refused(bindings::bind(&cx, org, narrow).await, "on one resource only");
    let later = NewBinding { not_before_us: Some(bench.world_now() + DAY_US), ..whole };
    is_refused(bindings::bind(&cx, org, later).await, "from tomorrow on only");
    assert!(bench.can_run(org, me).await);
}

async fn t_d_a_rail_locks_nobody_out(bench: Bench) {
    let (top, cx, me) = (bench.top(), bench.admin().await, bench.me().await);
    let (own, own_id) = bench.person(bench.customer, "own", Builtin::OrganizationAdmin).await;
    for json in TRAPS {
        for (cx, org) in [(&cx, top), (&own, bench.customer)] {
            let rail = bench.policy(cx, org, json).await;
            is_refused(policies::lay_guard(cx, org, rail).await, json);
            let laid = bench.policy(cx, org, DENY_VOID).await;
            let guard = policies::lay_guard(cx, org, laid).await.unwrap();
            is_refused(policies::update(cx, org, laid, into(json)).await, &format!("edited while laid: {json}"));
            policies::lift_guard(cx, org, guard).await.unwrap();
        }
        assert!(bench.can_run(top, me).await && bench.can_run(bench.customer, own_id).await, "{json}");
    }
}

const DENY_VOID: &str = r#"{"statements":[{"effect":"DENY","actions":["invoice:void"]}]}"#;

async fn t_f_a_rail_binds_what_its_author_could_deny(bench: Bench) {
    let (top, admin) = (bench.top(), bench.admin().await);
    let (editor, _) = bench.person(top, "editor", Builtin::OrganizationEditor).await;
    let rail = bench.policy(&editor, top, DENY_VOID).await;
    let laid = policies::lay_guard(&editor, top, rail).await;
    assert_eq!(laid.map(drop).unwrap_err().kind, Kind::Forbidden, "it would bind the whole tree");
    // What binds below is not lifted or rewritten by who reaches nothing below either.
    let guard = policies::lay_guard(&admin, top, rail).await.unwrap();
    let lifted = policies::lift_guard(&editor, top, guard).await;
    assert_eq!(lifted.map(drop).unwrap_err().kind, Kind::Forbidden);
    is_refused(policies::update(&editor, top, rail, into(HARMLESS)).await, "rewritten while laid");
    policies::lift_guard(&admin, top, guard).await.unwrap();
    // A customer's admin closes the books to all of its own people, and to nobody above.
    let (own, _) = bench.person(bench.customer, "own", Builtin::OrganizationAdmin).await;
    let (viewer, _) = bench.person(bench.customer, "viewer", Builtin::FinanceViewer).await;
    bills::list(&viewer, bench.customer).await.unwrap();
    let case = r#"{"statements":[{"effect":"DENY","actions":["invoice:read","audit:read","org:delete"]}]}"#;
    let rail = bench.policy(&own, bench.customer, case).await;
    policies::lay_guard(&own, bench.customer, rail).await.unwrap();
    assert_eq!(bills::list(&viewer, bench.customer).await.map(drop).unwrap_err().kind, Kind::Forbidden);
    assert_eq!(bills::list(&own, bench.customer).await.map(drop).unwrap_err().kind, Kind::Forbidden);
    let admin = bench.admin().await;
    for org in [bench.customer, bench.red] {
        bills::list(&admin, org).await.unwrap();
        audit::list(&admin, org, 0, &AuditFilter::default(), 10).await.unwrap();
        assert!(admin.may(Action::OrgDelete, org).await);
    }
    // One that the provider lays binds everybody, the provider's own people too.
    let rail = bench.policy(&admin, top, DENY_VOID).await;
    policies::lay_guard(&admin, bench.customer, rail).await.unwrap();
    let admin = bench.admin().await;
    assert!(!admin.may(Action::InvoiceVoid, bench.red).await && admin.may(Action::InvoiceVoid, top).await);
}

/// A denial beats every permission at any depth: given by a child to somebody above, it would shut those above out.
async fn nobody_denies_those_above(bench: Bench) {
    let (own, _) = bench.person(bench.customer, "own", Builtin::OrganizationAdmin).await;
    let (top, admin, me) = (bench.top(), bench.admin().await, bench.me().await);
    let above = groups::create(&admin, top, "Provider").await.unwrap().id;
    groups::add_member(&admin, top, above, me).await.unwrap();
    let trap = bench.policy(&own, bench.customer, TRAPS[1]).await;
    let said =
        |result: Result<base::BindingId, Failure>| result.map(drop).map_err(|failure| (failure.kind, failure.text));
    let bind = |holder| bindings::bind(&own, bench.customer, binding(holder, custom(trap), Propagate::Subtree));
    let stranger = said(bind(Holder::User(UserId(12_345))).await);
    assert_eq!(stranger.as_ref().unwrap_err().0, Kind::NotFound);
    assert_eq!(said(bind(Holder::User(me)).await), stranger, "who stands above is as unknown as a stranger");
    let nothing = said(bind(Holder::Group(GroupId(12_345))).await);
    assert_eq!(said(bind(Holder::Group(above)).await), nothing);
    let admin = bench.admin().await;
    bills::list(&admin, bench.customer).await.unwrap();
    assert!(admin.may(Action::OrgSuspend, bench.customer).await);
    // To those below it is theirs to give.
    let (_, below) = bench.person(bench.customer, "below", Builtin::Member).await;
    bind(Holder::User(below)).await.unwrap();
}

/// Whoever laid a rail can lift it: also one whose policy belongs to those above, and one under a condition.
async fn a_rail_can_be_lifted_again(bench: Bench) {
    let (own, _) = bench.person(bench.customer, "own", Builtin::OrganizationAdmin).await;
    let (top, admin) = (bench.top(), bench.admin().await);
    let closed = r#"{"statements":[{"effect":"DENY","actions":["policy:guard"]}]}"#;
    let from_here = r#"{"statements":[{"effect":"DENY","actions":["policy:guard"],"condition":{"StringNotEquals":{"request:ip":["10.0.0.1"]}}}]}"#;
    let bound = r#"{"statements":[{"effect":"ALLOW","actions":["invoice:*"]}]}"#;
    for json in [closed, from_here, bound] {
        let above = bench.policy(&admin, top, json).await;
        is_refused(policies::lay_guard(&own, bench.customer, above).await, &format!("a policy of above: {json}"));
        let here = bench.policy(&own, bench.customer, json).await;
        is_refused(policies::lay_guard(&own, bench.customer, here).await, json);
        let harmless = bench.policy(&admin, top, DENY_VOID).await;
        let guard = policies::lay_guard(&own, bench.customer, harmless).await.unwrap();
        let edited = policies::update(&admin, top, harmless, into(json)).await;
        is_refused(edited, &format!("laid below its owner and edited: {json}"));
        policies::lift_guard(&own, bench.customer, guard).await.unwrap();
    }
}

/// Who runs no organisation of its own is run from above: somebody there must reach it.
async fn inherited_children_keep_somebody_above(bench: Bench) {
    let (top, admin, me) = (bench.top(), bench.admin().await, bench.me().await);
    assert_eq!(orgs::get(&admin, bench.customer).await.unwrap().settings.admin_mode, AdminMode::Inherited);
    let here = |user| binding(Holder::User(user), ADMIN, Propagate::Here);
    is_refused(bindings::bind(&admin, top, here(me)).await, "the only one who reaches below gives it up");
    // Beside somebody who is admin of the root only.
    let (_, second) = bench.person(top, "second", Builtin::Member).await;
    bindings::bind(&admin, top, here(second)).await.unwrap();
    is_refused(bindings::bind(&admin, top, here(me)).await, "narrowed beside one who does not reach below");
    let held = store::bindings::of_user(&mut bench.looking().await, me).await.unwrap();
    is_refused(bindings::unbind(&admin, top, held[0].id).await, "taken away beside one who does not reach below");
    is_refused(people::remove(&admin, top, me).await, "removed beside one who does not reach below");
    assert!(bench.can_run(bench.customer, me).await && bench.can_run(bench.red, me).await);
    // One that runs itself is nobody's business above.
    bench.person(bench.customer, "own", Builtin::OrganizationAdmin).await;
    let (_, third) = bench.person(top, "third", Builtin::OrganizationAdmin).await;
    bindings::unbind(&bench.admin().await, top, held[0].id).await.unwrap();
    assert!(bench.can_run(bench.customer, third).await);
}

async fn a_denial_that_begins_later_is_one(bench: Bench) {
    let (org, cx, me) = (bench.top(), bench.admin().await, bench.me().await);
    let trap = bench.policy(&cx, org, TRAPS[0]).await;
    let tomorrow = bench.world_now() + DAY_US;
    let later =
        NewBinding { not_before_us: Some(tomorrow), ..binding(Holder::User(me), custom(trap), Propagate::Subtree) };
    is_last_admin(bindings::bind(&cx, org, later).await, "from tomorrow on");
    bench.world.set(tomorrow + DAY_US);
    timers::tend_trees(&bench.app).await.unwrap();
    assert!(bench.can_run(org, me).await);
}

/// T23 through a group.
async fn a_groups_last_admin_does_not_expire(bench: Bench) {
    let (_, ann) = bench.person(bench.customer, "ann", Builtin::Member).await;
    let cx = bench.admin().await;
    let group = groups::create(&cx, bench.customer, "Admins").await.unwrap().id;
    groups::add_member(&cx, bench.customer, group, ann).await.unwrap();
    let ends = bench.world_now() + 5 * DAY_US;
    let limited = binding(Holder::Group(group), ADMIN, Propagate::Subtree);
    bindings::bind(&cx, bench.customer, NewBinding { not_after_us: Some(ends), ..limited }).await.unwrap();
    timers::tend_trees(&bench.app).await.unwrap();
    let warned = AuditFilter { action: "admin_expiry_soon".into(), ..AuditFilter::default() };
    assert_eq!(audit::list(&bench.admin().await, bench.customer, 0, &warned, 10).await.unwrap().len(), 1);
    bench.world.set(ends - MINUTE_US);
    timers::tend_trees(&bench.app).await.unwrap();
    bench.world.set(ends + DAY_US);
    timers::tend_trees(&bench.app).await.unwrap();
    assert!(bench.can_run(bench.customer, ann).await);
}

async fn what_is_restored_has_somebody(bench: Bench) {
    let (_, only) = bench.person(bench.customer, "only", Builtin::OrganizationAdmin).await;
    let cx = bench.admin().await;
    let how = Deletion { confirm: "Customer".to_owned(), cascade: true, without_final_invoice: true };
    org_life::delete(&cx, bench.customer, &how).await.unwrap();
    // Whether he may go meanwhile or not: what comes back is run by somebody.
    let went = people::remove(&cx, bench.customer, only).await;
    let restored = org_life::restore(&cx, bench.customer).await;
    if restored.is_ok() {
        let mode = orgs::get(&bench.admin().await, bench.customer).await.unwrap().settings.admin_mode;
        let is_run = mode == AdminMode::Inherited || bench.can_run(bench.customer, only).await;
        assert!(is_run, "{went:?}");
    }
}

async fn t_n_cloud_connections_ask_for_their_product(bench: Bench) {
    let (own, _) = bench.person(bench.customer, "own", Builtin::OrganizationAdmin).await;
    let new = |account: &str| NewLink {
        provider: "aws".into(),
        external_account: account.into(),
        name: "Link".into(),
        from_us: None,
    };
    let link = cloud_links::link(&own, bench.customer, new("1")).await.unwrap().id;
    orgs::set_product(&bench.admin().await, bench.customer, Product::CloudBills, false).await.unwrap();
    let withheld = |result: Result<(), Failure>, what: &str| {
        assert_eq!(result.unwrap_err().code, Some("product_not_enabled"), "{what}");
    };
    assert!(cloud_links::list(&own, bench.customer).await.unwrap().is_empty());
    withheld(cloud_links::link(&own, bench.customer, new("2")).await.map(drop), "link");
    withheld(cloud_links::hand_over(&own, link, bench.red, None).await.map(drop), "hand over");
    withheld(cloud_links::unlink(&own, link).await, "unlink");
    // What is switched off is kept.
    orgs::set_product(&bench.admin().await, bench.customer, Product::CloudBills, true).await.unwrap();
    assert_eq!(cloud_links::list(&own, bench.customer).await.unwrap().len(), 1);
}

async fn r02_keys_are_for_those_below(bench: Bench) {
    let (own, _) = bench.person(bench.customer, "own", Builtin::OrganizationAdmin).await;
    let (_, below) = bench.person(bench.red, "below", Builtin::Member).await;
    let sister = child(&bench.cx, bench.top(), "Sister", "customer").await;
    let (_, beside) = bench.person(sister, "beside", Builtin::Member).await;
    let foreign = realm(&bench.app, "foreign@example.com").await;
    let foreign_admin = {
        let store = Store::open(&bench.url).await.unwrap();
        let mut tx = store.read(&decide_job(foreign.realm, foreign.realm.root())).await.unwrap();
        store::users::by_email(&mut tx, "foreign@example.com").await.unwrap().unwrap().id
    };
    let said = |result: Result<(app::rows::AccessKey, String), Failure>| {
        let failure = result.map(drop).unwrap_err();
        (failure.kind, failure.text)
    };
    let unknown = said(keys::create(&own, bench.customer, UserId(12_345), "k").await);
    assert_eq!(unknown.0, Kind::NotFound);
    for (who, user) in [("above", bench.me().await), ("beside", beside), ("another realm", foreign_admin)] {
        assert_eq!(said(keys::create(&own, bench.customer, user, "k").await), unknown, "{who}");
    }
    keys::create(&own, bench.red, below, "k").await.unwrap();
    // A head makes no key for an admin, whose rights he could not give.
    let (head, _) = bench.person(bench.customer, "head", Builtin::DepartmentHead).await;
    let own_id = bench.id_of("own@example.com").await;
    is_refused(keys::create(&head, bench.customer, own_id, "k").await, "a key of an admin, by a head");
    // With a proof of identity.
    bench.world.advance(16 * MINUTE_US);
    let stale = keys::create(&own, bench.red, below, "k").await;
    assert_eq!(stale.map(drop).unwrap_err().kind, Kind::StepUp);
}

/// Chance that follows from a seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % count as u64).unwrap()
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    fn is_so(&mut self) -> bool {
        self.next().is_multiple_of(2)
    }
}

/// A small tree with people who do this and that in it.
struct Walk<'a> {
    bench: &'a Bench,
    store: Store,
    dice: Dice,
    orgs: Vec<OrgId>,
    people: Vec<(String, UserId)>,
    groups: Vec<(OrgId, GroupId)>,
    policies: Vec<(OrgId, PolicyId)>,
    /// Sessions by name, as long as they last.
    sessions: BTreeMap<String, String>,
    /// Who runs which organisation at this moment.
    able: Vec<(OrgId, Vec<String>)>,
    done: Vec<String>,
}

/// What policies of the walk say: traps, and what is not quite one.
const SAYINGS: [&str; 7] = [
    HARMLESS,
    DENY_VOID,
    r#"{"statements":[{"effect":"ALLOW","actions":["*"]}]}"#,
    r#"{"statements":[{"effect":"DENY","actions":["policy:*"],"resources":["source:acc_*"]}]}"#,
    r#"{"statements":[{"effect":"DENY","actions":["user:*","org:delete"],"condition":{"StringEquals":{"mfa:fresh":["false"]}}}]}"#,
    r#"{"statements":[{"effect":"DENY","actions":["org:*"],"condition":{"StringContains":{"user:email":["a1","a3"]}}}]}"#,
    r#"{"statements":[{"effect":"ALLOW","actions":["org:*","user:*","policy:*","group:*"]},{"effect":"DENY","actions":["policy:guard"]}]}"#,
];

impl<'a> Walk<'a> {
    async fn new(bench: &'a Bench, seed: u64) -> Self {
        let (top, cx) = (bench.top(), bench.admin().await);
        let reseller = child(&cx, top, "Reseller", "reseller").await;
        let one = child(&cx, reseller, "One", "customer").await;
        let two = child(&cx, reseller, "Two", "customer").await;
        let upper = child(&cx, one, "Upper", "department").await;
        let lower = child(&cx, two, "Lower", "department").await;
        let orgs = vec![top, reseller, one, two, upper, lower];
        let mut people = vec![("admin".to_owned(), bench.me().await)];
        // Lower is run from above; the others run themselves.
        let given = [
            (top, Builtin::OrganizationAdmin),
            (top, Builtin::OrganizationEditor),
            (reseller, Builtin::OrganizationAdmin),
            (reseller, Builtin::OrganizationEditor),
            (one, Builtin::OrganizationAdmin),
            (one, Builtin::OrganizationAdmin),
            (two, Builtin::OrganizationAdmin),
            (two, Builtin::DepartmentHead),
            (upper, Builtin::OrganizationAdmin),
            (lower, Builtin::Member),
        ];
        for (no, (org, role)) in given.into_iter().enumerate() {
            let (_, user) = bench.person(org, &format!("a{no}"), role).await;
            people.push((format!("a{no}"), user));
        }
        let mut groups = Vec::new();
        for org in &orgs {
            groups.push((*org, groups::create(&cx, *org, "Team").await.unwrap().id));
        }
        let store = Store::open(&bench.url).await.unwrap();
        let (dice, policies) = (Dice(seed), Vec::new());
        let (sessions, able, done) = (BTreeMap::new(), Vec::new(), Vec::new());
        Self { bench, store, dice, orgs, people, groups, policies, sessions, able, done }
    }

    async fn look(&self) -> store::Tx {
        self.store.read(&decide_job(self.bench.cx.realm, self.bench.top())).await.unwrap()
    }

    /// Signed in; `None` for who cannot.
    async fn cx_of(&mut self, name: &str) -> Option<Cx> {
        if let Some(secret) = self.sessions.get(name)
            && let Ok(found) = by_session(&self.bench.app, secret, &Client::default()).await
        {
            return Some(found.cx);
        }
        let (secret, found) = sign_in(&self.bench.app, &format!("{name}@example.com"), PASSWORD).await.ok()?;
        self.sessions.insert(name.to_owned(), secret);
        Some(found.cx)
    }

    fn org(&mut self) -> OrgId {
        let at = self.dice.below(self.orgs.len());
        self.orgs[at]
    }

    /// Anybody; every other time somebody who runs an organisation, so that it is in danger.
    fn somebody(&mut self) -> (String, UserId) {
        let org = self.org();
        let at = self.dice.below(self.people.len());
        let (anybody, runs) = (self.people[at].clone(), self.who_runs(org));
        if runs.is_empty() || self.dice.is_so() {
            return anybody;
        }
        let name = &runs[self.dice.below(runs.len())];
        self.people.iter().find(|(found, _)| found == name).cloned().unwrap_or(anybody)
    }

    fn who_runs(&self, org: OrgId) -> Vec<String> {
        self.able.iter().find(|(found, _)| *found == org).map(|(_, names)| names.clone()).unwrap_or_default()
    }

    /// Where something is done next, and by whom: mostly by who runs it.
    fn next(&mut self) -> (OrgId, String) {
        let (org, (name, _)) = (self.org(), self.somebody());
        let runs = self.who_runs(org);
        if runs.is_empty() || self.dice.below(5) == 0 {
            return (org, name);
        }
        let at = self.dice.below(runs.len());
        (org, runs[at].clone())
    }

    fn json(&mut self) -> &'static str {
        if self.dice.is_so() { self.dice.of(&TRAPS) } else { self.dice.of(&SAYINGS) }
    }

    fn reach(&mut self) -> Propagate {
        self.dice.of(&[Propagate::Here, Propagate::Subtree])
    }

    fn policy(&mut self) -> PolicyRef {
        let builtin = [Builtin::OrganizationAdmin, Builtin::OrganizationEditor, Builtin::Auditor];
        if self.policies.is_empty() || self.dice.below(3) == 0 {
            return PolicyRef::Builtin(self.dice.of(&builtin));
        }
        let at = self.dice.below(self.policies.len());
        custom(self.policies[at].1)
    }

    fn made_policy(&mut self) -> Option<(OrgId, PolicyId)> {
        if self.policies.is_empty() {
            return None;
        }
        let at = self.dice.below(self.policies.len());
        Some(self.policies[at])
    }

    fn binding(&mut self) -> NewBinding {
        let holder = if self.dice.below(3) == 0 {
            let at = self.dice.below(self.groups.len());
            Holder::Group(self.groups[at].1)
        } else {
            Holder::User(self.somebody().1)
        };
        let now_us = self.bench.world_now();
        let mut new = binding(holder, self.policy(), self.reach());
        match self.dice.below(8) {
            0 => new.resources.push("source:none".to_owned()),
            1 => new.not_before_us = Some(now_us + 30 * MINUTE_US),
            2 => new.not_after_us = Some(now_us + 90 * MINUTE_US),
            _ => {}
        }
        new
    }

    /// One change, as somebody who may be allowed to it or not.
    async fn change(&mut self, cx: &Cx, org: OrgId) -> Result<(), Failure> {
        let user = self.somebody().1;
        match self.dice.below(24) {
            0..=2 => {
                let (name, json) = (format!("Policy {}", self.dice.next()), self.json());
                let made = policies::create(cx, org, &name, Level::Org, document(json)).await?;
                self.policies.push((org, made.id));
                Ok(())
            }
            3 | 4 => {
                let Some((owner, policy)) = self.made_policy() else { return Ok(()) };
                let version = store::policies::get(&mut self.look().await, policy).await.unwrap().version;
                let change = PolicyChange { version, ..into(self.json()) };
                policies::update(cx, owner, policy, change).await.map(drop)
            }
            5 => {
                let Some((owner, policy)) = self.made_policy() else { return Ok(()) };
                policies::delete(cx, owner, policy, true).await?;
                self.policies.retain(|(_, found)| *found != policy);
                Ok(())
            }
            6..=9 => {
                let new = self.binding();
                bindings::bind(cx, org, new).await.map(drop)
            }
            10 => {
                let held = store::bindings::at_org(&mut self.look().await, org).await.unwrap();
                if held.is_empty() {
                    return Ok(());
                }
                let at = self.dice.below(held.len());
                bindings::unbind(cx, org, held[at].id).await
            }
            11 | 12 => {
                let (owner, group) = self.dice.of(&self.groups.clone());
                groups::add_member(cx, owner, group, user).await
            }
            13 => {
                let (owner, group) = self.dice.of(&self.groups.clone());
                groups::remove_member(cx, owner, group, user).await
            }
            14 => {
                let at = self.dice.below(self.groups.len());
                let (owner, group) = self.groups[at];
                groups::delete(cx, owner, group).await?;
                // Somebody makes another one.
                let (admin, name) = (self.bench.admin().await, format!("Team {}", self.dice.next()));
                if let Ok(made) = groups::create(&admin, owner, &name).await {
                    self.groups[at].1 = made.id;
                }
                Ok(())
            }
            15 | 16 => {
                let Some((_, policy)) = self.made_policy() else { return Ok(()) };
                policies::lay_guard(cx, org, policy).await.map(drop)
            }
            17 => {
                let laid = store::policies::guards_on(&mut self.look().await, org).await.unwrap();
                match laid.into_iter().find(|(by, _)| *by == org) {
                    Some((_, guard)) => policies::lift_guard(cx, org, guard.id).await,
                    None => Ok(()),
                }
            }
            18 => {
                let policy = if self.dice.is_so() { MEMBER } else { self.policy() };
                people::add_member(cx, org, user, policy).await
            }
            19 => match self.dice.below(3) {
                0 => people::remove(cx, org, user).await,
                1 => people::set_membership_suspended(cx, org, user, true).await,
                _ => people::set_membership_suspended(cx, org, user, false).await,
            },
            20 => {
                let suspended = self.dice.is_so();
                people::set_suspended(cx, user, suspended).await
            }
            21 => match self.dice.below(3) {
                0 => org_life::suspend(cx, org, GatewayRule::Continue).await.map(drop),
                _ => org_life::resume(cx, org).await.map(drop),
            },
            22 => {
                let mode = self.dice.of(&[AdminMode::Own, AdminMode::Inherited]);
                org_life::set_admin_mode(cx, org, mode).await.map(drop)
            }
            _ => self.set_provider(cx, org).await,
        }
    }

    async fn set_provider(&mut self, cx: &Cx, org: OrgId) -> Result<(), Failure> {
        if self.dice.below(3) == 0 {
            return idps::delete(cx, org).await;
        }
        let new = NewIdp {
            name: "Works".into(),
            issuer: "http://127.0.0.1:1".into(),
            client_id: "meterhouse".into(),
            client_secret: None,
            settings: IdpSettings { enforced: self.dice.is_so(), ..IdpSettings::default() },
            active: self.dice.is_so(),
        };
        idps::put(cx, org, new).await.map(drop)
    }

    /// Organisations that run themselves and that nobody runs who can sign in.
    async fn locked_out(&mut self) -> Vec<String> {
        let mut able: Vec<(OrgId, Vec<String>)> = Vec::new();
        let mut tx = self.look().await;
        let mut actors = Vec::new();
        for (name, user) in &self.people {
            let account = store::users::get(&mut tx, *user).await.unwrap();
            if account.state == "active" && account.kind == "human" {
                actors.push((name.clone(), store::actors::load(&mut tx, *user).await.unwrap()));
            }
        }
        for org in store::bindings::orgs_with_own_admins(&mut tx).await.unwrap() {
            let place = store::orgs::place(&mut tx, org).await.unwrap();
            let found = actors.iter().filter(|(_, actor)| runs(actor, &place, self.bench.world_now()));
            able.push((org, found.map(|(name, _)| name.clone()).collect()));
        }
        drop(tx);
        let mut locked = Vec::new();
        for (org, names) in &able {
            let mut is_open = false;
            for name in names {
                // By the front door: a session that lasts is no proof that another one can begin.
                let email = format!("{name}@example.com");
                if sign_in(&self.bench.app, &email, PASSWORD).await.is_ok() {
                    is_open = true;
                    break;
                }
            }
            if !is_open {
                locked.push(format!("{org}: {names:?} have the rights, none of them can sign in"));
            }
        }
        self.able = able;
        locked
    }

    /// Half an hour passes: what was given for later begins, what was given for a time ends.
    async fn rest(&mut self) {
        self.bench.world.advance(29 * MINUTE_US);
        timers::tend_trees(&self.bench.app).await.unwrap();
        self.bench.world.advance(MINUTE_US);
        timers::tend_trees(&self.bench.app).await.unwrap();
        self.sessions.clear(); // Everybody proves once more who they are.
    }
}

async fn after_three_hundred_changes_somebody_runs_everything(bench: Bench) {
    let mut walk = Walk::new(&bench, 20_261_128).await;
    assert_eq!(walk.locked_out().await, Vec::<String>::new(), "before anything has changed");
    let (mut did, mut refused, mut kept) = (0, 0, 0);
    for step in 0..300 {
        if step % 20 == 19 {
            walk.rest().await;
        }
        let (org, name) = walk.next();
        let Some(cx) = walk.cx_of(&name).await else { continue };
        let seed = walk.dice.0;
        let result = walk.change(&cx, org).await;
        let outcome = match &result {
            Ok(()) => "done".to_owned(),
            Err(failure) => format!("{:?} {failure}", failure.kind),
        };
        walk.done.push(format!("{step} {name} at {org} (dice {seed}): {outcome}"));
        match result {
            Ok(()) => did += 1,
            Err(failure) if failure.code == Some("last_organization_admin") => kept += 1,
            Err(failure) => {
                assert!(failure.kind != Kind::Internal && failure.kind != Kind::Busy, "{:?}", walk.done.last());
                refused += 1;
            }
        }
        let locked = walk.locked_out().await;
        let last = walk.done.iter().rev().take(12).cloned().collect::<Vec<_>>().join("\n");
        assert!(locked.is_empty(), "{}\nafter\n{last}", locked.join("\n"));
    }
    println!("{did} changes done, {refused} refused, {kept} of them for the last admin's sake");
    assert!(did > 40, "a walk in which nothing happens proves nothing: {did}");
    assert!(kept > 0, "the last admin was never in danger: {kept}");
}

/// Somebody whose right ends within the hour is nobody to rely on.
async fn who_ends_soon_is_no_last_admin(bench: Bench) {
    let (_, ann) = bench.person(bench.customer, "ann", Builtin::OrganizationAdmin).await;
    let (_, bob) = bench.person(bench.customer, "bob", Builtin::Member).await;
    let boss = bench.admin().await;
    let until = |us: i64| NewBinding {
        not_after_us: Some(bench.world_now() + us),
        ..binding(Holder::User(bob), ADMIN, Propagate::Subtree)
    };
    bindings::bind(&boss, bench.customer, until(30 * MINUTE_US)).await.unwrap();
    is_last_admin(people::remove(&boss, bench.customer, ann).await, "the other one ends in half an hour");
    let own = NewBinding { holder: Holder::User(ann), ..until(4_000_000) };
    is_last_admin(bindings::bind(&boss, bench.customer, own).await, "the same right, with an end");
    bindings::bind(&boss, bench.customer, until(30 * DAY_US)).await.unwrap();
    people::remove(&boss, bench.customer, ann).await.unwrap();
}

/// An organisation that nobody can run keeps nobody above it from an act that is none of its business.
async fn what_was_so_before_is_not_held_against_others(bench: Bench) {
    let (_, ann) = bench.person(bench.customer, "ann", Builtin::OrganizationAdmin).await;
    bench.execute(&format!("update user_account set state = 'suspended' where user_id = '{ann}'"));
    let boss = bench.admin().await;
    let deny = document(r#"{"statements":[{"effect":"DENY","actions":["support:impersonate"]}]}"#);
    let rail = policies::create(&boss, bench.cx.realm.root(), "rail", Level::Org, deny).await.unwrap().id;
    policies::lay_guard(&boss, bench.cx.realm.root(), rail).await.unwrap();
    let other = child(&boss, bench.cx.realm.root(), "Other", "reseller").await;
    org_life::move_org(&boss, bench.customer, other).await.unwrap();
}

/// Nobody prolongs what they have.
async fn who_has_a_right_for_a_time_does_not_prolong_it(bench: Bench) {
    bench.person(bench.customer, "ann", Builtin::OrganizationAdmin).await;
    let (_, bob) = bench.person(bench.customer, "bob", Builtin::Member).await;
    let boss = bench.admin().await;
    let until = |us: Option<i64>| NewBinding {
        not_after_us: us.map(|us| bench.world_now() + us),
        ..binding(Holder::User(bob), ADMIN, Propagate::Subtree)
    };
    bindings::bind(&boss, bench.customer, until(Some(DAY_US))).await.unwrap();
    let (_, signed_in) = sign_in(&bench.app, "bob@example.com", PASSWORD).await.unwrap();
    for longer in [None, Some(DAY_US + 1)] {
        let refused = bindings::bind(&signed_in.cx, bench.customer, until(longer)).await.map(drop).unwrap_err();
        assert_eq!(refused.kind, Kind::Forbidden, "{longer:?}: {}", refused.text);
    }
    bindings::bind(&signed_in.cx, bench.customer, until(Some(DAY_US / 2))).await.unwrap();
}

/// A condition on a name is one that everybody meets who likes.
async fn names_are_no_facts(bench: Bench) {
    let boss = bench.admin().await;
    for text in [
        r#"{"statements":[{"effect":"ALLOW","actions":["invoice:read"],"condition":{"StringEquals":{"user:name":["boss"]}}}]}"#,
        r#"{"statements":[{"effect":"ALLOW","actions":["source:write"],"condition":{"StringPatternMatch":{"resource:id":["${user:name}-*"]}}}]}"#,
    ] {
        let refused = policies::create(&boss, bench.customer, "p", Level::Org, document(text)).await.unwrap_err();
        assert_eq!((refused.kind, refused.field.as_str()), (Kind::Invalid, "document"), "{}", refused.text);
    }
}

/// The only admin of the highest organisation denied themselves a right, and nobody could ever take that back.
async fn a_denial_of_anything_is_not_bound_to_the_only_admin(bench: Bench) {
    let (boss, root) = (bench.admin().await, bench.cx.realm.root());
    let deny = document(r#"{"statements":[{"effect":"DENY","actions":["invoice:create"]}]}"#);
    let policy = policies::create(&boss, root, "no invoices", Level::Org, deny).await.unwrap().id;
    let to_self = || binding(Holder::User(bench.cx.user()), custom(policy), Propagate::Subtree);
    is_last_admin(bindings::bind(&boss, root, to_self()).await, "nobody could take it back");
    // Beside a second admin it is theirs to do, and the other one's to take back.
    bench.person(root, "second", Builtin::OrganizationAdmin).await;
    let bound = bindings::bind(&boss, root, to_self()).await.unwrap();
    let (_, second) = sign_in(&bench.app, "second@example.com", PASSWORD).await.unwrap();
    bindings::unbind(&second.cx, root, bound).await.unwrap();
}

/// T-D, when it happened all the same: by every way that is known to take the rights from the only admin.
async fn the_operator_restores_an_admin(bench: Bench) {
    let root = bench.cx.realm.root();
    let (boss, admin) = (bench.admin().await, bench.cx.user());
    let operator = app::Operator::at(Store::open(&bench.url).await.unwrap(), bench.world.clone());
    let trap = policies::create(&boss, root, "trap", Level::Org, document(TRAPS[0])).await.unwrap().id;
    let group = groups::create(&boss, root, "trapped").await.unwrap().id;
    for no in 0..5 {
        // Past the program, which refuses each of them.
        let store = Store::open(&bench.url).await.unwrap();
        let mut tx = store.write(&decide_job(bench.cx.realm, root)).await.unwrap();
        let id = BindingId(bench.world.fresh_id());
        let to_admin = Held::new(id, Holder::User(admin), custom(trap), root, Propagate::Subtree);
        match no {
            0 => drop(store::users::set_state(&mut tx, admin, "suspended").await.unwrap()),
            1 => {
                let held = store::bindings::of_user(&mut tx, admin).await.unwrap().remove(0);
                store::bindings::delete(&mut tx, &held).await.unwrap();
            }
            2 => drop(store::bindings::insert(&mut tx, &to_admin, 0).await.unwrap()),
            3 => {
                let to_group = Held { holder: Holder::Group(group), ..to_admin };
                store::bindings::insert(&mut tx, &to_group, 0).await.unwrap();
                store::groups::add_member(&mut tx, group, admin, "local").await.unwrap();
            }
            _ => {
                let rail = base::GuardRailId(bench.world.fresh_id());
                store::policies::guard(&mut tx, rail, root, (trap, root), 0).await.unwrap();
            }
        }
        store::epoch::bump(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
        bench.world.advance(1_000_000);
        let rename = || orgs::OrgChange { name: Some(format!("Provider {no}")), ..orgs::OrgChange::default() };
        let before = match sign_in(&bench.app, "admin@example.com", PASSWORD).await {
            Ok((_, signed_in)) => orgs::update(&signed_in.cx, root, rename()).await.is_ok(),
            Err(_) => false,
        };
        assert!(!before, "way {no} locks the admin out");
        let made = app::restore::admin_by_operator(&operator, "admin@example.com", None).await.unwrap();
        assert_eq!((made.user, made.org, made.needs_link), (admin, root, false), "{no}");
        assert_eq!(made.removed.len(), usize::from(no > 1), "{no}: {made:?}");
        let (_, signed_in) = sign_in(&bench.app, "admin@example.com", PASSWORD).await.unwrap();
        orgs::update(&signed_in.cx, root, rename()).await.unwrap();
    }
    assert_eq!(bench.audited(root, "admin.restore").await, 5);
    let nobody = app::restore::admin_by_operator(&operator, "nobody@example.com", None).await.unwrap_err();
    assert_eq!(nobody.kind, Kind::NotFound);
    assert!(app::audit::verify(&bench.admin().await).await.unwrap().is_ok(), "the chain holds");
}

/// Whoever makes a service's token can do what it can: they must hold it.
async fn a_services_token_is_made_by_who_could_give_its_rights(bench: Bench) {
    let boss = bench.admin().await;
    bench.person(bench.customer, "ann", Builtin::OrganizationAdmin).await;
    let service = app::tokens::create_service(&boss, bench.customer, "robot", "").await.unwrap().id;
    bindings::bind(&boss, bench.customer, binding(Holder::User(service), ADMIN, Propagate::Subtree)).await.unwrap();
    let (editor, _) = bench.person(bench.customer, "editor", Builtin::OrganizationEditor).await;
    let ask = || app::tokens::NewToken::whole("ci", 30);
    let refused =
        app::tokens::create_programmatic(&editor, bench.customer, service, ask()).await.map(drop).unwrap_err();
    assert_eq!(refused.kind, Kind::Forbidden, "{}", refused.text);
    assert!(app::tokens::create_programmatic(&boss, bench.customer, service, ask()).await.is_ok());
}

/// What is there and what never was look the same in the log of whoever tried them, and nobody's organisation stands there.
async fn the_own_log_tells_of_nobody(bench: Bench) {
    let (eve, _) = bench.person(bench.red, "eve", Builtin::OrganizationAdmin).await;
    let key = app::keys::create(&bench.admin().await, bench.blue, bench.cx.user(), "k").await.map(|made| made.0.key_id);
    let rows = async || {
        let filter = app::rows::AuditFilter { outcome: "deny".into(), ..app::rows::AuditFilter::default() };
        app::audit::list(&bench.admin().await, bench.red, 0, &filter, 100).await.unwrap()
    };
    let mut shapes = Vec::new();
    let fresh = || bench.world.fresh_id();
    let tries: Vec<(String, bool)> =
        vec![(bench.blue.to_string(), true), (OrgId(fresh()).to_string(), true), (key.unwrap_or_default(), false)];
    for (id, is_org) in tries.into_iter().filter(|(id, _)| !id.is_empty()) {
        let before = rows().await.len();
        let failed = if is_org {
            orgs::get(&eve, id.parse().unwrap()).await.map(drop).unwrap_err()
        } else {
            app::keys::revoke(&eve, &id).await.unwrap_err()
        };
        assert_eq!(failed.kind, Kind::NotFound);
        let after = rows().await;
        assert_eq!(after.len(), before + 1, "{id}");
        let entry = &after[0];
        assert!(is_org || !entry.detail_json.contains(&bench.blue.to_string()), "{}", entry.detail_json);
        shapes.push((entry.target.clone(), entry.reason.clone(), entry.detail_json.replace(&id, "#")));
    }
    assert!(shapes.windows(2).all(|pair| pair[0] == pair[1]), "{shapes:?}");
}

/// T-M: an Account Editor bound to one connection works on that one.
async fn who_was_given_one_connection_works_on_it(bench: Bench) {
    let boss = bench.admin().await;
    let link = async |account: &str| {
        let new = NewLink { provider: "aws".into(), external_account: account.into(), name: "L".into(), from_us: None };
        cloud_links::link(&boss, bench.customer, new).await.unwrap().id
    };
    let (own, other) = (link("111").await, link("222").await);
    let (_, ann) = bench.person(bench.customer, "ann", Builtin::Member).await;
    let editor = NewBinding {
        resources: vec![format!("source:{own}")],
        ..binding(Holder::User(ann), PolicyRef::Builtin(Builtin::AccountEditor), Propagate::Here)
    };
    bindings::bind(&boss, bench.customer, editor).await.unwrap();
    let (_, ann) = sign_in(&bench.app, "ann@example.com", PASSWORD).await.unwrap();
    let listed = cloud_links::list(&ann.cx, bench.customer).await.unwrap();
    assert_eq!(listed.iter().map(|link| link.id).collect::<Vec<_>>(), [own]);
    assert_eq!(cloud_links::unlink(&ann.cx, other).await.unwrap_err().kind, Kind::NotFound);
    cloud_links::unlink(&ann.cx, own).await.unwrap();
    assert!(cloud_links::list(&ann.cx, bench.red).await.is_err(), "nothing was given there");
}
