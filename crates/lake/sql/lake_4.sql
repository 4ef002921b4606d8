-- Version 4: what is stored is kept apart by storage class.
alter table s3_object add column class text not null default 'STANDARD';
alter table s3_past add column class text not null default 'STANDARD';
alter table s3_change add column class text not null default 'STANDARD';
create table s3_level_4 (
  realm_id text not null,
  org_id text not null,
  user_id text not null,
  bucket text not null,
  class text not null,
  org_path text not null,
  bytes bigint not null,
  ticked_us bigint not null,
  primary key (realm_id, org_id, user_id, bucket, class)
);
insert into s3_level_4 (realm_id, org_id, user_id, bucket, class, org_path, bytes, ticked_us)
  select realm_id, org_id, user_id, bucket, 'STANDARD', org_path, bytes, ticked_us from s3_level;
drop table s3_level;
alter table s3_level_4 rename to s3_level;
