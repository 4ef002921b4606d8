#!/usr/bin/env python3
"""Reads our lake with DuckDB's own `ducklake` extension, read-only. Exit 0 = conformant.

Compares every column at its extremes and middle with the plain Parquet files, every month, every
snapshot, row ids; and that a write is refused. Prints `total REALM QUANTITY` for each realm.
usage: duckdb_reads.py ducklake:sqlite:/abs/lake.db | ducklake:postgres:postgres://user@host:port/db
"""
import duckdb, importlib.util, pathlib, sys

def extension(name):  # the wheel carries the file; nothing is fetched
    spec = importlib.util.find_spec("duckdb_extension_" + name)
    return pathlib.Path(spec.submodule_search_locations[0]) / "extensions" / ("v" + duckdb.__version__) / (name + ".duckdb_extension")

def attach(uri, schema=None, extra=""):
    con = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
    scanner = "postgres_scanner" if uri.startswith("ducklake:postgres:") else "sqlite_scanner"
    for name in (scanner, "ducklake"):
        con.execute(f"LOAD '{extension(name)}'")  # signature is checked: allow_unsigned_extensions stays false
    con.execute("SET TimeZone='UTC'")
    opts = "READ_ONLY" + (f", METADATA_SCHEMA '{schema}'" if schema else "") + extra
    con.execute(f"ATTACH '{uri}' AS lake ({opts})")
    return con

def main():
    uri = sys.argv[1]
    schema = "lake" if uri.startswith("ducklake:postgres:") else None
    con = attach(uri, schema)
    q = lambda sql, *p: con.execute(sql, list(p)).fetchall()
    bad = []
    def expect(what, got, want):
        if got != want: bad.append(f"{what}: got {got!r}, want {want!r}")
    meta = "__ducklake_metadata_lake." + (f'"{schema}".' if schema else "")
    # truth = the same live Parquet files read WITHOUT the catalog's statistics
    # (read the data_path + schema/table path + file path ourselves, and skip all pruning)
    data = q(f"select value from {meta}ducklake_metadata where key='data_path'")[0][0]
    files = [r[0] for r in q(f"""select case when f.path_is_relative::bigint=1 then ?||s.path||t.path||f.path else f.path end
        from {meta}ducklake_data_file f join {meta}ducklake_table t using(table_id) join {meta}ducklake_schema s using(schema_id)
        where t.table_name='usage' and t.end_snapshot is null and f.end_snapshot is null order by 1""", data if data.endswith("/") else data + "/")]
    snaps = [r[0] for r in q("select snapshot_id from ducklake_snapshots('lake') order by 1")]   # also parses every changes_made
    expect("file list", len(q("select * from ducklake_list_files('lake','usage')")), len(files))
    if files:
        con.execute("create temp table truth as select * from read_parquet(?)", [files])  # materialised: no push-down
        n = q("select count(*) from truth")[0][0]
        expect("count(*)", q("select count(*) from lake.usage")[0][0], n)          # catalog record_count
        expect("count rows", q("select count(batch_no) from lake.usage")[0][0], n)
        agg = "count(*), sum(quantity)::varchar, min(quantity)::varchar, max(quantity)::varchar, epoch_us(min(start_at)), epoch_us(max(end_at)), min(batch_no), max(batch_no), min(kind), max(kind)"
        expect("aggregates", q(f"select {agg} from lake.usage"), q(f"select {agg} from truth"))
        # every filterable column at its extremes and middle, both sides: catches stale or lying statistics
        for col in ("source","record_id","realm_id","org_id","org_path","user_id","meter","resource","dimensions","quantity","start_at","end_at","kind","batch_no","attributes"):
            for (v,) in q(f"select distinct unnest([min({col}), max({col}), quantile_disc({col},0.5)])::varchar from truth"):
                ty = q(f"select typeof({col}) from truth limit 1")[0][0]
                for op in ("=", "<", "<=", ">", ">="):
                    w = f"where {col} {op} cast(? as {ty})"
                    expect(f"{col} {op} {v}", q(f"select count(*), sum(hash(record_id,source)%1000003) from lake.usage {w}", v),
                                              q(f"select count(*), sum(hash(record_id,source)%1000003) from truth {w}", v))
        for y, m in q("select distinct year(start_at), month(start_at) from truth"):
            w = f"where year(start_at)={y} and month(start_at)={m}"
            expect(f"month {y}-{m}", q(f"select count(*) from lake.usage {w}"), q(f"select count(*) from truth {w}"))
        expect("row ids unique", q("select count(distinct rowid) from lake.usage")[0][0], n)
    for s in snaps:  # time travel: rows seen = rows of the files alive at s
        want = q(f"select coalesce(sum(f.record_count),0)::bigint from {meta}ducklake_data_file f join {meta}ducklake_table t using(table_id) where t.table_name='usage' and f.begin_snapshot<=? and (f.end_snapshot is null or f.end_snapshot>?)", s, s)[0][0]
        expect(f"version {s}", q(f"select count(batch_no) from lake.usage at (version => {s})")[0][0], want)
    expect("no inlined data", q(f"select count(*) from {meta}ducklake_inlined_data_tables")[0][0], 0)
    for realm, sum_ in q("select realm_id, sum(quantity)::decimal(38,0)::varchar from lake.usage where start_at >= '2026-10-01' group by 1 order by 1"):
        print("total", realm, sum_)
    try:
        con.execute("delete from lake.usage"); bad.append("a write was accepted")
    except duckdb.InvalidInputException: pass
    print("\n".join(bad) or f"conformant: {len(files)} files, {len(snaps)} snapshots"); sys.exit(1 if bad else 0)
main()
