-- Organisations that somebody marked, to find them again.
create table favourite_org (
  realm_id text not null,
  user_id text not null,
  org_id text not null,
  primary key (realm_id, user_id, org_id),
  foreign key (realm_id, user_id) references user_account (realm_id, user_id),
  foreign key (realm_id, org_id) references org (realm_id, org_id)
);
