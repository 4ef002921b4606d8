-- Column types are bigint and text only, the suffix says the meaning. Every table has realm_id first in
-- its primary key and in every unique and foreign key.

create table realm (
  realm_id text not null primary key,
  name text not null,
  created_us bigint not null
);

create table org (
  realm_id text not null references realm (realm_id),
  org_id text not null,
  parent_id text,
  kind text not null,
  name text not null,
  name_key text not null,
  address_json text not null,
  currency text not null,
  zone text not null,
  invoice_kind text not null,
  created_us bigint not null,
  primary key (realm_id, org_id),
  unique (realm_id, parent_id, name_key),
  foreign key (realm_id, parent_id) references org (realm_id, org_id)
);

create table org_above (
  realm_id text not null,
  ancestor_id text not null,
  org_id text not null,
  depth bigint not null,
  primary key (realm_id, ancestor_id, org_id),
  foreign key (realm_id, ancestor_id) references org (realm_id, org_id),
  foreign key (realm_id, org_id) references org (realm_id, org_id)
);
create index org_above_down on org_above (realm_id, org_id, depth);

create table org_lock (
  realm_id text not null,
  org_id text not null,
  version bigint not null,
  primary key (realm_id, org_id)
);

create table user_account (
  realm_id text not null,
  user_id text not null,
  home_org_id text not null,
  email text not null,
  email_key text not null,
  display_name text not null,
  password_hash text not null,
  state text not null,
  created_us bigint not null,
  primary key (realm_id, user_id),
  unique (realm_id, email_key),
  foreign key (realm_id, home_org_id) references org (realm_id, org_id)
);
create index user_account_email on user_account (email_key);

create table binding (
  realm_id text not null,
  binding_id text not null,
  user_id text not null,
  role text not null,
  scope_org_id text not null,
  created_us bigint not null,
  primary key (realm_id, binding_id),
  unique (realm_id, user_id, scope_org_id, role),
  foreign key (realm_id, user_id) references user_account (realm_id, user_id),
  foreign key (realm_id, scope_org_id) references org (realm_id, org_id)
);

create table session (
  realm_id text not null,
  secret_hash text not null,
  user_id text not null,
  csrf text not null,
  created_us bigint not null,
  seen_us bigint not null,
  expires_us bigint not null,
  primary key (realm_id, secret_hash),
  foreign key (realm_id, user_id) references user_account (realm_id, user_id)
);

create table api_token (
  realm_id text not null,
  token_id text not null,
  user_id text not null,
  secret_hash text not null,
  name text not null,
  created_us bigint not null,
  expires_us bigint not null,
  revoked_us bigint,
  primary key (realm_id, token_id),
  unique (realm_id, secret_hash),
  foreign key (realm_id, user_id) references user_account (realm_id, user_id)
);

create table invitation (
  realm_id text not null,
  invitation_id text not null,
  org_id text not null,
  email text not null,
  email_key text not null,
  role text not null,
  secret_hash text not null,
  invited_by text not null,
  state text not null,
  created_us bigint not null,
  expires_us bigint not null,
  primary key (realm_id, invitation_id),
  unique (realm_id, secret_hash),
  foreign key (realm_id, org_id) references org (realm_id, org_id)
);

create table access_key (
  realm_id text not null,
  key_id text not null,
  org_id text not null,
  user_id text not null,
  name text not null,
  secret_sealed text not null,
  created_us bigint not null,
  revoked_us bigint,
  primary key (realm_id, key_id),
  foreign key (realm_id, org_id) references org (realm_id, org_id),
  foreign key (realm_id, user_id) references user_account (realm_id, user_id)
);
create index access_key_look_up on access_key (key_id);

create table s3_account (
  realm_id text not null,
  account_id text not null,
  org_id text not null,
  name text not null,
  endpoint text not null,
  region text not null,
  style text not null,
  access_key text not null,
  secret_sealed text not null,
  created_us bigint not null,
  primary key (realm_id, account_id),
  unique (realm_id, org_id, name),
  foreign key (realm_id, org_id) references org (realm_id, org_id)
);

create table s3_mapping (
  realm_id text not null,
  mapping_id text not null,
  org_id text not null,
  user_id text not null,
  virtual_bucket text not null,
  folder text not null,
  account_id text not null,
  real_bucket text not null,
  prefix text not null,
  access text not null,
  created_us bigint not null,
  primary key (realm_id, mapping_id),
  unique (realm_id, org_id, user_id, virtual_bucket, folder),
  foreign key (realm_id, org_id) references org (realm_id, org_id),
  foreign key (realm_id, account_id) references s3_account (realm_id, account_id)
);

create table meter (
  realm_id text not null,
  code text not null,
  unit text not null,
  aggregation text not null,
  dimensions_json text not null,
  created_us bigint not null,
  primary key (realm_id, code)
);

create table agreement (
  realm_id text not null,
  buyer_org_id text not null,
  version bigint not null,
  agreement_id text not null,
  seller_org_id text not null,
  effective_from_us bigint not null,
  book_json text not null,
  created_us bigint not null,
  created_by text not null,
  primary key (realm_id, buyer_org_id, version),
  foreign key (realm_id, buyer_org_id) references org (realm_id, org_id),
  foreign key (realm_id, seller_org_id) references org (realm_id, org_id)
);

create table rating_run (
  realm_id text not null,
  buyer_org_id text not null,
  period_start_us bigint not null,
  period_end_us bigint not null,
  run_id text not null,
  agreement_version bigint not null,
  watermark bigint not null,
  digest text not null,
  parts_json text not null,
  unrated_json text not null,
  rated_us bigint not null,
  primary key (realm_id, buyer_org_id, period_start_us),
  foreign key (realm_id, buyer_org_id) references org (realm_id, org_id)
);

create table charge (
  realm_id text not null,
  buyer_org_id text not null,
  period_start_us bigint not null,
  item_code text not null,
  org_id text not null,
  quantity_nano text not null,
  amount_pico text not null,
  primary key (realm_id, buyer_org_id, period_start_us, item_code, org_id),
  foreign key (realm_id, org_id) references org (realm_id, org_id)
);

create table invoice (
  realm_id text not null,
  invoice_id text not null,
  seller_org_id text not null,
  payer_org_id text not null,
  kind text not null,
  state text not null,
  number text,
  period_start_us bigint not null,
  period_end_us bigint not null,
  period_name text not null,
  currency text not null,
  total_minor bigint not null,
  watermark bigint not null,
  paper_json text not null,
  created_us bigint not null,
  issued_us bigint,
  primary key (realm_id, invoice_id),
  unique (realm_id, payer_org_id, period_start_us, kind),
  unique (realm_id, seller_org_id, number),
  foreign key (realm_id, seller_org_id) references org (realm_id, org_id),
  foreign key (realm_id, payer_org_id) references org (realm_id, org_id)
);

create table invoice_line (
  realm_id text not null,
  invoice_id text not null,
  line_no bigint not null,
  item_code text not null,
  org_id text not null,
  quantity_nano text not null,
  amount_pico text not null,
  amount_minor bigint not null,
  original_period_start_us bigint,
  corrects_invoice_id text,
  primary key (realm_id, invoice_id, line_no),
  foreign key (realm_id, invoice_id) references invoice (realm_id, invoice_id)
);

create table number_series (
  realm_id text not null,
  org_id text not null,
  series text not null,
  next_no bigint not null,
  primary key (realm_id, org_id, series),
  foreign key (realm_id, org_id) references org (realm_id, org_id)
);

create table entry (
  realm_id text not null,
  entry_id text not null,
  owner_org_id text not null,
  at_us bigint not null,
  currency text not null,
  memo text not null,
  primary key (realm_id, entry_id),
  foreign key (realm_id, owner_org_id) references org (realm_id, org_id)
);

create table posting (
  realm_id text not null,
  entry_id text not null,
  line_no bigint not null,
  account text not null,
  party_org_id text not null,
  amount_minor bigint not null,
  primary key (realm_id, entry_id, line_no),
  foreign key (realm_id, entry_id) references entry (realm_id, entry_id)
);

create table job (
  realm_id text not null,
  job_id text not null,
  org_id text not null,
  kind text not null,
  unique_key text not null,
  payload_json text not null,
  state text not null,
  due_us bigint not null,
  lease_until_us bigint not null,
  attempts bigint not null,
  last_error text not null,
  primary key (realm_id, job_id),
  unique (realm_id, unique_key),
  foreign key (realm_id, org_id) references org (realm_id, org_id)
);
create index job_due on job (state, due_us);

create table audit_event (
  realm_id text not null,
  seq bigint not null,
  at_us bigint not null,
  actor text not null,
  org_id text not null,
  action text not null,
  target text not null,
  outcome text not null,
  detail_json text not null,
  prev_hash text not null,
  hash text not null,
  primary key (realm_id, seq)
);

create table idempotency (
  realm_id text not null,
  caller text not null,
  idempotency_key text not null,
  request_hash text not null,
  status bigint not null,
  body text not null,
  created_us bigint not null,
  primary key (realm_id, caller, idempotency_key)
);
