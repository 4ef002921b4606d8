-- What the places of a wide tree are found by. The list of children counts the cloud connections of each. Without
-- an index it read those of the whole realm.
create index cloud_link_org on cloud_link (realm_id, org_id);
-- With the ancestor in it, the way up from an organisation is read in the index alone.
drop index org_above_down;
create index org_above_down on org_above (realm_id, org_id, depth, ancestor_id);
