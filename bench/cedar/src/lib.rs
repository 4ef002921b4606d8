//! The same rights said in Cedar: a second opinion on every decision, and a peer to be measured beside.
//!
//! Each statement of each binding becomes one `permit` or `forbid`; what our decision does beside policies
//! (knowledge, suspension, products, guard-rails, token scopes, fresh proof) becomes `forbid`s over
//! attributes of the resource and the context.

use access::action::{SENSITIVE, SUSPEND_ALLOWED};
use access::condition::{Condition, Operator};
use access::policy::{Effect, Statement};
use access::{Action, Actions, Actor, Ask, Context, Place, Product, Propagate};
use base::OrgId;
use cedar_policy::{
    Authorizer, Context as CedarContext, Decision, Entities, EntityUid, PolicySet, Request, RestrictedExpression,
};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;

fn org(id: OrgId) -> String {
    format!("Org::\"{id}\"")
}

fn actions(set: Actions) -> String {
    let names: Vec<String> = set.iter().map(|action| format!("Action::\"{}\"", action.code())).collect();
    format!("[{}]", names.join(", "))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A pattern of ours as one of `like`: both know `*` only.
fn like(pattern: &str) -> String {
    quoted(pattern)
}

/// An expression that is true exactly when the fact is there, and the expression of its value.
fn fact(key: &str) -> (String, String) {
    match key {
        "user:id" => ("true".into(), "principal.id".into()),
        "user:email" => ("principal.email != \"\"".into(), "principal.email".into()),
        "user:name" => ("true".into(), "principal.name".into()),
        "org:id" => ("true".into(), "resource.id".into()),
        "request:ip" => ("context has ip".into(), "context.ip".into()),
        "token:kind" => ("true".into(), "context.kind".into()),
        "mfa:fresh" => ("true".into(), "context.fresh".into()),
        "resource:id" => ("context has rid".into(), "context.rid".into()),
        other => panic!("the generator does not make conditions on {other}"),
    }
}

fn condition(condition: &Condition, effect: Effect) -> String {
    let (there, value) = fact(&condition.key);
    let any: Vec<String> = condition
        .values
        .iter()
        .map(|wanted| match condition.operator {
            Operator::Equals | Operator::NotEquals => format!("{value} == {}", quoted(wanted)),
            Operator::Contains => format!("{value} like {}", like(&format!("*{wanted}*"))),
            Operator::PatternMatch => format!("{value} like {}", like(wanted)),
            Operator::EqualsIgnoreCase => panic!("Cedar has no lower case"),
        })
        .collect();
    let any = any.join(" || ");
    let held = if condition.operator == Operator::NotEquals { format!("!({any})") } else { format!("({any})") };
    // What cannot be judged holds for a denial and not for a permission.
    match effect {
        Effect::Allow => format!("({there} && {held})"),
        Effect::Deny => format!("(!({there}) || {held})"),
    }
}

fn covers(patterns: &[String]) -> Option<String> {
    if patterns.is_empty() || patterns.iter().any(|pattern| pattern == "*") {
        return None;
    }
    let any: Vec<String> = patterns.iter().map(|pattern| format!("context.resource like {}", like(pattern))).collect();
    Some(format!("(context.resource != \"\" && ({}))", any.join(" || ")))
}

fn rule(effect: Effect, set: Actions, on: &str, when: &[String]) -> String {
    let head = if effect == Effect::Allow { "permit" } else { "forbid" };
    let mut text = format!("{head} (principal, action in {}, {on})", actions(set));
    if !when.is_empty() {
        let _ = write!(text, " when {{ {} }}", when.join(" && "));
    }
    text + ";\n"
}

/// Everything that `actor` holds, as Cedar policies.
#[must_use]
pub fn policies_of(actor: &Actor) -> String {
    let mut text = String::new();
    for binding in actor.bindings() {
        let on = match binding.propagate {
            Propagate::Here => format!("resource == {}", org(binding.scope)),
            Propagate::Subtree => format!("resource in {}", org(binding.scope)),
        };
        let mut limits: Vec<String> = covers(&binding.resources).into_iter().collect();
        limits.extend(binding.not_before_us.map(|at| format!("context.now >= {at}")));
        limits.extend(binding.not_after_us.map(|at| format!("context.now < {at}")));
        for statement in &binding.policy.statements {
            let mut when = limits.clone();
            when.extend(covers(&statement.resources));
            when.extend(statement.conditions.iter().map(|found| condition(found, statement.effect)));
            if statement.effect == Effect::Allow {
                when.push(format!(
                    "(!resource.suspended || {} || resource.above.contains({}))",
                    is_one_of(SUSPEND_ALLOWED),
                    org(binding.scope)
                ));
            }
            text += &rule(statement.effect, statement.actions, &on, &when);
        }
    }
    text
}

fn is_one_of(set: Actions) -> String {
    format!("action in {}", actions(set))
}

/// What holds for everybody at a place.
#[must_use]
pub fn frame_of(place: &Place) -> String {
    let mut text =
        String::from("forbid (principal, action, resource) unless { resource.path.containsAny(principal.members) };\n");
    for product in Product::ALL {
        let of: Vec<Action> = Action::ALL.iter().copied().filter(|action| action.product() == Some(product)).collect();
        if !of.is_empty() {
            let _ = writeln!(
                text,
                "forbid (principal, action in {}, resource) unless {{ resource.products.contains(\"{}\") }};",
                actions(Actions::of(&of)),
                product.code()
            );
        }
    }
    for guard in &place.guards {
        let of =
            |effect| guard.policy.statements.iter().filter(move |statement: &&Statement| statement.effect == effect);
        for statement in of(Effect::Deny) {
            let when: Vec<String> = statement.conditions.iter().map(|found| condition(found, Effect::Deny)).collect();
            text += &rule(Effect::Deny, statement.actions, "resource", &when);
        }
        let allowed: Vec<String> = of(Effect::Allow)
            .map(|statement| {
                let mut all = vec![is_one_of(statement.actions)];
                all.extend(statement.conditions.iter().map(|found| condition(found, Effect::Allow)));
                format!("({})", all.join(" && "))
            })
            .collect();
        if !allowed.is_empty() {
            let _ = writeln!(text, "forbid (principal, action, resource) unless {{ {} }};", allowed.join(" || "));
        }
    }
    text += "forbid (principal, action, resource) when { context has token && !(context.token.actions.contains(action) && resource in context.token.org) };\n";
    let _ = writeln!(
        text,
        "forbid (principal, action in {}, resource) unless {{ context.fresh == \"true\" || (context has token && context.token.named.contains(action)) }};",
        actions(SENSITIVE)
    );
    text
}

fn uid(text: &str) -> EntityUid {
    text.parse().expect("the generator writes good ids")
}

fn strings(values: impl IntoIterator<Item = String>) -> RestrictedExpression {
    RestrictedExpression::new_set(values.into_iter().map(RestrictedExpression::new_string))
}

fn uids(values: impl IntoIterator<Item = String>) -> RestrictedExpression {
    RestrictedExpression::new_set(values.into_iter().map(|value| RestrictedExpression::new_entity_uid(uid(&value))))
}

fn entity(
    id: &str,
    attributes: HashMap<String, RestrictedExpression>,
    parents: HashSet<EntityUid>,
) -> cedar_policy::Entity {
    cedar_policy::Entity::new(uid(id), attributes, parents).expect("attributes are plain")
}

/// The actor and the organisations of the path as Cedar entities.
#[must_use]
pub fn entities(actor: &Actor, place: &Place) -> Entities {
    let identity = &actor.identity;
    let mut all = vec![entity(
        "User::\"u\"",
        HashMap::from([
            ("id".to_owned(), RestrictedExpression::new_string(identity.user.to_string())),
            ("email".to_owned(), RestrictedExpression::new_string(identity.email.clone())),
            ("name".to_owned(), RestrictedExpression::new_string(identity.name.clone())),
            ("members".to_owned(), uids(actor.memberships().iter().map(|id| org(*id)))),
        ]),
        HashSet::new(),
    )];
    let products = Product::ALL.into_iter().filter(|product| place.products.has(*product));
    for (depth, id) in place.path.iter().enumerate() {
        let parents = depth.checked_sub(1).map(|above| uid(&org(place.path[above]))).into_iter().collect();
        let above = &place.path[..place.suspended_from.unwrap_or(0)];
        let attributes = HashMap::from([
            ("id".to_owned(), RestrictedExpression::new_string(id.to_string())),
            ("path".to_owned(), uids(place.path.iter().map(|id| org(*id)))),
            ("suspended".to_owned(), RestrictedExpression::new_bool(place.suspended_from.is_some())),
            ("above".to_owned(), uids(above.iter().map(|id| org(*id)))),
            ("products".to_owned(), strings(products.clone().map(|product| product.code().to_owned()))),
        ]);
        all.push(entity(&org(*id), attributes, parents));
    }
    Entities::from_entities(all, None).expect("the tree has no cycle")
}

/// The request as Cedar sees it.
#[must_use]
pub fn request(ask: &Ask<'_>, place: &Place, context: &Context) -> Request {
    let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
    let mut facts: BTreeMap<String, RestrictedExpression> = BTreeMap::from([
        ("now".to_owned(), RestrictedExpression::new_long(context.now_us)),
        ("resource".to_owned(), text(ask.resource)),
        ("fresh".to_owned(), text(if context.is_fresh() { "true" } else { "false" })),
        ("kind".to_owned(), text(context.token.as_ref().map_or("none", |token| token.kind))),
    ]);
    if let Some((_, id)) = ask.resource.split_once(':') {
        facts.insert("rid".to_owned(), text(id));
    }
    if let Some(ip) = context.ip {
        facts.insert("ip".to_owned(), text(&ip.to_string()));
    }
    if let Some(token) = &context.token {
        let of = |set: Actions| uids(set.iter().map(|action| format!("Action::\"{}\"", action.code())));
        let record = [
            ("org".to_owned(), RestrictedExpression::new_entity_uid(uid(&org(token.org)))),
            ("actions".to_owned(), of(token.actions)),
            ("named".to_owned(), of(token.named)),
        ];
        facts.insert("token".to_owned(), RestrictedExpression::new_record(record).expect("names are unique"));
    }
    let context = CedarContext::from_pairs(facts).expect("facts are plain");
    let action = uid(&format!("Action::\"{}\"", ask.action.code()));
    Request::new(uid("User::\"u\""), action, uid(&org(place.org())), context, None).expect("there is no schema")
}

/// The policies of an actor at a place, read by Cedar.
///
/// # Panics
/// When Cedar cannot read them, with the text.
#[must_use]
pub fn policy_set(actor: &Actor, place: &Place) -> PolicySet {
    let text = policies_of(actor) + &frame_of(place);
    text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Whether Cedar allows it.
#[must_use]
pub fn allows(policies: &PolicySet, entities: &Entities, request: &Request) -> bool {
    Authorizer::new().is_authorized(request, policies, entities).decision() == Decision::Allow
}

#[cfg(test)]
mod tests {
    use super::*;
    use access::policy::parse;
    use access::{Binding, Builtin, GuardRail, Identity, Level, Policy, PolicyRef, TokenScope, UserKind, decide};
    use base::{GuardRailId, PolicyId, RealmId, UserId};
    use std::sync::Arc;

    const NOW: i64 = 1_000_000_000_000;
    const REALM: RealmId = RealmId(1);

    struct Dice(u64);

    impl Dice {
        fn up_to(&mut self, count: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) as usize % count
        }
        fn one_in(&mut self, count: usize) -> bool {
            self.up_to(count) == 0
        }
        fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
            &list[self.up_to(list.len())]
        }
        fn pattern(&mut self) -> String {
            let action = *self.of(Action::ALL);
            let service = action.code().split(':').next().unwrap_or_default();
            match self.up_to(5) {
                0 => "*".to_owned(),
                1 => "*:read*".to_owned(),
                2 => format!("{service}:*"),
                _ => action.code().to_owned(),
            }
        }
    }

    fn statement(dice: &mut Dice) -> String {
        let effect = if dice.one_in(4) { "DENY" } else { "ALLOW" };
        let actions: Vec<String> = (0..=dice.up_to(3)).map(|_| format!("{:?}", dice.pattern())).collect();
        let condition = if dice.one_in(2) {
            let operator = *dice.of(&["StringEquals", "StringNotEquals", "StringContains", "StringPatternMatch"]);
            let (key, values) = *dice.of(&[
                ("request:ip", r#"["10.0.0.1","10.0.0.2"]"#),
                ("user:email", r#"["ann@example.com"]"#),
                ("user:email", r#"["*@example.com","example"]"#),
                ("user:name", r#"["Ann","A*"]"#),
                ("token:kind", r#"["personal"]"#),
                ("mfa:fresh", r#"["true"]"#),
            ]);
            format!(r#","condition":{{"{operator}":{{"{key}":{values}}}}}"#)
        } else {
            String::new()
        };
        format!(r#"{{"effect":"{effect}","actions":[{}]{condition}}}"#, actions.join(","))
    }

    fn policy(dice: &mut Dice, id: u128) -> Arc<Policy> {
        if dice.one_in(2) {
            return Arc::new(dice.of(Builtin::ALL).policy());
        }
        let statements: Vec<String> = (0..=dice.up_to(3)).map(|_| statement(dice)).collect();
        let json = format!(r#"{{"statements":[{}]}}"#, statements.join(","));
        let (_, statements) = parse(&json).expect("the generator writes good policies");
        Arc::new(Policy { reference: PolicyRef::Custom(PolicyId(id)), name: "p".into(), level: Level::Org, statements })
    }

    fn world(dice: &mut Dice) -> (Actor, Place) {
        let path: Vec<OrgId> = (0..=dice.up_to(6)).map(|level| OrgId(level as u128 + 1)).collect();
        let mut bindings = Vec::new();
        for id in 0..dice.up_to(8) {
            let mut binding = Binding::builtin(Builtin::Member, OrgId(dice.up_to(8) as u128 + 1), Propagate::Subtree);
            binding.policy = policy(dice, id as u128);
            if dice.one_in(3) {
                binding.propagate = Propagate::Here;
            }
            if dice.one_in(6) {
                binding.not_after_us = Some(NOW - 1 + dice.up_to(3) as i64);
            }
            if dice.one_in(6) {
                binding.not_before_us = Some(NOW - 1 + dice.up_to(3) as i64);
            }
            if dice.one_in(6) {
                binding.resources = vec!["source:acc_1*".to_owned()];
            }
            bindings.push(binding);
        }
        let mut members: Vec<OrgId> = (0..dice.up_to(3)).map(|_| OrgId(dice.up_to(8) as u128 + 1)).collect();
        if dice.one_in(2) {
            members.push(OrgId(1));
        }
        let identity = Identity {
            realm: REALM,
            user: UserId(9),
            kind: UserKind::Human,
            email: if dice.one_in(4) { String::new() } else { "ann@example.com".into() },
            name: (*dice.of(&["Ann", "Bob"])).to_owned(),
        };
        let mut place = Place::open(REALM, path);
        if dice.one_in(4) {
            place.suspended_from = Some(dice.up_to(place.path.len()));
        }
        if dice.one_in(3) {
            place.products = Product::ALL.into_iter().filter(|_| dice.one_in(2)).collect();
        }
        for id in 0..dice.up_to(3) {
            if dice.one_in(2) {
                let policy = policy(dice, 100 + id as u128);
                place.guards.push(GuardRail { id: GuardRailId(id as u128), policy });
            }
        }
        (Actor::new(identity, members, bindings), place)
    }

    fn context(dice: &mut Dice, place: &Place) -> Context {
        let mut context = Context { now_us: NOW, ..Context::default() };
        if dice.one_in(2) {
            context.proved_us = Some(NOW - dice.up_to(40) as i64 * 60_000_000);
        }
        if dice.one_in(2) {
            context.ip = Some(dice.of(&["10.0.0.1", "10.0.0.3"]).parse().expect("an address"));
        }
        if dice.one_in(3) {
            let actions = Actions::matching(&dice.pattern()) | Actions::matching(&dice.pattern());
            let named = Actions::matching(&dice.pattern()) & actions;
            let org = place.path[dice.up_to(place.path.len())];
            context.token = Some(TokenScope { org, actions, named, kind: "personal" });
        }
        context
    }

    /// 100,000 random decisions: ours and Cedar's are the same.
    #[test]
    fn t65_every_decision_is_the_same_as_cedars() {
        let mut dice = Dice(65);
        let (mut allowed, mut compared) = (0, 0);
        for _ in 0..1_000 {
            let (actor, place) = world(&mut dice);
            let (policies, entities) = (policy_set(&actor, &place), entities(&actor, &place));
            for _ in 0..100 {
                let context = context(&mut dice, &place);
                let resource = *dice.of(&["", "source:acc_1", "source:acc_2"]);
                let ask = Ask { action: *dice.of(Action::ALL), resource, product: None };
                let ours = decide(&actor, &ask, &place, &context);
                let theirs = allows(&policies, &entities, &request(&ask, &place, &context));
                assert_eq!(ours.is_ok(), theirs, "{ask:?} {ours:?}\n{context:?}\n{place:?}\n{}", policies_of(&actor));
                compared += 1;
                allowed += u32::from(theirs);
            }
        }
        println!("{compared} decisions, {allowed} allowed, none differs");
        assert_eq!(compared, 100_000);
        assert!(allowed > 5_000, "{allowed} allowed: the case says something");
    }
}
