-- Version 2: what happened to objects that are not there any more, for a day. An object existed from at_us
-- until until_us, when they are equal, it is only known that it was deleted then.
create table s3_past (
  realm_id text not null,
  object text not null,
  account_id text not null,
  org_id text not null,
  org_path text not null,
  user_id text not null,
  bucket text not null,
  size_bytes bigint not null,
  at_us bigint not null,
  until_us bigint not null,
  primary key (realm_id, object, at_us, until_us)
);

create index s3_past_until on s3_past (until_us);
