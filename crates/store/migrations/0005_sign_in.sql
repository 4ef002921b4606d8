-- Addresses from which somebody signed in within the last ninety days. Strangers elsewhere delay nobody there.
create table known_address (
  realm_id text not null,
  user_id text not null,
  address text not null,
  seen_us bigint not null,
  primary key (realm_id, user_id, address),
  foreign key (realm_id, user_id) references user_account (realm_id, user_id)
);
create index known_address_seen on known_address (seen_us);
-- Failed tries of one account from one address within one hour. When the hour is over they become one audit entry.
create table sign_in_trouble (
  realm_id text not null,
  user_id text not null,
  address text not null,
  hour_us bigint not null,
  passwords bigint not null,
  codes bigint not null,
  delays bigint not null,
  first_us bigint not null,
  last_us bigint not null,
  noted bigint not null,
  answered bigint not null,
  primary key (realm_id, user_id, address, hour_us),
  foreign key (realm_id, user_id) references user_account (realm_id, user_id)
);
create index sign_in_trouble_hour on sign_in_trouble (hour_us);
create index audit_event_actor on audit_event (realm_id, actor, seq);
create index audit_event_target on audit_event (realm_id, target, seq);
-- Since when a provider is asked as it is asked now, and when it last let somebody in. Nothing is known of before.
alter table idp add column set_us bigint not null default 0;
alter table idp_identity add column seen_us bigint not null default 0;
-- What a name looks like. The program fills it in when it starts (store::rekey), here each only gets one of its own.
alter table org add column name_skeleton text not null default '';
update org set name_skeleton = org_id;
create unique index org_skeleton on org (realm_id, parent_id, name_skeleton);
