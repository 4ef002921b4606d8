-- Whose authority a guard-rail was laid with: it binds nobody who stands above. Of older ones only the place is known.
alter table guard_rail add column author_org_id text not null default '';
update guard_rail set author_org_id = org_id where author_org_id = '';
-- What is written to see whether the database takes anything.
create table heartbeat (
  one bigint not null primary key,
  at_us bigint not null
);
insert into heartbeat (one, at_us) values (1, 0);
