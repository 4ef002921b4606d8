//! The rules of the organisation tree, by their numbers, on both engines.

use super::*;
use access::policy::Document;
use access::tree::{AdminMode, GatewayRule, MfaPolicy, OrgState};
use access::{Action, Ask, Context, Cost, Costs, Level, Product, Propagate, decide, decide_job};
use app::bindings::NewBinding;
use app::cloud_links::{self, NewLink};
use app::org_life::{self, Deletion};
use app::orgs::OrgChange;
use app::policies::PolicyChange;
use app::rows::{Holder, PeopleQuestion};
use app::{Origin, bindings, costs, groups, invitations, policies, timers};
use base::{BindingId, GroupId, PolicyId, TokenId};
use store::bindings::Held;

const MINUTE_US: i64 = 60_000_000;
const DAY_US: i64 = 86_400_000_000;
const MEMBER: PolicyRef = PolicyRef::Builtin(Builtin::Member);

impl Bench {
    fn root(&self) -> OrgId {
        self.cx.realm.root()
    }

    /// The provider's admin, who has just proved who he is.
    pub(super) async fn admin(&self) -> Cx {
        self.as_user(self.cx.user()).await
    }

    /// A context with what `user` holds at this moment.
    async fn as_user(&self, user: UserId) -> Cx {
        cx_for(&self.app, &self.cx, user).await
    }

    async fn bind(
        &self,
        org: OrgId,
        holder: Holder,
        policy: PolicyRef,
        reach: Propagate,
    ) -> Result<BindingId, Failure> {
        bindings::bind(&self.admin().await, org, binding(holder, policy, reach)).await
    }

    async fn chain_of_children(&self, top: OrgId, count: usize) -> Vec<OrgId> {
        let mut made = vec![top];
        for level in 0..count {
            made.push(child(&self.cx, *made.last().unwrap(), &format!("L{level}"), "department").await);
        }
        made.split_off(1)
    }

    async fn store(&self) -> Store {
        Store::open(&self.url).await.unwrap()
    }
}

fn binding(holder: Holder, policy: PolicyRef, propagate: Propagate) -> NewBinding {
    NewBinding { holder, policy, propagate, resources: Vec::new(), not_before_us: None, not_after_us: None }
}

async fn cx_for(app: &Arc<App>, like: &Cx, user: UserId) -> Cx {
    let actor = app::sessions::actor_now(app, like.realm, user).await.unwrap();
    let now_us = app.world().now_us();
    let context = Context { now_us, proved_us: Some(now_us), ..Context::default() };
    Cx {
        app: app.clone(),
        actor,
        realm: like.realm,
        context,
        origin: Origin::default(),
        preview: app::Preview::default(),
    }
}

fn document(json: &str) -> Document {
    serde_json::from_str(json).unwrap()
}

/// Kind and code of a failure.
fn said<T>(result: Result<T, Failure>) -> (Kind, String) {
    let failure = result.map(drop).unwrap_err();
    (failure.kind, failure.code.unwrap_or_default().to_owned())
}

fn last_admin() -> (Kind, String) {
    (Kind::Conflict, "last_organization_admin".to_owned())
}

on_both_engines!(
    t01_depth_is_limited,
    t02_nothing_stands_under_itself,
    t03_a_subtree_must_fit,
    t04_a_move_changes_paths_and_rights,
    a_move_is_billed_with_the_next_month,
    t05_names_differ_by_more_than_case,
    t06_another_tree_does_not_exist,
    t12_one_person_for_one_address,
    t13_the_same_address_in_two_trees,
    t14_one_person_in_two_organisations,
    people_are_listed_page_by_page,
    t15_tokens_die_with_the_membership,
    t16_a_dead_token_stays_dead,
    t17_a_suspended_person_comes_back,
    t18_services_outlive_their_makers,
    t20_the_only_admin_cannot_go,
    t21_two_admins_cannot_remove_each_other,
    t22_a_group_holds_the_last_admin,
    t23_the_last_admin_does_not_expire,
    t25_an_ancestor_takes_over,
    t26_a_suspended_admin_does_not_count,
    t27_a_service_is_no_admin_to_rely_on,
    t28_new_children_get_the_defaults,
    t29_defaults_change_nothing_that_is,
    t30_a_product_lost_above_comes_back,
    t36_a_level_is_fixed,
    t39_a_token_shrinks_with_its_owner,
    t40_hidden_costs_are_nowhere,
    t41_hidden_costs_neither_sort_nor_filter,
    t42_nobody_widens_his_own_view,
    t43_no_child_sees_more_than_its_parent,
    t44_a_reseller_sees_his_own_margin,
    t45_an_invitation_gives_what_the_inviter_holds_then,
    t49_giving_what_wants_a_fresh_proof_wants_one,
    t46_invitations_end,
    t47_an_invitation_is_for_one_address,
    t48_a_child_is_never_weaker,
    t54_a_suspended_organisation_reads_and_pays,
    t55_usage_goes_on_being_billed,
    t56_suspension_is_inherited_not_written,
    t57_children_are_in_the_way,
    t58_an_open_invoice_is_in_the_way,
    t59_a_deletion_can_be_taken_back_for_thirty_days,
    t60_a_flipped_byte_is_found,
    t61_a_child_sees_what_was_done_in_it,
    t62_an_account_belongs_to_one_at_a_time,
    t63_an_account_is_handed_over,
    t64_lists_are_the_decision,
    t66_group_names_are_checked,
    t67_no_switch_without_a_right,
    t68_the_address_counts_not_the_session,
    t69_every_node_sees_a_revocation,
    nobody_raises_himself,
    refusals_are_written,
    an_invitation_says_what_it_offers,
    who_belongs_nowhere_is_found_and_erased,
    favourites_are_ones_own,
    somebody_is_named_by_address_or_name,
    a_change_of_rights_can_be_tried_first,
    a_trial_shows_what_comes_true,
);

async fn t01_depth_is_limited(bench: Bench) {
    // Root, customer, Red are three levels.
    let made = bench.chain_of_children(bench.red, 13).await;
    let deep = orgs::create_child(
        &bench.cx,
        *made.last().unwrap(),
        NewOrg { name: "X".into(), kind: "project".into(), ..NewOrg::default() },
    );
    assert_eq!(said(deep.await), (Kind::Invalid, "depth_limit".into()));
}

async fn t02_nothing_stands_under_itself(bench: Bench) {
    for target in [bench.customer, bench.red] {
        let moved = org_life::move_org(&bench.admin().await, bench.customer, target).await;
        assert_eq!(said(moved), (Kind::Invalid, "cycle".into()));
    }
    let names: Vec<_> = orgs::subtree(&bench.cx, bench.root()).await.unwrap().into_iter().map(|org| org.name).collect();
    assert_eq!(names, ["Provider", "Customer", "Blue", "Red"]);
}

async fn t03_a_subtree_must_fit(bench: Bench) {
    let deep = bench.chain_of_children(bench.red, 9).await; // Levels 4 to 12.
    let tall = child(&bench.cx, bench.root(), "Tall", "customer").await;
    bench.chain_of_children(tall, 4).await; // Five levels with itself.
    assert_eq!(
        said(org_life::move_org(&bench.admin().await, tall, deep[8]).await),
        (Kind::Invalid, "depth_limit".into())
    );
    assert!(org_life::move_org(&bench.admin().await, tall, deep[7]).await.is_ok());
}

async fn t04_a_move_changes_paths_and_rights(bench: Bench) {
    let other = child(&bench.cx, bench.root(), "Other", "customer").await;
    let leaf = child(&bench.cx, bench.red, "Leaf", "project").await;
    let (_, old) = bench.person(bench.customer, "old", Builtin::OrganizationAdmin).await;
    let (_, new) = bench.person(other, "new", Builtin::OrganizationAdmin).await;
    assert!(orgs::get(&bench.as_user(old).await, leaf).await.is_ok());
    assert!(orgs::get(&bench.as_user(new).await, leaf).await.is_err());
    let preview = org_life::preview_move(&bench.cx, bench.red, other).await.unwrap();
    assert_eq!((preview.organisations, preview.depth), (2, 3));
    assert_eq!((preview.lose_access, preview.gain_access), (vec!["old".to_owned()], vec!["new".to_owned()]));
    org_life::move_org(&bench.admin().await, bench.red, other).await.unwrap();
    assert_eq!(orgs::get(&bench.as_user(old).await, leaf).await.unwrap_err().kind, Kind::NotFound);
    assert!(orgs::get(&bench.as_user(new).await, leaf).await.is_ok());
    let store = bench.store().await;
    let mut tx = store.read(&decide_job(bench.cx.realm, bench.root())).await.unwrap();
    assert_eq!(store::orgs::path(&mut tx, leaf).await.unwrap(), [bench.root(), other, bench.red, leaf]);
    assert_eq!(store::orgs::path(&mut tx, bench.blue).await.unwrap(), [bench.root(), bench.customer, bench.blue]);
}

async fn a_move_is_billed_with_the_next_month(bench: Bench) {
    let other = child(&bench.cx, bench.root(), "Other", "customer").await;
    bench.price(bench.customer, "2026-09", r#"{"model":"per_unit","rate":"1"}"#).await.unwrap();
    bench.price(other, "2026-09", r#"{"model":"per_unit","rate":"2"}"#).await.unwrap();
    bench.at("2026-09-10T00:00:00Z");
    bench.use_hours(bench.red, "a", "2026-09-05T00:00:00Z", "10").await;
    org_life::move_org(&bench.admin().await, bench.red, other).await.unwrap();
    bench.use_hours(bench.red, "b", "2026-09-09T00:00:00Z", "10").await;
    bench.at("2026-10-20T00:00:00Z");
    bench.use_hours(bench.red, "c", "2026-10-05T00:00:00Z", "10").await;
    bench.at("2026-11-02T00:00:00Z");
    let totals = |closed: bills::Closed| {
        let mut rows: Vec<_> = closed.papers.iter().map(|paper| (paper.payer, paper.total_minor.0)).collect();
        rows.sort();
        rows
    };
    let mut september = vec![(bench.customer, 2_000), (bench.red, 2_000)];
    september.sort();
    let mut october = vec![(other, 2_000), (bench.red, 2_000)];
    october.sort();
    assert_eq!(totals(bench.close("2026-09").await), september, "the running month is the old parent's");
    assert_eq!(totals(bench.close("2026-10").await), october, "then the new one's, at its prices");
}

async fn t05_names_differ_by_more_than_case(bench: Bench) {
    let new = |name: &str, slug: Option<&str>| NewOrg {
        name: name.into(),
        kind: "department".into(),
        slug: slug.map(str::to_owned),
        ..NewOrg::default()
    };
    let same = orgs::create_child(&bench.cx, bench.customer, new("rED", None)).await;
    assert_eq!(said(same), (Kind::Conflict, "name_taken".into()));
    let slug = orgs::create_child(&bench.cx, bench.customer, new("Crimson", Some("red"))).await;
    assert_eq!(said(slug), (Kind::Conflict, "slug_taken".into()));
    let upper = orgs::create_child(&bench.cx, bench.customer, new("Crimson", Some("RED"))).await;
    assert_eq!(upper.unwrap_err().field, "slug");
    assert!(orgs::create_child(&bench.cx, bench.blue, new("Red", None)).await.is_ok(), "elsewhere it is free");
}

async fn t06_another_tree_does_not_exist(bench: Bench) {
    let foreign = realm(&bench.app, "other@example.com").await;
    let theirs = orgs::get(&foreign, bench.red).await.unwrap_err();
    let nothing = orgs::get(&foreign, OrgId(12_345)).await.unwrap_err();
    assert_eq!((theirs.kind, theirs.text), (nothing.kind, nothing.text));
}

async fn t12_one_person_for_one_address(bench: Bench) {
    let (_, ann) = bench.person(bench.red, "ann", Builtin::Member).await;
    let again = people::add(&bench.cx, bench.blue, " ANN@Example.com", "Ann", MEMBER, Some(PASSWORD)).await;
    assert_eq!(said(again), (Kind::Conflict, "user_exists_in_tree".into()));
    // Who does not see her gets the same answer as for a new address.
    let (head, _) = bench.person(bench.blue, "head", Builtin::DepartmentHead).await;
    let known = people::add(&head, bench.blue, "ann@example.com", "Ann", MEMBER, None).await.unwrap_err();
    let fresh = people::add(&head, bench.blue, "fresh@example.com", "Fresh", MEMBER, None).await.unwrap_err();
    assert_eq!((known.kind, known.text), (fresh.kind, fresh.text));
    let (_, secret) = invitations::invite(&head, bench.blue, "Ann@example.com", MEMBER, Propagate::Here).await.unwrap();
    let (_, joined) = invitations::accept(&bench.app, &secret, joiner("Somebody else", PASSWORD)).await.unwrap();
    assert_eq!(joined, ann, "one account, whatever the invitation");
}

async fn t13_the_same_address_in_two_trees(bench: Bench) {
    let (_, here) = bench.person(bench.red, "ann", Builtin::Member).await;
    let foreign = realm(&bench.app, "other@example.com").await;
    let there =
        people::add(&foreign, foreign.realm.root(), "ann@example.com", "Ann", MEMBER, Some("another long phrase"))
            .await;
    assert_ne!(there.unwrap(), here);
    assert_eq!(sign_in(&bench.app, "ann@example.com", PASSWORD).await.unwrap().1.cx.realm, bench.cx.realm);
    assert_eq!(sign_in(&bench.app, "ann@example.com", "another long phrase").await.unwrap().1.cx.realm, foreign.realm);
}

async fn people_are_listed_page_by_page(bench: Bench) {
    let store = bench.store().await;
    let mut tx = store.write(&decide_job(bench.cx.realm, bench.root())).await.unwrap();
    for number in 0..25_u32 {
        let id = UserId(bench.app.world().fresh_id());
        let (email, name) = (format!("p{number:02}@example.com"), format!("Ärzte Person_{number} 100%"));
        let org = if number % 5 == 0 { bench.blue } else { bench.red };
        store::users::insert(&mut tx, &store::users::User::person(id, org, &email, &name, String::new(), 1))
            .await
            .unwrap();
        let membership = store::memberships::Membership {
            user: id,
            org,
            state: "active".into(),
            source: "local".into(),
            created_us: 1,
            created_by: String::new(),
        };
        store::memberships::insert(&mut tx, &membership).await.unwrap();
    }
    tx.commit().await.unwrap();
    let ask =
        |search: &str, after: Option<UserId>, limit: usize| PeopleQuestion { search: search.into(), after, limit };
    let all = people::list(&bench.cx, bench.red, &ask("", None, 0)).await.unwrap();
    assert_eq!(all.len(), 20);
    // Pages tile the list, whatever their size.
    for size in [1, 3, 7, 20, 21] {
        let (mut tiled, mut after) = (Vec::new(), None);
        loop {
            let page = people::list(&bench.cx, bench.red, &ask("", after, size)).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.user.id);
            tiled.extend(page.into_iter().map(|person| person.user.id));
        }
        assert_eq!(tiled, all.iter().map(|person| person.user.id).collect::<Vec<_>>(), "{size}");
    }
    // Part of a name or an address in any case; signs of patterns stand for themselves.
    for (search, found) in [
        ("PERSON_1", 9),
        ("ÄRZTE person_24", 1),
        ("ärzte", 20),
        ("p07@", 1),
        ("n_1 1", 1),
        ("100%", 20),
        ("%", 20),
        ("p%7", 0),
        ("\\", 0),
    ] {
        let question = ask(search, None, 0);
        assert_eq!(people::list(&bench.cx, bench.red, &question).await.unwrap().len(), found, "{search}");
        assert_eq!(people::count(&bench.cx, bench.red, &question).await.unwrap(), found as i64, "{search}");
    }
    // Somebody from elsewhere is no place to go on from, and no single one to look at.
    let elsewhere = people::list(&bench.cx, bench.blue, &ask("", None, 1)).await.unwrap()[0].user.id;
    for stranger in [elsewhere, UserId(7)] {
        let refused = people::list(&bench.cx, bench.red, &ask("", Some(stranger), 5)).await.unwrap_err();
        assert_eq!((refused.kind, refused.field.as_str()), (Kind::Invalid, "cursor"));
        assert_eq!(people::one(&bench.cx, bench.red, stranger).await.unwrap_err().kind, Kind::NotFound);
    }
    assert_eq!(people::one(&bench.cx, bench.red, all[3].user.id).await.unwrap().user, all[3].user);
    let names = people::names(&bench.cx, bench.red).await.unwrap();
    assert_eq!(names.len(), 20);
    let orgs_below = orgs::names(&bench.cx, bench.customer).await.unwrap();
    let tree = orgs::subtree(&bench.cx, bench.customer).await.unwrap();
    assert_eq!(orgs_below, tree.into_iter().map(|org| (org.id, org.name)).collect());
}

async fn t14_one_person_in_two_organisations(bench: Bench) {
    let (_, ann) = bench.person(bench.red, "ann", Builtin::DepartmentHead).await;
    people::add_member(&bench.cx, bench.blue, ann, MEMBER).await.unwrap();
    let cx = bench.as_user(ann).await;
    assert!(people::list(&cx, bench.red, &PeopleQuestion::default()).await.is_ok());
    assert_eq!(
        people::list(&cx, bench.blue, &PeopleQuestion::default()).await.unwrap_err().kind,
        Kind::Forbidden,
        "rights stay apart"
    );
    let seen = people::list(&bench.cx, bench.root(), &PeopleQuestion::default()).await.unwrap();
    let rows: Vec<_> = seen.iter().filter(|person| person.user.id == ann).collect();
    assert_eq!((rows.len(), rows[0].memberships.len()), (1, 2));
}

async fn token_at(bench: &Bench, user: UserId, org: OrgId) -> (TokenId, String) {
    let new = NewToken { scope_org: Some(org), ..NewToken::whole("t", 30) };
    let (token, text) = tokens::create(&bench.as_user(user).await, new).await.unwrap();
    (token.id, text)
}

async fn works(bench: &Bench, text: &str) -> bool {
    by_token(&bench.app, text, &Client::default()).await.is_ok()
}

async fn t15_tokens_die_with_the_membership(bench: Bench) {
    let (_, ann) = bench.person(bench.red, "ann", Builtin::DepartmentHead).await;
    people::add_member(&bench.cx, bench.blue, ann, MEMBER).await.unwrap();
    let (_, red) = token_at(&bench, ann, bench.red).await;
    let (_, blue) = token_at(&bench, ann, bench.blue).await;
    assert!(works(&bench, &red).await && works(&bench, &blue).await);
    people::remove(&bench.cx, bench.red, ann).await.unwrap();
    assert!(!works(&bench, &red).await);
    assert!(works(&bench, &blue).await, "what hangs on another membership lives");
    let (_, signed_in) = sign_in(&bench.app, "ann@example.com", PASSWORD).await.unwrap();
    assert_eq!(orgs::mine(&signed_in.cx).await.unwrap().len(), 1);
}

async fn t16_a_dead_token_stays_dead(bench: Bench) {
    let (_, ann) = bench.person(bench.red, "ann", Builtin::Member).await;
    let (_, text) = token_at(&bench, ann, bench.red).await;
    people::remove(&bench.cx, bench.red, ann).await.unwrap();
    let (_, secret) =
        invitations::invite(&bench.cx, bench.red, "ann@example.com", MEMBER, Propagate::Here).await.unwrap();
    invitations::accept(&bench.app, &secret, joiner("Ann", PASSWORD)).await.unwrap();
    assert!(!works(&bench, &text).await);
}

async fn t17_a_suspended_person_comes_back(bench: Bench) {
    let (_, ann) = bench.person(bench.red, "ann", Builtin::Member).await;
    let (_, text) = token_at(&bench, ann, bench.red).await;
    let (cookie, _) = sign_in(&bench.app, "ann@example.com", PASSWORD).await.unwrap();
    people::set_suspended(&bench.cx, ann, true).await.unwrap();
    assert!(!works(&bench, &text).await);
    assert!(by_session(&bench.app, &cookie, &Client::default()).await.is_err());
    assert!(sign_in(&bench.app, "ann@example.com", PASSWORD).await.is_err());
    people::set_suspended(&bench.cx, ann, false).await.unwrap();
    assert!(works(&bench, &text).await);
    assert!(sign_in(&bench.app, "ann@example.com", PASSWORD).await.is_ok());
}

async fn t18_services_outlive_their_makers(bench: Bench) {
    let (_, maker) = bench.person(bench.customer, "maker", Builtin::OrganizationAdmin).await;
    bench.person(bench.customer, "second", Builtin::OrganizationAdmin).await;
    let cx = bench.as_user(maker).await;
    let service = tokens::create_service(&cx, bench.customer, "exporter", "sends usage").await.unwrap();
    let new = NewToken { actions: vec!["usage:send".into()], ..NewToken::whole("ci", 30) };
    let (_, text) = tokens::create_programmatic(&cx, bench.customer, service.id, new).await.unwrap();
    people::deprovision(&bench.cx, maker).await.unwrap();
    assert!(works(&bench, &text).await);
    let filter = AuditFilter { action: "token.creator_gone".into(), ..AuditFilter::default() };
    assert_eq!(audit::list(&bench.cx, bench.customer, 0, &filter, 10).await.unwrap().len(), 1);
    assert!(sign_in(&bench.app, "exporter", "").await.is_err(), "a service has no console");
}

async fn t20_the_only_admin_cannot_go(bench: Bench) {
    let (_, only) = bench.person(bench.customer, "only", Builtin::OrganizationAdmin).await;
    let held = people::list(&bench.cx, bench.customer, &PeopleQuestion::default()).await.unwrap();
    let held = held.iter().find(|person| person.user.id == only).unwrap().given[0].id;
    let cx = &bench.admin().await;
    assert_eq!(said(people::remove(cx, bench.customer, only).await), last_admin());
    assert_eq!(said(bindings::unbind(cx, bench.customer, held).await), last_admin());
    assert_eq!(said(people::set_suspended(cx, only, true).await), last_admin());
    assert_eq!(said(people::set_membership_suspended(cx, bench.customer, only, true).await), last_admin());
    assert_eq!(said(people::deprovision(cx, only).await), last_admin());
    let later = NewBinding {
        not_before_us: Some(bench.world_now() + DAY_US),
        ..binding(Holder::User(only), PolicyRef::ADMIN, Propagate::Subtree)
    };
    assert_eq!(said(bindings::bind(cx, bench.customer, later).await), last_admin());
    assert!(works_as_admin(&bench, only).await, "nothing has changed");
}

async fn works_as_admin(bench: &Bench, user: UserId) -> bool {
    bench.as_user(user).await.may(Action::OrgUpdate, bench.customer).await
}

async fn t21_two_admins_cannot_remove_each_other(bench: Bench) {
    let (_, one) = bench.person(bench.customer, "one", Builtin::OrganizationAdmin).await;
    let (_, two) = bench.person(bench.customer, "two", Builtin::OrganizationAdmin).await;
    let (cx_one, cx_two) = (bench.as_user(one).await, bench.as_user(two).await);
    let (a, b) =
        tokio::join!(people::remove(&cx_one, bench.customer, two), people::remove(&cx_two, bench.customer, one));
    assert_eq!(usize::from(a.is_ok()) + usize::from(b.is_ok()), 1, "{a:?} {b:?}");
}

async fn t22_a_group_holds_the_last_admin(bench: Bench) {
    let (_, ann) = bench.person(bench.customer, "ann", Builtin::Member).await;
    let group = groups::create(&bench.cx, bench.customer, "Admins").await.unwrap().id;
    groups::add_member(&bench.cx, bench.customer, group, ann).await.unwrap();
    bench.bind(bench.customer, Holder::Group(group), PolicyRef::ADMIN, Propagate::Subtree).await.unwrap();
    assert_eq!(orgs::get(&bench.cx, bench.customer).await.unwrap().settings.admin_mode, AdminMode::Own);
    assert!(works_as_admin(&bench, ann).await);
    assert_eq!(said(groups::delete(&bench.cx, bench.customer, group).await), last_admin());
    assert_eq!(said(groups::remove_member(&bench.cx, bench.customer, group, ann).await), last_admin());
    bench.person(bench.customer, "second", Builtin::OrganizationAdmin).await;
    groups::delete(&bench.cx, bench.customer, group).await.unwrap();
    assert!(!works_as_admin(&bench, ann).await);
}

async fn t23_the_last_admin_does_not_expire(bench: Bench) {
    let (_, ann) = bench.person(bench.customer, "ann", Builtin::Member).await;
    let ends = bench.world_now() + 5 * DAY_US;
    let limited =
        NewBinding { not_after_us: Some(ends), ..binding(Holder::User(ann), PolicyRef::ADMIN, Propagate::Subtree) };
    bindings::bind(&bench.admin().await, bench.customer, limited).await.unwrap();
    timers::tend_trees(&bench.app).await.unwrap();
    timers::tend_trees(&bench.app).await.unwrap();
    let filter = |action: &str| AuditFilter { action: action.into(), ..AuditFilter::default() };
    let warned = audit::list(&bench.cx, bench.customer, 0, &filter("admin_expiry_soon"), 10).await.unwrap();
    assert_eq!(warned.len(), 1, "one warning for each step");
    bench.world.set(ends - MINUTE_US);
    timers::tend_trees(&bench.app).await.unwrap();
    bench.world.set(ends + DAY_US);
    assert!(works_as_admin(&bench, ann).await);
    let held = audit::list(&bench.cx, bench.customer, 0, &filter("last_admin_expiry_held"), 10).await.unwrap();
    assert_eq!(held.len(), 1);
    // Beside another admin it ends.
    bench.person(bench.customer, "second", Builtin::OrganizationAdmin).await;
    let soon = NewBinding {
        not_after_us: Some(bench.world_now() + DAY_US),
        ..binding(Holder::User(ann), PolicyRef::ADMIN, Propagate::Subtree)
    };
    bindings::bind(&bench.admin().await, bench.customer, soon).await.unwrap();
    bench.world.advance(2 * DAY_US);
    assert!(!works_as_admin(&bench, ann).await);
    timers::tend_trees(&bench.app).await.unwrap();
    assert!(!works_as_admin(&bench, ann).await);
}

async fn t25_an_ancestor_takes_over(bench: Bench) {
    let (_, ann) = bench.person(bench.customer, "ann", Builtin::OrganizationAdmin).await;
    let own = org_life::set_admin_mode(&bench.as_user(ann).await, bench.customer, AdminMode::Inherited).await;
    assert_eq!(own.unwrap_err().kind, Kind::Forbidden, "only from above");
    org_life::set_admin_mode(&bench.admin().await, bench.customer, AdminMode::Inherited).await.unwrap();
    people::remove(&bench.cx, bench.customer, ann).await.unwrap();
}

async fn t26_a_suspended_admin_does_not_count(bench: Bench) {
    let (_, one) = bench.person(bench.customer, "one", Builtin::OrganizationAdmin).await;
    let (_, two) = bench.person(bench.customer, "two", Builtin::OrganizationAdmin).await;
    people::set_suspended(&bench.cx, two, true).await.unwrap();
    assert_eq!(said(people::remove(&bench.cx, bench.customer, one).await), last_admin());
}

async fn t27_a_service_is_no_admin_to_rely_on(bench: Bench) {
    let (_, ann) = bench.person(bench.customer, "ann", Builtin::OrganizationAdmin).await;
    let service = tokens::create_service(&bench.admin().await, bench.customer, "robot", "").await.unwrap().id;
    bench.bind(bench.customer, Holder::User(service), PolicyRef::ADMIN, Propagate::Subtree).await.unwrap();
    assert_eq!(said(people::remove(&bench.cx, bench.customer, ann).await), last_admin());
}

async fn effective(bench: &Bench, org: OrgId) -> Vec<&'static str> {
    let found = orgs::products(&bench.cx, org).await.unwrap();
    found.into_iter().filter(|state| state.effective).map(|state| state.product.code()).collect()
}

async fn t28_new_children_get_the_defaults(bench: Bench) {
    let two = vec![Product::S3, Product::CloudBills];
    let change = OrgChange { child_products: Some(two), child_cost_default: Some(Cost::List), ..OrgChange::default() };
    // A cost that is not shown at the customer cannot be the one that is shown first at or below it.
    let refused = orgs::update(&bench.cx, bench.customer, change.clone()).await.unwrap_err();
    assert_eq!((refused.kind, refused.field.as_str()), (Kind::Invalid, "child_cost_default"));
    let first = OrgChange { cost_default: Some(Cost::Billed), ..OrgChange::default() };
    assert_eq!(orgs::update(&bench.cx, bench.customer, first).await.unwrap_err().field, "cost_default");
    orgs::set_visible_costs(&bench.cx, bench.customer, Costs::ALL).await.unwrap();
    orgs::update(&bench.cx, bench.customer, change).await.unwrap();
    // What was set stays when the organisation above narrows it; other settings can still be saved.
    orgs::set_visible_costs(&bench.cx, bench.customer, Costs::CHARGED).await.unwrap();
    let same = OrgChange { child_cost_default: Some(Cost::List), ..OrgChange::default() };
    orgs::update(&bench.cx, bench.customer, same).await.unwrap();
    let new = child(&bench.cx, bench.customer, "New", "department").await;
    assert_eq!(effective(&bench, new).await, ["s3", "cloud_bills"]);
    assert_eq!(orgs::get(&bench.cx, new).await.unwrap().settings.cost_default, Cost::List);
}

async fn t29_defaults_change_nothing_that_is(bench: Bench) {
    let before = effective(&bench, bench.red).await;
    let none = OrgChange { child_products: Some(Vec::new()), ..OrgChange::default() };
    orgs::update(&bench.cx, bench.customer, none).await.unwrap();
    assert_eq!(effective(&bench, bench.red).await, before);
}

async fn t30_a_product_lost_above_comes_back(bench: Bench) {
    let (_, head) = bench.person(bench.red, "head", Builtin::DepartmentHead).await;
    orgs::set_product(&bench.cx, bench.customer, Product::S3, false).await.unwrap();
    let red = orgs::products(&bench.cx, bench.red).await.unwrap()[0];
    assert_eq!((red.granted, red.effective), (true, false), "its own setting is kept");
    let refused = keys::create(&bench.as_user(head).await, bench.red, head, "k").await;
    assert_eq!(said(refused), (Kind::Forbidden, "product_not_enabled".into()));
    orgs::set_product(&bench.cx, bench.customer, Product::S3, true).await.unwrap();
    assert!(keys::create(&bench.as_user(head).await, bench.red, head, "k").await.is_ok());
    let own = orgs::set_product(&bench.as_user(head).await, bench.red, Product::S3, false).await;
    assert_eq!(own.unwrap_err().kind, Kind::Forbidden, "decided from above");
}

const READER: &str = r#"{"statements":[{"effect":"ALLOW","actions":["usage:read"]}]}"#;

async fn t36_a_level_is_fixed(bench: Bench) {
    let made =
        policies::create(&bench.admin().await, bench.customer, "Reader", Level::Org, document(READER)).await.unwrap();
    let change = PolicyChange { version: 1, level: Some(Level::Resource), ..PolicyChange::default() };
    let answer = policies::update(&bench.admin().await, bench.customer, made.id, change).await;
    assert_eq!(said(answer), (Kind::Invalid, "immutable".into()));
    let stale = PolicyChange { version: 7, ..PolicyChange::default() };
    assert_eq!(
        policies::update(&bench.admin().await, bench.customer, made.id, stale).await.unwrap_err().kind,
        Kind::Conflict
    );
}

async fn t39_a_token_shrinks_with_its_owner(bench: Bench) {
    let (_, ann) = bench.person(bench.red, "ann", Builtin::Member).await;
    let made = policies::create(&bench.admin().await, bench.red, "Reader", Level::Org, document(READER)).await.unwrap();
    let policy = PolicyRef::Custom(made.id);
    let held = bench.bind(bench.red, Holder::User(ann), policy, Propagate::Subtree).await.unwrap();
    let (_, text) = token_at(&bench, ann, bench.red).await;
    let may = async || {
        let signed_in = by_token(&bench.app, &text, &Client::default()).await.unwrap();
        signed_in.cx.may(Action::UsageRead, bench.red).await
    };
    assert!(may().await);
    let less = document(r#"{"statements":[{"effect":"ALLOW","actions":["cost:read"]}]}"#);
    let change = PolicyChange { version: 1, document: Some(less), ..PolicyChange::default() };
    policies::update(&bench.admin().await, bench.red, made.id, change).await.unwrap();
    assert!(!may().await, "the next request knows");
    bindings::unbind(&bench.admin().await, bench.red, held).await.unwrap();
    assert!(!may().await);
}

/// A month of usage at Red, priced and closed.
async fn month(bench: &Bench) {
    bench.price(bench.customer, "2026-09", r#"{"model":"per_unit","rate":"3"}"#).await.unwrap();
    bench.at("2026-09-20T00:00:00Z");
    bench.use_hours(bench.red, "r", "2026-09-05T00:00:00Z", "10").await;
    bench.use_hours(bench.blue, "b", "2026-09-05T00:00:00Z", "4").await;
    bench.at("2026-10-02T00:00:00Z");
    bench.close("2026-09").await;
}

async fn t40_hidden_costs_are_nowhere(bench: Bench) {
    month(&bench).await;
    let (_, admin) = bench.person(bench.customer, "admin-of", Builtin::OrganizationAdmin).await;
    let two: Costs = [Cost::Charged, Cost::List].into_iter().collect();
    orgs::set_visible_costs(&bench.cx, bench.customer, two).await.unwrap();
    let table = costs::table(&bench.as_user(admin).await, bench.customer, "2026-09", "", "").await.unwrap();
    assert_eq!(table.columns, [Cost::List, Cost::Charged]);
    assert_eq!(table.totals.values().map(ToString::to_string).collect::<Vec<_>>(), ["42", "42"]);
    for text in [serde_json::to_string(&table).unwrap(), costs::csv(&table)] {
        for hidden in ["billed", "effective", "contracted"] {
            assert!(!text.contains(hidden), "{hidden} in {text}");
        }
    }
}

async fn t41_hidden_costs_neither_sort_nor_filter(bench: Bench) {
    month(&bench).await;
    let (_, admin) = bench.person(bench.customer, "admin-of", Builtin::OrganizationAdmin).await;
    let cx = bench.as_user(admin).await;
    let ask = async |sort: &str, filter: &str| costs::table(&cx, bench.customer, "2026-09", sort, filter).await;
    let hidden = (Kind::Forbidden, "field_not_visible".to_owned());
    assert_eq!(said(ask("billed", "").await), hidden);
    assert_eq!(said(ask("", "effective>5").await), hidden);
    assert_eq!(ask("", "charged>15").await.unwrap().rows.len(), 1);
    assert_eq!(ask("charged", "").await.unwrap().rows[0].org, bench.red);
}

async fn t42_nobody_widens_his_own_view(bench: Bench) {
    let (_, admin) = bench.person(bench.customer, "admin-of", Builtin::OrganizationAdmin).await;
    let cx = bench.as_user(admin).await;
    assert_eq!(orgs::set_visible_costs(&cx, bench.customer, Costs::ALL).await.unwrap_err().kind, Kind::Forbidden);
    assert_eq!(costs::visible(&cx, bench.customer).await.unwrap(), Costs::CHARGED);
}

async fn t43_no_child_sees_more_than_its_parent(bench: Bench) {
    let two: Costs = [Cost::Charged, Cost::List].into_iter().collect();
    orgs::set_visible_costs(&bench.cx, bench.customer, two).await.unwrap();
    let wider: Costs = [Cost::Billed].into_iter().collect();
    let refused = orgs::set_visible_costs(&bench.cx, bench.red, wider).await.unwrap_err();
    assert_eq!((refused.kind, refused.field.as_str()), (Kind::Invalid, "visible_costs"));
    orgs::set_visible_costs(&bench.cx, bench.red, two).await.unwrap();
    // A parent that narrows later narrows what lies below.
    orgs::set_visible_costs(&bench.cx, bench.customer, Costs::CHARGED).await.unwrap();
    assert_eq!(costs::visible(&bench.cx, bench.red).await.unwrap(), Costs::CHARGED);
}

async fn t44_a_reseller_sees_his_own_margin(bench: Bench) {
    bench.price(bench.customer, "2026-09", r#"{"model":"per_unit","rate":"3"}"#).await.unwrap();
    bench.price(bench.red, "2026-09", r#"{"model":"per_unit","rate":"5"}"#).await.unwrap();
    bench.at("2026-09-20T00:00:00Z");
    bench.use_hours(bench.red, "r", "2026-09-05T00:00:00Z", "10").await;
    bench.at("2026-10-02T00:00:00Z");
    bench.close("2026-09").await;
    let (_, reseller) = bench.person(bench.customer, "reseller", Builtin::OrganizationAdmin).await;
    let cx = bench.as_user(reseller).await;
    let margin = costs::margin(&cx, bench.customer, "2026-09").await.unwrap();
    assert_eq!(
        [margin.charged_below, margin.owed_above, margin.margin].map(|amount| amount.to_string()),
        ["50", "30", "20"]
    );
    assert_eq!(costs::margin(&cx, bench.root(), "2026-09").await.unwrap_err().kind, Kind::NotFound);
    let (_, head) = bench.person(bench.red, "head", Builtin::DepartmentHead).await;
    assert_eq!(
        costs::margin(&bench.as_user(head).await, bench.red, "2026-09").await.unwrap_err().kind,
        Kind::Forbidden
    );
}

async fn t45_an_invitation_gives_what_the_inviter_holds_then(bench: Bench) {
    let (_, inviter) = bench.person(bench.customer, "inviter", Builtin::OrganizationAdmin).await;
    bench.person(bench.customer, "second", Builtin::OrganizationAdmin).await;
    let cx = bench.as_user(inviter).await;
    let (_, secret) =
        invitations::invite(&cx, bench.customer, "x@example.com", PolicyRef::ADMIN, Propagate::Subtree).await.unwrap();
    people::remove(&bench.cx, bench.customer, inviter).await.unwrap();
    let refused = invitations::accept(&bench.app, &secret, joiner("X", PASSWORD)).await;
    assert_eq!(refused.unwrap_err().kind, Kind::Gone);
}

async fn t49_giving_what_wants_a_fresh_proof_wants_one(bench: Bench) {
    let (_, admin) = bench.person(bench.customer, "admin2", Builtin::OrganizationAdmin).await;
    let (_, ann) = bench.person(bench.red, "ann", Builtin::Member).await;
    let admins = groups::create(&bench.cx, bench.customer, "Admins").await.unwrap().id;
    let readers = groups::create(&bench.cx, bench.customer, "Readers").await.unwrap().id;
    people::add_member(&bench.cx, bench.customer, ann, MEMBER).await.unwrap();
    for (group, policy) in [(admins, PolicyRef::ADMIN), (readers, PolicyRef::Builtin(Builtin::Auditor))] {
        bench.bind(bench.customer, Holder::Group(group), policy, Propagate::Subtree).await.unwrap();
    }
    let cx = bench.as_user(admin).await;
    bench.world.advance(16 * MINUTE_US);
    let stale = |failure: Failure| assert_eq!(failure.kind, Kind::StepUp, "{failure}");
    let (admin, all) = (PolicyRef::ADMIN, Propagate::Subtree);
    stale(invitations::invite(&cx, bench.customer, "x@example.com", admin, all).await.unwrap_err());
    stale(people::add(&bench.cx, bench.customer, "x@example.com", "X", admin, None).await.unwrap_err());
    stale(people::add_member(&cx, bench.blue, ann, admin).await.unwrap_err());
    stale(groups::add_member(&cx, bench.customer, admins, ann).await.unwrap_err());
    let group = groups::list(&cx, bench.customer).await.unwrap().into_iter().find(|found| found.group.id == admins);
    assert!(group.unwrap().members.is_empty(), "nothing has changed");
    assert!(invitations::list(&cx, bench.customer).await.unwrap().is_empty());
    // What only looks is given as before.
    let auditor = PolicyRef::Builtin(Builtin::Auditor);
    invitations::invite(&cx, bench.customer, "y@example.com", auditor, all).await.unwrap();
    people::add_member(&cx, bench.blue, ann, auditor).await.unwrap();
    groups::add_member(&cx, bench.customer, readers, ann).await.unwrap();
    // Proved once more, it is done.
    let cx = bench.as_user(cx.user()).await;
    groups::add_member(&cx, bench.customer, admins, ann).await.unwrap();
    invitations::invite(&cx, bench.customer, "x@example.com", admin, all).await.unwrap();
}

async fn t46_invitations_end(bench: Bench) {
    let invite =
        async |email: &str| invitations::invite(&bench.cx, bench.red, email, MEMBER, Propagate::Here).await.unwrap();
    let accept = async |secret: &str| invitations::accept(&bench.app, secret, joiner("X", PASSWORD)).await;
    let (_, used) = invite("a@example.com").await;
    accept(&used).await.unwrap();
    let (waiting, withdrawn) = invite("b@example.com").await;
    invitations::cancel(&bench.cx, bench.red, waiting.id).await.unwrap();
    let (_, replaced) = invite("c@example.com").await;
    invite("c@example.com").await;
    let (_, declined) = invite("d@example.com").await;
    invitations::decline(&bench.app, &declined).await.unwrap();
    let (_, old) = invite("e@example.com").await;
    bench.world.advance(8 * DAY_US);
    for secret in [used, withdrawn, replaced, declined, old] {
        assert_eq!(accept(&secret).await.unwrap_err().kind, Kind::Gone);
    }
}

async fn t47_an_invitation_is_for_one_address(bench: Bench) {
    let (_, secret) =
        invitations::invite(&bench.cx, bench.red, "a@example.com", MEMBER, Propagate::Here).await.unwrap();
    let other = Joiner { email: Some("b@example.com"), ..joiner("B", PASSWORD) };
    assert_eq!(invitations::accept(&bench.app, &secret, other).await.unwrap_err().kind, Kind::Forbidden);
    let right = Joiner { email: Some("A@example.com "), ..joiner("A", PASSWORD) };
    assert!(invitations::accept(&bench.app, &secret, right).await.is_ok());
}

async fn t48_a_child_is_never_weaker(bench: Bench) {
    let set = async |org, policy| {
        orgs::update(&bench.cx, org, OrgChange { mfa_policy: Some(policy), ..OrgChange::default() }).await
    };
    set(bench.customer, MfaPolicy::Required).await.unwrap();
    set(bench.red, MfaPolicy::Required).await.unwrap();
    let weaker = set(bench.red, MfaPolicy::Off).await.unwrap_err();
    assert_eq!((weaker.kind, weaker.field.as_str()), (Kind::Invalid, "mfa_policy"));
}

async fn t54_a_suspended_organisation_reads_and_pays(bench: Bench) {
    month(&bench).await;
    let (_, admin) = bench.person(bench.customer, "admin-of", Builtin::OrganizationAdmin).await;
    org_life::suspend(&bench.cx, bench.customer, GatewayRule::ReadOnly).await.unwrap();
    let cx = bench.as_user(admin).await;
    assert_eq!(bills::list(&cx, bench.customer).await.unwrap().len(), 3);
    assert!(cx.allow(Action::PaymentWrite, bench.customer).await.is_ok());
    let rule = cx.allow(Action::RuleWrite, bench.red).await;
    assert_eq!(said(rule), (Kind::Forbidden, "org_suspended".into()));
    assert!(bench.cx.allow(Action::RuleWrite, bench.red).await.is_ok(), "who suspended it can act");
    let own = org_life::resume(&cx, bench.customer).await;
    assert_eq!(own.unwrap_err().kind, Kind::Forbidden);
    org_life::resume(&bench.cx, bench.customer).await.unwrap();
    assert!(bench.as_user(admin).await.allow(Action::RuleWrite, bench.red).await.is_ok());
}

async fn t55_usage_goes_on_being_billed(bench: Bench) {
    bench.price(bench.customer, "2026-09", r#"{"model":"per_unit","rate":"3"}"#).await.unwrap();
    bench.at("2026-09-20T00:00:00Z");
    org_life::suspend(&bench.cx, bench.customer, GatewayRule::Deny).await.unwrap();
    bench.use_hours(bench.red, "r", "2026-09-19T00:00:00Z", "10").await;
    bench.at("2026-10-02T00:00:00Z");
    let closed = bench.close("2026-09").await;
    assert_eq!(closed.papers.iter().map(|paper| paper.total_minor.0).max(), Some(3_000));
}

async fn t56_suspension_is_inherited_not_written(bench: Bench) {
    let (_, head) = bench.person(bench.red, "head", Builtin::DepartmentHead).await;
    let (key, _) = keys::create(&bench.cx, bench.red, head, "k").await.unwrap();
    org_life::suspend(&bench.cx, bench.customer, GatewayRule::Deny).await.unwrap();
    assert_eq!(orgs::get(&bench.cx, bench.red).await.unwrap().state, OrgState::Active);
    let usage = bench.as_user(head).await.allow(Action::UsageRead, bench.red).await;
    assert_eq!(said(usage), (Kind::Forbidden, "org_suspended".into()));
    assert!(s3_session::key_holder(&bench.app, &key.key_id).await.unwrap().is_none(), "the gateway refuses");
    org_life::resume(&bench.cx, bench.customer).await.unwrap();
    org_life::suspend(&bench.cx, bench.customer, GatewayRule::Continue).await.unwrap();
    assert!(s3_session::key_holder(&bench.app, &key.key_id).await.unwrap().is_some(), "or goes on, as it was said");
}

fn named(name: &str) -> Deletion {
    Deletion { confirm: name.to_owned(), ..Deletion::default() }
}

async fn t57_children_are_in_the_way(bench: Bench) {
    let cx = &bench.admin().await;
    assert_eq!(
        said(org_life::delete(cx, bench.customer, &named("Customer")).await),
        (Kind::Conflict, "has_children".into())
    );
    assert_eq!(org_life::delete(cx, bench.red, &named("red?")).await.unwrap_err().field, "confirm");
    let all = Deletion { cascade: true, ..named("Customer") };
    assert_eq!(org_life::delete(cx, bench.customer, &all).await.unwrap().state, OrgState::PendingDeletion);
    assert_eq!(org_life::delete(cx, bench.root(), &named("Provider")).await.unwrap_err().kind, Kind::Forbidden);
}

async fn t58_an_open_invoice_is_in_the_way(bench: Bench) {
    month(&bench).await;
    let all = Deletion { cascade: true, ..named("Customer") };
    assert_eq!(
        said(org_life::delete(&bench.admin().await, bench.customer, &all).await),
        (Kind::Conflict, "open_invoice".into())
    );
    let lone = child(&bench.cx, bench.root(), "Lone", "customer").await;
    bench.use_hours(lone, "l", "2026-10-01T00:00:00Z", "1").await;
    let unbilled = org_life::delete(&bench.admin().await, lone, &named("Lone")).await;
    assert_eq!(said(unbilled), (Kind::Conflict, "unbilled_usage".into()));
    let waived = Deletion { without_final_invoice: true, ..named("Lone") };
    assert!(org_life::delete(&bench.admin().await, lone, &waived).await.is_ok());
}

async fn t59_a_deletion_can_be_taken_back_for_thirty_days(bench: Bench) {
    let (_, head) = bench.person(bench.red, "head", Builtin::DepartmentHead).await;
    let began = bench.world_now();
    org_life::delete(&bench.admin().await, bench.red, &named("Red")).await.unwrap();
    bench.world.set(began + 29 * DAY_US);
    timers::tend_trees(&bench.app).await.unwrap();
    org_life::restore(&bench.admin().await, bench.red).await.unwrap();
    assert!(bench.as_user(head).await.may(Action::UsageRead, bench.red).await);
    let again = bench.world_now();
    org_life::delete(&bench.admin().await, bench.red, &named("Red")).await.unwrap();
    bench.world.set(again + 31 * DAY_US);
    assert_eq!(org_life::restore(&bench.admin().await, bench.red).await.unwrap_err().kind, Kind::Gone);
    timers::tend_trees(&bench.app).await.unwrap();
    assert_eq!(org_life::restore(&bench.admin().await, bench.red).await.unwrap_err().kind, Kind::Gone);
    assert_eq!(orgs::get(&bench.cx, bench.red).await.unwrap_err().kind, Kind::NotFound);
    assert!(sign_in(&bench.app, "head@example.com", PASSWORD).await.is_err(), "who belonged nowhere else is gone");
    child(&bench.cx, bench.customer, "Red", "department").await; // The name is free again.
}

async fn t60_a_flipped_byte_is_found(bench: Bench) {
    assert!(audit::verify(&bench.cx).await.unwrap().is_ok());
    bench
        .execute("update audit_event set detail_json = replace(detail_json, 'Red', 'Rad') where action = 'org.create'");
    let first_bad = audit::verify(&bench.cx).await.unwrap().unwrap_err();
    let list = audit::list(&bench.cx, bench.root(), 0, &AuditFilter::default(), 1_000).await.unwrap();
    let bad = list.iter().find(|event| event.detail_json.contains("Rad")).unwrap();
    assert_eq!(first_bad, bad.seq);
}

async fn t61_a_child_sees_what_was_done_in_it(bench: Bench) {
    let (_, auditor) = bench.person(bench.red, "auditor", Builtin::Auditor).await;
    let change = OrgChange { address: Some(vec!["Street 9".into()]), ..OrgChange::default() };
    orgs::update(&bench.cx, bench.red, change.clone()).await.unwrap();
    orgs::update(&bench.cx, bench.customer, change).await.unwrap();
    let cx = bench.as_user(auditor).await;
    let seen = audit::list(&cx, bench.red, 0, &AuditFilter::default(), 100).await.unwrap();
    let by_root = seen.iter().find(|event| event.action == "org.update").unwrap();
    assert_eq!(by_root.actor, bench.cx.user().to_string());
    assert!(by_root.path.ends_with(&format!("{}/", bench.red)));
    assert!(seen.iter().all(|event| event.org == bench.red), "nothing of what happened above");
    assert_eq!(audit::list(&cx, bench.customer, 0, &AuditFilter::default(), 9).await.unwrap_err().kind, Kind::NotFound);
}

fn aws(account: &str) -> NewLink {
    NewLink { provider: "aws".into(), external_account: account.into(), name: "Main".into(), from_us: None }
}

async fn t62_an_account_belongs_to_one_at_a_time(bench: Bench) {
    cloud_links::link(&bench.cx, bench.red, aws("111122223333")).await.unwrap();
    let twice = cloud_links::link(&bench.cx, bench.blue, aws("111122223333")).await;
    assert_eq!(said(twice), (Kind::Conflict, "already_linked".into()));
    let (a, b) = tokio::join!(
        cloud_links::link(&bench.cx, bench.red, aws("444455556666")),
        cloud_links::link(&bench.cx, bench.blue, aws("444455556666"))
    );
    assert_eq!(usize::from(a.is_ok()) + usize::from(b.is_ok()), 1);
}

async fn t63_an_account_is_handed_over(bench: Bench) {
    bench.at("2026-09-10T00:00:00Z");
    let link = cloud_links::link(&bench.cx, bench.red, aws("111122223333")).await.unwrap();
    cloud_links::hand_over(&bench.cx, link.id, bench.blue, None).await.unwrap();
    let first = base::period::parse_instant("2026-10-01T00:00:00Z").unwrap();
    let red = cloud_links::list(&bench.cx, bench.red).await.unwrap();
    assert_eq!((red.len(), red[0].to_us), (1, Some(first)), "the history stays");
    let blue = cloud_links::list(&bench.cx, bench.blue).await.unwrap();
    assert_eq!((blue[0].from_us, blue[0].to_us), (first, None));
    let (_, head) = bench.person(bench.red, "head", Builtin::DepartmentHead).await;
    let foreign = cloud_links::unlink(&bench.as_user(head).await, blue[0].id).await;
    assert_eq!(foreign.unwrap_err().kind, Kind::NotFound);
}

/// Small numbers that follow from a seed.
struct Dice(u64);

impl Dice {
    fn up_to(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % count
    }
}

/// 200 organisations, 50 users with memberships, groups, built-in and custom policies, denials and ends:
/// for each of the 10,000 pairs the list says what the decision says.
async fn t64_lists_are_the_decision(bench: Bench) {
    let store = bench.store().await;
    let mut dice = Dice(64);
    let grant = decide_job(bench.cx.realm, bench.root());
    let mut tx = store.write(&grant).await.unwrap();
    let mut made = vec![bench.root(), bench.customer, bench.red, bench.blue];
    while made.len() < 200 {
        let parent = made[dice.up_to(made.len())];
        if store::orgs::path(&mut tx, parent).await.unwrap().len() < 16 {
            let id = OrgId(9_000 + made.len() as u128);
            let name = format!("o{}", made.len());
            let org = store::orgs::Org::new(id, Some(parent), "department", &name, Currency::EUR, Zone::utc());
            store::orgs::insert(&mut tx, &org).await.unwrap();
            made.push(id);
        }
    }
    let mut custom = Vec::new();
    for (index, json) in [
        READER,
        r#"{"statements":[{"effect":"DENY","actions":["usage:read"]}]}"#,
        r#"{"statements":[{"effect":"ALLOW","actions":["*"],"condition":{"StringContains":{"user:email":["7"]}}}]}"#,
        r#"{"statements":[{"effect":"ALLOW","actions":["usage:*"]},{"effect":"DENY","actions":["usage:read"],"condition":{"StringEquals":{"request:ip":["1.2.3.4"]}}}]}"#,
    ]
    .into_iter()
    .enumerate()
    {
        let id = PolicyId(index as u128 + 1);
        let policy = store::policies::StoredPolicy {
            id,
            org: bench.root(),
            name: format!("p{index}"),
            level: Level::Org,
            version: 1,
            document: document(json),
            created_us: 0,
        };
        store::policies::insert(&mut tx, &policy).await.unwrap();
        custom.push(PolicyRef::Custom(id));
    }
    let builtin = [Builtin::OrganizationAdmin, Builtin::OrganizationEditor, Builtin::DepartmentHead, Builtin::Auditor];
    let builtin = builtin.into_iter().cycle().take(12).map(PolicyRef::Builtin);
    let choices: Vec<PolicyRef> = builtin.chain(custom).collect();
    let mut users = Vec::new();
    for index in 0..50_u128 {
        let user = store::users::User::person(
            UserId(index + 1),
            bench.root(),
            &format!("u{index}@example.com"),
            "U",
            String::new(),
            0,
        );
        store::users::insert(&mut tx, &user).await.unwrap();
        for _ in 0..1 + dice.up_to(3) {
            let among = [1, 8, 200][dice.up_to(3)];
            let membership = store::memberships::Membership {
                user: user.id,
                org: made[dice.up_to(among)],
                state: if dice.up_to(6) == 0 { "suspended" } else { "active" }.to_owned(),
                source: "local".to_owned(),
                created_us: 0,
                created_by: String::new(),
            };
            store::memberships::insert(&mut tx, &membership).await.unwrap();
        }
        let group = store::groups::Group {
            id: GroupId(index + 1),
            org: bench.root(),
            name: format!("g{index}"),
            source: "local".to_owned(),
            created_us: 0,
        };
        store::groups::insert(&mut tx, &group).await.unwrap();
        store::groups::add_member(&mut tx, group.id, user.id, "local").await.unwrap();
        for turn in 0..dice.up_to(5) {
            let holder = if dice.up_to(3) == 0 { Holder::Group(group.id) } else { Holder::User(user.id) };
            let reach = if dice.up_to(3) == 0 { Propagate::Here } else { Propagate::Subtree };
            let policy = choices[dice.up_to(choices.len())];
            let id = BindingId(index * 100 + turn as u128 + 1);
            let mut held = Held::new(id, holder, policy, made[dice.up_to(12)], reach);
            held.not_after_us = (dice.up_to(5) == 0).then_some(bench.world_now() - 1);
            store::bindings::insert(&mut tx, &held, 0).await.unwrap();
        }
        users.push(user.id);
    }
    tx.commit().await.unwrap();
    let mut places = Vec::new();
    let mut tx = store.read(&grant).await.unwrap();
    for org in &made {
        places.push(store::orgs::place(&mut tx, *org).await.unwrap());
    }
    drop(tx);
    let mut pairs = 0;
    let mut allowed = 0;
    for user in users {
        let cx = bench.as_user(user).await;
        let listed = orgs::reached(&cx, Action::UsageRead, "", 1_000).await.unwrap();
        for place in &places {
            let answer = decide(&cx.actor, &Ask::of(Action::UsageRead), place, &cx.context);
            assert_eq!(answer.is_ok(), listed.contains(&place.org()), "{user} {}", place.org());
            pairs += 1;
            allowed += usize::from(answer.is_ok());
        }
    }
    assert_eq!(pairs, 10_000);
    assert!((300..9_700).contains(&allowed), "{allowed} of them allowed: the case says something");
}

async fn t66_group_names_are_checked(bench: Bench) {
    for bad in ["a@b", "a+b", "a=b", ""] {
        let refused = groups::create(&bench.cx, bench.customer, bad).await.unwrap_err();
        assert_eq!((refused.kind, refused.field.as_str()), (Kind::Invalid, "name"), "{bad:?}");
    }
    groups::create(&bench.cx, bench.customer, "Team").await.unwrap();
    assert_eq!(said(groups::create(&bench.cx, bench.customer, "TEAM").await), (Kind::Conflict, "name_taken".into()));
}

async fn t67_no_switch_without_a_right(bench: Bench) {
    let (_, head) = bench.person(bench.red, "head", Builtin::DepartmentHead).await;
    let cx = bench.as_user(head).await;
    for org in [bench.blue, bench.customer, bench.root(), OrgId(1)] {
        assert_eq!(orgs::get(&cx, org).await.unwrap_err().kind, Kind::NotFound);
    }
}

async fn t68_the_address_counts_not_the_session(bench: Bench) {
    let (_, ann) = bench.person(bench.red, "ann", Builtin::DepartmentHead).await;
    people::add_member(&bench.cx, bench.blue, ann, MEMBER).await.unwrap();
    let (_, signed_in) = sign_in(&bench.app, "ann@example.com", PASSWORD).await.unwrap();
    // One session, two organisations: each request is judged where it points to.
    assert!(signed_in.cx.allow(Action::UserRead, bench.red).await.is_ok());
    assert_eq!(signed_in.cx.allow(Action::UserRead, bench.blue).await.unwrap_err().kind, Kind::Forbidden);
}

async fn t69_every_node_sees_a_revocation(bench: Bench) {
    let (_, ann) = bench.person(bench.red, "ann", Builtin::DepartmentHead).await;
    let (key, _) = keys::create(&bench.cx, bench.red, ann, "k").await.unwrap();
    let (_, text) = token_at(&bench, ann, bench.red).await;
    let (cookie, _) = sign_in(&bench.app, "ann@example.com", PASSWORD).await.unwrap();
    let folder = TempFolder::new("second-node");
    let lake = Lake::open(folder.path(), None, bench.world.clone(), lake::Settings::default()).await.unwrap();
    let second = App::new(
        bench.store().await,
        lake,
        bench.world.clone(),
        app::secrets::Vault::new(&[3; 32]),
        outside(&bench.records),
    )
    .unwrap();
    let nobody = Client::default();
    assert!(by_token(&second, &text, &nobody).await.is_ok());
    assert!(by_session(&second, &cookie, &nobody).await.is_ok());
    assert!(s3_session::key_holder(&second, &key.key_id).await.unwrap().is_some());
    let there = cx_for(&second, &bench.cx, ann).await;
    assert!(there.may(Action::UsageRead, bench.red).await);
    people::remove(&bench.cx, bench.red, ann).await.unwrap();
    bench.world.advance(1_000_000);
    assert!(by_token(&second, &text, &nobody).await.is_err());
    assert!(by_session(&second, &cookie, &nobody).await.is_err());
    assert!(s3_session::key_holder(&second, &key.key_id).await.unwrap().is_none());
    assert!(!cx_for(&second, &bench.cx, ann).await.may(Action::UsageRead, bench.red).await);
}

/// Every way in which somebody could give himself more than he has.
async fn nobody_raises_himself(bench: Bench) {
    let json = r#"{"statements":[{"effect":"ALLOW","actions":["policy:*","group:*","user:*","token:*"]}]}"#;
    let made = policies::create(&bench.admin().await, bench.red, "Manager", Level::Org, document(json)).await.unwrap();
    let (_, eve) = bench.person(bench.red, "eve", Builtin::Member).await;
    bench.bind(bench.red, Holder::User(eve), PolicyRef::Custom(made.id), Propagate::Subtree).await.unwrap();
    let (_, admin) = bench.person(bench.red, "boss", Builtin::OrganizationAdmin).await;
    let cx = bench.as_user(eve).await;
    let forbidden = |result: Result<(), Failure>| assert_eq!(result.unwrap_err().kind, Kind::Forbidden);
    let give = binding(Holder::User(eve), PolicyRef::ADMIN, Propagate::Subtree);
    forbidden(bindings::bind(&cx, bench.red, give).await.map(drop));
    forbidden(people::remove(&cx, bench.red, admin).await);
    let all = document(r#"{"statements":[{"effect":"ALLOW","actions":["*"]}]}"#);
    let change = PolicyChange { version: 1, document: Some(all.clone()), ..PolicyChange::default() };
    forbidden(policies::update(&cx, bench.red, made.id, change).await.map(drop));
    let own = policies::create(&cx, bench.red, "Mine", Level::Org, all).await.unwrap();
    let give = binding(Holder::User(eve), PolicyRef::Custom(own.id), Propagate::Subtree);
    forbidden(bindings::bind(&cx, bench.red, give).await.map(drop));
    let group = groups::create(&bench.cx, bench.red, "Bosses").await.unwrap().id;
    bench.bind(bench.red, Holder::Group(group), PolicyRef::ADMIN, Propagate::Subtree).await.unwrap();
    forbidden(groups::add_member(&cx, bench.red, group, eve).await);
    let held = people::list(&bench.cx, bench.red, &PeopleQuestion::default()).await.unwrap();
    let boss = held.iter().find(|person| person.user.id == admin).unwrap().given[0].id;
    forbidden(bindings::unbind(&cx, bench.red, boss).await);
    forbidden(
        invitations::invite(&cx, bench.red, "e2@example.com", PolicyRef::ADMIN, Propagate::Subtree).await.map(drop),
    );
    // A token of hers is not more than she is, and makes no other tokens.
    let (_, text) = token_at(&bench, eve, bench.red).await;
    let by = by_token(&bench.app, &text, &Client::default()).await.unwrap();
    assert!(!by.cx.may(Action::RuleWrite, bench.red).await);
    forbidden(tokens::create(&by.cx, NewToken::whole("more", 1)).await.map(drop));
    assert!(!bench.as_user(eve).await.may(Action::OrgUpdate, bench.red).await);
}

async fn refusals_are_written(bench: Bench) {
    let (_, eve) = bench.person(bench.red, "eve", Builtin::Member).await;
    let cx = bench.as_user(eve).await;
    for _ in 0..150 {
        assert!(cx.allow(Action::InvoiceCreate, bench.red).await.is_err());
    }
    let filter = AuditFilter { outcome: "deny".into(), ..AuditFilter::default() };
    let seen = audit::list(&bench.cx, bench.red, 0, &filter, 1_000).await.unwrap();
    assert_eq!(seen.len(), 100, "sampled after a hundred in a minute");
    assert_eq!((seen[0].action.as_str(), seen[0].actor.clone()), ("invoice:create", eve.to_string()));
    assert!(seen[0].reason.contains("invoice:create"));
    assert!(audit::verify(&bench.cx).await.unwrap().is_ok());
}

/// T-T. Whoever opens the link learns where to, from whom, as what and to which address; they may decline.
async fn an_invitation_says_what_it_offers(bench: Bench) {
    let policy = PolicyRef::Builtin(Builtin::DepartmentHead);
    let (invitation, secret) =
        invitations::invite(&bench.cx, bench.red, "new@example.com", policy, Propagate::Subtree).await.unwrap();
    let offer = invitations::offer(&bench.app, &secret).await.unwrap();
    let shown = (&*offer.org, &*offer.invited_by, &*offer.email, &*offer.role, offer.propagate);
    assert_eq!(shown, ("Red", "Admin", "new@example.com", "Department Head", Propagate::Subtree));
    assert_eq!(offer.expires_us, invitation.expires_us);
    invitations::decline(&bench.app, &secret).await.unwrap();
    for gone in [
        invitations::offer(&bench.app, &secret).await.map(drop),
        invitations::decline(&bench.app, &secret).await,
        invitations::accept(&bench.app, &secret, joiner("New", PASSWORD)).await.map(drop),
        invitations::offer(&bench.app, "nonsense").await.map(drop),
    ] {
        assert_eq!(gone.unwrap_err().kind, Kind::Gone);
    }
    // It stands as long as its maker could give what it gives, and so it is shown.
    let (head, _) = bench.person(bench.red, "head", Builtin::DepartmentHead).await;
    let (_, secret) = invitations::invite(&head, bench.red, "late@example.com", MEMBER, Propagate::Here).await.unwrap();
    assert!(invitations::offer(&bench.app, &secret).await.is_ok());
    people::remove(&bench.admin().await, bench.red, head.user()).await.unwrap();
    for gone in [
        invitations::offer(&bench.app, &secret).await.map(drop),
        invitations::accept(&bench.app, &secret, joiner("Late", PASSWORD)).await.map(drop),
    ] {
        assert!(gone.unwrap_err().text.contains("may not give what it offers any more"));
    }
    // Whoever is suspended joins nothing, and whoever is shut learns why.
    let (_, ann) = bench.person(bench.blue, "ann", Builtin::Member).await;
    let invite = async || {
        let policy = MEMBER;
        invitations::invite(&bench.cx, bench.red, "ann@example.com", policy, Propagate::Here).await.unwrap().1
    };
    people::set_suspended(&bench.admin().await, ann, true).await.unwrap();
    let refused = invitations::accept(&bench.app, &invite().await, joiner("", PASSWORD)).await.unwrap_err();
    assert!(refused.kind == Kind::Forbidden && refused.text.contains("suspended"), "{refused}");
    people::deprovision(&bench.admin().await, ann).await.unwrap();
    let refused = invitations::accept(&bench.app, &invite().await, joiner("", PASSWORD)).await.unwrap_err();
    assert!(refused.kind == Kind::Conflict && refused.text.contains("shut for good"), "{refused}");
}

/// T-O. Who was taken out of their only organisation can be found, added again, let in by a link, and erased: by those who
/// see the whole tree, and by nobody else.
async fn who_belongs_nowhere_is_found_and_erased(bench: Bench) {
    let (_, ann) = bench.person(bench.red, "ann", Builtin::Member).await;
    let (_, bob) = bench.person(bench.red, "bob", Builtin::Member).await;
    let (below, _) = bench.person(bench.customer, "boss", Builtin::OrganizationAdmin).await;
    let names = async |cx: &Cx| -> Vec<String> {
        app::unattached::list(cx).await.unwrap().into_iter().map(|user| user.display_name).collect()
    };
    assert!(names(&bench.cx).await.is_empty());
    for user in [ann, bob] {
        people::remove(&bench.admin().await, bench.red, user).await.unwrap();
    }
    let admin = bench.admin().await;
    assert_eq!(names(&admin).await, ["ann", "bob"]);
    // An admin below, and one of the highest organisation alone, see nobody, and can do nothing with them.
    let (here, _) = bench.person(bench.root(), "here", Builtin::Member).await;
    bench.bind(bench.root(), Holder::User(here.user()), PolicyRef::ADMIN, Propagate::Here).await.unwrap();
    let here = bench.as_user(here.user()).await;
    for cx in [&below, &here] {
        assert!(app::unattached::list(cx).await.is_err());
        assert_eq!(app::unattached::erase(cx, bob).await.unwrap_err().kind, Kind::NotFound);
        assert_eq!(people::add_member(cx, bench.root(), bob, MEMBER).await.unwrap_err().kind, Kind::NotFound);
    }
    people::add_member(&admin, bench.blue, ann, MEMBER).await.unwrap();
    assert!(app::resets::begin(&admin, bob).await.is_ok(), "a way back in");
    assert_eq!(names(&admin).await, ["bob"]);
    app::unattached::erase(&admin, bob).await.unwrap();
    assert!(names(&admin).await.is_empty());
    let mut tx = bench.store().await.read(&decide_job(bench.cx.realm, bench.root())).await.unwrap();
    let erased = store::users::get(&mut tx, bob).await.unwrap();
    assert_eq!((&*erased.email, &*erased.display_name, &*erased.state), ("", "former user", "deprovisioned"));
    assert!(store::users::by_email(&mut tx, "bob@example.com").await.unwrap().is_none(), "the address is free");
    drop(tx);
    assert!(sign_in(&bench.app, "bob@example.com", PASSWORD).await.is_err());
    assert_eq!(app::unattached::erase(&admin, bob).await.unwrap_err().kind, Kind::Conflict);
    // Erasing somebody who still belongs somewhere takes them out as shutting does; the last admin stays.
    assert_eq!(said(app::unattached::erase(&admin, below.user()).await), last_admin());
    // Whoever belongs somewhere is not added by this way, and whoever was never there is nobody.
    assert_eq!(app::unattached::add(&admin, ann).await.unwrap_err().kind, Kind::NotFound);
    assert_eq!(people::add_member(&admin, bench.blue, UserId(77), MEMBER).await.unwrap_err().kind, Kind::NotFound);
    app::unattached::erase(&admin, ann).await.unwrap();
    assert!(sign_in(&bench.app, "ann@example.com", PASSWORD).await.is_err());
    // Nothing names or opens an account again that was shut.
    for (what, result) in [
        ("add", people::add_member(&admin, bench.red, ann, MEMBER).await),
        ("rename", people::rename(&admin, ann, "Ann Again").await),
        ("bind", bench.bind(bench.root(), Holder::User(ann), PolicyRef::ADMIN, Propagate::Here).await.map(drop)),
    ] {
        assert!(result.is_err(), "{what}");
    }
}

/// T-K. Marks are one's own, and lead only to what one may see.
async fn favourites_are_ones_own(bench: Bench) {
    let (head, _) = bench.person(bench.red, "head", Builtin::DepartmentHead).await;
    let names = async |cx: &Cx| -> Vec<String> {
        app::orgs::favourites(cx).await.unwrap().into_iter().map(|org| org.name).collect()
    };
    app::orgs::set_favourite(&head, bench.red, true).await.unwrap();
    app::orgs::set_favourite(&head, bench.red, true).await.unwrap();
    assert_eq!(app::orgs::set_favourite(&head, bench.blue, true).await.unwrap_err().kind, Kind::NotFound);
    assert_eq!((names(&head).await, names(&bench.cx).await), (vec!["Red".to_owned()], vec![]));
    people::remove(&bench.cx, bench.red, head.user()).await.unwrap();
    assert!(names(&bench.as_user(head.user()).await).await.is_empty(), "the mark stays, the right is gone");
    app::orgs::set_favourite(&head, bench.red, false).await.unwrap();
}

/// T-W. A field takes an address or a name, and says when that is nobody or not clear.
async fn somebody_is_named_by_address_or_name(bench: Bench) {
    let (_, ann) = bench.person(bench.red, "ann", Builtin::Member).await;
    let (_, anna) = bench.person(bench.red, "anna", Builtin::Member).await;
    bench.person(bench.blue, "elsewhere", Builtin::Member).await;
    let named = async |text: &str| people::named(&bench.cx, bench.red, "user", text).await;
    for (text, user) in [(" ANN@example.com", ann), ("Ann", ann), ("ANNA", anna)] {
        assert_eq!(named(text).await.unwrap(), user, "{text}");
    }
    // A part of an address is nobody's: rights would go to whoever has the longer one.
    for text in ["an", "", "elsewhere", "elsewhere@example.com", "nna@example.com", "anna@"] {
        let refused = named(text).await.unwrap_err();
        assert_eq!((refused.kind, refused.field.as_str()), (Kind::Invalid, "user"), "{text}");
    }
}

/// Tries an act, and says what it would do: name, organisation, reach, what is gained and lost.
async fn tried<T>(cx: &Cx, act: impl AsyncFnOnce(&Cx) -> Result<T, Failure>) -> Result<Vec<String>, Failure> {
    let cx = cx.previewing();
    let result = act(&cx).await;
    let found = app::preview::outcome(&cx, result).await?;
    assert!(found.is_complete);
    let line = |row: &app::preview::Difference| {
        let count = |codes: &[&str]| (codes.len(), codes.contains(&"invoice:read"));
        format!("{} {} {} {:?} {:?}", row.name, row.org_name, row.reach, count(&row.gains), count(&row.loses))
    };
    Ok(found.changes.iter().map(line).collect())
}

async fn a_change_of_rights_can_be_tried_first(bench: Bench) {
    let (_, ann) = bench.person(bench.red, "ann", Builtin::Member).await;
    let (boss, _) = bench.person(bench.customer, "boss", Builtin::OrganizationAdmin).await;
    let admin = bench.admin().await;
    let finance = PolicyRef::Builtin(Builtin::FinanceViewer);
    let give =
        async |cx: &Cx| bindings::bind(cx, bench.red, binding(Holder::User(ann), finance, Propagate::Subtree)).await;
    let gained = tried(&admin, give).await.unwrap();
    assert!(gained.iter().any(|line| line.starts_with("ann Red ") && line.contains("true) (0, false)")), "{gained:?}");
    assert!(gained.iter().all(|line| line.starts_with("ann Red ")), "nobody else: {gained:?}");
    let held = async || people::one(&admin, bench.red, ann).await.unwrap().given.len();
    assert_eq!(held().await, 0, "nothing is changed");
    let audit = app::audit::list(&admin, bench.root(), 0, &Default::default(), 1).await.unwrap();
    assert_ne!(audit[0].action, "policy.bind", "nor is it in the log");
    // A rail takes from everybody below it, and from nobody above: the boss sees their own people lose, and only them.
    let denial = document(r#"{"statements":[{"effect":"DENY","actions":["invoice:read"]}]}"#);
    let policy = policies::create(&boss, bench.customer, "No bills", Level::Org, denial).await.unwrap();
    give(&admin).await.unwrap();
    let lay = async |cx: &Cx| policies::lay_guard(cx, bench.customer, policy.id).await;
    let lost = tried(&boss, lay).await.unwrap();
    let names: std::collections::BTreeSet<&str> = lost.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["ann", "boss"], "{lost:?}");
    assert!(lost.iter().all(|line| line.ends_with("(0, false) (1, true)")), "{lost:?}");
    // What would be refused is refused, and what changes nobody's rights cannot be tried.
    let remove = async |cx: &Cx| people::remove(cx, bench.customer, boss.user()).await;
    assert_eq!(said(tried(&admin, remove).await), last_admin());
    let invite = async |cx: &Cx| app::orgs::set_favourite(cx, bench.red, true).await;
    assert_eq!(tried(&admin, invite).await.unwrap_err().field, "preview");
}

/// What a trial says is what the decision says once it is done: for random acts, on everybody.
async fn a_trial_shows_what_comes_true(bench: Bench) {
    let mut users = vec![bench.cx.user()];
    for (at, name, role) in [
        (bench.customer, "boss", Builtin::OrganizationAdmin),
        (bench.red, "head", Builtin::DepartmentHead),
        (bench.red, "member", Builtin::Member),
        (bench.blue, "finance", Builtin::FinanceViewer),
    ] {
        users.push(bench.person(at, name, role).await.1);
    }
    let admin = bench.admin().await;
    let desk = groups::create(&admin, bench.customer, "Desk").await.unwrap().id;
    let orgs = [bench.root(), bench.customer, bench.red, bench.blue];
    let store = bench.store().await;
    // What everybody may do everywhere, by the decision itself.
    let rights = async || {
        let mut all = std::collections::BTreeSet::new();
        let mut tx = store.read(&decide_job(bench.cx.realm, bench.root())).await.unwrap();
        let now = bench.as_user(users[0]).await.context;
        for user in &users {
            let actor = store::actors::load(&mut tx, *user).await.unwrap();
            for org in orgs {
                let place = store::orgs::place(&mut tx, org).await.unwrap();
                let may = Action::ALL.iter().filter(|action| decide(&actor, &Ask::of(**action), &place, &now).is_ok());
                all.extend(may.map(|action| (*user, org, action.code())));
            }
        }
        all
    };
    let chance = TestWorld::at("2026-11-01T00:00:00Z", 5);
    let draw = |count: usize| {
        let mut bytes = [0; 4];
        base::World::fill_random(&chance, &mut bytes);
        u32::from_le_bytes(bytes) as usize % count
    };
    let (mut done, mut seen) = (0, 0);
    for _ in 0..40 {
        let (user, org) = (users[1 + draw(users.len() - 1)], orgs[1 + draw(3)]);
        let policy = [Builtin::Auditor, Builtin::BillingAdmin, Builtin::OrganizationAdmin][draw(3)];
        let policy = PolicyRef::Builtin(policy);
        let what = draw(7);
        let act = async |cx: &Cx| -> Result<(), Failure> {
            match what {
                0 => bindings::bind(cx, org, binding(Holder::User(user), policy, Propagate::Subtree)).await.map(drop),
                1 => bindings::bind(cx, bench.customer, binding(Holder::Group(desk), policy, Propagate::Here))
                    .await
                    .map(drop),
                2 => groups::add_member(cx, bench.customer, desk, users[1]).await,
                3 => people::set_suspended(cx, user, true).await,
                4 => people::set_suspended(cx, user, false).await,
                5 => people::add_member(cx, org, user, MEMBER).await,
                _ => groups::remove_member(cx, bench.customer, desk, users[1]).await,
            }
        };
        let before = rights().await;
        let trial = bench.admin().await.previewing();
        let result = act(&trial).await;
        let told = app::preview::outcome(&trial, result).await;
        assert_eq!(rights().await, before, "a trial changes nothing");
        let really = act(&bench.admin().await).await;
        assert_eq!(told.is_ok(), really.is_ok(), "{:?} {:?}", told.as_ref().err(), really.as_ref().err());
        let (Ok(told), Ok(())) = (told, really) else { continue };
        let after = rights().await;
        done += 1;
        // Every difference at a place that the trial names is told, and nothing else is.
        for row in &told.changes {
            for (codes, gone, come) in [(&row.loses, &before, &after), (&row.gains, &after, &before)] {
                for code in codes.iter().filter(|_| row.reach != "below") {
                    let right = (row.user, row.org, *code);
                    assert!(gone.contains(&right) && !come.contains(&right), "{what}: {row:?} {code}");
                    seen += 1;
                }
            }
        }
        for (user, org, code) in before.symmetric_difference(&after) {
            let is_told = told
                .changes
                .iter()
                .any(|row| row.user == *user && (row.gains.contains(code) || row.loses.contains(code)));
            assert!(is_told, "{what}: {user} at {org}: {code} is not told: {:?}", told.changes);
        }
    }
    assert!(done > 10 && seen > 50, "{done} acts, {seen} differences");
}
