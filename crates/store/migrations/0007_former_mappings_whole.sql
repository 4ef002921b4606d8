-- What a removed row allowed and since when it stood: a row of the name space is kept whole. Of rows removed before
-- nobody wrote it down: they count as writable, and as old as their removal at most.
alter table s3_former_mapping add column access text not null default 'write';
alter table s3_former_mapping add column created_us bigint not null default 0;
update s3_former_mapping set created_us = removed_us;
