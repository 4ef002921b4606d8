-- Rows of the name space that were removed. What lies below one is charged on (charge = 'goes_on') until it is gone or
-- somebody says stop.
create table s3_former_mapping (
  realm_id text not null,
  mapping_id text not null,
  org_id text not null,
  user_id text not null,
  virtual_bucket text not null,
  folder text not null,
  account_id text not null,
  real_bucket text not null,
  prefix text not null,
  charge text not null,
  removed_us bigint not null,
  primary key (realm_id, mapping_id),
  foreign key (realm_id, org_id) references org (realm_id, org_id),
  foreign key (realm_id, account_id) references s3_account (realm_id, account_id)
);
create index s3_former_mapping_account on s3_former_mapping (realm_id, account_id);
create index s3_mapping_real on s3_mapping (realm_id, real_bucket);
