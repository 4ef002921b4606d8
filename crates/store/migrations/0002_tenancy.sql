-- The organisation tree's people, policies, products and visibility. Rows that were there before keep
-- what they could do.

alter table realm add column epoch bigint not null default 1;

alter table org add column slug text not null default '';
alter table org add column state text not null default 'active';
alter table org add column state_reason text not null default '';
alter table org add column delete_after_us bigint;
alter table org add column admin_mode text not null default 'inherited';
alter table org add column cost_default text not null default 'charged';
alter table org add column child_cost_default text not null default 'charged';
alter table org add column visible_costs text not null default 'charged';
alter table org add column mfa_policy text not null default 'off';
alter table org add column gateway_when_suspended text not null default 'deny';
alter table org add column token_days_max bigint not null default 365;
update org set slug = replace(org_id, '_', '-');
update org set visible_costs = 'list,contracted,billed,effective,charged', admin_mode = 'own' where parent_id is null;
create unique index org_slug on org (realm_id, parent_id, slug);

alter table user_account add column kind text not null default 'human';
alter table user_account add column description text not null default '';
alter table user_account add column break_glass bigint not null default 0;
alter table user_account add column deprovisioned_us bigint;

create table membership (
  realm_id text not null,
  user_id text not null,
  org_id text not null,
  state text not null,
  source text not null,
  created_us bigint not null,
  created_by text not null,
  primary key (realm_id, user_id, org_id),
  foreign key (realm_id, user_id) references user_account (realm_id, user_id),
  foreign key (realm_id, org_id) references org (realm_id, org_id)
);
create index membership_org on membership (realm_id, org_id);
insert into membership (realm_id, user_id, org_id, state, source, created_us, created_by)
  select realm_id, user_id, scope_org_id, 'active', 'local', min(created_us), ''
    from binding
   group by realm_id, user_id, scope_org_id;

-- The role of a binding is a policy: the word of a built-in one or the id of a custom one.
alter table binding add column propagate text not null default 'subtree';
alter table binding add column resources_json text not null default '[]';
alter table binding add column not_before_us bigint;
alter table binding add column not_after_us bigint;
alter table binding add column source text not null default 'local';
delete from binding where role = 'member';
update binding set role = 'organization_admin' where role = 'admin';
create index binding_scope on binding (realm_id, scope_org_id);
update invitation set role = 'organization_admin' where role = 'admin';
alter table invitation add column propagate text not null default 'subtree';

create table user_group (
  realm_id text not null,
  group_id text not null,
  org_id text not null,
  name text not null,
  name_key text not null,
  source text not null,
  created_us bigint not null,
  primary key (realm_id, group_id),
  unique (realm_id, org_id, name_key),
  foreign key (realm_id, org_id) references org (realm_id, org_id)
);

create table group_member (
  realm_id text not null,
  group_id text not null,
  user_id text not null,
  source text not null,
  primary key (realm_id, group_id, user_id),
  foreign key (realm_id, group_id) references user_group (realm_id, group_id),
  foreign key (realm_id, user_id) references user_account (realm_id, user_id)
);
create index group_member_user on group_member (realm_id, user_id);

create table group_binding (
  realm_id text not null,
  binding_id text not null,
  group_id text not null,
  role text not null,
  scope_org_id text not null,
  propagate text not null,
  resources_json text not null,
  not_before_us bigint,
  not_after_us bigint,
  created_us bigint not null,
  primary key (realm_id, binding_id),
  unique (realm_id, group_id, scope_org_id, role),
  foreign key (realm_id, group_id) references user_group (realm_id, group_id),
  foreign key (realm_id, scope_org_id) references org (realm_id, org_id)
);
create index group_binding_scope on group_binding (realm_id, scope_org_id);

create table policy (
  realm_id text not null,
  policy_id text not null,
  org_id text not null,
  name text not null,
  name_key text not null,
  level text not null,
  version bigint not null,
  document_json text not null,
  created_us bigint not null,
  primary key (realm_id, policy_id),
  unique (realm_id, org_id, name_key),
  foreign key (realm_id, org_id) references org (realm_id, org_id)
);

create table guard_rail (
  realm_id text not null,
  guard_rail_id text not null,
  org_id text not null,
  policy_id text not null,
  created_us bigint not null,
  primary key (realm_id, guard_rail_id),
  unique (realm_id, org_id, policy_id),
  foreign key (realm_id, org_id) references org (realm_id, org_id),
  foreign key (realm_id, policy_id) references policy (realm_id, policy_id)
);

create table product_access (
  realm_id text not null,
  org_id text not null,
  product text not null,
  state text not null,
  primary key (realm_id, org_id, product),
  foreign key (realm_id, org_id) references org (realm_id, org_id)
);
insert into product_access (realm_id, org_id, product, state) select realm_id, org_id, 's3', 'granted' from org;
insert into product_access (realm_id, org_id, product, state) select realm_id, org_id, 'cloudstack', 'granted' from org;
insert into product_access (realm_id, org_id, product, state) select realm_id, org_id, 'cloud_bills', 'granted' from org;
insert into product_access (realm_id, org_id, product, state) select realm_id, org_id, 'store_front', 'granted' from org;

create table product_default (
  realm_id text not null,
  org_id text not null,
  product text not null,
  primary key (realm_id, org_id, product),
  foreign key (realm_id, org_id) references org (realm_id, org_id)
);
insert into product_default (realm_id, org_id, product) select realm_id, org_id, product from product_access;

create table cloud_link (
  realm_id text not null,
  link_id text not null,
  org_id text not null,
  provider text not null,
  external_account text not null,
  name text not null,
  from_us bigint not null,
  to_us bigint,
  created_us bigint not null,
  primary key (realm_id, link_id),
  foreign key (realm_id, org_id) references org (realm_id, org_id)
);
create index cloud_link_account on cloud_link (realm_id, provider, external_account);

alter table session add column session_id text not null default '';
alter table session add column proved_us bigint not null default 0;
alter table session add column ip text not null default '';
alter table session add column agent text not null default '';
alter table session add column limited_to text not null default '';
alter table session add column proof text not null default '';

alter table api_token add column kind text not null default 'personal';
alter table api_token add column scope_org_id text;
alter table api_token add column actions_json text not null default '["*"]';
alter table api_token add column prefix text not null default '';
alter table api_token add column proved_us bigint;
alter table api_token add column last_used_us bigint;
alter table api_token add column revoke_reason text not null default '';
alter table api_token add column created_by text not null default '';
create index api_token_look_up on api_token (secret_hash);

alter table audit_event add column form bigint not null default 1;
alter table audit_event add column path text not null default '';
alter table audit_event add column reason text not null default '';
alter table audit_event add column context_json text not null default '{}';
create index audit_event_org on audit_event (realm_id, org_id, seq);

create table second_factor (
  realm_id text not null,
  factor_id text not null,
  user_id text not null,
  kind text not null,
  name text not null,
  secret_sealed text not null,
  public_json text not null,
  credential_hash text not null,
  confirmed bigint not null,
  counter bigint not null,
  created_us bigint not null,
  last_used_us bigint,
  primary key (realm_id, factor_id),
  foreign key (realm_id, user_id) references user_account (realm_id, user_id)
);
create index second_factor_user on second_factor (realm_id, user_id);
create index second_factor_look_up on second_factor (credential_hash);

create table recovery_code (
  realm_id text not null,
  user_id text not null,
  code_hash text not null,
  used_us bigint,
  primary key (realm_id, user_id, code_hash),
  foreign key (realm_id, user_id) references user_account (realm_id, user_id)
);

-- What waits for its second half: a sign-in at an identity provider, a passkey's challenge.
create table attempt (
  realm_id text not null,
  secret_hash text not null,
  kind text not null,
  payload_json text not null,
  expires_us bigint not null,
  primary key (realm_id, secret_hash)
);

create table idp (
  realm_id text not null,
  idp_id text not null,
  org_id text not null,
  name text not null,
  issuer text not null,
  client_id text not null,
  secret_sealed text not null,
  settings_json text not null,
  state text not null,
  created_us bigint not null,
  primary key (realm_id, idp_id),
  unique (realm_id, org_id),
  foreign key (realm_id, org_id) references org (realm_id, org_id)
);

create table idp_identity (
  realm_id text not null,
  idp_id text not null,
  subject text not null,
  user_id text not null,
  created_us bigint not null,
  primary key (realm_id, idp_id, subject),
  foreign key (realm_id, idp_id) references idp (realm_id, idp_id),
  foreign key (realm_id, user_id) references user_account (realm_id, user_id)
);

create index idp_identity_user on idp_identity (realm_id, user_id);

create table domain_claim (
  realm_id text not null,
  domain text not null,
  org_id text not null,
  challenge text not null,
  verified_us bigint,
  created_us bigint not null,
  primary key (realm_id, domain),
  foreign key (realm_id, org_id) references org (realm_id, org_id)
);
create index domain_claim_look_up on domain_claim (domain);

-- What a directory calls our users and groups. The subject is the account or group behind the id that the
-- directory knows: an account that waits for its person may be replaced by the one he has.
create table scim_resource (
  realm_id text not null,
  org_id text not null,
  kind text not null,
  resource_id text not null,
  subject_id text not null,
  external_id text not null,
  user_name text not null,
  user_name_key text not null,
  email_key text not null,
  attributes_json text not null,
  suspended text not null,
  created_us bigint not null,
  changed_us bigint not null,
  primary key (realm_id, org_id, kind, resource_id),
  foreign key (realm_id, org_id) references org (realm_id, org_id)
);
create index scim_resource_subject on scim_resource (realm_id, org_id, kind, subject_id);
create index scim_resource_user_name on scim_resource (realm_id, org_id, kind, user_name_key);
create index scim_resource_external on scim_resource (realm_id, org_id, kind, external_id);
create index scim_resource_email on scim_resource (realm_id, org_id, kind, email_key);

-- Whose child an organisation is for its bills, from a month on. Without a row it is its present parent.
create table org_billed_under (
  realm_id text not null,
  org_id text not null,
  from_us bigint not null,
  parent_id text not null,
  primary key (realm_id, org_id, from_us),
  foreign key (realm_id, org_id) references org (realm_id, org_id),
  foreign key (realm_id, parent_id) references org (realm_id, org_id)
);
