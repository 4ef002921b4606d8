-- Our own tables beside the catalog.
create table lake_state (
  one bigint not null primary key,
  sealed_seq bigint not null,
  batch_no bigint not null,
  fingerprint_key text not null
);

create table lake_batch (
  batch_no bigint not null primary key,
  sealed_seq bigint unique,
  events bigint not null,
  records bigint not null,
  duplicates bigint not null,
  rejects bigint not null,
  at_us bigint not null
);

create table lake_file (
  data_file_id bigint not null primary key,
  realm_min text not null,
  realm_max text not null,
  start_min_us bigint not null,
  start_max_us bigint not null,
  batch_min bigint not null,
  batch_max bigint not null,
  retired_us bigint
);

-- Fingerprints of everything ever counted. The month of the usage is kept for retention only: an id counts
-- once, whatever time a later delivery claims.
create table seen (
  month bigint not null,
  fp bytes_type not null,
  content bytes_type not null,
  batch_no bigint not null,
  primary key (fp)
) without rowid;

create table quarantine (
  realm_id text not null,
  source text not null,
  record_id text not null,
  content text not null,
  org_id text not null,
  field text not null,
  value text not null,
  reason text not null,
  meter text not null,
  quantity_nano text not null,
  body text not null,
  received_us bigint not null,
  primary key (realm_id, source, record_id, content)
);

-- What is stored in the linked accounts, as far as the gateway and the sweep know.
create table s3_object (
  realm_id text not null,
  object text not null,
  account_id text not null,
  org_id text not null,
  org_path text not null,
  user_id text not null,
  bucket text not null,
  size_bytes bigint not null,
  at_us bigint not null,
  primary key (realm_id, object)
);

create index s3_object_account on s3_object (realm_id, account_id);

-- Stored bytes by who owns them: `bytes` at `ticked_us`, what changed after it stands in s3_change.
create table s3_level (
  realm_id text not null,
  org_id text not null,
  user_id text not null,
  bucket text not null,
  org_path text not null,
  bytes bigint not null,
  ticked_us bigint not null,
  primary key (realm_id, org_id, user_id, bucket)
);

create table s3_change (
  realm_id text not null,
  change_id text not null,
  org_id text not null,
  user_id text not null,
  bucket text not null,
  at_us bigint not null,
  delta_bytes bigint not null,
  primary key (realm_id, change_id)
);

create table inbox (
  seq bigint not null primary key,
  events bigint not null,
  body bytes_type not null
);
