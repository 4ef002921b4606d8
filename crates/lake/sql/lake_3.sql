-- Version 3: the BLAKE3 hash of each file, so that one which was damaged or exchanged gives no figure. Empty for files
-- of older versions until the scrub has seen them.
alter table lake_file add column hash text not null default '';
-- The newest group of the inbox that was seen on disk: one that ends before it at the start was cut.
alter table lake_state add column inbox_seq bigint not null default 0;
